"""Audit entries of what writes nothing: refusals, and reads where they are asked for.

They are noted in memory and stored by a task of its own, so that no caller waits for one. What is lost is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Final

import pymongo
from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError, PyMongoError

from permission_mongo.ending import ended
from permission_mongo.observations import AuditDropped, Observation
from permission_mongo.storage.audit_entries import AuditEntries
from permission_mongo.values import Document

_LOG: Final = logging.getLogger("permission_mongo.audit")
MOST_WAITING: Final = 5_000
MOST_OF_ONE: Final = 50  # refusals a second of one caller that are kept
_AT_ONCE: Final = 500
_GATHER: Final = 0.1  # seconds that entries wait for others
_PATIENCE: Final = 5.0  # seconds for one command
_LONGEST_PAUSE: Final = 5.0
_TO_END: Final = 3.0
# An entry must come to be seen soon after its id was made, or no seal would look for it any more.
_STALE: Final = 30.0


class Trail:
    """What waits to be stored. `observe` is told of what is lost."""

    def __init__(self, entries: AuditEntries, observe: Callable[[Observation], None]) -> None:
        self._entries = entries
        self._observe = observe
        self._waiting: deque[Document] = deque()
        self._storing: list[Document] = []
        self._since = monotonic()
        self._of_one: Counter[tuple[str | None, str]] = Counter()
        self._second = 0
        self.most_of_one = MOST_OF_ONE
        self._come = asyncio.Event()
        self._ending = False
        self._at_once = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    # -- noted

    def add(self, entry: Document) -> None:
        """Keep an entry for storing. It takes no time that a caller would feel, and never fails."""
        if len(self._waiting) >= MOST_WAITING:
            self._observe(AuditDropped("full", 1))
            return
        self._waiting.append({"_id": ObjectId(), **entry})
        self._idle.clear()
        self._come.set()

    def add_refusal(self, entry: Document) -> None:
        """The same, and of one caller only so many a second: a flood must not drive out what others did."""
        second = int(monotonic())
        if second != self._second:
            self._second = second
            self._of_one.clear()
        who = (entry["tenant_id"], entry["user_id"])
        self._of_one[who] += 1
        if self._of_one[who] > self.most_of_one:
            self._observe(AuditDropped("flood", 1))
            return
        self.add(entry)

    # -- stored

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Meanwhile entries are stored; at the end those that wait, if MongoDB takes them within some seconds."""
        task = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            self._ending = True
            self._at_once.set()
            self._come.set()
            await ended([task], _TO_END)
            lost = len(self._waiting) + len(self._storing)
            if lost:
                _LOG.error("%d audit entries of refusals and reads are lost: MongoDB took no more", lost)
                self._observe(AuditDropped("failed", lost))

    async def settled(self) -> None:
        """Until all that was noted is stored: it does not wait for others any more."""
        if not self._idle.is_set():
            self._at_once.set()
        await self._idle.wait()

    async def _go_on(self) -> None:
        pause = _GATHER
        while True:
            await self._come.wait()
            await self._pause(pause)
            try:
                await self._store_some()
                pause = _GATHER
            except Exception as error:
                # The entries stay, and are tried again; above the bound new ones are dropped, and counted.
                _LOG.warning("audit entries wait to be stored: %s", type(error).__name__)
                pause = min(pause * 2, _LONGEST_PAUSE) if not self._ending else 2 * _GATHER
            if not (self._waiting or self._storing):
                self._come.clear()
                self._idle.set()
                if self._ending:
                    return
                self._at_once.clear()

    async def _pause(self, pause: float) -> None:
        """At the end nothing is waited for any more but a server that is away."""
        if pause > _GATHER:
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), pause)

    async def _store_some(self) -> None:
        if not self._storing:
            self._storing = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            self._since = monotonic()
        if not self._storing:
            return
        if monotonic() - self._since > _STALE:
            self._storing = [{**one, "_id": ObjectId()} for one in self._storing]
            self._since = monotonic()
        with pymongo.timeout(_PATIENCE):
            try:
                await self._entries.stored.insert_many(self._storing, ordered=False)
            except BulkWriteError as error:
                self._left(error)
            await self._entries.tell(self._storing)
        self._storing = []

    def _left(self, error: BulkWriteError) -> None:
        """Those that are there already came with an attempt whose answer was lost; others can never be stored."""
        refused: list[Any] = [one for one in (error.details or {}).get("writeErrors", []) if one.get("code") != 11000]
        if (error.details or {}).get("writeConcernErrors"):
            raise PyMongoError("not yet confirmed")
        if refused:
            _LOG.error("%d audit entries can't be stored: code %s", len(refused), refused[0].get("code"))
            self._observe(AuditDropped("failed", len(refused)))
