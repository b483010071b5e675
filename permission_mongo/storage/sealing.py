"""The sealer: one gateway at a time looks each second for audit entries that are in no seal, and seals them.

Entries are made by transactions, so one may be seen later than younger ones. None is later than `Sealer.latest` after
its id was made; that far back each full look goes, behind the moment of the full look before it. What decides a chain
is the `_id` of its seals: of two gateways that take themselves for the sealer one meets a seal that is there already,
and begins anew with what the other has sealed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

import pymongo
from bson.objectid import ObjectId
from pymongo.asynchronous.cursor import AsyncRawBatchCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from permission_mongo.ending import ended
from permission_mongo.observations import AuditSealed, Observation, SealingFailed
from permission_mongo.seals import ID, MOST_IN_ONE, Head, Seal, digest_of, sealed, seals_of
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.faults import duplicate_index
from permission_mongo.storage.layout import AUDIT, SEALS
from permission_mongo.storage.settings import COLLECTION as SETTINGS
from permission_mongo.values import Document

_LOG: Final = logging.getLogger("permission_mongo.audit")
NAME: Final = "audit sealer"  # its record among the settings: who seals, until when, and how far all is sealed
PAUSE: Final = 1.0  # seconds between two looks
_LEASE: Final = 15.0  # seconds
_SHORT: Final = timedelta(seconds=5)  # how far back the looks in between go
_FULL_EVERY: Final = 15  # looks
_PATIENCE: Final = 10.0  # seconds for one command
_SETTLING: Final = 120.0  # seconds: a transaction that a server still holds, and clocks that differ
_MOST_HEADS: Final = 10_000
_AT_ONCE: Final = 1_000  # entries read together
_LONG: Final = 4096  # bytes of an entry
_ID_AT: Final = 9  # where the value of `_id`, which is stored first, begins in a document
_ROW: Final = 22  # bytes of `{_id: ObjectId}` as BSON
Found = dict[str | None, list[tuple[bytes, bytes]]]  # by tenant: ids and digests


class Forked(Exception):
    """Another gateway has sealed meanwhile."""


def latest_of(query_timeout: float) -> timedelta:
    """How long after its id was made an entry can come to be seen."""
    return timedelta(seconds=query_timeout + _SETTLING)


@dataclass(slots=True)
class _Known:
    """What the holder of the lease knows: the moment, how far all is sealed, which ids are since, the last seals."""

    now: datetime
    since: datetime
    swept: datetime
    ids: set[bytes] = field(default_factory=set)
    heads: dict[str | None, Head | None] = field(default_factory=dict)
    looks: int = 0
    prolonged: float = 0.0  # a `time.monotonic()` moment
    is_quiet: bool = False  # the look before this one found nothing to seal


class Sealer:
    """One process's part in it. `latest` as of `latest_of`; `ttl` is the age at which entries are removed."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        holder: str,
        latest: timedelta,
        ttl: float | None,
        observe: Callable[[Observation], None],
    ) -> None:
        # What is sealed must not be rolled back.
        self._entries = database.get_collection(AUDIT, read_concern=ReadConcern("majority"))
        self._seals = database.get_collection(SEALS, read_concern=ReadConcern("majority"))
        self._settings = database[SETTINGS]
        self._holder = holder
        self._latest = latest
        self._ttl = ttl
        self._observe = observe
        self._known: _Known | None = None
        self._ending = asyncio.Event()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Meanwhile entries are sealed, here or by another gateway."""
        task = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            self._ending.set()
            await ended([task], _PATIENCE)

    async def _go_on(self) -> None:
        pause = PAUSE
        while not await self._ended_within(pause):
            try:
                pause = await self.look()
            except Forked:
                self._known, pause = None, PAUSE
            except Exception as error:
                # A server that is away, or a defect: the writes are not its concern, and the next look makes up for it.
                _LOG.error("audit entries could not be sealed: %s", type(error).__name__)
                self._observe(SealingFailed())
                self._known, pause = None, PAUSE
        with suppress(PyMongoError):
            await self._release()

    async def _ended_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    async def look(self, *, full: bool = False) -> float:
        """Seal what is in no seal, if this process is the one to do it. Seconds until the next look."""
        with pymongo.timeout(_PATIENCE):
            if not full and await self._has_nothing_to_do():
                return PAUSE
            known = await self._held()
        if known is None:
            return _LEASE / 3
        if full or known.looks % _FULL_EVERY == 0:
            await self._all(known)
        else:
            await self._from(known, known.now - _SHORT)
        known.looks += 1
        return PAUSE

    async def _has_nothing_to_do(self) -> bool:
        """Behind a look that found nothing a short one may read alone: the lease holds for a while without a write."""
        known = self._known
        if known is None or not known.is_quiet or known.looks % _FULL_EVERY == 0:
            return False
        if time.monotonic() - known.prolonged >= _LEASE / 3:
            return False
        async for batch in self._ids_from(known.now - _SHORT):
            if not known.ids.issuperset(ids_in(batch)):
                return False
        known.looks += 1
        return True

    # -- the lease

    async def _held(self) -> _Known | None:
        """Prolonged, or taken if nobody has it; None if another one does.

        Each look that may seal begins with this write, confirmed by a majority: what is read behind it is all that was
        committed before. So the moment of a full look tells that what came to be seen earlier is sealed.
        """
        known, asked = self._known, time.monotonic()
        swept: Any = "$swept" if known is None else known.swept
        if known is None:
            await self._settings.update_one({"_id": NAME}, [{"$set": _FIRST}], upsert=True)
        change = {
            "holder": {"$literal": self._holder},
            "until": {"$add": ["$$NOW", int(_LEASE * 1000)]},
            "now": "$$NOW",
            "swept": swept,
        }
        mine = {"$or": [{"$eq": ["$holder", {"$literal": self._holder}]}, {"$lte": ["$until", "$$NOW"]}]}
        found = await self._settings.find_one_and_update(
            {"_id": NAME, "$expr": mine}, [{"$set": change}], return_document=pymongo.ReturnDocument.AFTER
        )
        if found is None:
            self._known = None
        elif known is None:
            self._known = await self._begun(found)
        else:
            known.now = found["now"]
        if self._known is not None:
            self._known.prolonged = asked
        return self._known

    async def _begun(self, found: Document) -> _Known:
        """With the ids that are sealed already, of those that a look can meet."""
        known = _Known(found["now"], found["since"], found["swept"])
        first = ObjectId.from_datetime(known.swept - self._latest)
        async for seal in self._seals.find({"last": {"$gte": first}}, {"ids": 1}, batch_size=100):
            known.ids.update(_cut(bytes(seal["ids"])))
        return known

    async def _release(self) -> None:
        if self._known is not None:
            with pymongo.timeout(PAUSE):
                mine = {"_id": NAME, "holder": self._holder}
                await self._settings.update_one(mine, [{"$set": {"until": "$$NOW", "swept": self._known.swept}}])

    # -- looking

    async def _all(self, known: _Known) -> None:
        """Everything that can have come to be seen since the last time; older ids are forgotten."""
        moment = known.now
        await self._from(known, known.swept - self._latest)
        # Not only what this look met: `_meet` learns of what another one has sealed behind the look's back.
        oldest = ObjectId.from_datetime(moment - self._latest).binary
        known.ids = {one for one in known.ids if one >= oldest}
        known.swept = moment

    async def _from(self, known: _Known, start: datetime) -> None:
        """Seal what has an id from `start` on and is in no seal."""
        known.is_quiet = True
        async for batch in self._ids_from(start):
            new = [one for one in ids_in(batch) if one not in known.ids]
            known.is_quiet = known.is_quiet and not new
            for n in range(0, len(new), MOST_IN_ONE):
                await self._seal(known, new[n : n + MOST_IN_ONE])

    def _ids_from(self, start: datetime) -> AsyncRawBatchCursor[Document]:
        """By the index of the ids alone, and in their bytes: a full look meets some minutes' entries again."""
        ids = {"_id": {"$gte": ObjectId.from_datetime(start)}}
        return self._entries.find_raw_batches(ids, {"_id": 1}, sort=[("_id", 1)], batch_size=5000)

    async def _seal(self, known: _Known, ids: list[bytes]) -> None:
        """Each tenant's in a seal of its own."""
        with pymongo.timeout(_PATIENCE):
            found = await self._read(ids)
            made = [await self._next(known, tenant, entries) for tenant, entries in found.items()]
            seals = [one for one in made if one is not None]
            if not seals:
                return
            try:
                await self._seals.insert_many([one.stored() for one in seals], ordered=False)
            except BulkWriteError as error:
                if duplicate_index(error) is None:
                    raise
                raise Forked from error
        for one in seals:
            known.heads[one.tenant] = one.head
            known.ids.update(one.ids)
        self._observe(AuditSealed(sum(len(one.ids) for one in seals)))

    async def _read(self, ids: list[bytes]) -> Found:
        """The entries as they are stored, in digests."""
        found: Found = {}
        long: dict[bytes, bytes] = {}
        for n in range(0, len(ids), _AT_ONCE):
            wanted = [ObjectId(one) for one in ids[n : n + _AT_ONCE]]
            async for batch in self._entries.find_raw_batches({"_id": {"$in": wanted}}, batch_size=200):
                for raw in documents_in(batch):
                    if len(raw) > _LONG:
                        long[raw[_ID_AT : _ID_AT + ID]] = digest_of(raw)
                    else:
                        entry = document_of(raw)
                        found.setdefault(tenant_of(entry), []).append((entry["_id"].binary, digest_of(raw)))
        await self._add_long(found, long)
        return found

    async def _add_long(self, found: Found, long: dict[bytes, bytes]) -> None:
        """Digests of entries of batches: to ask for their tenants takes less than to decode all that they list."""
        if not long:
            return
        wanted = {"_id": {"$in": [ObjectId(one) for one in long]}}
        async for entry in self._entries.find(wanted, {"tenant_id": 1}):
            one = entry["_id"].binary
            found.setdefault(tenant_of(entry), []).append((one, long[one]))

    async def _next(self, known: _Known, tenant: str | None, entries: list[tuple[bytes, bytes]]) -> Seal | None:
        """The tenant's next seal; None where all of these are sealed already."""
        if tenant not in known.heads:
            await self._meet(known, tenant)
        new = [one for one in entries if one[0] not in known.ids]
        gone = None if self._ttl is None else known.now - timedelta(seconds=self._ttl)
        return sealed(tenant, known.heads[tenant], known.now, (known.since, gone, known.swept), new) if new else None

    async def _meet(self, known: _Known, tenant: str | None) -> None:
        """The last seal of a tenant, and only then what is sealed up to it.

        So whoever makes seal n has seen all before it, and an entry comes to be in no two of them.
        """
        if len(known.heads) >= _MOST_HEADS:
            known.heads.clear()
        last = await self._seals.find_one(seals_of(tenant), _HEAD, sort=[("_id", -1)])
        if last is not None:
            first = ObjectId.from_datetime(known.swept - self._latest)
            async for seal in self._seals.find({"last": {"$gte": first}, **seals_of(tenant)}, {"ids": 1}):
                known.ids.update(_cut(bytes(seal["ids"])))
        known.heads[tenant] = None if last is None else head_of(last)


