"""A versioned delete by a filter, chunk after chunk: how fast, in how much memory, and what it costs other callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

import orjson

from benchmarks.batches import Milliseconds, asked, in_turn
from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.rows import Row, paired, spread
from benchmarks.samples import SMALL, caller_token, small_document
from benchmarks.world import Extent, World, insert, tell

_BATCH: Final = 1000
_STATUS: Final = "leaving"
_PART: Final = 10_000
_BETWEEN: Final = 0.02  # seconds between two looks at the memory
_QUIET: Final = 2000  # requests


def _many(extent: Extent) -> int:
    """100,000 in a full run."""
    return extent.documents // 10


def _fill(world: World, count: int) -> None:
    for start in range(0, count, _PART):
        numbers = range(start, min(start + _PART, count))
        world.database[SMALL].insert_many([{**small_document(n), "status": _STATUS} for n in numbers], ordered=False)


async def _delete_all(world: World, count: int) -> Milliseconds:
    body = orjson.dumps({"filter": {"status": _STATUS}})
    request = request_bytes("DELETE", f"/{SMALL}/batch", world.token, body)
    return await _deleted(world, request, count)


async def _deleted(world: World, request: bytes, count: int) -> Milliseconds:
    """On a connection of its own: one kept while the documents are made would be closed for its silence."""
    async with connected(world.gateway.port, 1, []) as load:
        return await asked(load, request, lambda answer: answer["deleted"] == count)


def _what(count: int) -> str:
    return f"versioned delete of {count:,} by a filter"


async def deleted(world: World, extent: Extent, name: str) -> Row:
    """Milliseconds a thousand, against a versioned delete of a thousand by their ids."""
    count = _many(extent)

    async def ours() -> Milliseconds:
        _fill(world, count)
        return await _delete_all(world, count) * _BATCH / count

    async def by_ids() -> Milliseconds:
        ids = insert(world.database, SMALL, _BATCH)
        body = orjson.dumps({"ids": [str(one) for one in ids]})
        return await _deleted(world, request_bytes("DELETE", f"/{SMALL}/batch", world.token, body), _BATCH)

    times = await in_turn(name, min(extent.rounds, 3), by_ids, ours)
    what = f"{_what(count)}, a thousand, against {_BATCH:,} by ids"
    return Row(name, what, "ms", *paired(*times), must=1.5, less_is_better=True)


async def memory(world: World, extent: Extent, name: str) -> Row:
    """The most that is resident while it runs, above what was before."""
    count = _many(extent)
    grown: list[float] = []
    for _ in range(min(extent.rounds, 2)):
        _fill(world, count)
        most = before = world.gateway.resident_megabytes()
        deletion = asyncio.create_task(_delete_all(world, count))
        while not deletion.done():
            most = max(most, world.gateway.resident_megabytes())
            await asyncio.sleep(_BETWEEN)
        await deletion
        grown.append(most - before)
    return Row(name, f"{_what(count)}: growth of RSS", "MB", spread(grown), must=60.0, less_is_better=True)


async def others(world: World, extent: Extent, name: str) -> Row:
    """The 99th percentile of another caller's GETs, one after the other, beside it and with nothing beside them."""
    count = _many(extent)
    quiet: list[float] = []
    beside: list[float] = []
    for done in range(min(extent.rounds, 3)):
        _fill(world, count)
        times: list[float] = []
        async with _reader(world) as reader:
            quiet.append(_percentile([await reader.one() for _ in range(min(extent.requests, _QUIET))]))
            deletion = asyncio.create_task(_delete_all(world, count))
            while not deletion.done():
                times.append(await reader.one())
        await deletion
        beside.append(_percentile(times))
        tell(name, done, min(extent.rounds, 3), quiet[-1], beside[-1], "ms")
    what = f"p99 of GETs beside a {_what(count)}, against none"
    return Row(name, what, "ms", *paired(beside, quiet), must=3.0, less_is_better=True)


class _Reader:
    """Another caller, on a connection of its own."""

    def __init__(self, load: Load, requests: list[bytes]) -> None:
        self._load = load
        self._requests = requests
        self._asked = 0

    async def one(self) -> Milliseconds:
        self._asked += 1
        started = perf_counter()
        status, body = await self._load.ask(self._requests[self._asked % len(self._requests)])
        took = (perf_counter() - started) * 1000
        if status != 200:
            raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
        return took


@asynccontextmanager
async def _reader(world: World) -> AsyncIterator[_Reader]:
    token = caller_token(1)
    requests = [request_bytes("GET", f"/{SMALL}/{one}", token) for one in world.ids[SMALL]]
    async with connected(world.gateway.port, 1, []) as load:
        yield _Reader(load, requests)


def _percentile(times: list[float]) -> Milliseconds:
    return sorted(times)[int(len(times) * 0.99)]
