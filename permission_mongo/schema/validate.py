"""A document as sent -> a document as stored: typed by the schema, defaults filled in, every error at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from bson.decimal128 import Decimal128

from permission_mongo.documents.paths import Path
from permission_mongo.errors import SchemaViolation
from permission_mongo.schema.defaults import Fill, default_of
from permission_mongo.schema.formats import has_format
from permission_mongo.schema.model import RESERVED_FIELDS, Collection, Field
from permission_mongo.schema.quick import Doubt, ReadDocument, document_reader, names_are_surely_fit
from permission_mongo.schema.vectors import plain_vector, read_double
from permission_mongo.values import (
    MAX_DEPTH,
    SCALAR_TYPES,
    Document,
    decimal_of,
    is_extended,
    read_extended,
    read_scalar,
)

MOST_TOLD: Final = 100  # errors or fields of one document
_MOST_COMPILED: Final = 1024  # collections
_ANY: Final = Collection("any")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken constraint. `field` is a dotted path with array positions; None where it is not told."""

    field: str | None
    code: str
    message: str

    def as_entry(self) -> dict[str, str | None]:
        return {"field": self.field, "code": self.code, "message": self.message}


def as_violation(errors: Sequence[FieldError]) -> SchemaViolation:
    """All of them at once; of very many the first, and how many there are."""
    count = len(errors)
    message = f"the document breaks its schema in {count} place{'s' if count > 1 else ''}"
    return SchemaViolation(message, errors=[error.as_entry() for error in errors[:MOST_TOLD]])


