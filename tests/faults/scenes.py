"""A gateway that is asked everything at once while its server is slow or silent, and what it owes its callers then."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from tests.faults.begun import Begun
from tests.faults.processes import Asked, GatewayProcess
from tests.faults.writes import WRITES, Write

LONG = "FAULT_LONG" in os.environ
LIMIT = 1.0
# What is promised beyond the limit; beside other tests the machine takes its time.
BEYOND = 0.5 if LONG else 1.5
# A commit that was under way is looked after: once more, and whether it took place.
IN_DOUBT = 2.5
HEALS_WITHIN = 2.0 if LONG else 4.0
READS = {
    "get": ("GET", "/notes/there", None),
    "list": ("GET", "/notes", None),
    "count": ("POST", "/notes/count", {"filter": {"title": "t"}}),
    "get many": ("POST", "/notes/batch/get", {"ids": ["there"]}),
    "versions": ("GET", "/notes/there/versions", None),
    "deleted": ("GET", "/notes/deleted", None),
    "jobs": ("GET", "/_pm/jobs", None),
}


@dataclass
class Scene:
    database: Database
    gateway: GatewayProcess

    def ready(self) -> list[Begun]:
        """Every kind of write, ready to be sent; who is revoked was looked for just now."""
        writes = [self._prepared(one) for one in WRITES]
        self.gateway.ask(*READS["get"])
        return writes

    def _prepared(self, write: Write) -> Begun:
        """What it needs is made within the same short limit: where the machine is busy, by another try."""
        for _ in range(4):
            with suppress(AssertionError):
                return Begun(self.gateway, write, keyed=True)
        return Begun(self.gateway, write, keyed=True)

    def send(self, writes: list[Begun]) -> list[Asked]:
        """The writes and every kind of read at once, to their ends."""
        begun = [one.send(self.gateway) for one in writes]
        reads = self.read()
        for one in begun:
            one.end()
        return reads

    def read(self) -> list[Asked]:
        """Every kind of read at once, to their ends."""
        reads = [Asked(self.gateway, body, (method, path)) for method, path, body in READS.values()]
        for one in reads:
            one.end()
        return reads

    def heals_after(self) -> float:
        """Seconds until reads and writes are served again."""
        began = time.monotonic()
        while True:
            told = [self.gateway.ask(*READS["get"])[0], self.gateway.ask("POST", "/notes", {"title": "again"})[0]]
            if told == [200, 201]:
                return time.monotonic() - began
            assert time.monotonic() - began < 30, told


def late(writes: list[Begun], reads: list[Asked]) -> list[tuple[object, float]]:
    """Who was answered later than is promised, and how late."""
    told = [(one.write.name, one.seconds, IN_DOUBT) for one in writes]
    told += [(name, one.seconds, BEYOND) for name, one in zip(READS, reads, strict=True)]
    return [(name, round(seconds, 2)) for name, seconds, beyond in told if seconds > LIMIT + beyond]


def answered_again(one: Begun, gateway: GatewayProcess) -> tuple[int, Any]:
    """Asked again for as long as the first one is told to be on its way."""
    until = time.monotonic() + 60
    while True:
        again = one.send(gateway).end()
        assert again is not None
        if again[0] != 409 or "is on its way" not in str(again[1]) or time.monotonic() > until:
            return again
        time.sleep(0.2)


def send_again(scene: Scene, writes: list[Begun]) -> None:
    for one in writes:
        again = answered_again(one, scene.gateway)
        assert (again[0] in (200, 201), one.effects(scene.database)) == (True, 1), (again, one.told(scene.database))
