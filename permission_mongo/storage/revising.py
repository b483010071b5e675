"""Batch update: the rows read in a transaction's snapshot, each judged alone, and written while others are judged.

A writer in between is a conflict with that snapshot: what is kept as a version is what was read, and what was replaced.
So the guard, asked once for all in the same snapshot, holds for what is written; in each statement it would cost as
much as all the rest of the write.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Final

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.audit import changed_paths
from permission_mongo.errors import Refusal
from permission_mongo.events import State as Change
from permission_mongo.jobs import Turn
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, Edit, Same, UpdateManyPlan
from permission_mongo.referrals import new_references
from permission_mongo.revisions import Revision, Rewrite
from permission_mongo.rewrites import rewrite
from permission_mongo.storage.parts import Ids, Progress, TooMuch
from permission_mongo.storage.references import dangling, violations
from permission_mongo.storage.replies import Stored
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.singles import require_accepted
from permission_mongo.storage.straight import Pipeline
from permission_mongo.storage.transactions import Raced
from permission_mongo.storage.turns import in_turns
from permission_mongo.storage.works import Attempted, State, Work
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import Ending, marks_after, number_of

_FIRST: Final = 100  # rows that are judged before the first of them is written
_PIECE: Final = 300  # that are judged while others are written


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored document, its bytes, what is to be written of it, and its version; 0 where none is known.

    `update` is what MongoDB is told, where the marks of the state that begins are known already.
    """

    raw: RawBSONDocument
    stored: Document
    change: Rewrite
    number: int
    update: Document | None


@dataclass(slots=True)
class _Judged:
    """What is to become of the rows of so many items `asked`. `failed` has every refusal, in no order."""

    asked: int
    rows: list[_Row] = field(default_factory=list)
    same: list[DocumentId] = field(default_factory=list)
    failed: dict[DocumentId, Refusal] = field(default_factory=dict)


async def update_many(plan: UpdateManyPlan, actor: Actor, rooms: Rooms, turn: Turn) -> BatchOutcome:
    """Change the plan's rows, of a filter's one chunk; what one transaction did stays done if a later one fails.

    Nothing is created: where that is to be, it is for who finds that nothing was changed.
    """
    return await _Updating(plan, actor, rooms, turn).done()


