"""Places in documents, and documents without or with some of their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from permission_mongo.documents.changes import merged
from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.documents.paths import Path, canonical, leaf_paths
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


def written_over(old: Document, new: Document, may: Callable[[Path], bool], path: Path = ()) -> Document:
    """`new` in the place of `old`: what may not be written is as it was, in objects part by part.

    In the order of what is written, and behind it of `old`: the order would tell what else stood in `new`.
    """
    result: Document = {}
    written = [name for name, value in new.items() if any(map(may, _places(value, (*path, name))))]
    for name in dict.fromkeys([*_first(path), *written, *old]):
        was, becomes = old.get(name, ABSENT), new.get(name, ABSENT)
        value = becomes if are_same(was, becomes) else _written(was, becomes, may, (*path, name))
        if value is not ABSENT:
            result[name] = value
    return result


def _written(was: Any, becomes: Any, may: Callable[[Path], bool], path: Path) -> Any:
    plain = canonical(path[-1]) == path[-1:]
    if plain and may(path):
        return becomes
    # What is there and may not be written stays, of whatever shape it is.
    old, new = {} if was is ABSENT or was is None else was, _as_object(becomes, may, path)
    if plain and _is_plain_object(old) and _is_plain_object(new):
        over = written_over(old, new, may, path)
        # An object that loses its last part stays, empty: whether something hidden was left in it is not told.
        return over if over or isinstance(was, dict) else was
    return was


def _as_object(value: Any, may: Callable[[Path], bool], path: Path) -> Any:
    """What is out of sight as a whole is like absence, of whatever shape it is: what is written must not tell it."""
    if value is ABSENT or value is None:
        return {}
    is_object = isinstance(value, dict) and is_plain(value)
    return value if is_object or any(map(may, leaf_paths(value, path))) else {}


def _first(path: Path) -> tuple[str, ...]:
    """A document's id stands in front of all, where MongoDB puts it, and its version behind it."""
    return () if path else ("_id", "_version")


def _places(value: Any, path: Path) -> Iterator[Path]:
    """The value's own and those of its leaves, where a rule can tell of them."""
    if canonical(path[-1]) == path[-1:]:
        yield path
        yield from leaf_paths(value, path)


def _is_plain_object(value: Any) -> bool:
    return isinstance(value, dict) and is_plain(value)


def gone_from(stored: Document, path: Path) -> Document:
    """The document without what stands at the path, through objects; those above it are new."""
    name, *below = path
    if not below:
        return {other: value for other, value in stored.items() if other != name}
    return {**stored, name: gone_from(stored[name], tuple(below))}
