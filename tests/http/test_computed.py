"""Computed fields: made on reading, of what the reader may read; hidden wherever an input is."""

import json
from decimal import Decimal

import pytest
from bson import Decimal128, ObjectId

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  orders:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      name: {type: string}
      net: {type: number}
      tax: {type: number}
      salary: {type: number}
      lines: {type: array, items: {type: object, properties: {amount: {type: number}}}}
      total: {type: number, computed: {$add: [$net, $tax]}}
      label: {type: string, computed: {$concat: [$name, "!"]}}
      pay: {type: number, computed: {$multiply: [$salary, 12]}}
      lot: {type: number, computed: {$sum: $lines.amount}}
"""
POLICY = """
roles: {user: {}, clerk: {}, masked: {}, mixed: {}, barred: {}, root: {cross_tenant: true}}
policies:
  orders:
    user: {actions: ["*"]}
    clerk: {actions: [create, read], fields: {allow: [name, net, tax, total, pay, lot]}}
    masked: {actions: [read], fields: {mask: {name: partial}}}
    mixed:
      - {actions: [read], when: "resource.name == 'a'"}
      - {actions: [read], fields: {deny: [salary]}}
    barred:
      - {actions: [read]}
      - {effect: deny, actions: [read], fields: [lines]}
    root: {actions: ["*"]}
"""
CLERK, MASKED, MIXED, BARRED = (a_token(role, [role]) for role in ("clerk", "masked", "mixed", "barred"))
EVE = a_token("eve", tenant="evil")
COMPUTED = {"total", "label", "pay", "lot"}


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        await filled(found)
        yield found


async def filled(world):
    rows = [
        {"_id": "1", "name": "a", "net": 10, "tax": 2, "salary": 100, "lines": [{"amount": 3}, {"amount": 4}]},
        {"_id": "2", "name": "b", "net": 20, "tax": 5, "salary": 200},
        {"_id": "3", "name": "c"},
    ]
    assert (await world.post("/orders/batch", {"documents": rows})).status_code == 201
    await world.post("/orders", {"_id": "9", "name": "a", "net": 10, "tax": 2}, token=EVE)


async def ids(world, query="", **more):
    answer = await world.get(f"/orders{query}", **more)
    assert answer.status_code == 200, answer.text
    return [one["_id"] for one in answer.json()["data"]]


async def test_every_reading_route_shows_computed_fields(world):
    expected = {"total": 12, "label": "a!", "pay": 1200, "lot": 7}
    one = (await world.get("/orders/1")).json()
    listed = (await world.get("/orders")).json()["data"]
    got = (await world.post("/orders/batch/get", {"ids": ["1", "3"]})).json()["documents"]
    for found in (one, listed[0], got[0]):
        assert {name: found[name] for name in COMPUTED} == expected
    assert (listed[2]["total"], listed[2]["lot"], listed[2]["label"]) == (None, 0, "c!")
    await world.delete("/orders/batch", {"ids": ["1"]})
    gone = (await world.get("/orders/deleted")).json()["data"]
    assert [{name: found[name] for name in COMPUTED} for found in gone] == [expected]
    assert "_made" not in gone[0]


async def test_the_echo_of_a_create_is_what_is_read_afterwards(world):
    answer = await world.post("/orders", {"name": "d", "net": 1, "tax": 1})
    assert (answer.status_code, answer.json()["total"]) == (201, 2)
    assert (await world.get(answer.headers["location"])).json() == answer.json()
    assert "total" not in await world.database["orders"].find_one({"name": "d"})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?total=25", ["2"]),
        ('?total={"$gt":5}', ["1", "2"]),
        ('?total={"$gt":5}&name=a', ["1"]),
        ('?_filter={"$or":[{"total":25},{"label":"c!"}]}', ["2", "3"]),
        ("?name=b", ["2"]),
    ],
)
async def test_a_filter_may_use_computed_fields_within_the_callers_rows(world, query, found):
    assert await ids(world, query) == found


@pytest.mark.parametrize(
    ("token", "hidden"),
    [(CLERK, {"label", "pay", "lot"}), (MASKED, {"label"}), (BARRED, {"lot"})],
    ids=["allow", "mask", "deny rule"],
)
async def test_t11_a_computed_field_is_hidden_where_an_input_is(world, token, hidden):
    """`label` is not in the clerk's list; `pay` and `lot` are, but `salary` and `lines` are not."""
    answers = [
        (await world.get("/orders/1", token=token)).json(),
        (await world.get("/orders", token=token)).json()["data"][0],
    ]
    for found in answers:
        assert COMPUTED - found.keys() == hidden
    for name in hidden:
        refusals = [await world.get(f"/orders?{one}=1", token=token) for one in (name, "nothing")]
        told = [(one.status_code, one.json()["error"]["message"]) for one in refusals]
        assert told == [(403, "unknown or not permitted field")] * 2


