"""How what works behind the requests is brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, TypeVar

_TO_HEAR: Final = 2.0  # seconds
T = TypeVar("T")


async def ended(tasks: Collection[asyncio.Task[T]], patience: float) -> int:
    """Tasks that were told to end come to it by themselves, once what they wait for has answered or was given up.

    After `patience` seconds they are cancelled; returns how many did not hear even that. A cancellation in the driver
    is the last resort, and sent once: as it looks for a server a second one leaves a lock behind that nobody lets go
    of, and one that comes with an answer is lost. So it is waited for: a loop that closes cancels whatever is left.
    """
    waiting = set(tasks)
    if waiting:
        _, waiting = await asyncio.wait(waiting, timeout=patience)
    for task in waiting:
        task.cancel()
    if waiting:
        _, waiting = await asyncio.wait(waiting, timeout=_TO_HEAR)
    return len(waiting)
