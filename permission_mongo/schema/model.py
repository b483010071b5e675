"""A collection as declared in schema.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from permission_mongo.documents.paths import Path, canonical, is_position
from permission_mongo.schema.computed import Computed
from permission_mongo.values import SCALAR_TYPES

IdType = Literal["objectId", "uuid", "string"]
FIELD_TYPES: Final = (*SCALAR_TYPES, "array", "object", "any", "vector", "blob")
ID_TYPES: Final = ("objectId", "uuid", "string")
FORMATS: Final = ("email", "url", "date", "time", "datetime")
RESERVED_FIELDS: Final = ("_version", "_made")
STRING_ID: Final = re.compile(r"[A-Za-z0-9_.~:@-]{1,128}")
RESERVED_IDS: Final = frozenset({"batch", "count", "aggregate", "query", "deleted", ".", ".."})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


Computing = tuple[tuple[str, Any], ...]  # computed fields: names and expressions, as MongoDB is asked


@dataclass(frozen=True, slots=True)
class Ref:
    """The value is the id of a document of `collection`: one the writer can read, or, `widely`, any of the tenant."""

    collection: str
    widely: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field. Lengths and ranges are inclusive; `pattern` must match somewhere, as in JSON Schema.

    Of a blob: at most `max_bytes`, None for what the limits say, and one of `content_types`, none for any.
    """

    name: str
    type: str
    required: bool = False
    default: Any = None
    immutable: bool = False
    auto: bool = False
    auto_update: bool = False
    min_length: int | None = None
    max_length: int | None = None
    pattern: re.Pattern[str] | None = None
    format: str | None = None
    min: int | float | None = None
    max: int | float | None = None
    enum: tuple[Any, ...] | None = None
    items: Field | None = None
    properties: Mapping[str, Field] | None = None
    ref: Ref | None = None
    computed: Computed | None = None
    dimensions: int | None = None  # of a vector, and of nothing else
    max_bytes: int | None = None
    content_types: tuple[str, ...] = ()


# What a document says of a blob. Where its bytes are stands in no document, and so in no answer made of one.
OF_BLOBS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "filename": Field("filename", "string"),
        "content_type": Field("content_type", "string"),
        "size_bytes": Field("size_bytes", "integer"),
        "checksum": Field("checksum", "string"),
    }
)


