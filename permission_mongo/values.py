"""Scalars between JSON and BSON: reading what callers send by declared type, writing what documents hold.

Dates are naive UTC with milliseconds, as BSON keeps them. Nothing here knows a schema, only the names of its types.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from time import time_ns
from typing import Any, Final
from uuid import UUID

import jiter
import orjson
from bson import json_util
from bson.binary import UUID_SUBTYPE, Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.int64 import Int64
from bson.objectid import ObjectId

Document = dict[str, Any]
MongoFilter = dict[str, Any]
DocumentId = ObjectId | str | UUID

CODEC: Final[CodecOptions[Document]] = CodecOptions(
    tz_aware=False,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",  # another writer's text must not fail a whole page
)
SCALAR_TYPES: Final = ("string", "number", "integer", "boolean", "date", "objectId", "uuid", "decimal")
MAX_DEPTH: Final = 64
INT64_MAX: Final = 2**63 - 1

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SUBTYPE = re.compile(r"0?[0345]|[89a-fA-F][0-9a-fA-F]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_PLAIN_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z")
_EPOCH = datetime(1970, 1, 1)
_DECIMALS: Final = create_decimal128_context()  # costs as much to make as a number to read
# Every digit as 0, so that a long number is found by one search; an exponent's letter as e.
_DIGITS: Final = bytes(
    48 if chr(code).isdigit() and code < 128 else 101 if code in (69, 101) else code for code in range(256)
)
_BRACKETS: Final = bytes.maketrans(b"[]", b"{}")
_OTHERS: Final = bytes(code for code in range(256) if code not in b"[]{}")
_FLOAT: Final = frozenset({float})
_LONG: Final = b"0" * 19  # the digits of 2^63
_ANSWER: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def milliseconds(moment: datetime) -> datetime:
    """Cut to what BSON can keep; an aware moment becomes naive UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    if moment.microsecond % 1000 == 0:
        return moment
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def utc_now() -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ns() // 1_000_000)


def date_text(moment: datetime) -> str:
    """The one spelling of a moment in a text field: RFC 3339 with milliseconds and Z."""
    return moment.isoformat(timespec="milliseconds") + "Z"


def read_date(text: str) -> datetime:
    """An RFC 3339 date or date-time; without an offset it is UTC. ValueError if it is neither."""
    if not _DATE.fullmatch(text):
        raise ValueError("a date such as 2026-01-31 or 2026-01-31T12:00:00Z")
    try:
        # Naive is UTC: without its Z a text is read in half the time.
        return milliseconds(datetime.fromisoformat(text.replace(",", ".").removesuffix("Z")))
    except (ValueError, OverflowError) as error:
        raise ValueError("a date that exists, such as 2026-01-31T12:00:00Z") from error


def read_plain_date(text: str) -> datetime:
    """As `read_date` the usual spelling, in half the time. ValueError for any other, right or wrong."""
    if not _PLAIN_DATE.fullmatch(text):
        raise ValueError("another spelling")
    return datetime.fromisoformat(text[:-1])


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string")
    if "\x00" in value:
        raise ValueError("a string without NUL characters")
    return value


def _number(value: Any) -> int | float | Decimal128:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal128):
        raise ValueError("a number")
    if isinstance(value, int) and not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise ValueError("an integer of at most 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number")
    if isinstance(value, Decimal128) and not value.to_decimal().is_finite():
        raise ValueError("a finite number")
    return value


def _integer(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and number.is_integer() and abs(number) <= 2**53:
        return int(number)
    if not isinstance(number, int):
        raise ValueError("an integer")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _date(value: Any) -> datetime:
    if isinstance(value, datetime):
        return milliseconds(value)
    if not isinstance(value, str):
        raise ValueError("a date such as 2026-01-31T12:00:00Z")
    return read_date(value)


def _object_id(value: Any) -> ObjectId:
    if isinstance(value, ObjectId):
        return value
    if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value):
        raise ValueError("24 hex digits")
    return ObjectId(value)


def _uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(_string(value))
    except ValueError as error:
        raise ValueError("a UUID such as 123e4567-e89b-12d3-a456-426614174000") from error


def exact_decimal(value: Any) -> Decimal:
    """A finite number of at most 34 digits. ValueError says what was expected."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = _DECIMALS.create_decimal(str(value))
    except (ValueError, InvalidOperation, ArithmeticError) as error:
        raise ValueError('a decimal such as "12.50"') from error
    if not number.is_finite():
        raise ValueError("a finite number")
    return number


def _decimal(value: Any) -> Decimal128:
    if isinstance(value, Decimal128):
        _number(value)
        return value
    return Decimal128(exact_decimal(value))


def _any_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | ObjectId | datetime | UUID | bytes):
        return value
    if isinstance(value, str):
        return _string(value)
    return _number(value)


def _binary(value: Any) -> bytes | UUID:
    """Bytes, a UUID for its subtype, or bytes of another subtype that is not the server's own."""
    if not isinstance(value, dict) or value.keys() != {"base64", "subType"}:
        raise ValueError
    content = b64decode(_string(value["base64"]), validate=True)
    if not _SUBTYPE.fullmatch(_string(value["subType"])):
        raise ValueError
    subtype = int(value["subType"], 16)
    if subtype == UUID_SUBTYPE:
        return UUID(bytes=content)
    return Binary(content, subtype) if subtype else content


