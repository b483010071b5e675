"""One document removed: deleted, with a version kept, or purged with its history."""

from __future__ import annotations

from dataclasses import replace

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.outcomes import Deleted, Purged
from permission_mongo.plans import Actor, DeleteOnePlan, PurgePlan
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.singles import Single, require_accepted
from permission_mongo.values import Document
from permission_mongo.versions import lives_of, made, tenant_of


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
        if plan.pre:
            plan.pre.judge(plan.id, stored, None)
        if plan.target.versioned:
            await single.keep(session, raw, stored, ended, renumber)
        await single.note(session, "delete", (stored, None))
        return Deleted(plan.id)

    return await single.run(body, single.proof())


async def purge_one(plan: PurgePlan, actor: Actor, rooms: Rooms) -> Purged:
    """The document, if it lives, and all that is kept of it. DocumentNotFound and Forbidden as for a delete."""
    # It leaves no version that could tell of it.
    single = Single(replace(plan.target, versioned=False), plan.id, actor, rooms)

    async def body(session: AsyncClientSession, renumber: bool) -> Purged:
        stored, count = await _erased(session, single, plan)
        if plan.pre:
            plan.pre.judge(plan.id, stored, None)
        life = {**lives_of(plan.target.collection, plan.id), "tenant_id": tenant_of(stored, plan.target.tenant_field)}
        versions = await rooms.versions.delete_many(life, session=session)
        await single.note(session, "purge", (stored, None), plan.reason)
        return Purged(plan.id, count + versions.deleted_count)

    return await single.run(body, single.proof())


async def _erased(session: AsyncClientSession, single: Single, plan: PurgePlan) -> tuple[Document, int]:
    """The document as it was, and how many versions went with it: the live one, else the last content of a deleted."""
    visible = plan.visible.also(single.named())
    live = single.rooms.live(plan.target.collection)
    if plan.visible.is_empty or await live.find_one(visible, {"_id": 1}, session=session) is None:
        return await _erased_record(session, single, plan)
    _, stored = await single.seen(session, visible, plan.precondition)
    if plan.match.is_empty or not await _removed(session, single, plan.match.also(single.named())):
        raise single.forbidden("purge", "purging")
    return stored, 0


async def _erased_record(session: AsyncClientSession, single: Single, plan: PurgePlan) -> tuple[Document, int]:
    versions = single.rooms.raw(VERSIONS)
    seen = not plan.visible_records.is_empty
    kept = await versions.find_one(plan.visible_records.filter, session=session) if seen else None
    if kept is None:
        raise not_found(plan.target.collection)
    last = document_of(kept.raw)
    require_accepted(plan.precondition, last["data"])
    match = plan.records.also({"_id": {"$eq": last["_id"]}})
    if plan.records.is_empty or (await versions.delete_one(match, session=session)).deleted_count != 1:
        raise single.forbidden("purge", "purging")
    return last["data"], 1


async def _removed(session: AsyncClientSession, single: Single, match: dict[str, object]) -> bool:
    result = await single.rooms.live(single.target.collection).delete_one(match, session=session)
    return result.deleted_count == 1
