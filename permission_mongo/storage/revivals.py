"""Deleted documents made to live again: the last content that was kept, under its old id, with the next number."""

from __future__ import annotations

from typing import Final

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError

from permission_mongo.batch import without
from permission_mongo.errors import Conflict, Refusal
from permission_mongo.jobs import AT_FIRST
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, RevivePlan
from permission_mongo.storage.faults import duplicate_index
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.parts import Ids, KeyExists, Progress, Unfit
from permission_mongo.storage.references import refused_again
from permission_mongo.storage.reverts import CHANGED
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.storage.turns import decoded, in_turns
from permission_mongo.storage.works import Attempted, Share, Work
from permission_mongo.values import CODEC, Document, DocumentId
from permission_mongo.versions import content_of, made, moment_after

TAKEN: Final = "a document with this id or key lives again"


async def revive_many(plan: RevivePlan, actor: Actor, rooms: Rooms, share: Share) -> BatchOutcome:
    """What left the caller's reach since the look stays away and is a conflict, and so is what lives again."""
    return await _Reviving(plan, actor, rooms, share).done()


class _Reviving(Work):
    action = "restore"
    verb = "restored"

    def __init__(self, plan: RevivePlan, actor: Actor, rooms: Rooms, share: Share) -> None:
        super().__init__(plan, actor, rooms, AT_FIRST, share)
        self._plan = plan
        self._actor = actor

    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> Attempted:
        """Asked again inside: what left the caller's reach since the look is not put back. No versions are kept."""
        taken = await self._taken(session, ids)
        records = await self._last_records(session, without(ids, taken))
        done: list[DocumentId] = [one["doc_id"] for one in records]
        failed: dict[DocumentId, Refusal] = {one: Conflict(CHANGED) for one in without(ids, done)}
        failed |= {one: Conflict(TAKEN) for one in taken}
        refused = self._refused(records)
        failed |= refused
        done = [*without(done, refused)]
        records = [one for one in records if one["doc_id"] not in refused]
        if records and not (failed and self._plan.batch.atomic):
            await self._revive(session, records)
        told = records if self._plan.target.posts.any else []
        return Attempted(Progress(done, failed=failed), [], [(None, self._after(one)) for one in told])

    def _refused(self, records: list[Document]) -> dict[DocumentId, Refusal]:
        """Those that a hook does not let come back."""
        refused: dict[DocumentId, Refusal] = {}
        for one in records:
            try:
                self._plan.again.judge(one["doc_id"], None, content_of(one))
            except Refusal as refusal:
                refused[one["doc_id"]] = refusal
        return refused

    @staticmethod
    def _after(record: Document) -> Document:
        return {**content_of(record), "_version": record["version"] + 2}

    async def _taken(self, session: AsyncClientSession, ids: Ids) -> list[DocumentId]:
        """Ids that live again, whoever sees them: found by the write one by one, they would cost a transaction each."""
        live = self._rooms.live(self._plan.target.collection)
        found = live.find({"_id": {"$in": list(ids)}}, {"_id": 1}, hint=BY_ID, session=session)
        return [one["_id"] for one in await found.to_list()]

    async def _last_records(self, session: AsyncClientSession, ids: Ids) -> list[Document]:
        if self._plan.match.is_empty or not ids:
            return []
        match = self._plan.match.also({"_id": {"$in": [self._plan.kept[one] for one in ids]}})
        return await decoded(await self._few(session, VERSIONS, match, len(ids)))

    async def _revive(self, session: AsyncClientSession, records: list[Document]) -> None:
        target = self._plan.target
        try:
            again = [self._again(one) async for some in in_turns(records) for one in some]
            await self._rooms.insert(session, target.collection, again)
        except BulkWriteError as error:
            index = duplicate_index(error)
            if index is None:
                raise
            raise KeyExists(records[index]["doc_id"], TAKEN) from error
        await self._require_targets(session, records)
        await self._rooms.revive(session, {"_id": {"$in": [one["_id"] for one in records]}}, target.keeping)

    async def _require_targets(self, session: AsyncClientSession, records: list[Document]) -> None:
        """Unfit. The documents may refer to each other, so it is asked when they are stored."""
        refused = await refused_again(session, [content_of(one) for one in records], self._plan.again, self._rooms)
        if refused:
            raise Unfit({records[n]["doc_id"]: refusal for n, refusal in refused.items()})

    def _again(self, record: Document) -> RawBSONDocument:
        """The last content whole, with the number behind its deletion's; as bytes."""
        batch = self._plan.batch
        at = moment_after(self._actor.now, record["ended"]["at"])
        mark = made("restore", self._actor.subject, at, batch.reason, batch.id)
        again = {**self._after(record), "_made": mark}
        return RawBSONDocument(encode(again, codec_options=CODEC))