# Of plain values: `read_scalar` looks for Extended JSON first.
SCALAR_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "objectId": _object_id,
    "uuid": _uuid,
    "decimal": _decimal,
    "any": _any_scalar,
}


def read_scalar(kind: str, value: Any) -> Any:
    """`value` as the declared scalar type `kind`, Extended JSON accepted. ValueError says what was expected."""
    return SCALAR_READERS[kind](read_extended(value))


def read_text(kind: str, text: str) -> Any:
    """A scalar as it stands in a URL. ValueError says what was expected."""
    if kind in ("number", "integer"):
        try:
            return SCALAR_READERS[kind](jiter.from_json(text.encode(), allow_inf_nan=False))
        except ValueError as error:
            raise ValueError("a number" if kind == "number" else "an integer") from error
    if kind == "boolean":
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    return SCALAR_READERS[kind](text)


_EXTENDED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$oid": _object_id,
    "$date": lambda value: (
        _EPOCH + timedelta(milliseconds=_integer(read_extended(value)))
        if not isinstance(value, str)
        else read_date(value)
    ),
    "$numberDecimal": _decimal,
    "$numberLong": lambda value: Int64(_integer(int(_string(value)))),
    "$numberInt": lambda value: _integer(int(_string(value))),
    "$numberDouble": lambda value: _number(float(_string(value))),
    "$uuid": _uuid,
    "$binary": _binary,
}


def is_extended(value: Any) -> bool:
    """Whether `value` is an Extended JSON scalar such as `{"$oid": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _EXTENDED


def read_extended(value: Any) -> Any:
    """Extended JSON v2 scalars as BSON values; anything else as it came. ValueError says what was expected."""
    if not is_extended(value):
        return value
    key, inner = next(iter(value.items()))
    try:
        return _EXTENDED[key](inner)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"a valid {key} value") from error


def read_json(body: bytes) -> Any:
    """A JSON text without duplicate keys, of what can be kept: finite numbers, integers of 64 bits, no NUL, 64 levels.

    ValueError says what is wrong, where it is no JSON with line and column.
    """
    try:
        found = jiter.from_json(body, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    # Looked for in the text first: to look at each value costs ten times as much.
    if _may_be_deep(body):
        _require_shallow(found)
    if b"\\u0000" in body or (_has_large_number(body) and _has_large_number(_outside_texts(body))):
        try:
            _require_kept(found)
        except ValueError as error:
            raise ValueError(f"not to be kept: expected {error}") from error
    return found


def _has_large_number(text: bytes) -> bool:
    """Whether there may be one beyond 64 bits, or beyond all."""
    digits = text.translate(_DIGITS)
    return _LONG in digits or b"e000" in digits or b"e+000" in digits


def _outside_texts(body: bytes) -> bytes:
    """What of a JSON text may be numbers: an id often looks like one. All of it where a quote may be escaped."""
    return body if b"\\" in body else b'"'.join(body.split(b'"')[::2])


def _may_be_deep(body: bytes) -> bool:
    """Whether more than MAX_DEPTH brackets may lie in one another; a bracket inside a text makes it a maybe."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    brackets = body.translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_DEPTH):
        outer = brackets.replace(b"{}", b"")  # takes the innermost of each away
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)


def _require_shallow(found: Any) -> None:
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [value for one in level for value in _inside(one) if type(value) is dict or type(value) is list]
    if level:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _require_kept(found: Any) -> None:
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if type(value) is list and _FLOAT.issuperset(map(type, value)) and all(map(math.isfinite, value)):
            continue  # a vector: in its small numbers there are often as many digits as in a large one
        if isinstance(value, dict | list):
            waiting += [*_inside(value), *(value if isinstance(value, dict) else ())]
        else:
            _any_scalar(value)


def _inside(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _extended(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return json_util.default(value, json_util.RELAXED_JSON_OPTIONS)


def _default(value: Any) -> Any:
    return value.binary.hex() if type(value) is ObjectId else _extended(value)


def write_json(answer: Any) -> bytes:
    """JSON bytes: ObjectId and UUID as text, dates as RFC 3339 with Z, other BSON types as relaxed Extended JSON v2."""
    return orjson.dumps(answer, default=_default, option=_ANSWER)


def decimal_of(value: int | float | Decimal128) -> Decimal | None:
    """A number as MongoDB compares it with a decimal (34 digits); None for NaN."""
    if isinstance(value, Decimal128):
        number = value.to_decimal()
    elif isinstance(value, float):
        number = _DECIMALS.create_decimal_from_float(value)
    else:
        number = Decimal(value)
    return None if number.is_nan() else number
