"""Callers that write through a gateway and repeat under the same key until they are told; and what must be there."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from tests.faults.processes import GatewayProcess

COUNTERS = 4
# Told to come again: it is not known whether the write took effect, or it did not.
REPEATED = frozenset({409, 500, 502, 503, 504})
_PATIENCE = 90.0  # seconds until a write must have been answered


@dataclass(frozen=True)
class Told:
    """A write's mark and what it was: a document created, one of the writer's own changed, a counter raised."""

    kind: str
    about: str
    mark: str


class Client(threading.Thread):
    """One caller. `told` are its acknowledged writes in their order, `moments` when each was acknowledged."""

    def __init__(self, name: str, gateway: GatewayProcess, random: Random, stopping: threading.Event) -> None:
        super().__init__(name=name)
        self.told: list[Told] = []
        self.moments: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.refused: list[str] = []
        self._gateway, self._random, self._stopping = gateway, random, stopping
        self._connection = self._connect()

    def run(self) -> None:
        try:
            for n in itertools.count(1):
                if self._stopping.is_set():
                    return
                self._write(f"{self.name}-{n}")
        finally:
            self._connection.close()

    def _write(self, mark: str) -> None:
        match self._random.randrange(3):
            case 0:
                self._until_told(Told("create", mark, mark), "POST", "/notes", {"title": mark})
            case 1:
                about = f"own-{self.name}"
                self._until_told(Told("update", about, mark), "PATCH", f"/notes/{about}", {"title": mark})
            case _:
                about = f"counter-{self._random.randrange(COUNTERS)}"
                self._until_told(Told("count", about, mark), "PATCH", f"/notes/{about}", {"$inc": {"age": 1}})

    def _until_told(self, write: Told, method: str, path: str, body: dict) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            status = self._ask(method, path, body, write.mark)
            self.statuses[str(status)] += 1
            if status is not None and status < 300:
                self.told.append(write)
                self.moments.append(time.monotonic())
                return
            if status is not None and status not in REPEATED:
                break
            time.sleep(0.02 + 0.1 * self._random.random())
        self.refused.append(f"{write}: {status}")

    def _ask(self, method: str, path: str, body: dict, key: str) -> int | None:
        """The status; None where the answer was lost."""
        headers = {**self._gateway.headers(), "idempotency-key": key}
        try:
            self._connection.request(method, path, json.dumps(body), headers)
            answer = self._connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=30)


def longest(began: float, moments: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise([began, *sorted(moments)]))


class Beside(threading.Thread):
    """A bare driver that writes beside the gateway: the gap that it meets is the servers' own."""

    def __init__(self, uri: str) -> None:
        super().__init__(name="beside")
        self.moments: list[float] = []
        self.stopping = threading.Event()
        self.began = time.monotonic()
        self._uri = uri

    def run(self) -> None:
        with pymongo.MongoClient(self._uri, w="majority") as client:
            while not self.stopping.is_set():
                with suppress(PyMongoError):
                    client["beside"]["rows"].insert_one({})
                    self.moments.append(time.monotonic())
                time.sleep(0.02)

    def __enter__(self) -> Beside:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join(60)

    def gap(self) -> float:
        """Its longest time without an acknowledged write, in seconds."""
        return longest(self.began, self.moments)


@dataclass
class Crowd:
    """All callers of a schedule."""

    clients: list[Client]
    stopping: threading.Event
    began: float = field(default_factory=time.monotonic)

    @property
    def acknowledged(self) -> int:
        return sum(len(one.told) for one in self.clients)

    @property
    def statuses(self) -> dict[str, int]:
        return dict(sum((one.statuses for one in self.clients), Counter()))

    def gap(self) -> float:
        """The longest time in which no write of anybody was acknowledged, in seconds."""
        return longest(self.began, [moment for one in self.clients for moment in one.moments])

    def go_on(self, writes: int, seconds: float = 180.0) -> None:
        """Until so many more were acknowledged."""
        wanted, until = self.acknowledged + writes, time.monotonic() + seconds
        while self.acknowledged < wanted:
            assert time.monotonic() < until, f"{self.acknowledged} of {wanted} writes: {self.statuses}"
            time.sleep(0.01)

    def stop(self) -> None:
        self.stopping.set()
        for one in self.clients:
            one.join(2 * _PATIENCE)
            assert not one.is_alive()


@contextmanager
def a_crowd(gateway: GatewayProcess, seed: int, count: int = 16) -> Iterator[Crowd]:
    """So many callers, writing; their own documents and the counters are made first."""
    names = [*(f"own-{n}" for n in range(count)), *(f"counter-{n}" for n in range(COUNTERS))]
    documents = [{"_id": one, "title": one, "age": 0} for one in names]
    assert gateway.ask("POST", "/notes/batch", {"documents": documents})[0] == 201
    stopping = threading.Event()
    crowd = Crowd([Client(str(n), gateway, Random(seed + n), stopping) for n in range(count)], stopping)
    for one in crowd.clients:
        one.start()
    try:
        yield crowd
    finally:
        crowd.stop()


@dataclass
class Verdict:
    """`lost`: acknowledged and not there. `doubled`: there more than once. `wrong`: anything else that must not be."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def compare(self, about: str, found: list[str], told: list[str]) -> None:
        """Marks that are there, against those acknowledged; in any order."""
        for mark, times in Counter(found).items():
            self.doubled += [f"{about}: {mark} {times} times"] if times > 1 else []
        self.lost += [f"{about}: {mark}" for mark in set(told) - set(found)]
        self.wrong += [f"{about}: {mark} was never told" for mark in set(found) - set(told)]


def judge(database: Database, crowd: Crowd) -> Verdict:
    """Every write was repeated until it was told: what is there is exactly what was acknowledged, once."""
    verdict = Verdict(wrong=[f"refused {one}" for client in crowd.clients for one in client.refused])
    durable = database.with_options(read_concern=ReadConcern("majority"))
    told: dict[str, list[str]] = defaultdict(list)
    created: list[str] = []
    for client in crowd.clients:
        for write in client.told:
            (created if write.kind == "create" else told[write.about]).append(write.mark)
    known = {"$not": {"$regex": "^(own|counter)-"}}
    verdict.compare("created", [one["title"] for one in durable["notes"].find({"_id": known}, {"title": 1})], created)
    for row in durable["notes"].find({"_id": {"$regex": "^(own|counter)-"}}):
        _judge_history(verdict, durable, row, told[row["_id"]])
    return verdict


def _judge_history(verdict: Verdict, database: Database, row: dict, told: list[str]) -> None:
    """Numbers without gap or double; each state with the content of its write, in the order in which it was told."""
    about = row["_id"]
    kept = list(database["_pm_versions"].find({"doc_id": about}, sort=[("version", 1)]))
    states = [*(one["data"] for one in kept), row]
    numbers = [*(one["version"] for one in kept), row["_version"]]
    if numbers != list(range(1, len(states) + 1)):
        verdict.wrong.append(f"{about}: numbers {numbers[:5]} to {numbers[-1]} of {len(states)} states")
    if about.startswith("own-"):
        found = [one["title"] for one in states[1:]]
        verdict.compare(about, found, told)
        if found != told:
            verdict.wrong.append(f"{about}: states in another order than told")
        return
    if [one["age"] for one in states] != list(range(len(states))):
        verdict.wrong.append(f"{about}: a state between two does not count one more")
    missing = len(told) - row["age"]
    verdict.lost += [f"{about}: {missing} of {len(told)}"] if missing > 0 else []
    verdict.doubled += [f"{about}: {-missing} beyond {len(told)}"] if missing < 0 else []
