"""How two scalars compare: MongoDB's match semantics within a type, three-valued across types."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from permission_mongo.policy.nodes import Comparator, Truth
from permission_mongo.values import INT64_MAX, decimal_of

ORDERED: Final = frozenset({"number", "string", "date", "oid"})
GROUP_OF_KIND: Final = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "decimal": "number",
    "boolean": "bool",
    "date": "date",
    "objectId": "oid",
    "uuid": "uuid",
}
MAX_TEXT: Final = 4096
_REPLACED: Final = "\ufffd"
_EPOCH: Final = datetime(1970, 1, 1)
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OF_TEXTS: Final[dict[str, Callable[[Any, Any], bool]]] = {**_ORDER, "==": operator.eq, "!=": operator.ne}


def group_of(value: Any) -> str:
    """The comparison group of a scalar as BSON decodes it: null, bool, number, string, date, oid, uuid or other."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float() | Decimal128():
            return "number"
        case datetime() | DatetimeMS():
            return "date"
        case ObjectId():
            return "oid"
        case UUID():
            return "uuid"
        case _:
            # Code is a str to Python and a type of its own to MongoDB.
            return "string" if type(value) is str else "other"


def compare_values(op: Comparator, left: Any, right: Any) -> Truth:
    """`left op right`. Equality across types is False; order across types or with NaN is unknown."""
    if type(left) is str and type(right) is str:
        # Where stored text was no UTF-8 this sign stands for bytes that sort elsewhere.
        return None if op in _ORDER and _REPLACED in left else _OF_TEXTS[op](left, right)
    group = group_of(left)
    alike = group == group_of(right) and group != "other"
    if op == "==":
        return alike and _equal(group, left, right)
    if op == "!=":
        return not (alike and _equal(group, left, right))
    if not alike or group not in ORDERED:
        return None
    left, right = _ordered(group, left, right)
    return None if left is None or right is None else _ORDER[op](left, right)


def _equal(group: str, left: Any, right: Any) -> bool:
    left, right = _ordered(group, left, right)
    return bool(left == right) and (group == "null" or left is not None)


def _ordered(group: str, left: Any, right: Any) -> tuple[Any, Any]:
    if group == "number":
        if isinstance(left, Decimal128) or isinstance(right, Decimal128):
            return decimal_of(left), decimal_of(right)
        return _unless_nan(left), _unless_nan(right)
    if group == "date":
        return _since_epoch(left), _since_epoch(right)
    return left, right


def _unless_nan(number: int | float) -> int | float | None:
    return None if isinstance(number, float) and math.isnan(number) else number


def _since_epoch(moment: datetime | DatetimeMS) -> int:
    return int(moment) if isinstance(moment, DatetimeMS) else (moment - _EPOCH) // timedelta(milliseconds=1)


def is_safe_claim(value: Any) -> bool:
    """Whether a claim may enter a filter as a literal: a plain scalar that no server reads as an operator."""
    match value:
        case bool() | datetime() | ObjectId() | UUID():
            return True
        case str():
            fits = len(value) <= MAX_TEXT and "\x00" not in value and not value.startswith("$")
            return fits and (value.isascii() or _is_whole(value))
        case int():
            return -INT64_MAX - 1 <= value <= INT64_MAX
        case float():
            return math.isfinite(value)
        case _:
            return False


def _is_whole(text: str) -> bool:
    """Whether every sign is one: JSON can name half of a pair of UTF-16, which no BSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
