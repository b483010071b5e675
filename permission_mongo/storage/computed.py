"""Reading where fields are computed: the guard first, then the computed fields, then what is asked of them.

Nothing is computed of a row that the guard leaves out, and only for the rows of the page where the question allows it.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.cursor import AsyncRawBatchCursor

from permission_mongo.documents.paths import MADE
from permission_mongo.plans import CountPlan, DeletedPlan, ListPlan
from permission_mongo.query.keyset import behind
from permission_mongo.query.sorting import Ordered
from permission_mongo.schema.model import Computing
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, DocumentId, MongoFilter

_BY_ID: Final = {"_id": 1}
Stages = list[dict[str, Any]]
Hint = dict[str, int] | None
Raw = AsyncRawBatchCursor[Document]


def computing(computed: Computing) -> dict[str, Any]:
    """The stage that adds the computed fields to each document."""
    return {"$set": dict(computed)}


async def find_computed(collection: str, match: MongoFilter, computed: Computing, rooms: Rooms) -> Raw:
    """The rows of `match` with their computed fields."""
    stages = [{"$match": match}, computing(computed)]
    return await rooms.live(collection).aggregate_raw_batches(stages, maxTimeMS=rooms.max_time_ms)


async def computed_by_id(plan: ListPlan, rooms: Rooms) -> Raw:
    """The rows of a page in the order of ids, and one more where there are more."""
    match, hint = plan.match.filter, None
    if plan.after is not None:
        # By `$expr`, which goes on across types of ids, where `$gt` of a filter would stop at the end of one.
        match = plan.match.also({"$expr": {"$gt": ["$_id", {"$literal": plan.after}]}})
        hint = {**{name: 1 for name, _ in plan.prefix}, "_id": 1}
    return await _page(plan, match, {}, _BY_ID, rooms, hint)


async def computed_by_order(plan: ListPlan, by: Ordered, rooms: Rooms) -> Raw:
    """The same in another order, each row with the key it is sorted by."""
    key = {} if plan.after is None else behind(by.order, plan.after)
    return await _page(plan, plan.match.filter, key, dict(by.order), rooms, None)


async def _page(
    plan: ListPlan, match: MongoFilter, key: MongoFilter, order: dict[str, int], rooms: Rooms, hint: Hint
) -> Raw:
    """Only what stands behind a question or an order that needs computed fields is computed for more than a page."""
    first: Stages = [{"$match": match}]
    behind_key: Stages = [{"$match": key}] if key else []
    asked: Stages = [{"$match": plan.asked}] if plan.asked else []
    sort: Stages = [{"$sort": order}]
    cut: Stages = [*([{"$skip": plan.skip}] if plan.skip else []), {"$limit": plan.limit + 1}]
    then: Stages = [computing(plan.computed)]
    if plan.orders_computed:
        stages = [*first, *then, *asked, *behind_key, *sort, *cut, *_told_by_values(order)]
    else:
        told: Stages = [] if plan.ordered is None else [{"$set": {MADE: {"$meta": "sortKey"}}}]
        rest = [*then, *asked, *cut] if asked else [*cut, *then]
        stages = [*first, *behind_key, *sort, *told, *rest]
    more: dict[str, Any] = {} if hint is None else {"hint": hint}
    return await rooms.live(plan.collection).aggregate_raw_batches(stages, maxTimeMS=rooms.max_time_ms, **more)


def _told_by_values(order: dict[str, int]) -> Stages:
    """MongoDB tells no sort key of what a stage made; such an order has no arrays, so the values are the key."""
    return [{"$set": {MADE: [{"$ifNull": [f"${name}", None]} for name in order]}}]


async def count_computed(plan: ListPlan | CountPlan, rooms: Rooms, milliseconds: int) -> int:
    """How many rows are what is asked of their computed fields."""
    match: Stages = [{"$match": plan.match.filter}, computing(plan.computed), {"$match": plan.asked}]
    found = await rooms.live(plan.collection).aggregate([*match, {"$count": "n"}], maxTimeMS=milliseconds)
    counted = await found.to_list()
    return int(counted[0]["n"]) if counted else 0


async def computed_contents(match: MongoFilter, plan: DeletedPlan, rooms: Rooms) -> Raw:
    """The contents of kept records in the order of these, with computed fields and the record's id as `_made`."""
    stages = record_stages(match, plan.limit + 1, plan.computed)
    return await rooms.versions.aggregate_raw_batches(stages, maxTimeMS=rooms.max_time_ms)


async def read_again(
    session: AsyncClientSession, collection: str, one: DocumentId, computed: Computing, rooms: Rooms
) -> Document:
    """A document that the session's transaction has just stored, with its computed fields."""
    stages = [{"$match": {"_id": {"$eq": one}}}, computing(computed)]
    found = await rooms.raw(collection).aggregate(stages, session=session)
    return document_of((await found.to_list())[0].raw)


async def computed_of(content: Document, computed: Computing, rooms: Rooms) -> Document:
    """An old content with its computed fields, which are stored nowhere."""
    found = await rooms.alone(content, [computing(computed)])
    return found[0]


def record_stages(match: MongoFilter, limit: int, computed: Computing) -> Stages:
    """Kept records in the order of their ids -> their contents with computed fields, the record's id as `_made`."""
    # `_made` is never shown, and so can carry what the content itself has no place for.
    content = {"$replaceWith": {"$mergeObjects": ["$data", {"_made": "$_id"}]}}
    return [{"$match": match}, {"$sort": _BY_ID}, {"$limit": limit}, content, computing(computed)]
