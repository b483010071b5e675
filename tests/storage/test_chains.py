"""Old versions cut and removed within a write's transaction: its work is bounded, whatever has come together."""

import asyncio
import random
import tracemalloc
from time import monotonic

import pytest
from bson import encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from permission_mongo.config.model import MongoDB
from permission_mongo.storage.chains import prune, thin
from permission_mongo.storage.connection import new_client

pytestmark = pytest.mark.mongo
RAW = CodecOptions(document_class=RawBSONDocument)
MB = 2**20


def a_record(one, number, content=None, tenant="acme"):
    about = {"c": "notes", "d": one, "t": tenant, "v": number}
    content = {"_id": one} if content is None else content
    return {"_id": about, "version": number, "mode": "full", "ended": {"action": "update"}, "data": content}


@pytest.fixture
async def client(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.drop_database("chains_test")
        yield client
        await client.drop_database("chains_test")


@pytest.fixture
def versions(client):
    return client["chains_test"]["_pm_versions"]


async def numbers(versions, one):
    return [row["_id"]["v"] async for row in versions.find({"_id.d": one}, sort=[("_id", 1)])]


async def pruned(client, versions, records, most):
    async with client.start_session() as session:
        await prune(versions, session, records, most)


async def test_what_is_superfluous_goes_from_the_old_end_a_bounded_part_a_write(client, versions):
    """A document with many records can still be written after `max_versions` was set."""
    await versions.insert_many([a_record("a", n) for n in range(1, 1001)])
    await pruned(client, versions, [a_record("a", 1000)], 50)
    assert await numbers(versions, "a") == [*range(101, 1001)]
    for _ in range(9):
        await pruned(client, versions, [a_record("a", 1000)], 50)
    assert await numbers(versions, "a") == [*range(951, 1001)]


async def test_one_command_finds_what_is_superfluous_of_an_ordinary_batch(client, versions):
    """And each document keeps the number that it may have, gaps or none."""
    for n in range(150):
        await versions.insert_many([a_record(f"d{n}", number) for number in (1, 2, 5, 6)])
    await pruned(client, versions, [a_record(f"d{n}", 6) for n in range(150)], 3)
    assert {tuple(await numbers(versions, f"d{n}")) for n in range(150)} == {(2, 5, 6)}


async def test_documents_behind_one_with_many_records_are_pruned_too(client, versions):
    for one, most in (("a", 3000), ("b", 7), ("c", 2), ("d", 3000), ("e", 5)):
        await versions.insert_many([a_record(one, n) for n in range(1, most + 1)])
    await versions.insert_many([a_record("b", n, tenant="evil") for n in range(1, 8)])
    await pruned(client, versions, [a_record(one, 3000) for one in "abcde"], 4)
    kept = {one: len(await numbers(versions, one)) for one in "abcde"}
    assert kept == {"a": 2980, "b": 4 + 7, "c": 2, "d": 2980, "e": 4}


async def thinned(client, versions, records):
    async with client.start_session() as session:
        await thin(versions.with_options(RAW), session, records)


def a_large(one, number, size):
    """The same bytes under another number, so that a difference is small."""
    return RawBSONDocument(encode({"_id": one, "n": number, "x": random.Random(one).randbytes(size)}))


async def test_large_predecessors_are_not_held_all_at_once(client, versions):
    rows = [a_record(f"d{n}", 1, a_large(f"d{n}", 1, 2 * MB)) for n in range(60)]
    await versions.insert_many(rows)
    newer = [a_record(f"d{n}", 2, a_large(f"d{n}", 2, 2 * MB)) for n in range(60)]
    del rows
    tracemalloc.start()
    try:
        await thinned(client, versions, newer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120 * MB, f"{peak / MB:.0f} MB"
    assert await versions.count_documents({"mode": "diff"}) == 60


async def test_others_have_their_turn_between_two_cuts(client, versions):
    """The longest time in which nobody else had a turn is a part of the work, and not all of it."""
    content = {f"k{n}": str(n) for n in range(3000)}
    await versions.insert_many([a_record(f"d{n}", 1, {"_id": f"d{n}", **content}) for n in range(60)])
    changed = {name: f"{value}+" if int(value) > 2000 else value for name, value in content.items()}
    newer = [a_record(f"d{n}", 2, RawBSONDocument(encode({"_id": f"d{n}", **changed}))) for n in range(60)]
    gaps: list[float] = []

    async def tick() -> None:
        last = monotonic()
        while True:
            await asyncio.sleep(0)
            gaps.append(monotonic() - last)
            last = monotonic()

    ticking = asyncio.create_task(tick())
    started = monotonic()
    await thinned(client, versions, newer)
    took = monotonic() - started
    ticking.cancel()
    assert max(gaps) < took / 4, (max(gaps), took)
    assert await versions.count_documents({"mode": "diff"}) == 60
