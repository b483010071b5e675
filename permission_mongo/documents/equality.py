"""Many values told apart from many, as MongoDB does it, by one look-up each.

Arrays of a document and operands of a request may hold a million values: to compare each with each would take hours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final
from uuid import UUID

from bson.dbref import DBRef
from bson.decimal128 import create_decimal128_context

from permission_mongo.documents.numbers import are_equal, rank, since_epoch
from permission_mongo.values import decimal_of

_EXACT: Final = create_decimal128_context()  # 34 digits, as many as any number has that is compared as a decimal


class Values:
    """Values of which none is equal to another to MongoDB."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._alike: dict[Hashable, list[Any]] = {}
        for value in values:
            self.add(value)

    def has(self, value: Any) -> bool:
        return any(are_equal(value, known) for known in self._alike.get(_key(value), ()))

    def add(self, value: Any) -> bool:
        """Whether it was none of them before."""
        alike = self._alike.setdefault(_key(value), [])
        if any(are_equal(value, known) for known in alike):
            return False
        alike.append(value)
        return True


def _key(value: Any) -> Hashable:
    """Equal values have the same; others only where the type is one that requests can't send."""
    kind = rank(value)
    match kind:
        case 2:
            number = decimal_of(value)
            # As text: hashes of numbers are no secret, and many different ones with the same can be chosen.
            return kind, None if number is None else str(number.normalize(_EXACT)) if number else "0"
        case 4:
            fields = value.as_doc() if isinstance(value, DBRef) else value
            return kind, tuple((name, _key(inner)) for name, inner in fields.items())
        case 5:
            return kind, tuple(map(_key, value))
        case 6:
            return kind, value.bytes if isinstance(value, UUID) else bytes(value)
        case 9:
            return kind, str(since_epoch(value))
        case 3 | 7 | 8:
            return kind, str(value)
        case _:
            return kind, None
