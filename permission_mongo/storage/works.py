"""What the batches that change stored documents have in common: whose turn it is, its transactions, what is told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import ClassVar, Final, Literal, cast

from bson import decode_all
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError

from permission_mongo.batch import Bound
from permission_mongo.errors import Conflict, DocumentNotFound, Refusal
from permission_mongo.events import State as Change
from permission_mongo.jobs import Overtaken, Turn, added
from permission_mongo.outcomes import BatchOutcome, Failure, Item
from permission_mongo.plans import Actor, Chunked, RevivePlan
from permission_mongo.storage.chunks import next_chunk, require_at_most, require_few_enough
from permission_mongo.storage.faults import duplicate_index
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.ledger import Ledger, Traces
from permission_mongo.storage.parts import Ids, KeyExists, Progress, TooMuch, first_refusal, in_parts, tries
from permission_mongo.storage.rooms import BY_ID, NumberTaken, Rooms
from permission_mongo.storage.straight import Pipeline
from permission_mongo.storage.transactions import TURN, Body, Contended, Raced
from permission_mongo.storage.turns import decoded, in_turns
from permission_mongo.values import Document, DocumentId, MongoFilter
from permission_mongo.versions import LARGEST, Ending, made, number_of, record

State = tuple[RawBSONDocument, Document]  # a stored document: its bytes, and read
Worked = Chunked | RevivePlan
Came = Progress[DocumentId]
_LOOKS_FOR_FIRST: Final = 12
_LET_IN: Final = 0.01  # seconds between two transactions of a job, at most
_PART_LET_IN: Final = 0.05  # and of what the one before took
_COUNTED: Final = 500  # rows whose sizes are added up at a stretch


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of a transaction's items, the ids of the versions kept, and, where somebody is told, the documents."""

    came: Came
    records: list[Document]
    states: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Share:
    """Of a work that is part of something else: what the caller is `told` then, and whether nothing comes after it."""

    told: Callable[[BatchOutcome], BatchOutcome]
    is_last: bool


class _Gone(Exception):
    """What was found first matches no longer: nothing is committed, nor kept under a key."""


