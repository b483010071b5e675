"""The query string of the audit's own route."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from permission_mongo.auditing import Kind, ListAudit
from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import read_id
from permission_mongo.parsing.lists import Parameters, read_cursor
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId, read_date

_LIMIT: Final = 50
_MOST: Final = 1000
_LONGEST: Final = 1024  # signs of a value
_KINDS: Final = ("write", "read", "refusal")
# The parameters that ask for a value, and what entries call it.
EQUALS: Final[Mapping[str, str]] = {
    "subject": "user_id",
    "action": "action",
    "collection": "collection",
    "batch": "batch",
    "request_id": "request_id",
    "code": "code",
}
_KNOWN: Final = ("_limit", "_cursor", "_from", "_to", "kind", "id", *EQUALS)


def read_list_audit(parameters: Parameters, collections: Mapping[str, Collection]) -> ListAudit:
    """`_limit`, `_cursor`, `_from`, `_to`, `kind`, and values that entries must have."""
    parameters.require_known(_KNOWN)
    kind = parameters.get("kind")
    if kind is not None and kind not in _KINDS:
        raise InvalidRequest(f"kind: expected one of {', '.join(_KINDS)}")
    asked = tuple((stored, _text(name, text)) for name, stored in EQUALS.items() if (text := parameters.get(name)))
    for name in EQUALS:
        if parameters.get(name) == "":
            raise InvalidRequest(f"{name}: expected a text")
    return ListAudit(
        parameters.whole_number("_limit", 1, _MOST) or _LIMIT,
        read_cursor(parameters.get("_cursor")),
        _moment("_from", parameters),
        _moment("_to", parameters),
        cast("Kind | None", kind),
        asked,
        _document(parameters, collections),
    )


def _text(name: str, text: str) -> str:
    if len(text) > _LONGEST or "\x00" in text:
        raise InvalidRequest(f"{name}: expected a text of at most {_LONGEST} characters")
    return text


def _moment(name: str, parameters: Parameters) -> datetime | None:
    text = parameters.get(name)
    try:
        return None if text is None else read_date(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: expected {error}") from error


def _document(parameters: Parameters, collections: Mapping[str, Collection]) -> DocumentId | None:
    """By the id's type in the collection that is asked for."""
    text = parameters.get("id")
    if text is None:
        return None
    collection = collections.get(parameters.get("collection") or "")
    if collection is None:
        raise InvalidRequest("id: say by 'collection' which one's document is meant")
    return read_id(text, collection, "id")