@dataclass(slots=True)
class _Reader:
    collection: Collection
    errors: list[FieldError] = field(default_factory=list)

    def wrong(self, place: str, code: str, message: str) -> None:
        self.errors.append(FieldError(place, code, message))

    # -- names

    def names_are_fit(self, value: Any, place: str = "", depth: int = 0) -> bool:
        """Whether every name can be stored and addressed, at a depth that can be answered."""
        if depth > MAX_DEPTH:
            self.wrong(place, "depth", f"nested deeper than {MAX_DEPTH}")
            return False
        if isinstance(value, list):
            fits = [self.names_are_fit(inner, f"{place}.{n}", depth + 1) for n, inner in enumerate(value)]
            return all(fits)  # not lazily: every error is told
        # A whole document is never a scalar: `$oid` as its only name would be stored as a field.
        if not isinstance(value, dict) or (depth and is_extended(value)):
            return True
        fit = True
        for key, inner in value.items():
            at = f"{place}.{key}" if place else key
            if not place and key.isdigit():
                self.wrong(at, "name", "a field's name can't be a number: paths would take it for a position")
                fit = False
            elif not key or key.startswith("$") or "." in key or "\x00" in key:
                self.wrong(at, "name", "a field's name can't be empty, begin with '$' or hold '.' or NUL")
                fit = False
            else:
                fit = self.names_are_fit(inner, at, depth + 1) and fit
        return fit

    def require_depth(self, value: Any, place: str) -> None:
        waiting = [(value, 1)]
        while waiting:
            inner, depth = waiting.pop()
            if depth > MAX_DEPTH:
                self.wrong(place, "depth", f"nested deeper than {MAX_DEPTH}")
                return
            values = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
            waiting += [(one, depth + 1) for one in values if isinstance(one, dict | list)]

    # -- values

    def fields(
        self, value: Mapping[str, Any], declared: Mapping[str, Field], place: str, fill: Fill | None
    ) -> Document:
        read: Document = {}
        for name, inner in value.items():
            at = f"{place}.{name}" if place else name
            one = declared.get(name)
            read[name] = self.open(inner, at) if one is None else self.value(inner, one, at, fill)
        for name, one in declared.items():
            if name not in read:
                self._absent(read, one, f"{place}.{name}" if place else name, fill)
        return read

    def _absent(self, read: Document, one: Field, place: str, fill: Fill | None) -> None:
        if fill is not None and one.default is not None:
            try:
                read[one.name] = default_of(one, fill)
            except ValueError as error:  # the caller's id is not of the field's type
                self.wrong(place, "type", f"its default can't be made: expected {error}")
        elif one.required and not one.auto:
            self.wrong(place, "required", "is required")

    def value(self, value: Any, one: Field, place: str, fill: Fill | None) -> Any:
        if value is None:
            if one.required:
                self.wrong(place, "required", "is required; null does not count")
            return None
        if one.type in SCALAR_TYPES:
            return self._scalar(value, one, place)
        if one.type == "array":
            return self._array(value, one, place, fill)
        if one.type in ("object", "blob"):
            return self._object(value, one, place, fill)
        if one.type == "vector":
            return self._vector(value, one, place)
        return self.open(value, place)

    def _scalar(self, value: Any, one: Field, place: str) -> Any:
        try:
            read = read_scalar(one.type, value)
        except ValueError as error:
            self.wrong(place, "type", f"expected {error}")
            return None
        self._constraints(read, one, place)
        return read

    def _array(self, value: Any, one: Field, place: str, fill: Fill | None) -> Any:
        if not isinstance(value, list):
            self.wrong(place, "type", "expected an array")
            return None
        self._length(len(value), one, place, "items")
        items = one.items
        if items is None:
            return [self.open(inner, f"{place}.{n}") for n, inner in enumerate(value)]
        return [self.value(inner, items, f"{place}.{n}", fill) for n, inner in enumerate(value)]

    def _object(self, value: Any, one: Field, place: str, fill: Fill | None) -> Any:
        if not isinstance(value, dict) or is_extended(value):
            self.wrong(place, "type", "expected an object")
            return None
        return self.open(value, place) if one.properties is None else self.fields(value, one.properties, place, fill)

    def _vector(self, value: Any, one: Field, place: str) -> Any:
        plain = plain_vector(value, one.dimensions)
        if plain is not None:
            return plain
        if not isinstance(value, list):
            self.wrong(place, "type", f"expected an array of {one.dimensions} numbers")
            return None
        if len(value) != one.dimensions:
            self.wrong(place, "dimensions", f"has {len(value)} numbers; exactly {one.dimensions}")
        return [self._double(number, f"{place}.{n}") for n, number in enumerate(value)]

    def _double(self, value: Any, place: str) -> float | None:
        try:
            return read_double(value)
        except ValueError as error:
            self.wrong(place, "type", f"expected {error}")
            return None

    def open(self, value: Any, place: str) -> Any:
        """A value the schema leaves open: plain JSON and Extended JSON scalars."""
        if isinstance(value, list):
            return [self.open(inner, f"{place}.{n}") for n, inner in enumerate(value)]
        if isinstance(value, dict) and not is_extended(value):
            return {name: self.open(inner, f"{place}.{name}") for name, inner in value.items()}
        try:
            return read_scalar("any", read_extended(value))
        except ValueError as error:
            self.wrong(place, "type", f"expected {error}")
            return None

    def _constraints(self, value: Any, one: Field, place: str) -> None:
        if one.enum is not None and value not in one.enum:
            self.wrong(place, "enum", f"is none of {', '.join(str(allowed) for allowed in one.enum)}")
        if isinstance(value, str):
            self._length(len(value), one, place, "characters")
            if one.pattern is not None and not one.pattern.search(value):
                self.wrong(place, "pattern", f"does not match {one.pattern.pattern}")
            if one.format is not None and not has_format(value, one.format):
                self.wrong(place, "format", f"is no {one.format}")
        elif isinstance(value, int | float | Decimal128) and not isinstance(value, bool):
            number = decimal_of(value)
            if number is not None and one.min is not None and number < decimal_of(one.min):  # type: ignore[operator]
                self.wrong(place, "min", f"is below {one.min}")
            if number is not None and one.max is not None and number > decimal_of(one.max):  # type: ignore[operator]
                self.wrong(place, "max", f"is above {one.max}")

    def _length(self, length: int, one: Field, place: str, unit: str) -> None:
        if one.min_length is not None and length < one.min_length:
            self.wrong(place, "min_length", f"has {length} {unit}; at least {one.min_length}")
        if one.max_length is not None and length > one.max_length:
            self.wrong(place, "max_length", f"has {length} {unit}; at most {one.max_length}")


def unfit_names(document: Any, collection: Collection, place: str = "") -> list[FieldError]:
    """Names that can't be stored: looked at first, for a path is judged by its name. `place` is a value's own path."""
    if not place and isinstance(document, dict) and names_are_surely_fit(document, _known_names(collection)):
        return []
    reader = _Reader(collection)
    reader.names_are_fit(document, place, len(place.split(".")) if place else 0)
    return reader.errors