class Work(ABC):
    """One batch on its way, or a `share` of one."""

    action: ClassVar[Literal["update", "delete", "restore"]]  # as history and audit call it
    verb: ClassVar[Literal["updated", "deleted", "restored"]]

    def __init__(self, plan: Worked, actor: Actor, rooms: Rooms, turn: Turn, share: Share | None = None) -> None:
        self._work = plan
        self._rooms = rooms
        self._turn = turn
        self._share = share
        self._ended = made(self.action, actor.subject, actor.now, plan.batch.reason, plan.batch.id)
        self._ledger = Ledger(rooms, actor, plan.target, plan.batch)
        self._progress: Came = Progress()
        self._paths: list[str] | None = None  # that the transaction at hand changes, where the audit names them

    @abstractmethod
    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> Attempted:
        """What becomes of these items in the session's transaction.

        `renumber` says that a number was taken. KeyExists, TooMuch and Raced end the transaction.
        """

    async def done(self) -> BatchOutcome:
        """Work off the items that are named, chunk by chunk, or of a filter's one chunk, as it is its turn."""
        plan = self._work
        if not (plan.match.is_empty and plan.visible.is_empty):
            await (self._chunks(plan.expected) if plan.expected is not None else self._chunk())
            if plan.batch.dry_run and self._share is None:
                await self._ledger.note_rehearsal(self.action, self._progress.done)
        return self._outcome(self._progress)

    async def _chunks(self, expected: Ids) -> None:
        if not isinstance(self._work, RevivePlan):
            await require_at_most(self._rooms, self._work)
        size, nothing_behind = self._work.target.chunk, self._share is None or self._share.is_last
        for n in range(0, len(expected), size):
            await self._in_parts(expected[n : n + size], last=nothing_behind and n + size >= len(expected))
            if self._progress.stopped is not None:
                return

    async def _chunk(self) -> None:
        assert not isinstance(self._work, RevivePlan)  # noqa: S101  (it has no filter)
        if self._work.batch.first:
            return await self._first(self._work)
        chunk, more = await next_chunk(self._rooms, self._work, self._turn.behind)
        await asyncio.sleep(0)
        if chunk:
            try:
                await self._in_parts(chunk, last=more is None)
            except Overtaken as overtaken:
                raise Overtaken(len(self._progress.done)) from overtaken
        if self._progress.stopped is None:
            self._progress.more = more

    async def _first(self, plan: Chunked) -> None:
        """The first that matches when it is written. One that does no longer is none, and another is looked for."""
        for _ in range(_LOOKS_FOR_FIRST):
            chunk, _ = await next_chunk(self._rooms, plan, None)
            try:
                return await self._in_parts(chunk, last=True) if chunk else None
            except _Gone:
                continue
        raise Conflict("others changed the same documents at the same time; try again")

    # -- transactions

    async def _in_parts(self, ids: Ids, *, last: bool) -> None:
        whole = self._whole if self._work.batch.atomic else None
        await in_parts(ids, self._part, self._progress, whole, last=last)

    def _whole(self, failed: Mapping[DocumentId, Refusal]) -> Refusal:
        return first_refusal(failed, f"nothing was {self.verb}")

    async def _part(self, ids: Ids, final: bool, renumber: bool = False) -> None:
        batch, part, began = self._work.batch, ObjectId(), monotonic()
        body: Body[Came] = lambda session: self._body(session, ids, part, renumber)  # noqa: E731
        try:
            came = await self._rooms.transactor.run(
                self._step(body, ids, final=final),
                deadline=self._rooms.deadline(),
                proof=self._ledger.proof(part),
                attempts=tries(ids, atomic=batch.atomic),
                commit=not batch.dry_run,
                # A job that was begun does not end because others are busy.
                patience=TURN if self._turn.lease is None or self._turn.origin is not None else self._rooms.timeout,
            )
        except NumberTaken as error:
            # Go on behind the highest kept.
            if renumber:
                raise Contended from error
            return await self._part(ids, final, renumber=True)
        self._progress.add(came)  # before anything is waited for: it is done
        if self._turn.lease is not None and not final:
            self._progress.is_job, self._turn = True, replace(self._turn, origin=None)
            # The transaction held the job's record. Who wants to cancel it asks MongoDB again every few milliseconds.
            await asyncio.sleep(min(_LET_IN, _PART_LET_IN * (monotonic() - began)))
        return None

    def _step(self, body: Body[Came], ids: Ids, *, final: bool) -> Body[Came]:
        """A filter's work becomes a job with the first transaction that is not all of it."""
        turn, job = self._turn, None
        if turn.lease is not None and not (final and turn.origin is not None):
            body, job = self._ledger.stepped(body, turn, self._so_far, Bound(ids[-1])), turn.lease.job
        return self._ledger.once(body, self._outcome_with, final=final, job=job)

    async def _body(self, session: AsyncClientSession, ids: Ids, part: ObjectId, renumber: bool) -> Came:
        attempted = await self.attempt(session, ids, renumber)
        came = attempted.came
        if self._work.batch.first and not (came.met or came.failed):
            raise _Gone
        before = self._turn.before.met if self._turn.before else 0
        require_few_enough(self._work.batch, before + self._progress.met + came.met)
        if self._work.batch.atomic:
            self._require_all(ids, came)
        if came.done:
            traces = Traces(records=attempted.records, states=attempted.states, paths=self._paths)
            await self._ledger.note(session, part, self.action, came.done, traces)
        return came

    def _require_all(self, ids: Ids, came: Came) -> None:
        fine = {*came.done, *came.same}
        absent = DocumentNotFound("no such document", collection=self._work.target.collection)
        is_named = self._work.expected is not None  # what a filter no longer matches is not missed
        left = [one for one in ids if one not in fine and (is_named or one in came.failed)]
        failed = {one: came.failed.get(one, absent) for one in left}
        if failed:
            raise self._whole(failed)

    # -- what is told

    def _outcome_with(self, came: Came) -> BatchOutcome:
        """What the caller is told if the work ends with this part."""
        outcome = self._outcome(self._progress.with_(came))
        return outcome if self._share is None else self._share.told(outcome)

    def _so_far(self, came: Came) -> BatchOutcome:
        """What the chunks did together, if the work ends with this part."""
        return added(self._turn.before, self._outcome_with(came))

    def _outcome(self, progress: Came) -> BatchOutcome:
        plan = self._work
        return BatchOutcome(
            self.verb,
            tuple(progress.done),
            progress.missing_of(plan.expected),
            tuple(Failure(refusal, id=one) for one, refusal in progress.failed.items()),
            batch=plan.batch.id if progress.done and not plan.batch.dry_run else None,
            dry_run=plan.batch.dry_run,
            stopped=progress.stopped,
            results=self._results(progress) if plan.batch.results else None,
            more=progress.more,
            unchanged=len(progress.same),
            is_job=progress.is_job,
        )

    def _results(self, progress: Came) -> tuple[Item, ...]:
        done, same = {*progress.done}, {*progress.same}

        def item(one: DocumentId) -> Item:
            if one in done or one in same:
                return Item(one, self.verb if one in done else "unchanged")
            refusal = progress.failed.get(one) or progress.stopped
            return Item(one, "not_found") if refusal is None else Item(one, refusal.code, refusal)

        met = [*progress.done, *progress.same, *progress.failed]
        return tuple(item(one) for one in self._work.expected or met)

    # -- what a transaction reads and writes

    async def _read(self, session: AsyncClientSession, ids: Ids, *, matching: bool) -> list[State]:
        """Of these ids the visible rows, or those that match. TooMuch as soon as they are more than one may hold."""
        rows = self._work.match if matching else self._work.visible
        if rows.is_empty or not ids:
            return []
        target = self._work.target
        raws = await self._few(session, target.collection, rows.among(ids), len(ids))
        if target.versioned and any(len(raw.raw) > LARGEST for raw in raws):
            raise TooMuch
        return [*zip(raws, await decoded(raws), strict=True)]

    async def _few(
        self, session: AsyncClientSession, name: str, match: MongoFilter, most: int
    ) -> list[RawBSONDocument]:
        """At most so many documents by their ids. TooMuch as soon as they are more bytes than one may hold.

        Of records their contents count, as for the transaction that kept them.
        """
        stored = self._rooms.raw(name)
        found = stored.find_raw_batches(match, hint=BY_ID, batch_size=most + 1, session=session)
        raws: list[RawBSONDocument] = []
        size = 0
        async for answered in found:
            read = decode_all(cast("bytes", answered), stored.codec_options)
            size += sum([_size_of(row, name) async for some in in_turns(read, _COUNTED) for row in some])
            if size > self._work.target.max_bytes and most > 1:
                raise TooMuch
            raws += read
        return raws

    def _ending(self, renumber: bool) -> Ending | None:
        """How the records of states that end now are put together; None where more is to be known for that."""
        target = self._work.target
        if renumber or not (target.versioned and target.keeping.is_plain):
            return None
        return Ending((target.collection, target.tenant_field), self._ended)

    async def _records(self, session: AsyncClientSession, states: list[State], renumber: bool) -> list[Document]:
        """The records of states that end now."""
        target = self._work.target
        about = (target.collection, target.tenant_field)
        records = [
            record(raw, stored, about, number_of(stored), self._ended)
            async for some in in_turns(states)
            for raw, stored in some
        ]
        if renumber or any(one["version"] == 0 for one in records):
            records = await self._rooms.renumbered(session, target.collection, records, target.keeping)
        return records

    async def _change(self, pipeline: Pipeline, updates: list[Document]) -> None:
        """KeyExists names the document whose key another one has; Raced if one of them is not there."""

        def take(answer: Document) -> None:
            if answer.get("writeErrors"):
                error = BulkWriteError(answer)
                index = duplicate_index(error)
                raise error if index is None else KeyExists(updates[index]["q"]["_id"])
            if answer["n"] != len(updates):
                raise Raced

        await pipeline.send({"update": self._work.target.collection, "updates": updates}, take)


def _size_of(row: RawBSONDocument, name: str) -> int:
    return len(row["data"].raw) if name == VERSIONS else len(row.raw)
