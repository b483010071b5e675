"""What will be done: data, complete, with its own limits. Storage obeys and asks no policy question."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Change
from permission_mongo.documents.etags import Tags
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, touches
from permission_mongo.errors import Refusal
from permission_mongo.policy.grants import Hiding, Lens
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.nodes import Expression
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError
from permission_mongo.values import Document, DocumentId


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it and when, as history and audit keep it."""

    subject: str
    tenant: str | None
    credential: str | None
    roles: tuple[str, ...]
    now: datetime
    request_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where: the collection, and what storage must know of it. Sizes in documents and bytes."""

    collection: str
    tenant_field: str | None
    versioned: bool
    audited: bool
    chunk: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The document that `match` finds, shown through `lens`."""

    collection: str
    match: Guarded
    lens: Lens


@dataclass(frozen=True, slots=True)
class ListPlan:
    """A page in `_id` order behind `after`; `prefix` are the equal values that lead the index it is read from.

    `question` binds the next cursor to this caller and this question.
    """

    collection: str
    match: Guarded
    limit: int
    after: Any | None
    prefix: tuple[tuple[str, Any], ...]
    lens: Lens
    question: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class GetManyPlan:
    """`ids` among the rows of `match`; `fields` cuts what is shown further."""

    collection: str
    ids: tuple[DocumentId, ...]
    match: Guarded
    lens: Lens
    fields: frozenset[Path] | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A document ready to be stored, or the refusal of it. `index` is its place among those sent."""

    index: int
    id: DocumentId
    document: Document
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """Store the drafts. `continues` says that an id may have lived before, so that its numbers go on.

    `lens` shows the created document to a caller who may read here; None to one who may not.
    """

    target: Target
    drafts: tuple[Draft, ...]
    lens: Lens | None
    continues: bool
    reason: str | None
    batch: Batch | None


@dataclass(frozen=True, slots=True)
class Precondition:
    """`If-Match`: what the caller last saw must still be what the lens shows."""

    wanted: Tags
    lens: Lens

    def accepts(self, stored: Document) -> bool:
        return self.wanted.has_strong(self.lens.tag(self.lens.show(stored)))


@dataclass(frozen=True, slots=True)
class DeleteOnePlan:
    """Remove the row of `match` with this id. `visible` tells one that may not be deleted from an absent one."""

    target: Target
    id: DocumentId
    match: Guarded
    visible: Guarded
    precondition: Precondition | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Writer:
    """One update rule whole: the rows it holds on, the fields it writes, what the document must be afterwards.

    `kept` are paths out of its reach whatever `fields` says: stamped ones, and those its role is judged by.
    """

    rows: Expression
    check: Expression
    fields: FieldRules
    kept: frozenset[Path]

    def writes(self, path: Path) -> bool:
        return self.fields.writes(path) and not touches(path, self.kept)


@dataclass(frozen=True, slots=True)
class Named:
    """A path that a change names, `sent` as it was written; `asked` says that its value must be readable."""

    path: Path
    sent: str
    asked: bool = False


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Change the row of `match` with this id. `visible` tells one that may not be changed from an absent one.

    `faults` are values that could not be typed; `hiding` what no caller writes in some rows; `lens` shows the
    document before, to judge by, and after. `stamps` are typed.
    """

    target: Target
    collection: Collection
    id: DocumentId
    match: Guarded
    visible: Guarded
    writers: tuple[Writer, ...]
    hiding: tuple[Hiding, ...]
    change: Change
    named: tuple[Named, ...]
    faults: tuple[FieldError, ...]
    stamps: Document
    lens: Lens
    precondition: Precondition | None
    reason: str | None
    now: datetime
    max_document_bytes: int


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """Erase the row of `match` with this id, or, where it is deleted, the life that a record of `records` ended.

    `visible` and `visible_records` tell what may not be purged from what is not there.
    """

    target: Target
    id: DocumentId
    match: Guarded
    visible: Guarded
    records: Guarded
    visible_records: Guarded
    precondition: Precondition | None
    reason: str


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Remove the rows of `match`: those among `expected`, or, where that is None, all of them.

    `visible` tells a row that may not be deleted from one that is not there.
    """

    target: Target
    match: Guarded
    visible: Guarded
    expected: tuple[DocumentId, ...] | None
    batch: Batch


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """Put back what batch `undone` deleted and remove what it made.

    `records` match versions whose content may be restored, `visible_records` those that may be seen; `made` and
    `visible_made` the same for live documents.
    """

    target: Target
    undone: str
    records: Guarded
    visible_records: Guarded
    made: Guarded
    visible_made: Guarded
    may_delete: bool
    batch: Batch


@dataclass(frozen=True, slots=True)
class DeletedPlan:
    """A page of deleted documents in the order of deletion: versions a deletion ended, with content that matches."""

    collection: str
    match: Guarded
    limit: int
    after: Any | None
    lens: Lens
    question: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class VersionsPlan:
    """The history of one document: `live` finds it if it lives, `records` its versions that may be seen."""

    collection: str
    id: DocumentId
    live: Guarded
    records: Guarded
    limit: int
    before: int | None


Plan = (
    ReadPlan
    | ListPlan
    | GetManyPlan
    | CreatePlan
    | UpdatePlan
    | DeleteOnePlan
    | PurgePlan
    | DeletePlan
    | UndoPlan
    | DeletedPlan
    | VersionsPlan
)
