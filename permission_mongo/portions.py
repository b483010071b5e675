"""The rows of a large answer, as bytes until they are gone through: then one portion after the other is objects.

A page of 14 MB that is 10,000 rows is ten times as much memory when all of it is read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")
_LEAST: Final = 2**18  # bytes of a portion, but for the last


class Portions(Generic[T]):
    """`count` rows, made anew by `read` each time that they are gone through.

    `portions` are BSON documents one behind the other, several rows each.
    """

    __slots__ = ("_count", "_portions", "_read")

    def __init__(self, portions: Sequence[bytes], count: int, read: Callable[[bytes], Sequence[T]]) -> None:
        self._portions = portions
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for portion in self.each():
            yield from portion

    def each(self) -> Iterator[Sequence[T]]:
        for portion in self._portions:
            yield self._read(portion)

    def last(self) -> T:
        return self._read(self._portions[-1])[-1]

    def through(self, change: Callable[[Sequence[T]], Sequence[U]]) -> Portions[U]:
        """The same rows changed, portion by portion."""
        read = self._read
        return Portions(self._portions, self._count, lambda portion: change(read(portion)))


def last_of(rows: Sequence[T] | Portions[T]) -> T:
    """IndexError where there is none."""
    return rows.last() if isinstance(rows, Portions) else rows[-1]


def in_portions(rows: Iterable[bytes], read: Callable[[bytes], Sequence[T]]) -> Portions[T]:
    """BSON documents, put together to portions that `read` takes apart."""
    portions: list[bytes] = []
    gathered: list[bytes] = []
    size = count = 0
    for row in rows:
        gathered.append(row)
        size, count = size + len(row), count + 1
        if size >= _LEAST:
            portions.append(b"".join(gathered))
            gathered, size = [], 0
    if gathered:
        portions.append(b"".join(gathered))
    return Portions(portions, count, read)
