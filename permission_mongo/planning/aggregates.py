"""Plans of aggregations. A caller's stages get rows and fields that the caller reads raw, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from permission_mongo.aggregations import AggregatePlan, JoinPlan
from permission_mongo.documents.paths import ID, Path, any_above, touches
from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import Aggregate
from permission_mongo.planning.callers import Access, Asking, Callers, require_paths
from permission_mongo.planning.reads import require_stored
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.guard import narrow
from permission_mongo.policy.rules import Action
from permission_mongo.query.filters import Query
from permission_mongo.query.pipeline import Join
from permission_mongo.schema.model import Collection

MOST_BYTES: Final = 8 * 2**20  # of a result


def plan_aggregate(operation: Aggregate, asking: Asking, callers: Callers) -> AggregatePlan:
    """Rows of the `aggregate` rules AND visible rows: those in which every named field may be read and aggregated."""
    collection, pipeline = operation.collection, operation.pipeline
    aggregating = callers.access(asking, collection, "aggregate")
    reading = callers.access(asking, collection, "read")
    wanted, read = _lent(reading, collection, "aggregate", pipeline.paths)
    _, aggregated = _lent(aggregating, collection, "aggregate", pipeline.paths)
    stages = tuple(_stage(stage, asking, callers) for stage in pipeline.stages)
    if pipeline.fault is not None:
        raise InvalidRequest(pipeline.fault)
    match = narrow({}, read, aggregated)
    limits = callers.config.limits
    most = (limits.max_result_size, min(limits.max_result_bytes, MOST_BYTES))
    return AggregatePlan(collection.name, match, _topmost(wanted), stages, *most, _partly(wanted, read))


def _lent(
    access: Access, collection: Collection, action: Action, paths: Iterable[str]
) -> tuple[tuple[Path, ...], Reach]:
    """The paths as rules know them, and the rows that lend all of them. Forbidden if one is not the caller's."""
    asked = frozenset(paths)
    wanted = require_paths(access, collection, action, Query(paths=asked))
    require_stored(asked, collection)
    return wanted, access.lending(wanted)


def _stage(stage: dict[str, Any] | Join, asking: Asking, callers: Callers) -> dict[str, Any] | JoinPlan:
    if not isinstance(stage, Join):
        return stage
    collection = stage.collection
    reading = callers.access(asking, collection, "read")
    _, reach = _lent(reading, collection, "read", (stage.foreign, *stage.used))
    shown, _ = _lent(reading, collection, "read", stage.used)
    guarded, partly = narrow({}, reach), _partly(shown, reach)
    return JoinPlan(collection.name, guarded, stage.local, stage.foreign, stage.name, _topmost(shown), partly)


def _partly(paths: Iterable[Path], reach: Reach) -> frozenset[str]:
    """The names at the top of these paths that some rule which lends its rows does not show whole."""
    above = {path[0] for path in paths if len(path) > 1}
    return frozenset(name for name in above if not _is_whole((name,), reach))


def _is_whole(path: Path, reach: Reach) -> bool:
    hidden = any(touches(path, hiding.paths) for hiding in reach.hiding)
    return not hidden and all(grant.fields.reads_raw(path) for grant in reach.grants)


def _topmost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The id and these, none below another: MongoDB refuses a projection that names both."""
    named = sorted({ID, *paths})
    return tuple(path for path in named if not any_above(path, (other for other in named if other != path)))
