"""Pages under any order, put together, are the whole list in the server's own order: nothing twice, nothing lost.

Checked by brute force on documents of every type, with arrays of every kind in one field, with and without an index.
"""

import random
from datetime import datetime
from uuid import UUID

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient

from permission_mongo.documents.reveal import View
from permission_mongo.plans import ListPlan
from permission_mongo.policy.grants import Lens, Reach
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.sorting import Ordered
from permission_mongo.storage import lists
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import CODEC

pytestmark = pytest.mark.mongo
NAN, INFINITY = float("nan"), float("inf")
MISSING = object()
SCALARS = [
    *(MISSING, None, NAN, -INFINITY, -1, 0, 0.0, -0.0, 1, 1.0, 1.5, Int64(2**60), float(2**60), INFINITY),
    *(Decimal128("NaN"), Decimal128("1"), Decimal128("1.50"), "", "a", "b", "é", "A"),
    *({}, {"a": 1}, {"a": 2}, {"a": [1]}, {"b": {"c": None}}, {"$x": 1}),
    *(b"", b"x", b"yy", Binary(b"x", 5), UUID(int=1), ObjectId(b"a" * 12), ObjectId(b"b" * 12), True, False),
    *(datetime(2026, 1, 1), datetime(1960, 1, 1), DatetimeMS(-(2**60)), Timestamp(1, 1), Timestamp(2, 0)),
    *(Code("x"), Code("y"), Code("x", {}), Code("x", {"a": 1}), MinKey(), MaxKey()),
]
ARRAYS = [
    *([], [[]], [[], 3], [1], [3, 1], [1, 1], [None], [None, 5], [NAN, 1], [NAN], ["a", 1], [0, "b"], [True, {}]),
    *([[1, 2]], [[2], [1, 5]], [[1, 2], 1], [[[1]]], [[], []], [{"a": 1}], [{"a": 2}, 1], [{}, {"a": 0}]),
    *([MinKey(), MaxKey()], [MinKey()], [MaxKey(), 1], [b"x", "x"], [datetime(2026, 1, 1), Timestamp(1, 1)]),
    *([False, None, 1], [Decimal128("NaN"), "a"], [INFINITY, -INFINITY], [Code("x"), 1], [ObjectId(b"a" * 12)]),
]
SECRET = CursorKey(bytes(32))


def some_documents(seed: int, count: int = 500) -> list[dict]:
    """Only `a` holds arrays: the server itself does not sort by two."""
    chance = random.Random(seed)
    found = []
    for n in range(count):
        row = {"_id": f"n{n:03}" if n % 3 else n, "t": "acme"}
        for name, values in (("a", SCALARS + ARRAYS), ("b", SCALARS), ("c", [1, 2, None, "a", MISSING])):
            value = chance.choice(values)
            if value is not MISSING:
                row[name] = value
        found.append(row)
    chance.shuffle(found)
    return found


def an_order(chance: random.Random) -> tuple[tuple[str, int], ...]:
    names = chance.sample(["a", "b", "c"], chance.randint(1, 3))
    return tuple((name, chance.choice((1, -1))) for name in [*names, "_id"])


def a_plan(order, index, limit, after, prefix=(("t", "acme"),)) -> ListPlan:
    lens = Lens(Reach(ALWAYS, (), ALWAYS), bytes(32), View(()))
    match = Guarded({"t": {"$eq": "acme"}})
    return ListPlan("rows", match, limit, after, prefix, lens, (), 2**30, Ordered(order, index))


async def all_pages(rooms, order, index, limit) -> list:
    """The ids, page after page; a cursor holds each key on its way."""
    found, after = [], None
    while True:
        page = await lists.list_page(a_plan(order, index, limit, after), rooms)
        found += [row["_id"] for row in page.documents]
        if not page.has_more or len(found) > 2000:
            return found
        after = SECRET.open(SECRET.seal(page.last, (), 0), (), 0)


