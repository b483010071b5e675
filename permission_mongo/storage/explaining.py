"""What an explanation has to look up: one document, and first the audit's entry of the question."""

from __future__ import annotations

import pymongo

from permission_mongo.audit import entry
from permission_mongo.explanations import Examined, ExplainPlan
from permission_mongo.plans import Actor
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import MongoFilter


async def examine(plan: ExplainPlan, actor: Actor, rooms: Rooms) -> Examined:
    """The document where the plan lets it be looked at. Nothing is looked at that is not in the audit already."""
    with pymongo.timeout(rooms.timeout):
        return await _examined(plan, actor, rooms)


async def _examined(plan: ExplainPlan, actor: Actor, rooms: Rooms) -> Examined:
    if plan.audited:
        ids = [] if plan.id is None else [plan.id]
        written = entry(actor, "explain", plan.collection.name, ids)
        await rooms.audit.insert_one({**written, "asked": dict(plan.noted)})
    if plan.id is None:
        return Examined(None, "unnamed")
    named: MongoFilter = {"_id": {"$eq": plan.id}}
    if plan.live is not None and not plan.live.is_empty:
        found = await rooms.first(plan.collection.name, plan.live.also(named))
        if found is not None:
            return Examined(found, "live")
    if plan.ended is not None and not plan.ended.is_empty:
        kept = await rooms.versions.find_one(plan.ended.filter, max_time_ms=rooms.max_time_ms)
        if kept is not None:
            return Examined(kept["data"], "deleted")
    return Examined(None, "absent")
