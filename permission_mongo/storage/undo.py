"""Undo: what a batch deleted lives again, what it changed is put back, what it made is removed.

What others changed since is listed. It goes part by part, as the batch did, so that no list grows with it; each part is
looked at just before it is worked off. Undo is itself a batch: it takes version numbers, has an id, and can be undone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, assert_never

import pymongo
from pymongo.errors import PyMongoError

from permission_mongo.batch import without
from permission_mongo.errors import BatchNotFound, Conflict, InvalidRequest, Refusal
from permission_mongo.jobs import AT_FIRST, MOST_LISTED, added
from permission_mongo.outcomes import BatchOutcome, Failure, Item
from permission_mongo.plans import Actor, DeletePlan, RevertPlan, RevivePlan, UndoPlan
from permission_mongo.storage.deletes import delete_many
from permission_mongo.storage.faults import told_or_raised
from permission_mongo.storage.ledger import Ledger
from permission_mongo.storage.parts import first_refusal
from permission_mongo.storage.reverts import CHANGED, revert_many
from permission_mongo.storage.revivals import revive_many
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.transactions import Contended, Late, Lost
from permission_mongo.storage.undoable import Look, Undoable
from permission_mongo.storage.works import Share
from permission_mongo.values import DocumentId

_AT_ONCE: Final = 1000  # ids of parts


async def undo(plan: UndoPlan, actor: Actor, rooms: Rooms) -> BatchOutcome:
    """Works on, counts and lists only documents that the caller can see today. BatchNotFound if there is none."""
    undoing = _Undoing(plan, actor, rooms)
    return await (undoing.as_one() if plan.batch.atomic else undoing.part_by_part())


class _Undoing:
    """One undo on its way."""

    def __init__(self, plan: UndoPlan, actor: Actor, rooms: Rooms) -> None:
        self._plan = plan
        self._batch = plan.batch
        self._actor = actor
        self._rooms = rooms
        self._look = Look(plan, rooms)
        self._so_far = BatchOutcome(
            "restored", (), dry_run=plan.batch.dry_run, results=() if plan.batch.results else None
        )

    async def part_by_part(self) -> BatchOutcome:
        if self._batch.results or self._batch.max_affected is not None:
            await self._require_fitting()
        try:
            async with aclosing(self._parts()) as parts:
                async for seen, is_last in parts:
                    await self._put_back(seen, is_last=is_last)
                    if self._so_far.stopped is not None:
                        break
        except (PyMongoError, TimeoutError) as error:
            # Of a look: what was put back before it stays.
            self._so_far = replace(self._so_far, stopped=told_or_raised(error, after_some=self._so_far.count > 0))
        if not (self._so_far.count or self._so_far.failed):
            raise self._not_found()
        return self._so_far

    async def as_one(self) -> BatchOutcome:
        """All that is seen of it is put back, in one transaction, or nothing is."""
        whole = Undoable()
        async with aclosing(self._parts()) as parts:
            async for seen, _ in parts:
                whole = whole.and_(seen)
                self._require_few_enough(whole.count)
                if whole.count > self._plan.target.chunk:
                    raise self._for_one_chunk("atomic")
                if len(whole.failed) > MOST_LISTED:
                    break
        if not whole.seen:
            raise self._not_found()
        if whole.failed:
            raise first_refusal(whole.failed, "nothing was put back")
        await self._put_back(whole, is_last=True)
        return self._so_far

    # -- what there is

    async def _parts(self) -> AsyncGenerator[tuple[Undoable, bool], None]:
        """What can be undone of each part, in the order in which they were done, and whether it is the last one."""
        behind: Any = None
        while True:
            ids = await self._ids_of_parts(behind)
            for n, one in enumerate(ids[:_AT_ONCE], 1):
                with pymongo.timeout(self._rooms.timeout):
                    part = await self._rooms.parts.find_one({"_id": one})
                if part is not None:
                    yield await self._look.at(part), n == len(ids)
            if len(ids) <= _AT_ONCE:
                return
            behind = ids[_AT_ONCE - 1]

    async def _ids_of_parts(self, behind: Any) -> list[Any]:
        about = {"batch": {"$eq": self._plan.undone}, "collection": self._plan.target.collection}
        further = {} if behind is None else {"_id": {"$gt": behind}}
        with pymongo.timeout(self._rooms.timeout):
            found = self._rooms.parts.find({**about, **further}, {"_id": 1}, sort=[("_id", 1)], limit=_AT_ONCE + 1)
            return [one["_id"] for one in await found.to_list()]

    async def _require_fitting(self) -> None:
        """InvalidRequest, before anything is done, for more than was asked for."""
        count = seen = 0
        async with aclosing(self._parts()) as parts:
            async for one, _ in parts:
                count, seen = count + one.count, seen + one.seen
                self._require_few_enough(count)
                if self._batch.results and seen > self._plan.target.chunk:
                    raise self._for_one_chunk("results")

    def _require_few_enough(self, count: int) -> None:
        most = self._batch.max_affected
        if most is not None and count > most:
            raise InvalidRequest(f"more than {most} documents would change; nothing did", matched_at_least=most + 1)

    def _for_one_chunk(self, option: str) -> InvalidRequest:
        return InvalidRequest(f"'{option}' is for at most one chunk", max_batch_size=self._plan.target.chunk)

    def _not_found(self) -> BatchNotFound:
        name = self._plan.target.collection
        return BatchNotFound(f"no such batch in {name}", collection=name)

    # -- one part

    async def _put_back(self, seen: Undoable, *, is_last: bool) -> None:
        plan = self._plan
        works: list[RevivePlan | RevertPlan | DeletePlan] = []
        if seen.gone:
            works.append(replace(plan.reviving, kept=seen.gone))
        if seen.changed:
            works.append(replace(plan.reverting, kept=seen.changed))
        if seen.made and plan.removing is not None:
            works.append(replace(plan.removing, expected=seen.made))
        self._so_far = self._with(self._outcome({}, seen.failed))
        rehearsed: list[DocumentId] = []
        for n, work in enumerate(works, 1):
            rehearsed += await self._work_off(work, is_last=is_last and n == len(works))
        if self._batch.dry_run and seen.seen:
            ledger = Ledger(self._rooms, self._actor, plan.target, self._batch)
            await ledger.note_rehearsal("undo", rehearsed)

    async def _work_off(self, work: RevivePlan | RevertPlan | DeletePlan, *, is_last: bool) -> tuple[DocumentId, ...]:
        """What was done of it."""
        asked = work.expected or ()
        share = Share(lambda outcome: self._with(self._as_undone(outcome, asked)), is_last)
        if self._so_far.stopped is not None:
            return ()
        try:
            outcome = await self._done(work, share)
        except (PyMongoError, Contended, Late, Lost, TimeoutError) as error:
            stopped = told_or_raised(error, after_some=self._so_far.count > 0)
            outcome = BatchOutcome("restored", (), stopped=stopped)
        self._so_far = self._with(self._as_undone(outcome, asked))
        return outcome.done

    async def _done(self, work: RevivePlan | RevertPlan | DeletePlan, share: Share) -> BatchOutcome:
        match work:
            case RevivePlan():
                return await revive_many(work, self._actor, self._rooms, share)
            case RevertPlan():
                return await revert_many(work, self._actor, self._rooms, share)
            case DeletePlan():
                return await delete_many(work, self._actor, self._rooms, AT_FIRST, share)
            case _:
                assert_never(work)

    # -- what is told

    def _with(self, part: BatchOutcome) -> BatchOutcome:
        before = self._so_far
        results = None if before.results is None else (*before.results, *(part.results or ()))
        return replace(added(before, part), results=results)

    def _as_undone(self, outcome: BatchOutcome, asked: tuple[DocumentId, ...]) -> BatchOutcome:
        """What was not found any more was changed by somebody; what was not come to is told with the reason."""
        failed = {one.id: one.refusal for one in outcome.failed if one.id is not None}
        failed |= dict.fromkeys(outcome.missing, Conflict(CHANGED))
        if outcome.stopped is not None:
            failed |= dict.fromkeys(without(asked, [*outcome.done, *failed]), outcome.stopped)
        told = self._outcome(dict.fromkeys(outcome.done, outcome.verb), failed)
        return replace(told, batch=outcome.batch, stopped=outcome.stopped)

    def _outcome(self, done: Mapping[DocumentId, str], failed: Mapping[DocumentId, Refusal]) -> BatchOutcome:
        items = (
            *(Item(one, verb) for one, verb in done.items()),
            *(Item(one, refusal.code, refusal) for one, refusal in failed.items()),
        )
        return BatchOutcome(
            "restored",
            tuple(done),
            failed=tuple(Failure(refusal, id=one) for one, refusal in failed.items()),
            dry_run=self._batch.dry_run,
            results=items if self._batch.results else None,
        )
