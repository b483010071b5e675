"""Documents put back as a batch found them: the state that was kept, written as a new version over the one that is."""

from __future__ import annotations

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.batch import without
from permission_mongo.errors import Conflict
from permission_mongo.jobs import AT_FIRST
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, RevertPlan
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.parts import Ids, Progress
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.turns import decoded
from permission_mongo.storage.works import Came, Share, State, Work, marks_after
from permission_mongo.values import CODEC, Document, DocumentId
from permission_mongo.versions import content_of, number_of

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

    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> tuple[Came, list[Document]]:
        """Read again inside: in this snapshot the guards hold, and nobody writes between it and the commit."""
        former = await self._former(session, ids)
        states = [
            (raw, stored)
            for raw, stored in await self._read(session, ids, matching=True)
            if stored["_id"] in former and number_of(stored) == former[stored["_id"]]["version"] + 1
        ]
        done: list[DocumentId] = [stored["_id"] for _, stored in states]
        failed = {one: Conflict(CHANGED) for one in without(ids, done)}
        records = await self._put_back(session, states, former, renumber) if states else []
        return Progress(done, failed={**failed}), records

    async def _former(self, session: AsyncClientSession, ids: Ids) -> dict[DocumentId, Document]:
        if self._plan.former.is_empty:
            return {}
        match = self._plan.former.also({"_id": {"$in": [self._plan.kept[one] for one in ids]}})
        rows = await self._few(session, VERSIONS, match, len(ids))
        return {one["doc_id"]: one for one in await decoded(rows, CODEC)}

    async def _put_back(
        self, session: AsyncClientSession, states: list[State], former: dict[DocumentId, Document], renumber: bool
    ) -> list[Document]:
        records = await self._records(session, states, renumber)
        contents = (content_of(former[one["doc_id"]]) for one in records)
        await self._change(
            session,
            [
                {"q": {"_id": one["doc_id"]}, "u": {**content, **marks_after(one)}}
                for one, content in zip(records, contents, strict=True)
            ],
        )
        await self._rooms.keep(session, records, self._plan.target.keeping)
        return [one["_id"] for one in records]
