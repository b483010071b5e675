"""Tamper evidence for the audit: what a seal is, and how one follows on another. Pure.

A seal lists entries of one tenant by their ids, with a digest of each, and holds the hash of the seal before it. An
entry takes part in no chain when it is written; a seal takes it in afterwards, whenever it came to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from bson import encode
from bson.binary import Binary
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId

from permission_mongo.values import CODEC, Document, MongoFilter

MOST_IN_ONE: Final = 10_000  # entries of a seal
DIGEST: Final = 16  # bytes
ID: Final = 12  # bytes of an ObjectId
NOTHING_BEFORE: Final = bytes(32)


def digest_of(entry: bytes) -> bytes:
    """Of an entry's BSON, byte for byte: the head of its SHA-256."""
    return sha256(entry).digest()[:DIGEST]


Times = tuple[datetime, datetime | None, datetime | None]  # `since`, `gone` and `swept` of a seal


@dataclass(frozen=True, slots=True)
class Head:
    """What the next seal of a tenant must know of the last one."""

    number: int
    hash: bytes = field(repr=False)
    since: datetime
    gone: datetime | None


@dataclass(frozen=True, slots=True)
class Seal:
    """The `number`th seal of a tenant, from 1 on. `ids` in ascending order, `digests` in that of the ids.

    Entries before `since` are in no seal: sealing began then. Those before `gone` may have been removed by their age.
    Whatever had come to be seen before `swept` was sealed when this one was made; seals of earlier versions lack it.
    """

    tenant: str | None
    number: int
    at: datetime
    since: datetime
    gone: datetime | None
    ids: tuple[bytes, ...] = field(repr=False)
    digests: tuple[bytes, ...] = field(repr=False)
    before: bytes = field(repr=False)
    hash: bytes = field(default=b"", repr=False)
    swept: datetime | None = None

    @property
    def head(self) -> Head:
        return Head(self.number, self.hash, self.since, self.gone)

    def stored(self) -> Document:
        return {**_content(self), "hash": Binary(self.hash)}


def sealed(
    tenant: str | None, head: Head | None, at: datetime, times: Times, entries: Iterable[tuple[bytes, bytes]]
) -> Seal:
    """The seal of these entries, ids with digests, behind another one. Of `since` and `gone` neither goes back."""
    since, gone, swept = times
    number, before = 1, NOTHING_BEFORE
    if head is not None:
        number, before, since = head.number + 1, head.hash, head.since
        gone = max((one for one in (gone, head.gone) if one is not None), default=None)
    ordered = sorted(entries)
    ids, digests = tuple(one for one, _ in ordered), tuple(digest for _, digest in ordered)
    seal = Seal(tenant, number, at, since, gone, ids, digests, before, swept=swept)
    return replace(seal, hash=hash_of(seal))


def hash_of(seal: Seal) -> bytes:
    """SHA-256 over all that the seal says, the hash of the one before included."""
    return sha256(encode(_content(seal), codec_options=CODEC)).digest()


def seal_id(tenant: str | None, number: Any) -> Document:
    """That it is unique keeps a chain from having two seals of one number."""
    return {"t": tenant, "n": number}


def seals_of(tenant: str | None) -> MongoFilter:
    return {"_id": {"$gte": seal_id(tenant, MinKey()), "$lte": seal_id(tenant, MaxKey())}}


def read_seal(stored: Document) -> Seal:
    """ValueError, KeyError or TypeError for a record that none of ours can be."""
    ids, digests = bytes(stored["ids"]), bytes(stored["digests"])
    if not ids or len(ids) % ID or len(digests) // DIGEST != len(ids) // ID or len(digests) % DIGEST:
        raise ValueError("ids and digests do not belong together")
    number, swept = stored["_id"]["n"], stored.get("swept")
    moments = (stored["at"], stored["since"], stored["gone"] or stored["at"], swept or stored["at"])
    if type(number) is not int or not all(isinstance(one, datetime) for one in moments):
        raise ValueError("numbers and moments are of other types")
    return Seal(
        stored["_id"]["t"],
        number,
        stored["at"],
        stored["since"],
        stored["gone"],
        tuple(_cut(ids, ID)),
        tuple(_cut(digests, DIGEST)),
        bytes(stored["before"]),
        bytes(stored["hash"]),
        swept,
    )


def _content(seal: Seal) -> Document:
    return {
        "_id": seal_id(seal.tenant, seal.number),
        "at": seal.at,
        "since": seal.since,
        "gone": seal.gone,
        "last": ObjectId(seal.ids[-1]),
        "ids": Binary(b"".join(seal.ids)),
        "digests": Binary(b"".join(seal.digests)),
        "before": Binary(seal.before),
        **({} if seal.swept is None else {"swept": seal.swept}),
    }


def _cut(whole: bytes, size: int) -> Iterable[bytes]:
    return (whole[n : n + size] for n in range(0, len(whole), size))