async def test_t11_rows_whose_own_rules_hide_an_input_take_no_part_in_a_question_about_it(world):
    """`mixed` reads all of row 1, and all but salaries of the others."""
    listed = (await world.get("/orders", token=MIXED)).json()["data"]
    assert [one.get("pay", "hidden") for one in listed] == [1200, "hidden", "hidden"]
    assert await ids(world, '?pay={"$gt":0}', token=MIXED) == ["1"]
    assert await ids(world, '?pay={"$ne":1}', token=MIXED) == ["1"]


async def test_t11_deny_fields_for_all_hide_what_is_computed_of_them(mongo_uri, tmp_path):
    policy = POLICY + "defaults: {deny_fields: [salary]}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=policy)) as world:
        await world.database["orders"].insert_one({"_id": "x", "tenant_id": "acme", "salary": 5, "net": 1, "tax": 1})
        assert (await world.get("/orders/x")).json().keys() & {"salary", "pay", "total"} == {"total"}


@pytest.mark.parametrize("name", sorted(COMPUTED))
async def test_fields_of_a_batch_get_name_computed_ones_like_any(world, name):
    answer = await world.post("/orders/batch/get", {"ids": ["1"], "fields": [name]})
    assert answer.json()["documents"][0].keys() - {"_version"} == {"_id", name}
    assert (await world.post("/orders/batch/get", {"ids": ["1"], "fields": ["label"]}, token=CLERK)).status_code == 403


@pytest.mark.parametrize("name", sorted(COMPUTED))
async def test_t24_a_computed_field_can_not_be_written(world, name):
    one = await world.post("/orders", {"name": "x", name: 5})
    many = await world.post("/orders/batch", {"documents": [{"name": "x", name: {"add": 1}}]})
    assert (one.status_code, one.json()["error"]["details"]["fields"]) == (403, [name])
    assert many.json()["failed"][0]["error"]["code"] == "forbidden"
    assert await ids(world, "?name=x") == []


async def test_what_is_stored_under_a_computed_name_is_never_shown(world):
    await world.database["orders"].update_one({"_id": "1"}, {"$set": {"total": "stale", "lot": {"secret": 1}}})
    found = (await world.get("/orders/1")).json()
    assert (found["total"], found["lot"]) == (12, 7)


CONDITIONS = [
    {"$eq": 12}, {"$ne": 12}, {"$gt": 1, "$lte": 12}, {"$in": [12, None]}, {"$nin": [12]}, {"$in": []}, {"$all": [12]}, {"$exists": True},
    {"$exists": False}, {"$regex": "^1"}, {"$size": 1}, {"$elemMatch": {"$gt": 1}}, {"$not": {"$gt": 1}}, {"$not": {"$exists": True}},
]  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
async def test_t8_every_filter_operator_asks_computed_fields_as_if_they_were_stored(world, condition):
    """The same rows as of a collection in which the values are stored, hidden rows of others left out."""
    asked = await ids(world, "?_filter=" + json.dumps({"total": condition}))
    for one in (await world.get("/orders")).json()["data"]:
        await world.database["stored"].insert_one({"_id": one["_id"], "total": one["total"]})
    assert asked == [row["_id"] async for row in world.database["stored"].find({"total": condition}, sort=[("_id", 1)])]


async def test_a_write_can_not_be_aimed_by_a_computed_field(world):
    """It is stored nowhere: `$ne` would find every row."""
    answer = await world.delete("/orders/batch", {"filter": {"total": {"$ne": 12}}})
    assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (400, ["total"])
    hidden = await world.delete("/orders/batch", {"filter": {"nothing": 1}})
    assert hidden.status_code == 403
    assert len(await ids(world)) == 3


