"""What was asked. Parsed and typed, permitted by nobody yet. "Both ids and filter" can't be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from permission_mongo.auditing import ListAudit
from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Change
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import SchemaViolation
from permission_mongo.policy.rules import Action
from permission_mongo.principal import Principal
from permission_mongo.query.filters import EVERYTHING, Query
from permission_mongo.query.pipeline import Pipeline
from permission_mongo.query.sorting import Sort
from permission_mongo.schema.model import Collection
from permission_mongo.upserts import Anew
from permission_mongo.values import DocumentId


@dataclass(frozen=True, slots=True)
class ByIds:
    """Each id once, in the order asked."""

    ids: tuple[DocumentId, ...]


@dataclass(frozen=True, slots=True)
class ByTags:
    """Each id once, in the order asked, with what it must be as the caller last saw it."""

    tags: Mapping[DocumentId, Tags | None]


@dataclass(frozen=True, slots=True)
class ByFilter:
    """`sent` is the body it came in: work that outlives the request is read from it again."""

    query: Query
    sent: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Sent:
    """A document to create. `id` is the caller's or a fresh one; `document` holds neither it nor anything typed yet.

    `fault` is wrong with an id the caller chose; told after what the caller may do at all. Not frozen: there are many.
    """

    id: DocumentId
    document: Mapping[str, Any]
    names_id: bool = False
    fault: SchemaViolation | None = None


@dataclass(frozen=True, slots=True)
class CreateOne:
    collection: Collection
    sent: Sent
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CreateMany:
    collection: Collection
    sent: tuple[Sent, ...]
    options: Batch


@dataclass(frozen=True, slots=True)
class GetOne:
    """`fields` None means all that is shown. `presign`: blobs that are shown raw come with addresses of their bytes."""

    collection: Collection
    id: DocumentId
    fields: tuple[str, ...] | None = None
    presign: bool = False


@dataclass(frozen=True, slots=True)
class GetMany:
    """As of `GetOne`."""

    collection: Collection
    ids: tuple[DocumentId, ...]
    fields: tuple[str, ...] | None = None
    presign: bool = False


@dataclass(frozen=True, slots=True)
class ListMany:
    """A page behind `cursor`, or the first after `skip` rows; by `_id` without a `sort`. `count` adds the total.

    Of what is shown `fields` are kept, None for all, and those `without` cut.
    `recurs`: this very object stands for each request that asks in the same words.
    """

    collection: Collection
    limit: int
    cursor: str | None = None
    query: Query = field(default=EVERYTHING)
    sort: Sort | None = None
    fields: tuple[str, ...] | None = None
    count: bool = False
    skip: int = 0
    without: tuple[str, ...] = ()
    recurs: bool = field(default=False, compare=False)
    presign: bool = False


@dataclass(frozen=True, slots=True)
class GetAsOf:
    """The document as it was at `moment` (naive UTC); `fields` None means all that is shown."""

    collection: Collection
    id: DocumentId
    moment: datetime
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListAsOf:
    """A page, in the order of ids, of the collection as it was at `moment` (naive UTC)."""

    collection: Collection
    limit: int
    moment: datetime
    cursor: str | None = None
    query: Query = field(default=EVERYTHING)
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CountMany:
    collection: Collection
    query: Query = field(default=EVERYTHING)


@dataclass(frozen=True, slots=True)
class Aggregate:
    collection: Collection
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class ListDeleted:
    collection: Collection
    limit: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ListVersions:
    """Newest first, below version `before`."""

    collection: Collection
    id: DocumentId
    limit: int
    before: int | None = None


@dataclass(frozen=True, slots=True)
class GetVersion:
    """One state of a document; its present one has a number too."""

    collection: Collection
    id: DocumentId
    version: int


@dataclass(frozen=True, slots=True)
class Compare:
    """In what version `later` differs from version `earlier`; whichever is the older, and either may be the present."""

    collection: Collection
    id: DocumentId
    earlier: int
    later: int


@dataclass(frozen=True, slots=True)
class RestoreOne:
    """Write the content of an old version again. `if_match` must name the document as the caller sees it."""

    collection: Collection
    id: DocumentId
    version: int
    if_match: Tags | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateOne:
    """`change` is as it was sent: nothing in it is typed yet. It may write the field `blob`, as no other change may."""

    collection: Collection
    id: DocumentId
    change: Change
    if_match: Tags | None = None
    reason: str | None = None
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteOne:
    """`if_match` must name the document as the caller sees it."""

    collection: Collection
    id: DocumentId
    if_match: Tags | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PurgeOne:
    """Erase the document and its history."""

    collection: Collection
    id: DocumentId
    reason: str
    if_match: Tags | None = None


@dataclass(frozen=True, slots=True)
class DeleteMany:
    collection: Collection
    selection: ByIds | ByTags | ByFilter
    options: Batch


@dataclass(frozen=True, slots=True)
class Alike:
    """The same change for all that are selected."""

    selection: ByIds | ByFilter
    change: Change


@dataclass(frozen=True, slots=True)
class Revised:
    """`if_match` must name the document as the caller sees it."""

    id: DocumentId
    change: Change
    if_match: Tags | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """To each document its own change, in the order asked; no id twice."""

    items: tuple[Revised, ...]


@dataclass(frozen=True, slots=True)
class UpdateMany:
    collection: Collection
    edits: Alike | Each
    options: Batch
    otherwise: Anew | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """Put back what the batch `undone` did."""

    collection: Collection
    undone: str
    options: Batch


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """A document as an earlier write left it, for a replay of that write's answer."""

    collection: Collection
    id: DocumentId
    version: int | None
    created: bool


