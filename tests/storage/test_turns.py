"""Work on many documents lets others have their turn."""

import asyncio
from contextlib import suppress

import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.turns import ahead, decoded, documents_in, in_turns


async def turns_beside(work) -> int:
    """How often another task had its turn meanwhile."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await work
    task.cancel()
    return turns


async def test_others_have_a_turn_after_every_fifty_documents():
    async def worked() -> None:
        assert [one async for some in in_turns(range(1000)) for one in some] == [*range(1000)]

    assert await turns_beside(worked()) >= 19


async def test_decoding_many_documents_lets_others_have_their_turn():
    rows = [RawBSONDocument(encode({"n": n})) for n in range(1000)]

    async def worked() -> None:
        assert await decoded(rows) == [{"n": n} for n in range(1000)]

    assert await turns_beside(worked()) >= 19


async def test_documents_in_a_row_come_as_their_bytes_and_read():
    rows = [encode({"_id": n, "inside": {"text": "x" * n}}) for n in range(120)]
    found = [one async for one in documents_in(b"".join(rows))]
    assert [raw for raw, _ in found] == rows
    assert [one["_id"] for _, one in found] == [*range(120)]
    assert [one async for one in documents_in(b"")] == []


async def test_the_next_is_made_while_one_is_worked_with_and_no_further():
    made: list[int] = []

    async def items():
        for n in range(4):
            made.append(n)
            yield n

    async with ahead(items()) as found:
        await asyncio.sleep(0)
        assert made == [0]  # begun before anybody asks
        async for one in found:
            await asyncio.sleep(0.001)
            assert made == [*range(min(one + 2, 4))]


async def test_who_ends_early_leaves_nothing_running():
    ended = asyncio.Event()

    async def items():
        try:
            yield 1
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with suppress(KeyError):
        async with ahead(items()) as found:
            async for _ in found:
                await asyncio.sleep(0)
                raise KeyError
    assert ended.is_set()


async def test_what_fails_ahead_is_told_where_it_is_asked_for():
    async def items():
        yield 1
        raise KeyError("second")

    with pytest.raises(KeyError, match="second"):
        async with ahead(items()) as found:
            assert [one async for one in found] == [1]
