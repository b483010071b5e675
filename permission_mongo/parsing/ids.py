"""Document ids by the collection's declared type, and fresh ones."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from bson.errors import InvalidId
from bson.objectid import ObjectId

from permission_mongo.batch import once
from permission_mongo.errors import InvalidRequest, SchemaViolation
from permission_mongo.schema.model import RESERVED_IDS, STRING_ID, Collection
from permission_mongo.values import DocumentId, read_extended, read_scalar

BATCH_ID: Final = re.compile(r"[0-9a-f]{32}")
_LONGEST: Final = 1024
_HEX: Final = 24  # digits of an ObjectId
_BEFORE_COUNTER: Final = 9  # bytes of it: the second, and what is the process's own
_COUNTED: Final = 2**24  # after so many the counter behind them begins anew


@dataclass(frozen=True, slots=True)
class Fresh:
    """Where new ids come from. Chance enters the gateway here and nowhere else."""

    def document_id(self, collection: Collection) -> DocumentId:
        match collection.id_type:
            case "objectId":
                return ObjectId()
            case "uuid":
                return uuid4()
            case "string":
                return uuid4().hex

    def document_ids(self, collection: Collection, count: int) -> list[DocumentId]:
        """So many at once: ObjectIds in the driver's own series, one behind the other."""
        if collection.id_type != "objectId":
            return [self.document_id(collection) for _ in range(count)]
        with ObjectId._inc_lock:  # each by itself takes three times as long as all but the first of these
            first = ObjectId._inc
            ObjectId._inc = (first + count) % _COUNTED
        begin = ObjectId().binary[:_BEFORE_COUNTER]
        return [ObjectId(begin + (n % _COUNTED).to_bytes(3, "big")) for n in range(first, first + count)]

    def batch_id(self) -> str:
        return secrets.token_hex(16)

    def run(self) -> ObjectId:
        """The mark of one attempt at a write that may take effect once."""
        return ObjectId()

    def uuid(self) -> UUID:
        return uuid4()


def read_id(value: Any, collection: Collection, place: str) -> DocumentId:
    """An id by the declared type alone. InvalidRequest says what was expected."""
    if collection.id_type == "objectId" and type(value) is str and len(value) == _HEX:
        try:
            return ObjectId(value)
        except InvalidId:
            pass  # told below
    try:
        found: DocumentId = read_scalar(collection.id_type, read_extended(value))
    except ValueError as error:
        raise InvalidRequest(f"{place}: expected {error}") from error
    if isinstance(found, str) and not 0 < len(found) <= _LONGEST:
        raise InvalidRequest(f"{place}: expected an id of 1 to {_LONGEST} characters")
    return found


def read_ids(values: list[Any], collection: Collection, place: str) -> tuple[DocumentId, ...]:
    """Each id once, in the order asked."""
    if collection.id_type == "objectId" and all(type(value) is str and len(value) == _HEX for value in values):
        with suppress(InvalidId):  # told with its place below
            return once(map(ObjectId, values))
    return once(read_id(value, collection, f"{place}[{n}]") for n, value in enumerate(values))


def read_new_id(value: Any, collection: Collection) -> DocumentId:
    """An id chosen by the caller: one that a URL can hold. SchemaViolation otherwise."""
    try:
        found = read_id(value, collection, "_id")
    except InvalidRequest as refusal:
        raise _violation(refusal.message.removeprefix("_id: ")) from refusal
    if isinstance(found, str) and (not STRING_ID.fullmatch(found) or found in RESERVED_IDS):
        raise _violation(f"expected {STRING_ID.pattern} and no reserved word")
    return found


def _violation(message: str) -> SchemaViolation:
    error = {"field": "_id", "code": "type", "message": message}
    return SchemaViolation("the document breaks its schema in 1 place", errors=[error])


def read_batch_id(text: str) -> str | None:
    """A batch's id; None for a text that can't be one."""
    return text if BATCH_ID.fullmatch(text) else None
