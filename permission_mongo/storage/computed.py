"""Reading where fields are computed: the guard first, then the computed fields, then what is asked of them.

Nothing is computed of a row that the guard leaves out, and only for the rows of the page where the question allows it.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.plans import Computing, ListPlan
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, DocumentId, MongoFilter

_BY_ID: Final = {"_id": 1}
Stages = list[dict[str, Any]]


def computing(computed: Computing) -> dict[str, Any]:
    """The stage that adds the computed fields to each document."""
    return {"$set": dict(computed)}


def page_stages(
    match: MongoFilter, sort: dict[str, int], limit: int, computed: Computing, asked: MongoFilter
) -> Stages:
    """A page of the rows of `match` that, once computed, are `asked` for. `sort` names no computed field."""
    first: Stages = [{"$match": match}, {"$sort": sort}]
    if asked:
        return [*first, computing(computed), {"$match": asked}, {"$limit": limit}]
    return [*first, {"$limit": limit}, computing(computed)]


async def find_computed(collection: str, match: MongoFilter, computed: Computing, rooms: Rooms) -> list[Document]:
    """The rows of `match` with their computed fields."""
    return await _rows(collection, [{"$match": match}, computing(computed)], rooms)


async def list_computed(plan: ListPlan, rooms: Rooms) -> list[Document]:
    """The rows of a page by key, and one more where there are more."""
    match, hint = plan.match.filter, None
    if plan.after is not None:
        # By `$expr`, which goes on across types of ids, where `$gt` of a filter would stop at the end of one.
        match = plan.match.also({"$expr": {"$gt": ["$_id", {"$literal": plan.after}]}})
        hint = {**{name: 1 for name, _ in plan.prefix}, "_id": 1}
    stages = page_stages(match, _BY_ID, plan.limit + 1, plan.computed, plan.asked)
    return await _rows(plan.collection, stages, rooms, hint)


async def _rows(collection: str, stages: Stages, rooms: Rooms, hint: dict[str, int] | None = None) -> list[Document]:
    more: dict[str, Any] = {} if hint is None else {"hint": hint}
    async with rooms.bounded():
        found = await rooms.live(collection).aggregate(stages, maxTimeMS=rooms.max_time_ms, **more)
        return await found.to_list()


async def read_again(
    session: AsyncClientSession, collection: str, one: DocumentId, computed: Computing, rooms: Rooms
) -> Document:
    """A document that the session's transaction has just stored, with its computed fields."""
    stages = [{"$match": {"_id": {"$eq": one}}}, computing(computed)]
    found = await rooms.live(collection).aggregate(stages, session=session)
    return (await found.to_list())[0]


def record_stages(match: MongoFilter, limit: int, computed: Computing) -> Stages:
    """Kept records in the order of their ids -> their contents with computed fields, the record's id as `_made`."""
    # `_made` is never shown, and so can carry what the content itself has no place for.
    content = {"$replaceWith": {"$mergeObjects": ["$data", {"_made": "$_id"}]}}
    return [{"$match": match}, {"$sort": _BY_ID}, {"$limit": limit}, content, computing(computed)]