_HEAD: Final = {"hash": 1, "since": 1, "gone": 1}
_FIRST: Final = {
    "since": {"$ifNull": ["$since", "$$NOW"]},
    "swept": {"$ifNull": ["$swept", "$$NOW"]},
    "until": {"$ifNull": ["$until", "$$NOW"]},
}


def head_of(stored: Document) -> Head:
    return Head(stored["_id"]["n"], bytes(stored["hash"]), stored["since"], stored["gone"])


def tenant_of(entry: Document) -> str | None:
    """In whose chain an entry is sealed."""
    tenant = entry.get("tenant_id")
    return tenant if isinstance(tenant, str) else None


def documents_in(answered: Any) -> Iterator[bytes]:
    """The single documents of a raw answer, as they are stored."""
    batch, n = cast("bytes", answered), 0
    while n < len(batch):
        size = int.from_bytes(batch[n : n + 4], "little")
        yield batch[n : n + size]
        n += size


def ids_in(answered: Any) -> Iterator[bytes]:
    """The ids in a raw answer of `{_id: ObjectId}` alone."""
    batch = cast("bytes", answered)
    return (batch[n + _ID_AT : n + _ID_AT + ID] for n in range(0, len(batch), _ROW))


def _cut(ids: bytes) -> Iterator[bytes]:
    return (ids[n : n + ID] for n in range(0, len(ids), ID))
