"""F13: the embedded server is killed under its gateway. It is started again, its data whole; or given up, and said why."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event, Thread

import pymongo
import pytest

from permission_mongo.storage.embedded import running_uri
from tests.faults.clients import a_crowd, judge
from tests.faults.processes import GatewayProcess, a_gateway_process, write_config
from tests.faults.replica_set import until
from tests.faults.rows import SEED, rounds
from tests.faults.scenes import LONG
from tests.faults.summaries import Summary, tell
from tests.faults.test_disk_full import Careless

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
BETWEEN = 40  # acknowledged writes


def server_of(gateway: GatewayProcess) -> int | None:
    """The pid of the mongod that is its child; None while there is none."""
    children = Path(f"/proc/{gateway.child.pid}/task/{gateway.child.pid}/children").read_text().split()
    found = [int(one) for one in children if "mongod" in Path(f"/proc/{one}/comm").read_text()]
    alive = [one for one in found if Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] != "Z"]
    return alive[0] if alive else None


class Looking(Thread):
    """Asks all the time whether the gateway is ready."""

    def __init__(self, gateway: GatewayProcess) -> None:
        super().__init__()
        self.told: list[int] = []
        self._gateway, self._stopping = gateway, Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            self.told.append(self._gateway.ask("GET", "/ready")[0])
            time.sleep(0.02)

    @contextmanager
    def at_work(self):
        self.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self.join(60)


def kill(gateway: GatewayProcess) -> int:
    """SIGKILL to the server; its pid."""
    pid = until(lambda: server_of(gateway), "there is no server")
    os.kill(pid, signal.SIGKILL)
    until(lambda: server_of(gateway) != pid, "it lives")
    return pid


def lost_by_the_careless(gateway: GatewayProcess, uri: str, name: str) -> int:
    """How many rows a bare client was told of, alone with a server that is then killed, and that are gone."""
    with pymongo.MongoClient(uri) as client:
        client.admin.command("setParameter", 1, journalCommitInterval=500)
    stopping = Event()
    careless = Careless(uri, name, stopping)
    careless.start()
    until(lambda: len(careless.told) > BETWEEN, "it wrote nothing")
    kill(gateway)
    stopping.set()
    careless.join(60)
    until(lambda: gateway.ask("GET", "/ready")[0] == 200, "it is not ready")
    with pymongo.MongoClient(uri) as client:
        return len(careless.told) - client[name]["careless"].count_documents({})


def test_f13_control_f13_a_killed_embedded_server_comes_back_with_all_that_was_acknowledged(tmp_path):
    """`/ready` says 503 meanwhile. Sent again under its key each write is there once, in the order told.

    The control: of what a bare client was told without waiting for the journal, some is gone. Nobody writes beside it,
    for whoever waits for the journal brings the others' rows there too.
    """
    random, name, times = Random(SEED), "embedded", rounds(2, 3)
    folder = write_config(tmp_path / "config", name, "{query_timeout: 4s}")
    data = tmp_path / "server"
    with a_gateway_process(folder, f"embedded://{data}") as gateway:
        uri = running_uri(data)
        assert uri is not None
        with a_crowd(gateway, SEED, 8) as crowd, Looking(gateway).at_work() as looking:
            for _ in range(times):
                crowd.go_on(BETWEEN)
                time.sleep(random.random() * 0.2)
                kill(gateway)
                crowd.go_on(BETWEEN)
        assert gateway.ask("GET", "/ready")[0] == 200
        with pymongo.MongoClient(uri) as client:
            verdict = judge(client[name], crowd)
        # The journal is written at moments of its own: a kill right behind one takes nothing away.
        lost = lost_by_the_careless(gateway, uri, "alone") or lost_by_the_careless(gateway, uri, "alone_again")
    notes = f"answers {crowd.statuses}, ready {set(looking.told)}; without the journal {lost} lost"
    told = (crowd.acknowledged, len(verdict.lost), len(verdict.doubled), len(verdict.wrong), crowd.gap(), notes)
    tell(Summary("F13", "embedded server killed (-9) under 8 writers", times, "kills", *told))
    assert verdict.is_clean, f"FAULT_SEED={SEED}: {verdict}"
    assert set(looking.told) == {200, 503}
    assert "500" not in crowd.statuses
    assert lost >= 1


@pytest.mark.skipif(not LONG, reason="half a minute; of the server alone it is tested beside it")
def test_f13_a_server_that_is_killed_again_and_again_is_given_up_with_its_last_words(tmp_path):
    """Started again later each time; after five times within a minute the gateway ends, with 3."""
    folder = write_config(tmp_path / "config", "given_up")
    with a_gateway_process(folder, f"embedded://{tmp_path / 'server'}") as gateway:
        pauses = []
        for n in range(5):
            before = kill(gateway)
            if n == 4:
                break
            began = time.monotonic()
            until(lambda: server_of(gateway) not in (None, before), "it is not started again")  # noqa: B023
            pauses.append(time.monotonic() - began)
            until(lambda: gateway.ask("GET", "/ready")[0] == 200, "it is not ready")
        status = gateway.child.wait(20)
        assert server_of_nobody(gateway)
    said = (folder / "stderr").read_text()
    tell(Summary("F13", "embedded server given up", 5, notes=f"pauses {[round(one, 1) for one in pauses]} s"))
    assert status == 3
    assert "5 crashes within a minute are too many" in said
    assert "killed by SIGKILL" in said
    assert pauses[3] > pauses[1] > 0.3
    assert pauses[3] > 3.0


def server_of_nobody(gateway: GatewayProcess) -> bool:
    """No child outlives it."""
    return not Path(f"/proc/{gateway.child.pid}/task").exists()
