"""What the methods return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from permission_mongo.client.errors import PartlyDone
from permission_mongo.client.json import Document


@dataclass(frozen=True, slots=True)
class Found:
    """A document, and the tag by which `if_match` names this very state of it."""

    document: Document
    etag: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it was written and as the caller may read it: only `_id` where it may not.

    `replayed`: this very write was done before, under the same idempotency key.
    """

    id: str
    document: Document
    etag: str | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Purged:
    """`versions` were erased beside the live document."""

    id: str
    versions: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` is for the next page, None at the end; `total` counts the rows of all pages, where it was asked for.

    `complete` is False of a page of the past where documents may be missing whose beginning nobody knows.
    """

    documents: tuple[Document, ...]
    cursor: str | None
    has_more: bool
    total: int | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Gathered:
    """Documents in the order asked; `missing` are absent, or not the caller's to see."""

    documents: tuple[Document, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that was not done: its id, or its index where it had none yet."""

    code: str
    message: str
    id: str | None = None
    index: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one item: `created`, `updated`, `unchanged`, `deleted`, `restored`, `not_found`, or a code."""

    id: str | None
    status: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work of several transactions. `progress` counts, `error` says why it ended early, `undo` takes its `batch`."""

    id: str
    state: str
    operation: str
    collection: str
    created_at: datetime
    progress: Mapping[str, int]
    batch: str | None = None
    error: Failure | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in ("running", "cancelling")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BatchResult:
    """What a batch did. `batch` is what `undo` takes, None where nothing was written.

    `error` is there if not all was done: with the code `partial`, or with why it ended before all was tried. `errors`
    are the items that were not done, of very many the first thousand; `failures` counts all of them. The method raises
    PartlyDone then, unless it was asked with `partial_ok=True`. `job` is the job that goes on, where it was asked with
    `respond_async=True` and there was more to do: the counts are those of its beginning.
    """

    batch: str | None = None
    error: Failure | None = None
    errors: tuple[Failure, ...] = ()
    failures: int = 0
    items: tuple[Item, ...] | None = None
    dry_run: bool = False
    job: Job | None = None
    replayed: bool = False
    request_id: str | None = None

    def __repr__(self) -> str:
        """What is its own first, then what is not as usual: a failure shall not drown."""
        known = [one for one in fields(self) if one.name != "request_id"]
        own = [one for one in known if one.name not in BatchResult.__slots__]
        rest = [one for one in known if one not in own and getattr(self, one.name) != one.default]
        return f"{type(self).__name__}({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in own + rest)})"

    @property
    def is_partial(self) -> bool:
        return self.error is not None or bool(self.errors)

    def raise_for_errors(self) -> None:
        """PartlyDone if anything was not done."""
        told = self.error or next(iter(self.errors), None)
        if told is not None:
            raise PartlyDone(told.message, self, status=207, request_id=self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InsertResult(BatchResult):
    """`ids` of what was created, in the order sent without those that failed."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UpdateResult(BatchResult):
    """`matched` are as asked now, `modified` were not before; `missing` are absent, or not the caller's to see."""

    matched: int
    modified: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeleteResult(BatchResult):
    """How many were deleted; `missing` are absent, or not the caller's to see."""

    deleted: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UndoResult(BatchResult):
    """How many are as they were before the batch. What somebody changed since is in `errors` with `conflict`."""

    restored: int


@dataclass(frozen=True, slots=True)
class Version:
    """One write of a document's history. Who and when are None where it was made before the gateway came."""

    version: int
    action: str | None
    updated_by: str | None
    updated_at: datetime | None
    change_reason: str | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class OldState:
    """A document as `version` made it."""

    document: Document
    version: Version


@dataclass(frozen=True, slots=True)
class Change:
    """`op` is `add`, `remove` or `change`; the value that there is not is None."""

    field: str
    op: str
    old: Any = None
    new: Any = None


@dataclass(frozen=True, slots=True)
class Difference:
    from_version: int
    to_version: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway serves, and why it does not: what `GET /ready` tells."""

    is_ready: bool
    told: Document
