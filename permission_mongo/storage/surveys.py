"""Documents read to be counted, within what a plan lets be looked at; none of them leaves the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pymongo

from permission_mongo.audit import entry
from permission_mongo.explanations import SurveyPlan
from permission_mongo.plans import Actor
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document

_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a database. All of it has one deadline."""

    plan: SurveyPlan
    rooms: Rooms

    async def size(self, name: str) -> int:
        rows = self.plan.rows[name]
        if rows.is_empty:
            return 0
        return await self.rooms.live(name).count_documents(rows.filter, maxTimeMS=self.rooms.max_time_ms)

    async def edges(self, name: str, count: int) -> tuple[Document, ...]:
        """The first documents and the last, by id."""
        found: dict[str, Document] = {}
        for way in (1, -1):
            stages: list[dict[str, Any]] = [
                {"$match": self.plan.rows[name].filter},
                {"$sort": {"_id": way}},
                {"$limit": count},
            ]
            async for document in self._asked(name, stages):
                found[repr(document["_id"])] = document
        return tuple(found.values())

    def documents(self, name: str, size: int, most: int, fields: Iterable[str] | None) -> AsyncIterator[Document]:
        """All of them, or, of more than `most`, about so many by chance; of each the top-level `fields`, or all."""
        stages: list[dict[str, Any]] = [{"$match": self.plan.rows[name].filter}]
        if size > most:
            stages.append({"$match": {"$sampleRate": most / size}})
        if fields is not None:
            stages.append({"$project": {"_id": 1, **dict.fromkeys(sorted(fields), 1)}})
        return self._asked(name, stages)

    async def _asked(self, name: str, stages: list[dict[str, Any]]) -> AsyncIterator[Document]:
        if self.plan.rows[name].is_empty:
            return
        raw = self.rooms.raw(name)
        async with await raw.aggregate(stages, batchSize=_AT_A_TIME, maxTimeMS=self.rooms.max_time_ms) as cursor:
            async for one in cursor:
                yield document_of(one.raw)


@asynccontextmanager
async def surveying(plan: SurveyPlan, actor: Actor, rooms: Rooms) -> AsyncIterator[Survey]:
    """Nothing is looked at that is not in the audit already."""
    with refusing(), pymongo.timeout(rooms.timeout):
        async with rooms.turn():
            if plan.audited:
                await rooms.audit.insert_one({**entry(actor, "policy_diff", "", []), "asked": {"live": True}})
            yield Survey(plan, rooms)
