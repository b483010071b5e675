"""Places in documents, and documents without or with some of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from permission_mongo.documents.changes import merged
from permission_mongo.documents.differences import ABSENT
from permission_mongo.documents.paths import Path, canonical
from permission_mongo.values import Document


def is_within(place: str, places: AbstractSet[str]) -> bool:
    """Whether a dotted place is one of these, or below one."""
    parts = place.split(".")
    return any(".".join(parts[:n]) in places for n in range(1, len(parts) + 1))


def is_plain(value: Mapping[str, Any]) -> bool:
    """Whether rules can tell of every field: none is called like a position or holds a dot."""
    return all(canonical(name) == (name,) for name in value)


def only(document: Document, names: Iterable[str]) -> Document:
    return {name: document[name] for name in names if name in document}


def value_at(stored: Any, parts: list[str]) -> Any:
    value = stored
    for part in parts:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return ABSENT
    return value


def without(stored: Document, patch: Mapping[str, Any]) -> Document:
    return {name: value for name, value in stored.items() if patch.get(name, ABSENT) is not None}


def merged_into(stored: Document, patch: Mapping[str, Any]) -> Document:
    touched = {name: stored[name] for name in patch if name in stored}
    return merged(touched, patch)


def gone_from(stored: Document, path: Path) -> Document:
    """The document without what stands at the path, through objects; those above it are new."""
    name, *below = path
    if not below:
        return {other: value for other, value in stored.items() if other != name}
    return {**stored, name: gone_from(stored[name], tuple(below))}
