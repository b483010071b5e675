"""A change of a document with all that it is judged by, and what comes of it. No document's id stands in it."""

from __future__ import annotations

from collections.abc import Collection as Several
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from permission_mongo.documents.changes import Change
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, touches
from permission_mongo.policy.grants import Hiding, Lens
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.nodes import Expression
from permission_mongo.schema.model import Collection, Ref
from permission_mongo.schema.validate import FieldError
from permission_mongo.values import Document, DocumentId


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
class Revision:
    """One change, and what judges it in whatever document it is made.

    `faults` are values that could not be typed; `hiding` what no caller writes in some rows; `lens` shows the
    document before, to judge by, and after. `stamps` are typed. What the change refers to must be among `referable`.
    """

    collection: Collection
    writers: tuple[Writer, ...]
    hiding: tuple[Hiding, ...]
    change: Change
    named: tuple[Named, ...]
    faults: tuple[FieldError, ...]
    stamps: Document
    lens: Lens
    now: datetime
    max_document_bytes: int
    referable: tuple[Referable, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Top-level fields to write, and to take away. What is named in neither stays byte for byte.

    `size` is that of the document then, in bytes. `blind` are places that were sent and that the caller does not read.
    """

    fields: Document
    gone: tuple[str, ...]
    size: int
    blind: frozenset[str] = frozenset()
