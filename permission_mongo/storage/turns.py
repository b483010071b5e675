"""Long work on many documents, cut short again and again, so that other callers have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.decoding import document_of
from permission_mongo.values import Document

T = TypeVar("T")
_AT_ONCE: Final = 50  # documents: about half a millisecond


async def in_turns(items: Sequence[T]) -> AsyncGenerator[Sequence[T], None]:
    """The items in order, some at a time."""
    for n in range(0, len(items), _AT_ONCE):
        if n:
            await asyncio.sleep(0)
        yield items[n : n + _AT_ONCE]


async def decoded(rows: Sequence[RawBSONDocument]) -> list[Document]:
    return [document_of(row.raw) async for some in in_turns(rows) for row in some]


async def ahead(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items, the next one made while one is worked with: two at most are in memory."""
    async with aclosing(items):

        async def following() -> T | None:
            return await anext(items, None)

        making = asyncio.create_task(following())
        try:
            while (made := await making) is not None:
                making = asyncio.create_task(following())
                yield made
        finally:
            making.cancel()
            await asyncio.wait([making])
