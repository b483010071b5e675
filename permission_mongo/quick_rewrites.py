"""The quick way of `rewrites`: scalar fields set by a merge patch, where nothing of them is hidden, denied or nested.

It never judges: whatever it is not sure of raises `Unsure`, and the careful way begins anew and tells. That both agree
is a law test.
"""

from __future__ import annotations

from datetime import datetime
from sys import maxsize
from typing import Final
from uuid import UUID

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from permission_mongo.documents.changes import Merge
from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.documents.sizes import encoded
from permission_mongo.policy.evaluate import holds
from permission_mongo.revisions import Revision, Rewrite, Sight, Writer
from permission_mongo.values import Document

_SCALARS: Final = frozenset(
    {str, int, float, bool, type(None), datetime, ObjectId, UUID, Decimal128, Int64, type(ABSENT)}
)


class Unsure(Exception):
    """To be judged carefully."""


def rewrite_quickly(
    revision: Revision, writer: Writer, sight: Sight, stored: Document, before: int | None = None
) -> Rewrite | None:
    """What to write by this rule; None where the change changes nothing. `stored` has `before` bytes."""
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
    written = {name: final[name] for name in sorted(changed)}
    return Rewrite(written, (), _size(final, written, before, revision.max_document_bytes))


def _size(final: Document, written: Document, before: int | None, limit: int) -> int:
    """What the document has at most then, which is told by what is written alone; near the limit what it has."""
    most = None if before is None else before + len(encoded(written, maxsize))
    return most if most is not None and most <= limit else len(encoded(final, limit))
