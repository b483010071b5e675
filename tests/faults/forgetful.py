"""A gateway that tells receivers by itself, right after the write, and keeps no outbox: what the tests must catch."""

import asyncio
import time

from permission_mongo.cli.main import main
from permission_mongo.delivering import Delivering
from permission_mongo.outgoing.calls import CallFailed
from permission_mongo.storage.outbox import Outbox, _entry, message_of

_WAITING: dict[asyncio.AbstractEventLoop, asyncio.Queue] = {}


async def _add(self: Outbox, session, told, now) -> None:
    for one in told:
        _WAITING[asyncio.get_running_loop()].put_nowait(_entry(one, now))


async def _deliver(self: Delivering) -> None:
    """In the order of the writes, each as often as its hook says."""
    loop = asyncio.get_running_loop()
    if loop in _WAITING:
        return
    waiting = _WAITING[loop] = asyncio.Queue()
    while True:
        entry = await waiting.get()
        receiver = self.receivers()[entry["hook"]]
        for attempt in range(receiver.retries + 1):
            try:
                await self.caller.call(receiver, message_of(entry["_id"]), int(time.time()), entry["body"].encode())
                break
            except CallFailed:
                await asyncio.sleep(min(0.5 * 2**attempt, 5))


if __name__ == "__main__":
    Outbox.add, Delivering._deliver = _add, _deliver
    raise SystemExit(main())
