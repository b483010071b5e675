"""`PUT /{collection}/{id}`: top-level fields set; what is equal is no write; hidden fields survive."""

import asyncio

import pytest
from bson import Decimal128, Int64
from bson.objectid import ObjectId
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

from tests.http.harness import CONFIG, SECRET, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER = a_token("bob"), a_token("boss", ["boss"]), a_token("vera", ["viewer"])
STRANGER = a_token("eve", ["boss"], "evil")


async def put(world, path, body, **more):
    answer = await world.ask("PUT", path, body, **more)
    return answer.status_code, answer.json()


async def error(world, path, body, **more):
    """Status and error of a PUT that must change nothing."""
    before = await world.database["notes"].find().to_list()
    status, answer = await put(world, path, body, **more)
    assert await world.database["notes"].find().to_list() == before
    assert await world.database["_pm_versions"].count_documents({}) == 0
    return status, answer["error"]


async def stored(world, one="a"):
    return await world.database["notes"].find_one({"_id": one})


async def test_the_named_fields_are_set_and_the_others_stay(world):
    await world.add("a", age=3, tags=["x"])
    status, body = await put(world, "/notes/a", {"title": "new", "age": 4}, headers={"x-change-reason": "asked"})
    assert (status, body["title"], body["age"], body["tags"], body["_version"]) == (200, "new", 4, ["x"], 2)
    assert body["updated_by"] == "alice"
    assert body == (await world.get("/notes/a")).json()
    history = (await world.get("/notes/a/versions")).json()
    assert [(one["version"], one["action"], one.get("change_reason")) for one in history] == [
        (2, "update", "asked"),
        (1, "create", None),
    ]


async def test_the_state_before_is_kept_byte_for_byte(world):
    raw = world.database["notes"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    hostile = {"n": Int64(1), "d": Decimal128("1.0"), "o": {"x": [None, {}]}}
    row = {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "status": "open", "extra": hostile, "_version": 7}
    await world.database["notes"].insert_one(row)
    before = bytes((await raw.find_one({"_id": "a"})).raw)
    assert (await put(world, "/notes/a", {"title": "new"}))[0] == 200
    versions = world.database["_pm_versions"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    record = await versions.find_one({"doc_id": "a"})
    assert (bytes(record["data"].raw), record["version"], record["ended"]["action"]) == (before, 7, "update")
    after = await raw.find_one({"_id": "a"})
    assert bytes(after["extra"].raw) == bytes((await versions.find_one())["data"]["extra"].raw)
    assert (after["_version"], after["_made"]["action"]) == (8, "update")


async def test_an_update_is_audited_with_its_id_and_no_value(world):
    await world.add("a")
    await put(world, "/notes/a", {"title": "secret"})
    entry = await world.database["_pm_audit"].find_one({"action": "update"})
    assert (entry["ids"], entry["user_id"]) == (["a"], "alice")
    assert "secret" not in str(entry)


async def test_reading_editing_and_putting_back_works(world):
    await world.add("a", age=3, at="2026-01-31T12:00:00+01:00", lines=[{"sku": "s", "quantity": 1}], pay={"month": 1.5})
    shown = (await world.get("/notes/a")).json()
    assert {"_id", "_version", "tenant_id", "owner_id", "created_at", "updated_by"} <= set(shown)
    status, body = await put(world, "/notes/a", {**shown, "age": 4})
    assert (status, body["age"], body["_version"]) == (200, 4, 2)


async def test_what_is_equal_is_no_write(world):
    await world.add("a", age=3, at="2026-01-31T12:00:00Z", pay={"month": 1.5, "bonus": 2})
    before = await stored(world)
    shown = (await world.get("/notes/a")).json()
    shown["at"] = "2026-01-31T13:00:00+01:00"
    answer = await world.ask("PUT", "/notes/a", shown)
    assert (answer.status_code, answer.json()["_version"]) == (200, 1)
    assert answer.headers["etag"] == (await world.get("/notes/a")).headers["etag"]
    assert await stored(world) == before
    assert await world.database["_pm_versions"].count_documents({}) == 0
    assert await world.database["_pm_audit"].count_documents({"action": "update"}) == 0


async def test_a_field_that_is_masked_always_answers_as_a_change(world):
    await world.add("a", ssn="123456789")
    for n, guess in enumerate(("123456789", "123456789", "987654321")):
        status, body = await put(world, "/notes/a", {"ssn": guess})
        assert (status, body["_version"]) == (200, n + 2)


async def test_absent_invisible_and_foreign_are_told_alike(world):
    await world.add("b", token=BOB)
    answers = [await world.ask("PUT", f"/notes/{one}", {"title": "n"}) for one in ("b", "none")]
    answers.append(await world.ask("PUT", "/notes/b", {"title": "n"}, token=STRANGER))
    assert len({(one.status_code, one.text) for one in answers}) == 1
    assert answers[0].status_code == 404


async def test_what_is_visible_and_not_the_callers_to_change_is_forbidden(world):
    await world.add("b", token=BOB, status="closed")
    for body in ({"title": "n"}, {"title": "note b"}):
        status, told = await error(world, "/notes/b", body)
        assert (status, told["details"]) == (403, {"action": "update", "collection": "notes"})


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"nothing": 1}, ["nothing"]),
        ({"_made": {}}, ["_made"]),
        ({"pay": {"nothing": 1}}, ["pay.nothing"]),
        ({"lines": [{"nothing": 1}]}, ["lines.nothing"]),
    ],
)
async def test_an_unknown_field_is_refused_before_the_document_is_looked_for(world, body, fields):
    await world.add("a")
    for one in ("a", "none"):
        status, told = await error(world, f"/notes/{one}", body)
        assert (status, told["message"], told["details"]["fields"]) == (403, "unknown or not permitted field", fields)


