"""Answers without an end of their own: how many each caller may have at once, and that they end with the gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from permission_mongo.errors import RateLimited
from permission_mongo.principal import Principal, Whom

# Each looks at its job twice a second for as long as that runs. A browser opens no more than six to one host.
MOST: Final = 8


class Streams:
    """Those of one process."""

    def __init__(self) -> None:
        self._open: Counter[Whom] = Counter()
        self._closing = asyncio.Event()

    def answer(self, who: Principal, content: AsyncIterator[bytes], headers: Mapping[str, str]) -> Stream:
        """RateLimited where this caller has as many as one may."""
        caller = who.whom
        if self._open[caller] >= MOST:
            raise RateLimited(f"at most {MOST} event streams of one caller at once", most=MOST)
        self._open[caller] += 1
        return Stream(content, headers, self, caller)

    def left(self, caller: Whom) -> None:
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]

    @property
    def are_closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """Each ends where it is."""
        self._closing.set()

    async def go_on(self, seconds: float) -> bool:
        """True after so many seconds; False, and at once, if the gateway ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return not self._closing.is_set()


class Stream(StreamingResponse):
    """It counts until it is sent, or nobody listens any more."""

    def __init__(
        self, content: AsyncIterator[bytes], headers: Mapping[str, str], streams: Streams, caller: Whom
    ) -> None:
        super().__init__(content, 200, headers, "text/event-stream")
        self._streams = streams
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.left(self._caller)
