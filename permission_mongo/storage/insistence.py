"""A deadline that asks again: a cancellation can get lost on its way."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

# A driver that was cancelled puts its pool in order, and must not be cancelled in that. It takes a few turns of the
# loop: between the looks the loop has run, however long it stood still.
_LOOK: Final = 0.08  # seconds
_LOOKS: Final = 2


class Insistent:
    """As `asyncio.timeout`; what still runs a quarter of a second after it was cancelled is cancelled once more.

    Before Python 3.12 `asyncio.wait_for` loses a cancellation that meets its end, and the driver waits by it for a
    connection: the request would go on without any deadline.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent = 0
        self._looks = 0

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine runs in a task)
        self._task, self._loop = task, asyncio.get_running_loop()
        self._before = task.cancelling()
        self._timer = self._loop.call_later(self._seconds, self._cancel)

    def _cancel(self) -> None:
        self._sent += 1
        self._looks = 0
        self._task.cancel()
        self._timer = self._loop.call_later(_LOOK, self._look)

    def _look(self) -> None:
        self._looks += 1
        self._timer = self._loop.call_later(_LOOK, self._look if self._looks < _LOOKS else self._cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._sent:
            return
        left = min(self._task.uncancel() for _ in range(self._sent))
        # Whoever else cancelled is obeyed.
        if left <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error
