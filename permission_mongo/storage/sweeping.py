"""Bytes that nothing names any more, removed: no live document, and no version that is kept.

Each is looked for in one snapshot. What names no bytes there comes to name them by no way but an upload, which has
bytes of its own: a version that is restored was kept, and so was found. Bytes whose write may be under way are left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.blobs import Blob
from permission_mongo.ending import ended
from permission_mongo.observations import BlobsSwept, Observation
from permission_mongo.storage.blobs import Blobs
from permission_mongo.storage.chains import Chain
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.layout import BLOB_KEYS, VERSIONS
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.settings import COLLECTION as SETTINGS
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import lives_of

_LOG: Final = logging.getLogger("permission_mongo.blobs")
_NAME: Final = "blobs"  # of the lease
_EVERY: Final = 3600.0  # seconds from one sweep to the next, of all gateways together
_LOOK: Final = 300.0  # seconds between two looks whether it is time
_PATIENCE: Final = 8.0


class Sweeper:
    """`grace` are the seconds for which bytes stay that nothing names."""

    def __init__(self, rooms: Rooms, blobs: Blobs, grace: float, observe: Callable[[Observation], None]) -> None:
        self._rooms = rooms
        self._blobs = blobs
        self._keys = rooms.database[BLOB_KEYS]
        self._grace = grace
        self._observe = observe
        self._ending = asyncio.Event()

    async def sweep(self, now: datetime) -> int:
        """How many were removed, of those that came longer ago than the time of grace."""
        before = now - timedelta(seconds=self._grace)
        swept = 0
        async for row in self._keys.find({"at": {"$lt": before}}, sort=[("at", 1)]):
            if self._ending.is_set():
                break
            swept += await self._unless_named(row)
        self._observe(BlobsSwept(swept))
        return swept

    async def sweep_document(self, collection: str, one: DocumentId) -> int:
        """Of a document that was purged: at once, but for those whose write is under way."""
        rows = await self._keys.find({"collection": collection, "doc": one, "settled": True}).to_list()
        swept = sum([await self._unless_named(row) for row in rows])
        self._observe(BlobsSwept(swept))
        return swept

    async def _unless_named(self, row: Document) -> bool:
        with pymongo.timeout(self._rooms.timeout):
            if await self._is_named(row):
                return False
        await self._blobs.drop(row["_id"])
        return True

    async def _is_named(self, row: Document) -> bool:
        checksum = row.get("checksum")
        if checksum is None:
            return False  # its upload never came to its end
        client = self._rooms.database.client
        async with client.start_session(snapshot=True) as session:
            newer = {name: row[name] for name in ("collection", "doc", "field", "checksum")}
            newer |= {"settled": True, "_id": {"$ne": row["_id"]}, "at": {"$gt": row["at"]}}
            if await self._keys.find_one(newer, {"_id": 1}, session=session) is not None:
                return False  # the same bytes came again, and those are found
            live = self._rooms.database[row["collection"]]
            found = await live.find_one({"_id": row["doc"]}, {row["field"]: 1}, session=session)
            return _names(found, row) or await self._was_named(row, session)

    async def _was_named(self, row: Document, session: AsyncClientSession) -> bool:
        """By a version, whosever the document was then. One that can't be put together counts: it is not known."""
        chain = Chain()
        match = lives_of(row["collection"], row["doc"])
        async for record in self._rooms.raw(VERSIONS).find(match, sort=[("_id", -1)], session=session):
            content = chain.content(record)
            if content is None or _names(document_of(content), row):
                return True
        return False

    # -- behind the requests

    @asynccontextmanager
    async def at_work(self, clock: Callable[[], datetime]) -> AsyncIterator[None]:
        """Meanwhile it is done now and then, by one gateway of all."""
        task = asyncio.create_task(self._go_on(clock))
        try:
            yield
        finally:
            self._ending.set()
            await ended([task], _PATIENCE)

    async def _go_on(self, clock: Callable[[], datetime]) -> None:
        while not await self._ended_within(_LOOK):
            try:
                if await self._is_time():
                    await self.sweep(clock())
            except Exception as error:
                # A server that is away, or a defect: what is left is swept the next time.
                _LOG.error("blobs could not be swept: %s", type(error).__name__)

    async def _ended_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    async def _is_time(self) -> bool:
        """Whether this gateway is the one to do it now; then no other is for as long as lies between two sweeps."""
        settings = self._rooms.database[SETTINGS]
        due = {"_id": _NAME, "$expr": {"$lte": ["$until", "$$NOW"]}}
        taken: Any = [{"$set": {"until": {"$add": ["$$NOW", int(_EVERY * 1000)]}}}]
        first: Any = [{"$set": {"until": {"$ifNull": ["$until", "$$NOW"]}}}]
        with pymongo.timeout(_PATIENCE):
            await settings.update_one({"_id": _NAME}, first, upsert=True)
            return (await settings.update_one(due, taken)).modified_count > 0


def _names(document: Document | None, row: Document) -> bool:
    blob = None if document is None else Blob.of(document.get(row["field"]))
    return blob is not None and blob.checksum == row["checksum"]
