"""New documents: one, or a batch in one transaction. A duplicate key takes its item out and the rest runs again."""

from __future__ import annotations

from typing import Any, Final

import pymongo
from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, PyMongoError

from permission_mongo.batch import quarters
from permission_mongo.errors import Conflict, Refusal
from permission_mongo.outcomes import BatchOutcome, Created, Failure, Item
from permission_mongo.plans import Actor, CreatePlan, Draft
from permission_mongo.storage.computed import read_again
from permission_mongo.storage.faults import told_or_raised
from permission_mongo.storage.ledger import Ledger
from permission_mongo.storage.references import Dangling, require_targets, violation
from permission_mongo.storage.rooms import Life, Rooms
from permission_mongo.storage.transactions import Body, Contended, Late, Lost, is_in_doubt
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import moment_after

_TAKEN_OUT_ONE_BY_ONE: Final = 8
_DUPLICATE: Final = "a document with this key exists"


async def create_one(plan: CreatePlan, actor: Actor, rooms: Rooms) -> Created:
    """A write with nothing else to commit is one command; else a transaction. A key is something to commit."""
    target, draft = plan.target, plan.drafts[0]
    if not (target.audited or plan.continues or plan.references or plan.computed or actor.once):
        return await _by_one_command(target.collection, draft, rooms)
    creation = _Creation(plan, actor, rooms)
    part = ObjectId()
    try:
        stored = await rooms.transactor.run(
            creation.ledger.once(lambda session: creation.one(session, draft, part), Created),
            deadline=rooms.deadline(),
            proof=creation.ledger.proof(part if target.audited else draft.id),
        )
    except Dangling as error:
        raise violation(error.missing) from error
    return Created(stored)


async def _by_one_command(collection: str, draft: Draft, rooms: Rooms) -> Created:
    """Lost where the answer is: the driver has sent it twice, and what a majority did not confirm it may do later."""
    try:
        with pymongo.timeout(rooms.timeout):
            await rooms.raw(collection).insert_one(draft.stored)
    except PyMongoError as error:
        if is_in_doubt(error):
            raise Lost from error
        raise
    return Created(draft.document)


async def create_many(plan: CreatePlan, actor: Actor, rooms: Rooms) -> BatchOutcome:
    """The drafts that can be stored, each refusal by its index. Atomic: all, or the first refusal."""
    return await _Creation(plan, actor, rooms).run()


