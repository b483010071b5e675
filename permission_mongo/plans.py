"""What will be done: data, complete, with its own limits. Storage obeys and asks no policy question."""

from __future__ import annotations

from collections.abc import Collection as Several
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from bson import encode
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Change
from permission_mongo.documents.etags import Tags
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, touches
from permission_mongo.errors import Refusal
from permission_mongo.policy.grants import Hiding, Lens
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.nodes import Expression
from permission_mongo.query.sorting import Ordered
from permission_mongo.schema.model import Collection, Ref
from permission_mongo.schema.validate import FieldError
from permission_mongo.values import Document, DocumentId, MongoFilter


@dataclass(frozen=True, slots=True)
class Once:
    """A write that may take effect once: the caller's key for it, and the mark of the request that came with it.

    The key is the caller's own: another tenant's, subject's or kind of credential is another key. `fingerprint` tells
    whether a later request under the key is the same. `run` is this attempt's own; a retry has another.
    """

    namespace: str
    tenant: str | None
    kind: str
    subject: str
    key: str
    fingerprint: bytes = field(repr=False)
    run: ObjectId


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it and when, as history and audit keep it; `once`, if the write may take effect only once."""

    subject: str
    tenant: str | None
    credential: str | None
    roles: tuple[str, ...]
    now: datetime
    request_id: str
    once: Once | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where: the collection, and what storage must know of it. Sizes in documents and bytes."""

    collection: str
    tenant_field: str | None
    versioned: bool
    audited: bool
    chunk: int
    max_bytes: int


Computing = tuple[tuple[str, Any], ...]  # computed fields: names and expressions, as MongoDB is asked


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The document `id` among `rows`, shown through `lens`; `fields` cuts what is shown further."""

    collection: str
    id: DocumentId
    rows: Guarded
    lens: Lens
    fields: frozenset[Path] | None = None
    computed: Computing = ()


@dataclass(frozen=True, slots=True)
class ListPlan:
    """A page of at most `limit` rows and `max_bytes`, behind `after` or, without it, after `skip` rows.

    In `_id` order, or as `ordered` says: then `after` is the key of a row there. `prefix` are the equal values
    that lead the index it is read from. `counts` asks for the rows of all pages. `question` binds the next cursor to
    this caller and this question. `asked` is what was asked of computed fields: it stands behind their computation, and
    the guard before it. `orders_computed` says that the order needs them.
    """

    collection: str
    match: Guarded
    limit: int
    after: Any | None
    prefix: tuple[tuple[str, Any], ...]
    lens: Lens
    question: tuple[Any, ...]
    max_bytes: int
    ordered: Ordered | None = None
    fields: frozenset[Path] | None = None
    counts: bool = False
    skip: int = 0
    computed: Computing = ()
    asked: MongoFilter = field(default_factory=dict)
    orders_computed: bool = False


@dataclass(frozen=True, slots=True)
class CountPlan:
    """How many rows `match` finds; of those, where fields are computed, how many are what is `asked`."""

    collection: str
    match: Guarded
    computed: Computing = ()
    asked: MongoFilter = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GetManyPlan:
    """`ids` among the rows of `match`; `fields` cuts what is shown further."""

    collection: str
    ids: tuple[DocumentId, ...]
    match: Guarded
    lens: Lens
    fields: frozenset[Path] | None
    computed: Computing = ()


_NO_BYTES: Final = RawBSONDocument(encode({}))


@dataclass(frozen=True, slots=True)
class Draft:
    """A document ready to be stored, with its bytes, or the refusal of it. `index` is its place among those sent."""

    index: int
    id: DocumentId
    document: Document
    stored: RawBSONDocument = field(default_factory=lambda: _NO_BYTES, repr=False)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference of the document `index`, at the dotted path `field`, to the document `id` of `collection`."""

    index: int
    field: str
    collection: str
    id: DocumentId


@dataclass(frozen=True, slots=True)
class Reference:
    """What is referred to in one collection; `match` are the rows that the writer may point at."""

    collection: str
    match: Guarded
    wanted: tuple[Wanted, ...]

    def of(self, indices: Several[int]) -> Reference:
        """Of these documents alone."""
        return replace(self, wanted=tuple(one for one in self.wanted if one.index in indices))


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """Store the drafts. `continues` says that an id may have lived before, so that its numbers go on.

    Every one of `references` must find its document in the same transaction.

    `lens` shows the created document to a caller who may read here; None to one who may not.
    """

    target: Target
    drafts: tuple[Draft, ...]
    lens: Lens | None
    continues: bool
    reason: str | None
    batch: Batch | None
    references: tuple[Reference, ...] = ()
    computed: Computing = ()


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
class Referable:
    """The rows that a writer may point at by `ref`. `tenant_field` bounds them to the tenant of the document itself."""

    ref: Ref
    match: Guarded
    tenant_field: str | None

    def of(self, tenant: Any, wanted: tuple[Wanted, ...]) -> Reference:
        """What a document of that tenant refers to here."""
        within = self.match.further({self.tenant_field: {"$eq": tenant}}) if self.tenant_field else self.match
        return Reference(self.ref.collection, within, wanted)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Change the row of `match` with this id. `visible` tells one that may not be changed from an absent one.

    `faults` are values that could not be typed; `hiding` what no caller writes in some rows; `lens` shows the
    document before, to judge by, and after. `stamps` are typed. What the change refers to must be among `referable`.
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
    referable: tuple[Referable, ...] = ()


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
    """A page of deleted documents in the order of ids: versions a deletion ended, with content that matches.

    `prefix` are the equal values that lead their index; without a tenant in it, that of the records' ids is read.
    """

    collection: str
    match: Guarded
    prefix: tuple[tuple[str, Any], ...]
    limit: int
    after: Any | None
    lens: Lens
    question: tuple[Any, ...]
    max_bytes: int
    computed: Computing = ()


@dataclass(frozen=True, slots=True)
class VersionsPlan:
    """The history of one document: `live` finds it if it lives, `records` its versions that may be seen."""

    collection: str
    id: DocumentId
    live: Guarded
    records: Guarded
    limit: int
    before: int | None


@dataclass(frozen=True, slots=True)
class AgainPlan:
    """The state of `version` (None: any) of one document: `live` finds it if it lives, `records` what is kept of it."""

    collection: str
    version: int | None
    live: Guarded
    records: Guarded
    lens: Lens
    created: bool


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The rows of `match` whose `foreign` is one of a row's `local`, as the list `name`: `fields` and the id."""

    collection: str
    match: Guarded
    local: str
    foreign: str
    name: str
    fields: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """The caller's `stages` over the rows of `match`, of which they see `fields` and the id. No more than `most_rows`.

    No field has another below it.
    """

    collection: str
    match: Guarded
    fields: tuple[Path, ...]
    stages: tuple[dict[str, Any] | JoinPlan, ...]
    most_rows: int
    most_bytes: int


Reading = ReadPlan | AgainPlan | ListPlan | CountPlan | GetManyPlan | AggregatePlan | DeletedPlan | VersionsPlan
Writing = CreatePlan | UpdatePlan | DeleteOnePlan | PurgePlan | DeletePlan | UndoPlan
Plan = Reading | Writing
