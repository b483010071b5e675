"""A plan and its outcome -> what the caller is shown. Every stored document passes the plan's lens here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NewType, cast

from permission_mongo.aggregations import AggregatePlan
from permission_mongo.auditing import AuditPage, AuditPlan
from permission_mongo.documents.diffs import Difference, differences
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path
from permission_mongo.documents.reveal import View
from permission_mongo.explanations import Examined, ExplainPlan
from permission_mongo.moments import AsOfOnePlan, AsOfPlan
from permission_mongo.outcomes import (
    BatchOutcome,
    Computed,
    Counted,
    Created,
    Deleted,
    Entry,
    Found,
    Gathered,
    History,
    Job,
    JobList,
    NothingLookedUp,
    Outcome,
    Page,
    Purged,
    Started,
    State,
    States,
    Synced,
    Updated,
)
from permission_mongo.pasts import AgainPlan, ComparePlan, VersionPlan
from permission_mongo.planning.audit import shown_entries
from permission_mongo.planning.explained import explained
from permission_mongo.plans import (
    CountPlan,
    CreatePlan,
    DeletedPlan,
    GetManyPlan,
    ListPlan,
    Plan,
    ReadPlan,
    RestorePlan,
    UpdatePlan,
)
from permission_mongo.policy.grants import Lens
from permission_mongo.portions import Portions
from permission_mongo.query.cursors import CursorKey
from permission_mongo.service import TellPlan
from permission_mongo.values import Document, DocumentId, write_json

Revealed = NewType("Revealed", dict[str, Any])


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """`tag` is that of the whole view, whatever part is shown of it. `written` is `document` as JSON, where known."""

    document: Revealed
    created: bool = False
    tag: str | None = None
    updated: bool = False
    written: bytes | None = None


@dataclass(frozen=True, slots=True)
class ShownPage:
    """`written` holds it as JSON once it was written: a page that answers several requests is written once."""

    documents: tuple[Revealed, ...] | Portions[Revealed]
    cursor: str | None
    has_more: bool
    total: int | None = None
    complete: bool = True
    written: list[bytes] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ShownCount:
    count: int


@dataclass(frozen=True, slots=True)
class ShownMany:
    documents: tuple[Revealed, ...]
    not_found: tuple[DocumentId, ...]


@dataclass(frozen=True, slots=True)
class ShownRows:
    """Made of fields that the plan let through, each readable raw."""

    rows: tuple[Revealed, ...]


@dataclass(frozen=True, slots=True)
class ShownVersion:
    document: Revealed
    entry: Entry


@dataclass(frozen=True, slots=True)
class ShownChanges:
    """What is readable raw in both states, and not the same. Numbers of versions are no part of it."""

    earlier: int
    later: int
    changes: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class ShownAgain:
    """The answer of an earlier request with the same key, as it is shown today."""

    shown: ShownDocument | Deleted | Purged | BatchOutcome


@dataclass(frozen=True, slots=True)
class ShownTold:
    """What the gateway tells of itself and its rules; no document is in it."""

    told: Mapping[str, Any]
    tag: str | None = None


Shown = (
    ShownDocument
    | ShownPage
    | ShownCount
    | ShownMany
    | ShownRows
    | Deleted
    | Purged
    | BatchOutcome
    | History
    | Job
    | JobList
    | Started
    | Synced
    | ShownVersion
    | ShownChanges
    | ShownAgain
    | ShownTold
)


def id_alone(id_: DocumentId, *, created: bool) -> ShownDocument:
    """What a caller is shown of its write who may not read what it wrote."""
    return ShownDocument(Revealed({"_id": id_}), created)


def show(plan: Plan, outcome: Outcome, cursors: CursorKey, posix: float) -> Shown:
    """`posix` is the moment of the request in seconds, from which a cursor's life counts."""
    match plan, outcome:
        case ReadPlan(), Found(document):
            return _looked_at(plan.lens, document, plan.fields)
        case ListPlan() | DeletedPlan() | AsOfPlan(), Page():
            return _page(plan, outcome, cursors, posix)
        case CreatePlan(), Created(document):
            return _echoed(plan.lens, document, created=True)
        case AsOfOnePlan(page), Found(document):
            return _looked_at(page.lens, document, page.fields)
        case AgainPlan(), Found(document):
            return _echoed(plan.lens, document, created=plan.created)
        case VersionPlan(), State(entry, document):
            return ShownVersion(_through(plan.lens, document), entry)
        case ComparePlan(), States(earlier, later):
            return _compared(plan.lens, earlier, later)
        case RestorePlan(), Updated(document, changed):
            return replace(_echoed(plan.lens, document, created=False), updated=changed)
        case UpdatePlan(), Updated(document, changed):
            return replace(_echoed(plan.revision.lens, document, created=False), updated=changed)
        case CountPlan(), Counted(count):
            return ShownCount(count)
        case GetManyPlan(), Gathered(documents, not_found):
            return ShownMany(_cut(_all_through(plan.lens, documents), plan.fields), not_found)
        case AggregatePlan(), Computed(rows):
            return ShownRows(tuple(Revealed(_plainly_named(row)) for row in rows))
        case _, BatchOutcome() | History() | Deleted() | Purged() | Job() | JobList() | Started() | Synced():
            return outcome
        case _:
            return _of_service(plan, outcome, cursors, posix)


