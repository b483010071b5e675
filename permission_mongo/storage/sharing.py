"""First pages that one caller asks for in the same words at the same moment, answered by one command.

A page with nothing before it goes out at once. While two of the same plan are under way, the next ones wait for the
first of them to end, or for a moment, and then are all answered by one command. Whoever comes once that command is
under way waits for the next: each page is read after it was asked for. A plan is one caller's, at one collection under
one policy, and its very object is the key; so callers never share a command.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from copy import copy
from dataclasses import dataclass, field
from typing import Final

from permission_mongo.errors import Refusal
from permission_mongo.outcomes import Page
from permission_mongo.plans import ListPlan
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.lists import list_page
from permission_mongo.storage.rooms import Rooms

_AT_ONCE: Final = 2  # commands of one plan, as long as they are quick
_PATIENCE: Final = 0.05  # seconds; nobody waits for a slow command and then for an own one, nor for one that hangs
_Asked = asyncio.Future[Page | None]


@dataclass(slots=True)
class _Group:
    """Those who wait for one command. It is traced as the first one's."""

    timer: asyncio.TimerHandle
    context: Context
    asked: list[_Asked] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    """What is asked of one plan. `plan` is held, so that no other can get its identity."""

    plan: ListPlan
    under_way: int = 0
    waiting: _Group | None = None


class Sharing:
    """Answers lists. What several are given is one object, and what is shown of it is made once."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._lines: dict[int, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def page(self, plan: ListPlan) -> Page:
        line = self._lines.get(id(plan))
        if line is None:
            line = self._lines[id(plan)] = _Line(plan)
        if line.under_way < _AT_ONCE:
            line.under_way += 1
            try:
                return await list_page(plan, self._rooms)
            finally:
                self._ended(line)
        found = await self._joined(line)
        return await list_page(plan, self._rooms) if found is None else found

    def _joined(self, line: _Line) -> _Asked:
        loop = asyncio.get_running_loop()
        if line.waiting is None:
            line.waiting = _Group(loop.call_later(_PATIENCE, self._send, line), copy_context())
        answer: _Asked = loop.create_future()
        line.waiting.asked.append(answer)
        return answer

    def _ended(self, line: _Line) -> None:
        """One command has ended: the next goes out, or, with nobody waiting, the line is forgotten."""
        line.under_way -= 1
        self._send(line)
        if not line.under_way:
            del self._lines[id(line.plan)]

    def _send(self, line: _Line) -> None:
        """From here on nobody joins these."""
        group, line.waiting = line.waiting, None
        if group is None:
            return
        group.timer.cancel()
        if any(not one.done() for one in group.asked):
            line.under_way += 1
            task = asyncio.get_running_loop().create_task(self._together(line, group), context=group.context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _together(self, line: _Line, group: _Group) -> None:
        found: Page | Refusal | None = None
        try:
            with refusing():
                found = await list_page(line.plan, self._rooms)
        except Refusal as refusal:
            found = refusal
        except Exception:
            found = None  # a defect of ours: each asks alone, and raises what it meets there
        finally:
            for one in group.asked:
                _tell(one, found)
            self._ended(line)


def _tell(answer: _Asked, found: Page | Refusal | None) -> None:
    if answer.done():  # who asked may have left
        return
    if isinstance(found, Refusal):
        answer.set_exception(copy(found))  # each its own: raising changes it
    else:
        answer.set_result(found)
