"""The body of an aggregation -> an operation."""

from __future__ import annotations

from collections.abc import Mapping

from permission_mongo.operations import Aggregate
from permission_mongo.parsing.fields import read_body, require_known
from permission_mongo.query.limits import Limits
from permission_mongo.query.pipeline import read_pipeline
from permission_mongo.schema.model import Collection


def read_aggregate(body: bytes, collection: Collection, others: Mapping[str, Collection], limits: Limits) -> Aggregate:
    """`{"pipeline": [...]}`; `others` are the collections a `$lookup` may name."""
    found = read_body(body)
    require_known(found, ("pipeline",))
    return Aggregate(collection, read_pipeline(found.get("pipeline"), collection, others, limits))
