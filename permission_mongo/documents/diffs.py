"""In what two documents differ, told for a reader: paths with what stood there and what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from permission_mongo.documents.differences import are_same

Place = tuple[str | int, ...]
_MOST: Final = 10_000  # names or elements that are compared one by one


@dataclass(frozen=True, slots=True)
class Difference:
    """At a dotted path, elements by their position. `old` means nothing where it was added, `new` where removed."""

    field: str
    op: Literal["add", "remove", "change"]
    old: Any = None
    new: Any = None


def differences(old: dict[str, Any], new: dict[str, Any]) -> tuple[Difference, ...]:
    """Sorted by path, positions as numbers. Objects and arrays are compared by what is in them.

    What is added or removed whole is one difference, and so is a container that becomes another kind of value.
    """
    found = sorted(_between(old, new, ()), key=lambda one: _order(one[0]))
    return tuple(Difference(".".join(map(str, place)), *told) for place, *told in found)


def _between(old: Any, new: Any, place: Place) -> Iterator[tuple[Place, Any, Any, Any]]:
    if _are_comparable(old, new, dict):
        yield from _of_names(old, new, place)
    elif _are_comparable(old, new, list):
        yield from _of_elements(old, new, place)
    elif not _are_equal(old, new):
        yield place, "change", old, new


def _of_names(old: dict[str, Any], new: dict[str, Any], place: Place) -> Iterator[tuple[Place, Any, Any, Any]]:
    for name in {**old, **new}:
        at = (*place, name)
        if name not in new:
            yield at, "remove", old[name], None
        elif name not in old:
            yield at, "add", None, new[name]
        else:
            yield from _between(old[name], new[name], at)


def _of_elements(old: list[Any], new: list[Any], place: Place) -> Iterator[tuple[Place, Any, Any, Any]]:
    both = min(len(old), len(new))
    for n in range(both):
        yield from _between(old[n], new[n], (*place, n))
    for n in range(both, len(old)):
        yield (*place, n), "remove", old[n], None
    for n in range(both, len(new)):
        yield (*place, n), "add", None, new[n]


def _are_comparable(old: Any, new: Any, kind: type) -> bool:
    return isinstance(old, kind) and isinstance(new, kind) and max(len(old), len(new)) <= _MOST  # type: ignore[arg-type]


def _are_equal(old: Any, new: Any) -> bool:
    """Equal to the last bit, but for the width of an integer, which no answer shows."""
    if type(old) is not bool and type(new) is not bool and isinstance(old, int) and isinstance(new, int):
        return old == new
    return are_same(old, new)


def _order(place: Place) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(part, str), part if isinstance(part, int) else 0, str(part)) for part in place)
