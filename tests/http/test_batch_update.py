"""`PUT /{collection}/batch`: each document is changed as a PATCH of it alone would; what was replaced is kept."""

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
BOB, BOSS, STRANGER = a_token("bob"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")


async def row(world, one):
    return await world.database["notes"].find_one({"_id": one})


async def records(world, **match):
    return await world.database["_pm_versions"].find(match, sort=[("_id", 1)]).to_list()


async def test_the_same_change_for_some_ids(world):
    await world.add("a", "b", age=1)
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 7}})
    batch = answer.json()["batch"]
    assert (answer.status_code, answer.json()) == (
        200,
        {"matched": 2, "modified": 2, "missing": [], "failed": [], "batch": batch},
    )
    for one in ("a", "b"):
        stored = await row(world, one)
        assert (stored["age"], stored["_version"], stored["_made"]["action"], stored["_made"]["batch"]) == (
            7,
            2,
            "update",
            batch,
        )


async def test_each_document_its_own_change_by_patch_or_operators(world):
    await world.add("a", "b", "c", age=1, tags=["x"])
    updates = [
        {"id": "a", "update": {"title": "new", "tags": None}},
        {"id": "b", "update": {"$inc": {"age": 4}, "$push": {"tags": "y"}}},
        {"id": "c", "update": {"$set": {"pay.month": 3}}},
    ]
    answer = await world.ask("PUT", "/notes/batch", {"updates": updates})
    assert (answer.status_code, answer.json()["modified"]) == (200, 3), answer.text
    a, b, c = [await row(world, one) for one in "abc"]
    assert (a["title"], "tags" in a, b["age"], b["tags"], c["pay"]) == ("new", False, 5, ["x", "y"], {"month": 3})


async def test_the_version_kept_is_the_document_before_the_change(world):
    await world.add("a", "b", age=1)
    before = {one: await row(world, one) for one in "ab"}
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 2}, "reason": "why"})
    kept = await records(world)
    assert {one["doc_id"]: one["data"] for one in kept} == before
    for one in kept:
        assert (one["version"], one["ended"]["action"], one["ended"]["reason"], one["ended"]["batch"]) == (
            1,
            "update",
            "why",
            answer.json()["batch"],
        )
        assert "gone" not in one
    told = (await world.get("/notes/a/versions")).json()
    assert [(one["version"], one["action"]) for one in told] == [(2, "update"), (1, "create")]


async def test_by_filter_only_matching_rows_within_reach_are_changed(world):
    await world.add("a", "b", age=1)
    await world.add("c", age=2)
    await world.add("d", age=1, token=BOB)
    answer = await world.ask("PUT", "/notes/batch", {"filter": {"age": 1}, "update": {"$inc": {"age": 9}}})
    assert answer.json()["modified"] == 2, answer.text
    assert [(await row(world, one))["age"] for one in "abcd"] == [10, 10, 2, 1]


async def test_unique_keys(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "  plain:",
        "    indexes: [{fields: [tenant_id, email], unique: true, partial: {email: {$exists: true}}}]\n  plain:",
    )
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, schema)) as world:
        await world.add("a", "b", "c")
        await world.add("z", email="z@x.org")
        updates = [{"id": "a", "update": {"email": "z@x.org"}}, {"id": "b", "update": {"email": "b@x.org"}}]
        answer = await world.ask("PUT", "/notes/batch", {"updates": updates, "results": True})
        assert answer.status_code == 207, answer.text
        assert [(one["id"], one["status"]) for one in answer.json()["results"]] == [("a", "conflict"), ("b", "updated")]
