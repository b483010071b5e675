"""A document to create, as an example: what is required, and no word that the schema does not have."""

from __future__ import annotations

from typing import Any, Final

from permission_mongo.openapi.audience import Seen
from permission_mongo.schema.formats import has_format
from permission_mongo.schema.model import Field

_BY_TYPE: Final = {
    "integer": 1,
    "number": 1,
    "boolean": True,
    "date": "2026-01-31T12:00:00Z",
    "objectId": "65f000000000000000000000",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "decimal": "12.50",
    "any": "text",
    "array": [],
    "object": {},
}
_BY_FORMAT: Final = {
    "email": "ann@example.com",
    "url": "https://example.com/",
    "date": "2026-01-31",
    "time": "12:00",
    "datetime": "2026-01-31T12:00:00Z",
}
_TEXT: Final = "text"
_NONE: Final = object()
_FEW: Final = 8


def example_of(seen: Seen) -> Any:
    """None where some required value can't be made up."""
    found: dict[str, Any] = {}
    for name, one in seen.collection.fields.items():
        if not one.required or one.auto or one.default is not None:
            continue
        value = _value(one)
        if value is _NONE or (name,) not in seen.creatable:
            return None
        found[name] = value
    return found or None


def _value(one: Field) -> Any:
    """One that the schema takes for certain, or `_NONE`."""
    if one.enum:
        return one.enum[0] if isinstance(one.enum[0], str | int | float) else _NONE
    if one.properties or one.ref is not None or one.min_length or one.pattern is not None:
        return _NONE
    if one.type == "vector":  # a long one explains nothing
        return [0.5] * (one.dimensions or 0) if (one.dimensions or 0) <= _FEW else _NONE
    if one.type != "string":
        return _within(one, _BY_TYPE[one.type])
    text = _BY_FORMAT[one.format] if one.format else _TEXT
    fits = one.format is None or has_format(text, one.format)
    return text if fits and (one.max_length is None or len(text) <= one.max_length) else _NONE


def _within(one: Field, value: Any) -> Any:
    if one.type not in ("integer", "number"):
        return value if one.min is None and one.max is None else _NONE
    least = value if one.min is None else max(value, one.min)
    return least if one.max is None or least <= one.max else one.max
