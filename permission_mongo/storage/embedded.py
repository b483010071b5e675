"""The embedded server: a real `mongod` as a child process, a one-member replica set with a password of its own.

Starts, mends, supervises and stops it, in one folder that belongs to one gateway at a time. Never speaks for a request.
The order of steps is chosen so that a crash after any of them leaves a folder that the next start can use.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from permission_mongo.errors import StartupFailure
from permission_mongo.storage.mongod import (
    HOST,
    PORT_TAKEN,
    REPLICA_SET,
    Folder,
    Lock,
    begin_again_unless_done,
    is_listening,
    is_server_of,
    last_words,
    prepare,
    secure,
    spawn,
    why_it_stopped,
    write_whole,
)
from permission_mongo.values import Document

_LOG: Final = logging.getLogger("permission_mongo.storage")
_USER: Final = "gateway"
_STEP: Final = 0.01  # seconds between two looks
_START_PATIENCE: Final = 60.0  # seconds; recovery of large data after a kill takes its time
_REVIVE_PATIENCE: Final = 2.0
_STOP_PATIENCE: Final = 10.0
_LOCK_PATIENCE: Final = 0.5  # `running_uri` holds the lock for a moment, and so does a gateway that is just ending
_CRASHES: Final = 5
_CRASH_WINDOW: Final = 60.0
_BACK_OFF: Final = 0.5  # seconds: restarts after 0, 0.5, 1.5 and 3.5
_LOG_BYTES: Final = 16 * 2**20
_PORTS_TRIED: Final = 5

_AUTHENTICATION_FAILED: Final = 18
_ALREADY_INITIALIZED: Final = 23
_REMOVED_FROM_ITS_SET: Final = 93


class _Ended(Exception):
    """The child process ended before it was ready."""


def _take_lock(folder: Folder) -> Lock:
    lock = Lock(folder.lock)
    if not _within(_LOCK_PATIENCE, lock.take):
        lock.release()
        raise StartupFailure(f"another gateway uses {folder.path}: stop it first, or give this one a folder of its own")
    return lock


def _is_locked(folder: Folder) -> bool:
    if not folder.lock.exists():
        return False
    lock = Lock(folder.lock)
    try:
        return not lock.take()
    finally:
        lock.release()


# -- one run of the server


def settle(folder: Folder, child: subprocess.Popen[bytes], port: int, deadline: float) -> str:
    """Bring the child to where it takes writes; its version. Right for every state a crash can have left.

    `deadline` in `time.monotonic()`. TimeoutError when it passes, `_Ended` when the child does, else PyMongoError.
    """
    # Until the child itself says that it listens, whoever answers on the port is someone else.
    _until(lambda: is_listening(folder.log), child, deadline)
    password = folder.password.read_text().strip()
    if not folder.marker.exists():
        with _client(port) as anyone:
            initiate(anyone, port)
            _until(lambda: _is_primary(anyone), child, deadline)
            make_user(anyone, password)
        write_whole(folder.marker, "")  # last: from now on the data counts, and must be open to its user
    with _client(port, password) as client:
        _until(lambda: _is_primary(client) or _reconfigured(client, port), child, deadline)
    # A fresh client: the one before still holds the picture of a server without a set, and refuses sessions.
    with _client(port, password) as client:
        _until(lambda: _is_primary(client), child, deadline)
        require_own(client, child.pid)
        return str(client.server_info()["version"])


def initiate(client: MongoClient[Document], port: int) -> None:
    """Make the set of one member. Nothing happens if it is made already."""
    members = [{"_id": 0, "host": f"{HOST}:{port}"}]
    try:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise


def make_user(client: MongoClient[Document], password: str) -> None:
    """Through the localhost exception, which allows nothing else and which this closes."""
    client.admin.command("createUser", _USER, pwd=password, roles=["root"])


def require_own(client: MongoClient[Document], pid: int) -> None:
    """StartupFailure unless the server that answers is process `pid`: a copy of the folder has the same password."""
    if client.admin.command("serverStatus")["pid"] != pid:
        raise StartupFailure("another MongoDB answers on the embedded server's port: stop it, then start again")


def _is_primary(client: MongoClient[Document]) -> bool:
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _reconfigured(client: MongoClient[Document], port: int) -> bool:
    """Always False: the set has to choose again. After a change of port the server finds itself in no set (93).

    Before it says so it asks whoever has the old port: one that takes connections and stays silent costs 30 s.
    """
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _REMOVED_FROM_ITS_SET:
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            config["members"][0]["host"] = f"{HOST}:{port}"
            client.admin.command("replSetReconfig", config, force=True)
    return False


def _client(port: int, password: str | None = None) -> MongoClient[Document]:
    user: dict[str, Any] = {}
    if password is not None:
        user = {"username": _USER, "password": password, "authSource": "admin"}
    return MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000, **user)


def _until(holds: Callable[[], bool], child: subprocess.Popen[bytes], deadline: float) -> None:
    while not _answers(holds):
        if child.poll() is not None:
            raise _Ended
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_STEP)


def _answers(holds: Callable[[], bool]) -> bool:
    # An election and a reconfiguration close connections: that says "not yet", not "broken".
    with suppress(AutoReconnect):
        return holds()
    return False


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(_STEP)
    return held


# -- the server of a gateway


class EmbeddedServer:
    """A running server; made by `start_embedded`. Its methods are for the main thread.

    Whoever lives as long as the gateway looks after it, about every 0.5 s: an asyncio task of the process that serves,
    or, with several workers, their parent between its waits. One look is

        if not server.is_running():     # /ready says 503; clients reconnect by themselves, the address stays
            server.revive()             # StartupFailure: it keeps crashing; end the gateway
        server.trim_log()

    `uri` holds the password: it is in no repr, and belongs in no log.
    """

    def __init__(self, folder: Folder, mongod: Path, lock: Lock) -> None:
        self.folder: Final = folder.path
        self.version = ""
        self.uri = ""
        self._layout: Final = folder
        self._mongod: Final = mongod
        self._lock: Final = lock
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._ready = False
        self._stopped = False
        self._counted = 0  # the pid whose crash was counted last
        self._crashes: list[float] = []  # times of `time.monotonic()`

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.version} in {self.folder}, pid {self.pid}>"

    @property
    def pid(self) -> int:
        """The pid of the process started last."""
        return self._child.pid if self._child else 0

    def is_running(self) -> bool:
        """Whether the process lives and was brought to where it takes writes."""
        return self._ready and self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """SIGTERM, ten seconds, then SIGKILL; another gateway may use the folder afterwards. Twice is fine."""
        self._stopped = True
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(_STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._lock.release()

    def revive(self) -> bool:
        """Start a crashed server again on the same port. True if it runs, False if this has to be called again.

        Returns after some 2 s at most (0.4 s as a rule, at once while a back-off lasts). StartupFailure with the log's
        last words after five crashes within a minute, and if another server answers.
        """
        if self._stopped or self.is_running():
            return not self._stopped
        _require_main_thread()
        if self._child is None or self._child.poll() is not None:
            if not self._may_spawn():
                return False
            self._child = spawn(self._mongod, self._layout, self._port)
        try:
            return self._settle(_REVIVE_PATIENCE)
        except PyMongoError as error:
            _LOG.warning("the embedded server is not ready yet: %s", type(error).__name__)
            return False

    def trim_log(self) -> None:
        """Keep the log below 16 MiB and one older file, while the server writes on. On Windows at starts only."""
        if sys.platform != "win32" and self.is_running() and self._layout.log.stat().st_size > _LOG_BYTES:
            self._layout.set_log_aside()
            os.kill(self.pid, signal.SIGUSR1)

    def start(self) -> None:
        """The first start of this process: on the remembered port if it is free, else on another one."""
        for attempt in range(_PORTS_TRIED):
            begin_again_unless_done(self._layout)
            self._port = _choose_port(self._layout, use_remembered=attempt == 0)
            self._child = spawn(self._mongod, self._layout, self._port)
            if self._settle(_START_PATIENCE):
                return
            code = self._child.poll()
            if code is None:
                raise StartupFailure(f"the embedded server was not ready in time{last_words(self._layout.log)}")
            if code != PORT_TAKEN:
                raise StartupFailure(why_it_stopped(code, self._layout.log))
        raise StartupFailure(f"the embedded server found no free port on {HOST}")

    def _settle(self, patience: float) -> bool:
        """False if time passed or the process ended before it was ready."""
        assert self._child is not None  # noqa: S101  # for the type checker: it was spawned just before
        self._ready = False
        try:
            self.version = settle(self._layout, self._child, self._port, time.monotonic() + patience)
        except (TimeoutError, _Ended):
            return False
        except AutoReconnect:
            if self._child.poll() is None:
                raise
            return False
        self.uri = _address(self._layout, self._port)
        self._ready = True
        return True

    def _may_spawn(self) -> bool:
        """Count the crash if it is a new one; False while its back-off lasts. StartupFailure if it is one too many."""
        now = time.monotonic()
        if self._counted != self.pid:
            self._counted = self.pid
            self._crashes = [*(at for at in self._crashes if now - at < _CRASH_WINDOW), now]
            _LOG.error("%s", self._why())
        if len(self._crashes) >= _CRASHES:
            raise StartupFailure(f"{_CRASHES} crashes within a minute are too many: {self._why()}")
        return now >= self._crashes[-1] + (2.0 ** (len(self._crashes) - 1) - 1) * _BACK_OFF

    def _why(self) -> str:
        code = self._child.poll() if self._child else None
        return why_it_stopped(code if code is not None else 0, self._layout.log)


def start_embedded(folder: Path, mongod: Path) -> EmbeddedServer:
    """The server on this folder, ready for writes. Blocks (0.4 s as a rule); on the main thread only.

    `mongod` from `find_mongod`. StartupFailure, with the log's last words, if it can't start, if another gateway uses
    the folder, or if its files were damaged.
    """
    _require_main_thread()
    layout = prepare(folder)
    server = EmbeddedServer(layout, mongod, _take_lock(layout))
    try:
        _end_leftover(layout)
        secure(layout)
        server.start()
    except BaseException as error:
        server.stop()
        if isinstance(error, OSError):
            raise StartupFailure(f"the embedded server's folder {folder} can't be used: {error.strerror}") from error
        if isinstance(error, PyMongoError):
            raise StartupFailure(_refused(layout, error)) from error
        raise
    return server


def running_uri(folder: Path) -> str | None:
    """The address, with its password, of the server that a running gateway owns on this folder; None if none does."""
    layout = Folder(folder.absolute())
    try:
        port, pid = int(layout.port.read_text()), layout.server_pid()
        if pid is None or not _is_locked(layout) or not (sys.platform == "win32" or is_server_of(pid, layout)):
            return None
        with _client(port, layout.password.read_text().strip()) as client:
            require_own(client, pid)
    except (OSError, ValueError, PyMongoError, StartupFailure):
        return None
    return _address(layout, port)


def _address(folder: Folder, port: int) -> str:
    password = folder.password.read_text().strip()
    return f"mongodb://{_USER}:{password}@{HOST}:{port}/?directConnection=true&authSource=admin"


def _refused(folder: Folder, error: PyMongoError) -> str:
    if getattr(error, "code", None) == _AUTHENTICATION_FAILED:
        return f"{folder.password} is not the password of {folder.data}: bring it back, or remove both to begin again"
    return f"the embedded server could not be made ready ({type(error).__name__}){last_words(folder.log)}"


def _require_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the embedded server dies with the thread that starts it: start it on the main thread")


def _choose_port(folder: Folder, *, use_remembered: bool) -> int:
    """The port of the last run if nobody listens there, else a free one; remembered before the server is given it."""
    with suppress(OSError, ValueError, OverflowError):
        remembered = int(folder.port.read_text())
        if use_remembered and _bound(remembered):
            return remembered
    port = _bound(0)
    write_whole(folder.port, str(port))
    return port


def _bound(port: int) -> int:
    """The port that was free just now; 0 asks for any. OSError if it is taken."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there, this option would share a port that is taken
            # Connections of the last run may linger on the port; they don't keep mongod from it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return int(probe.getsockname()[1])


def _end_leftover(folder: Folder) -> None:
    """Wait for the server of a gateway that was killed; end it where no parent-death signal does."""
    pid = folder.server_pid()
    if pid is None or sys.platform == "win32":
        return
    if _within(_LOCK_PATIENCE, lambda: not is_server_of(pid, folder)):
        return
    for sent, patience in ((signal.SIGTERM, _STOP_PATIENCE), (signal.SIGKILL, _LOCK_PATIENCE)):
        with suppress(ProcessLookupError):
            os.kill(pid, sent)
        if _within(patience, lambda: not is_server_of(pid, folder)):
            return
