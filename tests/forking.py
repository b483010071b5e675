"""Gateway processes that are forked from one which has everything imported: to import it takes most of a second each.

What such a process runs is what `python -m MODULE` runs, in a folder and surroundings of its own. The command itself,
from its very beginning, is what tests/test_serve.py, tests/test_example.py and the examples start.
"""

from __future__ import annotations

import array
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

from permission_mongo.storage.mongod import _die_with_parent

ROOT = Path(__file__).parents[1]
_MESSAGE = 2**17  # bytes
_LOOK = 0.01  # seconds
_LOCK = threading.Lock()
_FOREMEN: list[tuple[subprocess.Popen, socket.socket]] = []
_EAGER = ("permission_mongo.cli.main", "permission_mongo.api.server", "uvloop", "httptools")


class Forked:
    """Used like `subprocess.Popen`: `stdout` is a file, or PIPE for text to be read; `stderr` is a file."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO | int,
        stderr: IO,
    ) -> None:
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        out = stdout
        if stdout == subprocess.PIPE:
            reading, out = os.pipe()
            self.stdout = os.fdopen(reading)
        asked = {"module": module, "arguments": [*arguments], "cwd": str(cwd), "env": {**env}}
        try:
            told = _ask(asked, [out if isinstance(out, int) else out.fileno(), stderr.fileno()])
        finally:
            if isinstance(out, int):
                os.close(out)
        assert told is not None
        self.pid = told

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (ended := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(_LOOK)
        return ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *error: object) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()


def _ask(asked: dict, files: Sequence[int] = ()) -> int | None:
    with _LOCK:
        _, line = _FOREMEN[0] if _FOREMEN else _foreman()
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        line.sendmsg([json.dumps(asked).encode()], passed)
        told = line.recv(_MESSAGE)
    assert told, "the process that forks others has ended"
    return json.loads(told)


def _foreman() -> tuple[subprocess.Popen, socket.socket]:
    """Begun by who needs it first, for as long as the tests run: it ends when its line is closed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-m", "tests.forking", str(its.fileno())]
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()])
    _FOREMEN.append((child, ours))
    return _FOREMEN[0]


def _serve(line: socket.socket) -> None:
    """Fork for each who asks; returns in the process that was forked, with what it is to run."""
    for name in _EAGER:
        import_module(name)
    while True:
        message, files, *_ = socket.recv_fds(line, _MESSAGE, 2)
        if not message:
            os._exit(0)
        asked = json.loads(message)
        if "ended" in asked:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            line.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        arm = _die_with_parent()
        pid = os.fork()
        if pid == 0:
            if arm is not None:
                arm()
            line.close()
            _become(asked, files)
            return
        for one in files:
            os.close(one)
        line.send(json.dumps(pid).encode())


def _become(asked: dict, files: Sequence[int]) -> None:
    for number, one in enumerate(files, 1):
        os.dup2(one, number)
        os.close(one)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.path[0] = asked["cwd"]
    sys.argv[:] = [sys.argv[0], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