@pytest.mark.parametrize(
    "body",
    [{"tenant_id": "evil"}, {"owner_id": "bob"}, {"created_by": "bob"}, {"_version": 9}, {"updated_at": "2026-01-01"},
     {"created_at": None}, {"owner_id": None}, {"status": "closed"}],
)  # fmt: skip
async def test_T24_what_the_gateway_writes_and_what_a_role_is_judged_by_is_not_the_callers(world, body):
    await world.add("a")
    for replace in ("", "?_replace=true"):
        status, told = await error(world, f"/notes/a{replace}", {"title": "note a", **body})
        assert (status, told["details"]["fields"]) == (403, list(body))


@pytest.mark.parametrize("other", ["b", 1, None, {"$oid": "5" * 24}, ["a"], {"$ne": ""}])
async def test_T22_a_document_keeps_its_id(world, other):
    await world.add("a")
    status, told = await error(world, "/notes/a", {"_id": other, "title": "n"})
    assert (status, told["code"]) == (422, "schema_validation")
    assert told["details"]["errors"][0]["field"] == "_id"


@pytest.mark.parametrize("value", [{"$ne": ""}, {"$set": 1}, "$title", {"$inc": 1}])
async def test_A14_an_operator_in_a_value_is_a_value_or_refused(world, value):
    await world.add("a")
    status, body = await put(world, "/notes/a", {"title": value})
    assert (status, body.get("title")) == ((200, "$title") if value == "$title" else (422, None))


async def test_every_broken_constraint_in_what_is_touched_is_told_and_old_ones_refuse_nothing(world):
    row = {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "status": "open", "age": "old", "email": 5}
    await world.database["notes"].insert_one(row)
    status, told = await error(
        world, "/notes/a", {"title": "x" * 51, "age": -1, "at": "never", "lines": [{"quantity": "x"}]}
    )
    assert (status, {one["field"]: one["code"] for one in told["details"]["errors"]}) == (
        422,
        {"title": "max_length", "age": "min", "at": "type", "lines.0.quantity": "type"},
    )
    assert (await put(world, "/notes/a", {"title": "fine"}))[0] == 200


async def test_a_replace_takes_away_what_is_absent_and_may_be_written(world):
    await world.add("a", age=3, tags=["x"], ssn="123456789")
    status, body = await put(world, "/notes/a?_replace=true", {"title": "only"})
    now = await stored(world)
    assert (status, body["title"]) == (200, "only")
    assert not {"age", "tags", "ssn"} & now.keys()
    assert (now["tenant_id"], now["owner_id"], now["status"], now["created_by"]) == ("acme", "alice", "open", "alice")


async def test_a_replace_without_a_required_field_is_told(world):
    await world.add("a")
    status, told = await error(world, "/notes/a?_replace=true", {"age": 3})
    assert (status, [one["code"] for one in told["details"]["errors"]]) == (422, ["required"])


async def test_an_empty_body_and_unknown_parameters_are_refused(world):
    await world.add("a")
    assert (await error(world, "/notes/a", {}))[0] == 400
    for parameter in ("_replace=yes", "replace=true", "upsert=true"):
        assert (await error(world, f"/notes/a?{parameter}", {"title": "n"}))[0] == 400


