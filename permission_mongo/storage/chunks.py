"""What a filter matches, worked off in chunks: the next ids behind a bound."""

from __future__ import annotations

from typing import Any

import pymongo

from permission_mongo.batch import Batch, Bound
from permission_mongo.errors import InvalidRequest
from permission_mongo.plans import DeletePlan
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import DocumentId


def require_fitting_options(batch: Batch, chunk: int) -> None:
    """InvalidRequest, before anything is done, for options that are for at most one chunk."""
    for name, is_asked in (("atomic", batch.atomic), ("results", batch.results)):
        if is_asked:
            raise InvalidRequest(f"'{name}' is for at most one chunk", max_batch_size=chunk)


async def next_ids(rooms: Rooms, plan: DeletePlan, behind: Bound | None) -> list[DocumentId]:
    """The ids of the next chunk in their order, and one or two more where there is more to come."""
    if plan.match.is_empty:
        return []
    # An object can be an id to MongoDB, and no caller can name one: such a row stays.
    named = plan.match.also({"_id": {"$not": {"$type": "object"}}})
    limit = plan.target.chunk + 2
    found = rooms.live(plan.target.collection).find(named, {"_id": 1}, limit=limit, batch_size=limit + 1)
    found = found.sort("_id", 1)
    if behind is not None:
        # A bound on the index goes on across types of ids, where `$gt` would stop at the end of one.
        least: list[Any] = [("_id", behind.id)]
        found = found.hint([("_id", 1)]).min(least)
    with pymongo.timeout(rooms.timeout):
        rows = await found.to_list()
    ids = [row["_id"] for row in rows]
    return ids[1:] if ids and behind is not None and behind.is_at(ids[0]) else ids