def _of_service(plan: Plan, outcome: Outcome, cursors: CursorKey, posix: float) -> Shown:
    match plan, outcome:
        case AuditPlan(), AuditPage(_, after, has_more):
            cursor = None if after is None else cursors.seal(after, plan.question, posix)
            return ShownPage(tuple(map(Revealed, shown_entries(plan, outcome))), cursor, has_more)
        case ExplainPlan(), Examined():
            return ShownTold(explained(plan, outcome))
        case TellPlan(told, tag), NothingLookedUp():
            return ShownTold(told, tag)
        case _:
            raise AssertionError(f"{type(plan).__name__} does not lead to {type(outcome).__name__}")


def _page(plan: ListPlan | DeletedPlan | AsOfPlan, page: Page, cursors: CursorKey, posix: float) -> ShownPage:
    """Made once, of the page's own rows, however many requests of its plan the page answers."""
    for of, shown in page.shown:
        if of is not plan or not isinstance(shown, ShownPage):
            raise AssertionError("a page answers one plan")
        return shown
    cursor = None if page.last is None else cursors.seal(page.last, plan.question, posix)
    documents = _rows_through(plan, page.documents)
    made = ShownPage(documents, cursor, page.has_more, page.total, page.complete)
    page.shown.append((plan, made))
    return made


def _rows_through(
    plan: ListPlan | DeletedPlan | AsOfPlan, rows: tuple[Document, ...] | Portions[Document]
) -> tuple[Revealed, ...] | Portions[Revealed]:
    """What is shown of the rows; of many rows when they are gone through."""
    fields = None if isinstance(plan, DeletedPlan) else plan.fields
    without = plan.without if isinstance(plan, ListPlan) else frozenset()

    def shown(some: Sequence[Document]) -> tuple[Revealed, ...]:
        documents = _cut(_page_through(plan, some), fields)
        return tuple(Revealed(_rest(one, without)) for one in documents) if without else documents

    return rows.through(shown) if isinstance(rows, Portions) else shown(rows)


def _page_through(plan: ListPlan | DeletedPlan | AsOfPlan, rows: Sequence[Document]) -> tuple[Revealed, ...]:
    """A list's rows were read for it alone: they may become what is shown."""
    if not isinstance(plan, ListPlan) or plan.is_linked:
        return _all_through(plan.lens, rows)
    return cast("tuple[Revealed, ...]", plan.lens.show_own([*rows]))


def _through(lens: Lens, document: Document) -> Revealed:
    return Revealed(lens.show(document))


def _all_through(lens: Lens, documents: Iterable[Document]) -> tuple[Revealed, ...]:
    return cast("tuple[Revealed, ...]", lens.show_all(documents))


def _looked_at(lens: Lens, document: Document, fields: frozenset[Path] | None) -> ShownDocument:
    whole = _through(lens, document)
    written = write_json(whole)
    tag = lens.tag_of_json(written)
    if fields is None:
        return ShownDocument(whole, tag=tag, written=written)
    return ShownDocument(_cut((whole,), fields)[0], tag=tag)


def _echoed(lens: Lens | None, document: Document, *, created: bool) -> ShownDocument:
    """What was written, as its writer may read it: where it is not visible, the id alone."""
    if lens is None or not lens.reach.sees(document):
        return ShownDocument(Revealed({"_id": document["_id"]}), created)
    whole = _through(lens, document)
    written = write_json(whole)
    return ShownDocument(whole, created, lens.tag_of_json(written), written=written)


def _compared(lens: Lens, earlier: State, later: State) -> ShownChanges:
    old, new = lens.comparable(earlier.document, later.document)
    for shown in (old, new):
        shown.pop("_version", None)
    return ShownChanges(earlier.entry.version, later.entry.version, differences(old, new))


def _cut(documents: tuple[Revealed, ...], fields: frozenset[Path] | None) -> tuple[Revealed, ...]:
    """What the caller asked for, of what is shown."""
    if fields is None:
        return documents
    view = View((FieldRules(allow=fields),))
    return tuple(Revealed(view.reveal(document)) for document in documents)


def _rest(shown: Document, without: frozenset[Path]) -> Document:
    """What is shown but for these paths. Of documents that went through the lens: nothing comes back by it."""
    rest = View((FieldRules(deny=without),)).reveal(shown)
    return {name: value for name, value in rest.items() if (name,) not in without}


def _plainly_named(value: Any) -> Any:
    """Without stored names that hold a dot or begin with `$`: no rule can tell of them, and no path reaches them."""
    if isinstance(value, dict):
        return {name: _plainly_named(one) for name, one in value.items() if "." not in name and name[:1] != "$"}
    return [_plainly_named(one) for one in value] if isinstance(value, list) else value
