"""Computed fields in orders, counts and updates."""

import pytest

from tests.http.harness import a_config, a_kept_world
from tests.http.test_computed import CLERK, MIXED, POLICY, SCHEMA, filled

pytestmark = pytest.mark.mongo


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        await filled(found)
        yield found


async def pages(world, query, token=None):
    """The ids of all pages of two, asked for one after the other."""
    found, cursor = [], None
    while True:
        more = f"&_cursor={cursor}" if cursor else ""
        answer = (await world.get(f"/orders?{query}&_limit=2{more}", token=token)).json()
        found.append([one["_id"] for one in answer["data"]])
        cursor = answer["pagination"]["cursor"]
        if cursor is None:
            return found


async def test_a_list_is_sorted_by_a_computed_field_over_pages(world):
    """Null, of the document without inputs, comes first upwards and last downwards."""
    assert await pages(world, "_sort=total") == [["3", "1"], ["2"]]
    assert await pages(world, "_sort=-total") == [["2", "1"], ["3"]]
    assert await pages(world, "_sort=-label,total") == [["3", "2"], ["1"]]


async def test_a_sort_by_a_plain_field_shows_computed_ones_too(world):
    rows = (await world.get("/orders?_sort=-net")).json()["data"]
    assert [(one["_id"], one["total"]) for one in rows] == [("2", 25), ("1", 12), ("3", None)]


async def test_a_filter_and_an_order_by_computed_fields_go_together(world):
    assert await pages(world, 'total={"$gt":1}&_sort=-total') == [["2", "1"]]
    counted = await world.get('/orders?total={"$gt":1}&_count=true&_limit=1')
    assert counted.json()["pagination"]["total"] == 2
    assert (await world.post("/orders/count", {"filter": {"total": 12}})).json() == {"data": {"count": 1}}


async def test_a4_an_order_by_a_field_made_of_a_hidden_one_is_refused(world):
    """`pay` is made of `salary`, which the clerk does not read."""
    for path in ("/orders?_sort=pay", "/orders?_sort=-total,pay", '/orders?pay={"$gt":1}'):
        answer = await world.get(path, token=CLERK)
        assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (403, ["pay"])
    assert (await world.post("/orders/count", {"filter": {"pay": 1}}, token=CLERK)).status_code == 403


async def test_a4_rows_take_part_in_an_order_by_a_computed_field_only_where_it_is_read(world):
    assert await pages(world, "_sort=pay", MIXED) == [["1"]]


async def test_what_was_read_with_computed_fields_can_be_put_back(world):
    read = (await world.get("/orders/1")).json()
    assert read["total"] == 12
    answer = await world.ask("PUT", "/orders/1", read)
    assert (answer.status_code, answer.json()) == (200, read)
    changed = await world.ask("PUT", "/orders/1?_replace=true", {**read, "net": 30})
    assert (changed.status_code, changed.json()["_version"]) == (200, read["_version"] + 1)
    assert (changed.json()["net"], changed.json()["total"]) == (30, 32)
    assert "total" not in await world.database["orders"].find_one({"_id": "1"})


@pytest.mark.parametrize(
    "body", [{"total": 1}, {"$set": {"total": 1}}, {"$unset": {"total": ""}}, {"$inc": {"total": 1}}]
)
async def test_t24_a_computed_field_is_not_the_callers_to_write(world, body):
    answer = await world.ask("PATCH", "/orders/1", body)
    assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (403, ["total"])
    put = await world.ask("PUT", "/orders/1", {"total": 1})
    assert put.status_code == 403


async def test_the_echo_of_an_update_shows_computed_fields_and_the_tag_of_the_next_read(world):
    answer = await world.ask("PATCH", "/orders/1", {"$inc": {"net": 1}})
    read = await world.get("/orders/1")
    assert (answer.json(), answer.headers["etag"]) == (read.json(), read.headers["etag"])
    assert answer.json()["total"] == 13
