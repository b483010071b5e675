"""What the gateways of one database share: the secret of cursors and masks, and since when versions are kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.errors import StartupFailure
from permission_mongo.schema.model import Collection
from permission_mongo.values import Document

COLLECTION = "_pm_settings"
_SINCE = "versioned:"


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
    """From when on each collection with versions has kept them without a break, as far as the gateways saw.

    The first that serves it with versions writes that down, and one that serves it without ends it: the states of that
    time are not known.
    """
    settings, since = database[COLLECTION], dict[str, datetime]()
    for collection in collections:
        named = {"_id": f"{_SINCE}{collection.name}"}
        if not collection.versioned:
            await settings.delete_one(named)
            continue
        await settings.update_one(named, {"$setOnInsert": {"at": now}}, upsert=True)
        found = await settings.find_one(named)
        if found is None:
            raise StartupFailure(f"{COLLECTION} does not keep what is written to it")
        since[collection.name] = found["at"]
    return since
