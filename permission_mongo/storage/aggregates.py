"""Aggregations: the guard first, then the fields, then the caller's stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from pymongo.errors import OperationFailure

from permission_mongo.aggregations import AggregatePlan, JoinPlan
from permission_mongo.documents.paths import Path
from permission_mongo.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, Refusal
from permission_mongo.outcomes import Computed
from permission_mongo.shares import made_of
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document

_LATE: Final = frozenset({50, 262})
# Memory for sorting and grouping, and documents that grow above what BSON can hold.
_TOO_MUCH: Final = frozenset({146, 292, 4568, 10334, 13548, 16819, 16820, 17280, 17419, 17420, 5643014, 4031700})
# About this gateway and its server, and never about the pipeline.
_NOT_THE_PIPELINE: Final = frozenset({6, 7, 13, 18, 43, 89, 91, 237, 9001, 11600, 11601, 11602})


async def aggregate(plan: AggregatePlan, rooms: Rooms) -> Computed:
    """The rows the stages make; read no further than the plan's rows and bytes."""
    async with rooms.bounded():
        try:
            return await _computed(plan, rooms)
        except OperationFailure as error:
            refusal = _refusal_of(error.code)
            if refusal is None:
                raise
            raise refusal from error


async def _computed(plan: AggregatePlan, rooms: Rooms) -> Computed:
    found: list[bytes] = []
    size = 0
    cursor = await rooms.raw(plan.collection).aggregate(
        pipeline_of(plan), maxTimeMS=rooms.max_time_ms, allowDiskUse=False, batchSize=plan.most_rows + 1
    )
    async with cursor:
        async for row in cursor:
            found.append(bytes(row.raw))
            size += len(row.raw)
            if size > plan.most_bytes:
                break
    rooms.sizes[made_of(plan.collection)].saw(size, 1)
    if size > plan.most_bytes:
        raise PayloadTooLarge(f"the result has more than {plan.most_bytes} bytes; group or limit further")
    if len(found) > plan.most_rows:
        raise PayloadTooLarge(
            f"the result has more than {plan.most_rows} rows; group or limit further", max_result_size=plan.most_rows
        )
    return Computed(tuple(document_of(raw) for raw in found))


def pipeline_of(plan: AggregatePlan) -> list[Document]:
    """What is sent. The guard is a plain `$match`: an `$expr` could be evaluated on rows that the guard leaves out."""
    stages = [_lookup(stage) if isinstance(stage, JoinPlan) else stage for stage in plan.stages]
    return [*_guarded(plan), *stages, {"$limit": plan.most_rows + 1}]


def _guarded(plan: AggregatePlan | JoinPlan) -> list[Document]:
    return [{"$match": plan.match.filter}, {"$project": projection_of(plan.fields, plan.partly)}]


def projection_of(fields: Iterable[Path], partly: Collection[str]) -> Document:
    """These fields. What is named at the top of `partly` is put together of those below it.

    MongoDB's own projection leaves `{}` and `[]` of what holds none of them, and so tells what stands there.
    """
    shown: Document = {".".join(path): 1 for path in fields if path[0] not in partly}
    for name in sorted(partly):
        shown[name] = _held(f"${name}", [path[1:] for path in fields if path[0] == name])
    return shown


def _held(place: str, paths: Sequence[Path]) -> Any:
    """What stands at a place: of objects, and arrays of them, only what the paths name; where that is none, nothing."""
    if () in paths:
        return place
    element = f"each{place.count('.')}{place.count('$')}{len(place)}"
    objects = {
        "$map": {"input": place, "as": element, "in": _of_object(f"$${element}", paths, None)},
    }
    found = {"$filter": {"input": objects, "cond": {"$ne": ["$$this", None]}}}
    of_array = {"$let": {"vars": {"found": found}, "in": {"$cond": [{"$eq": ["$$found", []]}, "$$REMOVE", "$$found"]}}}
    return {"$cond": [{"$isArray": [place]}, of_array, _of_object(place, paths, "$$REMOVE")]}


def _of_object(place: str, paths: Sequence[Path], otherwise: Any) -> Any:
    """The object at a place cut to what the paths name; `otherwise` for what is none, and for one without any of it."""
    names = sorted({path[0] for path in paths})
    cut = {name: _held(f"{place}.{name}", [path[1:] for path in paths if path[0] == name]) for name in names}
    kept = {"$let": {"vars": {"cut": cut}, "in": {"$cond": [{"$eq": ["$$cut", {}]}, otherwise, "$$cut"]}}}
    return {"$cond": [{"$eq": [{"$type": place}, "object"]}, kept, otherwise]}


def _lookup(join: JoinPlan) -> dict[str, Any]:
    """MongoDB compares the two fields by itself, beside the guard and without `$expr`."""
    return {
        "$lookup": {
            "from": join.collection,
            "localField": join.local,
            "foreignField": join.foreign,
            "as": join.name,
            "pipeline": _guarded(join),
        }
    }


def _refusal_of(code: int | None) -> Refusal | None:
    """One text for all that a pipeline can do wrong: the server's own holds values."""
    if code in _LATE:
        return DeadlineExceeded("the query took longer than limits.query_timeout")
    if code in _TOO_MUCH:
        return PayloadTooLarge("the pipeline needs more memory than one request may use; match or limit earlier")
    if code in _NOT_THE_PIPELINE:
        return None
    return InvalidRequest("the pipeline can't be computed: an operator does not take the values it met")
