"""What callers send as files of a policy, looked at in a process of its own, which is ended where it takes too long.

A schema may hold any regular expression, and matching one can take for ever without letting another thread run: in this
process that would be the end of every answer. The process is handed nothing of the environment but how to find Python.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, Final

from permission_mongo.errors import DeadlineExceeded, InvalidRequest
from permission_mongo.policy_files import changes_of, findings_of, findings_told, results_of
from permission_mongo.values import write_json

resource: ModuleType | None
try:
    import resource
except ImportError:  # not a Unix
    resource = None

Texts = Mapping[str, str]
LONGEST: Final = 20  # seconds, with the wait for others before
_MEMORY: Final = 2 * 2**30  # bytes
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
_ONE: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy-apart")
_TOO_LONG: Final = "the files take long to check; use `permission-mongo check`"


async def findings_apart(texts: Texts) -> dict[str, Any]:
    return await _apart({"texts": dict(texts), "work": "findings"})


async def results_apart(texts: Texts) -> dict[str, Any]:
    """InvalidRequest for mistakes."""
    return await _apart({"texts": dict(texts), "work": "results"})


async def changes_apart(loaded: Texts, texts: Texts, beside: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """InvalidRequest for mistakes, and for roles that neither knows."""
    return await _apart({"loaded": dict(loaded), "texts": dict(texts), "beside": list(beside), "work": "changes"})


async def _apart(asked: dict[str, Any]) -> dict[str, Any]:
    """One after the other. DeadlineExceeded where it and those before take too long, or it is more than fits."""
    child, loop = _Child(write_json(asked)), asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LONGEST):
            told = await loop.run_in_executor(_ONE, child.answer)
    except TimeoutError as error:
        raise DeadlineExceeded(_TOO_LONG) from error
    finally:
        child.end()
    if told is None:
        raise DeadlineExceeded(_TOO_LONG)
    if "refused" in told:
        raise InvalidRequest(told["refused"], **told["details"])
    done: dict[str, Any] = told["done"]
    return done


class _Child:
    """A process that is begun at most once, and not after its end."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def answer(self) -> dict[str, Any] | None:
        """None where it ended without one. Blocks."""
        with self._lock:
            if self._is_over:
                return None
            command = [sys.executable, "-P", "-m", "permission_mongo.apart"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(  # noqa: S603  # this very Python, no shell
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=_environment()
            )
        written, _ = self._process.communicate(self._asked)
        found: dict[str, Any] | None = json.loads(written) if self._process.returncode == 0 else None
        return found

    def end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()


def _environment() -> dict[str, str]:
    """The places of packages are this process's own, in whatever way it was begun."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(one or os.getcwd() for one in sys.path)}


# -- in the other process


def _answered(asked: Mapping[str, Any]) -> dict[str, Any]:
    texts = asked["texts"]
    match asked["work"]:
        case "findings":
            found = findings_of(texts)
            return {"findings": findings_told(found), "fine": all(one.warning for one in found)}
        case "results":
            return results_of(texts)
        case _:
            return changes_of(asked["loaded"], texts, [tuple(one) for one in asked["beside"]])


def _answer_here() -> None:
    if resource is not None:
        # Where who asked was killed, nobody else ends it.
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        told: dict[str, Any] = {"done": _answered(json.loads(sys.stdin.buffer.read()))}
    except InvalidRequest as refusal:
        told = {"refused": refusal.message, "details": refusal.details}
    sys.stdout.buffer.write(write_json(told))


if __name__ == "__main__":
    _answer_here()
