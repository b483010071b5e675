"""F7: a query that takes too long, and a server that hangs. Told within the limit, and nothing is left running."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from uuid import uuid4

import pymongo
import pytest

from tests.conftest import a_server
from tests.faults.processes import Asked, a_gateway_process, write_config
from tests.faults.replica_set import until
from tests.faults.rows import open_transactions, rounds, settle
from tests.faults.scenes import BEYOND, HEALS_WITHIN, LIMIT, LONG, READS, Scene, late, send_again
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
SLOW = {name: READS[name] for name in ("get", "list", "get many", "versions", "deleted")}


@dataclass
class Slow(Scene):
    """With a server of its own, which may be stopped."""

    pid: int

    @contextmanager
    def endless(self) -> Iterator[None]:
        """No find comes to its first batch, as if it looked at very many documents; it can be interrupted."""
        admin = self.database.client.admin
        what = {"shouldCheckForInterrupt": True, "nss": f"{self.database.name}.notes"}
        admin.command("configureFailPoint", "waitInFindBeforeMakingBatch", mode="alwaysOn", data=what)
        try:
            yield
        finally:
            admin.command("configureFailPoint", "waitInFindBeforeMakingBatch", mode="off")

    @contextmanager
    def hung(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def running(self) -> list:
        """What the server is doing for gateways: no heartbeats, and nobody who only stays connected."""
        stages = [
            {"$currentOp": {"allUsers": True}},
            {"$match": {"active": True, "appName": "permission-mongo", "command.hello": {"$exists": False}}},
            {"$match": {"command.isMaster": {"$exists": False}, "command.ismaster": {"$exists": False}}},
        ]
        return list(self.database.client.admin.aggregate(stages))

    def is_idle_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.running() and not open_transactions(self.database.client):
                return True
            time.sleep(0.05)
        return False


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[Slow]:
    name = f"test_{uuid4().hex[:12]}"
    folder = write_config(tmp_path_factory.mktemp("slow") / "config", name, f"{{query_timeout: {LIMIT}s}}")
    with a_server() as uri, pymongo.MongoClient(uri) as client, a_gateway_process(folder, uri) as gateway:
        assert gateway.ask("POST", "/notes", {"_id": "there", "title": "t"})[0] == 201
        yield Slow(client[name], gateway, client.admin.command("serverStatus")["pid"])


def test_f7_t15_a_query_without_end_is_told_within_the_limit_and_leaves_nothing_running(scene):
    with scene.endless():
        asked = {name: Asked(scene.gateway, body, (method, path)) for name, (method, path, body) in SLOW.items()}
        time.sleep(LIMIT / 2)
        begun = len(scene.running())
        told = {name: one.end() for name, one in asked.items()}
        is_idle = scene.is_idle_within(5.0)
    # Where the machine is busy, a command that is over before it is sent can't be told from a server that is not there.
    statuses = {name: one and one[0] for name, one in told.items() if name != "deleted"}
    assert set(statuses.values()) <= ({504} if LONG else {503, 504}), statuses
    assert begun >= (len(SLOW) - 1 if LONG else 1)
    assert [name for name, one in asked.items() if one.seconds > LIMIT + BEYOND] == []
    assert is_idle
    tell(Summary("F7", "queries without end", len(SLOW), "queries", notes="nothing left running"))


def test_f7_t15_a_hung_server_keeps_nobody_beyond_the_limit_and_goes_on_with_nothing(scene):
    """The whole server is stopped in the midst of every kind of write and read."""
    statuses, healed = Counter(), 0.0
    for n in range(rounds(1, 10)):
        writes = scene.ready()
        begun = [one.send(scene.gateway) for one in writes]
        time.sleep(0.01 * n)
        with scene.hung():
            reads = scene.read()
            for one in begun:
                one.end()
        healed = max(healed, scene.heals_after())
        settle(scene.database.client)
        assert scene.is_idle_within(5.0)
        assert late(writes, reads) == []
        assert [one.told(scene.database) for one in writes if not one.is_true(scene.database)] == []
        statuses.update(one.status for one in writes)
        send_again(scene, writes)
    notes = f"answers {dict(statuses)}; healed after {healed:.1f} s"
    tell(Summary("F7", "server stopped (SIGSTOP) under every kind of request", n + 1, "stops", notes=notes))
    assert healed < HEALS_WITHIN


def test_f7_control_a_query_without_a_limit_is_seen_running(scene):
    with pymongo.MongoClient(scene.database.client.address[0], scene.database.client.address[1], appname="permission-mongo", directConnection=True) as bare, scene.endless():  # fmt: skip
        reading = Thread(target=bare[scene.database.name]["notes"].find_one)
        reading.start()
        until(scene.running, "it does not begin", 10)
        is_idle = scene.is_idle_within(LIMIT + 1.0)
        found = len(scene.running())
    reading.join(10)
    assert (is_idle, found) == (False, 1)
