"""What a change finds nothing to change for -> a new document, judged as any that is created."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from permission_mongo.documents.changes import Step, Steps, Unfit, apply_steps
from permission_mongo.documents.paths import Touching, canonical, leaf_paths
from permission_mongo.errors import SchemaViolation
from permission_mongo.operations import CreateMany, Sent, UpdateMany
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.creates import plan_create_many
from permission_mongo.plans import CreatePlan
from permission_mongo.revisions import Revision
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.upserts import Anew
from permission_mongo.values import Document, read_scalar


def plan_otherwise(
    operation: UpdateMany, revision: Revision, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]
) -> CreatePlan | None:
    """Forbidden where no rule of the caller's roles creates here; what is refused of the document is in its draft."""
    if operation.otherwise is None:
        return None
    sent = _sent(operation.otherwise, revision, asking.now)
    return plan_create_many(CreateMany(operation.collection, (sent,), operation.options), asking, callers, new_uuid)


def _sent(anew: Anew, revision: Revision, now: datetime) -> Sent:
    """As MongoDB makes it: what the filter asks to be equal, and the operators on that."""
    if anew.document is not None or not isinstance(revision.change, Steps):
        return Sent(anew.id, anew.document or {}, anew.names_id, anew.fault)
    alike = tuple(_typed(step, revision.collection) for step in anew.alike)
    begun, _ = apply_steps({}, alike, now)
    document, unfit = apply_steps(begun, (*anew.only, *revision.change.steps), now)
    fault = anew.fault or _fault(document, revision.faults, unfit)
    return Sent(anew.id, document, anew.names_id, fault)


def _typed(step: Step, collection: Collection) -> Step:
    """What is counted on or added to must be of its type; what can't be is told as of any document."""
    kind = collection.kind_of(step.path) or "any"

    def read(value: Any) -> Any:
        return [read(one) for one in value] if isinstance(value, list) else read_scalar(kind, value)

    try:
        return Step("$set", step.path, None if step.operand is None else read(step.operand))
    except ValueError:
        return step


def _fault(document: Document, faults: tuple[FieldError, ...], unfit: list[Unfit]) -> SchemaViolation | None:
    """Of what is in the document: that is the caller's to write once this is told, and beside it nothing is."""
    within = Touching(canonical(".".join(path)) for path in leaf_paths(document) if path)
    wrong = [one for one in faults if one.field is not None and canonical(one.field) in within]
    wrong += [FieldError(one.place, one.code, one.message) for one in unfit]
    return as_violation(wrong) if wrong else None
