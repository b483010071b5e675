"""What will be done: data, complete, with its own limits. Storage obeys and asks no policy question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson.objectid import ObjectId

from permission_mongo.aggregations import AggregatePlan
from permission_mongo.auditing import AuditPlan
from permission_mongo.batch import Batch
from permission_mongo.documents.etags import Tags
from permission_mongo.documents.paths import Path
from permission_mongo.errors import Refusal
from permission_mongo.explanations import ExplainPlan
from permission_mongo.hierarchy import Staff
from permission_mongo.hooks import NO_POSTS, Posts
from permission_mongo.moments import AsOf
from permission_mongo.pasts import Past, PastPlan
from permission_mongo.policy.grants import Lens
from permission_mongo.policy.guard import Guarded, GuardedStates
from permission_mongo.prehooks import Pre
from permission_mongo.query.sorting import Ordered
from permission_mongo.revisions import Again, Reference, Revision
from permission_mongo.schema.model import Collection, Computing, Keeping
from permission_mongo.service import Doing, Serving
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
    """Where: the collection, and what storage must know of it. Sizes in documents and bytes; `posts` are told of it.

    `names_paths`: the audit entry of an update names the fields that it changed.
    """

    collection: str
    tenant_field: str | None
    versioned: bool
    audited: bool
    chunk: int
    max_bytes: int
    keeping: Keeping
    staff: Staff | None = None
    posts: Posts = NO_POSTS
    names_paths: bool = False


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
    the guard before it. Where it `is_linked`, rows are asked for their files once they were shown.
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
    without: frozenset[Path] = frozenset()
    is_linked: bool = False

    @property
    def orders_computed(self) -> bool:
        """Whether the order needs computed fields."""
        names = {name for name, _ in self.computed}
        return self.ordered is not None and any(name.partition(".")[0] in names for name, _ in self.ordered.order)


@dataclass(frozen=True, slots=True)
class CountPlan:
    """How many rows `match` finds; of those, where fields are computed, how many are what is `asked`."""

    collection: str
    match: Guarded
    computed: Computing = ()
    asked: MongoFilter = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GetManyPlan:
    """`ids` among the rows of `match`, refused above `max_bytes`; `fields` cuts what is shown further."""

    collection: str
    ids: tuple[DocumentId, ...]
    match: Guarded
    lens: Lens
    fields: frozenset[Path] | None
    max_bytes: int
    computed: Computing = ()


@dataclass(slots=True)
class Draft:
    """A document ready to be stored, with its bytes, or the refusal of it. `index` is its place among those sent.

    Not frozen, for there are many, and one is made in a third of the time so.
    """

    index: int
    id: DocumentId
    document: Document
    stored: bytes = field(default=b"", repr=False)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """Store the drafts. `continues` says that an id may have lived before, so that its numbers go on.

    Each draft of a batch is judged when it is first looked at; `ids` are known before. Every one of `references` must
    find its document in the same transaction. `lens` shows the created document to a caller who may read here; None to
    one who may not.
    Plans with the very same `caller` are of one caller in one collection under one policy: what they store may go
    together. None: by itself.
    """

    target: Target
    drafts: Sequence[Draft]
    lens: Lens | None
    continues: bool
    reason: str | None
    batch: Batch | None
    references: tuple[Reference, ...] = ()
    computed: Computing = ()
    caller: object | None = None
    ids: tuple[DocumentId, ...] = ()


@dataclass(frozen=True, slots=True)
class Precondition:
    """`If-Match`: what the caller last saw must still be what the lens shows."""

    wanted: Tags
    lens: Lens

    def accepts(self, stored: Document) -> bool:
        return self.lens.is_known(stored, self.wanted)


@dataclass(frozen=True, slots=True)
class DeleteOnePlan:
    """Remove the row of `match` with this id. `visible` tells one that may not be deleted from an absent one."""

    target: Target
    id: DocumentId
    match: Guarded
    visible: Guarded
    precondition: Precondition | None
    reason: str | None
    pre: Pre | None = None


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Change the row of `match` with this id as `revision` judges it.

    `visible` tells a row that may not be changed from an absent one; `lens` shows the document as it is then.
    """

    target: Target
    id: DocumentId
    match: Guarded
    visible: Guarded
    revision: Revision
    precondition: Precondition | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Same:
    """One change for the rows of `ids`, or, where that is None, for all that match."""

    revision: Revision
    ids: tuple[DocumentId, ...] | None


