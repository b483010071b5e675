"""What happened. Documents in here are as stored; nothing of them leaves but through a lens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from permission_mongo.errors import Refusal
from permission_mongo.values import Document, DocumentId


@dataclass(frozen=True, slots=True)
class Found:
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is the id the next page begins behind; None where there is no more."""

    documents: tuple[Document, ...]
    last: Any | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """The documents found, by id, and the ids that were not."""

    documents: tuple[Document, ...]
    not_found: tuple[DocumentId, ...]


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
    `stopped` is why it ended before all was done.
    """

    verb: Literal["created", "deleted", "restored"]
    done: tuple[DocumentId, ...]
    missing: tuple[DocumentId, ...] = ()
    failed: tuple[Failure, ...] = ()
    batch: str | None = None
    dry_run: bool = False
    stopped: Refusal | None = None
    results: tuple[Item, ...] | None = None


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


Outcome = Found | Page | Gathered | Created | Updated | Deleted | Purged | BatchOutcome | History
