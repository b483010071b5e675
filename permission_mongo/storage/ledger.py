"""What a transaction writes beside its documents: its audit entry, its part in a batch's record, the key it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.audit import entry
from permission_mongo.batch import Batch, Bound
from permission_mongo.events import State, events_of
from permission_mongo.jobs import Turn
from permission_mongo.outcomes import BatchOutcome, Outcome
from permission_mongo.plans import Actor, Target
from permission_mongo.replays import kept_of
from permission_mongo.storage.hierarchy import keep_placed
from permission_mongo.storage.jobs import stands
from permission_mongo.storage.layout import AUDIT, BATCHES, PARTS
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.straight import Pipeline
from permission_mongo.storage.transactions import Body, Proof
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import record_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Traces:
    """What an undo will look for beside the documents' ids: the ids of the `records` kept.

    Audited are the `reason`, the `version` that a single write made, and the `paths` that an update changed. `states`
    are the documents before and after, where receivers are told of them.
    """

    records: Sequence[Document] = ()
    reason: str | None = None
    version: int | None = None
    paths: Sequence[str] | None = None
    states: Sequence[State] = ()

    def audited(self) -> Document:
        told = {"version": self.version, "paths": self.paths}
        return {name: value for name, value in told.items() if value is not None}


NO_TRACES: Final = Traces()


class Ledger:
    """What a transaction writes beside its documents: its audit entry, and its part in the batch's record."""

    def __init__(self, rooms: Rooms, actor: Actor, target: Target, batch: Batch | None) -> None:
        self._rooms = rooms
        self._actor = actor
        self._target = target
        self._batch = batch

    def proof(self, part: Any) -> Proof:
        """How to tell afterwards whether the transaction `part` was committed."""
        if self._batch is not None:
            return Proof(PARTS, {"_id": part})
        return Proof(AUDIT, {"_id": part}) if self._target.audited else Proof(self._target.collection, {"_id": part})

    def once(
        self, body: Body[T], told: Callable[[T], Outcome], *, final: bool = True, job: str | None = None
    ) -> Body[T]:
        """`body`, taking effect once under the caller's idempotency key; as it is, if there is none.

        `told` says what the caller is told so far if this transaction is the last one committed, from the body's
        result: all of it where it is `final`. The key is claimed first, so that a second request under it touches
        no document. A `job` tells by itself how far it came.
        """
        once, now, answers = self._actor.once, self._actor.now, self._rooms.answers
        if once is None:
            return body

        async def claimed(session: AsyncClientSession) -> T:
            await answers.claim(session, once, now)
            result = await body(session)
            await answers.keep(session, once, kept_of(told(result)), running=not final, job=job)
            return result

        return claimed

    def stepped(self, body: Body[T], turn: Turn, told: Callable[[T], BatchOutcome], behind: Bound) -> Body[T]:
        """`body` as a step of a job: under its lease, and noted in its record; as it is where there is none.

        `told` says what the job has done if this step is committed, `behind` is where it goes on then.
        """
        lease, origin, jobs = turn.lease, turn.origin, self._rooms.jobs
        if lease is None:
            return body

        async def step(session: AsyncClientSession) -> T:
            if origin is None:
                await jobs.require(session, lease)
            result = await body(session)
            left = stands(told(result), behind)
            if origin is None:
                await jobs.note(session, lease, left)
            else:
                await jobs.begin(session, lease, origin, self._first(), left)
            return result

        return step

    async def note(
        self,
        session: AsyncClientSession,
        part: Any,
        action: str,
        ids: list[DocumentId],
        traces: Traces = NO_TRACES,
        foretold: Sequence[DocumentId] | None = None,
    ) -> None:
        """What the transaction did to documents with these ids, behind it: Misplaced where people can't stand so.

        `foretold` are those of which all this was written ahead; then nothing else is traced.
        """
        if self._target.staff is not None:
            await keep_placed(session, ids, action, self._target.staff, self._rooms)
        if self._is_told(action):
            await self._tell(session, action, ids, traces.states)
        if foretold is None:
            await self._write(session, part, action, ids, traces)
        elif [*foretold] != ids:
            await self._mend(session, part, action, ids, len(foretold))

    async def foretell(self, pipeline: Pipeline, part: Any, action: str, ids: Sequence[DocumentId]) -> None:
        """Write ahead what `note` would if all goes well, while MongoDB has nothing else to do. `note` mends it."""
        assert not self._rooms.audit.is_told  # noqa: S101  (what is told is not written ahead)
        await self._send(pipeline, part, action, [*ids], NO_TRACES)

    async def _write(
        self, session: AsyncClientSession, part: Any, action: str, ids: list[DocumentId], traces: Traces
    ) -> None:
        async with self._rooms.straight.pipelined(session) as pipeline:
            entry = await self._send(pipeline, part, action, ids, traces)
        if self._target.audited:
            await self._rooms.audit.tell([entry], session)

    async def _send(
        self, pipeline: Pipeline, part: Any, action: str, ids: list[DocumentId], traces: Traces
    ) -> Document:
        """The audit entry, which is stored where there is one."""
        batch, entry = self._batch, self.entry(part, action, ids, traces)
        if self._target.audited:
            await self._rooms.audit.send(pipeline, entry)
        if batch is not None:
            change = self._batch_change(batch, {action: len(ids)})
            await pipeline.send({"update": BATCHES, "updates": [{"q": {"_id": batch.id}, "u": change, "upsert": True}]})
            about = {"_id": part, "batch": batch.id, "collection": self._target.collection, "action": action}
            await pipeline.send({"insert": PARTS, "documents": [{**about, "ids": ids, **_kept(traces.records)}]})
        return entry

    async def _mend(
        self, session: AsyncClientSession, part: Any, action: str, ids: list[DocumentId], foretold: int
    ) -> None:
        """What came otherwise than it was foretold, in the same transaction: nobody has seen it yet."""
        if self._target.audited:
            await self._rooms.audit.mend(self.entry(part, action, ids), session)
        if self._batch is not None:
            change = self._batch_change(self._batch, {action: len(ids) - foretold})
            await self._rooms.batches.update_one({"_id": self._batch.id}, change, session=session)
            await self._rooms.parts.update_one({"_id": part}, {"$set": {"ids": ids}}, session=session)

    def entry(self, part: Any, action: str, ids: list[DocumentId], traces: Traces = NO_TRACES) -> Document:
        """The audit entry of the transaction `part`."""
        of_batch = None if self._batch is None else self._batch.id
        written = entry(self._actor, action, self._target.collection, ids, of_batch, traces.reason)
        return {**written, "_id": part, **traces.audited()}

    def _is_told(self, action: str) -> bool:
        """Whether somebody is to be told of what such an action may do: nobody but who is told of them of deletions."""
        posts = self._target.posts
        return bool(posts.delete) if action == "delete" else posts.any

    async def _tell(
        self, session: AsyncClientSession, action: str, ids: Sequence[DocumentId], states: Sequence[State]
    ) -> None:
        """Into the outbox. No write is left out of it by a caller that hands no states in."""
        assert len(states) == len(ids)  # noqa: S101
        batch = None if self._batch is None else self._batch.id
        told = events_of(states, action, self._target, self._actor, batch)
        await self._rooms.outbox.add(session, told, self._actor.now)

    def _batch_change(self, batch: Batch, counts: Mapping[str, int]) -> Document:
        return {
            "$setOnInsert": self._first(),
            "$inc": {f"counts.{action}": count for action, count in counts.items()},
        }

    def _first(self) -> Document:
        """What the record of a batch begins with."""
        actor, reason = self._actor, None if self._batch is None else self._batch.reason
        about = {"collection": self._target.collection, "tenant_id": actor.tenant, "reason": reason}
        return {**about, "by": actor.subject, "at": actor.now}

    async def note_rehearsal(self, action: str, ids: list[DocumentId]) -> None:
        """A dry run wrote nothing, and is audited all the same."""
        if self._target.audited:
            written = entry(self._actor, f"{action} (dry run)", self._target.collection, ids)
            await self._rooms.audit.insert_one(written)


def _kept(records: Sequence[Document]) -> Document:
    """What tells the ids of the records, beside those of their documents: an index on the batch would cost a tenth."""
    if not records:
        return {}
    tenants = [one["t"] for one in records]
    alike = all(one == tenants[0] for one in tenants)
    return {"numbers": [one["v"] for one in records], "tenants": tenants[:1] if alike else tenants}


def records_of(part: Document) -> dict[DocumentId, Document]:
    """The ids of the records that a part kept, by the ids of their documents; none of one that kept none."""
    numbers: list[int] = part.get("numbers", [])
    tenants = part.get("tenants", [])
    tenants = tenants * len(numbers) if len(tenants) == 1 else tenants
    lives = zip(part["ids"], tenants, numbers, strict=False)
    return {one: record_id(part["collection"], one, tenant, number) for one, tenant, number in lives}
