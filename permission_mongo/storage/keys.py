"""API keys in `_pm_keys`, found by their public prefix."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.principal import KeyRecord
from permission_mongo.storage.faults import refusing
from permission_mongo.values import Document

COLLECTION = "_pm_keys"
_PATIENCE = 5.0  # seconds at most; a silent server must not hold a caller's authentication


class MongoKeyStore:
    """Reads and writes key records; it never sees a secret. `timeout` bounds a look, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float = _PATIENCE) -> None:
        self._collection = database[COLLECTION]
        self._patience = min(timeout, _PATIENCE)

    async def find_key(self, prefix: str) -> KeyRecord | None:
        with refusing(), pymongo.timeout(self._patience):
            found = await self._collection.find_one({"_id": {"$eq": prefix}})
        return None if found is None else _record(found)

    async def add(self, record: KeyRecord) -> None:
        stored = {
            "_id": record.prefix,
            "secret_hash": record.secret_hash,
            "subject": record.subject,
            "tenant": record.tenant,
            "roles": list(record.roles),
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "revoked_at": None,
            "namespaces": list(record.namespaces),
        }
        with refusing():
            await self._collection.insert_one(stored)

    async def all(self) -> list[KeyRecord]:
        with refusing():
            return [_record(found) async for found in self._collection.find({}, sort=[("created_at", 1)])]

    async def revoke(self, prefix: str, now: datetime) -> bool:
        """Whether there was such a key. A key once revoked keeps its first moment."""
        matched = {"_id": {"$eq": prefix}}
        with refusing():
            await self._collection.update_one({**matched, "revoked_at": None}, {"$set": {"revoked_at": now}})
            return await self._collection.find_one(matched, {"_id": 1}) is not None


def _record(found: dict[str, Any]) -> KeyRecord:
    return KeyRecord(
        found["_id"],
        bytes(found["secret_hash"]),
        found["subject"],
        found["tenant"],
        tuple(found["roles"]),
        found["created_at"],
        found["expires_at"],
        found["revoked_at"],
        tuple(found.get("namespaces", ())),
    )
