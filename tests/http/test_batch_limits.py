"""Batches that can't go on as one: split, chunked, stopped half-way. What is told equals what happened."""

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SMALL = CONFIG + "limits: {max_batch_size: 4, max_transaction_bytes: 600}\n"
ROOT, BOSS, EVIL = a_token("root", ["root"], "acme"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")


@pytest.fixture
async def small(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, SMALL)) as found:
        yield found


@pytest.fixture
async def chunks(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 4}\n")) as found:
        yield found


async def test_more_bytes_than_a_transaction_may_hold_are_split_and_refused_whole_when_atomic(small):
    await small.add("a", "b", "c", "d", ssn="x" * 100)
    refused = await small.delete("/notes/batch", {"ids": ["a", "b", "c", "d"], "atomic": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
    assert await small.stored("a", "b", "c", "d") == ["a", "b", "c", "d"]
    answer = await small.delete("/notes/batch", {"ids": ["a", "b", "c", "d"]})
    assert answer.json()["deleted"] == 4
    batch = await small.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})
    assert await small.database["_pm_parts"].count_documents({"batch": batch["_id"]}) > 1
    assert batch["counts"] == {"delete": 4}


async def test_created_documents_of_too_many_bytes_are_split_and_refused_whole_when_atomic(small):
    documents = [{"_id": one, "title": "n", "ssn": "x" * 100} for one in "abcd"]
    refused = await small.post("/notes/batch", {"documents": documents, "atomic": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
    assert await small.stored("a", "b", "c", "d") == []
    answer = await small.post("/notes/batch", {"documents": documents})
    assert (answer.status_code, answer.json()["created"]) == (201, ["a", "b", "c", "d"])
    assert await small.database["_pm_parts"].count_documents({"batch": answer.json()["batch"]}) > 1


async def test_a_row_too_large_for_a_record_fails_alone_and_stays(world):
    await world.add("a", "big")
    await world.database["notes"].update_one({"_id": "big"}, {"$set": {"pay": "x" * (16 * 2**20 - 2000)}})
    answer = await world.delete("/notes/batch", {"ids": ["a", "big"]})
    assert (answer.status_code, answer.json()["deleted"]) == (207, 1)
    assert [(one["id"], one["error"]["code"]) for one in answer.json()["failed"]] == [("big", "payload_too_large")]
    assert await world.stored("a", "big") == ["big"]


async def test_text_that_another_driver_stored_badly_stops_no_deletion_and_is_kept_byte_for_byte(world, mongo_uri):
    raw = bson.encode(
        {"_id": "bad", "tenant_id": "acme", "owner_id": "alice", "title": "ab", "status": "open"}
    ).replace(b"ab\x00", b"\xff\xfe\x00")
    async with AsyncMongoClient(mongo_uri) as plain:
        await plain[world.database.name]["notes"].insert_one(RawBSONDocument(raw))
    assert (await world.delete("/notes/batch", {"ids": ["bad"]})).json()["deleted"] == 1
    kept = (
        await world.database["_pm_versions"]
        .with_options(codec_options=bson.raw_bson.DEFAULT_RAW_BSON_OPTIONS)
        .find_one({"doc_id": "bad"})
    )
    assert kept["data"].raw == raw


async def test_an_undo_of_an_undo_is_worked_off_in_chunks(small):
    ids = ["a", "b", "c", "d", "e", "f"]
    await small.add(*ids[:4])
    await small.add(*ids[4:])
    gone = (await small.delete("/notes/batch", {"filter": {"status": "open"}})).json()["batch"]
    back = (await small.post(f"/notes/batch/{gone}/undo", {})).json()
    again = (await small.post(f"/notes/batch/{back['batch']}/undo", {})).json()
    assert (back["restored"], again["restored"], again["failed"]) == (6, 6, [])
    assert await small.stored(*ids) == []


async def test_a_batch_that_is_stopped_half_way_tells_what_it_did(chunks, mongo_uri):
    """The server refuses the second chunk: what the first committed is counted, and the answer carries its batch."""
    await chunks.add("a", "b", "c", "d")
    await chunks.add("e", "f")
    gone = (await chunks.delete("/notes/batch", {"filter": {"status": "open"}})).json()["batch"]
    # Of one collection: what a gateway writes beside its requests is not counted.
    slow = {"namespace": f"{chunks.database.name}.notes", "failCommands": ["insert"], "errorCode": 50}
    async with AsyncMongoClient(mongo_uri) as plain:
        # That of the first chunk goes through.
        await plain.admin.command("configureFailPoint", "failCommand", mode={"skip": 1}, data=slow)
        try:
            answer = await chunks.post(f"/notes/batch/{gone}/undo", {})
        finally:
            await plain.admin.command("configureFailPoint", "failCommand", mode="off")
    body = answer.json()
    assert (answer.status_code, body["restored"], body["error"]["code"]) == (207, 4, "timeout")
    assert [one["id"] for one in body["failed"]] == ["e", "f"]
    assert await chunks.stored("a", "b", "c", "d", "e", "f") == ["a", "b", "c", "d"]
    assert (await chunks.post(f"/notes/batch/{body['batch']}/undo", {})).json()["restored"] == 4


async def test_an_undo_beyond_max_affected_changes_nothing(world):
    await world.add("a", "b")
    gone = (await world.delete("/notes/batch", {"ids": ["a", "b"]})).json()["batch"]
    answer = await world.post(f"/notes/batch/{gone}/undo", {"max_affected": 1})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"matched_at_least": 2})
    assert await world.stored("a", "b") == []


async def test_a_batch_across_tenants_touches_only_each_ones_own_history(world):
    """Creating (acme, 1) and (evil, 2) must not take acme's deleted 2 from acme's list."""
    for token, ids in ((BOSS, ["1", "2"]), (EVIL, [])):
        if ids:
            await world.add(*ids, token=token)
            await world.delete("/notes/batch", {"ids": ids}, token=token)
    documents = [{"_id": "1", "title": "t", "tenant_id": "acme"}, {"_id": "2", "title": "t", "tenant_id": "evil"}]
    assert (await world.post("/notes/batch", {"documents": documents}, token=ROOT)).status_code == 201
    assert [one["_id"] for one in (await world.get("/notes/deleted", token=BOSS)).json()["data"]] == ["2"]


@pytest.mark.parametrize("option", ["results", "atomic"])
async def test_what_is_for_one_chunk_is_refused_before_anything_is_done(small, option):
    await small.add("a", "b", "c", "d")
    body = {"filter": {"status": "open"}, option: True}
    await small.add("e")
    answer = await small.delete("/notes/batch", body)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"max_batch_size": 4})
    assert await small.stored("a", "b", "c", "d", "e") == ["a", "b", "c", "d", "e"]


async def test_results_of_a_filter_name_the_rows_that_failed_too(world):
    await world.add("a", "big")
    await world.database["notes"].update_one({"_id": "big"}, {"$set": {"pay": "x" * (16 * 2**20 - 2000)}})
    answer = await world.delete("/notes/batch", {"filter": {"status": "open"}, "results": True})
    assert {one["id"]: one["status"] for one in answer.json()["results"]} == {
        "a": "deleted",
        "big": "payload_too_large",
    }
