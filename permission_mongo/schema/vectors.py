"""Vectors: lists of as many finite numbers as their field says, stored as doubles."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

from bson.decimal128 import Decimal128

from permission_mongo.values import read_scalar

MOST_DIMENSIONS: Final = 8_192
_PLAIN: Final = frozenset({int, float})


def plain_vector(value: Any, dimensions: int | None) -> list[float] | None:
    """The numbers as doubles; None for what is not surely a vector. No step of Python for each: there are thousands."""
    if type(value) is not list or len(value) != dimensions or not _PLAIN.issuperset(map(type, value)):
        return None
    try:
        numbers = [*map(float, value)]
    except OverflowError:
        return None
    return numbers if all(map(isfinite, numbers)) else None


def read_double(value: Any) -> float:
    """One number, Extended JSON accepted; a decimal may be none that a double holds. ValueError: what was expected."""
    number = read_scalar("number", value)
    if isinstance(number, Decimal128):
        raise ValueError("a number that is no decimal")
    return float(number)
