"""A changed configuration, taken while requests run: built beside the one in force, then one reference is swapped.

What is wrong with it is told in the log and leaves the one in force where it is.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from permission_mongo.assembly import Lasting
from permission_mongo.config.load import digest_of, files_of
from permission_mongo.config.model import Config
from permission_mongo.config.taken import taken, waiting
from permission_mongo.errors import Misconfigured, Refusal, StartupFailure
from permission_mongo.gateway import Gateway
from permission_mongo.observations import ConfigRefused, ConfigTaken

_LOG: Final = logging.getLogger("permission_mongo.reload")
_SETTLED: Final = 0.1  # seconds for which the files must stay as they are: an editor may be in the middle of one
_SWITCH: Final = 0.0002  # seconds after which the building lets a request go on
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The folder of the configuration and how it is read. `load` raises Misconfigured, or StartupFailure."""

    folder: Path
    load: Callable[[], Config]

    def stamp(self) -> Stamp:
        """Another one whenever a file was changed, made, replaced or removed."""
        return tuple(_stamp(file) for file in files_of(self.folder))


class Reloading:
    """The one place that swaps. One reload at a time; what comes meanwhile is looked at behind it."""

    def __init__(self, gateway: Gateway, lasting: Lasting, source: Source) -> None:
        self._opened = gateway
        self._lasting = lasting
        self._source = source
        self._read = gateway.config
        self._tried: str | None = gateway.config.digest
        self._told: tuple[str, str | None] | None = None
        self._turn = asyncio.Lock()

    @property
    def waits(self) -> bool:
        """Whether the files were not taken for reasons that can pass."""
        return self._tried is None

    async def reload(self, *, again: bool = False) -> bool:
        """Whether what the files say is in force now. `again`: also where they say what was tried before."""
        async with self._turn:
            self._told = None if again else self._told
            try:
                read = await asyncio.to_thread(_settled, self._source, None if again else self._tried)
                if read is not None:
                    await self._take(read)
            except _Untaken as untaken:
                self._refuse(untaken)
            except Exception as error:
                self._refuse(_Untaken(f"something went wrong here: {type(error).__name__}", None))
            return not self._opened.in_force.standing.is_stale

    async def _take(self, read: Config) -> None:
        gateway = self._opened.current
        config = taken(gateway.config, read)
        if read.digest != gateway.config.digest or self._tried == read.digest:
            try:
                successor = await self._lasting.successor(gateway, config)
            except (StartupFailure, Refusal) as error:
                # It may be of the database, and pass: the same files are tried again.
                raise _Untaken(str(error), None) from error
            successor.put_in_force()
        self._tell(read, config)

    def _tell(self, read: Config, config: Config) -> None:
        for warning in read.warnings:
            _LOG.warning("%s", warning)
        for key in waiting(self._read, read):
            _LOG.warning("%s was changed and needs a restart; until then it stays as it was", key)
        self._read, self._tried, self._told = read, read.digest, None
        self._opened.in_force.standing.tell(read.digest, refused=False)
        self._opened.observe(ConfigTaken(config.policy_digest, reloaded=True))
        _LOG.info("the configuration was reloaded: policy %s", config.policy_digest)

    def _refuse(self, untaken: _Untaken) -> None:
        self._tried = untaken.digest
        self._opened.in_force.standing.tell(self._opened.current.config.digest, refused=True)
        why = str(untaken), untaken.digest
        if why != self._told:  # what is tried again and again is told once
            self._told = why
            self._opened.observe(ConfigRefused())
            _LOG.error("the configuration was not reloaded, and the one in force stays: %s", untaken)


class _Untaken(Exception):
    """Why the files were not taken; `digest` is theirs where they alone are why."""

    def __init__(self, why: str, digest: str | None) -> None:
        super().__init__(why)
        self.digest = digest


def _settled(source: Source, tried: str | None) -> Config | None:
    """What the files say once they stay as they are; None if that was `tried`. In a thread of its own."""
    digest = _digest(source)
    while True:
        time.sleep(_SETTLED)
        before, digest = digest, _digest(source)
        if digest != before:
            continue
        if digest == tried:
            return None
        found = _loaded(source, digest)
        if found is not None:
            return found


def _digest(source: Source) -> str:
    try:
        return digest_of(source.folder)
    except OSError as error:
        raise _Untaken(f"{error.filename or source.folder}: {error.strerror}", None) from error


def _loaded(source: Source, digest: str) -> Config | None:
    """None where the files were changed while they were read: half of one is no mistake, and no policy."""
    try:
        with _in_the_background():
            config = source.load()
    except (Misconfigured, StartupFailure, OSError) as error:
        if _digest(source) != digest:
            return None
        raise _Untaken(str(error), digest) from error
    return config if config.digest == digest == _digest(source) else None


@contextmanager
def _in_the_background() -> Iterator[None]:
    """Requests get their turn at once, and no collection looks at thousands of new rules while they are made."""
    interval, collects = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(_SWITCH)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if collects:
            gc.enable()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
