"""JSON between Python's values and the gateway's: what is sent, and what can be had typed of an answer."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

import orjson

from permission_mongo.client.errors import Unsendable

Document = dict[str, Any]
# What makes a value of what an answer has: a class such as `datetime`, `UUID`, `Decimal`, `ObjectId`, or any callable.
Reader = Callable[[Any], Any] | type[Any]
Types = Mapping[str, Reader]

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME


def write_json(value: Any) -> bytes:
    """Dates, decimals, bytes and BSON's own ids as Extended JSON. Unsendable for what is no value of a document."""
    try:
        written = orjson.dumps(value, _extended, _OPTIONS)
    except TypeError as error:  # orjson's own error is one
        raise Unsendable(f"can't be sent as JSON: {error}") from None
    # A number that is not finite would be written as null: looked for only where there is any.
    if b"null" in written and not _is_finite(value):
        raise Unsendable("a number that is not finite can't be sent")
    return written


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_is_finite, value))


def _extended(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$date": moment_text(value)}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$numberDecimal": str(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        # Of BSON's Binary, which is bytes, the subtype.
        kind = getattr(value, "subtype", 0)
        return {"$binary": {"base64": b64encode(value).decode(), "subType": f"{kind:02x}"}}
    return _of_bson(value)


def _of_bson(value: Any) -> Any:
    """By name: whoever sends a value of bson has it loaded, and nobody else needs it."""
    kind = type(value)
    match kind.__module__.partition(".")[0], kind.__name__:
        case "bson", "ObjectId":
            return {"$oid": str(value)}
        case "bson", "Decimal128":
            return {"$numberDecimal": str(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"a value of type {kind.__name__}")


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, which is what MongoDB keeps. A naive moment is UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def read_moment(text: Any) -> datetime:
    """An aware moment in UTC. ValueError or TypeError for anything else."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def typed(document: Document, types: Types) -> Document:
    """With the values at these dotted paths (through arrays) made by their readers, and Extended JSON by its own kind.

    A value of which none can be made, such as a masked one, stays as it came.
    """
    found: Document = {name: _typed(value, name, types) for name, value in document.items()}
    return found


def _typed(value: Any, path: str, types: Types) -> Any:
    if isinstance(value, list):
        return [_typed(one, path, types) for one in value]
    if isinstance(value, dict):
        if len(value) != 1 or not value.keys() <= _READERS.keys():
            return {name: _typed(one, f"{path}.{name}", types) for name, one in value.items()}
        value = _plain(value)
    reader = types.get(path)
    if reader is None or value is None or type(value) is reader:
        return value
    try:
        return read_moment(value) if reader is datetime else reader(value)
    except Exception:  # a reader is anybody's: whatever it raises, the value is none of its kind
        return value


_READERS: Final[Mapping[str, Reader]] = {
    "$date": read_moment,
    "$numberDecimal": Decimal,
    "$uuid": UUID,
    "$oid": str,
    "$numberLong": int,
    "$numberDouble": float,
    "$binary": lambda value: b64decode(value["base64"], validate=True),
}


def _plain(value: Document) -> Any:
    """What an Extended JSON object stands for; one of which nothing can be made as it came."""
    [(kind, inner)] = value.items()
    try:
        return _READERS[kind](inner)
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return value
