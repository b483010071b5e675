"""Versions kept as differences, and how many are kept.

A record is written whole. When the next one comes, the one before it is cut to what leads back from there, in the same
transaction. So the newest is always whole, nothing hangs on the live document, which others may change, and whatever
is taken from the old end leaves the rest readable. Every twentieth stays whole, and so does every deletion's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from bson import decode_all, encode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.documents.backsteps import Backstep, backstep, stepped_back
from permission_mongo.storage.decoding import document_of
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
        # Cut as they come, one answer of MongoDB after the other: no more of them is held than it holds.
        async for batch in versions.find_raw_batches(match, {"data": 1}, batch_size=len(ids) + 1, session=session):
            cuts = await _cuts(decode_all(cast("bytes", batch), versions.codec_options), after)
            if cuts:
                await versions.bulk_write(cuts, session=session)


async def _cuts(rows: list[RawBSONDocument], after: Mapping[tuple[bytes, int], Document]) -> list[UpdateOne]:
    found: list[UpdateOne] = []
    for row in rows:
        cut = _cut(row, after[_key(row["_id"])])
        if cut is not None:
            found.append(cut)
        await asyncio.sleep(0)  # other requests wait meanwhile
    return found


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
    """Keep `most` records of each document that one was just stored of: the newest.

    From the old end, and not all that is superfluous at once: a hundred a write, of many documents two of each. So the
    first write after `most` was set is no longer than others, and a history that is too long shrinks with each.
    """
    # A document with so low a number can't have more.
    lives = [one["_id"] for one in records if one["version"] >= most]
    goes = max(2, _AT_ONCE // max(len(lives), 1))
    while lives:
        asked, lives = lives[:_AT_ONCE], lives[_AT_ONCE:]
        read = len(asked) * (most + 1) + _AT_ONCE
        ranges = [life_of(one["c"], one["d"], one["t"]) for one in asked]
        match = ranges[0] if len(ranges) == 1 else {"$or": ranges}
        rows = await versions.find(match, {"_id": 1}, sort=[("_id", 1)], limit=read, session=session).to_list()
        met: dict[bytes, list[Document]] = {}
        for row in rows:
            met.setdefault(_life(row["_id"]), []).append(row["_id"])
        superfluous = [one for ids in met.values() for one in ids[: max(len(ids) - most, 0)][:goes]]
        if superfluous:
            await versions.delete_many({"_id": {"$in": superfluous}}, session=session)
        if len(rows) == read:
            lives += [one for one in asked if _life(one) not in met]  # they stand behind one that has many


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
    return None if found is None else document_of(found)


def _up_to_whole(rows: list[RawBSONDocument]) -> list[RawBSONDocument]:
    whole = next((n for n, row in enumerate(rows) if row["mode"] == "full"), len(rows))
    return rows[: whole + 1]
