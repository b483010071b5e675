"""A comparison with null below a container tells of the values at the path, and of nothing that holds them.

MongoDB's own `{"lines.sku": null}` also matches where an element lacks the field, or an array stands for an object: a
caller who reads `lines.sku` alone could count elements, and tell shapes, that are hidden.
"""

import json

import pytest

from tests.http.harness import POLICY, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
CLERK = a_token("carl", ["clerk"])
CUT = POLICY.replace(
    "    clerk: {actions: [create]",
    "    clerk: {actions: [read, aggregate], fields: {allow: [title, lines.sku, pay.month]}}\n    other: {actions: [create]",
).replace("clerk: {}", "clerk: {}, other: {}")
SHAPES = {
    "absent": {},
    "hidden fields alone": {"lines": [{"quantity": 1}], "pay": {"bonus": 1}},
    "many of them": {"lines": [{"quantity": 1}, {"quantity": 2}], "pay": [{"bonus": 1}]},
    "no objects": {"lines": [1, 2], "pay": [1]},
    "empty": {"lines": [], "pay": []},
    "nested": {"lines": [[{"quantity": 1}]], "pay": [[]]},
    "text": {"lines": "x", "pay": "x"},
}
CONDITIONS = [
    None, {"$eq": None}, {"$ne": None}, {"$gte": None}, {"$lte": None}, {"$gt": None}, {"$in": [None, "x"]}, {"$nin": [None, "x"]},
    {"$all": [None]}, {"$not": {"$eq": None}}, {"$not": {"$in": [None]}}, {"$not": {"$ne": None}}, {"$exists": False}, {"$exists": True},
    {"$ne": "x"}, {"$nin": ["x"]}, {"$not": {"$eq": "x"}}, {"$elemMatch": {"$eq": None}}, {"$size": 0}, {"$not": {"$size": 0}},
]  # fmt: skip


@pytest.fixture
async def shapes(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=CUT)) as world:
        rows = [{"_id": name, "tenant_id": "acme", "title": "t", **fields} for name, fields in SHAPES.items()]
        seen = [{"_id": f"and seen: {one['_id']}", **{k: v for k, v in one.items() if k != "_id"}} for one in rows]
        for row in seen:
            lines = row.get("lines", [])
            row["lines"] = [{"sku": "x"}, *(lines if isinstance(lines, list) else [])]
        await world.database["notes"].insert_many([*rows, *seen])
        yield world


def asked(condition, path):
    if path == "pay.month":
        return json.loads(json.dumps(condition).replace('"x"', "5"))
    return condition


async def found(world, condition, token):
    answer = await world.get("/notes", params={"_filter": json.dumps(condition), "_limit": 50}, token=token)
    assert answer.status_code == 200, answer.text
    return {one["_id"] for one in answer.json()["data"]}


@pytest.mark.parametrize("condition", CONDITIONS, ids=json.dumps)
@pytest.mark.parametrize("path", ["lines.sku", "pay.month"])
async def test_t11_rows_that_look_alike_answer_alike(shapes, path, condition):
    asked_for = {path: asked(condition, path)}
    for filter_ in (asked_for, {"$nor": [asked_for]}, {"$or": [asked_for, {"title": "no"}]}):
        matched = await found(shapes, filter_, CLERK)
        bare = {name in matched for name in SHAPES}
        seen = {f"and seen: {name}" in matched for name in SHAPES}
        assert len(bare) == len(seen) == 1, (filter_, matched)


PIPELINES = [
    [{"$project": {"lines.sku": 1, "pay.month": 1}}],
    [{"$addFields": {"n": {"$ifNull": ["$pay.month", "none"]}}}, {"$project": {"n": 1, "lines.sku": 1}}],
    [{"$project": {"n": {"$size": {"$ifNull": ["$lines.sku", []]}}, "kind": {"$type": "$pay.month"}}}],
]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=json.dumps)
async def test_t11_rows_that_look_alike_are_alike_in_a_pipeline(shapes, pipeline):
    answer = await shapes.post("/notes/aggregate", {"pipeline": pipeline}, token=CLERK)
    if answer.status_code == 400:  # an operator that is not on the list
        pytest.fail(answer.text)
    rows = {one.pop("_id"): one for one in answer.json()["data"]}
    assert len({json.dumps(rows[name], sort_keys=True) for name in SHAPES}) == 1, rows
    assert len({json.dumps(rows[f"and seen: {name}"], sort_keys=True) for name in SHAPES}) == 1, rows


@pytest.mark.parametrize("path", ["lines.sku", "pay.month"])
async def test_t11_groups_and_orders_tell_no_shapes(shapes, path):
    bare = {"_id": {"$in": list(SHAPES)}}
    grouped = [{"$match": bare}, {"$group": {"_id": f"${path}", "n": {"$sum": 1}}}]
    answer = await shapes.post("/notes/aggregate", {"pipeline": grouped}, token=CLERK)
    assert answer.json()["data"] == [{"_id": None, "n": len(SHAPES)}]
    ordered = [{"$match": bare}, {"$sort": {path: 1, "_id": 1}}, {"$project": {"title": 1}}]
    answer = await shapes.post("/notes/aggregate", {"pipeline": ordered}, token=CLERK)
    assert [one["_id"] for one in answer.json()["data"]] == sorted(SHAPES)


async def test_null_is_found_where_it_stands_and_where_nothing_does(shapes):
    await shapes.database["notes"].insert_many(
        [
            {"_id": "null", "tenant_id": "acme", "title": "n", "pay": {"month": None}},
            {"_id": "five", "tenant_id": "acme", "title": "n", "pay": {"month": 5}},
            {"_id": "none", "tenant_id": "acme", "title": "n", "pay": {}},
        ]
    )

    async def of(condition):
        return await found(shapes, {"title": "n", "pay.month": condition}, CLERK)

    assert await of(None) == {"null", "none"}
    assert await of({"$ne": None}) == {"five"}
    assert await of({"$in": [None, 5]}) == {"null", "five", "none"}
    assert await of({"$nin": [None, 4]}) == {"five"}
    assert await of({"$all": [None]}) == {"null", "none"}
    assert await of({"$not": {"$eq": None}}) == {"five"}


async def test_null_beside_other_operators_is_refused_behind_the_check_of_fields(shapes):
    for path, status in (("pay.month", 400), ("pay.bonus", 403), ("pay.nothing", 403)):
        condition = {path: {"$ne": None, "$gt": 1}}
        answer = await shapes.get("/notes", params={"_filter": json.dumps(condition)}, token=CLERK)
        assert answer.status_code == status, answer.text
