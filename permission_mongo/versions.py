"""What is kept of a document before it changes, and the history told from it. Pure.

A live document carries `_version` and `_made`, the write that made it so. A record keeps the stored bytes of version n,
when that state began (`began`) and the write that ended it (`ended`), which made version n + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from permission_mongo.values import Document

TICK = timedelta(milliseconds=1)
# A record wraps its document, and MongoDB takes no record above 16 MiB.
LARGEST = 16 * 2**20 - 16 * 2**10


def made(action: str, by: str, at: datetime, reason: str | None, batch: str | None) -> Document:
    """The write that made a state: `_made` of a live document, `ended` of a record."""
    written: Document = {"action": action, "by": by, "at": at}
    if reason is not None:
        written["reason"] = reason
    if batch is not None:
        written["batch"] = batch
    return written


def number_of(stored: Mapping[str, Any]) -> int:
    """The version of a stored document; 0 for one that was there before the gateway, or whose mark is no number."""
    number = stored.get("_version", 0)
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53 else 0


def began(stored: Mapping[str, Any]) -> datetime | None:
    """When the state began, as far as the gateway knows."""
    mark = stored.get("_made")
    moment = mark.get("at") if isinstance(mark, Mapping) else None
    return moment if isinstance(moment, datetime) else None


def record(
    stored: RawBSONDocument, collection: str, tenant_field: str | None, number: int, ended: Mapping[str, Any]
) -> Document:
    """The record of version `number`, its content byte for byte. Time never goes back within a document."""
    start = began(stored)
    kept: Document = {
        "_id": ObjectId(),
        "collection": collection,
        "doc_id": stored["_id"],
        "tenant_id": None if tenant_field is None else stored.get(tenant_field),
        "version": number,
        "mode": "full",
        "data": stored,
        "ended": {**ended, "at": ended["at"] if start is None else max(ended["at"], start + TICK)},
    }
    if start is not None:
        kept["began"] = start
    if ended["action"] == "delete":
        kept["gone"] = True
    return kept
