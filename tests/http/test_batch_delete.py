"""`DELETE /{collection}/batch`: what is the caller's goes, with its versions; the rest stays and says nothing."""

import pytest
from bson import ObjectId

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, STRANGER = a_token("bob"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")


async def test_own_documents_go_and_the_answer_counts_them(world):
    await world.add("a", "b")
    answer = await world.delete("/notes/batch", {"ids": ["a", "b"]})
    assert answer.status_code == 200
    assert answer.json() == {"deleted": 2, "missing": [], "batch": answer.json()["batch"]}
    assert await world.stored("a", "b") == []


async def test_batch_delete_leaves_other_owners_rows_alone(world):
    """A row outside the rule is reported missing, and stays."""
    await world.add("a")
    await world.add("b", token=BOB)
    answer = await world.delete("/notes/batch", {"ids": ["a", "b"]})
    assert (answer.json()["deleted"], answer.json()["missing"]) == (1, ["b"])
    assert await world.stored("a", "b") == ["b"]


async def test_t25_another_tenants_an_unreachable_and_an_absent_id_are_told_alike(world):
    await world.add("x1", token=STRANGER)
    await world.add("x2", token=BOB)
    answers = [await world.delete("/notes/batch", {"ids": [one]}) for one in ("x1", "x2", "x3")]
    told = {(one.status_code, one.text.replace(one.json()["missing"][0], "ID")) for one in answers}
    assert told == {(200, '{"deleted":0,"missing":["ID"]}')}
    assert await world.stored("x1", "x2") == ["x1", "x2"]


async def test_a_visible_row_that_may_not_go_is_a_failure_and_stays(world):
    await world.add("a", "b")
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"status": "locked"}})
    answer = await world.delete("/notes/batch", {"ids": ["a", "b", "c"], "results": True})
    body = answer.json()
    assert answer.status_code == 207
    assert (body["deleted"], body["missing"]) == (1, ["c"])
    assert [(one["id"], one["error"]["code"]) for one in body["failed"]] == [("b", "forbidden")]
    assert body["error"]["code"] == "partial"
    assert [(one["id"], one["status"]) for one in body["results"]] == [
        ("a", "deleted"),
        ("b", "forbidden"),
        ("c", "not_found"),
    ]
    assert await world.stored("a", "b") == ["b"]


async def test_the_version_kept_is_the_stored_document_hidden_fields_included(world):
    await world.add("a", token=BOSS, pay={"month": 5}, ssn="123456789")
    before = await world.database["notes"].find_one({"_id": "a"})
    await world.delete("/notes/batch", {"ids": ["a"], "reason": "cleanup"}, token=BOSS)
    kept = await world.database["_pm_versions"].find_one({"doc_id": "a"})
    assert kept["data"] == before
    assert (kept["version"], kept["ended"]["action"], kept["ended"]["by"], kept["ended"]["reason"]) == (
        1,
        "delete",
        "boss",
        "cleanup",
    )
    assert kept["gone"] is True


async def test_by_filter_only_matching_rows_within_reach_go(world):
    await world.add("a", "b", age=1)
    await world.add("c", age=2)
    await world.add("d", age=1, token=BOB)
    answer = await world.delete("/notes/batch", {"filter": {"age": 1}})
    assert answer.json()["deleted"] == 2
    assert await world.stored("a", "b", "c", "d") == ["c", "d"]


async def test_an_empty_filter_needs_to_be_said(world):
    await world.add("a")
    assert (await world.delete("/notes/batch", {"filter": {}})).status_code == 400
    assert await world.stored("a") == ["a"]
    assert (await world.delete("/notes/batch", {"filter": {}, "all": True})).json()["deleted"] == 1


async def test_atomic_does_all_or_nothing(world):
    await world.add("a", "b")
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"status": "locked"}})
    forbidden = await world.delete("/notes/batch", {"ids": ["a", "b"], "atomic": True})
    missing = await world.delete("/notes/batch", {"ids": ["a", "nope"], "atomic": True})
    assert (forbidden.status_code, missing.status_code) == (403, 404)
    assert forbidden.json()["error"]["details"]["failed"][0]["id"] == "b"
    assert await world.stored("a", "b") == ["a", "b"]
    assert await world.database["_pm_versions"].count_documents({}) == 0
    assert (await world.delete("/notes/batch", {"ids": ["a"], "atomic": True})).json()["deleted"] == 1


async def test_a_dry_run_tells_what_would_happen_and_changes_nothing(world):
    await world.add("a")
    answer = await world.delete("/notes/batch", {"ids": ["a", "b"], "dry_run": True})
    assert answer.json() == {"deleted": 1, "missing": ["b"], "dry_run": True}
    assert await world.stored("a") == ["a"]
    assert await world.database["_pm_versions"].count_documents({}) == 0
    assert await world.database["_pm_batches"].count_documents({"counts.delete": {"$exists": True}}) == 0
    assert await world.database["_pm_audit"].count_documents({"action": "delete (dry run)"}) == 1


