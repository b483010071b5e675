"""What a change finds nothing to change for -> a new document, judged as any that is created."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from permission_mongo.documents.changes import Step, Steps, Unfit, apply_steps
from permission_mongo.errors import SchemaViolation
from permission_mongo.operations import CreateMany, Sent, UpdateMany
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.creates import plan_create_many
from permission_mongo.plans import CreatePlan
from permission_mongo.revisions import Revision
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.upserts import Anew
from permission_mongo.values import read_scalar


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
    fault = anew.fault or _fault(revision.faults, unfit)
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


def _fault(faults: tuple[FieldError, ...], unfit: list[Unfit]) -> SchemaViolation | None:
    """Told once the fields of the document are known to be the caller's to write. A value that comes into no document
    is that of an operator that asks, and only a field that may be read is asked about.
    """
    wrong = [*faults, *(FieldError(one.place, one.code, one.message) for one in unfit)]
    return as_violation(wrong) if wrong else None
