"""The outbox emptied: what is to be told is told, at least once, and in order within a line.

Every gateway delivers what any of them wrote, as long as its hooks.yml has a hook of the name. An entry is taken for
some seconds; a gateway that died leaves it to the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from permission_mongo.ending import ended
from permission_mongo.errors import Refusal
from permission_mongo.hooks import Receiver
from permission_mongo.observations import Delivery, Observation, OutboxStands
from permission_mongo.outgoing.calls import Caller, CallFailed
from permission_mongo.storage.outbox import Outbox, Taken

_LOG: Final = logging.getLogger("permission_mongo.hooks")
_LOOK: Final = 0.5  # seconds between two looks at an outbox that has nothing due
_COUNT: Final = 5.0
_BESIDE: Final = 10.0  # seconds that an entry is held beside the time of its call
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 3600.0
_TO_END: Final = 2.0
_MOST_OF_ONE: Final = 4  # calls at once of one hook, so that a slow one leaves room for others


def pause_after(attempts: int, chance: float) -> float:
    """Seconds to the next attempt: doubled each time up to an hour, of which chance takes up to a half."""
    longest = min(_FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE)
    return longest * (1 - 0.5 * chance)


@dataclass(frozen=True, slots=True)
class Delivering:
    """`receivers` tells those of the configuration in force, by name. `holder` is this process's name.

    `woken` is set where something was written.
    """

    outbox: Outbox
    receivers: Callable[[], Mapping[str, Receiver]]
    caller: Caller
    observe: Callable[[Observation], None]
    holder: str
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: Counter[str] = field(default_factory=Counter)
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wake(self) -> None:
        self.woken.set()

    @asynccontextmanager
    async def at_work(self, workers: int) -> AsyncIterator[None]:
        """Meanwhile the outbox is emptied, by as many calls at once as there are workers."""
        tasks = [asyncio.create_task(self._deliver()) for _ in range(workers)]
        if tasks:
            tasks.append(asyncio.create_task(self._count()))
        try:
            yield
        finally:
            self.ending.set()
            self.woken.set()
            await ended(tasks, _TO_END)  # a call that is cut off is made again

    async def _deliver(self) -> None:
        while not self.ending.is_set():
            self.woken.clear()  # before the look: who calls meanwhile is heard
            if await self._delivered_one():
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK if self.receivers() else _COUNT):
                    await self.woken.wait()

    async def _delivered_one(self) -> bool:
        """Whether there was something to tell. Nothing that goes wrong with one entry ends the worker."""
        try:
            found = await self._take()
            if found is None:
                return False
            taken, receiver = found
            try:
                await self._tell(taken, receiver)
            finally:
                self._busy[taken.hook] -= 1
        except Refusal:
            return False  # MongoDB is away; the entry is due again when its time is over
        except Exception as error:
            _LOG.error("an entry of the outbox could not be delivered: %s", type(error).__name__)
            return False
        return True

    async def _take(self) -> tuple[Taken, Receiver] | None:
        """The next entry; one worker at a time looks for it, so that none has more calls at once than it may."""
        async with self._taking:
            receivers = self.receivers()
            free = [name for name in receivers if self._busy[name] < _MOST_OF_ONE]
            longest = max((receivers[name].timeout for name in free), default=0.0)
            if not free:
                return None
            taken = await self.outbox.take(self.holder, free, longest + _BESIDE, receivers)
            if taken is None:
                return None
            self._busy[taken.hook] += 1
            return taken, receivers[taken.hook]

    async def _tell(self, taken: Taken, receiver: Receiver) -> None:
        try:
            await self.caller.call(receiver, taken.message, int(time.time()), taken.body)
        except CallFailed as failure:
            await self._failed(taken, receiver, failure.reason)
        except asyncio.CancelledError:
            # This gateway ends: another one may go on at once.
            with suppress(Refusal):
                await asyncio.shield(self.outbox.failed(taken, self.holder, "the gateway ended", 0))
            raise
        else:
            await self.outbox.delivered(taken, self.holder)
            self.observe(Delivery(taken.hook, "delivered"))

    async def _failed(self, taken: Taken, receiver: Receiver, reason: str) -> None:
        if taken.attempts > receiver.retries:
            await self.outbox.died(taken, self.holder, reason)
            self.observe(Delivery(taken.hook, "dead"))
            _LOG.error("hook %s: %s is given up after %d attempts: %s", taken.hook, taken.id, taken.attempts, reason)
            return
        pause = pause_after(taken.attempts, random.random())  # noqa: S311  (jitter, no secret)
        await self.outbox.failed(taken, self.holder, reason, pause)
        self.observe(Delivery(taken.hook, "failed"))

    async def _count(self) -> None:
        while not self.ending.is_set():
            with suppress(Refusal):
                stands = await self.outbox.stands()
                self.observe(OutboxStands(stands.pending, stands.dead))
            with suppress(TimeoutError):
                async with asyncio.timeout(_COUNT):
                    await self.ending.wait()
