"""`GET /{collection}/{id}`: the row if it is within reach, through the lens of the grants that hold on it."""

from datetime import datetime
from uuid import UUID

import pytest
from bson import Binary, Code, DBRef, Int64, MaxKey, MinKey, Regex, Timestamp
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, VIEWER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token("vera", ["viewer"]),
)


async def test_an_own_document_is_shown(world):
    await world.add("a", age=3)
    answer = await world.get("/notes/a")
    assert answer.status_code == 200
    assert (answer.json()["_id"], answer.json()["age"]) == ("a", 3)


async def test_a_row_outside_the_rule_is_told_like_an_absent_one(world):
    await world.add("b", token=BOB)
    answers = [await world.get(f"/notes/{one}") for one in ("b", "c")]
    assert {(one.status_code, one.text) for one in answers} == {
        (
            404,
            '{"error":{"code":"document_not_found","message":"no such document in notes","details":{"collection":"notes"}}}',
        )
    }


async def test_a_grant_is_whole_its_fields_show_in_its_rows_only(world):
    """A user sees own notes in full and closed notes of others by three fields."""
    await world.add("mine", age=1, tags=["x"])
    await world.add("bobs", age=2, tags=["y"], status="closed", token=BOB)
    mine, bobs = (await world.get("/notes/mine")).json(), (await world.get("/notes/bobs")).json()
    assert mine["tags"] == ["x"]
    assert bobs == {"_id": "bobs", "_version": 1, "title": "note bobs", "status": "closed", "age": 2}


async def test_a_mask_is_shown_in_place_of_the_value(world):
    await world.add("a", ssn="123456789")
    assert (await world.get("/notes/a")).json()["ssn"] == "***6789"
    assert (await world.get("/notes/a", token=BOSS)).json()["ssn"] == "123456789"


async def test_a_right_that_shrank_counts_at_once(world):
    await world.add("a")
    assert (await world.get("/notes/a")).status_code == 200
    assert (await world.get("/notes/a", token=a_token(roles=["viewer"]))).status_code == 404


async def test_a_role_that_may_only_create_is_forbidden_to_read(world):
    answer = await world.get("/notes/a", token=CLERK)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "notes"})


async def test_t22_an_id_of_the_wrong_type_is_told_with_what_would_be_right(world):
    for wrong in ("x", "5" * 23, "%7B%22$gt%22:%22%22%7D"):
        answer = await world.get(f"/plain/{wrong}", token=BOSS)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "id: expected 24 hex digits")


async def test_t22_an_operator_in_the_path_is_an_id_like_any_other(world):
    await world.add("a")
    assert (await world.get('/notes/{"$ne":""}')).status_code == 404


async def test_t20_a_nul_in_the_path_is_refused(world):
    answer = await world.get("/notes/a%00b")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "collection_not_found")


async def test_a_parameter_is_refused_by_name(world):
    await world.add("a")
    for parameter in ("_sort=title", "fields=title", "_as_at=2020-01-01"):
        answer = await world.get(f"/notes/a?{parameter}")
        assert (answer.status_code, parameter.split("=")[0] in answer.json()["error"]["message"]) == (400, True)


async def test_an_object_id_is_found_by_its_hex_digits(world):
    made = (await world.post("/plain", {"name": "n"}, token=BOSS)).json()
    assert (await world.get(f"/plain/{made['_id'].upper()}", token=BOSS)).json() == made


async def test_a_uuid_is_found_by_its_text_and_answered_as_one(mongo_uri, tmp_path):
    schema = "collections: {things: {id_type: uuid, fields: {name: {type: string}}}}"
    policy = 'roles: {user: {}}\npolicies: {things: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        made = (await world.post("/things", {"name": "n"})).json()
        assert str(UUID(made["_id"])) == made["_id"]
        assert (await world.get(f"/things/{made['_id']}")).json() == made
        assert (await world.get("/things/none")).status_code == 400


async def test_whatever_a_writer_beside_the_gateway_stored_is_answered(world):
    """Types that JSON lacks are answered as relaxed Extended JSON; dates past year 9999 too."""
    odd = {
        "binary": Binary(b"\x00\xff", 128),
        "bytes": b"\x00",
        "code": Code("return 1"),
        "scoped": Code("x", {"x": 1}),
        "reference": DBRef("users", ObjectId("5" * 24)),
        "long": Int64(2**62),
        "ends": [MinKey(), MaxKey()],
        "pattern": Regex("a", "i"),
        "moment": Timestamp(5, 1),
        "decimal": Decimal128("NaN"),
        "numbers": [float("nan"), float("inf")],
        "none": None,
        "deep": {"": {"$x": {"a.b": 1}}},
        "at": datetime(9999, 12, 31),
    }
    notes = world.database["notes"]
    await notes.insert_one({"_id": "odd", "tenant_id": "acme", "owner_id": "alice", **odd})
    await notes.update_one({"_id": "odd"}, [{"$set": {"far": {"$toDate": 2**60}}}])
    answers = [
        await world.get("/notes/odd"),
        await world.get("/notes"),
        await world.post("/notes/batch/get", {"ids": ["odd"]}),
    ]
    assert [one.status_code for one in answers] == [200, 200, 200]
    shown = answers[0].json()
    assert {*odd, "far"} <= set(shown)
    assert (shown["long"], shown["at"], shown["deep"]) == (2**62, "9999-12-31T00:00:00Z", {"": {"$x": {"a.b": 1}}})
