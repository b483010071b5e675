"""Half an hour of everything at once, with faults, and what of the promises was kept.

    SOAK_MINUTES=30 FAULT_SEED=1 python -m tests.soak

Two gateways on a replica set of three. The first lives through all of it: its memory, tasks and connections are looked
at when nobody asks, behind the warm-up and at the end. The second is killed, or told to end, and begun again. Members of
the set are killed and step down, the policy is edited, tokens are revoked. Ends with 1 where a promise was broken.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pymongo
import yaml
from pymongo import AsyncMongoClient
from pymongo.database import Database

from permission_mongo.storage.layout import IDEMPOTENCY
from permission_mongo.storage.revocations import MongoRevocations
from tests.faults.clients import Crowd, a_crowd, judge
from tests.faults.processes import GatewayProcess, a_gateway_process
from tests.faults.replica_set import ReplicaSet, a_replica_set, free_ports
from tests.faults.rows import SEED, settle
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_token
from tests.soak.load import Mixed, Notes, Slow
from tests.soak.promises import Found, Held, broken, report

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
WARM = 0.2  # of the time, until memory is looked at first
CALLERS, WRITERS, SLOW = 3, 2, 2  # at each gateway
NAME = "soak"


def write_config(folder: Path) -> Path:
    """That of the tests, with a second collection for those who ask for anything: of the first each write is followed."""
    folder.mkdir(parents=True)
    schema, policy = yaml.safe_load(SCHEMA), yaml.safe_load(POLICY)
    schema["collections"]["things"] = schema["collections"]["notes"]
    policy["policies"]["things"] = policy["policies"]["notes"]
    mongodb = f"mongodb: {{uri: '${{ENV.MONGODB_URI}}', database: {NAME}, min_pool_size: 0}}\n"
    (folder / "config.yaml").write_text(f"{CONFIG}{mongodb}limits: {{query_timeout: 5s}}\n")
    (folder / "schema.yml").write_text(json.dumps(schema))
    (folder / "policy.yml").write_text(json.dumps(policy))
    return folder


class Steady(GatewayProcess):
    """Asked with one token all the time, as callers do: of each new one things are remembered, up to a bound."""

    token = a_token()

    @classmethod
    def headers(cls) -> dict[str, str]:
        return {"authorization": f"Bearer {cls.token}", "content-type": "application/json"}


def steady(gateway: GatewayProcess) -> Steady:
    return Steady(gateway.child, gateway.port)


@dataclass
class Lasting:
    """The gateway that is looked at."""

    gateway: GatewayProcess
    told: Path

    def held(self) -> Held:
        """When nobody asks: waits until what was under way has ended."""
        self.told.unlink(missing_ok=True)
        os.kill(self.gateway.child.pid, signal.SIGUSR2)
        until = time.monotonic() + 30
        while not self.told.exists():
            assert time.monotonic() < until, "the gateway does not tell what it holds"
            time.sleep(0.05)
        told = json.loads(self.told.read_text())
        print(f"  tasks {told['names']}\n  objects {told['objects']}: {list(told['kinds'].items())[:12]}", flush=True)
        return Held(
            memory_of(self.gateway.child.pid), told["tasks"], connections_at(self.gateway.port), told["objects"]
        )


def memory_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the gateway has ended")


def connections_at(port: int) -> int:
    """Those of callers: accepted on this port, in whatever state but closed and timed out."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in ("01", "08") for row in rows)


@dataclass
class Mortal:
    """The gateway that is ended and begun again, always on one port."""

    folder: Path
    uri: str
    port: int
    stack: ExitStack = field(default_factory=ExitStack)
    gateway: GatewayProcess | None = None

    def begin(self) -> None:
        self.gateway = self.stack.enter_context(a_gateway_process(self.folder, self.uri, port=self.port))

    def end(self, number: int) -> None:
        assert self.gateway is not None
        os.kill(self.gateway.child.pid, number)
        self.gateway.child.wait(30)
        self.stack.close()


class Faults:
    """What happens to the servers, the second gateway and the policy, one after the other."""

    def __init__(self, servers: ReplicaSet, mortal: Mortal, folder: Path, random: Random) -> None:
        self.done: Counter[str] = Counter()
        self._servers, self._mortal, self._folder, self._random = servers, mortal, folder, random
        self._each: list[Callable[[], None]] = [
            self._edit, self._revoke, self._end_gateway, self._edit, self._kill_primary, self._revoke,
            self._kill_gateway, self._edit, self._step_down,
        ]  # fmt: skip

    def go_on(self, until: float, pause: float) -> None:
        """On the main thread, with which the servers end."""
        n = 0
        while time.monotonic() < until - 15:
            time.sleep(min(pause, max(until - time.monotonic() - 15, 0)))
            fault = self._each[n % len(self._each)]
            fault()
            self.done[fault.__name__.strip("_").replace("_", " ")] += 1
            n += 1
        time.sleep(max(until - time.monotonic(), 0))

    def _kill_primary(self) -> None:
        self._servers.wait()
        primary = self._servers.primary()
        primary.kill()
        self._servers.primary()
        primary.start()

    def _step_down(self) -> None:
        self._servers.wait()
        self._servers.step_down()

    def _kill_gateway(self) -> None:
        self._mortal.end(signal.SIGKILL)
        self._mortal.begin()

    def _end_gateway(self) -> None:
        self._mortal.end(signal.SIGTERM)
        self._mortal.begin()

    def _edit(self) -> None:
        """Another policy by its text, and the same by its meaning; every other time first one that is broken."""
        policy = json.loads((self._folder / "policy.yml").read_text())
        draft = self._folder / "draft"
        if self._random.random() < 0.5:
            draft.write_text("roles: [")
            draft.replace(self._folder / "policy.yml")
            time.sleep(1)
        policy["roles"][f"further_{self._random.randrange(5)}"] = {}
        draft.write_text(json.dumps(policy))
        draft.replace(self._folder / "policy.yml")

    def _revoke(self) -> None:
        """Tokens that nobody uses, for half an hour of them: the list grows, and is read again."""
        self._servers.primary()

        async def add() -> None:
            async with AsyncMongoClient(self._servers.uri) as client:
                kept = MongoRevocations(client[NAME])
                for _ in range(20):
                    await kept.add(
                        "jti", f"of-nobody-{self._random.random()}", datetime.now(UTC).replace(tzinfo=None), None
                    )

        asyncio.run(add())


