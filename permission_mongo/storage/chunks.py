"""What a filter matches, worked off in chunks: the next ids behind a bound."""

from __future__ import annotations

from typing import Any, Final

import pymongo

from permission_mongo.batch import Batch, Bound
from permission_mongo.errors import InvalidRequest
from permission_mongo.plans import Chunked
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import DocumentId, MongoFilter

_AT_ONCE: Final = 251  # ids by one answer of MongoDB: others have their turn between two

# An object can be an id to MongoDB, and no caller can name one: such a row stays.
NAMED: Final[MongoFilter] = {"_id": {"$not": {"$type": "object"}}}


def require_fitting_options(batch: Batch, chunk: int) -> None:
    """InvalidRequest, before anything is done, for options that are for at most one chunk."""
    for name, is_asked in (("atomic", batch.atomic), ("results", batch.results)):
        if is_asked:
            raise InvalidRequest(f"'{name}' is for at most one chunk", max_batch_size=chunk)


async def require_at_most(rooms: Rooms, plan: Chunked) -> None:
    """InvalidRequest, before anything is done, where more rows match than may be affected."""
    most = plan.batch.max_affected
    if most is None or plan.match.is_empty:
        return
    match = plan.match.filter if plan.expected is None else plan.match.among(plan.expected)
    with pymongo.timeout(rooms.timeout):
        found = await rooms.live(plan.target.collection).count_documents(match, limit=most + 1)
    if found > most:
        raise InvalidRequest(f"more than {most} documents match; nothing was done", matched_at_least=found)


def require_few_enough(batch: Batch, met: int) -> None:
    """Counted again as it happens: rows that match may have come since the first look."""
    most = batch.max_affected
    if most is not None and met > most:
        raise InvalidRequest(f"more than {most} documents match", matched_at_least=most + 1)


async def next_chunk(rooms: Rooms, plan: Chunked, behind: Bound | None) -> tuple[list[DocumentId], Bound | None]:
    """The ids of a filter's next chunk, and where the one after it begins: None at the end.

    In id order, each above those before it, so that no document is met twice. InvalidRequest for what the first chunk
    shows to be too many.
    """
    if plan.batch.first:
        return (await next_ids(rooms, plan, None))[:1], None
    if behind is None:
        await require_at_most(rooms, plan)
    ids = await next_ids(rooms, plan, behind)
    chunk, is_last = ids[: plan.target.chunk], len(ids) <= plan.target.chunk
    if behind is None and not is_last:
        require_fitting_options(plan.batch, plan.target.chunk)
    return chunk, None if is_last else Bound(chunk[-1])


async def next_ids(rooms: Rooms, plan: Chunked, behind: Bound | None) -> list[DocumentId]:
    """The ids of the next chunk in their order, and one or two more where there is more to come."""
    if plan.match.is_empty:
        return []
    named = plan.match.also(NAMED)
    limit = 1 if plan.batch.first else plan.target.chunk + 2
    found = rooms.live(plan.target.collection).find(named, {"_id": 1}, limit=limit, batch_size=_AT_ONCE)
    found = found.sort("_id", 1)
    if behind is not None:
        # A bound on the index goes on across types of ids, where `$gt` would stop at the end of one.
        least: list[Any] = [("_id", behind.id)]
        found = found.hint([("_id", 1)]).min(least)
    with pymongo.timeout(rooms.timeout):
        ids = [row["_id"] async for row in found]
    return ids[1:] if ids and behind is not None and behind.is_at(ids[0]) else ids
