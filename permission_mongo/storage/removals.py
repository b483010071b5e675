"""One document removed: deleted, with a version kept."""

from __future__ import annotations

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.outcomes import Deleted
from permission_mongo.plans import Actor, DeleteOnePlan
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.singles import Single
from permission_mongo.versions import made


async def delete_one(plan: DeleteOnePlan, actor: Actor, rooms: Rooms) -> Deleted:
    """DocumentNotFound if it is not visible, Forbidden if it is and may not be deleted."""
    single = Single(plan.target, plan.id, actor, rooms)
    ended = made("delete", actor.subject, actor.now, plan.reason, None)

    async def body(session: AsyncClientSession, renumber: bool) -> Deleted:
        visible = None if plan.visible.is_empty else plan.visible.also(single.named())
        raw, stored = await single.seen(session, visible, plan.precondition)
        # The guard stands in the command itself, whatever was read before.
        match = plan.match.also(single.named())
        if plan.match.is_empty or not await _removed(session, single, match):
            raise single.forbidden("delete", "deleting")
        if plan.target.versioned:
            await single.keep(session, raw, stored, ended, renumber)
        await single.note(session, "delete")
        return Deleted(plan.id)

    return await single.run(body, single.proof())


async def _removed(session: AsyncClientSession, single: Single, match: dict[str, object]) -> bool:
    result = await single.rooms.live(single.target.collection).delete_one(match, session=session)
    return result.deleted_count == 1
