"""The fields of a collection in schema.yml."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from permission_mongo.config.section import Section, plain
from permission_mongo.config.yaml import Map, Scalar, Sequence
from permission_mongo.schema.defaults import AUTO_TYPES, FUNCTIONS, STAMPS, Fill
from permission_mongo.schema.model import (
    FIELD_TYPES,
    FORMATS,
    ID_TYPES,
    OF_BLOBS,
    RESERVED_FIELDS,
    Collection,
    Field,
    Ref,
)
from permission_mongo.schema.validate import read_document, unfit_names
from permission_mongo.schema.vectors import MOST_DIMENSIONS
from permission_mongo.values import SCALAR_TYPES, read_scalar

_TEXTUAL = ("string",)
_NUMERIC = ("number", "integer", "decimal")
_ARRAYS = ("array",)
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")
_FILL = Fill(datetime(1970, 1, 1), "", lambda: UUID(int=0))


def read_fields(section: Section, *, top: bool = True) -> dict[str, Field]:
    """The fields by name. What a computed field computes is read later, when all fields are known."""
    fields: dict[str, Field] = {}
    for name, one in section.sections():
        if name in RESERVED_FIELDS or not name or "." in name or name.startswith("$") or "\x00" in name:
            reason = "is the gateway's own" if name in RESERVED_FIELDS else "can't hold '.', begin with '$' or be empty"
            one.findings.append(one.node.mark.finding(f"the field name '{name}' {reason}"))
        fields[name] = _computed(name, one) if top and one.has("computed") else _field(name, one, top=top)
    return fields


def _kind(name: str, section: Section) -> str:
    node = section.raw("type")
    if node is None:
        section.findings.append(section.node.mark.finding(f"'{name}' needs a type: {', '.join(FIELD_TYPES)}"))
    return section.choice("type", "any", FIELD_TYPES)


def _computed(name: str, section: Section) -> Field:
    """A computed field has a type and what it computes; no constraint speaks of it."""
    kind = _kind(name, section)
    if kind not in SCALAR_TYPES:
        section.wrong("type", f"a computed field is of type {', '.join(SCALAR_TYPES)}")
    section.done(["computed"])
    return Field(name, kind)


def _field(name: str, section: Section, *, top: bool = False) -> Field:
    kind = _kind(name, section)
    if kind == "blob":
        return _blob(name, section, top=top)
    if section.has("computed"):
        section.wrong("computed", "only a field of the document itself can be computed, not one inside another")
    items = section.section("items") if section.has("items") else None
    properties = section.section("properties") if section.has("properties") else None
    field = Field(
        name,
        kind,
        section.boolean("required", False),
        _default(section, kind),
        section.boolean("immutable", False),
        section.boolean("auto", False),
        section.boolean("auto_update", False),
        section.optional_integer("min_length"),
        section.optional_integer("max_length"),
        _pattern(section),
        section.choice("format", FORMATS[0], FORMATS) if section.has("format") else None,
        section.optional_number("min"),
        section.optional_number("max"),
        _enum(section, kind),
        None if items is None else _items(name, items),
        None if properties is None else read_fields(properties, top=False),
        _ref(section),
        dimensions=_dimensions(name, section, kind),
    )
    section.done(["format", "items", "properties", "computed"])
    _check_fit(section, kind)
    _check_auto(section, field, top=top)
    return _with_default(section, field)


def _dimensions(name: str, section: Section, kind: str) -> int | None:
    if kind != "vector":
        return section.optional_integer("dimensions")  # refused with the other constraints that fit no such type
    found = section.optional_integer("dimensions")
    if found is None:
        section.findings.append(section.node.mark.finding(f"'{name}' needs its 'dimensions': how many numbers it has"))
    elif not 1 <= found <= MOST_DIMENSIONS:
        section.wrong("dimensions", f"a vector has 1 to {MOST_DIMENSIONS} dimensions")
    return found


def _blob(name: str, section: Section, *, top: bool) -> Field:
    """A blob is put by a route of its own, so nothing else that a field may say could ever hold of it."""
    if not top:
        section.wrong("type", "only a field of the document itself can be a blob, not one inside another")
    if name in STAMPS:
        section.wrong("type", f"'{name}' is stamped by the gateway, and so can't be a blob")
    most = section.bytes("max_bytes", 0)
    if section.has("max_bytes") and most == 0:
        section.wrong("max_bytes", "'max_bytes' is more than nothing")
    types = [(kind.lower(), mark) for kind, mark in section.texts("content_types")]
    for kind, mark in types:
        if not _CONTENT_TYPE.fullmatch(kind):
            section.findings.append(mark.finding(f"'{kind}' is no content type such as image/png or image/*"))
    section.done()
    return Field(
        name, "blob", properties=OF_BLOBS, max_bytes=most or None, content_types=tuple(kind for kind, _ in types)
    )


def _items(name: str, section: Section) -> Field:
    field = _field(f"{name}[]", section)
    if field.default is not None:
        section.wrong("default", "an item of an array is never absent, and so has no 'default'")
    return field


def _ref(section: Section) -> Ref | None:
    """`ref: users`, or `ref: {collection: users, existence: tenant}`."""
    node = section.raw("ref")
    if not isinstance(node, Map):
        name = section.optional_text("ref")
        return None if name is None else Ref(name)
    inside = section.section("ref")
    inside.unavailable("lock")
    name = inside.optional_text("collection")
    if name is None:
        inside.findings.append(node.mark.finding("a reference names its 'collection'"))
    widely = inside.choice("existence", "readable", ["readable", "tenant"]) == "tenant"
    inside.done()
    return None if name is None else Ref(name, widely)


def _with_default(section: Section, field: Field) -> Field:
    """The field with its default as BSON. One that breaks the field would refuse every document that leaves it out."""
    if field.default is None or field.default in FUNCTIONS:
        _check_function(section, field)
        return field
    sent, whole = {field.name: field.default}, Collection("any", {field.name: field})
    read, errors = read_document(sent, whole, _FILL)
    for error in unfit_names(sent, whole) or errors:
        section.wrong("default", f"the default {field.default!r} breaks the field: {error.message}")
    return replace(field, default=read[field.name])


def _check_function(section: Section, field: Field) -> None:
    kinds = {"now()": ("date", "string"), "uuid()": ("uuid", "string"), "user.id": ("string", "objectId", "uuid")}
    if field.default is not None and field.type not in kinds[field.default]:
        section.wrong("default", f"'{field.default}' makes a value of type {' or '.join(kinds[field.default])}")


def check_id(section: Section) -> None:
    """What `fields._id` may say: its type, and what is true of every id."""
    for key, mark in section.node.keys.items():
        if key not in ("type", "auto", "required", "immutable"):
            section.findings.append(mark.finding(f"'{key}' says nothing of an '_id'; ids are of a type alone"))


def _check_auto(section: Section, field: Field, *, top: bool) -> None:
    for key, kinds in (("auto", AUTO_TYPES), ("auto_update", ("date",))):
        if not getattr(field, key) or (top and field.name in ("_id", *STAMPS)):
            continue
        if field.type not in SCALAR_TYPES:
            section.wrong(key, f"'{key}' makes no {field.type}")
        elif not top:
            section.wrong(key, f"'{key}' is for fields of the document itself, not for one inside another")
        elif field.type not in kinds and field.default is None:
            section.wrong(
                key, f"'{key}' makes values of type {', '.join(kinds)}; give another a 'default' to be made from"
            )


def _check_fit(section: Section, kind: str) -> None:
    """A constraint that the type can't meet would silently hold nothing."""
    fits = {
        "min_length": (*_TEXTUAL, *_ARRAYS),
        "max_length": (*_TEXTUAL, *_ARRAYS),
        "pattern": _TEXTUAL,
        "format": _TEXTUAL,
        "min": _NUMERIC,
        "max": _NUMERIC,
        "items": _ARRAYS,
        "properties": ("object",),
        "ref": ID_TYPES,
        "enum": SCALAR_TYPES,
        "dimensions": ("vector",),
    }
    for key, kinds in fits.items():
        if section.has(key) and kind not in kinds:
            section.wrong(key, f"'{key}' is for {', '.join(kinds)}; this field is of type {kind}")
    for least, most, read in (
        ("min_length", "max_length", section.optional_integer),
        ("min", "max", section.optional_number),
    ):
        lower, upper = read(least), read(most)
        if lower is not None and upper is not None and lower > upper:
            section.wrong(most, f"'{most}' is below '{least}': no value could be both")


def _pattern(section: Section) -> re.Pattern[str] | None:
    text = section.optional_text("pattern")
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        section.wrong("pattern", f"not a regular expression: {error}")
        return None


def _default(section: Section, kind: str) -> Any:
    node = section.raw("default")
    if not isinstance(node, Scalar) or node.value in FUNCTIONS:
        return None if node is None else plain(node)
    return _typed(section, node, kind)


def _enum(section: Section, kind: str) -> tuple[Any, ...] | None:
    node = section.raw("enum")
    if node is None:
        return None
    if not isinstance(node, Sequence) or not node.items:
        section.wrong("enum", "'enum' expects a list of values")
        return None
    return tuple(_typed(section, item, kind) for item in node.items if isinstance(item, Scalar))


def _typed(section: Section, node: Scalar | Map, kind: str) -> Any:
    try:
        return read_scalar(kind, plain(node)) if kind in SCALAR_TYPES else plain(node)
    except ValueError as error:
        section.findings.append(node.mark.finding(f"expected {error}; got {plain(node)!r}"))
        return None
