"""The door for callers of the Atlas Data API: its actions, and that each is refused what our own routes refuse."""

import asyncio
import json
from uuid import UUID

import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from permission_mongo.api.doors import DOORS
from permission_mongo.auth.api_keys import new_key
from permission_mongo.config.doors import SEGMENTS
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.doors.data_api import AT, DOOR, act
from tests.http.harness import SCHEMA, a_config, a_kept_world, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS, VIEWER, CLERK = a_token("boss", ["boss"]), a_token("vera", ["viewer"]), a_token("carl", ["clerk"])
BOB, STRANGER = a_token("bob"), a_token("alice", ["boss"], "evil")
HIDDEN = {"action": "read", "collection": "notes"}
EXTENDED = {"accept": "application/ejson"}
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [create], when: "resource.status == 'open'", fields: {allow: [title, status]}}
  plain:
    boss: {actions: ["*"]}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


def titles(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["documents"]]


def refused(answer) -> tuple[int, str, str]:
    assert set(answer.json()) <= {"error", "error_code", "details"}
    return answer.status_code, answer.json()["error_code"], answer.json()["error"]


# -- reads


async def test_find_one(world):
    await world.add("a", "b", age=3)
    answer = await act(world, "findOne", filter={"_id": "b"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["document"]["title"] == "note b"
    assert (await act(world, "findOne", filter={"_id": "z"})).json() == {"document": None}
    assert (await act(world, "findOne", filter={})).json()["document"]["_id"] == "a"


async def test_find(world):
    for n, one in enumerate("abcd"):
        await world.add(one, age=n)
    assert titles(await act(world, "find")) == [f"note {one}" for one in "abcd"]
    assert titles(await act(world, "find", filter={"age": {"$gte": 2}})) == ["note c", "note d"]
    assert titles(await act(world, "find", sort={"age": -1}, limit=2, skip=1)) == ["note c", "note b"]
    number = {"$numberInt": "1"}
    assert titles(await act(world, "find", sort={"age": number}, limit=number, skip=number)) == ["note b"]
    assert titles(await act(world, "find", sort={}, projection={}, filter={"age": 9})) == []


async def test_a_find_that_does_not_fit_is_refused_and_not_cut(mongo_uri, tmp_path):
    config = a_config(tmp_path, f"{DOOR}limits: {{max_result_size: 3}}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as small:
        await small.add(*"abcd")
        assert len(titles(await act(small, "find", limit=3))) == 3
        for body in ({}, {"limit": 4}, {"limit": 50_000}):
            answer = await act(small, "find", **body)
            assert (refused(answer)[:2], answer.json()["details"]) == ((413, "PayloadTooLarge"), {"fits": 3})
        assert titles(await act(small, "find", skip=3)) == ["note d"]
        assert refused(await act(small, "find", skip=4))[:2] == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("projection", "left"),
    [
        ({"title": 1}, {"_id", "_version", "title"}),
        ({"title": True, "age": {"$numberInt": "1"}, "_id": 0}, {"_version", "title", "age"}),
        ({"pay.month": 1}, {"_id", "_version", "pay"}),
        ({"title": 1, "_version": 1}, {"_id", "_version", "title"}),
    ],
)
async def test_a_projection_shows_what_it_names(world, projection, left):
    await world.add("a", age=3, pay={"month": 5.0, "bonus": 7.0})
    for action in ("find", "findOne"):
        answer = (await act(world, action, projection=projection)).json()
        document = answer["document"] if action == "findOne" else answer["documents"][0]
        assert set(document) == left
        assert document.get("pay", {"month": 5.0}) == {"month": 5.0}


async def test_a_projection_leaves_away_what_it_names(world):
    await world.add("a", age=3, pay={"month": 5.0, "bonus": 7.0})
    whole = (await act(world, "findOne")).json()["document"]
    less = (await act(world, "findOne", projection={"age": 0, "pay.bonus": 0, "_id": 0, "_version": 0})).json()[
        "document"
    ]
    assert less == {
        name: value if name != "pay" else {"month": 5.0}
        for name, value in whole.items()
        if name not in ("age", "_id", "_version")
    }


@pytest.mark.parametrize("field", ["ssn", "nothing", "pay.nothing", "tenant_id"])
async def test_a_field_that_is_not_the_callers_is_refused_wherever_it_is_named(world, field):
    """A hidden, a masked and an unknown field alike, and with the sentence of our own routes."""
    await world.add("a", token=BOSS, status="closed", ssn="123-45-6789")
    token = VIEWER if field != "ssn" else None
    ours = await world.post("/notes/query", {"filter": {field: 1}}, token=token)
    for body in ({"filter": {field: 1}}, {"projection": {field: 1}}, {"projection": {field: 0}}, {"sort": {field: 1}}):
        answer = await act(world, "find", token=token, **body)
        assert refused(answer) == (403, "NoMatchingRuleFound", "unknown or not permitted field"), body
        assert answer.json()["details"] == ours.json()["error"]["details"] == {**HIDDEN, "fields": [field]}


async def test_what_is_masked_stays_masked_and_what_is_hidden_stays_hidden(world):
    await world.add("a", status="closed", ssn="123-45-6789")
    assert (
        (await act(world, "findOne")).json()["document"]["ssn"]
        == (await world.get("/notes/a")).json()["ssn"]
        != "123-45-6789"
    )
    shown = (await act(world, "findOne", token=VIEWER)).json()["document"]
    assert set(shown) == {"_id", "_version", "title", "status"}
    less = (await act(world, "findOne", token=VIEWER, projection={"status": 0})).json()["document"]
    assert set(less) == {"_id", "_version", "title"}


async def test_another_tenants_document_is_told_like_none(world):
    await world.add("x", token=STRANGER)
    await world.add("y", token=BOB)
    told = set()
    for one in ("x", "y", "absent"):
        for action, more in (
            ("findOne", {}),
            ("find", {}),
            ("updateOne", {"update": {"$set": {"title": "n"}}}),
            ("updateMany", {"update": {"$set": {"title": "n"}}}),
            ("replaceOne", {"replacement": {"title": "n"}}),
            ("deleteOne", {}),
            ("deleteMany", {}),
        ):
            answer = await act(world, action, filter={"_id": one}, **more)
            told.add((action, answer.status_code, answer.text, "x-batch" in answer.headers))
    assert len(told) == 7
    assert await world.stored("x", "y") == ["x", "y"]


# -- formats


async def test_answers_are_plain_json_or_canonical_extended_json(world):
    made = await act(
        world, "insertOne", token=BOSS, collection="plain", document={"name": "p", "price": {"$numberDecimal": "1.50"}}
    )
    one = made.json()["insertedId"]
    assert len(one) == 24
    plain = (await act(world, "findOne", token=BOSS, collection="plain", filter={"_id": {"$oid": one}})).json()[
        "document"
    ]
    assert (plain["_id"], plain["price"]) == (one, "1.50")
    assert plain["created_at"].endswith("Z")
    answer = await act(world, "findOne", token=BOSS, collection="plain", filter={"_id": one}, headers=EXTENDED)
    assert answer.headers["content-type"] == "application/ejson"
    extended = answer.json()["document"]
    assert (extended["_id"], extended["price"]) == ({"$oid": one}, {"$numberDecimal": "1.50"})
    assert set(extended["created_at"]["$date"]) == {"$numberLong"}
    # What was told can be sent again as it is.
    again = {"filter": {"_id": extended["_id"], "price": extended["price"], "created_at": extended["created_at"]}}
    found = await act(
        world, "find", token=BOSS, collection="plain", headers={"content-type": "application/ejson"}, **again
    )
    assert [one["_id"] for one in found.json()["documents"]] == [one]


async def test_canonical_extended_json_is_understood_in_every_part(world):
    number = {"$numberInt": "2"}
    document = {"_id": "a", "title": "n", "age": number, "tags": ["x", "y"], "at": {"$date": {"$numberLong": "0"}}}
    sent = {"content-type": "application/ejson"}
    assert (await act(world, "insertOne", headers=sent, document=document)).status_code == 201
    found = {"tags": {"$size": number}, "age": {"$in": [number]}, "at": {"$lte": document["at"]}}
    assert titles(await act(world, "find", headers=sent, filter={"$and": [found]})) == ["n"]
    update = {"$inc": {"age": {"$numberLong": "1"}}}
    assert (await act(world, "updateOne", headers=sent, filter=found, update=update)).json()["modifiedCount"] == 1
    shown = (await act(world, "findOne", headers=EXTENDED)).json()["document"]
    assert (shown["age"], shown["at"]) == ({"$numberLong": "3"}, document["at"])
    assert (await act(world, "deleteMany", filter={"tags": {"$size": number}})).json() == {"deletedCount": 1}


async def test_whatever_another_writer_stored_is_told_in_both_formats(world):
    odd = {
        **{"date": DatetimeMS(2**60), "regex": Regex("^a", "i"), "time": Timestamp(5, 6), "least": MinKey()},
        **{"most": MaxKey(), "code": Code("x"), "ref": DBRef("a", 1), "bytes": b"x", "kind": Binary(b"x", 128)},
        **{
            "uuid": UUID(int=5),
            "nan": float("nan"),
            "large": Int64(2**60),
            "no": Decimal128("NaN"),
            "deep": [[{"$a": 1}]],
        },
    }
    stored = {"_id": "odd", "title": "n", "tenant_id": "acme", "owner_id": "alice", "pay": odd}
    await world.database["notes"].insert_one(stored)
    plain = await act(world, "findOne", token=BOSS)
    assert plain.status_code == 200, plain.text
    told = plain.json()["document"]["pay"]
    assert (told["regex"], told["time"], told["bytes"]) == (
        {"Pattern": "^a", "Options": "i"}, {"T": 5, "I": 6}, {"Subtype": 0, "Data": "eA=="},
    )  # fmt: skip
    assert (told["uuid"], told["large"], told["least"], told["no"]) == (str(UUID(int=5)), 2**60, {}, "NaN")
    extended = await act(world, "find", token=BOSS, headers=EXTENDED)
    assert extended.status_code == 200, extended.text
    assert extended.json()["documents"][0]["pay"]["large"] == {"$numberLong": str(2**60)}
    assert extended.json()["documents"][0]["pay"]["uuid"]["$binary"]["subType"] == "04"


@pytest.mark.parametrize(("kind", "status"), [("application/ejson; charset=utf-8", 200), ("text/plain", 415)])
async def test_a_body_is_json_of_either_kind(world, kind, status):
    assert (await act(world, "find", headers={"content-type": kind})).status_code == status


# -- writes


async def test_insert_one_and_many(world):
    answer = await act(world, "insertOne", document={"_id": "a", "title": "one"})
    assert (answer.status_code, answer.json()) == (201, {"insertedId": "a"})
    many = await act(world, "insertMany", documents=[{"_id": "b", "title": "two"}, {"title": "three"}])
    assert many.status_code == 201
    assert many.json()["insertedIds"][0] == "b"
    assert len(many.json()["insertedIds"]) == 2
    undone = await world.post(f"/notes/batch/{many.headers['x-batch']}/undo", {})
    assert undone.json()["restored"] == 2
    assert await world.stored("a", "b") == ["a"]


async def test_insert_many_stores_all_or_nothing(world):
    await world.add("c")
    for wrong in (
        {"_id": "b"},
        {"title": "x", "ssn": 5},
        {"_id": "c", "title": "x"},
        {"title": "x", "tenant_id": "evil"},
    ):
        answer = await act(world, "insertMany", documents=[{"_id": "a", "title": "x"}, wrong])
        assert answer.status_code in (400, 403, 409), answer.text
        assert answer.json()["error"].startswith("nothing was created; documents[1]: ")
    assert await world.stored("a", "b", "c") == ["c"]


async def test_what_breaks_the_schema_is_a_bad_request(world):
    answer = await act(world, "insertOne", document={"title": 5})
    assert refused(answer)[:2] == (400, "SchemaValidationFailedWrite")
    assert answer.json()["details"]["errors"][0]["field"] == "title"


async def test_update_one_changes_one_that_matches_and_may_be_changed(world):
    await world.add("a", token=BOB, status="closed")  # seen by alice, a viewer too, and not hers to change
    await world.add("b", "c", status="closed", age=1)
    answer = await act(world, "updateOne", filter={"status": "closed"}, update={"$inc": {"age": 1}})
    assert (answer.status_code, answer.json()) == (200, {"matchedCount": 1, "modifiedCount": 1})
    rows = {row["_id"]: row async for row in world.database["notes"].find()}
    assert [rows[one].get("age") for one in "abc"] == [None, 2, 1]
    assert rows["b"]["_version"] == 2
    same = await act(world, "updateOne", filter={"_id": "b"}, update={"$set": {"age": 2}})
    assert (same.json(), "x-batch" in same.headers) == ({"matchedCount": 1, "modifiedCount": 0}, False)
    none = await act(world, "updateOne", filter={"_id": "a"}, update={"$set": {"age": 2}})
    assert none.json() == {"matchedCount": 0, "modifiedCount": 0}


async def test_update_many_is_a_batch_that_can_be_undone_and_stands_in_the_audit(world):
    await world.add("a", "b", "c", age=1)
    answer = await act(world, "updateMany", filter={"_id": {"$in": ["a", "b"]}}, update={"$set": {"age": 7}})
    assert answer.json() == {"matchedCount": 2, "modifiedCount": 2}
    batch = answer.headers["x-batch"]
    entry = await world.database["_pm_audit"].find_one({"batch": batch})
    assert (entry["action"], entry["ids"], entry["user_id"], entry["paths"]) == (
        "update",
        ["a", "b"],
        "alice",
        ["age", "updated_at"],
    )
    assert (await world.post(f"/notes/batch/{batch}/undo", {})).json()["restored"] == 2
    assert {row["age"] async for row in world.database["notes"].find()} == {1}
    everything = await act(world, "updateMany", filter={}, update={"$set": {"age": 8}})
    assert everything.json() == {"matchedCount": 3, "modifiedCount": 3}


async def test_an_update_is_refused_by_the_same_rule_with_the_same_reason(world):
    await world.add("a")
    for change in ({"owner_id": "bob"}, {"nothing": 1}, {"_version": 9}, {"title": 5}, {"status": "lost"}):
        ours = await world.ask("PUT", "/notes/batch", {"filter": {"_id": "a"}, "update": {"$set": change}})
        theirs = [
            await act(world, action, filter={"_id": "a"}, update={"$set": change})
            for action in ("updateOne", "updateMany")
        ]
        told = ours.json()["error"] if ours.status_code >= 400 else ours.json()["failed"][0]["error"]
        if ours.status_code == 207:
            told = ours.json()["failed"][0]["error"]
        for answer in theirs:
            assert answer.status_code in (400, 403), answer.text
            assert (answer.json()["error"], answer.json().get("details")) == (told["message"], told.get("details"))
    assert (await world.database["notes"].find_one({"_id": "a"}))["_version"] == 1


async def test_what_could_be_done_of_many_is_told_with_the_refusal_of_the_rest(world):
    await world.add("a", age=1)
    await world.add("b", age=-0)
    answer = await act(world, "updateMany", filter={}, update={"$inc": {"age": -1}})
    assert refused(answer)[0] == 400
    assert answer.json()["error"].startswith("1 updated, 1 could not be: ")
    details = answer.json()["details"]
    assert (details["updated"], details["failed"]) == (1, 1)
    assert (await world.post(f"/notes/batch/{details['batch']}/undo", {})).json()["restored"] == 1


async def test_replace_one(world):
    await world.add("a", "b", age=4)
    answer = await act(world, "replaceOne", filter={"_id": "a"}, replacement={"_id": "a", "title": "new"})
    assert answer.json() == {"matchedCount": 1, "modifiedCount": 1}
    stored = {row["_id"]: row async for row in world.database["notes"].find()}
    assert (stored["a"]["title"], stored["a"].get("age"), stored["b"]["age"]) == ("new", None, 4)
    assert stored["a"]["owner_id"] == "alice"
    assert (await world.get("/notes/a/versions")).json()[0]["version"] == 2
    moved = await act(world, "replaceOne", filter={"_id": "a"}, replacement={"_id": "b", "title": "new"})
    assert refused(moved)[:2] == (400, "SchemaValidationFailedWrite")
    masked = await act(world, "replaceOne", filter={"ssn": "x"}, replacement={"title": "n"})
    assert refused(masked)[0] == 403


async def test_delete_one_and_many(world):
    await world.add("a", status="locked")
    await world.add("b", "c", "d")
    one = await act(world, "deleteOne", filter={})
    assert (one.status_code, one.json()) == (200, {"deletedCount": 1})
    assert await world.stored(*"abcd") == ["a", "c", "d"]  # a rule keeps the first
    many = await act(world, "deleteMany", filter={})
    assert many.json() == {"deletedCount": 2}
    assert (await world.post(f"/notes/batch/{many.headers['x-batch']}/undo", {})).json()["restored"] == 2
    assert await world.stored(*"abcd") == ["a", "c", "d"]
    assert (await act(world, "deleteMany", filter={"_id": "zz"})).json() == {"deletedCount": 0}


async def test_one_of_several_that_match_is_found_by_each_of_many_at_once(world):
    """What was found first is gone when it is written: another is looked for, and none is done twice."""
    await world.add(*(f"n{n}" for n in range(6)), age=1)
    answers = await asyncio.gather(*(act(world, "deleteOne", filter={"age": 1}) for _ in range(8)))
    counts = [one.json().get("deletedCount") for one in answers]
    assert sorted(counts) == [0, 0, 1, 1, 1, 1, 1, 1]
    await world.add(*(f"m{n}" for n in range(4)), age=1)
    taken = {"filter": {"age": 1}, "update": {"$set": {"age": 2}}}
    answers = await asyncio.gather(*(act(world, "updateOne", **taken) for _ in range(4)))
    assert [one.json() for one in answers] == [{"matchedCount": 1, "modifiedCount": 1}] * 4


async def test_a_write_takes_effect_once_under_a_key(world):
    for action, body in (
        ("insertOne", {"document": {"title": "n"}}),
        ("insertMany", {"documents": [{"title": "n"}, {"title": "m"}]}),
        ("updateOne", {"filter": {"age": {"$exists": False}}, "update": {"$set": {"age": 1}}}),
        ("deleteOne", {"filter": {"title": "n"}}),
    ):
        key = {"idempotency-key": action}
        first, second = [await act(world, action, headers=key, **body) for _ in range(2)]
        assert (second.status_code, second.json()) == (first.status_code, first.json()), first.text
        assert second.headers["idempotency-replayed"] == "true"
    assert await world.database["notes"].count_documents({}) == 2
    assert refused(await act(world, "find", headers={"idempotency-key": "x"}))[:2] == (400, "InvalidParameter")


async def test_a_reason_is_kept(world):
    await world.add("a")
    await act(world, "updateOne", filter={"_id": "a"}, update={"$set": {"age": 1}}, headers={"x-change-reason": "why"})
    assert (await world.get("/notes/a/versions")).json()[0]["change_reason"] == "why"


# -- aggregations


async def test_aggregate(world):
    await world.add("a", "b", age=1, token=BOSS)
    pipeline = [{"$match": {"age": 1}}, {"$group": {"_id": "$age", "n": {"$sum": 1}}}, {"$limit": {"$numberInt": "1"}}]
    answer = await act(world, "aggregate", token=BOSS, pipeline=pipeline)
    assert answer.json() == {"documents": [{"_id": 1, "n": 2}]}
    extended = await act(world, "aggregate", token=BOSS, pipeline=pipeline, headers=EXTENDED)
    assert extended.json() == {"documents": [{"_id": {"$numberInt": "1"}, "n": {"$numberInt": "2"}}]}
    for wrong in ([{"$out": "x"}], [{"$match": {"$where": "1"}}], [{"$lookup": {"from": "x"}}], {}, None):
        ours = await world.post("/notes/aggregate", {"pipeline": wrong}, token=BOSS)
        answer = await act(world, "aggregate", token=BOSS, pipeline=wrong)
        assert (answer.status_code, answer.json()["error"]) == (ours.status_code, ours.json()["error"]["message"])
    assert refused(await act(world, "aggregate", pipeline=pipeline))[0] == 403


# -- who, where, and what is not taken


async def test_credentials_stand_where_that_api_has_them(world):
    key = new_key("boss", "acme", ("boss",), utc_now(), None)
    await MongoKeyStore(world.database).add(key.record)
    await world.add("a", token=BOSS)
    place = json.dumps({"dataSource": "x", "database": "default", "collection": "notes"})
    for headers in (
        {"apiKey": key.text},
        {"api-key": key.text},
        {"x-api-key": key.text},
        {"jwtTokenString": BOSS},
        {"authorization": f"Bearer {BOSS}"},
    ):
        answer = await world.client.post(f"{AT}/find", headers=headers, content=place)
        assert titles(answer) == ["note a"], headers
    for headers in (
        {},
        {"apiKey": "x"},
        {"jwtTokenString": ""},
        {"jwtTokenString": BOSS, "apiKey": key.text},
        {"email": "a@b.c", "password": "x"},
    ):
        for content in (place, b"{", b""):
            answer = await world.client.post(f"{AT}/find", headers=headers, content=content)
            assert refused(answer)[:2] == (401, "InvalidSession")
    # They are of the door alone.
    assert (await world.client.get("/notes", headers={"apiKey": key.text})).status_code == 401


ALL = {
    "findOne": {},
    "find": {},
    "insertOne": {"document": {"title": "n"}},
    "insertMany": {"documents": [{"title": "n"}]},
    "updateOne": {"filter": {}, "update": {"$set": {"title": "n"}}},
    "updateMany": {"filter": {}, "update": {"$set": {"title": "n"}}},
    "replaceOne": {"filter": {}, "replacement": {"title": "n"}},
    "deleteOne": {"filter": {}},
    "deleteMany": {"filter": {}},
    "aggregate": {"pipeline": [{"$count": "n"}]},
}


@pytest.mark.parametrize("action", ALL)
async def test_every_action_asks_the_policy_the_namespace_and_the_collection(world, action):
    await world.add("a", token=BOSS)
    before = await world.database["notes"].find().to_list()
    token = CLERK if action.startswith(("find", "update", "replace", "delete")) else VIEWER
    assert refused(await act(world, action, token=token, **ALL[action]))[:2] == (403, "NoMatchingRuleFound")
    for database in ("other", "admin", "local", "_pm_versions", "DEFAULT"):
        answer = await act(world, action, token=BOSS, database=database, **ALL[action])
        assert refused(answer) == (403, "NoMatchingRuleFound", "no such namespace, or not yours")
    answer = await act(world, action, token=BOSS, headers={"x-namespace": "default"}, **ALL[action])
    assert refused(answer)[:2] == (400, "InvalidParameter")
    for name in ("_pm_versions", "nothing", "system.users"):
        answer = await act(world, action, token=BOSS, collection=name, **ALL[action])
        assert refused(answer) == (404, "NamespaceNotFound", "no such collection")
    assert await world.database["notes"].find().to_list() == before


@pytest.mark.parametrize("action", ALL)
@pytest.mark.parametrize(
    "more",
    [{"nothing": 1}, {"arrayFilters": []}, {"dataSource": 5}, {"dataSource": ""}, {"database": None}, {"collection": {}}, {"atomic": True}],
)  # fmt: skip
async def test_what_is_not_known_is_refused_by_every_action(world, action, more):
    answer = await act(world, action, token=BOSS, **{**ALL[action], **more})
    assert refused(answer)[:2] == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("find", {"limit": 0}),
        ("find", {"limit": 50_001}),
        ("find", {"limit": {"$numberInt": "x"}}),
        ("find", {"skip": -1}),
        ("find", {"skip": 10_001}),
        ("find", {"sort": {"age": 0}}),
        ("find", {"sort": {"age": True}}),
        ("find", {"sort": {"-age": 1}}),
        ("find", {"sort": {"age": {"$meta": "textScore"}}}),
        ("find", {"sort": ["age"]}),
        ("find", {"projection": {"age": 1, "title": 0}}),
        ("find", {"projection": {"age": "$ssn"}}),
        ("find", {"projection": {"tags": {"$slice": 1}}}),
        ("find", {"projection": {"a..b": 1}}),
        ("find", {"projection": ["age"]}),
        ("find", {"filter": {"$where": "1"}}),
        ("find", {"filter": []}),
        ("find", {"filter": None}),
        ("findOne", {"sort": {"age": 1}}),
        ("insertOne", {}),
        ("insertOne", {"document": []}),
        ("insertMany", {}),
        ("insertMany", {"documents": []}),
        ("insertMany", {"documents": [5]}),
        ("updateOne", {"update": {"$set": {"age": 1}}}),
        ("updateOne", {"filter": {}, "update": {"age": 1}}),
        ("updateOne", {"filter": {}, "update": {"$set": {"age": 1}, "title": "x"}}),
        ("updateOne", {"filter": {}, "update": [{"$set": {"age": 1}}]}),
        ("updateOne", {"filter": {}, "update": {}}),
        ("updateOne", {"filter": {}, "update": {"$setOnInsert": {"age": 1}}}),
        ("updateOne", {"filter": {}, "update": {"$set": {"age": 1}}, "upsert": 1}),
        ("updateOne", {"filter": {}}),
        ("replaceOne", {"filter": {}, "replacement": {"$set": {"age": 1}}}),
        ("replaceOne", {"filter": {}}),
        ("deleteMany", {}),
        ("deleteMany", {"filter": {"$expr": {}}}),
        ("aggregate", {}),
    ],
)
async def test_what_makes_no_sense_is_refused(world, action, body):
    assert refused(await act(world, action, token=BOSS, **body))[:2] == (400, "InvalidParameter")


