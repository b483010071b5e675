"""The measured processes: started, asked for their CPU time and memory, ended. Linux only: it reads /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).parent.parent
_PATIENCE: Final = 15.0  # seconds
_TO_SETTLE: Final = 1.0  # seconds without work


@dataclass(frozen=True, slots=True)
class Served:
    """A server process, those it started, and where they listen."""

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, in steps of 10 ms as a rule; its workers' included."""
        return sum(_cpu_seconds(one) for one in (self.pid, *_below(self.pid)))

    def resident_megabytes(self) -> float:
        """`VmRSS`: what is in memory, pages shared with other processes included. 1 MB is 10^6 bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kilobytes) * 1024 / 1e6


def _stat(pid: int) -> list[str]:
    """What /proc tells of a process, from its state on; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _below(pid: int) -> list[int]:
    """The processes that this one started, and theirs."""
    parents: dict[int, list[int]] = {}
    for one in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(one.name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(one.name))
    found, left = list[int](), [pid]
    while left:
        begun = parents.get(left.pop(), [])
        found += begun
        left += begun
    return found


@contextmanager
def served(name: str, arguments: list[str], uri: str, folder: Path) -> Iterator[Served]:
    """`python -m` these arguments, until the block ends. RuntimeError with its last words if it does not start."""
    errors = folder / f"{name}.log"
    with _running([sys.executable, "-m", *arguments], {"MONGODB_URI": uri}, errors, _ROOT) as child:
        yield Served(name, child.pid, _port_of(child, name, errors))


@contextmanager
def answering(
    name: str, command: Sequence[str], port: int, added: Mapping[str, str], folder: Path, patience: float
) -> Iterator[Served]:
    """A program that says nothing of where it listens: ready as soon as somebody answers at its port."""
    errors = folder / f"{name}.log"
    with _running(command, added, errors, folder) as child:
        ends = time.monotonic() + patience
        while not _is_open(port):
            if child.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{name} did not start:\n{errors.read_text()[-2000:]}")
            time.sleep(0.1)
        yield Served(name, child.pid, port)


@contextmanager
def _running(
    command: Sequence[str], added: Mapping[str, str], errors: Path, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with errors.open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, env={**os.environ, **added}, stdout=subprocess.PIPE, stderr=log)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def settle(server: Served, workers: int) -> None:
    """Wait until all workers are there and at rest: one that comes late would find all connections taken."""
    before, quiet, ends = server.cpu_seconds(), 0.0, time.monotonic() + 2 * _PATIENCE
    while (len(_below(server.pid)) < workers or quiet < _TO_SETTLE) and time.monotonic() < ends:
        time.sleep(0.25)
        now = server.cpu_seconds()
        quiet, before = (quiet + 0.25 if now - before <= 1 / _TICKS else 0.0), now


def _port_of(child: subprocess.Popen[bytes], name: str, errors: Path) -> int:
    for line in child.stdout or ():
        words = line.decode().split()
        if words[:1] == ["at"]:
            return int(words[1].rpartition(":")[2])
    raise RuntimeError(f"{name} did not start:\n{errors.read_text()[-2000:]}")
