"""The order in which MongoDB sorts ids, told in Python: what two queries found in that order is joined by it."""

from __future__ import annotations

from typing import Any

from bson import encode
from bson.binary import UUID_SUBTYPE, Binary
from bson.datetime_ms import DatetimeMS
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from permission_mongo.query.keyset import rank_of
from permission_mongo.values import CODEC, decimal_of

Place = tuple[Any, ...]


def place_of(value: Any) -> Place:
    """Places compare like their values do in MongoDB; equal values have one place, whatever kind of number they are."""
    return (rank_of(value), _within(value))


def _within(value: Any) -> Any:
    """What orders the values of one type."""
    match value:
        case None:
            return ()
        case bool() | str():
            return value
        case int() | float():
            return decimal_of(value)
        case ObjectId():
            return value.binary
        case dict():
            return tuple((rank_of(one), name, _within(one)) for name, one in value.items())
        case Timestamp():
            return (value.time, value.inc)
        case Binary():
            return (len(value), value.subtype, bytes(value))
        case bytes():
            return (len(value), 0, value)
        case _:
            return _of_others(value)


def _of_others(value: Any) -> Any:
    if hasattr(value, "to_decimal"):
        return decimal_of(value)
    if hasattr(value, "bytes"):  # a UUID
        return (16, UUID_SUBTYPE, value.bytes)
    if isinstance(value, DatetimeMS) or hasattr(value, "timetuple"):
        return int(DatetimeMS(value))
    return encode({"": value}, codec_options=CODEC)
