"""Batches of a thousand against what PyMongo's synchronous client needs for as many documents by itself.

Each floor waits for a majority where it writes. Documents are fresh for each round that writes them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import orjson
from bson.objectid import ObjectId
from pymongo import UpdateOne

from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.rows import Row, paired
from benchmarks.samples import MAKERS, SMALL, sent_document
from benchmarks.world import Extent, World, insert, tell

_BATCH: Final = 1000
_DATES: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
Milliseconds = float


async def in_turn(
    name: str,
    rounds: int,
    floor: Callable[[], Awaitable[Milliseconds]],
    ours: Callable[[], Awaitable[Milliseconds]],
) -> tuple[list[float], list[float]]:
    """The times of ours and of the floor, round by round, in turn which comes first; one round for warming up."""
    times: tuple[list[float], list[float]] = ([], [])
    for done in range(-1, rounds):
        for n, one in ((0, ours), (1, floor)) if done % 2 else ((1, floor), (0, ours)):
            times[n].append(await one())
        if done < 0:
            for kept in times:
                kept.clear()
            continue
        tell(name, done, rounds, times[1][-1], times[0][-1], "ms")
    return times


async def asked(load: Load, request: bytes, is_whole: Callable[[Any], bool]) -> Milliseconds:
    """Of one request. Unexpected for an answer that does not say that all was done."""
    started = perf_counter()
    status, answer = await load.ask(request)
    took = (perf_counter() - started) * 1000
    if status not in (200, 201) or not is_whole(orjson.loads(answer)):
        raise Unexpected(f"{status}: {answer[:200].decode(errors='replace')}")
    return took


def _row(name: str, what: str, must: float, times: tuple[list[float], list[float]]) -> Row:
    return Row(name, what, "ms", *paired(*times), must=must, less_is_better=True)


async def created(world: World, extent: Extent, name: str) -> Row:
    """Sent as JSON and stored with an audit entry and the batch's part; the floor inserts documents that are ready."""
    body = orjson.dumps({"documents": [sent_document() for _ in range(_BATCH)]})
    request = request_bytes("POST", f"/{SMALL}/batch", world.token, body)
    async with connected(world.gateway.port, 1, []) as load:

        async def ours() -> Milliseconds:
            return await asked(load, request, lambda answer: len(answer["created"]) == _BATCH)

        async def floor() -> Milliseconds:
            documents = [MAKERS[SMALL](n) for n in range(_BATCH)]
            started = perf_counter()
            world.database[SMALL].insert_many(documents)
            return (perf_counter() - started) * 1000

        times = await in_turn(name, extent.delete_rounds, floor, ours)
    return _row(name, f"batch create of {_BATCH:,}, 300 B, with audit", 1.5, times)


async def gotten(world: World, extent: Extent, name: str) -> Row:
    """Every row through the rules and a mask; the floor finds by `$in`, decodes and writes JSON."""
    ids = insert(world.database, SMALL, _BATCH)
    request = request_bytes(
        "POST", f"/{SMALL}/batch/get", world.token, orjson.dumps({"ids": [str(one) for one in ids]})
    )
    async with connected(world.gateway.port, 1, []) as load:

        async def ours() -> Milliseconds:
            return await asked(load, request, lambda answer: len(answer["documents"]) == _BATCH)

        async def floor() -> Milliseconds:
            started = perf_counter()
            rows = world.database[SMALL].find({"_id": {"$in": ids}}, batch_size=_BATCH + 1).to_list()
            found = orjson.dumps(rows, default=str, option=_DATES)
            took = (perf_counter() - started) * 1000
            if len(rows) != _BATCH or not found:
                raise Unexpected(f"the floor found {len(rows)} of {_BATCH}")
            return took

        times = await in_turn(name, extent.delete_rounds, floor, ours)
    return _row(name, f"batch get of {_BATCH:,}, 300 B", 2.5, times)


async def updated(world: World, extent: Extent, name: str) -> Row:
    """A different change of each, with a version of each and an audit entry; the floor is one `bulk_write`."""
    async with connected(world.gateway.port, 1, []) as load:

        async def ours() -> Milliseconds:
            ids = insert(world.database, SMALL, _BATCH)
            changes = [{"id": str(one), "update": {"amount": n + 0.25}} for n, one in enumerate(ids)]
            request = request_bytes("PUT", f"/{SMALL}/batch", world.token, orjson.dumps({"updates": changes}))
            return await asked(load, request, lambda answer: answer["modified"] == _BATCH)

        async def floor() -> Milliseconds:
            return _bulk(world, insert(world.database, SMALL, _BATCH))

        times = await in_turn(name, extent.delete_rounds, floor, ours)
    return _row(name, f"versioned update of {_BATCH:,}, each another, 300 B", 2.0, times)


def _bulk(world: World, ids: list[ObjectId]) -> Milliseconds:
    changes = [UpdateOne({"_id": one}, {"$set": {"amount": n + 0.25}}) for n, one in enumerate(ids)]
    started = perf_counter()
    done = world.database[SMALL].bulk_write(changes, ordered=False).modified_count
    took = (perf_counter() - started) * 1000
    if done != len(ids):
        raise Unexpected(f"the floor changed {done} of {len(ids)}")
    return took
