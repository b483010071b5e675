"""What an absent field is filled with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from permission_mongo.schema.model import Field
from permission_mongo.values import date_text, read_scalar


@dataclass(frozen=True, slots=True)
class Fill:
    """What defaults may ask for."""

    now: datetime
    user_id: str
    new_uuid: Callable[[], UUID]


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
