"""Plans that change documents, one or many. A change is judged alike by whatever route it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from permission_mongo.documents.changes import Change, Merge, Put, Step, Steps
from permission_mongo.errors import InvalidRequest, Refusal, SchemaViolation
from permission_mongo.operations import ByFilter, Each, UpdateMany, UpdateOne
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.reads import asked_reach
from permission_mongo.planning.revisions import Reviser
from permission_mongo.planning.targets import precondition, target_of
from permission_mongo.planning.upserts import plan_otherwise
from permission_mongo.plans import Edit, Same, UpdateManyPlan, UpdatePlan
from permission_mongo.policy.guard import Guarded, narrow
from permission_mongo.revisions import Revision
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.values import DocumentId, read_scalar


def plan_update(operation: UpdateOne, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]) -> UpdatePlan:
    """Rows of the `update` rules AND visible rows, and the rules themselves: one of them must do it all."""
    collection = operation.collection
    reviser = Reviser.of(collection, asking, callers, new_uuid, blob=operation.blob)
    if operation.blob is not None:
        reviser.require_blob(operation.blob)
    change = _without_id(operation.change, operation.id, collection)
    return UpdatePlan(
        target_of(collection, callers.config),
        operation.id,
        narrow({}, reviser.reading.reach, reviser.updating.reach),
        reviser.reading.rows,
        reviser.revision(change),
        precondition(operation.if_match, reviser.reading),
        operation.reason,
    )


def plan_update_many(
    operation: UpdateMany, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]
) -> UpdateManyPlan:
    """The same for many. One change for all is refused as a whole, of several each by itself."""
    collection = operation.collection
    reviser = Reviser.of(collection, asking, callers, new_uuid, rehearses=operation.options.dry_run)
    matching, edits = _matching(operation, reviser), _edits(operation, reviser)
    return UpdateManyPlan(
        target_of(collection, callers.config),
        matching,
        _visible(operation, reviser),
        edits,
        operation.options,
        plan_otherwise(operation, edits.revision, asking, callers, new_uuid) if isinstance(edits, Same) else None,
    )


def _matching(operation: UpdateMany, reviser: Reviser) -> Guarded:
    """The rows that may be changed; a filter sees only rows whose fields it may ask about."""
    edits, reading = operation.edits, reviser.reading
    if isinstance(edits, Each) or not isinstance(edits.selection, ByFilter):
        return narrow({}, reading.reach, reviser.updating.reach)
    query = edits.selection.query
    return narrow(query.match, asked_reach(reading, operation.collection, query), reviser.updating.reach)


def _visible(operation: UpdateMany, reviser: Reviser) -> Guarded:
    """Of what stands for a filter's find, the rows that it finds."""
    edits, reading = operation.edits, reviser.reading
    if operation.otherwise is None or isinstance(edits, Each) or not isinstance(edits.selection, ByFilter):
        return reading.rows
    query = edits.selection.query
    return reading.matching(query.match, asked_reach(reading, operation.collection, query))


def _edits(operation: UpdateMany, reviser: Reviser) -> Same | Mapping[DocumentId, Edit]:
    edits, collection = operation.edits, operation.collection
    if isinstance(edits, Each):
        return {
            one.id: Edit(_revision(n, one.id, one.change, reviser), precondition(one.if_match, reviser.reading))
            for n, one in enumerate(edits.items)
        }
    ids = None if isinstance(edits.selection, ByFilter) else edits.selection.ids
    return Same(reviser.revision(_without_id(edits.change, None, collection)), ids)


def _revision(index: int, one: DocumentId, change: Change, reviser: Reviser) -> Revision | Refusal:
    """A request that makes no sense is refused whole, with its place; what is not permitted is its own failure."""
    try:
        return reviser.revision(_without_id(change, one, reviser.collection))
    except InvalidRequest as error:
        raise InvalidRequest(f"updates[{index}]: {error.message}", **error.details) from error
    except Refusal as refusal:
        return refusal


# -- the id


def _without_id(change: Change, one: DocumentId | None, collection: Collection) -> Change:
    """The same id again says nothing; another one is refused, by whatever operator. None is no document's id."""
    match change:
        case Put(fields, sent, replaces):
            return Put(fields, _rest(sent, one, collection), replaces)
        case Merge(patch):
            return Merge(_rest(patch, one, collection))
        case Steps(steps):
            return Steps(tuple(step for step in steps if not _names_id(step, one, collection)))


def _rest(sent: object, one: DocumentId | None, collection: Collection) -> dict[str, object]:
    found = dict(sent) if isinstance(sent, dict) else {}
    if "_id" in found:
        _require_same(found.pop("_id"), one, collection)
    return found


def _names_id(step: Step, one: DocumentId | None, collection: Collection) -> bool:
    tops = [step.parts[0], step.operand.split(".")[0]] if step.operator == "$rename" else [step.parts[0]]
    if "_id" not in tops:
        return False
    if step.operator != "$set" or step.path != "_id":
        raise _moved()
    _require_same(step.operand, one, collection)
    return True


def _require_same(value: object, one: DocumentId | None, collection: Collection) -> None:
    try:
        same = read_scalar(collection.id_type, value) == one
    except ValueError:
        same = False
    if not same:
        raise _moved()


def _moved() -> SchemaViolation:
    return as_violation([FieldError("_id", "immutable", "a document keeps its id")])
