"""The bytes that large answers hold in this process, from before their query until they are sent.

How large an answer is nobody knows before MongoDB has sent it. It is expected to be what the rows of its collection
were before, and waits where there is no room for it; what is expected to be small passes by at once.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from permission_mongo.errors import CallerLeft, Unavailable

MOST: Final = 64 * 2**20  # bytes
LARGE: Final = 128 * 2**10  # bytes; what is smaller is never counted and never waits
_WHILE_MADE: Final = 2  # an answer that is being made is there so many times: MongoDB's reply, and what becomes of it
_HALF_LIFE: Final = 600.0  # seconds in which what was seen counts half as much
_FIRST: Final = 2  # reads at once of a collection of which nothing is known
_PATIENCE: Final = 1.0  # seconds that the others wait for what those tell
_tried_for: Final = ContextVar("tried_for", default=0.0)


def tried_for() -> float:
    """Seconds that the request at hand has waited to be told how large rows are. They count as part of the wait for a
    turn, for it is mostly one slow server that both wait for.
    """
    return _tried_for.get()


class Seen:
    """How many bytes a row of one collection has: the most that was seen. It counts for less as time goes by."""

    __slots__ = ("_at", "_clock", "_per_row", "is_known", "trying")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._per_row = self._at = 0.0
        self.is_known = False
        self.trying = 0

    def saw(self, size: int, rows: int) -> None:
        """MongoDB's reply had so many bytes, and rows."""
        if size >= LARGE or size > self._per_row * rows or not self.is_known:
            per_row, now = size / max(1, rows), self._clock()
            if per_row >= self._per_row * self._left(now):
                self._per_row, self._at = per_row, now
            self.is_known = True

    def expected(self, rows: int) -> float:
        """The bytes of so many rows. It need not be exact below LARGE."""
        size = self._per_row * rows
        return size if size < LARGE else size * self._left(self._clock())

    def _left(self, now: float) -> float:
        return math.exp2((self._at - now) / _HALF_LIFE)


def made_of(collection: str) -> tuple[str, str]:
    """The place of what aggregations make of a collection: their rows are none of its own, and count as one."""
    return ("made of", collection)


class Sizes(dict[Hashable, Seen]):
    """What was seen, by collection."""

    def __missing__(self, of: Hashable) -> Seen:
        found = self[of] = Seen()
        return found


@dataclass(slots=True, eq=False)
class Share:
    """What one answer holds: at first what is expected of `rows` rows, at most `most` bytes or one row, of `whom`.

    `left` tells whether the caller is gone.
    """

    budget: Budget
    seen: Seen
    rows: int
    most: int
    whom: Hashable
    left: Callable[[], Awaitable[bool]]
    began: float = field(default_factory=monotonic)
    held: int = 0
    is_trial: bool = False
    is_overdue: bool = False
    _told: Token[float] | None = None

    def need(self) -> int:
        expected = min(self.seen.expected(self.rows), max(self.most, self.seen.expected(1)))
        return 0 if expected < LARGE else min(int(expected) * _WHILE_MADE, self.budget.most)

    async def enter(self) -> None:
        """Wait for room. Unavailable where none was found in time, CallerLeft where nobody is there any more."""
        if not self.budget.let_in(self):
            await self.budget.wait(self)
            if await self.left():
                raise CallerLeft("the caller left")

    async def __aenter__(self) -> None:
        """Enter, for the time of the query. What is held stays so until the answer is sent."""
        await self.enter()
        self._told = _tried_for.set(monotonic() - self.began if self.is_trial else 0.0)

    async def __aexit__(self, *ended: object) -> None:
        if self._told is not None:
            _tried_for.reset(self._told)
            self._told = None

    def settle(self, size: int) -> None:
        """The answer is made: from here on only its own bytes are held."""
        self.budget.hold(self, size if size >= LARGE else 0)

    def leave(self) -> None:
        """It is sent, or never will be."""
        self.budget.hold(self, 0)


class Budget:
    """`most` bytes at once, at most half of them one caller's. Who waits has its turn in order, for `longest` seconds.

    An answer that turns out larger than it was expected to be is counted all the same: others wait for it.
    """

    def __init__(self, most: int = MOST, longest: float = 10.0) -> None:
        self.most = most
        self.longest = longest
        self.held = 0
        self._of: Counter[Hashable] = Counter()
        self._waiting: dict[Share, asyncio.Future[None]] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def let_in(self, share: Share) -> bool:
        """Whether there is room; then it is taken."""
        return self._enters(share, behind=any(map(self._holds_up, self._waiting)))

    async def wait(self, share: Share) -> None:
        loop = asyncio.get_running_loop()
        told = self._waiting[share] = loop.create_future()
        again = None if share.seen.is_known else loop.call_later(_PATIENCE, self._overdue, share)
        try:
            async with asyncio.timeout(self.longest):
                await told
        except TimeoutError as error:
            raise Unavailable("too many large answers are under way; try again") from error
        finally:
            self._waiting.pop(share, None)
            if again is not None:
                again.cancel()

    def _overdue(self, share: Share) -> None:
        share.is_overdue = True  # by this, and no clock: a loop's timers may come a moment early
        self._look()

    def hold(self, share: Share, size: int) -> None:
        """From now on the share holds `size` bytes; a trial is over."""
        if share.is_trial:
            share.is_trial = False
            share.seen.trying -= 1
        self._take(share, size)
        self._look()

    def _look(self) -> None:
        """Let those in for whom there is room. Behind one that finds none no other large one enters."""
        behind = False
        for share, told in [*self._waiting.items()]:
            if share not in self._waiting:
                continue
            if self._enters(share, behind=behind):
                del self._waiting[share]
                if not told.done():
                    told.set_result(None)
                else:
                    self.hold(share, 0)
            else:
                behind = behind or self._holds_up(share)

    def _holds_up(self, share: Share) -> bool:
        """Whether large ones behind it wait for it: for room, and not because its caller holds enough."""
        return share.seen.is_known and not self._has_its_part(share, share.need())

    def _enters(self, share: Share, *, behind: bool) -> bool:
        if not share.seen.is_known:
            return self._tries(share)
        need = share.need()
        if need and (behind or self.held + need > self.most or self._has_its_part(share, need)):
            return False
        self._take(share, need)
        return True

    def _tries(self, share: Share) -> bool:
        """A first read of its collection. It is not held up for long: what the others tell may take its time."""
        if share.seen.trying >= _FIRST and not share.is_overdue:
            return False
        share.is_trial = True
        share.seen.trying += 1
        return True

    def _has_its_part(self, share: Share, need: int) -> bool:
        """Whether its caller holds as much as one may. A first answer may have any size."""
        own = self._of[share.whom]
        return own > 0 and own + need > self.most // 2

    def _take(self, share: Share, size: int) -> None:
        change, share.held = size - share.held, size
        self.held += change
        self._of[share.whom] += change
        if not self._of[share.whom]:
            del self._of[share.whom]
