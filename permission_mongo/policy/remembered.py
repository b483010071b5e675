"""What is made of a long list of values once, and serves every expression in which the very same list stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
LONG: Final = 64  # values: what is made of fewer is as quickly made again
_MOST: Final = 256


class Remembered(Generic[T]):
    """By identity: to compare two lists costs as much as to make it. Each is held, so no other can get its identity."""

    def __init__(self, make: Callable[[tuple[Any, ...]], T]) -> None:
        self._make = make
        self._known: dict[int, tuple[tuple[Any, ...], T]] = {}

    def of(self, items: tuple[Any, ...]) -> T:
        if len(items) < LONG:
            return self._make(items)
        known = self._known.get(id(items))
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[id(items)] = items, self._make(items)
        return known[1]