async def test_a_parameter_and_an_unknown_action_are_refused(world):
    place = json.dumps({"dataSource": "x", "database": "default", "collection": "notes"})
    headers = {"jwttokenstring": BOSS}
    assert refused(await world.client.post(f"{AT}/find?secret=1", headers=headers, content=place))[0] == 400
    assert (await world.client.post(f"{AT}/drop", headers=headers, content=place)).status_code == 404
    assert (await world.client.get(f"{AT}/find", headers=headers)).status_code == 405


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-encoding": "gzip"}, 415, "UnsupportedMediaType"),
        ({"if-match": "*"}, 400, "InvalidParameter"),
        ({"if-none-match": "*"}, 400, "InvalidParameter"),
        ({"content-length": "99999999999"}, 413, "PayloadTooLarge"),
    ],
)
async def test_headers_mean_what_they_mean_everywhere(world, headers, status, code):
    for action in ("find", "updateOne"):
        answer = await act(world, action, headers=headers, **ALL[action])
        assert refused(answer)[:2] == (status, code)


async def test_rates_count_what_a_door_asks(mongo_uri, tmp_path):
    config = a_config(tmp_path, f"{DOOR}limits: {{max_batch_size: 9, rate: {{per_principal: 1/s, burst: 10s}}}}\n")
    async with a_world(mongo_uri, config) as slow:
        documents = [{"title": "n"}] * 8
        assert (await act(slow, "insertMany", documents=documents)).status_code == 201
        answer = await act(slow, "insertMany", documents=documents)
        assert refused(answer)[:2] == (429, "RateLimited")
        assert int(answer.headers["retry-after"]) > 1


async def test_a_door_that_is_off_is_an_unknown_path(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path)) as shut:
        answer = await act(shut, "find")
        other = await shut.client.post("/other/myapp/endpoint/data/v1/action/find", content=b"{}")
        assert (answer.status_code, answer.text) == (other.status_code, other.text)
        assert answer.json()["error"]["message"] == "no such route"


async def test_a_refusal_stands_in_the_audit_with_its_collection(world):
    await act(world, "find", token=CLERK)
    await world.gateway.trail.settled()
    entry = await world.database["_pm_audit"].find_one({"kind": "refusal"})
    assert (entry["action"], entry["collection"], entry["user_id"], entry["code"]) == (
        "read",
        "notes",
        "carl",
        "forbidden",
    )


def test_every_door_that_may_be_configured_is_there():
    assert {name: {path.split("/")[1] for _, path, _ in door.routes} for name, door in DOORS.items()} == {
        name: {*segments} for name, segments in SEGMENTS.items()
    }
