"""Vectors: as many finite numbers as declared, kept as doubles, and asked for by nothing but whether there is one."""

import json

import pytest

from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string}
collections:
  items:
    client_ids: true
    versioning: {enabled: true}
    fields:
      near: {type: vector, dimensions: 3}
      fixed: {type: vector, dimensions: 2, immutable: true}
      hidden: {type: vector, dimensions: 2}
      parts: {type: array, items: {type: object, properties: {near: {type: vector, dimensions: 2}}}}
      many: {type: array, items: {type: vector, dimensions: 2}}
      rank: {type: integer}
"""
POLICY = """
roles: {user: {}, reader: {}}
policies:
  items:
    user: {actions: ["*"]}
    reader: {actions: [read, aggregate], fields: {deny: [hidden]}}
"""
READER = a_token("ray", ("reader",))


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        yield found


def told(answer):
    return [(one["field"], one["code"]) for one in answer.json()["error"]["details"]["errors"]]


async def test_numbers_are_stored_as_doubles_and_answered_as_numbers(world):
    sent = [1, 0.5, {"$numberDouble": "-2.5"}]
    answer = await world.post("/items", {"_id": "a", "near": sent, "many": [[1, 2], [{"$numberInt": "3"}, 4]]})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["near"], answer.json()["many"]) == ([1.0, 0.5, -2.5], [[1.0, 2.0], [3.0, 4.0]])
    stored = await world.database["items"].find_one({"_id": "a"})
    assert [type(one) for one in (*stored["near"], *stored["many"][1])] == [float] * 5


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({"near": [1, 2]}, [("near", "dimensions")]),
        ({"near": [1, 2, 3, 4]}, [("near", "dimensions")]),
        ({"near": "1,2,3"}, [("near", "type")]),
        ({"near": {"0": 1}}, [("near", "type")]),
        ({"near": [1, "2", None]}, [("near.1", "type"), ("near.2", "type")]),
        ({"near": [1, True, [2]]}, [("near.1", "type"), ("near.2", "type")]),
        ({"near": [1, 2, {"$numberDecimal": "3"}]}, [("near.2", "type")]),
        ({"near": [1, 2, {"$numberDouble": "NaN"}]}, [("near.2", "type")]),
        ({"parts": [{"near": [1, 2]}, {"near": [1]}]}, [("parts.1.near", "dimensions")]),
        ({"many": [[1, 2], 3]}, [("many.1", "type")]),
    ],
)
async def test_what_is_no_such_vector_is_told_with_its_place(world, sent, errors):
    answer = await world.post("/items", sent)
    assert answer.status_code in (400, 422)
    assert told(answer) == errors


async def test_an_update_is_judged_alike_and_one_number_of_it_can_not_be_changed(world):
    await world.post("/items", {"_id": "a", "near": [1, 2, 3], "fixed": [1, 2]})
    short = await world.ask(
        "PATCH", "/items/a", {"near": [1]}, headers={"content-type": "application/merge-patch+json"}
    )
    assert told(short) == [("near", "dimensions")]
    for update in (
        {"$set": {"near.0": 1}},
        {"$inc": {"near": 1}},
        {"$push": {"near": 1}},
        {"$max": {"near": [1, 2, 3]}},
        {"$max": {"near": 5}},
    ):
        answer = await world.ask("PATCH", "/items/a", update)
        assert answer.status_code in (400, 422), answer.text
    assert (await world.ask("PATCH", "/items/a", {"$set": {"near": [4, 5, 6]}})).json()["near"] == [4, 5, 6]
    fixed = await world.ask("PATCH", "/items/a", {"$set": {"fixed": [9, 9]}})
    assert (fixed.status_code, told(fixed)) == (422, [("fixed", "immutable")])


async def test_it_is_asked_whether_there_is_one(world):
    await world.post("/items", {"_id": "a", "near": [1, 2, 3], "parts": [{"near": [1, 2]}]})
    await world.post("/items", {"_id": "b", "near": None})
    for query, ids in (
        ({"near": {"$exists": True}}, ["a", "b"]),
        ({"near": None}, ["b"]),
        ({"near": {"$ne": None}}, ["a"]),
        ({"near": {"$not": {"$eq": None}}}, ["a"]),
        ({"parts.near": {"$exists": True}}, ["a"]),
        ({"parts": {"$elemMatch": {"near": {"$exists": True}}}}, ["a"]),
    ):
        found = await world.post("/items/query", {"filter": query})
        assert [one["_id"] for one in found.json()["data"]] == ids, query


@pytest.mark.parametrize(
    "query",
    [
        {"near": 1},
        {"near": [1, 2, 3]},
        {"near": {"$eq": 1}},
        {"near": {"$gt": 1}},
        {"near": {"$in": [1]}},
        {"near": {"$size": 3}},
        {"near": {"$not": {"$lt": 1}}},
        {"near": {"$elemMatch": {"$gt": 1}}},
        {"near.0": {"$gt": 1}},
        {"parts": {"$elemMatch": {"near": 1}}},
        {"many": {"$all": [1]}},
        {"$or": [{"rank": 1}, {"near": {"$regex": "1"}}]},
    ],
)
async def test_no_other_condition_on_it_is_taken(world, query):
    answer = await world.post("/items/query", {"filter": query})
    assert (answer.status_code, "is a vector" in answer.text) == (400, True), answer.text
    answer = await world.post("/items/aggregate", {"pipeline": [{"$match": query}, {"$count": "n"}]})
    assert (answer.status_code, "is a vector" in answer.text) == (400, True), answer.text


async def test_nothing_is_sorted_by_it(world):
    for answer in (
        await world.get("/items?_sort=near"),
        await world.get("/items?near=1"),
        await world.post("/items/query", {"sort": ["-near", "rank"]}),
        await world.post("/items/aggregate", {"pipeline": [{"$sort": {"parts.near": 1}}, {"$count": "n"}]}),
    ):
        assert (answer.status_code, "is a vector" in answer.text) == (400, True), answer.text


async def test_a_hidden_vector_is_refused_like_an_unknown_field(world):
    for one in ('{"filter": {"NAME": {"$gt": 1}}}', '{"sort": ["NAME"]}', '{"fields": ["NAME"]}'):
        hidden, unknown = [
            await world.post("/items/query", json.loads(one.replace("NAME", name)), token=READER)
            for name in ("hidden", "nothing")
        ]
        assert (hidden.status_code, unknown.status_code) == (403, 403)
        assert hidden.text.replace("hidden", "nothing") == unknown.text