async def test_more_than_max_affected_touches_nothing(world):
    await world.add("a", "b", "c")
    answer = await world.delete("/notes/batch", {"filter": {"status": "open"}, "max_affected": 2})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["matched_at_least"] == 3
    assert await world.stored("a", "b", "c") == ["a", "b", "c"]
    assert (await world.delete("/notes/batch", {"filter": {"status": "open"}, "max_affected": 3})).json()[
        "deleted"
    ] == 3


async def test_a_duplicate_id_counts_once(world):
    await world.add("a")
    answer = await world.delete("/notes/batch", {"ids": ["a", "a", "b", "b"]})
    assert (answer.json()["deleted"], answer.json()["missing"]) == (1, ["b"])


async def test_delete_and_its_post_twin_do_the_same(world):
    await world.add("a")
    assert (await world.post("/notes/batch/delete", {"ids": ["a"]})).json()["deleted"] == 1
    assert await world.stored("a") == []


async def test_a_filter_sees_only_rows_whose_field_the_caller_reads_raw(world):
    """A11: the caller's own notes show ssn masked: a delete by ssn would tell it digit by digit."""
    await world.add("a", token=BOSS, ssn="123456789")
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    answer = await world.delete("/notes/batch", {"filter": {"ssn": {"$gte": "1"}}})
    assert answer.status_code == 403
    assert await world.stored("a") == ["a"]


async def test_a_role_without_the_action_is_forbidden_whatever_is_there(world):
    answer = await world.delete("/notes/batch", {"ids": ["a"]}, token=a_token(roles=["viewer"]))
    assert answer.status_code == 403
    assert answer.json()["error"]["details"] == {"action": "delete", "collection": "notes"}


async def test_more_rows_than_one_chunk_are_worked_off_each_once(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 10}\n")) as world:
        ids = [f"n{n:03}" for n in range(35)]
        for n in range(0, 35, 10):
            await world.add(*ids[n : n + 10])
        assert (await world.delete("/notes/batch", {"filter": {"status": "open"}, "atomic": True})).status_code == 400
        answer = await world.delete("/notes/batch", {"filter": {"status": "open"}})
        assert answer.json()["deleted"] == 35
        batch = await world.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})
        assert batch["counts"] == {"delete": 35}
        assert await world.database["_pm_versions"].count_documents({"ended.batch": answer.json()["batch"]}) == 35
        undone = await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
        assert undone.json()["restored"] == 35
        assert len(await world.stored(*ids)) == 35


async def test_rows_with_ids_of_other_types_are_worked_off_too_and_one_no_caller_can_name_stays(mongo_uri, tmp_path):
    """Another writer stored them; the pages of a chunked batch must not end where one type of id does."""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 2}\n")) as world:
        row = {"tenant_id": "acme", "owner_id": "alice", "title": "t", "status": "open"}
        ids = [1, 2, 3, "a", "b", ObjectId(), {"a": 1}]
        await world.database["notes"].insert_many([{**row, "_id": one} for one in ids])
        answer = await world.delete("/notes/batch", {"filter": {"status": "open"}})
        assert (answer.status_code, answer.json()["deleted"]) == (200, 6)
        assert [one["_id"] async for one in world.database["notes"].find()] == [{"a": 1}]


async def test_no_row_is_read_as_a_version_before_it_is_removed(world):
    """Until then another writer may change it, and what it wrote would be in no version."""
    ids = [f"n{n:04}" for n in range(600)]
    await world.add(*ids)
    await world.database.command("profile", 2)
    try:
        answer = await world.delete("/notes/batch", {"ids": ids})
    finally:
        await world.database.command("profile", 0)
    rows = await world.database["system.profile"].find({"ns": world.database["notes"].full_name}).to_list()
    await world.database["system.profile"].drop()
    assert answer.json()["deleted"] == len(ids)
    gone: set[str] = set()
    read: set[str] = set()
    for row in rows:
        if row["op"] == "remove":
            gone |= {*row["command"]["q"]["_id"]["$in"]}
        elif row["op"] == "query":
            read |= {*row["command"]["filter"]["_id"]["$in"]}
            assert read <= gone
    assert read == gone == {*ids}


async def test_what_a_filter_removes_goes_to_mongodb_in_small_groups_each_version_with_its_document(world):
    """A long command is in the way of everybody's: the profiler tells how much each one removed."""
    ids = [f"n{n * 37 % 250}" for n in range(250)]
    await world.add(*ids, age=7)
    before = {row["_id"]: row async for row in world.database["notes"].find({"age": 7})}
    await world.database.command("profile", 2)
    try:
        answer = await world.delete("/notes/batch", {"filter": {"age": 7}})
    finally:
        await world.database.command("profile", 0)
    assert answer.json()["deleted"] == 250
    kept = {row["doc_id"]: row["data"] async for row in world.database["_pm_versions"].find({})}
    assert kept == before
    told = world.database["system.profile"].find({"op": "remove", "ns": f"{world.database.name}.notes"})
    removed = [one["ndeleted"] async for one in told]
    assert sum(removed) == 250
    assert max(removed) <= 100
