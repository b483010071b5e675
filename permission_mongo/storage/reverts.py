"""Documents put back as a batch found them: the state that was kept, written as a new version over the one that is."""

from __future__ import annotations

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.batch import without
from permission_mongo.errors import Conflict, Refusal
from permission_mongo.jobs import AT_FIRST
from permission_mongo.old_states import stored_again
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, RevertPlan
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.parts import Ids, Progress
from permission_mongo.storage.references import refused_again
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.turns import decoded, in_turns
from permission_mongo.storage.works import Attempted, Share, State, Work
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import content_of, marks_after, number_of

CHANGED = "somebody changed this document since; nothing was put back"


async def revert_many(plan: RevertPlan, actor: Actor, rooms: Rooms, share: Share) -> BatchOutcome:
    """What changed since the look, or left the caller's reach, stays and is a conflict."""
    return await _Reverting(plan, actor, rooms, share).done()


class _Reverting(Work):
    action = "restore"
    verb = "restored"

    def __init__(self, plan: RevertPlan, actor: Actor, rooms: Rooms, share: Share) -> None:
        super().__init__(plan, actor, rooms, AT_FIRST, share)
        self._plan = plan

    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> Attempted:
        """Read again inside: in this snapshot the guards hold, and nobody writes between it and the commit."""
        former = await self._former(session, ids)
        states = [
            (raw, stored)
            for raw, stored in await self._read(session, ids, matching=True)
            if stored["_id"] in former and number_of(stored) == former[stored["_id"]]["version"] + 1
        ]
        contents, failed = await self._judged(states, former)
        for one, refusal in (await self._dangling(session, contents)).items():
            failed[one] = refusal
            del contents[one]
        failed |= dict.fromkeys(without(ids, [*contents, *failed]), Conflict(CHANGED))
        states = [(raw, stored) for raw, stored in states if stored["_id"] in contents]
        records = await self._put_back(session, states, contents, renumber) if states else []
        changes = zip(states, records, strict=True) if self._plan.target.posts.any else ()
        told = [(stored, {**contents[stored["_id"]], "_version": one["v"] + 1}) for (_, stored), one in changes]
        return Attempted(Progress([*contents], failed=failed), records, [*told])

    async def _judged(
        self, states: list[State], former: dict[DocumentId, Document]
    ) -> tuple[dict[DocumentId, Document], dict[DocumentId, Refusal]]:
        """What is to be stored of each, and what may not be."""
        contents: dict[DocumentId, Document] = {}
        failed: dict[DocumentId, Refusal] = {}
        async for some in in_turns(states):
            for _, stored in some:
                one: DocumentId = stored["_id"]
                try:
                    again = stored_again(self._plan.again, stored, content_of(former[one]))
                    self._plan.again.judge(one, stored, again)
                    contents[one] = again
                except Refusal as refusal:
                    failed[one] = refusal
        return contents, failed

    async def _dangling(
        self, session: AsyncClientSession, contents: dict[DocumentId, Document]
    ) -> dict[DocumentId, Refusal]:
        """The refusals of states that refer to what is not there."""
        refused = await refused_again(session, list(contents.values()), self._plan.again, self._rooms)
        ids = list(contents)
        return {ids[n]: refusal for n, refusal in refused.items()}

    async def _former(self, session: AsyncClientSession, ids: Ids) -> dict[DocumentId, Document]:
        if self._plan.former.is_empty:
            return {}
        match = self._plan.former.also({"_id": {"$in": [self._plan.kept[one] for one in ids]}})
        rows = await self._few(session, VERSIONS, match, len(ids))
        return {one["doc_id"]: one for one in await decoded(rows)}

    async def _put_back(
        self, session: AsyncClientSession, states: list[State], contents: dict[DocumentId, Document], renumber: bool
    ) -> list[Document]:
        records = await self._records(session, states, renumber)
        ids = [one["doc_id"] for one in records]
        updates = [
            {"q": {"_id": one}, "u": {**contents[one], **marks_after(kept)}}
            for one, kept in zip(ids, records, strict=True)
        ]
        async with self._rooms.straight.pipelined(session) as pipeline:
            await self._change(pipeline, updates)
        await self._rooms.keep(session, records, self._plan.target.keeping)
        return [one["_id"] for one in records]
