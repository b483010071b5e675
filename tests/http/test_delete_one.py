"""`DELETE /{collection}/{id}`: removed by the guarded command itself, its last content kept."""

import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER = a_token("bob"), a_token("boss", ["boss"]), a_token("vera", ["viewer"])
STRANGER = a_token("eve", ["boss"], "evil")


async def gone(world, path, **more):
    answer = await world.ask("DELETE", path, **more)
    return answer.status_code, answer.json()


async def test_an_own_document_is_deleted_and_its_last_content_kept(world):
    await world.add("a", age=3)
    raw = world.database["notes"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    before = bytes((await raw.find_one({"_id": "a"})).raw)
    assert await gone(world, "/notes/a", headers={"x-change-reason": "asked"}) == (200, {"deleted": True, "id": "a"})
    assert await world.stored("a") == []
    versions = world.database["_pm_versions"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    record = await versions.find_one({"doc_id": "a"})
    assert bytes(record["data"].raw) == before
    ended = record["ended"]
    assert (record["version"], record["gone"], ended["action"], ended["reason"]) == (1, True, "delete", "asked")
    history = (await world.get("/notes/a/versions")).json()
    assert [(one["version"], one["action"], one.get("change_reason")) for one in history] == [
        (2, "delete", "asked"),
        (1, "create", None),
    ]


async def test_a_deletion_is_audited_with_its_id_and_no_value(world):
    await world.add("a", age=3)
    await gone(world, "/notes/a")
    entry = await world.database["_pm_audit"].find_one({"action": "delete"})
    assert (entry["ids"], entry["count"], entry["user_id"], entry["tenant_id"]) == (["a"], 1, "alice", "acme")
    assert "batch" not in entry


async def test_absent_invisible_and_foreign_are_told_alike(world):
    await world.add("bobs", token=BOB)
    answers = [await world.ask("DELETE", f"/notes/{one}") for one in ("bobs", "none")]
    answers.append(await world.ask("DELETE", "/notes/bobs", token=STRANGER))
    assert len({(one.status_code, one.text) for one in answers}) == 1
    assert answers[0].status_code == 404
    assert await world.stored("bobs") == ["bobs"]


async def test_what_is_visible_and_may_not_be_deleted_is_forbidden_and_stays(world):
    """Closed notes of others are to be read, and a locked note is nobody's to delete."""
    await world.add("closed", status="closed", token=BOB)
    await world.add("locked", status="locked")
    for one in ("closed", "locked"):
        status, body = await gone(world, f"/notes/{one}")
        assert (status, body["error"]["code"]) == (403, "forbidden")
        assert body["error"]["details"] == {"action": "delete", "collection": "notes"}
    assert await world.stored("closed", "locked") == ["closed", "locked"]
    assert await world.database["_pm_versions"].count_documents({}) == 0


async def test_a_role_without_the_action_is_forbidden_before_any_look(world):
    assert (await gone(world, "/notes/none", token=VIEWER))[0] == 403


async def test_a_body_and_a_parameter_are_refused(world):
    await world.add("a")
    assert (await gone(world, "/notes/a", body={"reason": "x"}))[0] == 400
    assert (await gone(world, "/notes/a?force=1"))[0] == 400
    assert await world.stored("a") == ["a"]


async def test_a_reason_too_long_is_refused(world):
    await world.add("a")
    assert (await gone(world, "/notes/a", headers={"x-change-reason": "x" * 1001}))[0] == 400


async def test_a_deleted_document_can_be_deleted_no_second_time_and_goes_on_counting(world):
    await world.add("a")
    await gone(world, "/notes/a")
    assert (await gone(world, "/notes/a"))[0] == 404
    await world.add("a")
    assert (await world.get("/notes/a")).json()["_version"] == 3
    assert (await gone(world, "/notes/a"))[0] == 200


async def test_a_document_from_before_the_gateway_counts_as_version_zero(world):
    await world.database["notes"].insert_one({"_id": "old", "tenant_id": "acme", "owner_id": "alice", "status": "open"})
    assert (await gone(world, "/notes/old"))[0] == 200
    record = await world.database["_pm_versions"].find_one({"doc_id": "old"})
    assert record["version"] == 0


async def test_a_number_taken_by_a_writer_beside_the_gateway_is_passed_over(world):
    await world.add("a")
    await gone(world, "/notes/a")
    await world.database["notes"].insert_one(
        {"_id": "a", "_version": 1, "tenant_id": "acme", "owner_id": "alice", "status": "open"}
    )
    assert (await gone(world, "/notes/a"))[0] == 200
    kept = await world.database["_pm_versions"].find({"doc_id": "a"}).sort("version").to_list()
    assert [(one["version"], "gone" in one) for one in kept] == [(1, False), (3, True)]


@pytest.mark.parametrize("config", [CONFIG, CONFIG + "audit: {enabled: false}\n"], ids=["audited", "unaudited"])
async def test_a_collection_without_versions_keeps_none(mongo_uri, tmp_path, config):
    async with a_kept_world(mongo_uri, a_config(tmp_path, config=config)) as world:
        made = (await world.post("/plain", {"name": "n"}, token=BOSS)).json()
        assert (await gone(world, f"/plain/{made['_id']}", token=BOSS))[1] == {"deleted": True, "id": made["_id"]}
        assert await world.database["plain"].count_documents({}) == 0
        assert await world.database["_pm_versions"].count_documents({}) == 0


async def test_t22_an_id_is_read_by_its_declared_type_alone(world):
    status, body = await gone(world, "/plain/x", token=BOSS)
    assert (status, body["error"]["message"]) == (400, "id: expected 24 hex digits")
