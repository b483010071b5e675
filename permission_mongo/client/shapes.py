"""A JSON value of an answer, looked at with suspicion: whoever is at the address sent it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from permission_mongo.client.json import Document, read_moment

T = TypeVar("T")


class Mismatch(Exception):
    """The body has another shape; the text says where."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON value, and where it stands in the answer."""

    value: Any
    place: str = "the body"

    def at(self, key: str) -> Shape:
        if not isinstance(self.value, dict) or key not in self.value:
            raise Mismatch(f"{self.place} has no {key!r}")
        return Shape(self.value[key], key)

    def maybe(self, key: str) -> Shape | None:
        """None where it is absent or null."""
        if not isinstance(self.value, dict):
            raise Mismatch(f"{self.place} is no object")
        found = self.value.get(key)
        return None if found is None else Shape(found, key)

    def each(self, read: Callable[[Shape], T]) -> tuple[T, ...]:
        if not isinstance(self.value, list):
            raise Mismatch(f"{self.place} is no list")
        return tuple([read(Shape(one, f"{self.place}[]")) for one in self.value])

    @property
    def text(self) -> str:
        if not isinstance(self.value, str):
            raise Mismatch(f"{self.place} is no text")
        return self.value

    @property
    def number(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise Mismatch(f"{self.place} is no whole number")
        return self.value

    @property
    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise Mismatch(f"{self.place} is neither true nor false")
        return self.value

    @property
    def document(self) -> Document:
        if not isinstance(self.value, dict):
            raise Mismatch(f"{self.place} is no object")
        return self.value

    @property
    def numbers(self) -> dict[str, int]:
        """Of an object; its keys are anybody's words, and are not told."""
        return {name: Shape(value, f"{self.place}[]").number for name, value in self.document.items()}

    @property
    def moment(self) -> datetime:
        try:
            return read_moment(self.text)
        except ValueError:
            raise Mismatch(f"{self.place} is no moment") from None

    def maybe_text(self, key: str) -> str | None:
        found = self.maybe(key)
        return None if found is None else found.text

    def number_or(self, key: str, other: int) -> int:
        found = self.maybe(key)
        return other if found is None else found.number


def text_of(shape: Shape) -> str:
    """Ids of all three types are texts."""
    return shape.text
