"""Undo: what a batch deleted lives again, what it changed is put back, what it made is removed.

What others changed since is listed.

Undo is itself a batch: it takes version numbers, has an id, and can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pymongo
from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, PyMongoError

from permission_mongo.batch import without
from permission_mongo.errors import BatchNotFound, Conflict, Forbidden, InvalidRequest, Refusal
from permission_mongo.outcomes import BatchOutcome, Failure, Item
from permission_mongo.plans import Actor, DeletePlan, RevertPlan, UndoPlan
from permission_mongo.storage.deletes import delete_many
from permission_mongo.storage.faults import duplicate_index, told_or_raised
from permission_mongo.storage.ledger import Ledger, records_of
from permission_mongo.storage.reverts import CHANGED, revert_many
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.storage.transactions import Contended, Late, Lost
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import TICK, content_of, made

_TAKEN = "a document with this id or key lives again"


async def undo(plan: UndoPlan, actor: Actor, rooms: Rooms) -> BatchOutcome:
    """Works on, counts and lists only documents that the caller can see today. BatchNotFound if there is none."""
    undoing = _Undoing(plan, actor, rooms)
    await undoing.look()
    if not undoing.sees_anything:
        raise BatchNotFound(f"no such batch in {plan.target.collection}", collection=plan.target.collection)
    undoing.require_at_most(plan.batch.max_affected)
    if plan.batch.atomic and undoing.count > plan.target.chunk:
        raise InvalidRequest("'atomic' is for at most one chunk", max_batch_size=plan.target.chunk)
    if plan.batch.atomic and undoing.failed:
        raise undoing.first_refusal()
    await undoing.restore()
    await undoing.revert()
    await undoing.remove()
    await undoing.note_rehearsal()
    return undoing.outcome()


@dataclass(slots=True)
class _Undoing:
    """One undo on its way: `gone` are documents to restore and `changed` those to put back, by them their records.

    `alive` are live ones to remove. A batch did one of these; an undo of it, the opposite.
    """

    plan: UndoPlan
    actor: Actor
    rooms: Rooms
    gone: dict[DocumentId, Document] = field(default_factory=dict)
    changed: dict[DocumentId, Document] = field(default_factory=dict)
    alive: list[DocumentId] = field(default_factory=list)
    failed: dict[DocumentId, Refusal] = field(default_factory=dict)
    restored: list[DocumentId] = field(default_factory=list)
    removed: list[DocumentId] = field(default_factory=list)
    stopped: Refusal | None = None

    @property
    def sees_anything(self) -> bool:
        return bool(self.count or self.failed)

    @property
    def count(self) -> int:
        return len(self.gone) + len(self.changed) + len(self.alive)

    def require_at_most(self, most: int | None) -> None:
        if most is not None and self.count > most:
            raise InvalidRequest(f"more than {most} documents would change; nothing did", matched_at_least=most + 1)

    # -- what there is to undo

    async def look(self) -> None:
        about = {"batch": {"$eq": self.plan.undone}, "collection": self.plan.target.collection}
        with pymongo.timeout(self.rooms.timeout):
            async for part in self.rooms.parts.find(about, sort=[("_id", 1)]):
                if part["action"] == "delete":
                    await self._look_at_deleted(records_of(part))
                elif kept := records_of(part):
                    await self._look_at_changed(kept)
                elif part["action"] != "update":
                    await self._look_at_made(part["ids"])

    async def _look_at_deleted(self, kept: dict[DocumentId, Document]) -> None:
        plan = self.plan
        if plan.visible_records.is_empty or not kept:
            return
        these = {"_id": {"$in": list(kept.values())}}
        about = {"doc_id": 1, "gone": 1}
        found = self.rooms.versions.find(plan.visible_records.also(these), about, sort=[("_id", 1)], hint=BY_ID)
        seen = await found.to_list()
        may: set[DocumentId] = set()
        if not plan.records.is_empty:
            allowed = self.rooms.versions.find(plan.records.also(these), {"doc_id": 1}, hint=BY_ID)
            may = {one["doc_id"] for one in await allowed.to_list()}
        self.gone |= {one["doc_id"]: one["_id"] for one in seen if one["doc_id"] in may and one.get("gone")}
        for one in seen:
            if one.get("gone") and one["doc_id"] not in may:
                self.failed[one["doc_id"]] = self._forbidden("restore")
        lives_again = [one["doc_id"] for one in seen if not one.get("gone")]
        for visible in await self._visible_live(lives_again):
            self.failed[visible] = Conflict(_TAKEN)

    async def _look_at_changed(self, kept: dict[DocumentId, Document]) -> None:
        """Where both states are visible. A document that another write changed since stays."""
        plan = self.plan
        if plan.visible_former.is_empty or plan.visible_made.is_empty:
            return
        seen = await self._former(kept, visible=True)
        may = await self._former(kept, visible=False)
        about = {"_version": 1, "_made.batch": 1}
        found = self._live().find(plan.visible_made.among(seen), about, sort=[("_id", 1)], hint=BY_ID)
        async for row in found:
            one: DocumentId = row["_id"]
            batch = row["_made"].get("batch") if isinstance(row.get("_made"), dict) else None
            if batch != plan.undone or row.get("_version") != seen[one] + 1:
                self.failed[one] = Conflict(CHANGED)
            elif one in may:
                self.changed[one] = kept[one]
            else:
                self.failed[one] = self._forbidden("restore")

    async def _former(self, kept: dict[DocumentId, Document], *, visible: bool) -> dict[DocumentId, int]:
        """The numbers of those of the kept states that may be seen, or put back, by their documents."""
        records = self.plan.visible_former if visible else self.plan.former
        if records.is_empty:
            return {}
        these = records.also({"_id": {"$in": list(kept.values())}})
        found = self.rooms.versions.find(these, {"doc_id": 1, "version": 1}, hint=BY_ID)
        return {one["doc_id"]: one["version"] async for one in found}

    async def _look_at_made(self, made: list[DocumentId]) -> None:
        """A document that another write changed since stays."""
        visible = await self._visible_live(made)
        if not visible:
            return
        unchanged = {"_id": {"$in": visible}, "_made.batch": self.plan.undone}
        found = self._live().find(self.plan.visible_made.also(unchanged), {"_id": 1})
        still = {one["_id"] for one in await found.to_list()}
        for one in visible:
            if one not in still:
                self.failed[one] = Conflict(CHANGED)
            elif self.plan.may_delete:
                self.alive.append(one)
            else:
                self.failed[one] = self._forbidden("delete")

    async def _visible_live(self, ids: list[DocumentId]) -> list[DocumentId]:
        if not ids or self.plan.visible_made.is_empty:
            return []
        found = self._live().find(self.plan.visible_made.among(ids), {"_id": 1}, sort=[("_id", 1)])
        return [one["_id"] for one in await found.to_list()]

    def _live(self) -> pymongo.asynchronous.collection.AsyncCollection[Document]:
        return self.rooms.live(self.plan.target.collection)

    def _forbidden(self, action: str) -> Forbidden:
        name = self.plan.target.collection
        verb = {"restore": "restoring", "delete": "deleting"}[action]
        return Forbidden(f"no rule of your roles allows {verb} this document", action=action, collection=name)

    def first_refusal(self) -> Refusal:
        first = next(iter(self.failed.values()))
        failed = [{"id": one, "error": refusal.as_entry()} for one, refusal in self.failed.items()]
        return type(first)(f"nothing was put back: {first.message}", **first.details, failed=failed)

    # -- deleted documents live again

    async def restore(self) -> None:
        size = self.plan.target.chunk
        ids = list(self.gone)
        for n in range(0, len(ids), size):
            try:
                last = n + size >= len(ids) and not self.alive and not self.changed
                await self._restore(ids[n : n + size], last=last)
            except (PyMongoError, Contended, Late, Lost) as error:
                self.stopped = told_or_raised(error, after_some=bool(self.restored))
                left = without(ids, [*self.restored, *self.failed])
                self.failed |= dict.fromkeys(left, self.stopped)
                return

    async def _restore(self, ids: list[DocumentId], *, last: bool) -> None:
        """A duplicate key takes its document out and the rest runs again; atomic, it ends the whole."""
        while ids:
            try:
                done = await self._transaction(ids, last)
            except BulkWriteError as error:
                taken = duplicate_index(error)
                if taken is None:
                    raise
                inserted = (error.details or {})["writeErrors"][0]["op"]["_id"]
                self.failed[inserted] = Conflict(_TAKEN)
                if self.plan.batch.atomic:
                    raise self.first_refusal() from error
                ids = list(without(ids, [inserted]))
            else:
                self._add_restored(ids, done)
                return

    def _add_restored(self, ids: list[DocumentId], done: list[DocumentId]) -> None:
        self.restored += done
        self.failed |= dict.fromkeys(without(ids, done), Conflict(CHANGED))

    def _copy(self) -> _Undoing:
        return replace(self, failed=dict(self.failed), restored=list(self.restored))

    async def _transaction(self, ids: list[DocumentId], final: bool) -> list[DocumentId]:
        part = ObjectId()
        batch = self.plan.batch
        ledger = Ledger(self.rooms, self.actor, self.plan.target, batch)

        async def body(session: AsyncClientSession) -> list[DocumentId]:
            # Asked again inside: what left the caller's reach since the look is not put back.
            match = self.plan.records.also({"_id": {"$in": [self.gone[one] for one in ids]}})
            records = await self.rooms.versions.find(match, hint=BY_ID, session=session).to_list()
            if batch.atomic and len(records) < len(ids):
                raise Conflict(f"nothing was put back: {CHANGED}")
            if not records:
                return []
            await self._live().insert_many([self._again(one) for one in records], session=session)
            kept = {"_id": {"$in": [one["_id"] for one in records]}}
            await self.rooms.revive(session, kept, self.plan.target.keeping)
            done = [one["doc_id"] for one in records]
            await ledger.note(session, part, "restore", done)
            return done

        def told(done: list[DocumentId]) -> BatchOutcome:
            so_far = self._copy()
            so_far._add_restored(ids, done)
            return so_far.outcome()

        return await self.rooms.transactor.run(
            ledger.once(body, told, final=final),
            deadline=self.rooms.deadline(),
            proof=ledger.proof(part),
            commit=not batch.dry_run,
        )

    def _again(self, record: Document) -> Document:
        """The last content whole, with the number behind its deletion's."""
        batch = self.plan.batch
        at = max(self.actor.now, record["ended"]["at"] + TICK)
        mark = made("restore", self.actor.subject, at, batch.reason, batch.id)
        return {**content_of(record), "_version": record["version"] + 2, "_made": mark}

    # -- changed documents are put back, made ones removed

    async def revert(self) -> None:
        if not self.changed or self.stopped is not None:
            return
        plan = self.plan
        reverting = RevertPlan(plan.target, plan.changed, plan.visible_made, plan.former, self.changed, plan.batch)
        outcome = await revert_many(reverting, self.actor, self.rooms, self._told_reverted)
        self._add_reverted(outcome)

    def _told_reverted(self, outcome: BatchOutcome) -> BatchOutcome:
        so_far = self._copy()
        so_far._add_reverted(outcome)
        return so_far.outcome()

    def _add_reverted(self, outcome: BatchOutcome) -> None:
        self.restored += outcome.done
        self._add_failures(outcome, list(self.changed))

    async def remove(self) -> None:
        if not self.alive or self.stopped is not None:
            return
        plan = self.plan
        deletion = DeletePlan(plan.target, plan.made, plan.visible_made, tuple(self.alive), plan.batch)
        self._add_removed(await delete_many(deletion, self.actor, self.rooms, self._told_with))

    def _told_with(self, outcome: BatchOutcome) -> BatchOutcome:
        so_far = self._copy()
        so_far._add_removed(outcome)
        return so_far.outcome()

    def _add_removed(self, outcome: BatchOutcome) -> None:
        self.removed = list(outcome.done)
        self._add_failures(outcome, self.alive)

    def _add_failures(self, outcome: BatchOutcome, asked: list[DocumentId]) -> None:
        self.failed |= {failure.id: failure.refusal for failure in outcome.failed if failure.id is not None}
        self.failed |= dict.fromkeys(outcome.missing, Conflict(CHANGED))
        if outcome.stopped is not None:
            self.stopped = outcome.stopped
            left = without(asked, [*outcome.done, *self.failed])
            self.failed |= dict.fromkeys(left, outcome.stopped)

    async def note_rehearsal(self) -> None:
        if self.plan.batch.dry_run:
            ledger = Ledger(self.rooms, self.actor, self.plan.target, self.plan.batch)
            await ledger.note_rehearsal("undo", [*self.restored, *self.removed])

    def outcome(self) -> BatchOutcome:
        batch = self.plan.batch
        done = (*self.restored, *self.removed)
        return BatchOutcome(
            "restored",
            done,
            failed=tuple(Failure(refusal, id=one) for one, refusal in self.failed.items()),
            batch=batch.id if done and not batch.dry_run else None,
            dry_run=batch.dry_run,
            stopped=self.stopped,
            results=self._results() if batch.results else None,
        )

    def _results(self) -> tuple[Item, ...]:
        done = [Item(one, "restored") for one in self.restored] + [Item(one, "deleted") for one in self.removed]
        return (*done, *(Item(one, refusal.code, refusal) for one, refusal in self.failed.items()))
