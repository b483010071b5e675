"""The quick way of `rewrites`: scalar fields set by a merge patch, where nothing of them is hidden, denied or nested.

It never judges: whatever it is not sure of raises `Unsure`, and the careful way begins anew and tells. That both agree
is a law test.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from bson import encode
from bson.decimal128 import Decimal128
from bson.errors import InvalidDocument
from bson.int64 import Int64
from bson.objectid import ObjectId

from permission_mongo.documents.changes import Merge
from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.errors import PayloadTooLarge, SchemaViolation
from permission_mongo.policy.evaluate import holds
from permission_mongo.revisions import Revision, Rewrite, Sight, Writer
from permission_mongo.values import CODEC, Document

_SCALARS: Final = frozenset(
    {str, int, float, bool, type(None), datetime, ObjectId, UUID, Decimal128, Int64, type(ABSENT)}
)


class Unsure(Exception):
    """To be judged carefully."""


def rewrite_quickly(revision: Revision, writer: Writer, sight: Sight, stored: Document) -> Rewrite | None:
    """What to write by this rule; None where the change changes nothing."""
    if not revision.is_plain or not isinstance(revision.change, Merge):
        raise Unsure
    for one in revision.named:
        if not (sight.reads_raw(one.path) and writer.writes(one.path)) or sight.bars(one.path):
            raise Unsure
    patch = revision.change.patch
    changed = set(revision.stamps)
    is_changed = False
    for name, value in patch.items():
        old = stored.get(name, ABSENT)
        if type(old) not in _SCALARS:
            raise Unsure
        if not are_same(old, value):
            is_changed = True
            changed.add(name)
    if not is_changed:
        return None
    final = {**stored, **patch, **revision.stamps}
    if not holds(writer.check, final):
        raise Unsure
    return Rewrite({name: final[name] for name in sorted(changed)}, (), fitting(revision, final))


def fitting(revision: Revision, final: Document) -> int:
    """The bytes of the document as it will be. PayloadTooLarge, or SchemaViolation if it can't be stored."""
    limit = revision.max_document_bytes
    try:
        size = len(encode(final, codec_options=CODEC))
    except (InvalidDocument, OverflowError) as error:
        raise SchemaViolation("the document can't be stored") from error
    if size > limit:
        raise PayloadTooLarge(f"the document has {size} bytes; at most {limit}", max_document_bytes=limit)
    return size