async def test_a_put_makes_no_document(world):
    assert (await put(world, "/notes/new", {"title": "n"}, token=BOSS))[0] == 404
    assert await world.database["notes"].count_documents({}) == 0


async def test_a_stale_condition_writes_nothing(world):
    await world.add("a")
    seen = (await world.get("/notes/a")).headers["etag"]
    answer = await world.ask("PUT", "/notes/a", {"title": "one"}, headers={"if-match": seen})
    assert (answer.status_code, answer.headers["etag"]) == (200, (await world.get("/notes/a")).headers["etag"])
    answer = await world.ask("PUT", "/notes/a", {"title": "two"}, headers={"if-match": seen})
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    assert (await stored(world))["title"] == "one"


async def test_racing_puts_leave_contiguous_versions(world):
    await world.add("a")
    answers = await asyncio.gather(*(put(world, "/notes/a", {"title": f"t{n}"}) for n in range(12)))
    assert {status for status, _ in answers} == {200}
    kept = await world.database["_pm_versions"].find({"doc_id": "a"}).sort("version").to_list()
    assert [one["version"] for one in kept] == list(range(1, 13))
    assert [one["data"]["_version"] for one in kept] == list(range(1, 13))


async def test_a_document_too_large_is_refused(mongo_uri, tmp_path):
    config = a_config(tmp_path, config=CONFIG + "limits: {max_document_bytes: 2000}\n")
    async with a_kept_world(mongo_uri, config) as world:
        await world.add("a")
        status, told = await error(world, "/notes/a", {"tags": ["x" * 3000]})
        assert (status, told["code"], told["details"]) == (413, "payload_too_large", {"max_document_bytes": 2000})


async def test_a_document_from_before_the_gateway_counts_from_zero(world):
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "owner_id": "alice"})
    status, body = await put(world, "/notes/a", {"title": "n"})
    assert (status, body["_version"]) == (200, 1)
    assert (await world.database["_pm_versions"].find_one({"doc_id": "a"}))["version"] == 0


async def test_a_number_taken_by_a_writer_beside_the_gateway_is_passed_over(world):
    await world.add("a")
    await put(world, "/notes/a", {"title": "n"})
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"_version": 1}})
    status, body = await put(world, "/notes/a", {"title": "m"})
    assert status == 200
    kept = await world.database["_pm_versions"].find({"doc_id": "a"}).sort("version").to_list()
    assert [one["version"] for one in kept] == [1, body["_version"] - 1]


@pytest.mark.parametrize("config", [CONFIG, CONFIG + "audit: {enabled: false}\n"], ids=["audited", "unaudited"])
async def test_a_collection_without_versions_keeps_none(mongo_uri, tmp_path, config):
    async with a_kept_world(mongo_uri, a_config(tmp_path, config=config)) as world:
        made = (await world.post("/plain", {"name": "n"}, token=BOSS)).json()
        status, body = await put(world, f"/plain/{made['_id']}", {**made, "price": "12.50"}, token=BOSS)
        assert (status, body["price"]) == (200, {"$numberDecimal": "12.50"})
        assert await world.database["_pm_versions"].count_documents({}) == 0
        row = await world.database["plain"].find_one({"_id": ObjectId(made["_id"])})
        assert not {"_version", "_made"} & row.keys()


async def test_who_may_not_update_is_forbidden_before_anything_is_read(world):
    assert (await put(world, "/notes/none", {"title": "n"}, token=VIEWER))[0] == 403
    assert SECRET not in str(await put(world, "/notes/none", {"title": "n"}))


PART = """
roles: {user: {}}
policies:
  notes: {user: {actions: [create, read, update], fields: {deny: [pay.bonus]}}}
"""


async def test_a2_a_replace_does_not_tell_whether_something_hidden_was_in_an_object(mongo_uri, tmp_path):
    """The object stays, empty to the caller, whether or not it holds what is hidden."""
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=PART)) as world:
        await world.add("with", "without", pay={"month": 3})
        await world.database["notes"].update_one({"_id": "with"}, {"$set": {"pay.bonus": 9}})
        shown = [await put(world, f"/notes/{one}?_replace=true", {"title": "t"}) for one in ("with", "without")]
        assert [(status, body["pay"], body["_version"]) for status, body in shown] == [(200, {}, 2), (200, {}, 2)]
        assert [(await stored(world, one))["pay"] for one in ("with", "without")] == [{"bonus": 9}, {}]
