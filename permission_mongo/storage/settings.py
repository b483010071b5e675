"""What the gateways of one database share: the secret that cursors and masks are keyed with."""

from __future__ import annotations

import secrets

from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.errors import StartupFailure
from permission_mongo.values import Document

COLLECTION = "_pm_settings"


async def shared_secret(database: AsyncDatabase[Document]) -> bytes:
    """32 random bytes, made by the first gateway that asks and kept by the database."""
    settings = database[COLLECTION]
    made = {"$setOnInsert": {"value": secrets.token_bytes(32)}}
    await settings.update_one({"_id": "secret"}, made, upsert=True)
    found = await settings.find_one({"_id": "secret"})
    if found is None:
        raise StartupFailure(f"{COLLECTION} does not keep what is written to it")
    return bytes(found["value"])