@contextmanager
def loaded(gateways: list[GatewayProcess], notes: Notes, seed: int) -> Iterator[list[Crowd]]:
    """All callers at work, within; the crowds whose every write is followed."""
    stopping = threading.Event()
    mixed = [Mixed(one, notes, seed + 10 * n + k, stopping) for n, one in enumerate(gateways) for k in range(CALLERS)]
    slow = [Slow(one, seed + n, stopping) for n, one in enumerate(gateways) for _ in range(SLOW)]
    for one in (*mixed, *slow):
        one.start()
    try:
        yield []
    finally:
        stopping.set()
        for one in (*mixed, *slow):
            one.join(90)


def faults_of_versions(database: Database) -> list[str]:
    """Documents whose numbers have a gap or a double; a deletion takes one."""
    wrong = []
    order = {"collection": 1, "tenant_id": 1, "doc_id": 1, "version": 1}
    found = database["_pm_versions"].find({"collection": "things"}, {"doc_id": 1, "version": 1, "ended.action": 1})
    last: dict[str, tuple[int, str]] = {}
    for one in found.sort(list(order.items())).allow_disk_use(True):
        before = last.get(one["doc_id"])
        step = 2 if before and before[1] == "delete" else 1
        expected = 1 if before is None else before[0] + step
        if one["version"] != expected:
            wrong.append(f"{one['doc_id']}: {one['version']} instead of {expected}")
        last[one["doc_id"]] = one["version"], one["ended"]["action"]
    for row in database["things"].find({}, {"_version": 1}):
        before = last.get(row["_id"])
        expected = 1 if before is None else before[0] + (2 if before[1] == "delete" else 1)
        if row["_version"] != expected:
            wrong.append(f"{row['_id']} lives as {row['_version']} instead of {expected}")
    return wrong


def cursors_left(client: pymongo.MongoClient) -> int:
    stages = [{"$currentOp": {"allUsers": True, "idleCursors": True}}, {"$match": {"type": "idleCursor"}}]
    return sum(one.get("ns", "").startswith(f"{NAME}.") for one in client.admin.aggregate(stages))


def quiet(client: pymongo.MongoClient, lasting: Lasting) -> Held:
    """What is held once everything has come to its end."""
    settle(client, 75)  # what a killed gateway left open the servers end after a minute
    until = time.monotonic() + 20
    while connections_at(lasting.gateway.port) and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(3)
    return lasting.held()


def soak(folder: Path) -> Found:
    notes, random, seconds = Notes(), Random(SEED), MINUTES * 60
    os.environ["SOAK_TOLD"] = str(folder / "told.json")
    with a_replica_set(folder / "set") as servers, ExitStack() as stack:
        configured = write_config(folder / "config")
        lasting = Lasting(
            steady(stack.enter_context(a_gateway_process(configured, servers.uri, "tests.soak.gateway"))),
            folder / "told.json",
        )
        mortal = Mortal(configured, servers.uri, free_ports(1)[0])
        stack.callback(lambda: mortal.stack.close())
        mortal.begin()
        assert mortal.gateway is not None
        both = [lasting.gateway, mortal.gateway]
        client = stack.enter_context(pymongo.MongoClient(servers.uri))
        faults = Faults(servers, mortal, configured, random)
        pause = max(6.0, min(30.0, seconds / 12))
        with a_crowd(lasting.gateway, SEED, WRITERS) as crowd, loaded(both, notes, SEED):
            faults.go_on(time.monotonic() + max(seconds * WARM, 40), pause)
        servers.wait()
        before = quiet(client, lasting)
        print(f"after the warm-up: {before.memory / 2**20:.1f} MB", flush=True)
        client[NAME]["notes"].delete_many({})
        client[NAME]["_pm_versions"].delete_many({"collection": "notes"})
        client[NAME][IDEMPOTENCY].delete_many({})  # the next writers call themselves like the first
        with a_crowd(lasting.gateway, SEED + 1, WRITERS) as crowd, loaded(both, notes, SEED + 1000):
            faults.go_on(time.monotonic() + seconds * (1 - WARM), pause)
        servers.wait()
        after = quiet(client, lasting)
        verdict = judge(client[NAME], crowd)
        statuses = notes.statuses + Counter(crowd.statuses)
        return Found(
            MINUTES, before, after, statuses, notes.unexpected, crowd.acknowledged, verdict.lost, verdict.doubled,
            [*verdict.wrong, *faults_of_versions(client[NAME])], settle(client), cursors_left(client),
            faults.done, {name: list(taken) for name, taken in notes.latencies.items()},
        )  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pm-soak-") as folder:
        found = soak(Path(folder))
    print(report(found), flush=True)
    return 1 if broken(found) else 0


if __name__ == "__main__":
    sys.exit(main())
