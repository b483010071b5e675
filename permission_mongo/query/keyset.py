"""Where a page ended in its order: the key of its last row, the exact filter behind it, the bounds on an index.

MongoDB sorts by BSON order across types, an array by its smallest element (its largest downwards), `[]` before null, a
missing field as null and NaN below all numbers. Its comparison operators stay within a type and ask for any element.
Hence no comparison of keys, but its denial: behind a key are the rows of which no element lies at or before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bson import encode
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.sorting import Order, Ordered
from permission_mongo.values import CODEC, Document, MongoFilter

# One part of a key: `{"v": value}`, or `{}` for an empty array, which sorts below null and is no value itself.
Part = dict[str, Any]
Bound = list[tuple[str, Any]]
LONGEST_VALUE: Final = 1024  # bytes

_LEAST: Final = MinKey()
_MOST: Final = MaxKey()
_NAN: Final = {"$eq": math.nan}
# The types in the order MongoDB sorts them, each with what finds a row that has a key of it.
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "minKey": {"$type": "minKey"},
    "empty": {"$size": 0},
    "null": {"$eq": None},
    "nan": _NAN,
    "number": {"$gte": -math.inf},  # `$type` would find NaN too
    "string": {"$type": ["string", "symbol"]},
    "object": {"$type": "object"},
    "array": {"$elemMatch": {"$type": "array"}},
    "binData": {"$type": "binData"},
    "objectId": {"$type": "objectId"},
    "bool": {"$type": "bool"},
    "date": {"$type": "date"},
    "timestamp": {"$type": "timestamp"},
    "regex": {"$type": "regex"},
    "dbPointer": {"$type": "dbPointer"},
    "javascript": {"$type": "javascript"},
    "javascriptWithScope": {"$type": "javascriptWithScope"},
    "maxKey": {"$type": "maxKey"},
}
_RANKS: Final = {kind: rank for rank, kind in enumerate(_TYPES)}
_SINGLE: Final = frozenset({"minKey", "empty", "null", "nan", "maxKey"})  # types of one value
# The more special first: a Code is a str, a bool an int.
_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (MinKey, "minKey"),
    (MaxKey, "maxKey"),
    (bool, "bool"),
    ((int, float, Decimal128), "number"),
    (Code, "javascript"),
    (str, "string"),
    (dict, "object"),
    (list, "array"),
    ((bytes, UUID), "binData"),
    (ObjectId, "objectId"),
    ((datetime, DatetimeMS), "date"),
    (Timestamp, "timestamp"),
)


def key_of(order: Order, values: Sequence[Any], row: Document) -> list[Part]:
    """The key of a row from its sort key as MongoDB tells it.

    InvalidRequest for a value that no page can begin behind: too long for a cursor, or of a type not to be compared.
    """
    parts: list[Part] = []
    for (name, _), value in zip(order, values, strict=True):
        if value is None and _at(row, name) == []:
            parts.append({})  # told as null
            continue
        if _kind(value) is None:
            raise InvalidRequest(f"sort: the page ends in a value of '{name}' that can't be compared", fields=[name])
        if (
            isinstance(value, str | bytes | dict | list)
            and len(encode({"": value}, codec_options=CODEC)) > LONGEST_VALUE
        ):
            message = f"sort: the page ends in a value of '{name}' of more than {LONGEST_VALUE} bytes"
            raise InvalidRequest(message, fields=[name])
        parts.append({"v": value})
    return parts


def _at(row: Document, dotted: str) -> Any:
    found: Any = row
    for part in dotted.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _kind(value: Any) -> str | None:
    if value is None:
        return "null"
    if value != value or (isinstance(value, Decimal128) and value.to_decimal().is_nan()):
        return "nan"
    if isinstance(value, Code) and value.scope is not None:
        return "javascriptWithScope"
    return next((kind for types, kind in _KINDS if isinstance(value, types)), None)


def rank_of(value: Any) -> int:
    """The place of the value's type in the order of types."""
    return _RANKS[_kind_of({"v": value})]


def behind(order: Order, key: Sequence[Part]) -> MongoFilter:
    """The rows behind the key, and no other, whatever types and arrays the fields hold."""
    passed: list[MongoFilter] = []
    alike: list[MongoFilter] = []
    for (name, direction), part in zip(order, key, strict=True):
        passed += [_both(alike, {name: earlier}) for earlier in _before(part, direction)]
        alike.append({name: _equal(part)})
    # Never an `$or` of comparisons: MongoDB may merge its branches in a wrong order.
    return {"$nor": [*passed, _both(alike[:-1], alike[-1])]}


def _both(alike: list[MongoFilter], last: MongoFilter) -> MongoFilter:
    return {"$and": [*alike, last]} if alike else last


def _kind_of(part: Part) -> str:
    return "empty" if not part else _kind(part["v"]) or "regex"


def _before(part: Part, direction: int) -> list[dict[str, Any]]:
    """What finds a row with some element before the part: of an earlier type, or earlier within its type."""
    kind = _kind_of(part)
    rank = _RANKS[kind]
    types = list(_TYPES.values())
    found = types[:rank] if direction == 1 else types[rank + 1 :]
    if kind in _SINGLE:
        return found
    within = {"$lt" if direction == 1 else "$gt": part["v"]}
    return [*found, {"$elemMatch": within} if kind == "array" else within]


def _equal(part: Part) -> dict[str, Any]:
    kind = _kind_of(part)
    if kind in _SINGLE:
        return _TYPES[kind]
    same = {"$eq": part["v"]}
    return {"$elemMatch": same} if kind == "array" else same


def bounds(ordered: Ordered, prefix: Sequence[tuple[str, Any]], key: Sequence[Part]) -> tuple[Bound, Bound]:
    """The first bound (inclusive) and the last (exclusive) on the index, for the rows from the key on.

    They hold rows that lie before the key too, by another element of an array: `behind` must stand beside them.
    """
    index = ordered.index or ()
    lead = [(name, value) for name, value in prefix if len(index) > len(ordered.order)]
    rest = index[len(lead) :]
    here = [*lead, *_place(ordered.order, key)]
    if rest == ordered.order:
        return here, [*lead, *((name, _MOST if direction == 1 else _LEAST) for name, direction in rest)]
    return [*lead, *((name, _LEAST if direction == 1 else _MOST) for name, direction in rest)], here


def _place(order: Order, key: Sequence[Part]) -> Bound:
    """The key as a bound. No bound can say `[]`: the nearest place before it stands for it and all that follows."""
    place: Bound = []
    for (name, direction), part in zip(order, key, strict=True):
        if not part:
            place.append((name, _LEAST if direction == 1 else None))
            rest = order[len(place) :]
            return [*place, *((other, _LEAST if way == 1 else _MOST) for other, way in rest)]
        place.append((name, part["v"]))
    return place
