"""Entries that no caller waits for: stored once, bounded, and counted where they are lost."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest
from pymongo.errors import AutoReconnect

from permission_mongo.config.model import MongoDB
from permission_mongo.storage import trail
from permission_mongo.storage.audit_entries import AuditEntries
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.outbox import Outbox
from permission_mongo.storage.straight import Straight
from permission_mongo.storage.trail import Trail

pytestmark = pytest.mark.mongo


@pytest.fixture
async def database(mongo_uri):
    async with new_client(mongo_uri, MongoDB(min_pool_size=0)) as client:
        name = f"test_{uuid4().hex[:12]}"
        await client[name].create_collection("_pm_audit")
        yield client[name]
        await client.drop_database(name)


class Away:
    """The collection behind a connection that fails so many times, before or after the server has stored it all."""

    def __init__(self, real, times: int, *, stores: bool) -> None:
        self.real, self.times, self.stores = real, times, stores

    async def insert_many(self, documents, **more):
        if self.times:
            self.times -= 1
            if self.stores:
                await self.real.insert_many(documents, **more)
            raise AutoReconnect("away")
        return await self.real.insert_many(documents, **more)


def an_entry(n=0, who="alice"):
    return {"tenant_id": "acme", "user_id": who, "n": n}


def a_trail(database) -> tuple[Trail, Counter]:
    lost: Counter = Counter()
    entries = AuditEntries(database, Straight(database.client, database), Outbox(database, 5.0), None)
    return Trail(entries, lambda one: lost.update({one.why: one.count})), lost


async def numbers(database):
    return sorted([row["n"] async for row in database["_pm_audit"].find({})])


async def test_what_is_noted_is_stored_in_order_of_its_ids(database):
    one, lost = a_trail(database)
    async with one.at_work():
        for n in range(1200):
            one.add(an_entry(n))
        await one.settled()
        rows = await database["_pm_audit"].find({}, sort=[("_id", 1)]).to_list()
    assert [row["n"] for row in rows] == list(range(1200))
    assert not lost


async def test_at_the_end_what_waits_is_stored(database):
    one, lost = a_trail(database)
    async with one.at_work():
        for n in range(700):
            one.add(an_entry(n))
    assert await numbers(database) == list(range(700))
    assert not lost


@pytest.mark.parametrize("stores", [False, True])
async def test_a_server_that_was_away_gets_each_entry_once(database, stores):
    one, lost = a_trail(database)
    one._entries.stored = Away(one._entries.stored, 2, stores=stores)
    async with one.at_work():
        one.add(an_entry(1))
        async with asyncio.timeout(8):
            await one.settled()
    assert await numbers(database) == [1]
    assert not lost


async def test_above_the_bound_entries_are_dropped_and_counted(database, monkeypatch):
    monkeypatch.setattr(trail, "MOST_WAITING", 10)
    one, lost = a_trail(database)
    for n in range(25):
        one.add(an_entry(n))
    assert lost == {"full": 15}
    async with one.at_work():
        await one.settled()
    assert await numbers(database) == list(range(10))


async def test_a_flood_of_one_caller_is_cut_and_others_are_kept(database):
    one, lost = a_trail(database)
    one.most_of_one = 5
    for n in range(20):
        one._second = int(trail.monotonic())  # all in one second
        one.add_refusal(an_entry(n, "eve"))
    one.add_refusal(an_entry(99, "bob"))
    assert lost == {"flood": 15}
    async with one.at_work():
        await one.settled()
    assert await numbers(database) == [0, 1, 2, 3, 4, 99]


async def test_what_can_never_be_stored_is_counted_and_holds_nothing_up(database):
    one, lost = a_trail(database)
    await database.command("collMod", "_pm_audit", validator={"n": {"$ne": 3}})
    async with one.at_work():
        for n in range(5):
            one.add(an_entry(n))
        await one.settled()
    assert (await numbers(database), lost) == ([0, 1, 2, 4], {"failed": 1})


async def test_what_is_lost_at_the_end_is_counted(database, monkeypatch):
    monkeypatch.setattr(trail, "_TO_END", 0.3)
    one, lost = a_trail(database)
    one._entries.stored = Away(one._entries.stored, 10**6, stores=False)
    async with one.at_work():
        for n in range(5):
            one.add(an_entry(n))
        await asyncio.sleep(0.2)
        one.add(an_entry(5))
    assert lost == {"failed": 6}


async def test_entries_that_waited_long_get_ids_of_their_storing(database, monkeypatch):
    """Or no seal would look for them any more."""
    monkeypatch.setattr(trail, "_STALE", -1.0)
    one, _ = a_trail(database)
    one.add(an_entry(1))
    first = one._waiting[0]["_id"]
    async with one.at_work():
        await one.settled()
    [row] = await database["_pm_audit"].find({}).to_list()
    assert row["_id"] != first
