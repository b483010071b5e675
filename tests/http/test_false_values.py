"""What is false or empty is a value like any other: 0, false, "", null and [] are never taken for no condition at all."""

import json

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
POLICY = """
roles: {boss: {}, local: {}, exact: {}}
policies:
  notes:
    boss: {actions: ["*", purge]}
    local: {actions: [read, update, delete], when: "resource.ssn == user.region"}
    exact: {actions: [read], when: "resource.age == user.level"}
"""
VALUES = {
    "zero": {"age": 0},
    "one": {"age": 1},
    "empty": {"ssn": ""},
    "null": {"ssn": None},
    "none": {},
    "tags": {"tags": []},
}


@pytest.fixture
async def falsy(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as world:
        row = {"tenant_id": "acme", "owner_id": "boss", "title": "t", "_version": 1}
        await world.database["notes"].insert_many([{"_id": one, **row, **more} for one, more in VALUES.items()])
        yield world


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"age": 0}, "zero"),
        ({"age": {"$eq": 0}}, "zero"),
        ({"age": {"$in": [0]}}, "zero"),
        ({"age": {"$lte": 0}}, "zero"),
        ({"ssn": ""}, "empty"),
        ({"ssn": {"$in": [""]}}, "empty"),
        ({"ssn": {"$exists": False}}, "none one tags zero"),
        ({"ssn": None}, "none null one tags zero"),
        ({"tags": []}, "tags"),
        ({"tags": {"$size": 0}}, "tags"),
        ({"age": {"$in": []}}, ""),
        ({"_id": {"$in": []}}, ""),
        ({"tags": {"$all": []}}, ""),
        ({"_id": ""}, ""),
    ],
    ids=str,
)  # fmt: skip
async def test_a17_a_false_or_empty_value_is_a_condition(falsy, asked, found):
    expected = found.split()
    for method, path, body in (
        ("POST", "/notes/query", {"filter": asked}),
        ("GET", "/notes?_filter=" + json.dumps(asked), None),
        ("POST", "/notes/aggregate", {"pipeline": [{"$match": asked}, {"$project": {"title": 1}}]}),
    ):
        answer = await falsy.ask(method, path, body, token=BOSS)
        assert answer.status_code == 200, answer.text
        assert sorted(one["_id"] for one in answer.json()["data"]) == expected, path
    gone = await falsy.delete("/notes/batch", {"filter": asked}, token=BOSS)
    assert (gone.json()["deleted"], await falsy.database["notes"].count_documents({})) == (
        len(expected),
        6 - len(expected),
    )


async def test_a17_a_false_or_empty_parameter_is_one(falsy):
    async def ids(query):
        answer = await falsy.get(f"/notes?{query}", token=BOSS)
        return answer.status_code, sorted(one["_id"] for one in answer.json().get("data", ()))

    assert await ids("age=0") == (200, ["zero"])
    assert await ids("ssn=") == (200, ["empty"])
    assert await ids('age={"$eq":0}') == (200, ["zero"])
    for refused in (
        "_limit=0",
        "_limit=",
        "_cursor=",
        "_filter=",
        "_filter=null",
        "_filter=[]",
        "_filter=0",
        "_filter=false",
        "_sort=",
        "_fields=",
        "_count=",
        "_count=0",
        "=",
        "age=",
    ):
        assert (await falsy.get(f"/notes?{refused}", token=BOSS)).status_code in (400, 403), refused
    answer = await falsy.get("/notes?_count=false", token=BOSS)
    assert "total" not in answer.json()["pagination"]


async def test_a17_a_false_or_empty_option_is_no_missing_one(falsy):
    async def status(method, path, body):
        return (await falsy.ask(method, path, body, token=BOSS)).status_code

    whole = await falsy.post("/notes/query", {"skip": 0, "count": False}, token=BOSS)
    assert (len(whole.json()["data"]), "total" in whole.json()["pagination"]) == (6, False)
    for body in (
        {"limit": 0},
        {"cursor": ""},
        {"fields": []},
        {"fields": ""},
        {"sort": []},
        {"sort": ""},
        {"filter": None},
        {"filter": []},
        {"filter": 0},
        {"count": 0},
        {"skip": False},
    ):
        assert await status("POST", "/notes/query", body) == 400, body
    for body in (
        {"filter": {}},
        {"filter": {}, "all": False},
        {"filter": {}, "all": None},
        {"filter": None},
        {"ids": []},
        {"ids": None},
        {"ids": [""]},
        {"ids": [0]},
        {"ids": [None]},
        {"ids": [False]},
        {"ids": ["zero"], "filter": None},
        {"ids": ["zero"], "max_affected": 0},
        {"filter": {"age": 0}, "max_affected": 0},
        {"filter": {}, "all": True, "max_affected": 0},
        {"filter": {}, "all": 0},
    ):
        assert await status("POST", "/notes/batch/delete", body) == 400, body
        assert await falsy.database["notes"].count_documents({}) == 6, body
    for reason in ("", None):
        assert await status("POST", "/notes/zero/purge", {"reason": reason}) == 400


async def test_a17_a_false_or_empty_value_is_written_and_no_removal(falsy):
    for method, body in (("PUT", {"age": 0}), ("PATCH", {"age": 0}), ("PATCH", {"$set": {"age": 0}})):
        await falsy.database["notes"].update_one({"_id": "one"}, {"$set": {"age": 1}})
        assert (await falsy.ask(method, "/notes/one", body, token=BOSS)).json()["age"] == 0
    for body, shown in (({"ssn": ""}, ""), ({"tags": []}, [])):
        field = next(iter(body))
        assert (await falsy.ask("PATCH", "/notes/one", body, token=BOSS)).json()[field] == shown


@pytest.mark.parametrize("claim", ["", 0, False, [], None, {}], ids=repr)
async def test_a17_a13_a_false_or_empty_claim_matches_its_equal_alone(falsy, claim):
    for role, claims, equal in (("local", {"region": claim}, {"": "empty"}), ("exact", {"level": claim}, {0: "zero"})):
        token = a_token(roles=[role], **claims)
        expected = [equal[claim]] if type(claim) in (str, int) and claim in equal else []
        answer = await falsy.get("/notes", token=token)
        assert (answer.status_code, [one["_id"] for one in answer.json()["data"]]) == (200, expected)
    token = a_token(roles=["local"], region=claim)
    gone = await falsy.delete("/notes/batch", {"filter": {}, "all": True}, token=token)
    assert gone.json()["deleted"] == (1 if claim == "" else 0)
