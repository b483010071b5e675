"""Batch update: the rows read in a transaction's snapshot, each judged alone, then all written by one command.

A writer in between is a conflict with that snapshot: what is kept as a version is what was read, and what was replaced.
So the guard, asked once for all in the same snapshot, holds for what is written; in each statement it would cost as
much as all the rest of the write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from bson import decode_all
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError

from permission_mongo.errors import DocumentNotFound, Refusal
from permission_mongo.jobs import Turn, added
from permission_mongo.outcomes import BatchOutcome, Failure, Item
from permission_mongo.plans import Actor, Edit, Same, UpdateManyPlan
from permission_mongo.revisions import Revision, Rewrite
from permission_mongo.rewrites import new_references, rewrite
from permission_mongo.storage.chunks import next_chunk, require_at_most, require_few_enough
from permission_mongo.storage.ledger import Ledger, Traces
from permission_mongo.storage.parts import KeyExists, Progress, TooMuch, first_refusal, in_parts, tries
from permission_mongo.storage.references import dangling, violation
from permission_mongo.storage.rooms import BY_ID, NumberTaken, Rooms
from permission_mongo.storage.singles import LENIENT, require_accepted
from permission_mongo.storage.transactions import Body, Contended, Raced
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import LARGEST, made, number_of, record


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored document, its bytes, and what is to be written of it."""

    raw: RawBSONDocument
    stored: Document
    change: Rewrite


@dataclass(slots=True)
class _Judged:
    """What is to become of some rows. `failed` has every refusal, in no order."""

    rows: list[_Row] = field(default_factory=list)
    same: list[DocumentId] = field(default_factory=list)
    failed: dict[DocumentId, Refusal] = field(default_factory=dict)


async def update_many(plan: UpdateManyPlan, actor: Actor, rooms: Rooms, turn: Turn) -> BatchOutcome:
    """Change the plan's rows, of a filter's one chunk; what one transaction did stays done if a later one fails."""
    updating = _Updating(plan, actor, rooms, turn)
    await updating.run()
    return updating.outcome(updating.progress)


