"""Plan -> Outcome: the one door of the room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from typing import Any, Final, assert_never

import pymongo

from permission_mongo.aggregations import AggregatePlan
from permission_mongo.audit import entry
from permission_mongo.auditing import AuditPlan
from permission_mongo.blobs import Blob, Place, Stored
from permission_mongo.errors import Refusal, Unavailable
from permission_mongo.explanations import ExplainPlan, SurveyPlan
from permission_mongo.hierarchy import Staff
from permission_mongo.jobs import AT_FIRST, Lease, Turn, Unreadable, added
from permission_mongo.jobs import Taken as TakenJob
from permission_mongo.moments import AsOfOnePlan, AsOfPlan
from permission_mongo.outcomes import BatchOutcome, Job, JobList, JobState, NothingLookedUp, Outcome, Replayed
from permission_mongo.pasts import AgainPlan, ComparePlan, VersionPlan, VersionsPlan
from permission_mongo.plans import (
    Actor,
    CountPlan,
    CreatePlan,
    DeletedPlan,
    DeleteOnePlan,
    DeletePlan,
    GetManyPlan,
    ListPlan,
    Once,
    Plan,
    PurgePlan,
    Reading,
    ReadPlan,
    RestorePlan,
    UndoPlan,
    UpdateManyPlan,
    UpdatePlan,
    Writing,
)
from permission_mongo.policy.kin import Kin
from permission_mongo.service import CancelPlan, JobPlan, JobsPlan, KinPlan, Serving, SyncPlan, TellPlan
from permission_mongo.storage.aggregates import aggregate
from permission_mongo.storage.audit_log import audit_page
from permission_mongo.storage.blobs import Blobs, Owner
from permission_mongo.storage.creates import create_many
from permission_mongo.storage.deletes import delete_many
from permission_mongo.storage.explaining import examine
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.gathering import Gathering
from permission_mongo.storage.grouping import Grouping
from permission_mongo.storage.history import read_past
from permission_mongo.storage.idempotency import Taken, still_running
from permission_mongo.storage.lists import count, list_deleted
from permission_mongo.storage.moments import as_of_one, as_of_page
from permission_mongo.storage.reads import get_many, read_one
from permission_mongo.storage.rebuilding import ensure_built, forget_built, sync
from permission_mongo.storage.removals import delete_one, purge_one
from permission_mongo.storage.restores import restore_one
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.sharing import Sharing
from permission_mongo.storage.surveys import Survey, surveying
from permission_mongo.storage.sweeping import Sweeper
from permission_mongo.storage.undo import undo
from permission_mongo.storage.updates import require_writable, update_one
from permission_mongo.storage.upserts import update_or_create
from permission_mongo.values import DocumentId

# By one command, for which each waits as it is sent; and what asks for nothing.
_WITH_TURNS_OF_THEIR_OWN: Final = (
    ReadPlan,
    ListPlan,
    AsOfPlan,
    AsOfOnePlan,
    CountPlan,
    GetManyPlan,
    AggregatePlan,
    DeletedPlan,
    AuditPlan,
    TellPlan,
)


class Store:
    """Executes plans. It asks no policy question and reads no configuration."""

    def __init__(self, rooms: Rooms, blobs: Blobs | None = None, sweeper: Sweeper | None = None) -> None:
        self._rooms = rooms
        self._own_blobs = blobs
        self._sweeper = sweeper
        self._gathering = Gathering(rooms)
        self._sharing = Sharing(rooms)
        self._grouping = Grouping(rooms)

    @property
    def _blobs(self) -> Blobs:
        assert self._own_blobs is not None  # noqa: S101  (who serves has one, and nobody else is asked for bytes)
        return self._own_blobs

    async def execute(self, plan: Plan, actor: Actor, turn: Turn = AT_FIRST) -> Outcome:
        """What happened; a Refusal where MongoDB, time or another writer stood in the way.

        Of a filter's work one chunk is done, as it is its `turn`.
        """
        with refusing():
            if actor.once is not None:
                return await self._once(plan, actor, actor.once, turn)
            return await self._execute(plan, actor, turn)

    async def _once(self, plan: Plan, actor: Actor, once: Once, turn: Turn) -> Outcome:
        """What happened, now or when the same request came first."""
        async with self._rooms.turn():
            earlier = await self._rooms.answers.find(once)
        if earlier is not None:
            return Replayed(earlier)
        try:
            with refusing():
                outcome = await self._execute(plan, actor, turn)
            if isinstance(outcome, BatchOutcome) and outcome.more is None and not outcome.is_job:
                await self._rooms.answers.settle(once, added(turn.before, outcome), actor.now)
            return outcome
        except Unavailable:
            raise  # whether it took effect is not known
        except (Refusal, Taken) as error:
            return await self._earlier_or(error, once)

    async def is_answered(self, once: Once) -> bool:
        """Whether the same request came first and has its answer; StillRunning, Conflict as of `execute`."""
        with refusing():
            return await self._rooms.answers.find(once) is not None

    async def _earlier_or(self, error: Refusal | Taken, once: Once) -> Replayed:
        """What stood in the way may be the same request's own effect: then its answer stands for both."""
        await self._rooms.answers.forget(once)
        earlier = await self._rooms.answers.find(once)
        if earlier is not None:
            return Replayed(earlier)
        raise still_running() if isinstance(error, Taken) else error

    async def _execute(self, plan: Plan, actor: Actor, turn: Turn) -> Outcome:
        if isinstance(plan, Writing):
            return await self._write(plan, actor, turn)
        if isinstance(plan, _WITH_TURNS_OF_THEIR_OWN):
            return await self._read(plan)
        async with self._rooms.turn():
            if isinstance(plan, ExplainPlan):
                return await examine(plan, actor, self._rooms)
            return await self._read(plan)

    def survey(self, plan: SurveyPlan, actor: Actor) -> AbstractAsyncContextManager[Survey]:
        """A look at the plan's rows, to be counted by who asks for it."""
        return surveying(plan, actor, self._rooms)

    async def note_policy(self, actor: Actor, file: str) -> None:
        """The audit's entry of a policy that is about to be written, for each attempt."""
        with refusing(), pymongo.timeout(self._rooms.timeout):
            written = entry(actor, "policy_write", "", [])
            await self._rooms.audit.insert_one({**written, "asked": {"file": file}})

    async def _read(self, plan: Reading | Serving | AuditPlan) -> Outcome:
        match plan:
            case ReadPlan():
                return await read_one(plan, self._gathering, self._rooms)
            case ListPlan():
                return await self._sharing.page(plan)
            case AsOfPlan():
                return await as_of_page(plan, self._rooms)
            case AsOfOnePlan():
                return await as_of_one(plan, self._rooms)
            case CountPlan():
                return await count(plan, self._rooms)
            case GetManyPlan():
                return await get_many(plan, self._rooms)
            case AggregatePlan():
                return await aggregate(plan, self._rooms)
            case DeletedPlan():
                return await list_deleted(plan, self._rooms)
            case VersionsPlan() | VersionPlan() | ComparePlan() | AgainPlan():
                return await read_past(plan, self._rooms)
            case JobPlan(job, whose):
                return await self._rooms.jobs.find(job, whose)
            case JobsPlan(whose, limit):
                return JobList(tuple(await self._rooms.jobs.recent(whose, limit)))
            case TellPlan():
                return NothingLookedUp()
            case AuditPlan():
                return await audit_page(plan, self._rooms)
            case _:
                assert_never(plan)

    async def _write(self, plan: Writing, actor: Actor, turn: Turn) -> Outcome:
        match plan:
            case CreatePlan(batch=None):
                return await self._grouping.create(plan, actor)
            case CreatePlan():
                return await create_many(plan, actor, self._rooms)
            case UpdatePlan():
                return await update_one(plan, actor, self._rooms)
            case UpdateManyPlan():
                return await update_or_create(plan, actor, self._rooms, turn)
            case RestorePlan():
                return await restore_one(plan, actor, self._rooms)
            case DeleteOnePlan():
                return await delete_one(plan, actor, self._rooms)
            case PurgePlan():
                return await purge_one(plan, actor, self._rooms)
            case DeletePlan():
                return await delete_many(plan, actor, self._rooms, turn=turn)
            case UndoPlan():
                return await undo(plan, actor, self._rooms)
            case CancelPlan(job, whose):
                return await self._rooms.jobs.cancel(job, whose)
            case SyncPlan():
                return await sync(plan, actor, self._rooms)
            case _:
                assert_never(plan)

    async def require_writable(self, plan: UpdatePlan, actor: Actor, *, conditionally: bool) -> Any:
        """The tenant of a document that the plan could change. A Refusal where it could not, whatever is written."""
        with refusing():
            return await require_writable(plan, actor, self._rooms, conditionally=conditionally)

    async def find_bytes(self, collection: str, places: Iterable[Place]) -> Mapping[Place, Stored]:
        with refusing():
            return await self._blobs.find(collection, places)

    async def keep_bytes(
        self, owner: Owner, about: Blob, most: int, parts: AsyncIterator[bytes], now: datetime
    ) -> Stored:
        with refusing():
            return await self._blobs.keep(owner, about, most, parts, now)

    async def settle_bytes(self, stored: Stored) -> None:
        """Where it fails they are swept no sooner: the document names them."""
        with suppress(Refusal), refusing():
            await self._blobs.settle(stored.key)

    async def spare_bytes(self, owner: Owner, stored: Stored) -> None:
        with suppress(Refusal), refusing():
            await self._blobs.spare(owner, stored)

    async def drop_bytes(self, stored: Stored) -> None:
        """Where it fails they are swept."""
        with suppress(Refusal), refusing():
            await self._blobs.drop(stored.key)

    async def open_bytes(self, stored: Stored, first: int, last: int) -> AsyncIterator[bytes] | None:
        """From byte `first` to byte `last`, both included; None where there are none."""
        with refusing():
            return await self._blobs.open(stored, first, last)

    async def sweep_blobs(self, now: datetime) -> int:
        """How many were removed, that nothing names."""
        with refusing():
            return 0 if self._sweeper is None else await self._sweeper.sweep(now)

    async def sweep_document(self, collection: str, one: DocumentId) -> None:
        """The bytes of a document that was purged. Where it fails they are swept later."""
        with suppress(Refusal), refusing():
            if self._sweeper is not None:
                await self._sweeper.sweep_document(collection, one)

    async def ensure_hierarchy(self, staff: Staff) -> None:
        """Built, where the documents have one and it was never built."""
        await ensure_built(staff, self._rooms)

    async def forget_hierarchy(self) -> None:
        """To be built anew once there is one again."""
        await forget_built(self._rooms)

    async def kin(self, plan: KinPlan) -> Kin:
        """The people around a caller."""
        with refusing(), pymongo.timeout(self._rooms.timeout):
            return await self._rooms.people.around(plan)

    async def take_job(self, holder: str, seconds: float) -> TakenJob | Unreadable | None:
        """A job that nobody carries, now this holder's for so many seconds; None if there is none."""
        with refusing():
            return await self._rooms.jobs.take(holder, seconds)

    async def renew_job(self, lease: Lease) -> None:
        with refusing():
            await self._rooms.jobs.renew(lease)

    async def release_job(self, lease: Lease) -> None:
        """Let anybody carry it on."""
        with refusing():
            await self._rooms.jobs.release(lease)

    async def finish_job(self, lease: Lease, state: JobState, outcome: BatchOutcome) -> bool:
        """Whether it was this lease's to end."""
        with refusing():
            return await self._rooms.jobs.finish(lease, state, outcome)

    async def stop_job(self, lease: Lease, state: JobState, why: Refusal) -> bool:
        """Whether it was this lease's to end where it stands; as cancelled only one that is to be."""
        with refusing():
            return await self._rooms.jobs.stop(lease, state, why)

    async def find_job(self, job: str) -> Job:
        """For the gateway itself, whoever it belongs to."""
        with refusing():
            return await self._rooms.jobs.find(job)

    async def is_reachable(self) -> bool:
        """Whether the server answers a ping within a second."""
        try:
            with refusing():
                await self._rooms.ping()
        except Refusal:
            return False
        return True

    async def close(self) -> None:
        """Wait for aborts under way; call it before the client is closed."""
        await self._rooms.transactor.close()
