"""Reads of single documents that one caller asks for at the same moment, answered by one command.

A read with nothing before it goes out at once. While a caller's reads of a collection are under way, its next ones
wait for the first of them to end and then go together. Callers never share a command: what is gathered stands under
one guarded filter. Most of a read's cost is the driver's, once a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pymongo.errors import PyMongoError

from permission_mongo.errors import Refusal
from permission_mongo.plans import ReadPlan
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, DocumentId

_AT_ONCE: Final = 2  # commands of one caller in one collection
_MOST: Final = 50  # documents by one command
_Asked = tuple[DocumentId, asyncio.Future[Document | None]]


@dataclass(slots=True)
class _Line:
    """The reads of one caller in one collection. `first` is held, so that no other rows can get its identity."""

    first: ReadPlan
    under_way: int = 0
    waiting: deque[_Asked] = field(default_factory=deque)


class Gathering:
    """Answers reads by id."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._lines: dict[tuple[str, int], _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, plan: ReadPlan) -> Document | None:
        """The document that is planned; None where there is none."""
        if plan.rows.is_empty:
            return None
        key = (plan.collection, id(plan.rows))
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(plan)
        if line.under_way < _AT_ONCE:
            line.under_way += 1
            try:
                return await self._rooms.first(plan.collection, plan.rows.one(plan.id))
            finally:
                self._ended(key, line)
        answer: asyncio.Future[Document | None] = asyncio.get_running_loop().create_future()
        line.waiting.append((plan.id, answer))
        async with asyncio.timeout(self._rooms.longest):
            return await answer

    def _ended(self, key: tuple[str, int], line: _Line) -> None:
        """One command has ended: the next goes out, or, with nobody waiting, the line is forgotten."""
        while line.waiting:
            found = [line.waiting.popleft() for _ in range(min(_MOST, len(line.waiting)))]
            group = [(one, answer) for one, answer in found if not answer.done()]
            if group:
                task = asyncio.create_task(self._together(key, line, group))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                return
        line.under_way -= 1
        if not line.under_way:
            self._lines.pop(key, None)

    async def _together(self, key: tuple[str, int], line: _Line, group: list[_Asked]) -> None:
        try:
            found = await self._rooms.some(key[0], line.first.rows.among(one for one, _ in group), len(group))
            for one, answer in group:
                _tell(answer, found.get(one))
        except (Refusal, PyMongoError, TimeoutError) as error:
            # What the server refuses of all it would refuse of each.
            for _, answer in group:
                _refuse(answer, error)
        except Exception:
            # One document that can't be decoded must not stand in the way of the others.
            await self._each(line.first, [(one, answer) for one, answer in group if not answer.done()])
        finally:
            self._ended(key, line)

    async def _each(self, plan: ReadPlan, group: list[_Asked]) -> None:
        for one, answer in group:
            try:
                _tell(answer, await self._rooms.first(plan.collection, plan.rows.one(one)))
            except Exception as error:
                _refuse(answer, error)


def _tell(answer: asyncio.Future[Document | None], found: Document | None) -> None:
    if not answer.done():  # who asked may have left
        answer.set_result(found)


def _refuse(answer: asyncio.Future[Document | None], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
