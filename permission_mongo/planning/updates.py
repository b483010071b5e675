"""Plans that change one document. What policy text alone decides is refused here, before any query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from permission_mongo.documents.changes import Change, Merge, Put, Step, Steps
from permission_mongo.documents.paths import ID, MADE, VERSION, Path, touches
from permission_mongo.errors import Forbidden, InvalidRequest, SchemaViolation
from permission_mongo.operations import UpdateOne
from permission_mongo.planning.callers import Access, Asking, Callers, require_paths
from permission_mongo.planning.references import referable_from
from permission_mongo.planning.stamps import update_stamps
from permission_mongo.planning.targets import precondition, target_of
from permission_mongo.plans import Named, UpdatePlan, Writer
from permission_mongo.policy.grants import Grant, Reach
from permission_mongo.policy.guard import narrow
from permission_mongo.policy.nodes import ALWAYS, conjunction, negation
from permission_mongo.query.filters import Query
from permission_mongo.schema.changes import sent_paths, typed_change, unfit_in, unknown_in
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import MOST_TOLD, FieldError, as_violation
from permission_mongo.values import DocumentId, read_scalar


def plan_update(operation: UpdateOne, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]) -> UpdatePlan:
    """Rows of the `update` rules AND visible rows, and the rules themselves: one of them must do it all."""
    collection = operation.collection
    updating = callers.access(asking, collection, "update")
    reading = callers.access(asking, collection, "read")
    change = _without_id(operation.change, operation.id, collection)
    wrong_names = unfit_in(change, collection)
    if wrong_names:
        raise as_violation(wrong_names)
    stamps = update_stamps(collection, asking, updating.reach, new_uuid)
    writers = tuple(_writers(collection, asking, callers, updating.reach, frozenset(stamps)))
    named = tuple(Named(path, sent, asked) for path, sent, asked in sent_paths(change, collection))
    _require_writable(change, named, (updating, reading), writers, collection)
    typed, faults = _typed(change, collection)
    return UpdatePlan(
        target_of(collection, callers.config),
        collection,
        operation.id,
        narrow({}, reading.reach, updating.reach),
        reading.rows,
        writers,
        updating.reach.hiding,
        typed,
        named,
        faults,
        stamps,
        reading.lens,
        precondition(operation.if_match, reading),
        operation.reason,
        asking.now,
        callers.config.limits.max_document_bytes,
        referable_from(collection, asking, callers),
    )


def _typed(change: Change, collection: Collection) -> tuple[Change, tuple[FieldError, ...]]:
    try:
        return typed_change(change, collection)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


# -- the rules


def _writers(
    collection: Collection, asking: Asking, callers: Callers, reach: Reach, stamped: frozenset[str]
) -> Iterable[Writer]:
    """The rules of the reach, each with what its role may not write: it would choose by what it is judged."""
    judging = callers.judging(asking, collection)
    unstamped = negation(reach.denied)
    for grant in reach.grants:
        own = callers.has_own_check(grant.rule_id)
        yield Writer(
            conjunction((reach.within, unstamped, grant.rows)),
            # A check of its own says all; by default the document stays one that the rule, and no deny, reaches.
            conjunction((reach.within, grant.check) if own else (reach.within, unstamped, grant.check)),
            grant.fields,
            _kept(collection, grant, judging[grant.rule_id], stamped),
        )


def _kept(collection: Collection, grant: Grant, judged: frozenset[Path], stamped: frozenset[str]) -> frozenset[Path]:
    guarded = {*judged, *((name,) for name in collection.stamped)}
    reassigned = grant.fields.reassign
    lifted = {path for path in guarded if any(path[: len(above)] == above for above in reassigned)}
    return frozenset({*(guarded - lifted), *((name,) for name in stamped), ID, VERSION, (MADE,)})


# -- what policy text decides


def _require_writable(
    change: Change,
    named: tuple[Named, ...],
    accesses: tuple[Access, Access],
    writers: tuple[Writer, ...],
    collection: Collection,
) -> None:
    """Unknown, hidden, stamped and unwritable fields are told alike, before any value is looked at."""
    updating, reading = accesses
    hidden = [rule.hidden for rule in updating.speaking.hides if rule.when == ALWAYS]
    once = collection.immutable()

    def may_be_written(path: Path) -> bool:
        readable = reading.speaking.lends((path,))
        if isinstance(change, Put) and readable:
            return True  # an equal value is no write, and whether it is equal is seen once it is read
        if any(touches(path, paths) for paths in hidden) or (touches(path, once) and not readable):
            return False
        return any(writer.writes(path) for writer in writers)

    refused = {*unknown_in(change, collection), *(one.sent for one in named if not may_be_written(one.path))}
    refused |= {one.sent for one in named if not _is_known(one.path, collection)}
    if refused:
        raise unwritable(refused, collection)
    asked = Query(paths=frozenset(one.sent for one in named if one.asked))
    require_paths(reading, collection, "update", asked)


def _is_known(path: Path, collection: Collection) -> bool:
    return bool(path) and collection.knows(".".join(path))


def unwritable(sent: Iterable[str], collection: Collection) -> Forbidden:
    fields = sorted(set(sent))[:MOST_TOLD]
    return Forbidden("unknown or not permitted field", action="update", collection=collection.name, fields=fields)


# -- the id


def _without_id(change: Change, one: DocumentId, collection: Collection) -> Change:
    """The same id again says nothing; another one is refused, by whatever operator."""
    match change:
        case Put(fields, sent, replaces):
            return Put(fields, _rest(sent, one, collection), replaces)
        case Merge(patch):
            return Merge(_rest(patch, one, collection))
        case Steps(steps):
            return Steps(tuple(step for step in steps if not _names_id(step, one, collection)))


def _rest(sent: object, one: DocumentId, collection: Collection) -> dict[str, object]:
    found = dict(sent) if isinstance(sent, dict) else {}
    if "_id" in found:
        _require_same(found.pop("_id"), one, collection)
    return found


def _names_id(step: Step, one: DocumentId, collection: Collection) -> bool:
    tops = [step.parts[0], step.operand.split(".")[0]] if step.operator == "$rename" else [step.parts[0]]
    if "_id" not in tops:
        return False
    if step.operator != "$set" or step.path != "_id":
        raise _moved()
    _require_same(step.operand, one, collection)
    return True


def _require_same(value: object, one: DocumentId, collection: Collection) -> None:
    try:
        same = read_scalar(collection.id_type, value) == one
    except ValueError:
        same = False
    if not same:
        raise _moved()


def _moved() -> SchemaViolation:
    return as_violation([FieldError("_id", "immutable", "a document keeps its id")])
