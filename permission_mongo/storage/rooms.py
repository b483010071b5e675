"""The database as the executors use it: collection objects made once, one deadline for each command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Final, cast

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.audit import entry
from permission_mongo.batch import Batch
from permission_mongo.errors import Unavailable
from permission_mongo.plans import Actor, Target
from permission_mongo.storage.layout import AUDIT, BATCHES, VERSIONS
from permission_mongo.storage.transactions import Proof, Transactor
from permission_mongo.values import CODEC, Document, DocumentId

_TURN: Final = 1.0  # seconds that a read waits for its turn
_SILENCE: Final = 0.25  # seconds that an answer may take on its way
# The bytes stay as stored; the representation is for the filters and ids that are sent.
_RAW: CodecOptions[Any] = DEFAULT_RAW_BSON_OPTIONS.with_options(uuid_representation=CODEC.uuid_representation)
Life = tuple[Any, DocumentId]  # a tenant and an id: made again by another tenant, an id has a history of its own


class Bounded:
    """A read's turn and its deadline. Unavailable after a second without a turn: others hold every connection.

    Waiting here costs a third of waiting in the driver's pool, where it takes a task of its own.
    """

    def __init__(self, slots: asyncio.Semaphore, seconds: float) -> None:
        self._slots = slots
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        if self._slots.locked():
            try:
                async with asyncio.timeout(_TURN):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise Unavailable("MongoDB is busy just now") from error
        else:
            await self._slots.acquire()
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.release()
        await self._timeout.__aexit__(kind, error, trace)


class Rooms:
    """One database. `timeout` bounds each command and each transaction, in seconds; `slots` are the reads at once."""

    def __init__(self, client: AsyncMongoClient[Document], database: str, timeout: float, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._database = client.get_database(database, codec_options=CODEC)
        self._live: dict[str, AsyncCollection[Document]] = {}
        self._raw: dict[str, AsyncCollection[RawBSONDocument]] = {}
        self.timeout = timeout
        self.max_time_ms = int(timeout * 1000)
        self.transactor = Transactor(client, database)
        self.versions = self._database[VERSIONS]
        self.batches = self._database[BATCHES]
        self.audit = self._database[AUDIT]

    def live(self, name: str) -> AsyncCollection[Document]:
        found = self._live.get(name)
        if found is None:
            found = self._live[name] = self._database[name]
        return found

    def raw(self, name: str) -> AsyncCollection[RawBSONDocument]:
        """The same collection, its documents as the bytes stored."""
        found = self._raw.get(name)
        if found is None:
            raw = cast("AsyncCollection[Any]", self._database.get_collection(name, codec_options=_RAW))
            found = self._raw[name] = raw
        return found

    async def next_numbers(
        self, session: AsyncClientSession, collection: str, lives: Iterable[Life]
    ) -> dict[Life, int]:
        """The next free number of those that lived before; their records are no longer marked as gone."""
        ids_of: dict[Any, list[DocumentId]] = {}
        for tenant, one in lives:
            ids_of.setdefault(tenant, []).append(one)
        # Each tenant with its own ids: those of one must not touch the records of another.
        alike = [{"tenant_id": tenant, "doc_id": {"$in": ids}} for tenant, ids in ids_of.items()]
        earlier: Document = {"collection": collection, "$or": alike}
        by_life = {"$group": {"_id": {"t": "$tenant_id", "d": "$doc_id"}, "number": {"$max": "$version"}}}
        found = await self.versions.aggregate([{"$match": earlier}, by_life], session=session)
        # The deletion took the number behind the last state's.
        numbers = {(one["_id"].get("t"), one["_id"]["d"]): one["number"] + 2 async for one in found}
        if numbers:
            await self.versions.update_many({**earlier, "gone": True}, {"$unset": {"gone": ""}}, session=session)
        return numbers

    def bounded(self) -> Bounded:
        """Bounds a read that also carries `max_time_ms`: that ends the work on the server, this a silent server.

        Cheaper than the driver's own deadline, which runs each write to the socket as a task.
        """
        return Bounded(self._slots, self.timeout + _SILENCE)

    def deadline(self) -> float:
        return monotonic() + self.timeout

    async def ping(self) -> None:
        with pymongo.timeout(1.0):
            await self._database.command("ping")


class Ledger:
    """What a transaction writes beside its documents: its audit entry, and its part in the batch's record."""

    def __init__(self, rooms: Rooms, actor: Actor, target: Target, batch: Batch | None) -> None:
        self._rooms = rooms
        self._actor = actor
        self._target = target
        self._batch = batch

    def proof(self, part: Any) -> Proof:
        """How to tell afterwards whether the transaction `part` was committed."""
        if self._batch is not None:
            return Proof(BATCHES, {"_id": self._batch.id, "parts": part})
        return Proof(AUDIT, {"_id": part}) if self._target.audited else Proof(self._target.collection, {"_id": part})

    async def note(
        self,
        session: AsyncClientSession,
        part: Any,
        action: str,
        ids: list[DocumentId],
        *,
        kept: Mapping[str, list[DocumentId]] | None = None,
        reason: str | None = None,
    ) -> None:
        """`kept` are ids that the batch's record must remember, for an undo."""
        batch = self._batch
        if self._target.audited:
            of_batch = None if batch is None else batch.id
            written = entry(self._actor, action, self._target.collection, ids, of_batch, reason)
            await self._rooms.audit.insert_one({**written, "_id": part}, session=session)
        if batch is not None:
            await self._rooms.batches.update_one(
                {"_id": batch.id},
                self._batch_change(batch, part, action, len(ids), kept or {}),
                upsert=True,
                session=session,
            )

    def _batch_change(
        self, batch: Batch, part: Any, action: str, count: int, kept: Mapping[str, list[DocumentId]]
    ) -> Document:
        actor = self._actor
        first = {"collection": self._target.collection, "tenant_id": actor.tenant, "by": actor.subject, "at": actor.now}
        pushes: Document = {"parts": part, **{name: {"$each": ids} for name, ids in kept.items()}}
        return {
            "$setOnInsert": {**first, "reason": batch.reason},
            "$inc": {f"counts.{action}": count},
            "$push": pushes,
        }

    async def note_rehearsal(self, action: str, ids: list[DocumentId]) -> None:
        """A dry run wrote nothing, and is audited all the same."""
        if self._target.audited:
            written = entry(self._actor, f"{action} (dry run)", self._target.collection, ids)
            await self._rooms.audit.insert_one(written)
