"""Long work on many documents, cut short again and again, so that other callers have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeVar

from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.decoding import document_of
from permission_mongo.values import Document

T = TypeVar("T")
_AT_ONCE: Final = 10  # documents: about a tenth of a millisecond
_READ: Final = 25  # that are read from their bytes in as long


async def in_turns(items: Sequence[T], at_once: int = _AT_ONCE) -> AsyncGenerator[Sequence[T], None]:
    """The items in order, some at a time."""
    for n in range(0, len(items), at_once):
        if n:
            await asyncio.sleep(0)
        yield items[n : n + at_once]


async def decoded(rows: Sequence[RawBSONDocument]) -> list[Document]:
    return [document_of(row.raw) async for some in in_turns(rows, _READ) for row in some]


@asynccontextmanager
async def ahead(items: AsyncGenerator[T, None]) -> AsyncGenerator[AsyncGenerator[T, None], None]:
    """The same items, the first of them made from now on, each other while one is worked with: two are in memory."""

    async def following() -> T | None:
        return await anext(items, None)

    making = asyncio.create_task(following())

    async def made() -> AsyncGenerator[T, None]:
        nonlocal making
        while (one := await making) is not None:
            making = asyncio.create_task(following())
            yield one

    try:
        async with aclosing(items), aclosing(made()) as found:
            try:
                yield found
            finally:
                making.cancel()
                await asyncio.wait([making])
    finally:
        if not making.cancelled():
            making.exception()  # told already, or of less concern than what ended this


async def documents_in(stored: bytes) -> AsyncGenerator[tuple[bytes, Document], None]:
    """Documents one behind the other: each as its bytes and read, and no longer in memory than it is looked at."""
    for n, raw in enumerate(_apart(stored)):
        if n and not n % _AT_ONCE:
            await asyncio.sleep(0)
        yield raw, document_of(raw)


def _apart(stored: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stored):
        end = at + int.from_bytes(stored[at : at + 4], "little")
        yield stored[at:end]
        at = end
