"""One old state written again: over the document as it is, or, of a deleted one, under its old id."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from permission_mongo.errors import Conflict
from permission_mongo.old_states import stored_again
from permission_mongo.outcomes import Updated
from permission_mongo.plans import Actor, RestorePlan
from permission_mongo.storage.computed import read_again
from permission_mongo.storage.history import last_record, state_of
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.references import refused_again
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.singles import Single, require_accepted
from permission_mongo.storage.transactions import Raced
from permission_mongo.values import Document, MongoFilter
from permission_mongo.versions import made, marks_after, moment_after, number_of

Restored = tuple[Document | None, Document]  # a document before, if it was there, and after


async def restore_one(plan: RestorePlan, actor: Actor, rooms: Rooms) -> Updated:
    """DocumentNotFound and VersionNotFound as for reading it; Forbidden, if one of both states may not be restored."""
    restoring = _Restoring(plan, actor, rooms)
    return await restoring.single.run(restoring.body, restoring.single.proof())


class _Restoring:
    """One restore on its way."""

    def __init__(self, plan: RestorePlan, actor: Actor, rooms: Rooms) -> None:
        self._plan = plan
        self._actor = actor
        self._rooms = rooms
        self.single = Single(plan.target, plan.past.id, actor, rooms)

    async def body(self, session: AsyncClientSession, renumber: bool) -> Updated:
        past = self._plan.past
        visible = past.live.also(self.single.named())
        row = None if past.live.is_empty else await self._live().find_one(visible, {"_id": 1}, session=session)
        state = await self._over(session, visible, renumber) if row is not None else await self._anew(session)
        if state is None:
            live = await self._live().find_one(self.single.named(), session=session)
            assert live is not None  # noqa: S101  (read in this very snapshot)
            return Updated(await self._as_told(session, live), changed=False)
        await self.single.note(session, "restore", state)
        return Updated(await self._as_told(session, state[1]), changed=True)

    async def _over(self, session: AsyncClientSession, visible: MongoFilter, renumber: bool) -> Restored | None:
        """The document before and after; None where it is that version already."""
        plan = self._plan
        raw, stored = await self.single.seen(session, visible, plan.precondition)
        content = await state_of(plan.past, plan.version, (stored, True), self._rooms, session)
        mark = self.single.ending(stored, "restore", plan.reason)
        again = self._again(stored, content, number_of(stored) + 1, mark)
        # The guard stands in the command itself, whatever was read before.
        match = plan.match.also(self.single.unchanged(stored))
        if plan.match.is_empty or await self._live().find_one(match, {"_id": 1}, session=session) is None:
            raise self.single.forbidden("restore", "restoring")
        if number_of(stored) == plan.version:
            return None
        plan.again.judge(plan.past.id, stored, again)
        await self._require_targets(session, again)
        again |= marks_after(await self.single.keep(session, raw, stored, mark, renumber))
        await self._store(session, again, match)
        return stored, again

    async def _anew(self, session: AsyncClientSession) -> Restored:
        """A deleted document lives again, with the number behind its deletion's."""
        plan = self._plan
        last = await last_record(plan.past, self._rooms, session)
        if last is None:
            raise not_found(plan.target.collection)
        require_accepted(plan.precondition, last["data"])
        content = await state_of(plan.past, plan.version, (last["data"], False), self._rooms, session)
        at = moment_after(self._actor.now, last["ended"]["at"])
        mark = made("restore", self._actor.subject, at, plan.reason, None)
        again = self._again(last["data"], content, last["version"] + 2, mark)
        if not plan.replaced.admits(last["data"]):
            raise self.single.forbidden("restore", "restoring")
        plan.again.judge(plan.past.id, None, again)
        await self._require_targets(session, again)
        await self._store(session, again, None)
        await self.single.revive(session, last)
        return None, again

    def _again(self, present: Document, content: Document, number: int, mark: Document) -> Document:
        """What is stored. Forbidden, if it may not be restored as it was, or may not be stored as it will be."""
        if not self._plan.restored.admits(content):
            raise self.single.forbidden("restore", "restoring")
        again = {**stored_again(self._plan.again, present, content), "_version": number, "_made": mark}
        if not self._plan.restored.admits(again):
            raise self.single.forbidden("restore", "restoring")
        return again

    async def _require_targets(self, session: AsyncClientSession, document: Document) -> None:
        for refusal in (await refused_again(session, (document,), self._plan.again, self._rooms)).values():
            raise refusal

    async def _store(self, session: AsyncClientSession, again: Document, match: MongoFilter | None) -> None:
        """In the place of the row that matches; under an id that is free, without one."""
        try:
            if match is None:
                await self._live().insert_one(again, session=session)
            elif (await self._live().replace_one(match, again, session=session)).matched_count != 1:
                raise Raced
        except DuplicateKeyError as error:
            raise Conflict("a document with this id or key exists") from error

    async def _as_told(self, session: AsyncClientSession, document: Document) -> Document:
        computed = self._plan.collection.computed
        if not computed:
            return document
        return await read_again(session, self._plan.target.collection, self._plan.past.id, computed, self._rooms)

    def _live(self) -> Any:
        return self._rooms.live(self._plan.target.collection)
