"""Revocations of tokens in `_pm_revocations`, and the number that tells gateways of a new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.principal import Revocations
from permission_mongo.storage.faults import refusing
from permission_mongo.values import Document

COLLECTION: Final = "_pm_revocations"
_NUMBER: Final = "generation"
_PATIENCE: Final = 5.0  # seconds at most; a silent server must not hold a caller's authentication


@dataclass(frozen=True, slots=True)
class Revocation:
    """Of one token, by its `jti`, or of a subject all tokens issued up to `before`. Moments are naive UTC.

    `expires_at` is when all of them have expired by themselves, where that is known: then the entry is removed.
    """

    kind: Literal["jti", "sub"]
    name: str
    before: datetime
    expires_at: datetime | None = None


class MongoRevocations:
    """Reads and writes revocations. `timeout` bounds a look, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float = _PATIENCE) -> None:
        self._collection = database[COLLECTION]
        self._patience = min(timeout, _PATIENCE)

    async def generation(self) -> int:
        with _asked(self._patience):
            found = await self._collection.distinct("number", {"_id": _NUMBER})  # one answer, and no cursor
        return int(found[0]) if found else 0

    async def in_force(self) -> Revocations:
        tokens, subjects = set[str](), dict[str, float]()
        with _asked(self._patience):
            async for one in self._collection.find({"kind": {"$in": ["jti", "sub"]}}):
                if one["kind"] == "jti":
                    tokens.add(one["name"])
                else:
                    subjects[one["name"]] = one["before"].replace(tzinfo=UTC).timestamp()
        return Revocations(frozenset(tokens), subjects)

    async def add(self, kind: Literal["jti", "sub"], name: str, before: datetime, lifetime: timedelta | None) -> None:
        """Revoke what was issued up to `before`; an earlier revocation never becomes less.

        With a `lifetime`, the longest of any token, MongoDB removes the entry once all of them have expired.
        """
        stages: list[Document] = [
            {"$set": {"kind": kind, "name": {"$literal": name}, "before": {"$max": ["$before", before]}}},
            {"$unset": "expires_at"}
            if lifetime is None
            else {"$set": {"expires_at": {"$add": ["$before", lifetime // timedelta(milliseconds=1)]}}},
        ]
        with refusing():
            await self._collection.create_index([("expires_at", 1)], name="ttl", expireAfterSeconds=0)
            await self._collection.update_one({"_id": f"{kind}:{name}"}, stages, upsert=True)
            # Behind the entry, so that nobody knows the number without it.
            await self._collection.update_one({"_id": _NUMBER}, {"$inc": {"number": 1}}, upsert=True)

    async def all(self) -> list[Revocation]:
        with refusing():
            found = self._collection.find({"kind": {"$in": ["jti", "sub"]}}, sort=[("before", 1), ("_id", 1)])
            return [_revocation(one) async for one in found]


@contextmanager
def _asked(seconds: float) -> Iterator[None]:
    with refusing(), pymongo.timeout(seconds):
        yield


def _revocation(found: dict[str, Any]) -> Revocation:
    return Revocation(found["kind"], found["name"], found["before"], found.get("expires_at"))
