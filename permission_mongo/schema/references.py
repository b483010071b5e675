"""Where a document refers to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from permission_mongo.schema.model import Collection, Field, Ref
from permission_mongo.values import Document, DocumentId


def references_in(document: Document, collection: Collection) -> Iterator[tuple[str, Ref, DocumentId]]:
    """Each reference of a typed document: its dotted place with array positions, what it refers to, the id."""
    for name, one in _referring(collection):
        if name in document:
            yield from _in_value(document[name], one, name)


@lru_cache(maxsize=1024)
def refs_of(collection: Collection) -> tuple[Ref, ...]:
    """What documents of the collection may refer to, each once."""
    return tuple(dict.fromkeys(ref for _, one in _referring(collection) for ref in _refs_below(one)))


def _refs_below(one: Field) -> Iterator[Ref]:
    if one.ref is not None:
        yield one.ref
    for field in [*(one.properties or {}).values(), *([one.items] if one.items is not None else [])]:
        yield from _refs_below(field)


@lru_cache(maxsize=1024)
def _referring(collection: Collection) -> tuple[tuple[str, Field], ...]:
    return tuple((name, one) for name, one in collection.fields.items() if _refers(one))


def _refers(one: Field) -> bool:
    inner = [*(one.properties or {}).values(), *([one.items] if one.items is not None else [])]
    return one.ref is not None or any(_refers(field) for field in inner)


def _in_value(value: Any, one: Field, place: str) -> Iterator[tuple[str, Ref, DocumentId]]:
    if value is None:
        return
    if one.ref is not None:
        yield place, one.ref, value
    elif one.items is not None and isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _in_value(inner, one.items, f"{place}.{n}")
    elif one.properties is not None and isinstance(value, Mapping):
        for name, field in one.properties.items():
            yield from _in_value(value.get(name), field, f"{place}.{name}")
