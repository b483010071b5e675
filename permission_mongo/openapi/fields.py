"""A collection's documents, by its schema and the fields that somebody has of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from permission_mongo.documents.paths import Path
from permission_mongo.openapi.audience import Seen
from permission_mongo.openapi.words import (
    NAME,
    NULL,
    Shape,
    a_list,
    an_object,
    id_sent,
    id_shown,
    or_null,
    ref,
    sent,
    shown,
    whole,
)
from permission_mongo.schema.model import RESERVED_IDS, STRING_ID, Field
from permission_mongo.values import SCALAR_TYPES

Purpose = Literal["create", "change"]
_RAW: Final[Mapping[str, Shape]] = {
    "array": {"type": "array"},
    "object": {"type": "object"},
    "vector": a_list({"type": "number"}),
}
# A masked value may be told of each element, or stand for an object as a whole.
_MASK: Final = ref("Masked")
_MOST_VERSION: Final = 2**53
_EXACT: Final = ("string", "integer", "number", "boolean")  # types of which two values are equal as JSON says


def document(seen: Seen) -> Shape:
    """As it is answered. What is hidden in a row is absent there, so nothing but the id is certain."""
    collection = seen.collection
    properties: dict[str, Shape] = {"_id": id_shown(collection.id_type)}
    if seen.versioned:
        properties["_version"] = whole(0, description="Counts the writes of the document.")
    for name, one in collection.fields.items():
        shape = _shown(one, (name,), seen)
        if shape is not None:
            properties[name] = shape
    if seen.is_any:
        properties["_id"] = {}
    return {"type": "object", "properties": properties, "required": ["_id"]}


def _shown(one: Field, path: Path, seen: Seen) -> Shape | None:
    """None where nothing of it is shown anywhere."""
    if one.items is not None:
        inner = _shown(one.items, path, seen)
        return None if inner is None else or_null(a_list(inner))
    if one.properties:
        found = _object_shown(one.properties, path, seen)
        if found is not None and one.type == "blob":
            found["anyOf"][0]["properties"]["url"] = {"type": "string", "description": "by `_presign` alone"}
        return found
    mask = seen.mask_of(path)
    if path not in seen.raw:
        return None if mask is None else {**_masked(one), "description": f"shown as a mask ({mask})"}
    raw = _RAW.get(one.type) or shown(one.type)
    found = or_null(raw) if mask is None else {"anyOf": [raw, *_masked(one)["anyOf"]]}
    return {**found, **_noted(one, seen)}


def _masked(one: Field) -> Shape:
    return {"anyOf": [_MASK, NULL] if one.type in SCALAR_TYPES else [_MASK, a_list({}), NULL]}


def _object_shown(properties: Mapping[str, Field], path: Path, seen: Seen) -> Shape | None:
    found = {name: _shown(one, (*path, name), seen) for name, one in properties.items()}
    inside = {name: shape for name, shape in found.items() if shape is not None}
    if not inside:
        return None
    masked = any(one[: len(path)] == path for one, _ in seen.masked)
    return {"anyOf": [{"type": "object", "properties": inside}, *([_MASK] if masked else []), NULL]}


def _noted(one: Field, seen: Seen) -> Shape:
    """What a reader may want to know of a field that is shown raw."""
    found: Shape = {}
    if one.computed is not None:
        found["description"] = "computed on every read"
        found["readOnly"] = True
    elif one.ref is not None:
        found["description"] = _reference(one, seen)
    return found


def _reference(one: Field, seen: Seen) -> str:
    """What it refers to is named to those alone who have something of that collection."""
    assert one.ref is not None  # noqa: S101  (asked of references alone)
    return f"the id of one of {one.ref.collection}" if one.ref.collection in seen.named else "the id of a document"


# -- sent


def new_document(seen: Seen) -> Shape:
    """The body of a create."""
    properties, required = _to_send(seen.collection.fields, (), seen, "create")
    if seen.collection.client_ids:
        properties = {"_id": _new_id(seen), **properties}
    return _top(properties, required, seen)


def put_document(seen: Seen) -> Shape:
    """The body of a PUT: the fields to set. What is required can't be taken away, and need not be sent."""
    properties, _ = _to_send(seen.collection.fields, (), seen, "change")
    return _top(properties, [], seen, minProperties=1)


def patch_document(seen: Seen) -> Shape:
    """A JSON Merge Patch (RFC 7396)."""
    properties = _to_patch(seen.collection.fields, (), seen)
    return _top(properties, [], seen, minProperties=1, description="JSON Merge Patch (RFC 7396): null removes.")


