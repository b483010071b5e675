"""Update operators, by the fields that somebody may write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from permission_mongo.documents.changes import OPERATORS
from permission_mongo.openapi.audience import Seen
from permission_mongo.openapi.fields import to_change
from permission_mongo.openapi.words import Shape, an_object, ref, text
from permission_mongo.schema.model import Field

_NUMERIC: Final = ("integer", "number", "decimal", "any")
_PATH: Final = r"^[^$.\x00][^.\x00]*(\.[^$.\x00][^.\x00]*)*$"
_LONGEST: Final = 512
_DATE: Final[Shape] = {"anyOf": [{"const": True}, an_object({"$type": {"const": "date"}}, ["$type"])]}
_GONE: Final[Shape] = {"enum": ["", True]}
_ANY: Final = Field("any", "any")  # stands for what lies below an object, an array or an open field
_SINGLE: Final[Shape] = {"anyOf": [{"type": ["boolean", "number"]}, ref("SentString"), ref("Extended")]}
_ABOUT: Final = "Update operators, as MongoDB means them; no path twice, and none above another."


def operators(seen: Seen) -> Shape:
    """Of each operator the fields that it fits; below an object, an array or an open field paths are dotted."""
    fields = {name: (one, shape) for name, one, shape in _written(seen)}
    opened = [name for name, (one, _) in fields.items() if _opens(one)]
    found: dict[str, Shape] = {}
    for operator in OPERATORS:
        fits = _OPERANDS[operator]
        takes = {name: made for name, (one, shape) in fields.items() if (made := fits(one, shape)) is not None}
        if takes or seen.collection.keeps_additional:
            found[operator] = _paths(takes, opened, fits(_ANY, ref("SentAny")) or {}, seen)
    return an_object(found, minProperties=1, description=_ABOUT)


def _written(seen: Seen) -> Iterator[tuple[str, Field, Shape]]:
    for name, one in seen.collection.fields.items():
        shape = to_change(one, (name,), seen)
        if shape is not None:
            yield name, one, shape


def _opens(one: Field) -> bool:
    return one.type in ("object", "array", "any")


def _paths(takes: Mapping[str, Shape], opened: list[str], below: Shape, seen: Seen) -> Shape:
    found = an_object(takes, minProperties=1)
    if opened:
        names = "|".join(map(re.escape, opened))
        found["patternProperties"] = {rf"^({names})(\.[^$.\x00][^.\x00]*)+$": below}
    if seen.collection.keeps_additional:
        return {**found, "additionalProperties": below, "propertyNames": {"pattern": _PATH, "maxLength": _LONGEST}}
    return found


def _set(one: Field, shape: Shape) -> Shape | None:
    return shape if one.required else {"anyOf": [shape, {"type": "null"}]}


def _unset(one: Field, shape: Shape) -> Shape | None:
    return None if one.required else _GONE


def _counted(one: Field, shape: Shape) -> Shape | None:
    return ref("SentDecimal" if one.type == "decimal" else "SentNumber") if one.type in _NUMERIC else None


def _compared(one: Field, shape: Shape) -> Shape | None:
    return _SINGLE if one.type == "any" else None if _opens(one) or one.type == "vector" else shape


def _dated(one: Field, shape: Shape) -> Shape | None:
    return _DATE if one.type in ("date", "any") else None


def _added(one: Field, shape: Shape) -> Shape | None:
    item = _item(one, shape)
    return (
        None if item is None else {"anyOf": [item, an_object({"$each": {"type": "array", "items": item}}, ["$each"])]}
    )


def _pulled(one: Field, shape: Shape) -> Shape | None:
    item = _item(one, shape)
    if item is None:
        return None
    single = {"allOf": [item], "not": {"type": ["object", "array"]}}
    return {"anyOf": [single, an_object({"$in": {"type": "array", "items": item}}, ["$in"])]}


def _item(one: Field, shape: Shape) -> Shape | None:
    return shape.get("items") if one.type == "array" else shape if one.type == "any" else None


def _renamed(one: Field, shape: Shape) -> Shape | None:
    return None if one.required else text("The new path.", pattern=_PATH, maxLength=_LONGEST)


_OPERANDS: Final[Mapping[str, Callable[[Field, Shape], Shape | None]]] = {
    "$set": _set,
    "$unset": _unset,
    "$inc": _counted,
    "$mul": _counted,
    "$min": _compared,
    "$max": _compared,
    "$push": _added,
    "$addToSet": _added,
    "$pull": _pulled,
    "$rename": _renamed,
    "$currentDate": _dated,
}