class _Creation:
    """One batch on its way."""

    def __init__(self, plan: CreatePlan, actor: Actor, rooms: Rooms) -> None:
        self._plan = plan
        self._rooms = rooms
        self.ledger = Ledger(rooms, actor, plan.target, plan.batch)
        self._failed: dict[int, Refusal] = {draft.index: draft.refusal for draft in plan.drafts if draft.refusal}
        self._done: list[Draft] = []

    async def run(self) -> BatchOutcome:
        plan, batch = self._plan, self._plan.batch
        assert batch is not None  # noqa: S101  (create_many is planned with one)
        drafts = self._without_repeats([draft for draft in plan.drafts if draft.refusal is None])
        if batch.atomic and self._failed:
            raise self._first_refusal()
        stopped = await self._store(drafts)
        if batch.dry_run:
            await self.ledger.note_rehearsal("create", [draft.id for draft in self._done])
        return self._outcome(self._done, stopped)

    def _outcome(self, stored: list[Draft], stopped: Refusal | None = None) -> BatchOutcome:
        batch = self._plan.batch
        assert batch is not None  # noqa: S101  (create_many is planned with one)
        done = sorted(stored, key=lambda draft: draft.index)
        return BatchOutcome(
            "created",
            tuple(draft.id for draft in done),
            failed=tuple(Failure(refusal, index=index) for index, refusal in sorted(self._failed.items())),
            batch=batch.id if done and not batch.dry_run else None,
            dry_run=batch.dry_run,
            stopped=stopped,
            results=self._results() if batch.results else None,
        )

    def _results(self) -> tuple[Item, ...]:
        def item(draft: Draft) -> Item:
            refusal = self._failed.get(draft.index)
            return Item(draft.id, "created") if refusal is None else Item(None, refusal.code, refusal)

        return tuple(item(draft) for draft in self._plan.drafts)

    async def _store(self, drafts: list[Draft]) -> Refusal | None:
        """Why it ended before all was stored, if it did: what is stored by then stays, and is told."""
        try:
            if drafts:
                await self._all(drafts, _TAKEN_OUT_ONE_BY_ONE, final=True)
        except (PyMongoError, Contended, Late, Lost) as error:
            stopped = told_or_raised(error, after_some=bool(self._done))
            stored = {draft.index for draft in self._done}
            left = [draft.index for draft in drafts if draft.index not in stored and draft.index not in self._failed]
            self._failed |= dict.fromkeys(left, stopped)
            return stopped
        return None

    def _without_repeats(self, drafts: list[Draft]) -> list[Draft]:
        seen: set[DocumentId] = set()
        kept: list[Draft] = []
        for draft in drafts:
            if draft.id in seen:
                self._failed[draft.index] = Conflict(_DUPLICATE)
            else:
                kept.append(draft)
            seen.add(draft.id)
        return kept

    async def _all(self, drafts: list[Draft], takes: int, final: bool) -> None:
        """A duplicate key aborts the whole transaction and names one index: take it out, or halve, and run again.

        References that find nothing abort it as well, and name all of theirs. `final` says that nothing comes after
        these drafts.
        """
        try:
            await self._transaction(drafts, final)
        except Dangling as error:
            rest = self._without_dangling(drafts, error)
            if rest:
                await self._all(rest, takes, final)
        except BulkWriteError as error:
            index = duplicate_index(error)
            if index is None:
                raise
            if self._plan.batch is not None and self._plan.batch.atomic:
                self._failed[drafts[index].index] = Conflict(_DUPLICATE)
                raise self._first_refusal() from error
            if takes > 0 or len(drafts) == 1:
                self._failed[drafts[index].index] = Conflict(_DUPLICATE)
                rest = [*drafts[:index], *drafts[index + 1 :]]
                if rest:
                    await self._all(rest, takes - 1, final)
            else:
                parts = quarters(drafts)
                for n, part in enumerate(parts, 1):
                    await self._all(list(part), _TAKEN_OUT_ONE_BY_ONE, final and n == len(parts))
        else:
            self._done += drafts

    def _without_dangling(self, drafts: list[Draft], error: Dangling) -> list[Draft]:
        """The drafts that refer to nothing missing, nor to one that is now taken out."""
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
        for index in {one.index for one in missing}:
            told = sorted((one for one in missing if one.index == index), key=lambda one: one.field)
            self._failed[index] = violation(told)
        if self._plan.batch is not None and self._plan.batch.atomic:
            raise self._first_refusal() from error
        return [draft for draft in drafts if draft.index not in self._failed]

    async def _transaction(self, drafts: list[Draft], final: bool) -> None:
        part = ObjectId()
        batch = self._plan.batch
        body: Body[list[Document]] = lambda session: self.body(session, drafts, part)  # noqa: E731
        await self._rooms.transactor.run(
            self.ledger.once(body, lambda _: self._outcome([*self._done, *drafts]), final=final),
            deadline=self._rooms.deadline(),
            proof=self.ledger.proof(part),
            commit=batch is None or not batch.dry_run,
        )

    async def one(self, session: AsyncClientSession, draft: Draft, part: Any) -> Document:
        """The one document stored; read again where fields of it are computed, if it is to be shown."""
        stored = (await self.body(session, [draft], part))[0]
        plan = self._plan
        if plan.computed and plan.lens is not None:
            return await read_again(session, plan.target.collection, draft.id, plan.computed, self._rooms)
        return stored

    async def body(self, session: AsyncClientSession, drafts: list[Draft], part: Any) -> list[Document]:
        documents = [draft.document for draft in drafts]
        stored: list[Any] = [draft.stored for draft in drafts]
        if self._plan.continues and self._plan.target.versioned:
            stored = documents = await self._continued(session, documents)
        name = self._plan.target.collection
        if self._plan.batch is None:
            await self._rooms.raw(name).insert_one(stored[0], session=session)
        else:
            await self._rooms.insert(session, name, stored)
        # Behind the insert, so that documents of one batch may refer to each other.
        indices = {draft.index for draft in drafts}
        references = (reference.of(indices) for reference in self._plan.references)
        await require_targets(session, references, self._rooms)
        ids = [draft.id for draft in drafts]
        await self.ledger.note(session, part, "create", ids)
        return documents

    async def _continued(self, session: AsyncClientSession, documents: list[Document]) -> list[Document]:
        """An id that lived before goes on behind its highest number and its last moment, and is no longer gone."""
        target = self._plan.target

        def key(document: Document) -> Life:
            return (document.get(target.tenant_field) if target.tenant_field else None, document["_id"])

        former = await self._rooms.former(session, target.collection, map(key, documents), target.keeping)

        def continued(document: Document) -> Document:
            life = former.get(key(document))
            if life is None:
                return document
            mark = document["_made"]
            return {
                **document,
                "_version": life.next,
                "_made": {**mark, "at": moment_after(mark["at"], life.ended)},
            }

        return [continued(document) for document in documents]

    def _first_refusal(self) -> Refusal:
        index = min(self._failed)
        first = self._failed[index]
        failed = [{"index": n, "error": refusal.as_entry()} for n, refusal in sorted(self._failed.items())]
        return type(first)(f"nothing was created; documents[{index}]: {first.message}", **first.details, failed=failed)


def duplicate_index(error: BulkWriteError) -> int | None:
    """The place of the document whose key exists already; None if the error is another one."""
    written = (error.details or {}).get("writeErrors", [])
    return next((one["index"] for one in written if one.get("code") == 11000), None)
