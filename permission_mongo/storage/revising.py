"""Batch update: the rows read in a transaction's snapshot, each judged alone, then all written by one command.

A writer in between is a conflict with that snapshot: what is kept as a version is what was read, and what was replaced.
So the guard, asked once for all in the same snapshot, holds for what is written; in each statement it would cost as
much as all the rest of the write.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
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
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.storage.singles import require_accepted
from permission_mongo.storage.transactions import Raced
from permission_mongo.storage.turns import ahead, in_turns
from permission_mongo.storage.works import Attempted, State, Work
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import Ending, marks_after, number_of

_LONGEST_TURN: Final = 0.02  # seconds of judging after which other requests have theirs


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
        judged = await self._judged(session, ids)
        came = Progress([row.stored["_id"] for row in judged.rows], judged.same, judged.failed)
        # Of an atomic batch that fails, the first item's refusal is told, and not what the write would have met.
        fails = self._plan.batch.atomic and (came.failed or (self._plan.expected is not None and came.met < len(ids)))
        records = await self._write(session, judged.rows, renumber) if judged.rows and not fails else []
        if self._plan.target.names_paths:
            self._paths = [*await self._changed(judged.rows)]
        return Attempted(came, records, [] if fails else self._states(judged.rows, records))

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

    async def _judged(self, session: AsyncClientSession, ids: Ids) -> _Judged:
        """Each row as the update of one document judges it; what is refused whatever is stored needs no row."""
        judged = _Judged()
        edits = self._plan.edits
        if not isinstance(edits, Same):
            refused = ((one, edits[one].revision) for one in ids)
            judged.failed = {one: refusal for one, refusal in refused if isinstance(refusal, Refusal)}
        wanted = [one for one in ids if one not in judged.failed]
        states = await self._read(session, wanted, matching=self._plan.expected is None)

        async def judged_all() -> AsyncGenerator[_Judged, None]:
            size = 0
            async for some in in_turns(states):
                for raw, stored in some:
                    size += self._judge(raw, stored, judged)
                    if size > self._plan.target.max_bytes and len(judged.rows) > 1:
                        raise TooMuch
            yield judged

        async with ahead(judged_all()) as all_:
            # By the guard itself, in the same snapshot, whatever is judged meanwhile.
            reached = await self._reached(session, states)
            async for _ in all_:
                pass
        if reached is not None and any(row.stored["_id"] not in reached for row in judged.rows):
            raise Raced
        await self._refer(session, judged)
        return judged

    def _judge(self, raw: RawBSONDocument, stored: Document, judged: _Judged) -> int:
        """The bytes that are to be written of it."""
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
                return change.size
        return 0

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
        judged.failed |= {judged.rows[n].stored["_id"]: refusal for n, refusal in violations(missing).items()}
        judged.rows = [row for row in judged.rows if row.stored["_id"] not in judged.failed]

    # -- writing

    async def _write(self, session: AsyncClientSession, rows: list[_Row], renumber: bool) -> list[Document]:
        """The ids of the versions that keep what was replaced."""
        ending, numbers = self._ending(renumber), [number_of(row.stored) for row in rows]
        if ending is not None and all(numbers):
            return await self._write_beside(session, rows, numbers, ending)
        states = [(row.raw, row.stored) for row in rows]
        records = await self._records(session, states, renumber) if self._plan.target.versioned else []
        marks: Iterable[Document] = map(marks_after, records) if records else ({} for _ in rows)
        await self._change_all(session, [*self._updates(rows, marks)])
        if records:
            await self._rooms.keep(session, records, self._plan.target.keeping)
        return [one["_id"] for one in records]

    async def _write_beside(
        self, session: AsyncClientSession, rows: list[_Row], numbers: list[int], ending: Ending
    ) -> list[Document]:
        """The same, the records put together while the rows are written."""

        async def made() -> AsyncGenerator[list[tuple[Document, bytes]], None]:
            records: list[tuple[Document, bytes]] = []
            async for some in in_turns([*zip(rows, numbers, strict=True)]):
                records += [ending.record(bytes(row.raw.raw), row.stored, number) for row, number in some]
            yield records

        marks = (ending.marks_after(row.stored, number) for row, number in zip(rows, numbers, strict=True))
        updates = [*self._updates(rows, marks)]
        kept: list[Document] = []
        async with ahead(made()) as pieces:
            await self._change_all(session, updates)
            async for records in pieces:
                await self._rooms.keep_whole(session, self._plan.target.collection, [Stored(one) for _, one in records])
                kept += [one for one, _ in records]
        return kept

    async def _change_all(self, session: AsyncClientSession, updates: list[Document]) -> None:
        if updates:
            await self._change(session, updates)

    async def _reached(self, session: AsyncClientSession, states: list[State]) -> set[DocumentId] | None:
        """The ids of those that MongoDB finds among the rows that may be changed; None where all were read so."""
        if self._plan.expected is None:
            return None
        if self._plan.match.is_empty or not states:
            return set()
        live = self._rooms.live(self._plan.target.collection)
        match = self._plan.match.among(one["_id"] for _, one in states)
        found = live.find(match, {"_id": 1}, hint=BY_ID, batch_size=len(states) + 1, session=session)
        return {row["_id"] for row in await found.to_list()}

    def _updates(self, rows: list[_Row], marks: Iterable[Document]) -> Iterator[Document]:
        for row, mark in zip(rows, marks, strict=True):
            update = row.change.as_update(mark)
            if update:
                yield {"q": {"_id": row.stored["_id"]}, "u": update}


def _state(row: _Row, number: int | None) -> tuple[Document, Document]:
    """The document before and after."""
    gone = row.change.gone
    after = {name: value for name, value in {**row.stored, **row.change.fields}.items() if name not in gone}
    return row.stored, after if number is None else {**after, "_version": number}
