"""How many bytes a document has as it is stored."""

from __future__ import annotations

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.errors import PayloadTooLarge, SchemaViolation
from permission_mongo.values import CODEC, Document


def encoded(document: Document, limit: int) -> bytes:
    """The bytes that are stored. PayloadTooLarge above the limit, SchemaViolation for what can't be stored."""
    try:
        stored = encode(document, codec_options=CODEC)
    except (InvalidDocument, OverflowError, UnicodeEncodeError) as error:
        raise SchemaViolation("the document can't be stored") from error
    if len(stored) > limit:
        raise PayloadTooLarge(f"the document has {len(stored)} bytes; at most {limit}", max_document_bytes=limit)
    return stored
