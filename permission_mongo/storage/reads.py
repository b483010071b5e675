"""Plans that change nothing, each one command or two."""

from __future__ import annotations

from permission_mongo.batch import without
from permission_mongo.errors import DocumentNotFound, PayloadTooLarge
from permission_mongo.outcomes import Found, Gathered
from permission_mongo.plans import GetManyPlan, ReadPlan
from permission_mongo.storage.computed import find_computed
from permission_mongo.storage.gathering import Gathering
from permission_mongo.storage.lists import Rows, read_rows
from permission_mongo.storage.rooms import Rooms


def not_found(collection: str) -> DocumentNotFound:
    """One and the same for a document that is absent and one that is not visible."""
    return DocumentNotFound(f"no such document in {collection}", collection=collection)


async def read_one(plan: ReadPlan, gathering: Gathering, rooms: Rooms) -> Found:
    if plan.computed and not plan.rows.is_empty:
        async with rooms.bounded():
            asked = await find_computed(plan.collection, plan.rows.one(plan.id), plan.computed, rooms)
            rows, _ = await read_rows(asked, 1, 0, rooms.sizes[plan.collection])
        found = rows[0] if rows else None
    else:
        found = await gathering.find(plan)
    if found is None:
        raise not_found(plan.collection)
    return Found(found)


async def get_many(plan: GetManyPlan, rooms: Rooms) -> Gathered:
    """The documents in the order asked. PayloadTooLarge where they are too many bytes: no more of them are read."""
    if plan.match.is_empty:
        return Gathered((), plan.ids)
    most = plan.max_bytes
    async with rooms.bounded():
        rows, more = await read_rows(await _asked(plan, rooms), len(plan.ids), most, rooms.sizes[plan.collection])
    if more:
        raise PayloadTooLarge(f"these documents have more than {most} bytes; ask for fewer", max_result_bytes=most)
    by_id = {row["_id"]: row for row in rows}
    return Gathered(tuple(by_id[one] for one in plan.ids if one in by_id), without(plan.ids, by_id))


async def _asked(plan: GetManyPlan, rooms: Rooms) -> Rows:
    if plan.computed:
        return await find_computed(plan.collection, plan.match.filter, plan.computed, rooms)
    live, most = rooms.live(plan.collection), len(plan.ids) + 1
    return live.find_raw_batches(plan.match.filter, batch_size=most, max_time_ms=rooms.max_time_ms)
