"""Numbers as MongoDB adds, multiplies and orders them, and the order of values of any type (manual, BSON types).

The kind of a result is the wider of the two: 32 bits, 64 bits, double, decimal. 32 bits grow to 64; 64 do not grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final
from uuid import UUID

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from permission_mongo.values import INT64_MAX, decimal_of

Number = int | float | Decimal128
_EPOCH: Final = datetime(1970, 1, 1)
_OTHER: Final = 12


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def added(left: Number, right: Number) -> Number:
    """`$inc`. OverflowError where 64 bits do not hold the sum."""
    return _combined(left, right, lambda a, b: a + b, "add")


def multiplied(left: Number, right: Number) -> Number:
    """`$mul`. OverflowError where 64 bits do not hold the product."""
    return _combined(left, right, lambda a, b: a * b, "multiply")


def _combined(left: Number, right: Number, operation: Callable[[Any, Any], Any], name: str) -> Number:
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        context = create_decimal128_context()
        context.clear_traps()
        return Decimal128(getattr(context, name)(_widened(left), _widened(right)))
    if isinstance(left, float) or isinstance(right, float):
        return float(operation(float(left), float(right)))
    result = operation(int(left), int(right))
    if not -INT64_MAX - 1 <= result <= INT64_MAX:
        raise OverflowError("more than 64 bits")
    narrow = _is_narrow(left) and _is_narrow(right) and -(2**31) <= result < 2**31
    return result if narrow else Int64(result)


def _is_narrow(number: Number) -> bool:
    """Whether BSON keeps the whole number in 32 bits."""
    return type(number) is int and -(2**31) <= number < 2**31


def _widened(number: Number) -> Decimal:
    """A double has 15 digits as a decimal, zeros included: 0.5 is 0.500000000000000."""
    if isinstance(number, Decimal128):
        return number.to_decimal()
    if not isinstance(number, float) or not math.isfinite(number) or number == 0:
        return Decimal(number)
    exact = Decimal(number)
    wide = Context(prec=15, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
    rounded = wide.plus(exact)
    return rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 14), context=wide)


_RANKS: Final[tuple[tuple[tuple[type, ...], int], ...]] = (
    ((MinKey,), -1),
    ((bool,), 8),  # before int, which it is to Python
    ((int, float, Decimal128), 2),
    ((Code,), 13),  # before str, which it is to Python
    ((str,), 3),
    ((dict, DBRef), 4),
    ((list,), 5),
    ((bytes, Binary, UUID), 6),
    ((ObjectId,), 7),
    ((datetime, DatetimeMS), 9),
    ((Timestamp,), 10),
    ((Regex,), 11),
    ((MaxKey,), 127),
)


def rank(value: Any) -> int:
    """Where values of this type stand among those of others."""
    if value is None:
        return 1
    return next((place for kinds, place in _RANKS if isinstance(value, kinds)), _OTHER)


def is_below(left: Any, right: Any) -> bool:
    """Whether `left` sorts before `right`, a scalar: by type, then by value; NaN before every number."""
    one, other = rank(left), rank(right)
    if one != other:
        return one < other
    match one:
        case 2:
            return _number_below(left, right)
        case 6:
            return _bytes_of(left) < _bytes_of(right)
        case 9:
            return since_epoch(left) < since_epoch(right)
        case 1:
            return False
        case _:
            return bool(left < right)


def _number_below(left: Number, right: Number) -> bool:
    if _is_nan(left) or _is_nan(right):
        return _is_nan(left) and not _is_nan(right)
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        return bool(decimal_of(left) < decimal_of(right))  # type: ignore[operator]
    return left < right


def _is_nan(number: Number) -> bool:
    return number.to_decimal().is_nan() if isinstance(number, Decimal128) else math.isnan(number)


def _bytes_of(value: bytes | UUID) -> tuple[int, int, bytes]:
    if isinstance(value, UUID):
        return 16, 4, value.bytes
    return len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value)


def since_epoch(moment: datetime | DatetimeMS) -> int:
    """Milliseconds."""
    return int(moment) if isinstance(moment, DatetimeMS) else (moment - _EPOCH) // timedelta(milliseconds=1)


def are_equal(left: Any, right: Any) -> bool:
    """Equal to MongoDB: numbers across their types, NaN to itself, objects with their fields in the same order."""
    one = rank(left)
    if one != rank(right):
        return False
    match one:
        case 1:
            return True
        case 2:
            return not _number_below(left, right) and not _number_below(right, left)
        case 4:
            return _objects_equal(_fields_of(left), _fields_of(right))
        case 5:
            return len(left) == len(right) and all(map(are_equal, left, right))
        case 6:
            return _bytes_of(left) == _bytes_of(right)
        case 9:
            return since_epoch(left) == since_epoch(right)
        case _:
            return bool(left == right)


def _fields_of(value: Any) -> list[tuple[str, Any]]:
    return list((value.as_doc() if isinstance(value, DBRef) else value).items())


def _objects_equal(left: list[tuple[str, Any]], right: list[tuple[str, Any]]) -> bool:
    return len(left) == len(right) and all(
        name == other and are_equal(value, another) for (name, value), (other, another) in zip(left, right, strict=True)
    )
