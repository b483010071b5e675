"""A filter's change; where it finds nothing, a new document, created in the transaction that looked for it."""

from __future__ import annotations

from typing import Final

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import Conflict, Forbidden
from permission_mongo.jobs import Turn
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, CreatePlan, UpdateManyPlan
from permission_mongo.storage.chunks import NAMED
from permission_mongo.storage.creates import create_many
from permission_mongo.storage.revising import update_many
from permission_mongo.storage.rooms import Rooms

_LOOKS: Final = 12


class _Appeared(Exception):
    """There is something to change by now."""


async def update_or_create(plan: UpdateManyPlan, actor: Actor, rooms: Rooms, turn: Turn) -> BatchOutcome:
    """What was changed or, where a filter's first chunk has nothing in it, what was created: Forbidden if what the
    filter finds is seen and may not be changed, else the refusal of the new document.
    """
    changed = await update_many(plan, actor, rooms, turn)
    if plan.otherwise is None or turn.behind is not None or not _found_nothing(changed):
        return changed
    return await _Upserting(plan, plan.otherwise, actor, rooms, turn).done()


def _found_nothing(outcome: BatchOutcome) -> bool:
    return not (outcome.met or outcome.is_partial or outcome.is_job or outcome.more)


class _Upserting:
    """A change that found nothing, on its way."""

    def __init__(self, plan: UpdateManyPlan, otherwise: CreatePlan, actor: Actor, rooms: Rooms, turn: Turn) -> None:
        self._plan = plan
        self._otherwise = otherwise
        self._actor = actor
        self._rooms = rooms
        self._turn = turn

    async def done(self) -> BatchOutcome:
        """Another writer may make what the filter finds: then it is looked for again."""
        for _ in range(_LOOKS):
            try:
                return await self._created()
            except _Appeared:
                changed = await update_many(self._plan, self._actor, self._rooms, self._turn)
            if not _found_nothing(changed):
                return changed
        raise Conflict("others changed the same documents at the same time; try again")

    async def _created(self) -> BatchOutcome:
        plan, draft = self._otherwise, self._otherwise.drafts[0]
        if draft.refusal is not None:
            # What is to be told of a document that is there goes first, as where it would be created.
            with pymongo.timeout(self._rooms.timeout):
                await self._require_nothing(None)
            raise draft.refusal
        outcome = await create_many(plan, self._actor, self._rooms, self._require_nothing)
        failed = outcome.stopped or (outcome.failed[0].refusal if outcome.failed else None)
        if failed is not None:
            raise failed
        return outcome

    async def _require_nothing(self, session: AsyncClientSession | None) -> None:
        """_Appeared, or Forbidden, where the filter finds something that the caller sees."""
        plan = self._plan
        live = self._rooms.live(plan.target.collection)
        if not plan.match.is_empty and await live.find_one(plan.match.also(NAMED), {"_id": 1}, session=session):
            raise _Appeared
        if not plan.visible.is_empty and await live.find_one(plan.visible.filter, {"_id": 1}, session=session):
            told = "no rule of your roles allows changing this document"
            raise Forbidden(told, action="update", collection=plan.target.collection)