@pytest.fixture
async def opened(mongo_uri):
    async with AsyncMongoClient(mongo_uri) as client:
        yield client.get_database("law_paging", codec_options=CODEC), Rooms(client, "law_paging", 30.0, 4)
        await client.drop_database("law_paging")


async def filled(database, seed: int, index=None) -> None:
    await database["rows"].drop()
    if index is not None:
        await database["rows"].create_index(list(index))
    others = [{"_id": f"x{n}", "t": "evil", "a": n} for n in range(20)]
    await database["rows"].insert_many([*some_documents(seed), *others])


async def by_the_server(database, order) -> list:
    """The whole list, sorted by the server without help of an index."""
    rows = database["rows"].find({"t": "acme"}, {"_id": 1}).sort(list(order)).hint([("$natural", 1)])
    return [row["_id"] async for row in rows]


def an_index(order, *, led: bool, backward: bool) -> tuple[tuple[str, int], ...]:
    keys = tuple((name, -way if backward else way) for name, way in order)
    return (("t", 1), *keys) if led else keys


@pytest.mark.parametrize("seed", range(6))
async def test_pages_without_an_index_are_the_whole_list(opened, seed):
    database, rooms = opened
    chance = random.Random(seed)
    await filled(database, seed)
    for limit in (chance.randint(2, 9), chance.randint(10, 60), chance.randint(61, 498), 499):
        order = an_order(chance)
        assert await all_pages(rooms, order, None, limit) == await by_the_server(database, order), (order, limit)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("led", [False, True], ids=["alone", "led by the tenant"])
@pytest.mark.parametrize("seed", range(4))
async def test_pages_from_an_index_are_the_whole_list(opened, seed, led, backward):
    database, rooms = opened
    chance = random.Random(100 + seed)
    order = an_order(chance)
    index = an_index(order, led=led, backward=backward)
    await filled(database, seed, index)
    whole = await by_the_server(database, order)
    for limit in (chance.randint(2, 9), chance.randint(10, 498), 499):
        assert await all_pages(rooms, order, index, limit) == whole, (order, limit)


@pytest.mark.parametrize("with_index", [False, True], ids=["without an index", "with an index"])
async def test_pages_of_one_row_are_the_whole_list(opened, with_index):
    database, rooms = opened
    order = (("a", -1), ("b", 1), ("_id", 1))
    index = an_index(order, led=True, backward=False) if with_index else None
    await filled(database, 7, index)
    assert await all_pages(rooms, order, index, 1) == await by_the_server(database, order)


async def test_the_mutant_bounds_without_the_exact_filter_shows_rows_twice(opened, monkeypatch):
    """What the filter is for: a row with an array stands in the index once for each of its elements."""
    database, rooms = opened
    order = (("a", 1), ("_id", 1))
    index = an_index(order, led=True, backward=False)
    await filled(database, 1, index)
    whole = await by_the_server(database, order)
    assert await all_pages(rooms, order, index, 20) == whole
    monkeypatch.setattr(lists, "behind", lambda _, key: {"_id": {"$ne": key[-1]["v"]}})
    found = await all_pages(rooms, order, index, 20)
    assert len(found) > len(set(found))


async def test_a_fitting_index_is_read_without_sorting_and_only_from_where_the_page_began(opened):
    database, rooms = opened
    rows = [{"_id": n, "t": "acme", "a": n % 100, "b": n} for n in range(2000)]
    order = (("a", -1), ("b", 1), ("_id", 1))
    index = an_index(order, led=True, backward=True)
    await database["rows"].drop()
    await database["rows"].create_index(list(index))
    await database["rows"].insert_many(rows)
    await database.command("profile", 2)
    after = [{"v": 2}, {"v": 1902}, {"v": 1902}]
    page = await lists.list_page(a_plan(order, index, 20, after), rooms)
    await database.command("profile", 0)
    ran = await database["system.profile"].find_one({"op": "query", "command.find": "rows"})
    assert [row["_id"] for row in page.documents][:2] == [1, 101]
    assert ran is not None
    assert "SORT" not in ran["planSummary"]
    assert not ran.get("hasSortStage", False)
    assert ran["keysExamined"] <= 25
