"""Dotted paths as the policy sees them: array positions are no part of a path.

`contacts.0.email`, `contacts.$[].email` and `contacts.email` are one path. Paths compare by prefix both ways.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Path = tuple[str, ...]

ID: Path = ("_id",)
VERSION: Path = ("_version",)
MADE = "_made"
ALWAYS_SHOWN: frozenset[Path] = frozenset({ID, VERSION})


@lru_cache(maxsize=16_384)
def canonical(dotted: str) -> Path:
    """The path without array positions, numeric keys and positional operators."""
    return tuple(part for part in dotted.split(".") if not is_position(part) and not part.startswith("$"))


def is_position(part: str) -> bool:
    """Whether a part of a path may mean a place in an array; in an object it is a name like any other."""
    return part.isascii() and part.isdigit()


def asked_path(dotted: str) -> Path:
    """What a caller must be able to read to ask about the path: of one with positions, all that holds them.

    `lines.0.sku` may mean an element of an array or a field called `0`, and no rule tells of that field.
    """
    parts = dotted.split(".")
    position = next((n for n, part in enumerate(parts) if is_position(part)), len(parts))
    if position == 0:
        return ()  # a name at the top that no rule can tell of
    return canonical(".".join(parts[:position])) if position < len(parts) else canonical(dotted)


def is_prefix(shorter: Path, longer: Path) -> bool:
    """Whether `shorter` is `longer` or an ancestor of it."""
    return longer[: len(shorter)] == shorter


def any_above(path: Path, others: Iterable[Path]) -> bool:
    """Whether one of `others` is the path or an ancestor of it."""
    return any(is_prefix(other, path) for other in others)


def any_below(path: Path, others: Iterable[Path]) -> bool:
    """Whether one of `others` is a descendant of the path."""
    return any(len(other) > len(path) and is_prefix(path, other) for other in others)


def touches(path: Path, others: Iterable[Path]) -> bool:
    """Whether one of `others` is the path, above it or below it."""
    return any(is_prefix(other, path) or is_prefix(path, other) for other in others)


class Touching:
    """`touches` for many paths: it costs the depth of the path that is asked about, whatever their number."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = frozenset(paths)
        self._above = frozenset(path[:n] for path in self._paths for n in range(len(path)))

    def __contains__(self, path: Path) -> bool:
        return path in self._above or any(path[:n] in self._paths for n in range(len(path) + 1))


def leaf_paths(value: object, prefix: Path = ()) -> Iterable[Path]:
    """The paths of a document's leaves; an empty object or array is a leaf.

    Below a name that looks like a position there are two: as it is written, and as rules read it.
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if not key.startswith("$"):
                yield from leaf_paths(inner, (*prefix, key))
            if canonical(key) != (key,):
                yield from leaf_paths(inner, (*prefix, *canonical(key)))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaf_paths(inner, prefix)
    else:
        yield prefix
