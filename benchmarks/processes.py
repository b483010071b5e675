"""The measured processes: started, asked for their CPU time and memory, ended. Linux only: it reads /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).parent.parent
_PATIENCE: Final = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Served:
    """A server process and where it listens."""

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, in steps of 10 ms as a rule."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_megabytes(self) -> float:
        """`VmRSS`: what is in memory, pages shared with other processes included. 1 MB is 10^6 bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kilobytes) * 1024 / 1e6


@contextmanager
def served(name: str, arguments: list[str], uri: str, folder: Path) -> Iterator[Served]:
    """`python -m` these arguments, until the block ends. RuntimeError with its last words if it does not start."""
    errors = folder / f"{name}.log"
    with errors.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=_ROOT,
            env={**os.environ, "MONGODB_URI": uri},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        yield Served(name, child.pid, _port_of(child, name, errors))
    finally:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _port_of(child: subprocess.Popen[bytes], name: str, errors: Path) -> int:
    for line in child.stdout or ():
        words = line.decode().split()
        if words[:1] == ["at"]:
            return int(words[1].rpartition(":")[2])
    raise RuntimeError(f"{name} did not start:\n{errors.read_text()[-2000:]}")
