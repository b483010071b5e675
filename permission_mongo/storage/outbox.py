"""What receivers are to be told, in `_pm_outbox`: written with the change it tells of, taken away once it is told.

An entry's `order` is the server's own time of the insert. Two writes of one document come one after the other, so the
entries of a line are told in the order of their commits. All moments are the server's: the clocks of the gateways need
not agree.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import pymongo
from bson import encode
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.events import Told
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.layout import OUTBOX
from permission_mongo.values import CODEC, Document, write_json

_AT_ONCE: Final = 8 * 2**20  # bytes of one command
_MOST_TRIED: Final = 100
_NOW: Final = "$$NOW"
_LISTED: Final = {"body": 0}


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry now this holder's to deliver. `attempts` counts this one, and is its fence."""

    id: ObjectId
    hook: str
    line: bytes
    body: bytes = field(repr=False)
    attempts: int
    made: datetime

    @property
    def message(self) -> str:
        """The id by which a receiver knows what it was told before."""
        return message_of(self.id)


def message_of(entry: ObjectId) -> str:
    return f"msg_{entry}"


@dataclass(frozen=True, slots=True)
class Stands:
    """How many entries wait, and how many were given up."""

    pending: int
    dead: int


async def entries(
    session: AsyncClientSession | None, database: AsyncDatabase[Document], told: Iterable[Told], now: datetime
) -> None:
    """Write what is to be told; in a session's transaction it is told if that is committed, and else never."""
    waiting: list[Document] = []
    size = 0
    for one in told:
        entry = _entry(one, now)
        length = len(entry["body"])
        if waiting and size + length > _AT_ONCE:
            await database[OUTBOX].insert_many(waiting, session=session)
            waiting, size = [], 0
        waiting.append(entry)
        size += length
    if waiting:
        await database[OUTBOX].insert_many(waiting, session=session)


def _entry(told: Told, now: datetime) -> Document:
    one = ObjectId()
    line = sha256(encode({"": list(told.line)}, codec_options=CODEC)).digest()
    return {
        "_id": one,
        "order": Timestamp(0, 0),  # MongoDB puts its own time here
        "hook": told.hook,
        "kind": told.kind,
        "line": line,
        "collection": told.collection,
        "document": told.document,
        "tenant_id": told.tenant,
        "body": write_json({"id": message_of(one), **told.content}).decode(),
        "at": now,
        "state": "pending",
        "attempts": 0,
        "due": now,
        "error": None,
    }


