"""The database as the executors use it: collection objects made once, one deadline for each command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeVar, cast

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, BulkWriteError

from permission_mongo.errors import NoConnectionFree
from permission_mongo.hooks import Receiver
from permission_mongo.observations import Observation
from permission_mongo.portions import Portions, in_portions
from permission_mongo.schema.model import Keeping
from permission_mongo.shares import Sizes, tried_for
from permission_mongo.storage.audit_entries import AuditEntries
from permission_mongo.storage.chains import prune, thin
from permission_mongo.storage.decoding import document_of, documents_of
from permission_mongo.storage.faults import DUPLICATE
from permission_mongo.storage.idempotency import Answers
from permission_mongo.storage.insistence import Insistent
from permission_mongo.storage.jobs import Jobs
from permission_mongo.storage.layout import BATCHES, PARTS, VERSIONS
from permission_mongo.storage.outbox import Outbox
from permission_mongo.storage.people import People
from permission_mongo.storage.replies import RAW
from permission_mongo.storage.sequences import Sequences
from permission_mongo.storage.straight import Pipeline, Straight
from permission_mongo.storage.transactions import TURN, Transactor
from permission_mongo.values import CODEC, Document, DocumentId, MongoFilter
from permission_mongo.versions import DAY, Former, behind, with_end

T = TypeVar("T")
_SPARE: Final = 4  # connections for what asks without a turn: who is revoked, what a job's lease is, a ping
_SILENCE: Final = 0.25  # seconds that an answer may take on its way
# The ids decide: no time is spent on trying other indexes.
BY_ID: Final = [("_id", 1)]
# Whether a life has ended or not, as the index is led: `gone` is true or absent.
ANY_LIFE: Final = {"$in": [None, True]}
Life = tuple[Any, DocumentId]  # a tenant and an id: made again by another tenant, an id has a history of its own


class NumberTaken(Exception):
    """A record of this number is kept already, as after a writer beside the gateway."""


async def take_turn(slots: asyncio.Semaphore, seconds: float) -> None:
    """One of the slots, for the caller to release. NoConnectionFree after so many seconds: others hold all.

    They begin where the request began to wait for what tells how large its answer may be.
    """
    if not slots.locked():
        await slots.acquire()
        return
    try:
        async with asyncio.timeout(max(0.0, seconds - tried_for())):
            await slots.acquire()
    except TimeoutError as error:
        raise NoConnectionFree("MongoDB is busy just now") from error


class HeldTurn:
    """One of the slots while the block runs. NoConnectionFree after so many seconds without one."""

    __slots__ = ("_seconds", "_slots")

    def __init__(self, slots: asyncio.Semaphore, seconds: float) -> None:
        self._slots = slots
        self._seconds = seconds

    async def __aenter__(self) -> None:
        await take_turn(self._slots, self._seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.release()


class Bounded:
    """A read's turn and its deadline. NoConnectionFree after a second without a turn.

    Waiting here costs a third of waiting in the driver's pool, where it takes a task of its own.
    """

    def __init__(self, slots: asyncio.Semaphore, seconds: float) -> None:
        self._slots = slots
        self._timeout = Insistent(seconds)

    async def __aenter__(self) -> None:
        await take_turn(self._slots, TURN)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.release()
        await self._timeout.__aexit__(kind, error, trace)


class Rooms:
    """One database. `timeout` bounds each command and each transaction, in seconds; `connections` are all there are.

    Each has its user: within its deadline the driver would wait for one as long as that, and not for a second.
    """

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        database: str,
        timeout: float,
        connections: int,
        told_of_audit: Receiver | None = None,
        *,
        observe: Callable[[Observation], None] = lambda _: None,
    ) -> None:
        self.sizes = Sizes()
        free = max(connections - _SPARE, 0)
        # Of one command each, and of several with work in between. Neither keeps the other from having a turn.
        self._slots = asyncio.Semaphore(max(1, free * 3 // 5))
        self._long_slots = asyncio.Semaphore(max(1, free * 2 // 5))
        self._database = client.get_database(database, codec_options=CODEC)
        self.straight = Straight(client, self._database)
        self._live: dict[str, AsyncCollection[Document]] = {}
        self._raw: dict[str, AsyncCollection[RawBSONDocument]] = {}
        self.timeout = timeout
        self.max_time_ms = int(timeout * 1000)
        self.transactor = Transactor(client, database, observe, self.turn)
        self.versions = self._database[VERSIONS]
        self.batches = self._database[BATCHES]
        self.parts = self._database[PARTS]
        self.people = People(self._database, timeout)
        self.jobs = Jobs(self._database, timeout)
        self.outbox = Outbox(self._database, timeout)
        self.audit = AuditEntries(self._database, self.straight, self.outbox, told_of_audit)
        self.sequences = Sequences(self._database, timeout)
        self.answers = Answers(self._database, self.jobs, timeout)

    def live(self, name: str) -> AsyncCollection[Document]:
        found = self._live.get(name)
        if found is None:
            found = self._live[name] = self._database[name]
        return found

    def raw(self, name: str) -> AsyncCollection[RawBSONDocument]:
        """The same collection, its documents as the bytes stored."""
        found = self._raw.get(name)
        if found is None:
            raw = cast("AsyncCollection[Any]", self._database.get_collection(name, codec_options=RAW))
            found = self._raw[name] = raw
        return found

    async def first(self, name: str, match: MongoFilter) -> Document | None:
        """The one document that matches. As a plain command: the driver's cursor costs a fifth of a read."""
        command = {"find": name, "filter": match, "limit": 1, "singleBatch": True, "maxTimeMS": self.max_time_ms}
        async with self.bounded():
            try:
                answer = await self.straight.read(command)
            except AutoReconnect:
                # A new primary, or a connection that was closed: the driver repeats a find, and no command.
                return await self.live(name).find_one(match, max_time_ms=self.max_time_ms)
        self.sizes[name].saw(len(answer.raw), 1)
        rows: list[Document] = answer.read()["cursor"]["firstBatch"]
        return rows[0] if rows else None

    async def few(
        self, name: str, asked: Document, most: int, most_bytes: int
    ) -> tuple[list[Document] | Portions[Document], bool] | None:
        """At most `most` rows of a `find` and `most_bytes`, the first of any size, and whether there are more.

        By one command, within a turn; None where one answer does not tell. Sizes are known before anything is decoded,
        and of a large answer nothing is before it is shown.
        """
        # One beyond the limit, so that MongoDB sees that there is no more and keeps no cursor.
        command = {"find": name, **asked, "limit": most + 1, "batchSize": most + 2, "maxTimeMS": self.max_time_ms}
        try:
            answer = await self.straight.read(command)
        except AutoReconnect:
            return None  # a find is repeated by the driver, a command is not
        if answer.is_read and len(answer.raw) <= most_bytes:
            cursor = answer.read()["cursor"]
            found: list[Document] = cursor["firstBatch"]
            self.sizes[name].saw(len(answer.raw), len(found))
            if not cursor["id"]:
                return (found[:most], True) if len(found) > most else (found, False)
        cursor = answer.unread()["cursor"]
        rows: list[RawBSONDocument] = cursor["firstBatch"]
        self.sizes[name].saw(len(answer.raw), len(rows))
        await self._forget(name, cursor["id"])
        fitting = rows[: how_many_fit((len(row.raw) for row in rows), most_bytes)]
        if len(fitting) == len(rows) and cursor["id"]:
            return None
        shown = in_portions((bytes(row.raw) for row in fitting[:most]), documents_of)
        return shown, len(rows) > len(shown)

    async def _forget(self, name: str, cursor: int) -> None:
        if cursor:
            await self._database.command({"killCursors": name, "cursors": [cursor]})

    async def some(self, name: str, match: MongoFilter, most: int) -> dict[DocumentId, Document]:
        """Those of at most `most` documents that match, by id."""
        command = {"find": name, "filter": match, "hint": {"_id": 1}, "limit": most + 1, "batchSize": most + 2}
        async with self.bounded():
            try:
                answer = await self.straight.read({**command, "maxTimeMS": self.max_time_ms})
            except AutoReconnect:
                return await self._some_again(name, match, most)
            cursor = answer.read()["cursor"]
            if cursor["id"]:
                await self._forget(name, cursor["id"])
                return await self._some_again(name, match, most)
        rows: list[Document] = cursor["firstBatch"]
        self.sizes[name].saw(len(answer.raw), len(rows))
        return {row["_id"]: row for row in rows}

    async def _some_again(self, name: str, match: MongoFilter, most: int) -> dict[DocumentId, Document]:
        """By the driver's cursor: it finds a new primary, and answers of any size."""
        asked = self.live(name).find_raw_batches(match, hint=BY_ID, batch_size=most + 1, max_time_ms=self.max_time_ms)
        found: dict[DocumentId, Document] = {}
        async for batch in cast("AsyncIterator[bytes]", asked):
            rows = documents_of(batch)
            self.sizes[name].saw(len(batch), len(rows))
            found |= {row["_id"]: row for row in rows}
        return found

    async def keep(self, session: AsyncClientSession, records: list[Document], keeping: Keeping) -> None:
        """Store versions, and let those go that these make superfluous. NumberTaken if one has the number of another.

        By one plain command: within a transaction a bulk gives nothing more, and its work on each document is a tenth
        of a batch.
        """
        kept = (
            records if keeping.days is None else [with_end(one, keeping.days, keeping.deleted_days) for one in records]
        )
        if records:
            async with self.straight.pipelined(session) as pipeline:
                await self.keep_whole(pipeline, records[0]["collection"], kept)
        if keeping.differences:
            await thin(self.raw(VERSIONS), session, records)
        if keeping.most is not None:
            await prune(self.versions, session, records, keeping.most)

    async def keep_whole(self, pipeline: Pipeline, collection: str, records: Sequence[Any]) -> None:
        """Store versions of a collection's documents. NumberTaken if one has the number of another."""

        def take(answer: Document) -> None:
            errors = answer.get("writeErrors")
            if errors:
                raise NumberTaken if errors[0]["code"] == DUPLICATE else BulkWriteError(answer)
            self.transactor.note_kept(pipeline.session, collection, len(records))

        await pipeline.send({"insert": VERSIONS, "documents": records}, take)

    async def revive(
        self, session: AsyncClientSession, records: MongoFilter, keeping: Keeping, part: Any | None = None
    ) -> None:
        """These hold a deleted document's last content no longer, for it lives again: their end is the usual one.

        A `part` marks the transaction that it was.
        """
        marks: Document = {} if part is None else {"part": part}
        if keeping.days is not None:
            marks["expires"] = {"$add": ["$ended.at", keeping.days * DAY]}
        change: list[Document] = [*([{"$set": marks}] if marks else []), {"$unset": "gone"}]
        await self.versions.update_many({"$and": [records, {"gone": True}]}, change, session=session)

    async def alone(self, document: Document, stages: list[Document]) -> list[Document]:
        """What stages make of one document that is stored nowhere as it is."""
        raw = self._database.with_options(codec_options=cast("Any", RAW))
        found = await raw.aggregate([{"$documents": [{"$literal": document}]}, *stages])
        return [document_of(cast("RawBSONDocument", one).raw) for one in await found.to_list()]

    async def change(self, session: AsyncClientSession, name: str, updates: list[Document]) -> int:
        """How many rows the updates matched: by one plain command, as `keep`. BulkWriteError as of a bulk."""
        command = {"update": name, "updates": updates}
        answer = await self.straight.within(session, command)
        if answer.get("writeErrors"):
            raise BulkWriteError(answer)
        return int(answer["n"])

    async def renumbered(
        self, session: AsyncClientSession, collection: str, records: list[Document], keeping: Keeping
    ) -> list[Document]:
        """A row that somebody made again beside the gateway goes on behind its own last deletion."""
        lives = [(one["tenant_id"], one["doc_id"]) for one in records]
        former = await self.former(session, collection, lives, keeping)
        return [behind(one, former.get(life)) for one, life in zip(records, lives, strict=True)]

    async def insert(self, session: AsyncClientSession, name: str, documents: list[Any]) -> None:
        """Store documents that have ids, as `keep` does. BulkWriteError as of a bulk."""
        command = {"insert": name, "documents": documents}
        answer = await self.straight.within(session, command)
        if answer.get("writeErrors"):
            raise BulkWriteError(answer)

    async def former(
        self, session: AsyncClientSession, collection: str, lives: Iterable[Life], keeping: Keeping
    ) -> dict[Life, Former]:
        """Of those that lived before; their records are no longer marked as gone."""
        ids_of: dict[Any, list[DocumentId]] = {}
        for tenant, one in lives:
            ids_of.setdefault(tenant, []).append(one)
        # Each tenant with its own ids: those of one must not touch the records of another.
        alike = [
            {"collection": collection, "tenant_id": tenant, "gone": ANY_LIFE, "doc_id": {"$in": ids}}
            for tenant, ids in ids_of.items()
        ]
        earlier: Document = alike[0] if len(alike) == 1 else {"$or": alike}
        latest = {"number": {"$max": "$version"}, "ended": {"$max": "$ended.at"}}
        by_life = {"$group": {"_id": {"t": "$tenant_id", "d": "$doc_id"}, **latest}}
        found = await self.versions.aggregate([{"$match": earlier}, by_life], session=session)
        former = {(one["_id"].get("t"), one["_id"]["d"]): _former(one) async for one in found}
        if former:
            await self.revive(session, earlier, keeping)
        return former

    @property
    def database(self) -> AsyncDatabase[Document]:
        return self._database

    @property
    def longest(self) -> float:
        """Seconds after which a read is given up."""
        return self.timeout + _SILENCE

    def bounded(self) -> Bounded:
        """Bounds a read that also carries `max_time_ms`: that ends the work on the server, this a silent server.

        Cheaper than the driver's own deadline, which runs each write to the socket as a task.
        """
        return Bounded(self._slots, self.longest)

    def turn(self, seconds: float = TURN) -> HeldTurn:
        """That of a transaction, or of reads one behind the other. Within it none of its kind may be asked for.

        NoConnectionFree after so many seconds without one.
        """
        return HeldTurn(self._long_slots, seconds)

    def deadline(self, seconds: float | None = None) -> float:
        return monotonic() + (self.timeout if seconds is None else seconds)

    def left(self, deadline: float | None) -> float:
        """Seconds until then, and never none: what has no time left is to be refused as such."""
        return self.timeout if deadline is None else max(deadline - monotonic(), 0.001)

    async def ping(self) -> None:
        with pymongo.timeout(1.0):
            await self._database.command("ping")


def _former(latest: Document) -> Former:
    """The deletion took the number behind the last state's."""
    ended = latest["ended"]
    return Former(latest["number"] + 2, ended if isinstance(ended, datetime) else None)


def how_many_fit(sizes: Iterable[int], room: int, *, first: bool = True) -> int:
    """How many rows at the head fit into `room` bytes together, by the size of each; the `first` one in any case."""
    fitting = 0
    for size in sizes:
        room -= size
        if room < 0 and (fitting or not first):
            break
        fitting += 1
    return fitting
