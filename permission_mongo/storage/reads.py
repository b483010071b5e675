"""Plans that change nothing, each one command or two."""

from __future__ import annotations

from typing import Any, Final

import pymongo

from permission_mongo.batch import without
from permission_mongo.errors import DocumentNotFound
from permission_mongo.outcomes import Entry, Found, Gathered, History
from permission_mongo.plans import AgainPlan, GetManyPlan, ReadPlan, VersionsPlan
from permission_mongo.storage.computed import find_computed
from permission_mongo.storage.gathering import Gathering
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document
from permission_mongo.versions import number_of

_ABOUT: Final = {"version": 1, "ended": 1, "data._made": 1, "gone": 1}


def not_found(collection: str) -> DocumentNotFound:
    """One and the same for a document that is absent and one that is not visible."""
    return DocumentNotFound(f"no such document in {collection}", collection=collection)


async def read_one(plan: ReadPlan, gathering: Gathering, rooms: Rooms) -> Found:
    if plan.computed and not plan.rows.is_empty:
        rows = await find_computed(plan.collection, plan.rows.one(plan.id), plan.computed, rooms)
        found = rows[0] if rows else None
    else:
        found = await gathering.find(plan)
    if found is None:
        raise not_found(plan.collection)
    return Found(found)


async def get_many(plan: GetManyPlan, rooms: Rooms) -> Gathered:
    """The documents in the order asked."""
    if plan.match.is_empty:
        return Gathered((), plan.ids)
    if plan.computed:
        rows = await find_computed(plan.collection, plan.match.filter, plan.computed, rooms)
    else:
        asked = rooms.live(plan.collection).find(plan.match.filter, batch_size=len(plan.ids) + 1)
        async with rooms.bounded():
            rows = await asked.max_time_ms(rooms.max_time_ms).to_list()
    by_id = {row["_id"]: row for row in rows}
    return Gathered(tuple(by_id[one] for one in plan.ids if one in by_id), without(plan.ids, by_id))


async def list_versions(plan: VersionsPlan, rooms: Rooms) -> History:
    """Each entry tells the write that made it; an entry whose state is not shown is left out."""
    if plan.records.is_empty and plan.live.is_empty:
        raise not_found(plan.collection)
    with pymongo.timeout(rooms.timeout):
        live = await rooms.live(plan.collection).find_one(plan.live.filter)
        records = await _records(plan, rooms)
        last_is_shown = live is not None or await _was_deleted_visibly(plan, rooms)
    if not last_is_shown:
        raise not_found(plan.collection)
    entries = [] if live is None else [_entry(number_of(live), live.get("_made"), "create")]
    for found in records:
        if found["ended"]["action"] == "delete":
            entries.append(_entry(found["version"] + 1, found["ended"], "delete"))
        entries.append(_entry(found["version"], found["data"].get("_made"), "create"))
    shown = [one for one in entries if plan.before is None or one.version < plan.before]
    return History(tuple(sorted(shown, key=lambda one: -one.version)[: plan.limit]))


async def _records(plan: VersionsPlan, rooms: Rooms) -> list[Document]:
    bound = {} if plan.before is None else {"version": {"$lt": plan.before}}
    match = plan.records.also(bound)
    return await rooms.versions.find(match, _ABOUT, sort=[("version", -1)], limit=plan.limit + 1).to_list()


async def _was_deleted_visibly(plan: VersionsPlan | AgainPlan, rooms: Rooms) -> bool:
    """Whether the document is gone and its last content is the caller's to see.

    Told by its own record alone: another tenant that makes the same id again must change nothing here.
    """
    if plan.records.is_empty:
        return False
    return await rooms.versions.find_one(plan.records.also({"gone": True}), {"_id": 1}) is not None


async def read_again(plan: AgainPlan, rooms: Rooms) -> Found:
    """The state a write made, where the caller sees it and also the present one, or the last before the deletion."""
    with pymongo.timeout(rooms.timeout):
        live = None if plan.live.is_empty else await rooms.live(plan.collection).find_one(plan.live.filter)
        if live is not None and plan.version in (None, number_of(live)):
            return Found(live)
        if plan.version is not None and (live is not None or await _was_deleted_visibly(plan, rooms)):
            kept = await rooms.versions.find_one(plan.records.also({"version": plan.version}), {"data": 1})
            if kept is not None:
                return Found(kept["data"])
    raise not_found(plan.collection)


def _entry(version: int, mark: Any, otherwise: str) -> Entry:
    """A state from before the gateway has no mark: then its maker is not known."""
    if not isinstance(mark, dict):
        return Entry(version, otherwise, None, None)
    return Entry(
        version, mark.get("action", otherwise), mark.get("by"), mark.get("at"), mark.get("reason"), mark.get("batch")
    )