@dataclass(frozen=True, slots=True)
class Edit:
    """The change of one document, or the refusal of it, which no document has a part in."""

    revision: Revision | Refusal
    precondition: Precondition | None = None


@dataclass(frozen=True, slots=True)
class UpdateManyPlan:
    """Change rows of `match`, each as the plan of one document would: all the same, or each by its id.

    `visible` tells a row that may not be changed from an absent one. Where a filter finds none of these either, the one
    document of `otherwise` is created.
    """

    target: Target
    match: Guarded
    visible: Guarded
    edits: Same | Mapping[DocumentId, Edit]
    batch: Batch
    otherwise: CreatePlan | None = None

    @property
    def expected(self) -> tuple[DocumentId, ...] | None:
        """The ids asked for, or None where a filter asks."""
        return self.edits.ids if isinstance(self.edits, Same) else tuple(self.edits)


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
    pre: Pre | None = None


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Remove the rows of `match`: those among `expected`, or, where that is None, all of them.

    `visible` tells a row that may not be deleted from one that is not there. `preconditions` are of some of the rows.
    """

    target: Target
    match: Guarded
    visible: Guarded
    expected: tuple[DocumentId, ...] | None
    batch: Batch
    preconditions: Mapping[DocumentId, Precondition] = field(default_factory=dict)
    pre: Pre | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevivePlan:
    """Make documents live again whose last contents the records `kept` hold, as far as these are of `match`.

    `visible` are the records that may be seen; `again` judges what is stored again.
    """

    target: Target
    match: Guarded
    visible: Guarded
    kept: Mapping[DocumentId, Document]
    again: Again
    batch: Batch

    @property
    def expected(self) -> tuple[DocumentId, ...]:
        return tuple(self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPlan:
    """Put back the states `former` that records `kept` hold, in the rows of `match` with these ids.

    A row is left that is no longer the one that came after its record. `visible` are the rows that may be seen, and
    `visible_former` the states. `again` judges what is stored again.
    """

    target: Target
    match: Guarded
    visible: Guarded
    former: Guarded
    visible_former: GuardedStates
    kept: Mapping[DocumentId, Document]
    again: Again
    batch: Batch

    @property
    def expected(self) -> tuple[DocumentId, ...]:
        return tuple(self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """Put back what batch `undone` deleted or changed, and remove what it made.

    How each is done is a plan of its own, to which only the ids are wanting; without `removing` nothing may be
    removed. `visible` are the live documents that may be seen.
    """

    target: Target
    undone: str
    visible: Guarded
    reviving: RevivePlan
    reverting: RevertPlan
    removing: DeletePlan | None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """Write the state `version` again. The row it replaces is one of `match`, or a content that `replaced` admits.

    `restored` admits what may be stored, and `again` judges it.
    """

    target: Target
    collection: Collection
    past: Past
    version: int
    match: Guarded
    replaced: GuardedStates
    restored: GuardedStates
    lens: Lens
    precondition: Precondition | None
    reason: str | None
    again: Again


Chunked = UpdateManyPlan | DeletePlan | RevertPlan  # of many documents; a filter's is done in chunks
Reading = ReadPlan | AsOf | ListPlan | CountPlan | GetManyPlan | AggregatePlan | DeletedPlan | PastPlan
Writing = (
    CreatePlan | UpdatePlan | UpdateManyPlan | RestorePlan | DeleteOnePlan | PurgePlan | DeletePlan | UndoPlan | Doing
)
Plan = Reading | Writing | Serving | ExplainPlan | AuditPlan
