"""Plans that remove documents, and plans that put back."""

from __future__ import annotations

from dataclasses import replace

from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.operations import ByFilter, ByIds, ByTags, DeleteMany, DeleteOne, PurgeOne, Undo
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.hooks import pre_hooks
from permission_mongo.planning.reads import asked_reach, prefix_of_records, require_versions
from permission_mongo.planning.revisions import again_of
from permission_mongo.planning.targets import precondition, target_of
from permission_mongo.plans import DeleteOnePlan, DeletePlan, PurgePlan, RevertPlan, RevivePlan, Target, UndoPlan
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.guard import narrow, narrow_content, narrow_states, narrow_whole
from permission_mongo.revisions import Again
from permission_mongo.schema.model import Collection
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
        pre_hooks(collection, "delete", asking, callers),
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
        pre_hooks(collection, "delete", asking, callers),
    )


def plan_delete(operation: DeleteMany, asking: Asking, callers: Callers) -> DeletePlan:
    """Rows of the `delete` rules AND visible rows; a filter sees only rows whose fields it may ask about."""
    collection, options = operation.collection, operation.options
    deleting = callers.access(asking, collection, "delete")
    reading = callers.access(asking, collection, "read")
    target, visible = target_of(collection, callers.config), narrow({}, reading.reach)
    pre = pre_hooks(collection, "delete", asking, callers, rehearses=options.dry_run)
    match operation.selection:
        case ByIds(ids):
            if options.atomic and len(ids) > target.chunk:
                raise InvalidRequest("'atomic' is for at most one chunk", max_batch_size=target.chunk)
            return DeletePlan(target, narrow({}, reading.reach, deleting.reach), visible, ids, options, {}, pre)
        case ByTags(tags):
            conditions = {one: precondition(wanted, reading) for one, wanted in tags.items()}
            asked_for = {one: condition for one, condition in conditions.items() if condition is not None}
            match = narrow({}, reading.reach, deleting.reach)
            return DeletePlan(target, match, visible, tuple(tags), options, asked_for, pre)
        case ByFilter(query):
            asked = asked_reach(reading, collection, query)
            match = narrow(query.match, asked, deleting.reach)
            return DeletePlan(target, match, visible, None, options, {}, pre)


def plan_undo(operation: Undo, asking: Asking, callers: Callers) -> UndoPlan:
    """Needs `restore`, and `delete` for what the batch made; works only on what is visible today.

    Of what the batch changed both states must be visible, and `restore` must allow both.
    """
    collection, options = operation.collection, operation.options
    require_versions(collection)
    restoring = callers.access(asking, collection, "restore").reach
    reading = callers.access(asking, collection, "read").reach
    deleting = _delete_reach(operation, asking, callers)
    target = target_of(collection, callers.config)
    # How many there are of all of them only the undo can tell.
    share = replace(options, max_affected=None)
    visible = narrow({}, reading)
    again = again_of(collection, asking, callers, rehearses=options.dry_run)
    pre = pre_hooks(collection, "delete", asking, callers, rehearses=options.dry_run)
    as_left = {"_made.batch": {"$eq": operation.undone}}
    removable = None if deleting is None else narrow(as_left, reading, deleting)
    removing = None if removable is None else DeletePlan(target, removable, visible, (), share, {}, pre)
    return UndoPlan(
        target=target,
        undone=operation.undone,
        visible=visible,
        reviving=_reviving(operation, target, reading, restoring, again),
        reverting=RevertPlan(
            target=target,
            match=narrow(as_left, reading, restoring),
            visible=visible,
            former=narrow_whole(_ended_by(operation), reading, restoring, content=True),
            visible_former=narrow_states(_states(collection, asking, callers), reading.rows),
            kept={},
            again=again,
            batch=share,
        ),
        removing=removing,
        batch=options,
    )


def _reviving(operation: Undo, target: Target, reading: Reach, restoring: Reach, again: Again) -> RevivePlan:
    deleted: MongoFilter = {**_ended_by(operation), "ended.action": "delete"}
    return RevivePlan(
        target=target,
        match=narrow_whole({**deleted, "gone": True}, reading, restoring, content=True),
        visible=narrow_content(deleted, reading),
        kept={},
        again=again,
        batch=replace(operation.options, max_affected=None),
    )


def _ended_by(operation: Undo) -> MongoFilter:
    return {"collection": operation.collection.name, "ended.batch": {"$eq": operation.undone}}


def _states(collection: Collection, asking: Asking, callers: Callers) -> MongoFilter:
    return {"collection": collection.name, **dict(prefix_of_records(collection, asking, callers))}


def _delete_reach(operation: Undo, asking: Asking, callers: Callers) -> Reach | None:
    try:
        return callers.access(asking, operation.collection, "delete").reach
    except Forbidden:
        return None