def _new_id(seen: Seen) -> Shape:
    if seen.collection.id_type != "string":
        return id_sent(seen.collection.id_type)
    return {"type": "string", "pattern": f"^{STRING_ID.pattern}$", "not": {"enum": sorted(RESERVED_IDS)}}


def _top(properties: Mapping[str, Shape], required: list[str], seen: Seen, **more: Any) -> Shape:
    if not seen.collection.keeps_additional:
        return an_object(properties, required, **more)
    found = an_object(properties, required, **more)
    return {**found, "additionalProperties": ref("SentAny"), "propertyNames": {"pattern": NAME}}


def _to_send(
    fields: Mapping[str, Field], path: Path, seen: Seen, purpose: Purpose
) -> tuple[dict[str, Shape], list[str]]:
    properties: dict[str, Shape] = {}
    required: list[str] = []
    for name, one in fields.items():
        shape = _sent(one, (*path, name), seen, purpose)
        if shape is None:
            continue
        properties[name] = shape if one.required else or_null(shape)
        filled = one.auto or (one.default is not None and purpose == "create")
        if one.required and not filled:
            required.append(name)
    return properties, required


def _sent(one: Field, path: Path, seen: Seen, purpose: Purpose) -> Shape | None:
    """None where nothing of it may be sent."""
    if one.items is not None:
        inner = _sent(one.items, path, seen, purpose)
        return None if inner is None else a_list(inner if one.items.required else or_null(inner), **_lengths(one))
    if one.properties is not None:
        properties, required = _to_send(one.properties, path, seen, purpose)
        return an_object(properties, required) if properties or not one.properties else None
    written = seen.creatable if purpose == "create" else seen.writable
    return _value(one) if path in written else None


def to_change(one: Field, path: Path, seen: Seen) -> Shape | None:
    """A value that a field may be set to; None where it may not."""
    return _sent(one, path, seen, "change")


def _to_patch(fields: Mapping[str, Field], path: Path, seen: Seen) -> dict[str, Shape]:
    properties: dict[str, Shape] = {}
    for name, one in fields.items():
        at = (*path, name)
        shape = _patched(one, at, seen)
        if shape is not None:
            properties[name] = shape if one.required else or_null(shape)
    return properties


def _patched(one: Field, path: Path, seen: Seen) -> Shape | None:
    """Objects are patched by their leaves, an array is written as a whole."""
    if one.properties is None or one.items is not None:
        return _sent(one, path, seen, "change")
    inside = _to_patch(one.properties, path, seen)
    return an_object(inside) if inside else None


def _lengths(one: Field) -> Shape:
    bounds = {"minItems": one.min_length, "maxItems": one.max_length}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _value(one: Field) -> Shape:
    match one.type:
        case "array":
            return a_list(ref("SentAny"), **_lengths(one))
        case "object":
            # Not one of Extended JSON, whose names begin with `$`.
            return {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": ref("SentAny")}
        case "any":
            return ref("SentAny")
        case "vector":
            return a_list(ref("SentDouble"), minItems=one.dimensions, maxItems=one.dimensions)
        case _:
            return _constrained(one)


def _constrained(one: Field) -> Shape:
    """By what the schema asks of the value, as far as JSON Schema has words for it."""
    if one.enum is not None and one.type in _EXACT:
        return {"enum": list(one.enum)}
    if one.type == "string":
        return _text(one)
    if one.type in ("integer", "number") and (one.min is not None or one.max is not None):
        bounds = {"minimum": one.min, "maximum": one.max}
        return {"type": one.type, **{name: bound for name, bound in bounds.items() if bound is not None}}
    return sent(one.type)


def _text(one: Field) -> Shape:
    bounds = {"minLength": one.min_length, "maxLength": one.max_length}
    found: Shape = {**ref("SentString"), **{name: bound for name, bound in bounds.items() if bound is not None}}
    if one.pattern is not None:
        found["pattern"] = one.pattern.pattern
    if one.format is not None:
        found |= _FORMATS[one.format]()
    return found


_FORMATS: Final[Mapping[str, Callable[[], Shape]]] = {
    "email": lambda: {"format": "email"},
    "url": lambda: {"format": "uri"},
    "date": lambda: {"format": "date"},
    "time": lambda: {"pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"},
    "datetime": lambda: {"format": "date-time"},
}
