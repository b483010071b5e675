"""Three `mongod` processes on this machine that elect a primary, and what can happen to them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pymongo
from pymongo.errors import AutoReconnect, PyMongoError
from pymongo.write_concern import WriteConcern

from permission_mongo.storage.mongod import find_mongod
from tests.faults.processes import die_with_parent

NAME = "faults"
PATIENCE = 60.0
# Told to a member, it takes over nothing from another until it is told otherwise; it still votes.
DEAF = "stopReplProducer"


@dataclass
class Member:
    folder: Path
    port: int
    child: subprocess.Popen | None = None
    more: str = ""  # of its options

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def client(self) -> Iterator[pymongo.MongoClient]:
        with pymongo.MongoClient(self.host, directConnection=True, serverSelectionTimeoutMS=2000) as found:
            yield found

    def start(self) -> None:
        """On its data, as they are; on the main thread, with which it ends."""
        words = f"--port {self.port} --bind_ip 127.0.0.1 --replSet {NAME} --quiet --nounixsocket --noscripting"
        words += f" --wiredTigerCacheSizeGB 0.25 --oplogSize 200 {self.more} --setParameter enableTestCommands=1"
        words += " --setParameter diagnosticDataCollectionEnabled=false"
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [str(find_mongod(None)), "--dbpath", str(self.folder), *words.split()],
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )

    def kill(self) -> None:
        """SIGKILL, as when a machine loses its power; nothing if it was killed before."""
        if self.child is not None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait(15)
            self.child = None

    def hello(self) -> dict:
        """What it says of itself; nothing while it does not answer."""
        try:
            with self.client() as client:
                return client.admin.command("hello")
        except PyMongoError:
            return {}

    @property
    def is_primary(self) -> bool:
        return bool(self.hello().get("isWritablePrimary"))

    @property
    def is_in_order(self) -> bool:
        said = self.hello()
        return bool(said.get("isWritablePrimary") or said.get("secondary"))

    def set_deaf(self, mode: str) -> int:
        """ "alwaysOn" or "off"; how often it met that before."""
        with self.client() as client:
            return client.admin.command("configureFailPoint", DEAF, mode=mode)["count"]

    def wait_until_deaf(self, before: int) -> None:
        with self.client() as client:
            client.admin.command({"waitForFailPoint": DEAF, "timesEntered": before + 1, "maxTimeMS": 20_000})


@dataclass
class ReplicaSet:
    members: list[Member] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(one.host for one in self.members)}/?replicaSet={NAME}"

    def primary(self) -> Member:
        """The member that takes writes; waits for an election."""
        return until(lambda: next((one for one in self.members if one.is_primary), None), "no member takes writes")

    def secondaries(self) -> list[Member]:
        primary = self.primary()
        return [one for one in self.members if one is not primary]

    def initiate(self) -> None:
        # Of one priority: none takes the place of another who is in order.
        members = [{"_id": n, "host": one.host} for n, one in enumerate(self.members)]
        settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
        until(lambda: all(one.hello() for one in self.members), "a member does not answer")
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", {"_id": NAME, "members": members, "settings": settings})
        self.wait()

    def wait(self) -> None:
        """Until every member follows the primary: one that was killed may first say that it does, and then go back."""
        until(lambda: all(one.is_in_order for one in self.members), "a member is not back")
        until(self._all_follow, "a member does not follow")

    def _all_follow(self) -> bool:
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=5000) as client, suppress(PyMongoError):
            everybody = WriteConcern(w=len(self.members), wtimeout=5000)
            client["beside"]["waits"].with_options(write_concern=everybody).insert_one({})
            return True
        return False

    def step_down(self) -> Member:
        """The primary gives up its place in good order; who it was."""
        primary = self.primary()
        with primary.client() as client, suppress(AutoReconnect):  # it closes connections on its way
            client.admin.command({"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 4})
        return primary

    @contextmanager
    def nobody_follows(self) -> Iterator[Member]:
        """The primary, of which no other takes over anything until the end; all stay in touch, and in their places."""
        primary, others = self.primary(), self.secondaries()
        try:
            met = [one.set_deaf("alwaysOn") for one in others]
            with primary.client() as client:
                # They notice when there is something to take over.
                client["beside"]["pokes"].with_options(write_concern=WriteConcern(1)).insert_one({})
            for one, before in zip(others, met, strict=True):
                one.wait_until_deaf(before)
            yield primary
        finally:
            for one in others:
                one.set_deaf("off")

    def kill_all(self) -> None:
        for one in self.members:
            one.kill()


def until(found: Callable[[], object], otherwise: str, patience: float = PATIENCE):
    """What `found` yields once that is something."""
    end = time.monotonic() + patience
    while not (result := found()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
    return result


@contextmanager
def a_replica_set(folder: Path) -> Iterator[ReplicaSet]:
    """Running, with a primary; no member outlives it, nor do their data."""
    members = [Member(folder / f"member-{n}", port) for n, port in enumerate(free_ports(3))]
    found = ReplicaSet(members)
    try:
        for one in members:
            one.folder.mkdir(parents=True)
            one.start()
        found.initiate()
        yield found
    finally:
        found.kill_all()
        if "FAULT_KEEP" not in os.environ:
            for one in members:
                shutil.rmtree(one.folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
