"""Plans that remove documents, and plans that put back."""

from __future__ import annotations

from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.operations import ByFilter, ByIds, ByTags, DeleteMany, DeleteOne, PurgeOne, Undo
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.reads import asked_reach, require_versions
from permission_mongo.planning.revisions import again_of
from permission_mongo.planning.targets import precondition, target_of
from permission_mongo.plans import DeleteOnePlan, DeletePlan, PurgePlan, UndoPlan
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.guard import narrow, narrow_content, narrow_whole
from permission_mongo.policy.nodes import NEVER
from permission_mongo.values import MongoFilter
from permission_mongo.versions import lives_of


def plan_delete_one(operation: DeleteOne, asking: Asking, callers: Callers) -> DeleteOnePlan:
    """Rows of the `delete` rules AND visible rows, as for many."""
    collection = operation.collection
    deleting = callers.access(asking, collection, "delete").reach
    reading = callers.access(asking, collection, "read")
    return DeleteOnePlan(
        target_of(collection, callers.config),
        operation.id,
        narrow({}, reading.reach, deleting),
        reading.rows,
        precondition(operation.if_match, reading),
        operation.reason,
    )


def plan_purge(operation: PurgeOne, asking: Asking, callers: Callers) -> PurgePlan:
    """Rows of the `purge` rules AND visible rows; of a deleted document its last content is asked."""
    collection = operation.collection
    purging = callers.access(asking, collection, "purge").reach
    reading = callers.access(asking, collection, "read")
    last: MongoFilter = {**lives_of(collection.name, operation.id), "gone": True}
    return PurgePlan(
        target_of(collection, callers.config),
        operation.id,
        narrow({}, reading.reach, purging),
        reading.rows,
        narrow_content(last, reading.reach, purging),
        narrow_content(last, reading.reach),
        precondition(operation.if_match, reading),
        operation.reason,
    )


def plan_delete(operation: DeleteMany, asking: Asking, callers: Callers) -> DeletePlan:
    """Rows of the `delete` rules AND visible rows; a filter sees only rows whose fields it may ask about."""
    collection, options = operation.collection, operation.options
    deleting = callers.access(asking, collection, "delete")
    reading = callers.access(asking, collection, "read")
    target, visible = target_of(collection, callers.config), narrow({}, reading.reach)
    match operation.selection:
        case ByIds(ids):
            if options.atomic and len(ids) > target.chunk:
                raise InvalidRequest("'atomic' is for at most one chunk", max_batch_size=target.chunk)
            return DeletePlan(target, narrow({}, reading.reach, deleting.reach), visible, ids, options)
        case ByTags(tags):
            conditions = {one: precondition(wanted, reading) for one, wanted in tags.items()}
            asked_for = {one: condition for one, condition in conditions.items() if condition is not None}
            match = narrow({}, reading.reach, deleting.reach)
            return DeletePlan(target, match, visible, tuple(tags), options, asked_for)
        case ByFilter(query):
            asked = asked_reach(reading, collection, query)
            match = narrow(query.match, asked, deleting.reach)
            return DeletePlan(target, match, visible, None, options)


def plan_undo(operation: Undo, asking: Asking, callers: Callers) -> UndoPlan:
    """Needs `restore`, and `delete` for what the batch made; works only on what is visible today.

    Of what the batch changed both states must be visible, and `restore` must allow both.
    """
    collection = operation.collection
    require_versions(collection)
    restoring = callers.access(asking, collection, "restore").reach
    reading = callers.access(asking, collection, "read").reach
    deleting = _delete_reach(operation, asking, callers)
    ended: MongoFilter = {
        "collection": collection.name,
        "ended.batch": operation.undone,
        "ended.action": "delete",
    }
    changed: MongoFilter = {"collection": collection.name, "ended.batch": operation.undone}
    made: MongoFilter = {"_made.batch": operation.undone}
    return UndoPlan(
        target_of(collection, callers.config),
        operation.undone,
        narrow_whole({**ended, "gone": True}, reading, restoring, content=True),
        narrow_content(ended, reading),
        narrow(made, reading, deleting or _nothing(reading)),
        narrow({}, reading),
        narrow_whole(changed, reading, restoring, content=True),
        narrow_content(changed, reading),
        narrow(made, reading, restoring),
        deleting is not None,
        again_of(collection, asking, callers),
        operation.options,
    )


def _delete_reach(operation: Undo, asking: Asking, callers: Callers) -> Reach | None:
    try:
        return callers.access(asking, operation.collection, "delete").reach
    except Forbidden:
        return None


def _nothing(reach: Reach) -> Reach:
    return Reach(reach.within, (), NEVER)
