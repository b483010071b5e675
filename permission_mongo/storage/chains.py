"""Versions kept as differences, and how many are kept.

A record is written whole. When the next one comes, the one before it is cut to what leads back from there, in the same
transaction. So the newest is always whole, nothing hangs on the live document, which others may change, and whatever
is taken from the old end leaves the rest readable. Every twentieth stays whole, and so does every deletion's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bson import decode, encode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.documents.backsteps import Backstep, backstep, stepped_back
from permission_mongo.values import CODEC, Document
from permission_mongo.versions import life_of

WHOLE_EVERY: Final = 20
_AT_ONCE: Final = 100
Session = AsyncClientSession | None
Raw = AsyncCollection[RawBSONDocument]


async def thin(versions: Raw, session: AsyncClientSession, records: Iterable[Document]) -> None:
    """Cut the records before these, which were just stored, to what leads back to them; where it saves something."""
    after = {_key(_before(one)): one for one in records if (one["version"] - 1) % WHOLE_EVERY}
    newer = list(after.values())
    for n in range(0, len(newer), _AT_ONCE):
        ids = [_before(one) for one in newer[n : n + _AT_ONCE]]
        match = {"_id": {"$in": ids}, "mode": "full", "ended.action": {"$ne": "delete"}}
        rows = await versions.find(match, {"data": 1}, session=session).to_list()
        cuts = [cut for row in rows if (cut := _cut(row, after[_key(row["_id"])])) is not None]
        if cuts:
            await versions.bulk_write(cuts, session=session)


def _before(record: Document) -> Document:
    return {**record["_id"], "v": record["version"] - 1}


def _key(record_id: Mapping[str, Any]) -> tuple[bytes, int]:
    return _life(record_id), int(record_id["v"])


def _life(record_id: Mapping[str, Any]) -> bytes:
    """One for all records of one document of one tenant."""
    return encode({"d": record_id["d"], "t": record_id["t"]}, codec_options=CODEC)


def _cut(row: RawBSONDocument, newer: Document) -> UpdateOne | None:
    older = bytes(row["data"].raw)  # the driver may hand out a view of its own buffer
    step = backstep(bytes(newer["data"].raw), older)
    if step.size >= len(older):
        return None
    return UpdateOne({"_id": row["_id"]}, {"$set": {"mode": "diff", "changes": step.as_bson()}, "$unset": {"data": ""}})


async def prune(
    versions: AsyncCollection[Document], session: AsyncClientSession, records: Iterable[Document], most: int
) -> None:
    """Keep `most` records of each document that one was just stored of: the newest."""
    # A document with so low a number can't have more.
    lives = [one["_id"] for one in records if one["version"] >= most]
    for n in range(0, len(lives), _AT_ONCE):
        ranges = [life_of(one["c"], one["d"], one["t"]) for one in lives[n : n + _AT_ONCE]]
        match = ranges[0] if len(ranges) == 1 else {"$or": ranges}
        found = await versions.find(match, {"_id": 1}, sort=[("_id", -1)], session=session).to_list()
        kept: dict[bytes, int] = {}
        superfluous: list[Document] = []
        for row in found:
            life = _life(row["_id"])
            kept[life] = kept.get(life, 0) + 1
            if kept[life] > most:
                superfluous.append(row["_id"])
        if superfluous:
            await versions.delete_many({"_id": {"$in": superfluous}}, session=session)


class Chain:
    """Records of one document read from the newest down, each with the content that it stands for."""

    def __init__(self) -> None:
        self._newer: dict[bytes, tuple[int, bytes | None]] = {}

    def content(self, row: RawBSONDocument) -> bytes | None:
        """The bytes that were stored; None where what they are made of is not there, or is another than it was."""
        life, number = _life(row["_id"]), row["version"]
        found = bytes(row["data"].raw) if row["mode"] == "full" else self._back(life, number, row)
        self._newer[life] = (number, found)
        return found

    def _back(self, life: bytes, number: int, row: RawBSONDocument) -> bytes | None:
        above, newer = self._newer.get(life, (0, None))
        if newer is None or above != number + 1:
            return None
        try:
            return stepped_back(newer, Backstep.from_bson(row["changes"]))
        except ValueError:
            return None


async def content_of(versions: Raw, record: Document, session: Session = None) -> Document | None:
    """The content of one record, whichever way it is kept; None where it can't be put together."""
    if record["mode"] == "full":
        whole: Document = record["data"]
        return whole
    about, number = record["_id"], record["version"]
    match = life_of(about["c"], about["d"], about["t"], number, number + WHOLE_EVERY)
    rows = await versions.find(match, sort=[("_id", 1)], session=session).to_list()
    chain, found = Chain(), None
    for row in reversed(_up_to_whole(rows)):
        found = chain.content(row)
    return None if found is None else decode(found, CODEC)


def _up_to_whole(rows: list[RawBSONDocument]) -> list[RawBSONDocument]:
    whole = next((n for n, row in enumerate(rows) if row["mode"] == "full"), len(rows))
    return rows[: whole + 1]
