"""Audit entries as their readers ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from bson.objectid import ObjectId

from permission_mongo.auditing import AuditPage, AuditPlan
from permission_mongo.portions import last_of
from permission_mongo.storage.connection import Database
from permission_mongo.storage.layout import AUDIT
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, MongoFilter

MOST_IDS: Final = 100  # of an entry that are told; its count tells how many there are
_SHOWN: Final = {"ids": {"$slice": MOST_IDS}}


async def audit_page(plan: AuditPlan, rooms: Rooms) -> AuditPage:
    """By key, newest first: any depth costs the same."""
    match = plan.match if plan.after is None else {"$and": [plan.match, {"_id": {"$lt": plan.after}}]}
    async with rooms.bounded():
        asked = {"filter": match, "projection": _SHOWN, "sort": {"_id": -1}}
        found = await rooms.few(AUDIT, asked, plan.limit, plan.max_bytes)
        rows, more = found if found is not None else await _read(plan, match, rooms)
    last = last_of(rows)["_id"] if more else None
    return AuditPage(tuple(rows), last if isinstance(last, ObjectId) else None, more)


async def _read(plan: AuditPlan, match: Document, rooms: Rooms) -> tuple[list[Document], bool]:
    """What one answer does not hold whole."""
    cursor = rooms.audit.stored.find(
        match,
        _SHOWN,
        sort=[("_id", -1)],
        limit=plan.limit + 1,
        batch_size=plan.limit + 1,
        max_time_ms=rooms.max_time_ms,
    )
    rows = await cursor.to_list()
    return rows[: plan.limit], len(rows) > plan.limit


async def raw_entries(database: Database, match: MongoFilter, *, newest: bool, limit: int) -> AsyncIterator[Document]:
    """All that is kept, for who has the database itself. `limit` 0 means all."""
    async for one in database[AUDIT].find(match, sort=[("_id", -1 if newest else 1)], limit=limit):
        yield one