class _Updating:
    """One batch on its way."""

    def __init__(self, plan: UpdateManyPlan, actor: Actor, rooms: Rooms, turn: Turn) -> None:
        self._plan = plan
        self._turn = turn
        self._rooms = rooms
        self._ended = made("update", actor.subject, actor.now, plan.batch.reason, plan.batch.id)
        self._ledger = Ledger(rooms, actor, plan.target, plan.batch)
        self.progress = Progress()

    async def run(self) -> None:
        plan = self._plan
        if plan.expected is None:
            await self._chunk()
        elif not (plan.match.is_empty and plan.visible.is_empty):
            await require_at_most(self._rooms, plan)
            await self._in_parts(plan.expected, last=True)
        if plan.batch.dry_run:
            await self._ledger.note_rehearsal("update", self.progress.done)

    async def _chunk(self) -> None:
        chunk, more = await next_chunk(self._rooms, self._plan, self._turn.behind)
        if chunk:
            await self._in_parts(chunk, last=more is None)
        if self.progress.stopped is None:
            self.progress.more = more

    async def _in_parts(self, ids: Sequence[DocumentId], *, last: bool) -> None:
        await in_parts(ids, self._part, self.progress, atomic=self._plan.batch.atomic, last=last)

    # -- what is told

    def outcome(self, progress: Progress) -> BatchOutcome:
        plan = self._plan
        return BatchOutcome(
            "updated",
            tuple(progress.done),
            progress.missing_of(plan.expected),
            tuple(Failure(refusal, id=one) for one, refusal in progress.failed.items()),
            batch=plan.batch.id if progress.done and not plan.batch.dry_run else None,
            dry_run=plan.batch.dry_run,
            stopped=progress.stopped,
            results=self._results(progress) if plan.batch.results else None,
            unchanged=len(progress.same),
            more=progress.more,
        )

    def _told_with(self, came: Progress) -> BatchOutcome:
        """What the caller is told if the work ends here."""
        return added(self._turn.before, self.outcome(self.progress.with_(came)))

    def _results(self, progress: Progress) -> tuple[Item, ...]:
        done, same = {*progress.done}, {*progress.same}

        def item(one: DocumentId) -> Item:
            if one in done or one in same:
                return Item(one, "updated" if one in done else "unchanged")
            refusal = progress.failed.get(one) or progress.stopped
            return Item(one, "not_found") if refusal is None else Item(one, refusal.code, refusal)

        met = [*progress.done, *progress.same, *progress.failed]
        return tuple(item(one) for one in self._plan.expected or met)

    # -- transactions

    async def _part(self, ids: Sequence[DocumentId], final: bool, renumber: bool = False) -> None:
        """KeyExists and TooMuch as the body finds; Contended where others wrote the same."""
        batch, part = self._plan.batch, ObjectId()
        body: Body[Progress] = lambda session: self._body(session, ids, part, renumber)  # noqa: E731
        try:
            came = await self._rooms.transactor.run(
                self._ledger.once(body, self._told_with, final=final),
                deadline=self._rooms.deadline(),
                proof=self._ledger.proof(part),
                attempts=tries(ids, atomic=batch.atomic),
                commit=not batch.dry_run,
            )
        except NumberTaken as error:
            # Go on behind the highest kept.
            if renumber:
                raise Contended from error
            return await self._part(ids, final, renumber=True)
        self.progress.add(came)
        return None

    async def _body(
        self, session: AsyncClientSession, ids: Sequence[DocumentId], part: ObjectId, renumber: bool
    ) -> Progress:
        judged = await self._judged(session, ids)
        before = len(self.progress.done) + len(self.progress.same)
        require_few_enough(self._plan.batch, before + len(judged.rows) + len(judged.same))
        if self._plan.batch.atomic:
            self._require_all(ids, judged)
        done: list[DocumentId] = [row.stored["_id"] for row in judged.rows]
        if done:
            records = await self._write(session, judged.rows, renumber)
            await self._ledger.note(session, part, "update", done, Traces(records=records))
        return Progress(done, judged.same, judged.failed)

    def _require_all(self, ids: Sequence[DocumentId], judged: _Judged) -> None:
        fine = {*judged.same, *(row.stored["_id"] for row in judged.rows)}
        absent = DocumentNotFound("no such document", collection=self._plan.target.collection)
        failed = {one: judged.failed.get(one, absent) for one in ids if one not in fine}
        if failed:
            raise first_refusal(failed, "nothing was changed")

    # -- judging

    async def _judged(self, session: AsyncClientSession, ids: Sequence[DocumentId]) -> _Judged:
        """Each row as the update of one document judges it; what is refused whatever is stored needs no row."""
        judged = _Judged()
        edits = self._plan.edits
        if not isinstance(edits, Same):
            refused = ((one, edits[one].revision) for one in ids)
            judged.failed = {one: refusal for one, refusal in refused if isinstance(refusal, Refusal)}
        for raw, stored in await self._rows(session, [one for one in ids if one not in judged.failed]):
            self._judge(raw, stored, judged)
        await self._refer(session, judged)
        return judged

    async def _rows(
        self, session: AsyncClientSession, ids: Sequence[DocumentId]
    ) -> list[tuple[RawBSONDocument, Document]]:
        """The rows as bytes and read. TooMuch as soon as they are more than one transaction may hold."""
        plan = self._plan
        seen = plan.match if plan.expected is None else plan.visible
        if seen.is_empty or not ids:
            return []
        stored = self._rooms.raw(plan.target.collection)
        found = stored.find_raw_batches(seen.among(ids), hint=BY_ID, batch_size=len(ids) + 1, session=session)
        rows: list[tuple[RawBSONDocument, Document]] = []
        size = 0
        async for answered in found:
            batch = cast("bytes", answered)
            size += len(batch)
            if size > plan.target.max_bytes and len(ids) > 1:
                raise TooMuch
            rows += zip(decode_all(batch, stored.codec_options), decode_all(batch, LENIENT), strict=True)
        if plan.target.versioned and any(len(raw.raw) > LARGEST for raw, _ in rows):
            raise TooMuch
        return rows

    def _judge(self, raw: RawBSONDocument, stored: Document, judged: _Judged) -> None:
        one = stored["_id"]
        revision, edit = self._revision(one)
        try:
            require_accepted(edit.precondition if edit is not None else None, stored)
            change = rewrite(revision, stored)
        except Refusal as refusal:
            judged.failed[one] = refusal
        else:
            if change is None:
                judged.same.append(one)
            else:
                judged.rows.append(_Row(raw, stored, change))

    def _revision(self, one: DocumentId) -> tuple[Revision, Edit | None]:
        edits = self._plan.edits
        if isinstance(edits, Same):
            return edits.revision, None
        edit = edits[one]
        assert isinstance(edit.revision, Revision)  # noqa: S101  (a refused one is not read)
        return edit.revision, edit

    async def _refer(self, session: AsyncClientSession, judged: _Judged) -> None:
        """Takes out the rows that refer to what is not there."""
        if not judged.rows:
            return
        revision, _ = self._revision(judged.rows[0].stored["_id"])
        if not revision.referable:
            return
        changed = {n: (row.stored, row.change) for n, row in enumerate(judged.rows)}
        missing = await dangling(session, new_references(revision, changed), self._rooms)
        for n in {one.index for one in missing}:
            told = sorted((one for one in missing if one.index == n), key=lambda one: one.field)
            judged.failed[judged.rows[n].stored["_id"]] = violation(told)
        judged.rows = [row for row in judged.rows if row.stored["_id"] not in judged.failed]

    # -- writing

    async def _write(self, session: AsyncClientSession, rows: list[_Row], renumber: bool) -> list[Document]:
        """The ids of the versions that keep what was replaced."""
        if sum(row.change.size for row in rows) > self._plan.target.max_bytes and len(rows) > 1:
            raise TooMuch
        records = await self._records(session, rows, renumber) if self._plan.target.versioned else []
        await self._require_reach(session, rows)
        marks: Iterable[Document] = map(_marks, records) if records else ({} for _ in rows)
        updates = list(self._updates(rows, marks))
        if updates:
            try:
                matched = await self._rooms.change(session, self._plan.target.collection, updates)
            except BulkWriteError as error:
                raise _of_item(error, updates) from error
            if matched != len(updates):
                raise Raced
        if records:
            await self._rooms.keep(session, records)
        return [one["_id"] for one in records]

    async def _require_reach(self, session: AsyncClientSession, rows: list[_Row]) -> None:
        """Raced if MongoDB does not find all of them among the rows that may be changed."""
        if self._plan.expected is None:
            return  # read by that very guard
        live = self._rooms.live(self._plan.target.collection)
        match = self._plan.match.among(row.stored["_id"] for row in rows)
        found = live.find(match, {"_id": 1}, hint=BY_ID, batch_size=len(rows) + 1, session=session)
        if self._plan.match.is_empty or len(await found.to_list()) != len(rows):
            raise Raced

    async def _records(self, session: AsyncClientSession, rows: list[_Row], renumber: bool) -> list[Document]:
        target = self._plan.target
        about = (target.collection, target.tenant_field)
        records = [record(row.raw, row.stored, about, number_of(row.stored), self._ended) for row in rows]
        if renumber or any(one["version"] == 0 for one in records):
            records = await self._rooms.renumbered(session, target.collection, records)
        return records

    def _updates(self, rows: list[_Row], marks: Iterable[Document]) -> Iterator[Document]:
        for row, mark in zip(rows, marks, strict=True):
            update: Document = {"$set": {**row.change.fields, **mark}}
            if row.change.gone:
                update["$unset"] = dict.fromkeys(row.change.gone, "")
            if not update["$set"]:
                del update["$set"]
            if update:
                yield {"q": {"_id": row.stored["_id"]}, "u": update}


def _marks(kept: Document) -> Document:
    """Of the state that begins when a kept one ends."""
    return {"_version": kept["version"] + 1, "_made": kept["ended"]}


def _of_item(error: BulkWriteError, updates: list[Document]) -> Exception:
    written = (error.details or {}).get("writeErrors", [])
    index = next((one["index"] for one in written if one.get("code") == 11000), None)
    return error if index is None else KeyExists(updates[index]["q"]["_id"])
