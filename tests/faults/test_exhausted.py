"""F6: slow commands hold every connection of their kind. Who waits is told within a second; the other kind is served."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from uuid import uuid4

import pymongo
import pytest
from pymongo.errors import WaitQueueTimeoutError

from tests.faults.processes import GatewayProcess, a_gateway_process, write_config
from tests.faults.scenes import LONG
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
CONNECTIONS = 9  # three for reads, two for writes and long reads, four to spare
CALLERS = 16
HELD = 2.2  # seconds that a command takes
SOON = 1.3 if LONG else 5.0
# What fills one kind of turn, the commands of it that are slow, who has a turn, and what is asked of the other kind.
READ, WRITE = ("GET", "/notes", None), ("POST", "/notes", {"title": "t"})
FLOODS = {
    # Each another page, by its number in the crowd: the same page for all would be one command for many.
    "reads": (("GET", "/notes?_limit={}", None), "find", 3, WRITE),
    "counts": (("POST", "/notes/count", {"filter": {"title": "t"}}), "aggregate", 3, WRITE),
    "writes": (WRITE, "insert", 2, READ),
    "long reads": (
        ("GET", "/notes/there/versions", None),
        "find",
        2,
        ("POST", "/notes/count", {"filter": {"title": "t"}}),
    ),
}


@dataclass
class Scene:
    client: pymongo.MongoClient
    gateway: GatewayProcess
    name: str

    @contextmanager
    def slow(self, command: str) -> Iterator[None]:
        hit = {"appName": "permission-mongo", "failCommands": [command], "blockConnection": True}
        hit["blockTimeMS"] = int(HELD * 1000)
        hit["namespace"] = f"{self.name}.notes"  # the server asks for more within a transaction, under the same name
        self.client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=hit)
        try:
            yield
        finally:
            self.client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture(scope="module")
def scene(mongo_uri, tmp_path_factory) -> Iterator[Scene]:
    name = f"test_{uuid4().hex[:12]}"
    folder = write_config(tmp_path_factory.mktemp("exhausted") / "config", name, "{query_timeout: 8s}")
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("min_pool_size: 0", f"min_pool_size: 0, max_pool_size: {CONNECTIONS}"))
    with pymongo.MongoClient(mongo_uri) as client, a_gateway_process(folder, mongo_uri) as gateway:
        assert gateway.ask("POST", "/notes", {"_id": "there", "title": "t"})[0] == 201
        yield Scene(client, gateway, name)
        client.drop_database(name)


class Timed(Thread):
    """One request; its status, what it says to wait, and how long it took."""

    def __init__(self, gateway: GatewayProcess, asking: tuple) -> None:
        super().__init__()
        self.status, self.retry_after, self.seconds = 0, None, 0.0
        self._gateway, self._asking = gateway, asking
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        self.status, _, headers = self._gateway.told(*self._asking)
        self.retry_after, self.seconds = headers.get("retry-after"), time.monotonic() - began


def numbered(asking: tuple, number: int) -> tuple:
    method, path, body = asking
    return method, path.format(number), body


@pytest.mark.parametrize("flood", FLOODS)
def test_f6_without_a_turn_one_is_told_within_a_second_and_others_are_served(scene, flood):
    """503 with Retry-After; those with a turn are served, however long it takes; afterwards everybody is."""
    asking, command, turns, other = FLOODS[flood]
    with scene.slow(command):
        crowd = [Timed(scene.gateway, numbered(asking, n)) for n in range(1, CALLERS + 1)]
        time.sleep(0.5)
        beside = [Timed(scene.gateway, one) for one in (other, ("GET", "/health"), ("GET", "/ready"))]
        for one in (*crowd, *beside):
            one.join(60)
    told = [one for one in crowd if one.status == 503]
    assert {one.status for one in crowd} == {200 if asking is not WRITE else 201, 503}
    assert {one.retry_after for one in told} == {"1"}
    assert max(one.seconds for one in told) < SOON
    # On a busy machine some come late, and have the turns of those who ended.
    assert turns <= len(crowd) - len(told) <= 2 * turns
    assert [(one.status, one.seconds) for one in beside if one.status >= 300 or one.seconds >= HELD] == []
    after = [Timed(scene.gateway, numbered(asking, n)) for n in (1, 2)]
    for one in after:
        one.join(60)
    assert [one.status < 300 for one in after] == [True, True]
    notes = f"answers {dict(Counter(one.status for one in crowd))}, 503 after {max(one.seconds for one in told):.1f} s"
    tell(Summary("F6", f"pool exhausted by {flood}", len(crowd), "callers", len(crowd) - len(told), notes=notes))


def test_f6_control_within_a_deadline_a_bare_driver_waits_for_all_of_it(scene, mongo_uri):
    """Its own limit of waiting does not count then: which is why the gateway has turns."""
    short = pymongo.MongoClient(mongo_uri, maxPoolSize=1, waitQueueTimeoutMS=200, appname="permission-mongo")
    with short as bare, scene.slow("find"):
        rows = bare[scene.name]["notes"]
        holding = Thread(target=rows.find_one)
        holding.start()
        time.sleep(0.3)
        began = time.monotonic()
        with pymongo.timeout(1.0), pytest.raises(WaitQueueTimeoutError):
            rows.find_one()
        waited = time.monotonic() - began
        holding.join(10)
    assert waited > 0.8
