"""Documents that one caller creates one by one at the same moment, stored by one command, or by one transaction.

A create with nothing before it goes out at once. While two of a caller are under way in a collection, its next ones
wait for the first of them to end, or for a moment, and then go together. Callers never share a command, so nobody's
answer or time tells of another's documents. What is refused of one is told to that one alone, and whatever asks
for more than to be stored and audited goes by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context, copy_context
from copy import copy
from dataclasses import dataclass, field
from typing import Final

import pymongo
from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError, WaitQueueTimeoutError

from permission_mongo.errors import Refusal
from permission_mongo.outcomes import Created
from permission_mongo.plans import Actor, CreatePlan, Draft, Target
from permission_mongo.storage.creates import create_one
from permission_mongo.storage.ledger import Ledger
from permission_mongo.storage.replies import Stored
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.transactions import Late, Lost, is_in_doubt

_AT_ONCE: Final = 2  # commands or transactions of one caller in one collection, as long as they are quick
_PATIENCE: Final = 0.05  # seconds; nobody waits for a slow command and then for an own one
_MOST: Final = 50  # documents by one command
_MOST_BYTES: Final = 2**20
_LARGE: Final = 2**16  # bytes of a document that goes by itself: others would wait for it


@dataclass(frozen=True, slots=True)
class _Alone:
    """Nothing of it was stored, and why is not known: each is to be tried by itself until this monotonic moment."""

    until: float


_Told = _Alone | Exception | None  # None: it is stored, on a majority


@dataclass(frozen=True, slots=True)
class _Asked:
    """`context` is the request's, by which a command is traced."""

    draft: Draft
    actor: Actor
    context: Context
    told: asyncio.Future[_Told]


@dataclass(slots=True)
class _Line:
    """One caller's in one collection. `plan` is held, so that no other caller can get its identity."""

    plan: CreatePlan
    under_way: int = 0
    waiting: deque[_Asked] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Grouping:
    """Stores what is created one by one."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._lines: dict[tuple[str, int], _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, plan: CreatePlan, actor: Actor) -> Created:
        """As `create_one`."""
        if not _may_share(plan, actor):
            return await create_one(plan, actor, self._rooms)
        key = _key_of(plan)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(plan)
        if line.under_way < _AT_ONCE:
            line.under_way += 1
            try:
                return await create_one(plan, actor, self._rooms)
            finally:
                self._ended(line)
        told = await self._joined(line, plan.drafts[0], actor)
        if isinstance(told, _Alone):
            return await create_one(plan, actor, self._rooms, told.until)
        if told is not None:
            raise told
        return Created(plan.drafts[0].document)

    def _joined(self, line: _Line, draft: Draft, actor: Actor) -> asyncio.Future[_Told]:
        loop = asyncio.get_running_loop()
        if line.timer is None:
            line.timer = loop.call_later(_PATIENCE, self._overdue, line)
        told: asyncio.Future[_Told] = loop.create_future()
        line.waiting.append(_Asked(draft, actor, copy_context(), told))
        return told

    def _ended(self, line: _Line) -> None:
        """One command has ended: the next goes out, or, with nobody waiting, the line is forgotten."""
        line.under_way -= 1
        self._send(line)
        if not line.waiting and line.timer is not None:
            line.timer.cancel()
            line.timer = None
        if not line.under_way:
            self._lines.pop(_key_of(line.plan), None)

    def _overdue(self, line: _Line) -> None:
        line.timer = None
        while line.waiting:
            self._send(line)

    def _send(self, line: _Line) -> None:
        """From here on nobody joins these."""
        group = _next_of(line)
        if group:
            line.under_way += 1
            task = asyncio.get_running_loop().create_task(self._together(line, group), context=group[0].context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _together(self, line: _Line, group: list[_Asked]) -> None:
        told: Sequence[_Told] = [Lost() for _ in group]  # of one who is cancelled while it is under way
        try:
            told = await self._stored(line.plan.target, group)
        finally:
            for asked, one in zip(group, told, strict=True):
                if not asked.told.done():  # who asked may have left
                    asked.told.set_result(one)
            self._ended(line)

    async def _stored(self, target: Target, group: list[_Asked]) -> Sequence[_Told]:
        deadline = self._rooms.deadline()
        try:
            if target.audited:
                return await self._by_transaction(target, group, deadline)
            return await self._by_one_command(target, group, deadline)
        except Exception as error:
            told = error if _is_of_all(error) else _Alone(deadline)
            return [copy(told) for _ in group]

    async def _by_one_command(self, target: Target, group: list[_Asked], deadline: float) -> Sequence[_Told]:
        """Lost where the whole command fails: some of them may be stored."""
        documents = [Stored(asked.draft.stored) for asked in group]
        async with self._rooms.turn():
            try:
                with pymongo.timeout(self._rooms.left(deadline)):
                    errors = await self._rooms.straight.insert_together(target.collection, documents)
            except (ServerSelectionTimeoutError, WaitQueueTimeoutError):
                raise  # nothing was sent
            except PyMongoError as error:
                raise Lost from error
        return [Lost() if one is not None and is_in_doubt(one) else one for one in errors]

    async def _by_transaction(self, target: Target, group: list[_Asked], deadline: float) -> Sequence[_Told]:
        """Each with an audit entry of its own. They are committed together, so one entry is the proof of all.

        Whatever ends it leaves none of them, and does not say of whom it was.
        """
        parts = [ObjectId() for _ in group]
        documents = [Stored(asked.draft.stored) for asked in group]
        ledgers = [Ledger(self._rooms, asked.actor, target, None) for asked in group]
        entries = [
            ledger.entry(part, "create", [asked.draft.id])
            for ledger, part, asked in zip(ledgers, parts, group, strict=True)
        ]

        async def body(session: AsyncClientSession) -> None:
            async with self._rooms.straight.pipelined(session) as pipeline:
                await pipeline.send({"insert": target.collection, "documents": documents})
                await self._rooms.audit.send(pipeline, *entries)
            await self._rooms.audit.tell(entries, session)

        proof = ledgers[0].proof(parts[0])
        await self._rooms.transactor.run(body, deadline=deadline, proof=proof, attempts=1)
        return [None] * len(group)


def _is_of_all(error: Exception) -> bool:
    """Whether each would be told so too: no turn, no server, no time, or an end that nobody knows."""
    return isinstance(error, Refusal | Lost | Late) or (
        isinstance(error, PyMongoError)
        and (error.timeout or isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError))
    )


def _may_share(plan: CreatePlan, actor: Actor) -> bool:
    """Whether all there is to do is to store it, with an audit entry or without."""
    target = plan.target
    asks_more = actor.once or target.staff or target.posts.any or plan.continues or plan.references or plan.computed
    return plan.caller is not None and not asks_more and len(plan.drafts[0].stored) <= _LARGE


def _key_of(plan: CreatePlan) -> tuple[str, int]:
    return plan.target.collection, id(plan.caller)


def _next_of(line: _Line) -> list[_Asked]:
    """The first who wait and have not left, as many as one command may take."""
    group: list[_Asked] = []
    size, most = 0, min(_MOST_BYTES, line.plan.target.max_bytes)
    while line.waiting and len(group) < _MOST:
        asked = line.waiting[0]
        size += 0 if asked.told.done() else len(asked.draft.stored)
        if group and size > most:
            break
        line.waiting.popleft()
        if not asked.told.done():
            group.append(asked)
    return group
