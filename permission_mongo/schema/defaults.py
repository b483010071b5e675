"""What an absent field is filled with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from permission_mongo.schema.model import Field
from permission_mongo.values import date_text, read_scalar

FUNCTIONS: Final = ("now()", "uuid()", "user.id")
STAMPS: Final = {"created_at": "date", "updated_at": "date", "created_by": "string", "updated_by": "string"}
AUTO_TYPES: Final = ("date", "uuid", "string")  # what `auto` makes without a default


@dataclass(frozen=True, slots=True)
class Fill:
    """What defaults may ask for."""

    now: datetime
    user_id: str
    new_uuid: Callable[[], UUID]


def made_by_gateway(fields: Iterable[Field], fill: Fill, *, created: bool) -> dict[str, Any]:
    """The values of `auto` fields, at a creation, and of `auto_update` fields, at every write, of those given.

    A date is the moment, a uuid fresh, a string a fresh UUID's text, and what has a default is made from that.
    The caller's id is not typed yet.
    """
    return {one.name: _made(one, fill) for one in fields if one.auto_update or (one.auto and created)}


def _made(one: Field, fill: Fill) -> Any:
    if one.default == "user.id" or (one.default is None and one.name in ("created_by", "updated_by")):
        return fill.user_id
    if one.default is not None:
        return default_of(one, fill)
    return fill.now if one.type == "date" else fill.new_uuid() if one.type == "uuid" else fill.new_uuid().hex


def default_of(one: Field, fill: Fill) -> Any:
    """The value of a field's default; nothing of it is shared with another document."""
    match one.default:
        case "now()":
            return fill.now if one.type == "date" else date_text(fill.now)
        case "uuid()":
            return fill.new_uuid() if one.type == "uuid" else str(fill.new_uuid())
        case "user.id":
            return read_scalar(one.type, fill.user_id)
        case value:
            return _copy(value)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return value
