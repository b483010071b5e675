"""Batches of a thousand: the same body to the floor and to the gateway, or one alike with fresh documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import orjson

from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.rows import Row, paired
from benchmarks.samples import SMALL, sent_document
from benchmarks.world import Extent, World, insert, tell

_BATCH: Final = 1000
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


async def _both(
    world: World, extent: Extent, name: str, body_of: Callable[[], tuple[str, str, bytes]], done: str
) -> tuple[list[float], list[float]]:
    """`body_of` makes a request's method, path and body; `done` names what the answer lists or counts."""

    def is_whole(answer: Any) -> bool:
        found = answer[done]
        return (found if isinstance(found, int) else len(found)) == _BATCH

    async with connected(world.gateway.port, 1, []) as ours, connected(world.floor.port, 1, []) as floor:

        def ask(load: Load) -> Awaitable[Milliseconds]:
            method, path, body = body_of()
            return asked(load, request_bytes(method, path, world.token, body), is_whole)

        return await in_turn(name, extent.batch_rounds, lambda: ask(floor), lambda: ask(ours))


async def created(world: World, extent: Extent, name: str) -> Row:
    body = orjson.dumps({"documents": [sent_document() for _ in range(_BATCH)]})
    times = await _both(world, extent, name, lambda: ("POST", f"/{SMALL}/batch", body), "created")
    return _row(name, f"batch create of {_BATCH:,}, 300 B, with audit", 1.3, times)


async def gotten(world: World, extent: Extent, name: str) -> Row:
    ids = insert(world.database, SMALL, _BATCH)
    body = orjson.dumps({"ids": [str(one) for one in ids]})
    times = await _both(world, extent, name, lambda: ("POST", f"/{SMALL}/batch/get", body), "documents")
    return _row(name, f"batch get of {_BATCH:,}, 300 B", 2.0, times)


async def updated(world: World, extent: Extent, name: str) -> Row:
    """Each document is changed in another way; the gateway keeps a version of each."""

    def fresh() -> tuple[str, str, bytes]:
        ids = insert(world.database, SMALL, _BATCH)
        changes = [{"id": str(one), "update": {"amount": n + 0.25}} for n, one in enumerate(ids)]
        return "PUT", f"/{SMALL}/batch", orjson.dumps({"updates": changes})

    times = await _both(world, extent, name, fresh, "modified")
    return _row(name, f"versioned update of {_BATCH:,}, each another, 300 B, with audit", 1.5, times)
