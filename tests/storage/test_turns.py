"""Work on many documents lets others have their turn."""

import asyncio

from bson import encode
from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.turns import decoded, in_turns


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
