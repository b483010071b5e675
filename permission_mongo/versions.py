"""What is kept of a document before it changes, and the history told from it. Pure.

A live document carries `_version` and `_made`, the write that made it so. A record keeps the stored bytes of version n,
when that state began (`began`) and the write that ended it (`ended`), which made version n + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, Final
from uuid import UUID

from bson import encode
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from permission_mongo.values import CODEC, Document, DocumentId, MongoFilter

TICK = timedelta(milliseconds=1)
DAY: Final = 24 * 3600 * 1000  # milliseconds
_ENDS: Final = (MinKey(), MaxKey())
# A record wraps its document, and MongoDB takes no record above 16 MiB.
LARGEST = 16 * 2**20 - 16 * 2**10
_NO_BYTES: Final = RawBSONDocument(encode({}))


def made(action: str, by: str, at: datetime, reason: str | None, batch: str | None) -> Document:
    """The write that made a state: `_made` of a live document, `ended` of a record."""
    written: Document = {"action": action, "by": by, "at": at}
    if reason is not None:
        written["reason"] = reason
    if batch is not None:
        written["batch"] = batch
    return written


def moment_after(now: datetime, *ends: datetime | None) -> datetime:
    """When a write took place that follows on these: `now`, and later than each. The clocks of gateways differ."""
    return max([now, *(end + TICK for end in ends if end is not None)])


@dataclass(frozen=True, slots=True)
class Former:
    """An earlier life of an id: the number behind its last, and when that ended, where it is known."""

    next: int
    ended: datetime | None


def number_of(stored: Mapping[str, Any]) -> int:
    """The version of a stored document; 0 for one that was there before the gateway, or whose mark is no number."""
    number = stored.get("_version", 0)
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53 else 0


def began(stored: Mapping[str, Any]) -> datetime | None:
    """When the state began, as far as the gateway knows."""
    mark = stored.get("_made")
    moment = mark.get("at") if isinstance(mark, dict) else None
    return moment if isinstance(moment, datetime) else None


def record_id(collection: str, doc_id: Any, tenant: Any, number: Any) -> Document:
    """The `_id` of a record: that it is unique keeps two states from having one number."""
    return {"c": collection, "d": doc_id, "t": tenant, "v": number}


def lives_of(collection: str, doc_id: DocumentId) -> MongoFilter:
    """The records of one document: those of every tenant that has had a document of this id."""
    return _between(*(record_id(collection, doc_id, end, end) for end in _ENDS))


def life_of(collection: str, doc_id: DocumentId, tenant: Any, least: int = 0, most: int | None = None) -> MongoFilter:
    """The records of one tenant's document, numbered from `least` to `most`."""
    first = record_id(collection, doc_id, tenant, least)
    return _between(first, record_id(collection, doc_id, tenant, _ENDS[1] if most is None else most))


def records_of(collection: str) -> MongoFilter:
    """All records of a collection."""
    return _between(*(record_id(collection, end, end, end) for end in _ENDS))


def _between(least: Document, highest: Document) -> MongoFilter:
    return {"_id": {"$gte": least, "$lte": highest}}


def tenant_of(stored: Mapping[str, Any], tenant_field: str | None) -> Any:
    """Whose document it is; None without a tenant. A container is none."""
    tenant = None if tenant_field is None else stored.get(tenant_field)
    return None if isinstance(tenant, list | dict) else tenant


def record(
    raw: RawBSONDocument,
    about: Mapping[str, Any],
    target: tuple[str, str | None],
    number: int,
    ended: Mapping[str, Any],
) -> Document:
    """The record of version `number`: `raw` byte for byte, with what is needed of it in `about`, the same decoded.

    `target` is the collection and its tenant field. Time never goes back within a document.
    """
    collection, tenant_field = target
    start = began(about)
    tenant = tenant_of(about, tenant_field)
    kept: Document = {
        "_id": record_id(collection, about["_id"], tenant, number),
        "collection": collection,
        "doc_id": about["_id"],
        "tenant_id": tenant,
        "version": number,
        "mode": "full",
        "data": raw,
        "ended": {**ended, "at": moment_after(ended["at"], start)},
    }
    if start is not None:
        kept["began"] = start
    if ended["action"] == "delete":
        kept["gone"] = True
    return kept


