"""A plan and its outcome -> what the caller is shown. Every stored document passes the plan's lens here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NewType

from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.reveal import View
from permission_mongo.outcomes import (
    BatchOutcome,
    Created,
    Deleted,
    Found,
    Gathered,
    History,
    Outcome,
    Page,
    Purged,
    Updated,
)
from permission_mongo.plans import CreatePlan, DeletedPlan, GetManyPlan, ListPlan, Plan, ReadPlan, UpdatePlan
from permission_mongo.policy.grants import Lens
from permission_mongo.query.cursors import CursorKey
from permission_mongo.values import Document, DocumentId

Revealed = NewType("Revealed", dict[str, Any])


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """`tag` is that of the whole view, whatever part of it is shown."""

    document: Revealed
    created: bool = False
    tag: str | None = None
    updated: bool = False


@dataclass(frozen=True, slots=True)
class ShownPage:
    documents: tuple[Revealed, ...]
    cursor: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class ShownMany:
    documents: tuple[Revealed, ...]
    not_found: tuple[DocumentId, ...]


Shown = ShownDocument | ShownPage | ShownMany | Deleted | Purged | BatchOutcome | History


def show(plan: Plan, outcome: Outcome, cursors: CursorKey, posix: float) -> Shown:
    """`posix` is the moment of the request in seconds, from which a cursor's life counts."""
    match plan, outcome:
        case ReadPlan(), Found(document):
            whole = _through(plan.lens, document)
            return ShownDocument(whole, tag=plan.lens.tag(whole))
        case CreatePlan(), Created(document):
            return _echoed(plan.lens, document, created=True)
        case UpdatePlan(), Updated(document, changed):
            return replace(_echoed(plan.lens, document, created=False), updated=changed)
        case ListPlan() | DeletedPlan(), Page(documents, last, has_more):
            shown = tuple(_through(plan.lens, document) for document in documents)
            return ShownPage(shown, None if last is None else cursors.seal(last, plan.question, posix), has_more)
        case GetManyPlan(), Gathered(documents, not_found):
            return ShownMany(tuple(_cut(_through(plan.lens, one), plan) for one in documents), not_found)
        case _, BatchOutcome() | History() | Deleted() | Purged():
            return outcome
        case _:
            raise AssertionError(f"{type(plan).__name__} does not lead to {type(outcome).__name__}")


def _through(lens: Lens, document: Document) -> Revealed:
    return Revealed(lens.show(document))


def _echoed(lens: Lens | None, document: Document, *, created: bool) -> ShownDocument:
    """What was written, as its writer may read it: where it is not visible, the id alone."""
    if lens is None or not lens.reach.sees(document):
        return ShownDocument(Revealed({"_id": document["_id"]}), created)
    whole = _through(lens, document)
    return ShownDocument(whole, created, lens.tag(whole))


def _cut(document: Revealed, plan: GetManyPlan) -> Revealed:
    if plan.fields is None:
        return document
    return Revealed(View((FieldRules(allow=plan.fields),)).reveal(document))