class _Updating(Work):
    """One batch on its way."""

    action = "update"
    verb = "updated"

    def __init__(self, plan: UpdateManyPlan, actor: Actor, rooms: Rooms, turn: Turn) -> None:
        super().__init__(plan, actor, rooms, turn)
        self._plan = plan

    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> Attempted:
        judged = _Judged(len(ids), failed=self._refused(ids))
        wanted = [one for one in ids if one not in judged.failed]
        states = await self._read(session, wanted, matching=self._plan.expected is None)
        records = await self._revised(session, states, judged, renumber)
        came = Progress([row.stored["_id"] for row in judged.rows], judged.same, judged.failed)
        if self._plan.target.names_paths:
            self._paths = [*await self._changed(judged.rows)]
        return Attempted(came, records, [] if self._fails(judged) else self._states(judged.rows, records))

    async def _revised(
        self, session: AsyncClientSession, states: list[State], judged: _Judged, renumber: bool
    ) -> list[Document]:
        """The ids of the versions that keep what was replaced. Each piece is written while the next one is judged."""
        ending = self._ending(renumber)
        kept: list[Document] = []
        async with self._rooms.straight.pipelined(session) as pipeline:
            # By the guard itself, in the same snapshot, whatever is judged meanwhile.
            reached = await self._reached(pipeline, states)
            async for rows in self._pieces(states, judged, ending):
                if reached is not None:
                    if not judged.rows:
                        await pipeline.answered()
                    if any(row.stored["_id"] not in reached for row in rows):
                        raise Raced
                rows = await self._referring(session, rows, judged)
                judged.rows += rows
                if not rows or self._fails(judged):
                    continue
                if ending is None or any(row.update is None for row in rows):
                    await pipeline.answered()
                    kept += await self._write(session, rows, renumber)
                else:
                    kept += await self._write_beside(pipeline, rows, ending)
        return kept

    def _fails(self, judged: _Judged) -> bool:
        """Of an atomic batch that fails, the first item's refusal is told, and not what the write would have met."""
        came, expected = len(judged.rows) + len(judged.same), self._plan.expected
        return self._plan.batch.atomic and bool(judged.failed or (expected is not None and came < judged.asked))

    def _states(self, rows: list[_Row], records: list[Document]) -> list[Change]:
        """The documents before and after, where somebody is told."""
        if not self._plan.target.posts.any:
            return []
        numbers = [one["v"] + 1 for one in records] or [None for _ in rows]
        return [_state(row, number) for row, number in zip(rows, numbers, strict=True)]

    async def _changed(self, rows: list[_Row]) -> list[str]:
        """The fields in which the rows differ from what is written, for the audit."""
        found: set[str] = set()
        async for some in in_turns(rows):
            changes = ((row.stored, row.change) for row in some)
            found.update(changed_paths(self._revision(rows[0].stored["_id"])[0].collection, changes))
        return sorted(found)

    # -- judging

    def _refused(self, ids: Ids) -> dict[DocumentId, Refusal]:
        """What is refused whatever is stored needs no row."""
        edits = self._plan.edits
        if isinstance(edits, Same):
            return {}
        refused = ((one, edits[one].revision) for one in ids)
        return {one: refusal for one, refusal in refused if isinstance(refusal, Refusal)}

    async def _pieces(
        self, states: list[State], judged: _Judged, ending: Ending | None
    ) -> AsyncGenerator[list[_Row], None]:
        """The rows to be written: each as the update of one document judges it.

        All at once where one that is not fit stands in the way of all, where what they refer to is looked for before
        any is written, and where more than their bytes is to be kept.
        """
        is_whole = self._plan.batch.atomic or ending is None or self._refers(states)
        begin, size, count = 0, 0, 0
        while begin < len(states):
            end = len(states) if is_whole else begin + (_PIECE if begin else _FIRST)
            rows: list[_Row] = []
            async for some in in_turns(states[begin:end]):
                for raw, stored in some:
                    row = self._judge(raw, stored, judged, ending)
                    if row is None:
                        continue
                    rows.append(row)
                    size, count = size + row.change.size, count + 1
                    if size > self._plan.target.max_bytes and count > 1:
                        raise TooMuch
            begin = end
            yield rows

    def _judge(self, raw: RawBSONDocument, stored: Document, judged: _Judged, ending: Ending | None) -> _Row | None:
        """None where nothing is to be written of it."""
        one = stored["_id"]
        revision, edit = self._revision(one)
        try:
            require_accepted(edit.precondition if edit is not None else None, stored)
            change = rewrite(revision, stored, len(raw.raw))
        except Refusal as refusal:
            judged.failed[one] = refusal
            return None
        if change is None:
            judged.same.append(one)
            return None
        number = number_of(stored)
        update = change.as_update(ending.marks_after(stored, number)) if ending is not None and number else None
        return _Row(raw, stored, change, number, update)

    def _refers(self, states: list[State]) -> bool:
        return any(self._revision(stored["_id"])[0].referable for _, stored in states[:1])

    def _revision(self, one: DocumentId) -> tuple[Revision, Edit | None]:
        edits = self._plan.edits
        if isinstance(edits, Same):
            return edits.revision, None
        edit = edits[one]
        assert isinstance(edit.revision, Revision)  # noqa: S101  (a refused one is not read)
        return edit.revision, edit

    async def _referring(self, session: AsyncClientSession, rows: list[_Row], judged: _Judged) -> list[_Row]:
        """Without those that refer to what is not there."""
        if not rows:
            return rows
        revision, _ = self._revision(rows[0].stored["_id"])
        if not revision.referable:
            return rows
        changed = {n: (row.stored, row.change) for n, row in enumerate(rows)}
        missing = await dangling(session, new_references(revision, changed), self._rooms)
        judged.failed |= {rows[n].stored["_id"]: refusal for n, refusal in violations(missing).items()}
        return [row for row in rows if row.stored["_id"] not in judged.failed]

    # -- writing

    async def _write(self, session: AsyncClientSession, rows: list[_Row], renumber: bool) -> list[Document]:
        """The ids of the versions that keep what was replaced."""
        states = [(row.raw, row.stored) for row in rows]
        records = await self._records(session, states, renumber) if self._plan.target.versioned else []
        marks: Iterable[Document] = map(marks_after, records) if records else ({} for _ in rows)
        updates = [row.change.as_update(mark) for row, mark in zip(rows, marks, strict=True)]
        async with self._rooms.straight.pipelined(session) as pipeline:
            await self._change_all(pipeline, rows, updates)
        if records:
            await self._rooms.keep(session, records, self._plan.target.keeping)
        return [one["_id"] for one in records]

    async def _write_beside(self, pipeline: Pipeline, rows: list[_Row], ending: Ending) -> list[Document]:
        """The ids of the same versions, which are put together while the rows are written."""
        await self._change_all(pipeline, rows, [row.update or {} for row in rows])
        records = [
            ending.record(bytes(row.raw.raw), row.stored, row.number) async for some in in_turns(rows) for row in some
        ]
        await self._rooms.keep_whole(pipeline, self._plan.target.collection, [Stored(one) for _, one in records])
        return [one for one, _ in records]

    async def _change_all(self, pipeline: Pipeline, rows: list[_Row], updates: list[Document]) -> None:
        told = [
            {"q": {"_id": row.stored["_id"]}, "u": update} for row, update in zip(rows, updates, strict=True) if update
        ]
        if told:
            await self._change(pipeline, told)

    async def _reached(self, pipeline: Pipeline, states: list[State]) -> set[DocumentId] | None:
        """The ids of those that MongoDB finds among the rows that may be changed, known when this is answered.

        None where all were read so: what is seen by the rules by which it may be changed needs no second look in the
        same snapshot.
        """
        if self._plan.expected is None or self._plan.match.asks_as(self._plan.visible):
            return None
        reached: set[DocumentId] = set()
        if not (self._plan.match.is_empty or not states):
            match = self._plan.match.among(one["_id"] for _, one in states)
            asked = {"filter": match, "projection": {"_id": 1}, "hint": {"_id": 1}, "batchSize": len(states) + 1}

            def take(answer: Document) -> None:
                reached.update(row["_id"] for row in answer["cursor"]["firstBatch"])

            await pipeline.send({"find": self._plan.target.collection, **asked}, take)
        return reached


def _state(row: _Row, number: int | None) -> tuple[Document, Document]:
    """The document before and after."""
    gone = row.change.gone
    after = {name: value for name, value in {**row.stored, **row.change.fields}.items() if name not in gone}
    return row.stored, after if number is None else {**after, "_version": number}
