"""Asking the audit itself: what is asked, what will be looked for, what was found. No row of a collection is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bson.objectid import ObjectId

from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, asked_path, touches
from permission_mongo.values import Document, DocumentId, MongoFilter

Kind = Literal["write", "read", "refusal"]


@dataclass(frozen=True, slots=True)
class ListAudit:
    """Entries of a time (naive UTC) that are equal to all of `asked`, newest first, behind `cursor`.

    `asked` are stored names with their values; `id` is a document's, of the collection that is asked for.
    """

    limit: int
    cursor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    kind: Kind | None = None
    asked: tuple[tuple[str, str], ...] = ()
    id: DocumentId | None = None


@dataclass(frozen=True, slots=True)
class Readable:
    """The paths that a reader reads raw in every row that they see at all, and that are never hidden.

    Every one of the `rules` reads them, or one of those that hold `always`, in each row.
    """

    rules: tuple[FieldRules, ...] = ()
    always: tuple[FieldRules, ...] = ()
    hidden: frozenset[Path] = frozenset()

    def of(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths, as they were written, that the reader may know of."""
        return [path for path in paths if self._reads(asked_path(path))]

    def _reads(self, path: Path) -> bool:
        if not path or not self.rules or touches(path, self.hidden):
            return False
        return any(one.reads_raw(path) for one in self.always) or all(one.reads_raw(path) for one in self.rules)


NOTHING = Readable()


@dataclass(frozen=True, slots=True)
class Sight:
    """Of which fields a reader is told in the entries of their own `tenant`, and in those of others; by collection."""

    tenant: str | None
    own: Mapping[str, Readable]
    others: Mapping[str, Readable]

    def readable(self, tenant: Any, collection: Any) -> Readable:
        within = self.own if tenant == self.tenant else self.others
        return within.get(collection, NOTHING) if isinstance(collection, str) else NOTHING


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """A page of at most `limit` entries of `match`, newest first, older than `after`. `sight` cuts what is shown.

    `match` names the reader's tenant, unless they cross tenants by the very role that has the right.
    """

    match: MongoFilter
    limit: int
    after: ObjectId | None
    sight: Sight
    question: tuple[object, ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries as they are stored; `last` is the id the next page begins behind, None where there is no more."""

    entries: tuple[Document, ...] = field(repr=False)
    last: ObjectId | None
    has_more: bool
