"""What every line runs in: the servers, their database, how long to go on; and one server's rounds of one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.load import Load, connected
from benchmarks.processes import Served
from benchmarks.rows import Row, paired
from benchmarks.samples import MAKERS

_READABLE: Final = 1000  # documents of each collection that reads go round
_WARM_UP: Final = 0.5  # of a round


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a run takes: rounds of each line, what a round may take at most, and the documents of the deep list."""

    rounds: int
    seconds: float
    requests: int
    documents: int

    @property
    def batch_rounds(self) -> int:
        """A batch's round is one request of some tens of milliseconds: it takes more of them to tell as much."""
        return 4 * self.rounds + 3 if self.rounds > 1 else 1


@dataclass(frozen=True, slots=True)
class World:
    """The servers on one database, which the benchmarks reach directly too. `unaudited` is a gateway without audit.

    `unsealed` seals no entries. It has a database of its own, or the other gateway would seal them.
    `folder` and `uri` are for what a line starts by itself.
    """

    gateway: Served
    unaudited: Served
    unsealed: Served
    floor: Served
    database: Database[dict[str, Any]]
    token: str
    ids: Mapping[str, list[ObjectId]]
    folder: Path
    uri: str


Line = Callable[[World, Extent], Coroutine[Any, Any, Row]]


def fill(database: Database[dict[str, Any]]) -> dict[str, list[ObjectId]]:
    """Store what reads go round; the ids by collection."""
    return {name: insert(database, name, _READABLE) for name in MAKERS}


def insert(database: Database[dict[str, Any]], name: str, count: int) -> list[ObjectId]:
    return list(database[name].insert_many([MAKERS[name](n) for n in range(count)]).inserted_ids)


def tell(name: str, done: int, rounds: int, floor: float, ours: float, unit: str) -> None:
    told = f"floor {floor:,.1f}, gateway {ours:,.1f} {unit}: {ours / floor:.2f}x"
    print(f"{name:18} round {done + 1} of {rounds}  {told}", file=sys.stderr, flush=True)


def tell_one(name: str, done: int, rounds: int, ours: float, unit: str) -> None:
    """The same where nothing is compared."""
    print(f"{name:18} round {done + 1} of {rounds}  {ours:,.1f} {unit}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Tally:
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A line's name, what it says, how many connections ask, and the ratio it must reach."""

    name: str
    what: str
    connections: int
    must: float | None = None


async def side_by_side(
    asked: Asked, extent: Extent, floor_of: tuple[Served, list[bytes]], ours_of: tuple[Served, list[bytes]]
) -> Row:
    """The same question to the floor and to a gateway, round by round, in turn which comes first."""
    async with (
        connected(floor_of[0].port, asked.connections, floor_of[1]) as floor_load,
        connected(ours_of[0].port, asked.connections, ours_of[1]) as our_load,
    ):
        floor, ours = Tally(floor_of[0], floor_load, []), Tally(ours_of[0], our_load, [])
        for one in (floor, ours):
            await one.load.run(extent.seconds * _WARM_UP, extent.requests)
        for done in range(extent.rounds):
            for one in (floor, ours) if done % 2 == 0 else (ours, floor):
                await one.run(extent)
            tell(asked.name, done, extent.rounds, floor.speeds[-1], ours.speeds[-1], "requests/s")
    return Row(
        asked.name,
        asked.what,
        "requests/s",
        *paired(ours.speeds, floor.speeds),
        must=asked.must,
        cpu_ours=ours.cpu_microseconds(),
        cpu_floor=floor.cpu_microseconds(),
    )


def new_bare_client(uri: str) -> MongoClient[dict[str, Any]]:
    """The floor of deletes: the synchronous client, which is the faster one, waiting for a majority."""
    return MongoClient(uri, w="majority")
