"""Batch delete: the write first, then the rows read outside the transaction, then their versions, then the commit.

What the transaction has removed nobody else can commit to, so the last committed state, read outside it, is exactly
what was removed; as many rows as removals means that they are the same. Reading first and deleting second would lose
what a writer changes in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pymongo
from bson import decode
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from permission_mongo.batch import quarters, without
from permission_mongo.errors import Conflict, DocumentNotFound, Forbidden, InvalidRequest, PayloadTooLarge, Refusal
from permission_mongo.outcomes import BatchOutcome, Failure, Item
from permission_mongo.plans import Actor, DeletePlan
from permission_mongo.storage.faults import told_or_raised
from permission_mongo.storage.ledger import Ledger, Traces
from permission_mongo.storage.rooms import BY_ID, NumberTaken, Rooms
from permission_mongo.storage.transactions import Body, Contended, Late, Lost, Raced
from permission_mongo.values import CODEC, Document, DocumentId
from permission_mongo.versions import LARGEST, made, number_of, record, renumbered

# Only read beside the bytes that are kept: text that another driver stored badly must not stop a deletion.
_LENIENT: Final = CODEC.with_options(unicode_decode_error_handler="replace")
_Part = tuple[list[DocumentId], list[DocumentId]]  # removed, and visible but refused
_PIECE: Final = 250  # rows read ahead
_TRIES: Final = 2  # of a part, before it is split
_TRIES_OF_ONE: Final = 12


class _TooMuch(Exception):
    """More bytes than one transaction may hold."""


class _Incomplete(Exception):
    """An atomic batch met rows it can't remove."""

    def __init__(self, refused: list[DocumentId], missing: list[DocumentId]) -> None:
        super().__init__()
        self.refused = refused
        self.missing = missing


@dataclass(slots=True)
class _Progress:
    done: list[DocumentId] = field(default_factory=list)
    refused: list[DocumentId] = field(default_factory=list)
    contended: list[Failure] = field(default_factory=list)
    stopped: Refusal | None = None


def _itself(outcome: BatchOutcome) -> BatchOutcome:
    return outcome


async def delete_many(
    plan: DeletePlan, actor: Actor, rooms: Rooms, told: Callable[[BatchOutcome], BatchOutcome] = _itself
) -> BatchOutcome:
    """Remove the plan's rows, chunk by chunk; what one transaction did stays done if a later one fails.

    `told` is what the caller is told of it, where the deletion is part of something else.
    """
    deletion = _Deletion(plan, actor, rooms, told)
    await deletion.run()
    return deletion.outcome()


