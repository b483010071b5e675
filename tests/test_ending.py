"""Tasks brought to their end: by themselves if they can, else cancelled once and heard out."""

import asyncio

from permission_mongo.ending import ended


def test_who_ends_by_itself_is_not_cancelled():
    async def scene():
        told = asyncio.Event()
        tasks = [asyncio.create_task(told.wait()) for _ in range(3)]
        told.set()
        assert await ended(tasks, 1.0) == 0
        assert not any(task.cancelled() for task in tasks)

    asyncio.run(scene())


def test_who_does_not_is_cancelled_once_and_waited_for():
    """What is left behind gets a second cancellation from the loop that closes."""
    cancels = 0

    async def slow_to_let_go():
        nonlocal cancels
        while True:
            try:
                await asyncio.sleep(60 if not cancels else 0.1)
            except asyncio.CancelledError:
                cancels += 1
            else:
                return

    async def scene():
        task = asyncio.create_task(slow_to_let_go())
        await asyncio.sleep(0)
        assert await ended([task], 0.01) == 0
        assert task.done()

    asyncio.run(scene())
    assert cancels == 1


def test_nothing_to_end_takes_no_time():
    assert asyncio.run(ended([], 60.0)) == 0
