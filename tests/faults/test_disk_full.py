"""F8: the disk is full. No acknowledged write is lost; 503 meanwhile; with free space the gateway goes on by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread

import pymongo
import pytest
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from tests.faults.processes import GatewayProcess, a_gateway_process, write_config
from tests.faults.replica_set import Member, ReplicaSet, free_ports, until
from tests.faults.rows import SEED, rounds
from tests.faults.scenes import HEALS_WITHIN
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
# A journal in small pieces, made as they are needed, and data written every other second: the disk is soon full.
MOST = 8  # times until the control is caught
SPARING = "--wiredTigerEngineConfigString log=(file_max=2MB,prealloc=false) --syncdelay 2"
DISK, LEFT = 110, 9  # MiB: of the whole file system, and what is free when the writers begin
WRITERS = 4
FILLING = 40_000  # signs that no compression makes shorter


@contextmanager
def a_small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own in memory; skipped where it may not be mounted."""
    folder.mkdir()
    mounted = sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Ballast:
    """What fills the disk, and gives it back."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"

    def fill(self) -> None:
        free = os.statvfs(self._file.parent)
        size = free.f_bavail * free.f_frsize - LEFT * 2**20
        assert size > 0, "the disk is too small"
        with self._file.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def drop(self) -> None:
        self._file.unlink()


@dataclass
class Writer(Thread):
    """Creates documents until it is told to stop; remembers the acknowledged ones."""

    gateway: GatewayProcess
    random: Random
    stopping: Event
    told: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = Thread.__hash__

    def run(self) -> None:
        while not self.stopping.is_set():
            body = {"title": "filling", "ssn": self.random.randbytes(FILLING // 2).hex()}
            status, answer = self.gateway.ask("POST", "/notes", body)
            self.statuses[status] += 1
            if status == 201:
                self.told.append(answer["_id"])
            else:
                time.sleep(0.05)


class Careless(Thread):
    """A bare client that waits for no journal: what it is told of is not on the disk yet."""

    def __init__(self, uri: str, database: str, stopping: Event) -> None:
        super().__init__()
        self.told: list[int] = []
        self._uri, self._database, self._stopping = uri, database, stopping

    def run(self) -> None:
        with pymongo.MongoClient(self._uri, w=1, journal=False, serverSelectionTimeoutMS=500) as client:
            rows, n = client[self._database]["careless"], 0
            while not self._stopping.is_set():
                n += 1
                with suppress(PyMongoError):
                    rows.insert_one({"_id": n})
                    self.told.append(n)


def filled_up(
    found: ReplicaSet, folder: Path, gateway: GatewayProcess, name: str, n: int
) -> tuple[list[Writer], Careless]:
    """The server writes until its disk is full and it ends; who wrote, and what they were told."""
    stopping, ballast, member = Event(), Ballast(folder), found.members[0]
    writers = [Writer(gateway, Random(SEED + 100 * n + k), stopping) for k in range(WRITERS)]
    careless = Careless(found.uri, name, stopping)
    ballast.fill()
    for one in (*writers, careless):
        one.start()
    try:
        until(lambda: member.child is not None and member.child.poll() is not None, "the disk is not full", 60)
        until(lambda: all(one.statuses[503] for one in writers), "nobody is told", 30)
        assert gateway.ask("GET", "/ready")[0] == 503
        assert gateway.ask("GET", "/notes")[0] in (503, 504)
    finally:
        stopping.set()
        for one in (*writers, careless):
            one.join(60)
        ballast.drop()
    return writers, careless


def test_f8_control_f8_a_full_disk_loses_no_acknowledged_write(tmp_path):
    """Each is there when there is space again, and the gateway serves without being touched.

    The control: of what a bare client was told without waiting for the journal, some is gone.
    """
    name, lost, told, gone, statuses, healed = "full", 0, 0, 0, Counter(), 0.0
    with a_small_disk(tmp_path / "disk") as disk:
        member = Member(disk / "data", free_ports(1)[0], more=SPARING)
        found = ReplicaSet([member])
        member.folder.mkdir()
        member.start()
        try:
            found.initiate()
            with a_gateway_process(
                write_config(tmp_path / "config", name, "{query_timeout: 2s}"), found.uri
            ) as gateway:
                assert gateway.ask("POST", "/notes", {"title": "warm"})[0] == 201
                for n in range(MOST):
                    writers, careless = filled_up(found, disk, gateway, name, n)
                    assert member.child is not None
                    member.child.wait(15)
                    member.start()  # as whoever runs it does
                    found.primary()
                    began = time.monotonic()
                    until(lambda: gateway.ask("POST", "/notes", {"title": "again"})[0] == 201, "it does not go on", 30)
                    healed = max(healed, time.monotonic() - began)
                    with pymongo.MongoClient(found.uri) as client:
                        durable = client.get_database(name, read_concern=ReadConcern("majority"))
                        there = {one["_id"] for one in durable["notes"].find({}, {"_id": 1})}
                        kept = {one["_id"] for one in durable["careless"].find({}, {"_id": 1})}
                        lost += len({one for writer in writers for one in writer.told} - there)
                        gone += len(set(careless.told) - kept)
                        durable["notes"].delete_many({})
                        client[name]["careless"].drop()
                    told += sum(len(one.told) for one in writers)
                    statuses.update(sum((one.statuses for one in writers), Counter()))
                    if gone and n + 1 >= rounds(1, 5):
                        break  # the control is a matter of moments
        finally:
            found.kill_all()
    notes = f"answers {dict(statuses)}; goes on {healed:.1f} s after the server; without the journal {gone} lost"
    tell(Summary("F8", "disk full under writers", n + 1, "times", told, lost, notes=notes))
    assert lost == 0
    assert told > 0
    assert set(statuses) <= {201, 503, 504}
    assert healed < HEALS_WITHIN
    assert gone > 0
