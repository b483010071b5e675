"""What can be undone of one part of a batch, by what the caller sees and may today."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pymongo
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.errors import Conflict, Forbidden, Refusal
from permission_mongo.plans import UndoPlan
from permission_mongo.storage.chains import content_of
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.ledger import records_of
from permission_mongo.storage.reverts import CHANGED
from permission_mongo.storage.revivals import TAKEN
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.values import Document, DocumentId, MongoFilter

Kept = dict[DocumentId, Document]  # the ids of records, by those of their documents


@dataclass(frozen=True, slots=True)
class Undoable:
    """`gone` are documents to restore and `changed` those to put back, with the ids of their records; `made` are live
    ones to remove. `failed` are seen, and can't be undone. A batch did one of these; an undo of it, the opposite.
    """

    gone: Kept = field(default_factory=dict)
    changed: Kept = field(default_factory=dict)
    made: tuple[DocumentId, ...] = ()
    failed: dict[DocumentId, Refusal] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.gone) + len(self.changed) + len(self.made)

    @property
    def seen(self) -> int:
        return self.count + len(self.failed)

    def and_(self, other: Undoable) -> Undoable:
        return Undoable(
            {**self.gone, **other.gone},
            {**self.changed, **other.changed},
            (*self.made, *other.made),
            {**self.failed, **other.failed},
        )


class Look:
    """Each part is looked at by itself, within a deadline of its own."""

    def __init__(self, plan: UndoPlan, rooms: Rooms) -> None:
        self._plan = plan
        self._rooms = rooms

    async def at(self, part: Document) -> Undoable:
        with pymongo.timeout(self._rooms.timeout):
            if part["action"] == "delete":
                return await self._at_deleted(records_of(part))
            if not (kept := records_of(part)):
                return Undoable() if part["action"] == "update" else await self._at_made(part["ids"])
        return await self._at_changed(kept)

    # -- deleted

    async def _at_deleted(self, kept: Kept) -> Undoable:
        reviving = self._plan.reviving
        if reviving.visible.is_empty or not kept:
            return Undoable()
        these: MongoFilter = {"_id": {"$in": list(kept.values())}}
        about = {"doc_id": 1, "gone": 1}
        found = self._rooms.versions.find(reviving.visible.also(these), about, sort=[("_id", 1)], hint=BY_ID)
        seen = await found.to_list()
        may: set[DocumentId] = set()
        if not reviving.match.is_empty:
            allowed = self._rooms.versions.find(reviving.match.also(these), {"doc_id": 1}, hint=BY_ID)
            may = {one["doc_id"] for one in await allowed.to_list()}
        ended = [one for one in seen if one.get("gone")]
        failed: dict[DocumentId, Refusal] = {
            one["doc_id"]: self._forbidden("restore") for one in ended if one["doc_id"] not in may
        }
        lives_again = await self._visible_live([one["doc_id"] for one in seen if not one.get("gone")])
        failed |= {one: Conflict(TAKEN) for one in lives_again}
        return Undoable(gone={one["doc_id"]: one["_id"] for one in ended if one["doc_id"] in may}, failed=failed)

    # -- changed

    async def _at_changed(self, kept: Kept) -> Undoable:
        """Where both states are visible. A document that another write changed since stays."""
        plan = self._plan.reverting
        if plan.visible_former.is_empty or plan.visible.is_empty:
            return Undoable()
        with pymongo.timeout(self._rooms.timeout):
            former = await self._former(kept)
            may = await self._allowed(kept) & await self._replaceable(former)
            about = {"_version": 1, "_made.batch": 1}
            live = await self._live().find(plan.visible.among(former), about, sort=[("_id", 1)], hint=BY_ID).to_list()
        changed: Kept = {}
        failed: dict[DocumentId, Refusal] = {}
        for row in live:
            one: DocumentId = row["_id"]
            record = former[one]
            if record["mode"] != "full":
                if await self._admits(record):
                    failed[one] = Conflict(CHANGED)
            elif not self._is_as_left(row, record):
                failed[one] = Conflict(CHANGED)
            elif one in may:
                changed[one] = kept[one]
            else:
                failed[one] = self._forbidden("restore")
        return Undoable(changed=changed, failed=failed)

    async def _former(self, kept: Kept) -> dict[DocumentId, Document]:
        """Those of the kept states that may be seen, and those of which their contents are still to tell."""
        match = self._plan.reverting.visible_former.listed.also(self._ended_by(kept))
        found = self._rooms.versions.find(match, {"doc_id": 1, "version": 1, "mode": 1}, hint=BY_ID)
        return {one["doc_id"]: one async for one in found}

    async def _allowed(self, kept: Kept) -> set[DocumentId]:
        former = self._plan.reverting.former
        if former.is_empty:
            return set()
        found = self._rooms.versions.find(former.also(self._ended_by(kept)), {"doc_id": 1}, hint=BY_ID)
        return {one["doc_id"] async for one in found}

    async def _replaceable(self, ids: Iterable[DocumentId]) -> set[DocumentId]:
        """Those of the live documents over which the old state may be written."""
        if self._plan.reverting.match.is_empty:
            return set()
        found = self._live().find(self._plan.reverting.match.among(ids), {"_id": 1}, hint=BY_ID)
        return {row["_id"] async for row in found}

    def _ended_by(self, kept: Kept) -> MongoFilter:
        return {"_id": {"$in": list(kept.values())}, "ended.batch": {"$eq": self._plan.undone}}

    async def _admits(self, record: Document) -> bool:
        """Of a state that a later write cut to a difference: the rules are asked of what it stands for."""
        with pymongo.timeout(self._rooms.timeout):
            content = await content_of(self._rooms.raw(VERSIONS), record)
        return content is not None and self._plan.reverting.visible_former.admits(content)

    def _is_as_left(self, row: Document, record: Document) -> bool:
        mark = row.get("_made")
        batch = mark.get("batch") if isinstance(mark, dict) else None
        return batch == self._plan.undone and row.get("_version") == record["version"] + 1

    # -- made

    async def _at_made(self, made: list[DocumentId]) -> Undoable:
        """A document that another write changed since stays."""
        visible = await self._visible_live(made)
        if not visible:
            return Undoable()
        unchanged = {"_id": {"$in": visible}, "_made.batch": {"$eq": self._plan.undone}}
        found = self._live().find(self._plan.visible.also(unchanged), {"_id": 1})
        still = {one["_id"] for one in await found.to_list()}
        failed: dict[DocumentId, Refusal] = {one: Conflict(CHANGED) for one in visible if one not in still}
        if self._plan.removing is not None:
            return Undoable(made=tuple(one for one in visible if one in still), failed=failed)
        return Undoable(failed={one: failed.get(one, self._forbidden("delete")) for one in visible})

    async def _visible_live(self, ids: list[DocumentId]) -> list[DocumentId]:
        if not ids or self._plan.visible.is_empty:
            return []
        found = self._live().find(self._plan.visible.among(ids), {"_id": 1}, sort=[("_id", 1)])
        return [one["_id"] for one in await found.to_list()]

    def _live(self) -> AsyncCollection[dict[str, Any]]:
        return self._rooms.live(self._plan.target.collection)

    def _forbidden(self, action: str) -> Forbidden:
        name = self._plan.target.collection
        verb = {"restore": "restoring", "delete": "deleting"}[action]
        return Forbidden(f"no rule of your roles allows {verb} this document", action=action, collection=name)