_SPLITS: Final = (str, ObjectId, UUID, int, NoneType)  # types of tenants of which equal ones are stored alike


class Ending:
    """Records of states that one write ends, as the bytes of what `record` says of each.

    They differ in little but their documents, and the rest is put together once for all that are alike.
    """

    def __init__(self, target: tuple[str, str | None], ended: Mapping[str, Any]) -> None:
        """`target` is the collection and its tenant field."""
        self._target = target
        self._ended = ended
        self._frames: dict[tuple[Any, ...], _Frame] = {}

    def marks_after(self, about: Mapping[str, Any], number: int) -> Document:
        """Of the state that begins when version `number` ends."""
        return {"_version": number + 1, "_made": {**self._ended, "at": moment_after(self._ended["at"], began(about))}}

    def record(self, stored: bytes, about: Mapping[str, Any], number: int) -> tuple[Document, bytes]:
        """The id and the bytes of the record of version `number`; `about` is `stored`, decoded."""
        collection, tenant_field = self._target
        tenant = tenant_of(about, tenant_field)
        key = (type(tenant), tenant, type(number), number, began(about)) if type(tenant) in _SPLITS else ()
        frame = self._frames.get(key) if key else None
        if frame is None:
            frame = _Frame.of(record(_NO_BYTES, about, self._target, number, self._ended))
            if key:
                self._frames[key] = frame
        return record_id(collection, about["_id"], tenant, number), frame.around(about["_id"], stored)


@dataclass(frozen=True, slots=True)
class _Frame:
    """A record without its document and the id of that: the elements before, between and behind these."""

    life: tuple[bytes, bytes]  # of the record's `_id`
    elements: tuple[bytes, bytes, bytes]

    @classmethod
    def of(cls, kept: Document) -> _Frame:
        names, about = list(kept), kept["_id"]
        one, whole = names.index("doc_id"), names.index("data")
        parts = (names[1:one], names[one + 1 : whole], names[whole + 1 :])
        first, middle, last = (_elements({name: kept[name] for name in part}) for part in parts)
        life = (_elements({"c": about["c"]}), _elements({"t": about["t"], "v": about["v"]}) + b"\x00")
        return cls(life, (first, middle + b"\x03data\x00", last + b"\x00"))

    def around(self, one: DocumentId, stored: bytes) -> bytes:
        if type(one) is ObjectId:
            in_id, beside = b"\x07d\x00" + one.binary, b"\x07doc_id\x00" + one.binary
        else:
            in_id, beside = _elements({"d": one}), _elements({"doc_id": one})
        (start, end), (first, middle, last) = self.life, self.elements
        of_life = _sized(start, in_id, end)
        return _sized(b"\x03_id\x00", of_life, first, beside, middle, stored, last)


def _sized(*parts: bytes) -> bytes:
    """A document of these parts, its end among them."""
    inside = b"".join(parts)
    return (len(inside) + 4).to_bytes(4, "little") + inside


def _elements(document: Document) -> bytes:
    """As they stand within a document that holds others besides."""
    return encode(document, codec_options=CODEC)[4:-1]


def content_of(kept: Mapping[str, Any]) -> Document:
    """The stored document that a record keeps."""
    content: Document = kept["data"]
    return content


def with_end(kept: Document, days: int, deleted_days: int) -> Document:
    """The record with the moment from which on it need not be kept; a deleted document's last content has the later."""
    last = max(days, deleted_days) if kept.get("gone") else days
    return {**kept, "expires": kept["ended"]["at"] + timedelta(days=last)}


def behind(kept: Document, former: Former | None) -> Document:
    """The same record with a number and an end behind those of a former life of its id."""
    if former is None:
        return kept
    number = max(kept["version"], former.next)
    ended = {**kept["ended"], "at": moment_after(kept["ended"]["at"], former.ended)}
    return {**kept, "_id": {**kept["_id"], "v": number}, "version": number, "ended": ended}


def marks_after(kept: Document) -> Document:
    """Of the state that begins when a kept one ends."""
    return {"_version": kept["version"] + 1, "_made": kept["ended"]}
