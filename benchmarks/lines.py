"""What is measured: each line interleaves the floor and the gateway, round by round, in turn which comes first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Final

import orjson
from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.processes import Served
from benchmarks.rows import Row, paired, spread
from benchmarks.samples import LARGE, MAKERS, SMALL

_READABLE: Final = 1000  # documents of each collection that reads go round
_BATCH: Final = 1000
_WARM_UP: Final = 0.5  # of a round


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a run takes: rounds of each line, and what a round of reads may take at most."""

    rounds: int
    seconds: float
    requests: int

    @property
    def delete_rounds(self) -> int:
        return self.rounds + 2 if self.rounds > 1 else 1


@dataclass(frozen=True, slots=True)
class World:
    """The two servers on one database, which the benchmarks reach directly too."""

    gateway: Served
    floor: Served
    database: Database[dict[str, Any]]
    token: str
    ids: Mapping[str, list[ObjectId]]


Line = Callable[[World, Extent], Coroutine[Any, Any, Row]]


def fill(database: Database[dict[str, Any]]) -> dict[str, list[ObjectId]]:
    """Store what reads go round; the ids by collection."""
    return {name: _insert(database, name, _READABLE) for name in MAKERS}


def _insert(database: Database[dict[str, Any]], name: str, count: int) -> list[ObjectId]:
    return list(database[name].insert_many([MAKERS[name](n) for n in range(count)]).inserted_ids)


def _tell(name: str, done: int, rounds: int, floor: float, ours: float, unit: str) -> None:
    told = f"floor {floor:,.0f}, gateway {ours:,.0f} {unit}: {ours / floor:.2f}x"
    print(f"{name:12} round {done + 1} of {rounds}  {told}", file=sys.stderr, flush=True)


# -- reads


@dataclass(slots=True)
class _Tally:
    """One server's rounds of one line."""

    server: Served
    load: Load
    speeds: list[float]
    answers: int = 0
    cpu: float = 0.0

    async def run(self, extent: Extent) -> None:
        before = self.server.cpu_seconds()
        found = await self.load.run(extent.seconds, extent.requests)
        self.cpu += self.server.cpu_seconds() - before
        self.answers += found.answers
        self.speeds.append(found.per_second)

    def cpu_microseconds(self) -> float:
        return round(self.cpu / self.answers * 1e6, 1)


async def _read(
    world: World, extent: Extent, *, name: str, what: str, paths: list[str], connections: int, must: float | None
) -> Row:
    requests = [request_bytes("GET", path, world.token) for path in paths]
    async with (
        connected(world.floor.port, connections, requests) as floor_load,
        connected(world.gateway.port, connections, requests) as our_load,
    ):
        floor, ours = _Tally(world.floor, floor_load, []), _Tally(world.gateway, our_load, [])
        for one in (floor, ours):
            await one.load.run(extent.seconds * _WARM_UP, extent.requests)
        for done in range(extent.rounds):
            for one in (floor, ours) if done % 2 == 0 else (ours, floor):
                await one.run(extent)
            _tell(name, done, extent.rounds, floor.speeds[-1], ours.speeds[-1], "requests/s")
    return Row(
        name,
        what,
        "requests/s",
        *paired(ours.speeds, floor.speeds),
        must=must,
        cpu_ours=ours.cpu_microseconds(),
        cpu_floor=floor.cpu_microseconds(),
    )


async def _get(
    world: World, extent: Extent, name: str, collection: str, size: str, connections: int, must: float | None = None
) -> Row:
    paths = [f"/{collection}/{one}" for one in world.ids[collection]]
    what = f"GET by id, {size}, {connections} connection{'s' if connections > 1 else ''}"
    return await _read(world, extent, name=name, what=what, paths=paths, connections=connections, must=must)


async def _list_20(world: World, extent: Extent, name: str) -> Row:
    what = "list of 20, 300 B, 16 connections"
    return await _read(world, extent, name=name, what=what, paths=[f"/{SMALL}?_limit=20"], connections=16, must=None)


# -- deletes


async def _delete(world: World, extent: Extent, name: str, collection: str, size: str, must: float) -> Row:
    """Fresh documents each round; half go by a bare `delete_many`, half through the gateway."""
    floor: list[float] = []
    ours: list[float] = []
    async with connected(world.gateway.port, 1, []) as load:
        for done in range(-1, extent.delete_rounds):
            ids = _insert(world.database, collection, 2 * _BATCH)
            by_gateway = partial(_delete_by_gateway, world, load, collection, ids[_BATCH:], ours)
            if done % 2:
                await by_gateway()
            _delete_bare(world, collection, ids[:_BATCH], floor)
            if not done % 2:
                await by_gateway()
            if done < 0:  # the first is for warming up
                floor.clear()
                ours.clear()
                continue
            _tell(name, done, extent.delete_rounds, floor[-1], ours[-1], "ms")
    what = f"versioned delete of {_BATCH:,}, {size}"
    return Row(name, what, "ms", *paired(ours, floor), must=must, less_is_better=True)


def _delete_bare(world: World, collection: str, ids: list[ObjectId], times: list[float]) -> None:
    started = perf_counter()
    deleted = world.database[collection].delete_many({"_id": {"$in": ids}}).deleted_count
    times.append((perf_counter() - started) * 1000)
    if deleted != len(ids):
        raise Unexpected(f"the floor deleted {deleted} of {len(ids)}")


async def _delete_by_gateway(
    world: World, load: Load, collection: str, ids: list[ObjectId], times: list[float]
) -> None:
    body = orjson.dumps({"ids": [str(one) for one in ids]})
    request = request_bytes("DELETE", f"/{collection}/batch", world.token, body)
    started = perf_counter()
    status, answer = await load.ask(request)
    times.append((perf_counter() - started) * 1000)
    if status != 200 or orjson.loads(answer)["deleted"] != len(ids):
        raise Unexpected(f"{status}: {answer[:200].decode(errors='replace')}")


# -- memory


async def _memory(world: World, extent: Extent, name: str) -> Row:
    """Of the process just started, after a few requests: it must be the first line of a run."""
    requests = [request_bytes("GET", f"/{SMALL}/{one}", world.token) for one in world.ids[SMALL][:20]]
    async with connected(world.gateway.port, 4, requests) as load:
        await load.run(5.0, 100)
    used = spread([world.gateway.resident_megabytes()])
    return Row(name, "memory of the idle gateway, RSS", "MB", used, must=90.0, less_is_better=True)


LINES: Final[Mapping[str, Line]] = {
    "memory": partial(_memory, name="memory"),
    "get-1": partial(_get, name="get-1", collection=SMALL, size="300 B", connections=1),
    "get-16": partial(_get, name="get-16", collection=SMALL, size="300 B", connections=16, must=0.8),
    "get-64": partial(_get, name="get-64", collection=SMALL, size="300 B", connections=64, must=0.8),
    "get-2kb-16": partial(_get, name="get-2kb-16", collection=LARGE, size="2 KB", connections=16),
    "list-20": partial(_list_20, name="list-20"),
    "delete-300b": partial(_delete, name="delete-300b", collection=SMALL, size="300 B", must=3.0),
    "delete-2kb": partial(_delete, name="delete-2kb", collection=LARGE, size="2 KB", must=4.5),
}


def new_bare_client(uri: str) -> MongoClient[dict[str, Any]]:
    """The floor of deletes: the synchronous client, which is the faster one, waiting for a majority."""
    return MongoClient(uri, w="majority")
