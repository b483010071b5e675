"""A deadline holds though a cancellation is lost on its way."""

import asyncio
import time

import pytest

from permission_mongo.storage.insistence import Insistent


async def deaf(times: int) -> None:
    """Loses so many cancellations, as `asyncio.wait_for` can."""
    for _ in range(times + 1):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            if times == 0:
                raise
            times -= 1


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_f5_what_loses_a_cancellation_is_cancelled_again(lost):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with Insistent(0.05):
            await deaf(lost)
    assert time.monotonic() - began < 1.0 + 0.5 * lost
    assert asyncio.current_task().cancelling() == 0


async def test_what_puts_itself_in_order_is_left_to_it():
    """Some turns of the loop, and none of them cancelled."""
    done = []

    async def orderly():
        try:
            await asyncio.sleep(10)
        finally:
            for _ in range(50):
                await asyncio.sleep(0)
            done.append(True)

    with pytest.raises(TimeoutError):
        async with Insistent(0.02):
            await orderly()
    assert done == [True]


async def test_a_caller_who_leaves_is_no_timeout():
    async def read():
        async with Insistent(10):
            await asyncio.sleep(10)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_what_is_in_time_is_its_own():
    async with Insistent(0.05):
        value = await asyncio.sleep(0, "value")
    await asyncio.sleep(0.1)
    assert value == "value"
    with pytest.raises(ValueError, match="mine"):
        async with Insistent(1):
            raise ValueError("mine")
