"""How a batch is to go, and aligning what was asked with what happened. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bson import encode

from permission_mongo.values import CODEC

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Batch:
    """What every batch may ask for. `id` is the one it will have if it writes.

    `first`: of what a filter matches the first document alone, in the order of ids.
    """

    id: str
    atomic: bool = False
    dry_run: bool = False
    max_affected: int | None = None
    results: bool = False
    reason: str | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """The last id of a chunk: the next one begins behind it. `id` is any value that MongoDB takes for one."""

    id: Any

    def is_at(self, other: Any) -> bool:
        """Whether it is this very id, by its bytes: 1 is not True, and NaN is itself."""
        return encode({"_id": other}, codec_options=CODEC) == encode({"_id": self.id}, codec_options=CODEC)


def once(items: Iterable[T]) -> tuple[T, ...]:
    """Each item once, at its first place."""
    return tuple(dict.fromkeys(items))


def without(items: Iterable[T], taken: Iterable[T]) -> tuple[T, ...]:
    """The items that are not taken, in their order."""
    gone = set(taken)
    return tuple(item for item in items if item not in gone) if gone else tuple(items)


def quarters(items: Sequence[T]) -> list[Sequence[T]]:
    """Up to four parts of nearly equal length, in order: what a contended batch is split into."""
    size = max(1, -(-len(items) // 4))
    return [items[n : n + size] for n in range(0, len(items), size)]