class _Deletion:
    """One batch on its way."""

    def __init__(
        self, plan: DeletePlan, actor: Actor, rooms: Rooms, told: Callable[[BatchOutcome], BatchOutcome]
    ) -> None:
        self._plan = plan
        self._told = told
        self._rooms = rooms
        self._ended = made("delete", actor.subject, actor.now, plan.batch.reason, plan.batch.id)
        self._ledger = Ledger(rooms, actor, plan.target, plan.batch)
        self._progress = _Progress()

    async def run(self) -> None:
        plan = self._plan
        if plan.match.is_empty and plan.visible.is_empty:
            return
        if plan.expected is not None:
            await self._require_at_most(plan.match.among(plan.expected))
            for n in range(0, len(plan.expected), plan.target.chunk):
                end = n + plan.target.chunk
                await self._parts(list(plan.expected[n:end]), last=end >= len(plan.expected))
                if self._progress.stopped is not None:
                    break
        else:
            await self._require_at_most(plan.match.filter)
            await self._chunks()
        if plan.batch.dry_run:
            await self._ledger.note_rehearsal("delete", self._progress.done)

    def outcome(self) -> BatchOutcome:
        return self._outcome(self._progress)

    def _outcome_with(self, part: _Part) -> BatchOutcome:
        """What the caller is told if the work ends with this part."""
        done = [*self._progress.done, *part[0]]
        return self._told(
            self._outcome(replace(self._progress, done=done, refused=[*self._progress.refused, *part[1]]))
        )

    def _outcome(self, progress: _Progress) -> BatchOutcome:
        plan = self._plan
        failures = [Failure(_forbidden(plan), id=one) for one in progress.refused] + progress.contended
        settled = [*progress.done, *(one.id for one in failures if one.id is not None)]
        missing = () if plan.expected is None or progress.stopped else without(plan.expected, settled)
        wrote = bool(progress.done) and not plan.batch.dry_run
        return BatchOutcome(
            "deleted",
            tuple(progress.done),
            missing,
            tuple(failures),
            batch=plan.batch.id if wrote else None,
            dry_run=plan.batch.dry_run,
            stopped=progress.stopped,
            results=self._results(progress, failures) if plan.batch.results else None,
        )

    def _results(self, progress: _Progress, failures: list[Failure]) -> tuple[Item, ...]:
        done = set(progress.done)
        refusals = {one.id: one.refusal for one in failures}

        def item(one: DocumentId) -> Item:
            if one in done:
                return Item(one, "deleted")
            refusal = refusals.get(one) or progress.stopped
            return Item(one, "not_found") if refusal is None else Item(one, refusal.code, refusal)

        met = [*progress.done, *(one.id for one in failures if one.id is not None)]
        return tuple(item(one) for one in self._plan.expected or met)

    async def _require_at_most(self, match: Document) -> None:
        most = self._plan.batch.max_affected
        if most is None or self._plan.match.is_empty:
            return
        with pymongo.timeout(self._rooms.timeout):
            found = await self._live().count_documents(match, limit=most + 1)
        if found > most:
            raise InvalidRequest(f"more than {most} documents match; nothing was deleted", matched_at_least=found)

    def _live(self) -> pymongo.asynchronous.collection.AsyncCollection[Document]:
        return self._rooms.live(self._plan.target.collection)

    # -- filter mode

    async def _chunks(self) -> None:
        """Chunk after chunk in id order, each id above the chunk before: no document is met twice."""
        after: DocumentId | None = None
        while self._progress.stopped is None and not self._plan.match.is_empty:
            ids = await self._next_ids(after)
            if not ids:
                return
            if self._plan.batch.atomic and after is None and len(ids) > self._plan.target.chunk:
                raise InvalidRequest("'atomic' is for at most one chunk", max_batch_size=self._plan.target.chunk)
            chunk = ids[: self._plan.target.chunk]
            last = len(ids) <= self._plan.target.chunk
            await self._parts(chunk, last=last)
            if last:
                return
            after = chunk[-1]

    async def _next_ids(self, after: DocumentId | None) -> list[DocumentId]:
        # An object can be an id to MongoDB, and no caller can name one: such a row stays.
        match = self._plan.match.also({"_id": {"$not": {"$type": "object"}}})
        limit = self._plan.target.chunk + 2
        found = self._live().find(match, {"_id": 1}, sort=[("_id", 1)], limit=limit, batch_size=limit + 1)
        if after is not None:
            # A bound on the index goes on across types of ids, where `$gt` would stop at the end of one.
            least: list[Any] = [("_id", after)]
            found = found.hint([("_id", 1)]).min(least)
        with pymongo.timeout(self._rooms.timeout):
            rows = await found.to_list()
        rows = [row for row in rows if row["_id"] != after or type(row["_id"]) is not type(after)]
        return [row["_id"] for row in rows]

    # -- transactions

    async def _parts(self, ids: list[DocumentId], *, last: bool) -> None:
        """One transaction, or, after a conflict or too many bytes, several smaller ones. `last`: no ids come after."""
        waiting: list[Sequence[DocumentId]] = [ids]
        while waiting:
            part = waiting.pop(0)
            try:
                await self._part(part, final=last and not waiting)
            except _Incomplete as incomplete:
                raise _first_refusal(self._plan, incomplete) from None
            except (Contended, _TooMuch) as error:
                if self._plan.batch.atomic:
                    raise _whole_refusal(error) from error
                if len(part) > 1:
                    waiting = [*quarters(part), *waiting]
                else:
                    self._progress.contended.append(Failure(_whole_refusal(error), id=part[0]))
            except (PyMongoError, Late, Lost, InvalidRequest) as error:
                self._progress.stopped = told_or_raised(error, after_some=bool(self._progress.done))
                return

    async def _part(self, ids: Sequence[DocumentId], *, final: bool, renumber: bool = False) -> None:
        batch = self._plan.batch
        part = ObjectId()
        body: Body[_Part] = lambda session: self._body(session, ids, part, renumber)  # noqa: E731
        tries = 10_000 if batch.atomic else _TRIES if len(ids) > 1 else _TRIES_OF_ONE
        try:
            removed, refused = await self._rooms.transactor.run(
                self._ledger.once(body, self._outcome_with, final=final),
                deadline=self._rooms.deadline(),
                proof=self._ledger.proof(part),
                attempts=tries,
                commit=not batch.dry_run,
            )
        except NumberTaken as error:
            # Go on behind the highest kept.
            if renumber:
                raise Contended from error
            return await self._part(ids, final=final, renumber=True)
        self._progress.done += removed
        self._progress.refused += refused
        return None

    async def _body(
        self, session: AsyncClientSession, ids: Sequence[DocumentId], part: ObjectId, renumber: bool
    ) -> _Part:
        plan = self._plan
        removed, records = await self._remove(session, ids, renumber)
        refused: list[DocumentId] = []
        rest = without(ids, removed)
        if rest and plan.expected is not None and not plan.visible.is_empty:
            found = self._live().find(plan.visible.among(rest), {"_id": 1}, session=session)
            refused = [row["_id"] for row in await found.to_list()]
        self._require_few_enough(len(removed))
        if rest and plan.batch.atomic and plan.expected is not None:
            raise _Incomplete(refused, list(without(rest, refused)))
        if removed:
            await self._ledger.note(session, part, "delete", removed, Traces(records=records))
        return removed, refused

    def _require_few_enough(self, more: int) -> None:
        """Counted again as it happens: rows that match may have come since the first look."""
        most = self._plan.batch.max_affected
        if most is not None and len(self._progress.done) + more > most:
            raise InvalidRequest(f"more than {most} documents match", matched_at_least=most + 1)

    async def _remove(
        self, session: AsyncClientSession, ids: Sequence[DocumentId], renumber: bool
    ) -> tuple[list[DocumentId], list[Document]]:
        """The ids of the rows removed, and of the versions that keep them."""
        if self._plan.match.is_empty:
            return [], []
        match = self._plan.match.among(ids)
        if not self._plan.target.versioned:
            return await self._remove_unversioned(session, match), []
        count = (await self._live().delete_many(match, hint=BY_ID, session=session)).deleted_count
        if not count:
            return [], []
        removed: list[DocumentId] = []
        kept: list[Document] = []
        size = 0
        async with aclosing(self._rows_ahead(ids)) as pieces:
            async for rows in pieces:
                size = self._require_room(rows, size)
                records = [self._record(row, decode(row.raw, _LENIENT)) for row in rows]
                if renumber or any(one["version"] == 0 for one in records):
                    records = await self._renumbered(session, records)
                if records:
                    await self._rooms.keep(session, records)
                removed += [one["doc_id"] for one in records]
                kept += [one["_id"] for one in records]
        if len(removed) != count:
            raise Raced
        return removed, kept

    async def _rows_ahead(self, ids: Sequence[DocumentId]) -> AsyncGenerator[list[RawBSONDocument], None]:
        """The rows just removed, in pieces: the next are read while the versions of these are written.

        Outside the transaction, on the primary: what was committed last is what was removed.
        """
        stored = self._rooms.raw(self._plan.target.collection)

        def read(n: int) -> asyncio.Task[list[RawBSONDocument]]:
            found = stored.find(self._plan.match.among(ids[n : n + _PIECE]), hint=BY_ID, batch_size=_PIECE + 1)
            return asyncio.create_task(found.to_list())

        reading = read(0)
        try:
            for n in range(_PIECE, len(ids), _PIECE):
                rows = await reading
                reading = read(n)
                yield rows
            yield await reading
        finally:
            reading.cancel()

    async def _remove_unversioned(self, session: AsyncClientSession, match: Document) -> list[DocumentId]:
        rows = await self._live().find(match, {"_id": 1}, session=session).to_list()
        result = await self._live().delete_many(match, session=session)
        if result.deleted_count != len(rows):
            raise Raced
        return [row["_id"] for row in rows]

    def _require_room(self, rows: list[RawBSONDocument], before: int) -> int:
        """The bytes of one transaction so far."""
        sizes = [len(row.raw) for row in rows]
        total = before + sum(sizes)
        if (total > self._plan.target.max_bytes and (before or len(rows) > 1)) or max(sizes, default=0) > LARGEST:
            raise _TooMuch
        return total

    def _record(self, raw: RawBSONDocument, row: Document) -> Document:
        target = self._plan.target
        return record(raw, row, (target.collection, target.tenant_field), number_of(row), self._ended)

    async def _renumbered(self, session: AsyncClientSession, records: list[Document]) -> list[Document]:
        """A row that somebody made again beside the gateway goes on behind its own last deletion."""
        lives = [(one["tenant_id"], one["doc_id"]) for one in records]
        numbers = await self._rooms.next_numbers(session, self._plan.target.collection, lives)
        return [
            renumbered(one, max(one["version"], numbers.get(life, 0))) for one, life in zip(records, lives, strict=True)
        ]


def _forbidden(plan: DeletePlan) -> Forbidden:
    name = plan.target.collection
    return Forbidden("no rule of your roles allows deleting this document", action="delete", collection=name)


def _whole_refusal(error: Exception) -> Refusal:
    if isinstance(error, _TooMuch):
        return PayloadTooLarge("too many bytes for one transaction")
    return Conflict("others changed the same documents at the same time; try again")


def _first_refusal(plan: DeletePlan, incomplete: _Incomplete) -> Refusal:
    """Of an atomic batch: the refusal of the first item that fails, and all that do."""
    expected = plan.expected or ()
    refused = set(incomplete.refused)
    failed = [one for one in expected if one in refused or one in set(incomplete.missing)]
    name = plan.target.collection
    entries = [
        {"id": one, "error": (_forbidden(plan) if one in refused else DocumentNotFound("no such document")).as_entry()}
        for one in failed
    ]
    if failed[0] in refused:
        return Forbidden("nothing was deleted: not all may be", action="delete", collection=name, failed=entries)
    return DocumentNotFound("nothing was deleted: not all are there", collection=name, failed=entries)
