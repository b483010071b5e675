"""The files of the configuration, watched: a reload for each change, and for each SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from watchfiles import awatch

from permission_mongo.reloading import Reloading, Source

_LOG: Final = logging.getLogger("permission_mongo.reload")
# Milliseconds. Most changes the system tells of; of some, as on a network's file system, it does not.
_LOOK_EVERY: Final = 1000
_GATHERED: Final = 50


@asynccontextmanager
async def watched(source: Source, reloading: Reloading) -> AsyncIterator[None]:
    """Meanwhile what the files say comes into force."""
    hung_up = asyncio.Event()
    tasks = [asyncio.create_task(_watch(source, reloading)), asyncio.create_task(_obey(hung_up, reloading))]
    listens = _hear(hung_up)
    try:
        yield
    finally:
        if listens:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _hear(hung_up: asyncio.Event) -> bool:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        return False
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up.set)
    return True


async def _obey(hung_up: asyncio.Event, reloading: Reloading) -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await reloading.reload(again=True)


async def _watch(source: Source, reloading: Reloading) -> None:
    """Also what was refused for reasons outside the files is tried again here."""
    stamp = None
    async with aclosing(_looks(source)) as looks:
        async for _ in looks:
            found = source.stamp()
            if found != stamp or reloading.waits:
                stamp = found
                await reloading.reload()


async def _looks(source: Source) -> AsyncGenerator[None, None]:
    """When to look: at each change that the system tells of, and each second."""
    try:
        changes = awatch(
            source.folder,
            watch_filter=None,
            debounce=_GATHERED * 4,
            step=_GATHERED,
            rust_timeout=_LOOK_EVERY,
            yield_on_timeout=True,
            recursive=False,
        )
        async for _ in changes:
            yield
    except (OSError, RuntimeError) as error:
        _LOG.warning("changes of the configuration are looked for once a second: %s", error)
    while True:
        await asyncio.sleep(_LOOK_EVERY / 1000)
        yield
