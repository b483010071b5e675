"""An operation -> its outcome: planned and executed; of a filter's work chunk after chunk, each planned anew.

Work of more than one transaction is a job: its record says how far it came, and who holds its lease carries it on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.config.model import Config
from permission_mongo.consulting import Consulting
from permission_mongo.ending import ended
from permission_mongo.errors import Conflict, Refusal, StillRunning, Unavailable
from permission_mongo.jobs import Asked, Lease, Origin, Overtaken, Taken, Turn, Unreadable, added, told
from permission_mongo.observations import JobCarried, JobEnded, Observation, Wrote
from permission_mongo.operations import Alike, ByFilter, DeleteMany, Filtered, Operation, Service, UpdateMany
from permission_mongo.outcomes import BatchOutcome, JobState, Outcome, Started
from permission_mongo.parsing.ids import Fresh
from permission_mongo.parsing.jobs import read_again
from permission_mongo.planning.callers import Asking
from permission_mongo.plans import Plan
from permission_mongo.storage.store import Store

_LOG: Final = logging.getLogger("permission_mongo.jobs")
_LOOK: Final = 0.25  # seconds between two looks at a job that another gateway carries
_TO_END: Final = 8.0  # seconds for what is under way
_NOTHING_LARGE: Final = nullcontext()
_RENEWALS: Final = 3  # of a lease within its time


class Ruling(Protocol):
    """A loaded configuration, ready to judge."""

    @property
    def config(self) -> Config: ...
    @property
    def authenticator(self) -> Authenticator: ...
    @property
    def consulting(self) -> Consulting: ...


class InForce(Protocol):
    """The one reference that a reload swaps. `latest` is None until the first."""

    @property
    def latest(self) -> Ruling | None: ...


@dataclass(frozen=True, slots=True)
class _Work:
    """A filter's work under a lease (None: a dry run, which is no job); `origin` as long as there is no record.

    The operation was read by the schema of `ruling`.
    """

    operation: Filtered
    asking: Asking
    ruling: Ruling
    lease: Lease | None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The store at work. `clock` tells each chunk its own moment; `holder` is this process's name.

    A request begins by the configuration that it met. The next chunk, and a job that is taken up, go by what is
    `in_force` then.
    """

    config: Config
    authenticator: Authenticator
    consulting: Consulting
    store: Store
    fresh: Fresh
    clock: Callable[[], datetime]
    observe: Callable[[Observation], None]
    holder: str
    waiting: asyncio.Event
    in_force: InForce
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def _ruling(self) -> Ruling:
        return self.in_force.latest or self

    async def run(self, operation: Operation | Service, asking: Asking, *, waits: bool = True) -> tuple[Plan, Outcome]:
        """The plan and what happened; a Refusal before any query runs, or where nothing was done.

        With `waits` False what is left after the first chunk is done by whoever finds it.
        """
        plan, asking = await self.consulting.planned(operation, asking)
        work = self._work(operation, asking)
        try:
            if work is None:
                async with asking.share or _NOTHING_LARGE:
                    return await self.consulting.executed(plan, operation, asking)
            return plan, await self._worked_off(work, plan, waits=waits)
        except StillRunning as running:
            if waits or running.job is None:
                raise
            return plan, Started(await self.store.find_job(running.job))

    def _work(self, operation: Operation | Service, asking: Asking) -> _Work | None:
        match operation:
            case DeleteMany(selection=ByFilter(sent=sent)):
                return self._filtered(operation, "delete", sent, asking)
            case UpdateMany(edits=Alike(selection=ByFilter(sent=sent))):
                return self._filtered(operation, "update", sent, asking)
            case _:
                return None

    def _filtered(self, operation: Filtered, asked: Asked, sent: bytes, asking: Asking) -> _Work:
        if operation.options.dry_run:
            return _Work(operation, asking, self, None)
        origin = Origin(asked, sent.decode(), asking.principal, asking.request, asking.request_id)
        lease = Lease(operation.options.id, self.holder, 1, self.config.limits.job_lease)
        return _Work(operation, asking, self, lease, origin)

    # -- from its first chunk on

    async def _worked_off(self, work: _Work, plan: Plan, *, waits: bool) -> Outcome:
        """Already the first chunk can be of several transactions, and so be a job that another one takes or ends."""
        try:
            async with nullcontext() if work.lease is None else self._held(work.lease):
                return await self._from_first(work, plan, waits=waits)
        except _Ending as ending:
            return _let_go(ending.done)
        except Overtaken:
            assert work.lease is not None  # noqa: S101  (a dry run has none that could be taken)
            if not waits:
                return Started(await self.store.find_job(work.lease.job))
            return await self._told_by_another(work.lease)

    async def _from_first(self, work: _Work, plan: Plan, *, waits: bool) -> Outcome:
        turn = Turn(lease=work.lease, origin=work.origin)
        done = await self._executed(work, plan, work.asking, turn)
        if not isinstance(done, BatchOutcome) or (done.more is None and not done.is_job):
            return done
        if waits or work.lease is None or not done.is_job or done.more is None:
            return await self._to_its_end(work, done)
        job = await self.store.find_job(work.lease.job)
        await self._release(work.lease)
        self.waiting.set()
        return Started(job)

    # -- carrying a job

    @asynccontextmanager
    async def _held(self, lease: Lease) -> AsyncIterator[None]:
        """The lease is renewed meanwhile. After an error nobody need wait for its end; without MongoDB it runs out."""
        try:
            async with self._renewed(lease):
                yield
        except Unavailable:
            raise
        except Overtaken:
            if not await self._stop(lease, "cancelled", _cancelled()):
                await self._release(lease)
            raise
        except BaseException:
            # Also where the caller left, or this gateway ends: the record is true, and another goes on from there.
            await asyncio.shield(self._release(lease))
            raise

    @asynccontextmanager
    async def _renewed(self, lease: Lease) -> AsyncIterator[None]:
        over = asyncio.Event()
        renewing = asyncio.create_task(self._renew(lease, over))
        try:
            yield
        finally:
            over.set()
            await _end([renewing])  # or it could prolong what is let go of

    async def _to_its_end(self, work: _Work, done: BatchOutcome) -> BatchOutcome:
        """Chunk after chunk, and the record closed. What was done stays done if a later chunk fails.

        Overtaken when the job is not this lease's any more.
        """
        if work.lease is None:
            return await self._chunks(work, done)
        self.observe(JobCarried(1))
        try:
            done = await self._chunks(work, done)
            return await self._finished(work.lease, done) if done.is_job else done
        finally:
            self.observe(JobCarried(-1))

    async def _chunks(self, work: _Work, done: BatchOutcome) -> BatchOutcome:
        while done.more is not None and done.stopped is None:
            if self.ending.is_set():
                raise _Ending(done)
            try:
                await asyncio.sleep(0)  # others first
                done = await self._chunk(self._by_what_is_in_force(work), done)
            except Refusal as refusal:
                if not done.count and not done.is_job:
                    raise
                done = replace(done, stopped=refusal, more=None)
        return done

    async def _chunk(self, work: _Work, done: BatchOutcome) -> BatchOutcome:
        """The next chunk, by the policy in force, for a caller whose credential is."""
        asking = replace(work.asking, now=self.clock(), once=None if done.is_job else work.asking.once, kin=None)
        await work.ruling.authenticator.require_in_force(asking.principal)
        turn = Turn(done.more, done, work.lease, None if done.is_job else work.origin)
        plan, asking = await work.ruling.consulting.planned(work.operation, asking, turn)
        outcome = await self._executed(work, plan, asking, turn)
        assert isinstance(outcome, BatchOutcome)  # noqa: S101  (a later chunk is never a replay)
        return added(done, outcome)

    def _by_what_is_in_force(self, work: _Work) -> _Work:
        """The same, read again where a reload came in between. A Refusal where the schema takes it no longer."""
        ruling = self._ruling()
        if ruling.consulting is work.ruling.consulting:
            return work
        asked, sent = _sent_of(work.operation)
        operation = self._read(asked, sent, work.operation.collection.name, work.operation.options.id, ruling)
        return replace(work, operation=operation, ruling=ruling)

    def _read(self, asked: Asked, sent: bytes, collection: str, job: str, ruling: Ruling) -> Filtered:
        operation = read_again(asked, sent, collection, ruling.config, self.fresh)
        return replace(operation, options=replace(operation.options, id=job))

    async def _executed(self, work: _Work, plan: Plan, asking: Asking, turn: Turn) -> Outcome:
        """A chunk. What a job writes is observed here, by whoever did it; what is none where it is answered."""
        try:
            outcome = await self.store.execute(plan, asking.actor(), turn)
        except Overtaken as overtaken:
            self._observe_written(work.operation, overtaken.done)
            raise
        is_job = turn.before is not None and turn.before.is_job
        if isinstance(outcome, BatchOutcome) and (is_job or outcome.is_job):
            self._observe_written(work.operation, outcome.count)
        return outcome

    async def _finished(self, lease: Lease, done: BatchOutcome) -> BatchOutcome:
        """The record closed. Where that can't be it stays open, and who takes it next finds nothing left to do."""
        if isinstance(done.stopped, Unavailable):
            return done
        try:
            ended = await self._close(lease, "failed" if done.stopped else "done", done)
        except Refusal:
            await self._release(lease)
            return done
        if not ended:
            raise Overtaken
        return told(done)

    async def _close(self, lease: Lease, state: JobState, done: BatchOutcome) -> bool:
        ended = await self.store.finish_job(lease, state, done)
        if ended:
            self.observe(JobEnded(state))
        return ended

    async def _stop(self, lease: Lease, state: JobState, why: Refusal) -> bool:
        """End it where it stands. One that is not this lease's, or away with MongoDB, is left as it is."""
        with suppress(Refusal):
            if await self.store.stop_job(lease, state, why):
                self.observe(JobEnded(state))
                return True
        return False

    async def _told_by_another(self, lease: Lease) -> BatchOutcome:
        """How the job ended, whoever ended it. For a caller that waits: a carrier goes on with other jobs."""
        while True:
            job = await self.store.find_job(lease.job)
            if job.is_over:
                return told(replace(job.outcome, is_job=True))
            if self.ending.is_set():
                return _let_go(replace(job.outcome, is_job=True))
            await asyncio.sleep(_LOOK)

    async def _renew(self, lease: Lease, over: asyncio.Event) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(lease.seconds / _RENEWALS):
                    await over.wait()
                return
            with suppress(Refusal):
                await self.store.renew_job(lease)

    async def _release(self, lease: Lease) -> None:
        with suppress(Refusal):
            await self.store.release_job(lease)

    # -- jobs that nobody carries

    @asynccontextmanager
    async def at_work(self, carriers: int) -> AsyncIterator[None]:
        """Meanwhile jobs whose lease ran out are carried on, as many at once as there are carriers."""
        tasks = [asyncio.create_task(self._carry_on()) for _ in range(carriers)]
        try:
            yield
        finally:
            self.end()
            await _end(tasks)

    def end(self) -> None:
        """Work of many chunks stops behind the one in hand, and no other is begun."""
        self.ending.set()
        self.waiting.set()

    async def _carry_on(self) -> None:
        while not self.ending.is_set():
            seconds = self._ruling().config.limits.job_lease
            self.waiting.clear()  # before the look: who calls meanwhile is heard
            if await self._carried_one(seconds):
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds / _RENEWALS):
                    await self.waiting.wait()

    async def _carried_one(self, seconds: float) -> bool:
        """Whether there was a job to carry on. Nothing that goes wrong with one ends the carrier."""
        try:
            taken = await self.store.take_job(self.holder, seconds)
            match taken:
                case Taken():
                    await self._carry_taken(taken)
                case Unreadable(lease, left):
                    await self._close(lease, "failed", left)
            return taken is not None
        except Refusal:
            return False  # MongoDB is away
        except Exception as error:
            _LOG.error("a job could not be carried on: %s", type(error).__name__)
            return False

    async def _carry_taken(self, taken: Taken) -> None:
        """To its end, whatever that is."""
        before = replace(taken.job.outcome, is_job=True, more=taken.behind)
        try:
            if taken.job.state == "cancelling":
                await self._stop(taken.lease, "cancelled", _cancelled())
                return
            work = self._work_of(taken)
            async with self._held(taken.lease):
                await self._to_its_end(work, before)
        except (Overtaken, _Ending):
            return
        except Refusal as refusal:
            await self._stop(taken.lease, "failed", refusal)
        except Exception as error:
            _LOG.error("a job failed: %s", type(error).__name__)
            await self._stop(taken.lease, "failed", Refusal("something went wrong here"))

    def _work_of(self, taken: Taken) -> _Work:
        """What was asked, read by the schema in force, with the caller's kept claims."""
        origin, ruling = taken.origin, self._ruling()
        operation = self._read(origin.asked, origin.body.encode(), taken.job.collection, taken.job.id, ruling)
        asking = Asking(origin.principal, self.clock(), origin.request, origin.request_id)
        return _Work(operation, asking, ruling, taken.lease)

    def _observe_written(self, operation: Filtered, count: int) -> None:
        verb = "deleted" if isinstance(operation, DeleteMany) else "updated"
        self.observe(Wrote(operation.collection.name, verb, count))


def _sent_of(operation: Filtered) -> tuple[Asked, bytes]:
    match operation:
        case DeleteMany(selection=ByFilter(sent=sent)):
            return "delete", sent
        case UpdateMany(edits=Alike(selection=ByFilter(sent=sent))):
            return "update", sent
        case _:
            raise TypeError("only work of a filter is done in chunks")


class _Ending(Exception):
    """This gateway ends: the job is let go of, and another goes on from there."""

    def __init__(self, done: BatchOutcome) -> None:
        super().__init__()
        self.done = done


def _let_go(done: BatchOutcome) -> BatchOutcome:
    """What a caller is told who waits for it here. Unavailable where nothing was written."""
    why = Unavailable("this gateway ends")
    if not done.is_job:
        raise why
    return replace(done, stopped=why, more=None)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    left = await ended(tasks, _TO_END)
    if left:
        _LOG.warning("%d tasks of jobs did not end", left)


def _cancelled() -> Conflict:
    return Conflict("the job was cancelled; what it had done stays")
