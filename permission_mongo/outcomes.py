"""What happened. Documents in here are as stored; nothing of them leaves but through a lens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from permission_mongo.auditing import AuditPage
from permission_mongo.batch import Bound
from permission_mongo.errors import Refusal
from permission_mongo.explanations import Examined
from permission_mongo.portions import Portions
from permission_mongo.values import Document, DocumentId


@dataclass(frozen=True, slots=True)
class Found:
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is the id or key the next page begins behind; None where there is no more.

    `total` is the number of rows of all pages, where it was asked for. `complete` is False where rows may be missing
    of which nobody knows whether they belong here. Several requests of one plan may be given one page: what it shows is
    made of its rows once, which are used up by it, and `shown` keeps that, with the plan that it was made for.
    """

    documents: tuple[Document, ...] | Portions[Document]
    last: Any | None
    has_more: bool
    total: int | None = None
    complete: bool = True
    shown: list[tuple[object, object]] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Counted:
    count: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The documents found, by id, and the ids that were not."""

    documents: tuple[Document, ...]
    not_found: tuple[DocumentId, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """What a pipeline made of rows and fields that the caller reads raw."""

    rows: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Created:
    document: Document


@dataclass(frozen=True, slots=True)
class Updated:
    """The document as it is now; `changed` is False where it was so before."""

    document: Document
    changed: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    id: DocumentId


@dataclass(frozen=True, slots=True)
class Purged:
    """`versions` were erased beside the live document, if there was one."""

    id: DocumentId
    versions: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that was not done: its index, for an item without a known id, or its id."""

    refusal: Refusal
    id: DocumentId | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one item: `status` is the verb, `not_found`, or the code of its refusal."""

    id: DocumentId | None
    status: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What a batch did.

    `results`, if asked for, has an item for each that was asked, in that order. `batch` is the id, if it wrote;
    `stopped` is why it ended before all was done. `counted` stands for `done` where only the number was kept, and
    `interrupted` says that the gateway ended in the middle, so that this is what is known of it. Of very many failures
    only the first are in `failed`, and `unlisted` counts the rest. `more` is where a filter's next chunk begins, None
    at its end. `is_job` says that there is a record of it as a job. `unchanged` counts the
    items that an update found as they were to be.
    """

    verb: Literal["created", "updated", "deleted", "restored"]
    done: tuple[DocumentId, ...]
    missing: tuple[DocumentId, ...] = ()
    failed: tuple[Failure, ...] = ()
    batch: str | None = None
    dry_run: bool = False
    stopped: Refusal | None = None
    results: tuple[Item, ...] | None = None
    counted: int | None = None
    interrupted: bool = False
    unlisted: int = 0
    is_job: bool = False
    more: Bound | None = None
    unchanged: int = 0

    @property
    def count(self) -> int:
        return len(self.done) if self.counted is None else self.counted

    @property
    def met(self) -> int:
        """The items that are as asked now."""
        return self.count + self.unchanged

    @property
    def is_partial(self) -> bool:
        return bool(self.failed) or self.stopped is not None or self.interrupted


JobState = Literal["running", "cancelling", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """A batch of several transactions; `asked` is the kind of operation, `outcome` what it has done so far."""

    id: str
    state: JobState
    collection: str
    asked: str
    at: datetime
    outcome: BatchOutcome

    @property
    def is_over(self) -> bool:
        return self.state not in ("running", "cancelling")


@dataclass(frozen=True, slots=True)
class JobList:
    """Newest first."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The first chunk is done; nobody waits for the rest."""

    job: Job


@dataclass(frozen=True, slots=True)
class Written:
    """What is kept of the answer to a write of one document: its id and its number then (None: without versions)."""

    id: DocumentId
    version: int | None
    created: bool


# What a replay is told from. No document is in it.
Kept = BatchOutcome | Written | Deleted | Purged


@dataclass(frozen=True, slots=True)
class Replayed:
    """The write took effect earlier, under the same key; nothing was done now."""

    kept: Kept


@dataclass(frozen=True, slots=True)
class Entry:
    """One write in a document's history, told by who, when and why; no content."""

    version: int
    action: str
    by: str | None
    at: datetime | None
    reason: str | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Newest first."""

    entries: tuple[Entry, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class State:
    """A state of a document, `entry` telling the write that made it."""

    entry: Entry
    document: Document


@dataclass(frozen=True, slots=True)
class States:
    """Two states of one document."""

    earlier: State
    later: State


@dataclass(frozen=True, slots=True)
class NothingLookedUp:
    """The plan said it all."""


@dataclass(frozen=True, slots=True)
class Synced:
    """How many people there are, rows of them were wrong, stand in a loop, and have too many people above."""

    people: int
    changed: int
    in_loops: int
    too_deep: int

    def and_(self, other: Synced) -> Synced:
        return Synced(
            self.people + other.people,
            self.changed + other.changed,
            self.in_loops + other.in_loops,
            self.too_deep + other.too_deep,
        )


Outcome = (
    Found
    | Page
    | Counted
    | Gathered
    | Computed
    | Created
    | Updated
    | Deleted
    | Purged
    | BatchOutcome
    | History
    | State
    | States
    | Replayed
    | Job
    | JobList
    | Started
    | Examined
    | NothingLookedUp
    | Synced
    | AuditPage
)
