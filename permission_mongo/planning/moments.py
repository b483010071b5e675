"""Plans that read a collection as it was at a moment, under today's rules.

A row must be within reach twice: as it was, and as it is today (of a deleted document: its last content).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from permission_mongo.errors import AsOfOutOfRange
from permission_mongo.moments import AsOfOnePlan, AsOfPlan
from permission_mongo.operations import GetAsOf, ListAsOf
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.reads import (
    asked_reach,
    place_behind,
    prefix_of_records,
    question_of,
    require_versions,
    shown_fields,
    tenant_prefix,
)
from permission_mongo.policy.guard import CONTENT, narrow_content
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.filters import EVERYTHING, Query, below
from permission_mongo.schema.model import Collection
from permission_mongo.values import MongoFilter

# Clocks of several gateways differ, and a write is seen some time after the moment it bears.
SETTLED: Final = timedelta(seconds=5)
Since = Mapping[str, datetime]


def plan_list_as_of(
    operation: ListAsOf, asking: Asking, callers: Callers, cursors: CursorKey, since: Since
) -> AsOfPlan:
    collection = operation.collection
    plan = _plan(operation, operation.query, asking, callers)
    _require_known(collection, operation.moment, asking.now, since)
    question = (*question_of("as_of", collection, asking, operation.query.match), operation.moment)
    after = place_behind(operation.cursor, question, asking, cursors)
    return replace(plan, limit=operation.limit, after=after, question=question)


def plan_get_as_of(operation: GetAsOf, asking: Asking, callers: Callers, since: Since) -> AsOfOnePlan:
    plan = _plan(operation, EVERYTHING, asking, callers)
    _require_known(operation.collection, operation.moment, asking.now, since)
    live = plan.live.further({"_id": {"$eq": operation.id}})
    return AsOfOnePlan(replace(plan, live=live, records=plan.records.further({"doc_id": {"$eq": operation.id}})))


def _plan(operation: GetAsOf | ListAsOf, query: Query, asking: Asking, callers: Callers) -> AsOfPlan:
    """The plan of one row. What is asked is asked of the old states alone: the rules of today are asked of both."""
    collection = operation.collection
    require_versions(collection)
    access = callers.access(asking, collection, "read")
    fields = None if operation.fields is None else shown_fields(operation.fields, access, collection)
    reach = asked_reach(access, collection, query)
    prefix = tenant_prefix(collection, asking, callers)
    of_tenant = prefix_of_records(collection, asking, callers)
    kept: MongoFilter = {"collection": collection.name, **dict(of_tenant), "mode": "full"}
    # Both, by name: so the index serves that holds them apart.
    states: MongoFilter = {**kept, "gone": {"$in": [None, True]}, "ended.at": {"$gt": operation.moment}}
    asked = [{"$and": [states, below(query.match, CONTENT)]}] if query.match else [states]
    return AsOfPlan(
        collection=collection.name,
        tenant_field=collection.tenant_field,
        moment=operation.moment,
        live=access.matching(query.match, reach),
        records=narrow_content(asked[0], reach),
        present=access.rows,
        last=narrow_content({**kept, "gone": True}, access.reach),
        limit=1,
        after=None,
        prefix=prefix,
        led=bool(of_tenant),
        lens=access.lens,
        question=(),
        max_bytes=callers.config.limits.max_result_bytes,
        fields=fields,
        computed=collection.computed,
    )


def _require_known(collection: Collection, moment: datetime, now: datetime, since: Since) -> None:
    """AsOfOutOfRange for a moment of which nobody knows, or not yet for certain, what was there."""
    first = known_from(collection, now, since)
    if not first <= moment <= now - SETTLED:
        message = f"_as_of: expected a moment from details.from up to {SETTLED.seconds} seconds ago"
        raise AsOfOutOfRange(message, **{"from": first})


def known_from(collection: Collection, now: datetime, since: Since) -> datetime:
    """The first moment whose states are all kept, whole and for their time; `now` where none is."""
    keeping = collection.keeping
    if keeping.differences or keeping.most is not None:
        return now  # differences can't be searched, and of a number of versions nobody knows how far it leads back
    return (
        since[collection.name]
        if keeping.days is None
        else max(since[collection.name], now - timedelta(days=keeping.days))
    )