@dataclass(frozen=True, slots=True)
class GetJob:
    id: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    id: str


@dataclass(frozen=True, slots=True)
class ListJobs:
    """The caller's own, newest first."""

    limit: int


@dataclass(frozen=True, slots=True)
class Explain:
    """How the rules judge `action`, of the document `id` or those of a query, for the caller or for `whom`.

    `at_the_machine`: by who runs the gateway, and no request can say so.
    """

    collection: Collection
    action: Action
    id: DocumentId | None = None
    query: Query | None = None
    whom: Principal | None = None
    at_the_machine: bool = False


@dataclass(frozen=True, slots=True)
class TellMe:
    """Who the caller is, and what it may do."""


@dataclass(frozen=True, slots=True)
class Describe:
    """What the caller may ask, as OpenAPI."""


@dataclass(frozen=True, slots=True)
class TellPolicy:
    """The loaded policy as it is written."""


@dataclass(frozen=True, slots=True)
class TellMatrix:
    """Which rules of the loaded policy give each role what."""


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What is wrong with these texts, by the names of the files; one that is not among them is the loaded one."""

    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunPolicyTests:
    """What the policy's own tests come to with these texts; a file that is not among them is the loaded one."""

    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ComparePolicy:
    """What each role, and each of the sets `beside`, gains and loses by these texts; `live`: on documents too."""

    files: Mapping[str, str]
    beside: tuple[tuple[str, ...], ...] = ()
    live: bool = False


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """Put this text in the place of the file, if that is the one of `if_match`."""

    name: str
    text: str
    if_match: Tags


@dataclass(frozen=True, slots=True)
class SyncHierarchy:
    """Find anew who is above whom: in the caller's own tenant or the one named; `collection` is that of people."""

    tenant: str | None = None
    collection: str | None = None


OfFiles = CheckPolicy | RunPolicyTests | ComparePolicy | WritePolicy  # of the policy's files, and of nothing stored
Service = (
    GetJob | CancelJob | ListJobs | ListAudit | SyncHierarchy | Explain | TellMe | TellPolicy | TellMatrix | Describe
)  # asked of the gateway itself, and of no collection
Filtered = UpdateMany | DeleteMany  # may be of a filter, and then a job
OfPast = ListVersions | GetVersion | Compare | ReadAgain
Write = CreateOne | UpdateOne | RestoreOne | DeleteOne | PurgeOne | CreateMany | UpdateMany | DeleteMany | Undo
Reading = GetOne | GetMany | ListMany | CountMany | Aggregate | GetAsOf | ListAsOf | ListDeleted | OfPast
Operation = Write | Reading


def is_counted(operation: OfFiles) -> bool:
    """Whether documents are looked at, beside the files."""
    return isinstance(operation, ComparePolicy) and operation.live


def is_rehearsal(operation: Operation) -> bool:
    """Whether it writes nothing, though it is a write: a dry run."""
    match operation:
        case CreateMany() | UpdateMany() | DeleteMany() | Undo():
            return operation.options.dry_run
        case _:
            return False