class Outbox:
    """One database's entries. `timeout` bounds each command, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float) -> None:
        self._database = database
        self._entries = database[OUTBOX]
        self._timeout = timeout

    async def add(self, session: AsyncClientSession | None, told: Iterable[Told], now: datetime) -> None:
        await entries(session, self._database, told, now)

    # -- delivering

    async def take(
        self, holder: str, hooks: Several[str], seconds: float, known: Several[str] | None = None
    ) -> Taken | None:
        """The entry for one of these hooks that has waited longest and is the first of its line, for some seconds.

        What is for none of the `known` hooks holds nobody up: it may be that there is no such hook any more.
        """
        match = {"state": "pending", "hook": {"$in": list(hooks)}, **_due()}
        with refusing(), pymongo.timeout(self._timeout):
            found = self._entries.find(match, {"line": 1, "order": 1}, sort=[("order", 1)], limit=_MOST_TRIED)
            passed: set[bytes] = set()
            for one in await found.to_list():
                if one["line"] in passed:
                    continue
                passed.add(one["line"])
                if (
                    await self._is_first(one, known or hooks)
                    and (taken := await self._take(one["_id"], holder, seconds)) is not None
                ):
                    return taken
        return None

    async def _is_first(self, one: Document, known: Several[str]) -> bool:
        """All behind one that waits for its next attempt wait with it, so that they stand in no other's way."""
        earlier = {
            "line": one["line"],
            "state": "pending",
            "order": {"$lt": one["order"]},
            "hook": {"$in": list(known)},
        }
        first = await self._entries.find_one(earlier, {"due": 1, "order": 1}, sort=[("order", 1)])
        if first is None:
            return True
        # Those behind it alone: its own attempt may have ended by now, and the next one be due sooner.
        after = {"order": {"$gt": first["order"]}, "due": {"$lt": first["due"]}}
        behind = {"line": one["line"], "state": "pending", **after}
        await self._entries.update_many(behind, {"$set": {"due": first["due"]}})
        if await self._entries.find_one({"_id": first["_id"], "state": "pending"}, {"_id": 1}) is None:
            # It was told just now: what made the next one due may have come before this put it off.
            await self._next(one["line"])
        return False

    async def _take(self, one: ObjectId, holder: str, seconds: float) -> Taken | None:
        taking = {"holder": {"$literal": holder}, "due": _in(seconds), "attempts": {"$add": ["$attempts", 1]}}
        found = await self._entries.find_one_and_update(
            {"_id": one, "state": "pending", **_due()},
            [{"$set": taking}],
            return_document=pymongo.ReturnDocument.AFTER,
        )
        if found is None:
            return None
        return Taken(one, found["hook"], found["line"], found["body"].encode(), found["attempts"], found["at"])

    async def delivered(self, taken: Taken, holder: str) -> None:
        """Take it away; the next of its line is due at once."""
        with refusing(), pymongo.timeout(self._timeout):
            await self._entries.delete_one(_mine(taken, holder))
            await self._next(taken.line)

    async def failed(self, taken: Taken, holder: str, error: str, pause: float) -> None:
        """It is tried again after so many seconds, and the rest of its line waits with it."""
        again = {"due": _in(pause), "error": {"$literal": error}, "holder": None}
        with refusing(), pymongo.timeout(self._timeout):
            await self._entries.update_one(_mine(taken, holder), [{"$set": again}])

    async def died(self, taken: Taken, holder: str, error: str) -> None:
        """Given up. It stays to be looked at, and stands in the way of none behind it."""
        with refusing(), pymongo.timeout(self._timeout):
            given_up = {"state": "dead", "error": error, "holder": None}
            await self._entries.update_one(_mine(taken, holder), {"$set": given_up})
            await self._next(taken.line)

    async def _next(self, line: bytes) -> None:
        """Not one that another already took: it would be told twice at once, and what follows it in between."""
        waiting = {"line": line, "state": "pending"}
        following = await self._entries.find_one(waiting, {"_id": 1}, sort=[("order", 1)])
        if following is not None:
            free = {"_id": following["_id"], "state": "pending", "holder": None}
            await self._entries.update_one(free, [{"$set": {"due": _NOW}}])

    async def stands(self) -> Stands:
        with refusing(), pymongo.timeout(self._timeout):
            pending = await self._entries.count_documents({"state": "pending"})
            return Stands(pending, await self._entries.count_documents({"state": "dead"}))

    # -- looked after

    async def recent(self, *, dead: bool, hook: str | None, limit: int) -> list[Document]:
        """Entries without their bodies, the oldest first."""
        with refusing(), pymongo.timeout(self._timeout):
            found = self._entries.find(_chosen(dead=dead, hook=hook), _LISTED, sort=[("order", 1)], limit=limit)
            return await found.to_list()

    async def find(self, one: ObjectId) -> Document | None:
        with refusing(), pymongo.timeout(self._timeout):
            return await self._entries.find_one({"_id": one})

    async def retry(self, ids: Several[ObjectId], *, dead: bool, hook: str | None) -> int:
        """Due at once, with all their attempts before them; but for those that are being told now."""
        free = {"$or": [{"state": "dead"}, {"holder": None}, _due()]}
        again = {"state": "pending", "due": _NOW, "attempts": 0}
        with refusing(), pymongo.timeout(self._timeout):
            done = await self._entries.update_many({**_these(ids, dead=dead, hook=hook), **free}, [{"$set": again}])
        return done.matched_count

    async def drop(self, ids: Several[ObjectId], *, dead: bool, hook: str | None) -> int:
        with refusing(), pymongo.timeout(self._timeout):
            return (await self._entries.delete_many(_these(ids, dead=dead, hook=hook))).deleted_count


def _due() -> Mapping[str, Any]:
    return {"$expr": {"$lte": ["$due", _NOW]}}


def _in(seconds: float) -> Document:
    return {"$add": [_NOW, int(seconds * 1000)]}


def _mine(taken: Taken, holder: str) -> Document:
    return {"_id": taken.id, "state": "pending", "attempts": taken.attempts, "holder": holder}


def _chosen(*, dead: bool, hook: str | None) -> Document:
    return {**({"state": "dead"} if dead else {}), **({} if hook is None else {"hook": {"$eq": hook}})}


def _these(ids: Several[ObjectId], *, dead: bool, hook: str | None) -> Document:
    return {**_chosen(dead=dead, hook=hook), **({"_id": {"$in": list(ids)}} if ids else {})}
