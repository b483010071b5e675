"""What the gateways of one database share: the secret of cursors and masks, and since when versions are kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.errors import StartupFailure
from permission_mongo.schema.model import Collection
from permission_mongo.values import Document

COLLECTION = "_pm_settings"
_SINCE = "versioned:"
_FOREVER: Final = 2**53  # days


async def shared_secret(database: AsyncDatabase[Document]) -> bytes:
    """32 random bytes, made by the first gateway that asks and kept by the database."""
    settings = database[COLLECTION]
    made = {"$setOnInsert": {"value": secrets.token_bytes(32)}}
    await settings.update_one({"_id": "secret"}, made, upsert=True)
    found = await settings.find_one({"_id": "secret"})
    if found is None:
        raise StartupFailure(f"{COLLECTION} does not keep what is written to it")
    return bytes(found["value"])


async def versioned_since(
    database: AsyncDatabase[Document], collections: Iterable[Collection], now: datetime
) -> dict[str, datetime]:
    """From when on all states of each collection with versions are kept, as far as the gateways saw.

    The first that serves it with all its states whole writes that down. One that keeps none, differences or a number of
    them ends it: the states of that time are not all known. A longer time to keep them begins anew, for what ended
    before goes by the shorter one.
    """
    settings, since = database[COLLECTION], dict[str, datetime]()
    for collection in collections:
        named = {"_id": f"{_SINCE}{collection.name}"}
        keeping = collection.keeping
        if not collection.versioned or keeping.differences or keeping.most is not None:
            await settings.delete_one(named)
            since |= {collection.name: now} if collection.versioned else {}
            continue
        await settings.update_one(named, _kept_since(now, keeping.days), upsert=True)
        found = await settings.find_one(named)
        if found is None:
            raise StartupFailure(f"{COLLECTION} does not keep what is written to it")
        since[collection.name] = found["at"]
    return since


def _kept_since(now: datetime, days: int | None) -> list[Document]:
    """The mark as it was, or `now` if there is none or versions stay longer from now on; with the `days` they stay."""
    is_longer = {"$lt": [{"$ifNull": ["$days", _FOREVER]}, _FOREVER if days is None else days]}
    at = {"$cond": [is_longer, now, {"$ifNull": ["$at", now]}]}
    return [{"$set": {"at": at}}, {"$unset": "days"} if days is None else {"$set": {"days": days}}]
