"""New documents: one, or a batch in one transaction. A duplicate key takes its item out and the rest runs again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import pymongo
from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, PyMongoError

from permission_mongo.batch import Batch, without
from permission_mongo.errors import Conflict, Refusal
from permission_mongo.outcomes import BatchOutcome, Created, Failure, Item
from permission_mongo.plans import Actor, CreatePlan, Draft
from permission_mongo.storage.computed import read_again
from permission_mongo.storage.faults import duplicate_index
from permission_mongo.storage.hierarchy import Misplaced
from permission_mongo.storage.idempotency import still_running
from permission_mongo.storage.ledger import Ledger, Traces
from permission_mongo.storage.parts import (
    DUPLICATE_TOLD,
    KeyExists,
    Progress,
    TooMuch,
    Unfit,
    first_refusal,
    in_parts,
    tries,
)
from permission_mongo.storage.references import Dangling, require_targets, violation
from permission_mongo.storage.replies import Stored
from permission_mongo.storage.rooms import Life, Rooms
from permission_mongo.storage.straight import Pipeline
from permission_mongo.storage.transactions import Body, Lost, is_in_doubt
from permission_mongo.storage.turns import in_turns
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import Former, moment_after

_BEGUN: Final = 10  # drafts that are judged before anything is sent
_FIRST: Final = 50  # that are stored first, where MongoDB has nothing else to do meanwhile
_PIECE: Final = 250  # that are judged while others are stored, about
_A_TURN: Final = 25  # that are judged at a stretch, a quarter of a millisecond: then others have their turn


async def create_one(plan: CreatePlan, actor: Actor, rooms: Rooms, deadline: float | None = None) -> Created:
    """A write with nothing else to commit is one command; else a transaction. A key is something to commit.

    `deadline` is a `time.monotonic()` moment: None is as far ahead as it is for any write.
    """
    if not plan.drafts:
        raise still_running()  # planned to tell what was done under a key whose record has gone since
    target, draft = plan.target, plan.drafts[0]
    commits = target.audited or target.staff or target.posts.create or actor.once
    if not (commits or plan.continues or plan.references or plan.computed):
        return await _by_one_command(target.collection, draft, rooms, deadline)
    creation = _Creation(plan, actor, rooms)
    part = ObjectId()
    try:
        stored = await rooms.transactor.run(
            creation.ledger.once(lambda session: creation.one(session, draft, part), Created),
            deadline=rooms.deadline() if deadline is None else deadline,
            proof=creation.ledger.proof(part if target.audited else draft.id),
        )
    except Dangling as error:
        raise violation(error.missing) from error
    except Misplaced as error:
        raise error.failed[draft.id] from error
    return Created(stored)


async def _by_one_command(collection: str, draft: Draft, rooms: Rooms, deadline: float | None) -> Created:
    """Lost where the answer is: the driver has sent it twice, and what a majority did not confirm it may do later."""
    try:
        async with rooms.turn():
            with pymongo.timeout(rooms.left(deadline)):
                await rooms.straight.insert_once(collection, Stored(draft.stored))
    except PyMongoError as error:
        if is_in_doubt(error):
            raise Lost from error
        raise
    return Created(draft.document)


async def create_many(plan: CreatePlan, actor: Actor, rooms: Rooms, first: Body[None] | None = None) -> BatchOutcome:
    """The drafts that can be stored, each refusal by its index. Atomic: all, or the first refusal.

    What comes `first` in each transaction may end it: what it raises is raised here, and nothing is stored by it.
    """
    return await _Creation(plan, actor, rooms, first).run()


class _Creation:
    """One batch on its way; its items are the drafts' places among those sent."""

    def __init__(self, plan: CreatePlan, actor: Actor, rooms: Rooms, first: Body[None] | None = None) -> None:
        self._plan = plan
        self._rooms = rooms
        self._first = first
        self.ledger = Ledger(rooms, actor, plan.target, plan.batch)
        self._drafts = plan.drafts
        self._progress: Progress[int] = Progress()
        # All are judged first where all must be fit, where one may repeat the id of another, and under a key, which is
        # kept as done with the last transaction that stores something.
        is_whole = plan.batch is None or plan.batch.atomic or plan.continues or actor.once is not None
        self._judged_first = len(plan.drafts) if is_whole else _BEGUN

    async def run(self) -> BatchOutcome:
        batch = self._batch
        indices = await self._begun(range(len(self._drafts)))
        if self._plan.continues:
            indices = self._without_repeats(indices)
        if batch.atomic and self._progress.failed:
            raise self._whole({})
        if indices:
            await in_parts(indices, self._part, self._progress, self._whole if batch.atomic else None, last=True)
        await self._note_left(indices)
        if batch.dry_run:
            await self.ledger.note_rehearsal("create", [self._plan.ids[n] for n in self._progress.done])
        return self._outcome(self._progress)

    @property
    def _batch(self) -> Batch:
        batch = self._plan.batch
        assert batch is not None  # noqa: S101  (create_many is planned with one)
        return batch

    def _whole(self, failed: Mapping[int, Refusal]) -> Refusal:
        told = dict(sorted({**self._progress.failed, **failed}.items()))
        return first_refusal(told, f"nothing was created; documents[{next(iter(told))}]", "index")

    async def _begun(self, indices: Sequence[int]) -> list[int]:
        """The places of those that can be stored, as far as is known: of most it is told when it is their turn."""
        fit: list[int] = []
        for n in range(0, len(indices), _A_TURN):
            if len(fit) >= self._judged_first:
                return [*fit, *indices[n:]]
            fit += [draft.index for draft in self._fit(indices[n : n + _A_TURN])]
            await asyncio.sleep(0)
        return fit

    def _fit(self, indices: Sequence[int]) -> list[Draft]:
        """Those that can be stored; of the others their refusals are noted."""
        fit: list[Draft] = []
        for n in indices:
            draft = self._drafts[n]
            if draft.refusal is None:
                fit.append(draft)
            else:
                self._progress.failed[n] = draft.refusal
        return fit

    async def _note_left(self, indices: list[int]) -> None:
        """What was stored when it ended stays, and what was not is told."""
        progress = self._progress
        if progress.stopped is not None:
            self._judged_first = len(self._drafts)
            left = await self._begun(without(indices, [*progress.done, *progress.failed]))
            progress.failed |= dict.fromkeys(left, progress.stopped)

    def _outcome(self, progress: Progress[int]) -> BatchOutcome:
        batch, done = self._batch, sorted(progress.done)
        return BatchOutcome(
            "created",
            tuple(map(self._plan.ids.__getitem__, done)),
            failed=tuple(Failure(refusal, index=n) for n, refusal in sorted(progress.failed.items())),
            batch=batch.id if done and not batch.dry_run else None,
            dry_run=batch.dry_run,
            stopped=progress.stopped,
            results=self._results(progress.failed) if batch.results else None,
        )

    def _results(self, failed: Mapping[int, Refusal]) -> tuple[Item, ...]:
        def item(draft: Draft) -> Item:
            refusal = failed.get(draft.index)
            return Item(draft.id, "created") if refusal is None else Item(None, refusal.code, refusal)

        return tuple(item(draft) for draft in self._plan.drafts)

    def _without_repeats(self, indices: list[int]) -> list[int]:
        seen: set[DocumentId] = set()
        kept: list[int] = []
        for n in indices:
            one = self._drafts[n].id
            if one in seen:
                self._progress.failed[n] = Conflict(DUPLICATE_TOLD)
            else:
                kept.append(n)
            seen.add(one)
        return kept

    def _dangling(self, drafts: list[Draft], error: Dangling) -> Unfit:
        """The drafts that refer to what is missing, or to one that is now taken out."""
        missing = {*error.missing}
        wanted = [one for reference in self._plan.references for one in reference.wanted]
        ids = {draft.index: draft.id for draft in drafts}
        while True:
            lost = {ids[one.index] for one in missing}
            own = self._plan.target.collection
            more = {one for one in wanted if one.index in ids and one.collection == own and one.id in lost} - missing
            if not more:
                break
            missing |= more
        failed: dict[int, Refusal] = {}
        for index in {one.index for one in missing}:
            told = sorted((one for one in missing if one.index == index), key=lambda one: one.field)
            failed[index] = violation(told)
        return Unfit(failed)

    async def _part(self, indices: Sequence[int], final: bool) -> None:
        part, batch = ObjectId(), self._batch
        begun = await self._begun(indices)
        if not begun:
            return
        body: Body[list[int]] = lambda session: self._body(session, begun, part)  # noqa: E731
        try:
            stored = await self._rooms.transactor.run(
                self.ledger.once(body, self._outcome_with, final=final),
                deadline=self._rooms.deadline(),
                proof=self.ledger.proof(part),
                attempts=tries(indices, atomic=batch.atomic),
                commit=not batch.dry_run,
            )
        except Dangling as error:
            raise self._dangling(self._fit(indices), error) from error
        except Misplaced as error:
            unfit = (one for one in self._fit(indices) if one.id in error.failed)
            raise Unfit({one.index: error.failed[one.id] for one in unfit}) from error
        self._progress.done += stored

    def _outcome_with(self, stored: list[int]) -> BatchOutcome:
        return self._outcome(self._progress.with_(Progress(stored)))

    async def one(self, session: AsyncClientSession, draft: Draft, part: Any) -> Document:
        """The one document stored; read again where fields of it are computed, if it is to be shown."""
        former = await self._former(session, [draft])
        async with self._rooms.straight.pipelined(session) as pipeline:
            [stored] = await self._insert(pipeline, [draft], former)
        await self._settled(session, [draft], [stored], part)
        plan = self._plan
        if plan.computed and plan.lens is not None:
            return await read_again(session, plan.target.collection, draft.id, plan.computed, self._rooms)
        return stored

    async def _body(self, session: AsyncClientSession, indices: Sequence[int], part: Any) -> list[int]:
        """The places of what is stored; each piece is inserted while the next one is judged."""
        drafts: list[Draft] = []
        documents: list[Document] = []
        size = 0
        foretold: list[DocumentId] | None = None
        if self._first is not None:
            await self._first(session)
        former = await self._former(session, self._fit(indices)) if self._plan.continues else {}
        async with self._rooms.straight.pipelined(session) as pipeline:
            if self._foretells(indices):
                foretold = [self._plan.ids[n] for n in indices]
                await self.ledger.foretell(pipeline, part, "create", foretold)
            async for piece in self._pieces(indices):
                size += sum(len(draft.stored) for draft in piece)
                if size > self._plan.target.max_bytes and len(drafts) + len(piece) > 1:
                    raise TooMuch
                documents += await self._insert(pipeline, piece, former)
                drafts += piece
        await self._settled(session, drafts, documents, part, foretold)
        return [draft.index for draft in drafts]

    def _foretells(self, indices: Sequence[int]) -> bool:
        """Whether some are judged while others are stored: until then MongoDB has time for what is mostly right."""
        return self._judged_first < len(indices) and not (self._batch.dry_run or self._rooms.audit.is_told)

    async def _pieces(self, indices: Sequence[int]) -> AsyncGenerator[list[Draft], None]:
        """All at once where all are judged: a command less is worth more then than what goes on beside it."""
        first = len(indices) if self._judged_first >= len(indices) else 0 if self._foretells(indices) else _FIRST
        if first:
            yield self._fit(indices[:first])
        left = max(0, len(indices) - first)
        size = max(1, -(-left // max(1, round(left / _PIECE))))
        for n in range(first, len(indices), size):
            found: list[Draft] = []
            async for some in in_turns(indices[n : n + size], _A_TURN):
                found += self._fit(some)
            if found:
                yield found

    async def _insert(self, pipeline: Pipeline, drafts: list[Draft], former: Mapping[Life, Former]) -> list[Document]:
        """The documents as they are stored then. KeyExists names the draft whose key another one has."""
        documents = [draft.document for draft in drafts]
        stored: list[Any] = [Stored(draft.stored) for draft in drafts]
        if former:
            stored = documents = [_continued(one, former.get(self._life_of(one))) for one in documents]

        def take(answer: Document) -> None:
            if not answer.get("writeErrors"):
                return
            error = BulkWriteError(answer)
            index = duplicate_index(error)
            raise error if index is None else KeyExists(drafts[index].index)

        command = {"insert": self._plan.target.collection, "documents": stored}
        await (pipeline.send(command) if self._plan.batch is None else pipeline.send(command, take))
        return documents

    async def _settled(
        self,
        session: AsyncClientSession,
        drafts: list[Draft],
        documents: list[Document],
        part: Any,
        foretold: list[DocumentId] | None = None,
    ) -> None:
        """Behind all inserts, so that documents of one batch may refer to each other."""
        indices = {draft.index for draft in drafts}
        references = (reference.of(indices) for reference in self._plan.references)
        await require_targets(session, references, self._rooms)
        ids = [draft.id for draft in drafts]
        told = [(None, one) for one in documents] if self._plan.target.posts.any else []
        await self.ledger.note(session, part, "create", ids, Traces(states=told), foretold)

    async def _former(self, session: AsyncClientSession, drafts: list[Draft]) -> dict[Life, Former]:
        """What lived before under their ids, and is no longer gone."""
        target = self._plan.target
        if not (self._plan.continues and target.versioned):
            return {}
        lives = [self._life_of(draft.document) for draft in drafts]
        return await self._rooms.former(session, target.collection, lives, target.keeping)

    def _life_of(self, document: Document) -> Life:
        tenant_field = self._plan.target.tenant_field
        return (document.get(tenant_field) if tenant_field else None, document["_id"])


def _continued(document: Document, former: Former | None) -> Document:
    """An id that lived before goes on behind its highest number and its last moment."""
    if former is None:
        return document
    mark = document["_made"]
    return {**document, "_version": former.next, "_made": {**mark, "at": moment_after(mark["at"], former.ended)}}