async def test_t15_a_hostile_row_neither_ends_a_list_nor_changes_its_neighbours(world):
    hostile = [
        {"_id": "h1", "net": "x", "tax": [1], "name": 5, "salary": {}, "lines": "x"},
        {"_id": "h2", "net": float("nan"), "tax": Decimal128(Decimal("9E6144")), "name": "x" * 20_000, "lines": [[[]]]},
        {"_id": ObjectId(), "net": 2**62, "tax": 2**62, "salary": 1e308, "lines": [{"amount": 1e308}] * 2},
    ]
    before = (await world.get("/orders")).json()["data"]
    await world.database["orders"].insert_many([{**one, "tenant_id": "acme"} for one in hostile])
    answer = await world.get("/orders")
    assert (answer.status_code, answer.json()["data"][:3]) == (200, before)
    assert len(answer.json()["data"]) == 6
    assert answer.json()["data"][3]["total"] is None


async def test_pages_with_computed_fields_go_through_every_row_once_across_types_of_ids(world):
    more = [5, 5.5, ObjectId(), b"x", True, None, "zz"]
    await world.database["orders"].insert_many([{"_id": one, "tenant_id": "acme", "net": 1, "tax": 1} for one in more])
    for query in ("?_limit=2", '?_limit=2&_filter={"lot":0}'):
        seen, cursor = [], ""
        while cursor is not None:
            page = (await world.get(f"/orders{query}{cursor and '&_cursor=' + cursor}")).json()
            seen += [str(one["_id"]) for one in page["data"]]
            cursor = page["pagination"]["cursor"]
        assert len(seen) == len(set(seen)) == (10 if "lot" not in query else 9)


async def test_a_page_in_the_middle_is_read_from_the_index(world):
    """Of 2,000 rows a page of two looks at a handful."""
    rows = [{"_id": f"r{n:05}", "tenant_id": "acme", "net": n, "tax": 1} for n in range(2000)]
    await world.database["orders"].insert_many(rows)
    first = (await world.get('/orders?_limit=1000&_filter={"_id":{"$gte":"r"}}')).json()["pagination"]["cursor"]
    await world.database.command("profile", 2)
    answer = await world.get(f'/orders?_limit=1000&_filter={{"_id":{{"$gte":"r"}}}}&_cursor={first}')
    await world.database.command("profile", 0)
    seen = await world.database["system.profile"].find_one({"command.aggregate": "orders"})
    assert len(answer.json()["data"]) == 1000
    assert seen["docsExamined"] <= 1001


async def test_t12_the_guard_stands_before_what_is_asked(world):
    assert await ids(world, "?total=12") == ["1"]
    assert await ids(world, "?total=12", token=EVE) == ["9"]
    assert (await world.get("/orders/9")).status_code == 404
    assert (await world.post("/orders/batch/get", {"ids": ["9"]})).json()["documents"] == []
    root = a_token("root", ["root"], None)
    assert await ids(world, "?total=12", token=root) == ["1", "9"]


async def test_a_create_is_read_again_where_nothing_is_audited(mongo_uri, tmp_path):
    config = CONFIG + "audit: {enabled: false}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, config, SCHEMA, POLICY)) as world:
        assert (await world.post("/orders", {"net": 1, "tax": 2})).json()["total"] == 3


async def test_a_batch_update_changes_what_is_computed_from_and_names_nothing_computed(world):
    answer = await world.ask("PUT", "/orders/batch", {"ids": ["1", "2"], "update": {"net": 30}})
    assert answer.json()["modified"] == 2, answer.text
    assert [(await world.get(f"/orders/{one}")).json()["total"] for one in "12"] == [32, 35]
    single = await world.ask("PATCH", "/orders/1", {"total": 1})
    many = await world.ask("PUT", "/orders/batch", {"ids": ["1"], "update": {"total": 1}})
    assert (many.status_code, many.json()) == (single.status_code, single.json())
    assert single.status_code == 403
    filtered = {"filter": {"total": 32}, "update": {"net": 1}}
    assert (await world.ask("PUT", "/orders/batch", filtered)).status_code == 400
    stored = await world.database["orders"].find_one({"_id": "1"})
    assert not COMPUTED & stored.keys()
