"""What the gateway writes itself, as the types of the collection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from permission_mongo.errors import Forbidden
from permission_mongo.planning.callers import Asking
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.rules import Action
from permission_mongo.schema.defaults import Fill, made_by_gateway
from permission_mongo.schema.model import Collection
from permission_mongo.values import SCALAR_READERS, Document, date_text, read_scalar


def typed_stamp(collection: Collection, name: str, value: Any, action: Action) -> Any:
    """Forbidden where the caller's identity can't be of the field's type."""
    kind = collection.kind_of(name) or "any"
    if type(value) is datetime and kind in ("date", "any"):
        return value  # the moment of the request, as BSON keeps it already
    try:
        if isinstance(value, str):
            value.encode()  # a UnicodeEncodeError, which is a ValueError, for half of a sign: no BSON can hold it
            if kind == "string":
                return SCALAR_READERS[kind](value)
        in_text = kind == "string" and isinstance(value, datetime)
        return read_scalar(kind, date_text(value) if in_text else value)
    except ValueError as error:
        message = f"'{name}' can't be stamped with your identity"
        raise Forbidden(message, action=action, collection=collection.name, fields=[name]) from error


def update_stamps(collection: Collection, asking: Asking, reach: Reach, new_uuid: Callable[[], UUID]) -> Document:
    """Times, what `auto_update` fields are filled with, and what the rules set."""
    fill = Fill(asking.now, asking.principal.subject, new_uuid)
    stamps: Document = made_by_gateway(collection.made, fill, created=False)
    if collection.timestamps:
        stamps |= {"updated_at": asking.now, "updated_by": asking.principal.subject}
    for grant in reach.grants:
        stamps |= dict(grant.stamps)
    return {name: typed_stamp(collection, name, value, "update") for name, value in stamps.items()}
