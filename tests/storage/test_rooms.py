"""Reads take turns: those that find every connection taken wait a second, and are then told to come back."""

import asyncio

import pytest

from permission_mongo.errors import Unavailable
from permission_mongo.storage.rooms import Bounded


async def test_f6_a_read_without_a_turn_is_told_so_and_others_go_on():
    slots, gate = asyncio.Semaphore(2), asyncio.Event()

    async def hold():
        async with Bounded(slots, 10):
            await gate.wait()

    holders = [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        async with Bounded(slots, 10):
            raise AssertionError("no turn was free")
    gate.set()
    await asyncio.gather(*holders)
    async with Bounded(slots, 10):
        assert not slots.locked()
    assert slots._value == 2


async def test_a_turn_is_given_back_whatever_ends_the_read():
    slots = asyncio.Semaphore(1)
    with pytest.raises(TimeoutError):
        async with Bounded(slots, 0.01):
            await asyncio.sleep(5)
    with pytest.raises(ValueError, match="broken"):
        async with Bounded(slots, 5):
            raise ValueError("broken")
    assert not slots.locked()
