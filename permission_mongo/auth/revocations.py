"""Revoked tokens: looked for at most once a second, for all requests together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from permission_mongo.errors import Refusal, Unauthenticated, Unavailable
from permission_mongo.principal import Principal, Revocations, RevocationStore

# A revoked token is refused within this time and the store's, on every worker; two seconds are promised.
GOOD_FOR: Final = 1.0
WHOLE_EVERY: Final = 60.0  # seconds; an entry that was removed by hand is forgotten within that


class RevocationList:
    """What is revoked, as far as this process has seen.

    No token passes on a list older than a second: where the store can't be asked, no token passes at all.
    """

    def __init__(self, store: RevocationStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known = Revocations()
        self._generation: int | None = None
        self._read_at = self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def require_good(self, principal: Principal) -> None:
        """Unauthenticated for a revoked token; Unavailable where that can't be told. It says nothing of API keys."""
        if principal.kind != "token":
            return
        await self.refresh()
        if self._known.revoke(principal):
            raise Unauthenticated("the token was revoked")

    async def refresh(self) -> None:
        """Look again if a second has passed. Unavailable where the store can't be asked."""
        while self._clock() - self._looked_at >= GOOD_FOR:
            try:
                await self._looked()
            except Refusal as refusal:
                raise Unavailable("whether the token was revoked can't be told just now") from refusal

    async def _looked(self) -> None:
        """One look for all that wait for it, and one failure: a silent server is not asked by each in turn."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._done)
        await asyncio.shield(self._looking)

    def _done(self, looking: asyncio.Task[None]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # each that waited was told

    async def _look(self) -> None:
        # The moment before the question: what was revoked after it may be missing from the answer.
        now = self._clock()
        generation = await self._store.generation()
        if generation != self._generation or now - self._read_at >= WHOLE_EVERY:
            # The number first: what comes between the two is read again by its own number.
            self._known = await self._store.in_force()
            self._generation, self._read_at = generation, now
        self._looked_at = now