def read_value(value: Any, one: Field | None, collection: Collection, place: str) -> tuple[Any, list[FieldError]]:
    """A value as the field's type, None for an open one, and what can't be of its type: names alone, no constraints."""
    reader = _Reader(collection)
    read = reader.open(value, place) if one is None or value is None else reader.value(value, one, place, None)
    return read, [error for error in reader.errors if error.code == "type"]


def broken_constraints(document: Mapping[str, Any], names: Iterable[str], collection: Collection) -> list[FieldError]:
    """Everything wrong with the named fields of a document that holds BSON values. No defaults are filled in."""
    reader = _Reader(collection)
    for name in names:
        one = collection.fields.get(name)
        if name not in document:
            if one is not None and one.required and not one.auto:
                reader.wrong(name, "required", "is required")
        elif one is not None:
            reader.value(document[name], one, name, None)
        else:
            reader.open(document[name], name)
        reader.require_depth(document.get(name), name)
    return reader.errors


def unknown_paths(document: Mapping[str, Any], collection: Collection, prefix: Path = ()) -> list[Path]:
    """The paths sent that the schema does not know."""
    if collection.keeps_additional and not prefix:
        # The gateway's own marks stay its own, also where the schema takes any field.
        judged = {*collection.fields, *RESERVED_FIELDS}
        document = {name: value for name, value in document.items() if name in judged}
    unknown: list[Path] = []
    closed = frozenset() if prefix else names_with_nothing_below(collection)
    for name, value in document.items():
        if name in closed:
            continue
        path = (*prefix, name)
        one = collection.declared(path)
        if one is None:
            unknown.append(path)
        elif one.properties is not None:
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    unknown += unknown_paths(inner, collection, path)
    return unknown


@dataclass(frozen=True, slots=True)
class Stamped:
    """What the gateway writes into a document beside what was sent. `ready`: the same as read by the schema, if it
    surely is right and nothing of it can be changed, so that many documents may share it.
    """

    values: Document
    ready: Document | None = None


def read_stamps(stamps: Document, collection: Collection, fill: Fill) -> Stamped:
    """Stamps that are read once for all documents that get them."""
    if any(isinstance(value, dict | list) for value in stamps.values()):
        return Stamped(stamps)
    try:
        return Stamped(stamps, _quick_stamps(collection)(stamps, fill))
    except (Doubt, ValueError):
        return Stamped(stamps)


_UNSTAMPED: Final = Stamped({}, {})


def read_document(
    document: Mapping[str, Any], collection: Collection, fill: Fill, stamped: Stamped = _UNSTAMPED
) -> tuple[Document, list[FieldError]]:
    """The document and its stamps with BSON values and defaults, and everything that is wrong with it."""
    try:
        if stamped.ready is not None:
            return quick_reader(collection)(document, fill, stamped.ready), []
    except (Doubt, ValueError):
        pass
    return read_carefully({**document, **stamped.values}, collection, fill)


def read_carefully(
    document: Mapping[str, Any], collection: Collection, fill: Fill
) -> tuple[Document, list[FieldError]]:
    """The same with a place for every error: what the quick reading is held to."""
    reader = _Reader(collection)
    return reader.fields(document, collection.fields, "", fill), reader.errors


@lru_cache(maxsize=_MOST_COMPILED)
def quick_reader(collection: Collection) -> ReadDocument:
    """How the documents of a collection are read in which nothing is wrong; Doubt and ValueError are of others."""
    return document_reader(collection.fields, _surely_open)


@lru_cache(maxsize=_MOST_COMPILED)
def _quick_stamps(collection: Collection) -> ReadDocument:
    return document_reader(collection.fields, _surely_open, fills=False)


@lru_cache(maxsize=_MOST_COMPILED)
def _known_names(collection: Collection) -> frozenset[str]:
    return frozenset(name for name in collection.fields if not name.isdigit())


@lru_cache(maxsize=_MOST_COMPILED)
def names_with_nothing_below(collection: Collection) -> frozenset[str]:
    """Declared fields in which no other name can be unknown."""
    declared = ((name, collection.declared((name,))) for name in collection.fields)
    return frozenset(name for name, one in declared if one is not None and one.properties is None)


def _surely_open(value: Any) -> Any:
    reader = _Reader(_ANY)
    read = reader.open(value, "")
    if reader.errors:
        raise Doubt
    return read