@dataclass(frozen=True, slots=True)
class Index:
    """An index to make at start. Each key is a field and 1 or -1."""

    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    sparse: bool = False
    expire_after: int | None = None  # seconds
    partial: Mapping[str, Any] | None = None  # a Mongo filter, written by us


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The collection's documents are people: the field that a caller's `user.id` names, and that of one's manager."""

    user_id_field: str
    manager_field: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """How versions are kept. `differences`: what leads back from the next newer one, instead of each whole.

    `most` of a document, beside the live one; for so many `days` from their end on, both None for any number. The last
    content of a deleted document stays `deleted_days` at least, whatever the others say.
    """

    differences: bool = False
    most: int | None = None
    days: int | None = None
    deleted_days: int = 365

    @property
    def is_plain(self) -> bool:
        """Whether all are kept whole, and for ever."""
        return not self.differences and self.most is None and self.days is None


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """A declared collection, equal to itself alone.

    With a `tenant_field` no request reaches past its caller's tenant.
    `counts_lists`: every list tells its total. `any_pattern`: `$regex` takes more than literal text.
    """

    name: str
    fields: Mapping[str, Field] = field(default_factory=lambda: _NOTHING)
    id_type: IdType = "objectId"
    client_ids: bool = False
    tenant_field: str | None = None
    owner_field: str | None = None
    timestamps: bool = True
    keeps_additional: bool = False
    versioned: bool = False
    indexes: tuple[Index, ...] = ()
    default_limit: int = 20
    counts_lists: bool = False
    any_pattern: bool = False
    keeping: Keeping = Keeping()
    hierarchy: Hierarchy | None = None

    @property
    def stamped(self) -> frozenset[str]:
        """The fields that the gateway writes and no caller may."""
        return _stamped_of(self)

    @property
    def blobs(self) -> frozenset[str]:
        """The fields whose bytes are kept elsewhere: written by the routes of blobs alone, whatever a rule says."""
        return _blobs_of(self)

    @property
    def made(self) -> tuple[Field, ...]:
        """The fields that the gateway makes by itself, at a creation or at every write."""
        return _made_of(self)

    @property
    def placing(self) -> frozenset[str]:
        """The fields that say who is above whom."""
        found = self.hierarchy
        return frozenset() if found is None else frozenset({found.user_id_field, found.manager_field})

    @property
    def computed(self) -> Computing:
        return _computed_of(self)

    def is_computed(self, dotted: str) -> bool:
        """Whether the path is a computed field's, or lies below one."""
        path = canonical(dotted)
        one = self.fields.get(path[0]) if path else None
        return one is not None and one.computed is not None

    def declared(self, path: Path) -> Field | None:
        """The field at a canonical path, array items looked through; None where the schema says nothing of it."""
        found, fields = None, self.fields
        for part in path:
            found = fields.get(part) if fields else None
            if found is None:
                return None
            while found.items is not None:
                found = found.items
            fields = found.properties or _NOTHING
        return found

    def at(self, parts: Sequence[str]) -> Field | None:
        """The field at a path as written, a position being an element; None where it is open. ValueError: no array."""
        found: Field | None = None
        fields: Mapping[str, Field] | None = self.fields
        for part in parts:
            if found is not None and found.type == "array" and is_position(part):
                found = found.items
            elif is_position(part):
                raise ValueError(f"'{part}' is a position, and '{found.name if found else part}' is no array")
            else:
                found = fields.get(part) if fields is not None else None
            fields = found.properties if found is not None else None
        return found

    def immutable(self) -> tuple[Path, ...]:
        """The paths of fields that are set once, those in objects and elements included."""
        return _immutable_of(self)

    def knows(self, dotted: str) -> bool:
        """Whether a document may hold the path: declared, or below a field that is open."""
        path = canonical(dotted)
        if path in (("_id",), ("_version",)):
            return True
        if path and path[0] in RESERVED_FIELDS:
            return False
        for length in range(1, len(path) + 1):
            one = self.declared(path[:length])
            if one is None:
                return self.keeps_additional and length == 1
            if one.type == "any" or (one.type in ("object", "array") and one.properties is None):
                return True
        return bool(path)

    def kind_of(self, dotted: str) -> str | None:
        """The scalar type at a path, of an array that of its items; None where it is open."""
        return _kind_of(self, dotted)

    def is_vector(self, dotted: str) -> bool:
        """Whether a vector stands at the path, or vectors in an array there."""
        one = self.declared(canonical(dotted))
        return one is not None and one.type == "vector"


@lru_cache(maxsize=16_384)
def _kind_of(collection: Collection, dotted: str) -> str | None:
    if dotted == "_id":
        return collection.id_type
    if dotted == "_version":
        return "integer"
    one = collection.declared(canonical(dotted))
    return one.type if one is not None and one.type in SCALAR_TYPES else None


@lru_cache(maxsize=1024)
def _stamped_of(collection: Collection) -> frozenset[str]:
    names = {name for name, one in collection.fields.items() if one.auto or one.auto_update or one.computed}
    names |= collection.blobs
    return frozenset({*names, *(name for name in (collection.tenant_field, collection.owner_field) if name)})


@lru_cache(maxsize=1024)
def _blobs_of(collection: Collection) -> frozenset[str]:
    return frozenset(name for name, one in collection.fields.items() if one.type == "blob")


@lru_cache(maxsize=1024)
def _made_of(collection: Collection) -> tuple[Field, ...]:
    return tuple(one for one in collection.fields.values() if one.auto or one.auto_update)


@lru_cache(maxsize=1024)
def _computed_of(collection: Collection) -> Computing:
    fields = ((name, one.computed) for name, one in collection.fields.items())
    return tuple((name, computed.expression) for name, computed in fields if computed is not None)


@lru_cache(maxsize=1024)
def _immutable_of(collection: Collection) -> tuple[Path, ...]:
    return tuple(_immutable(collection.fields, ()))


def innermost(fields: Mapping[str, Field], prefix: Path = ()) -> Iterator[Path]:
    """Of each declared field the innermost that are declared, items of arrays looked through."""
    for name, one in fields.items():
        inner = one
        while inner.items is not None:
            inner = inner.items
        if inner.properties:
            yield from innermost(inner.properties, (*prefix, name))
        elif canonical(name):
            yield (*prefix, *canonical(name))


def _immutable(fields: Mapping[str, Field], prefix: Path) -> Iterator[Path]:
    for name, one in fields.items():
        if one.immutable:
            yield (*prefix, name)
        inner = one
        while inner.items is not None:
            inner = inner.items
        yield from _immutable(inner.properties or _NOTHING, (*prefix, name))
