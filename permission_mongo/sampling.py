"""What is counted cheaply where it happens and told once a second, instead of each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from permission_mongo.ending import ended
from permission_mongo.observations import LoopLag, Observation

_EVERY: Final = 1.0  # seconds
_TO_END: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """`looks` tell what was counted since they were asked last."""

    observe: Callable[[Observation], None]
    looks: tuple[Callable[[], Iterable[Observation]], ...]
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        for look in self.looks:
            for one in look():
                self.observe(one)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            self.ending.set()
            await ended([task], _TO_END)

    async def _sample(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self.ending.is_set():
            due = clock() + _EVERY
            try:
                async with asyncio.timeout_at(due):
                    await self.ending.wait()
            except TimeoutError:
                self.observe(LoopLag(max(0.0, clock() - due)))
                self.look()
