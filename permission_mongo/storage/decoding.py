"""Stored bytes -> documents, whatever another writer stored: what can't be told as it is never fails a reading.

Text that is no UTF-8 has U+FFFD where it is none, as `CODEC` says. A UUID of another length is the bytes that it is.
Bytes of the old kind (subtype 02) that tell another length of themselves are of a user's kind (80).
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from bson import decode, decode_all
from bson.binary import UUID_SUBTYPE, Binary, UuidRepresentation
from bson.errors import InvalidBSON

from permission_mongo.storage.old_bytes import readable
from permission_mongo.values import CODEC, Document

_AS_STORED: Final = CODEC.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)


def document_of(stored: bytes | memoryview) -> Document:
    try:
        return decode(stored, CODEC)
    except InvalidBSON:
        return _carefully(bytes(stored))[0]


def documents_of(stored: bytes) -> list[Document]:
    """Of documents one behind the other."""
    try:
        return decode_all(stored, CODEC)
    except InvalidBSON:
        return _carefully(stored)


def _carefully(stored: bytes) -> list[Document]:
    try:
        found = decode_all(stored, _AS_STORED)
    except InvalidBSON:
        found = decode_all(readable(stored), _AS_STORED)
    return [_with_uuids(one) for one in found]


def _with_uuids(value: Any) -> Any:
    """Each that is one, in all that the value holds."""
    if isinstance(value, dict):
        return {name: _with_uuids(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_uuids(one) for one in value]
    if isinstance(value, Binary) and value.subtype == UUID_SUBTYPE and len(value) == 16:
        return UUID(bytes=bytes(value))
    return value
