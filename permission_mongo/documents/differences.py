"""Whether two values are the same, and in which paths two documents differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.documents.paths import Path, canonical
from permission_mongo.values import CODEC

ABSENT: Final = object()
_PLAIN: Final = frozenset({str, int, bool})  # of one type, what is equal is stored alike
_APART: Final = _PLAIN | {float}  # no two of these types are stored alike


def are_alike(one: Any, other: Any) -> bool:
    """Equal JSON: true is no number, and an object's fields have no order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_alike, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def are_same(one: Any, other: Any) -> bool:
    """Equal to the last bit."""
    if one is other:
        return True
    if one is ABSENT or other is ABSENT:
        return False
    kind = type(one)
    if kind in _APART and type(other) in _APART:
        if kind is not type(other):
            return False
        if kind is not float or (one != other and other == other):  # zeros have signs, and what is no number is
            return bool(one == other)
    try:
        return encode({"v": one}, codec_options=CODEC) == encode({"v": other}, codec_options=CODEC)
    except (InvalidDocument, OverflowError):
        return False


def differing_paths(old: Any, new: Any, path: Path) -> Iterator[Path]:
    """The paths of the leaves in which two values differ, as rules read them."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from differing_paths(old.get(name, ABSENT), new.get(name, ABSENT), (*path, *canonical(name)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from differing_paths(one, other, path)
    elif not are_same(old, new):
        if old is not ABSENT and new is not ABSENT:
            yield path
        for value in (old, new):
            if value is not ABSENT:
                yield from _leaves(value, path)


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, *canonical(name)))
    else:
        yield path


def values_at(value: Any, path: Path, place: str) -> Iterator[tuple[str, Any]]:
    """What stands at a path, in every element of the arrays on the way: each value with its place."""
    if isinstance(value, list):
        for n, inner in enumerate(value):
            yield from values_at(inner, path, f"{place}.{n}")
    elif not path:
        yield place, value
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:], f"{place}.{path[0]}" if place else path[0])
