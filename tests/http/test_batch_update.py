"""`PUT /{collection}/batch`: each document is changed as a PATCH of it alone would; what was replaced is kept."""

import asyncio

import pytest

from permission_mongo.revisions import Rewrite
from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOB, BOSS, STRANGER = a_token("bob"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")
UNIQUE_EMAIL = "    indexes: [{fields: [tenant_id, email], unique: true, partial: {email: {$exists: true}}}]\n"


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


async def statuses(answer):
    return [(one["id"], one["status"]) for one in answer.json()["results"]]


async def test_one_of_twenty_and_many_documents_have_a_key_that_exists(mongo_uri, tmp_path):
    schema = SCHEMA.replace("  plain:", UNIQUE_EMAIL + "  plain:")
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema)) as world:
        ids = [f"n{n:03}" for n in range(60)]
        await world.add(*ids)
        await world.add("z", email="z@x.org")
        for taken in (1, 20, 60):
            updates = [
                {"id": one, "update": {"email": "z@x.org" if n < taken else f"{taken}-{n}@x.org"}}
                for n, one in enumerate(ids)
            ]
            answer = await world.ask("PUT", "/notes/batch", {"updates": updates})
            assert answer.status_code == 207, answer.text
            assert (answer.json()["modified"], len(answer.json()["failed"])) == (60 - taken, taken)
            assert {one["error"]["code"] for one in answer.json()["failed"]} == {"conflict"}
        atomic = await world.ask("PUT", "/notes/batch", {"updates": updates[:2], "atomic": True})
        assert (atomic.status_code, atomic.json()["error"]["code"]) == (409, "conflict")


async def test_what_is_written_while_others_are_judged_is_told_and_kept_as_if_all_were_judged_first(
    mongo_uri, tmp_path
):
    """Refused, unchanged and taken ones in each piece; what refuses one of the last piece undoes the first."""
    schema = SCHEMA.replace("  plain:", UNIQUE_EMAIL + "  plain:")
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema)) as world:
        ids = [f"n{n:03}" for n in range(750)]
        await world.add(*ids, "taken", age=900)
        await world.database["notes"].update_one({"_id": "taken"}, {"$set": {"email": "z@x.org"}})
        wrong, same, taken = ids[50::100], ids[51::100], ids[649:650]
        updates = [{"id": one, "update": {"age": n}} for n, one in enumerate(ids)]
        for n, one in enumerate(ids):
            if one in wrong:
                updates[n]["update"] = {"age": "no number"}
            elif one in same:
                updates[n]["update"] = {"age": 900}
            elif one in taken:
                updates[n]["update"] = {"email": "z@x.org"}
        atomic = await world.ask("PUT", "/notes/batch", {"updates": updates, "atomic": True})
        assert (atomic.status_code, await world.database["notes"].count_documents({"_version": 2})) == (422, 0)
        answer = (await world.ask("PUT", "/notes/batch", {"updates": updates})).json()
        done = [one for one in ids if one not in (*wrong, *same, *taken)]
        assert (answer["matched"], answer["modified"]) == (len(done) + len(same), len(done))
        codes = {one["id"]: one["error"]["code"] for one in answer["failed"]}
        assert codes == dict.fromkeys(wrong, "schema_validation") | dict.fromkeys(taken, "conflict")
        changed = await world.database["notes"].find({"_version": 2}, sort=[("_id", 1)]).to_list()
        assert [(one["_id"], one["age"]) for one in changed] == [(one, int(one[1:])) for one in done]
        kept = await records(world)
        assert [(one["doc_id"], one["version"], one["data"]["age"]) for one in kept] == [(one, 1, 900) for one in done]


async def test_two_of_one_batch_that_want_the_same_key_are_told_apart(mongo_uri, tmp_path):
    schema = SCHEMA.replace("  plain:", UNIQUE_EMAIL + "  plain:")
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema)) as world:
        await world.add("a", "b")
        answer = await world.ask(
            "PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"email": "a@x.org"}, "results": True}
        )
        assert await statuses(answer) == [("a", "updated"), ("b", "conflict")]


async def test_an_unchanged_document_gets_no_version(world):
    await world.add("a", "b", age=1)
    await world.ask("PATCH", "/notes/b", {"age": 2})
    before = await row(world, "a")
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 1}, "results": True})
    assert await statuses(answer) == [("a", "unchanged"), ("b", "updated")]
    assert (answer.json()["matched"], answer.json()["modified"]) == (2, 1)
    assert await row(world, "a") == before
    assert [one["doc_id"] for one in await records(world, **{"ended.batch": answer.json()["batch"]})] == ["b"]
    again = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 1}})
    assert again.json() == {"matched": 2, "modified": 0, "missing": [], "failed": []}


async def test_t25_another_tenants_an_invisible_and_an_absent_id_are_told_alike(world):
    await world.add("x1", token=STRANGER)
    await world.add("x2", token=BOB)
    answers = [
        await world.ask("PUT", "/notes/batch", {"ids": [one], "update": {"age": 1}, "results": True})
        for one in ("x1", "x2", "x3")
    ]
    told = {(one.status_code, one.text.replace(one.json()["missing"][0], "ID")) for one in answers}
    empty = '{"matched":0,"modified":0,"missing":["ID"],"failed":[],"results":[{"id":"ID","status":"not_found"}]}'
    assert told == {(200, empty)}
    assert [(await row(world, one)).get("age") for one in ("x1", "x2")] == [None, None]


async def test_t25_A9_a_filter_reaches_no_row_of_another_tenant_or_owner(world):
    await world.add("a")
    await world.add("x1", token=STRANGER)
    await world.add("x2", token=BOB)
    answer = await world.ask("PUT", "/notes/batch", {"filter": {}, "all": True, "update": {"age": 1}})
    assert answer.json()["modified"] == 1
    assert [(await row(world, one)).get("age") for one in ("a", "x1", "x2")] == [1, None, None]


async def test_a_visible_row_that_may_not_be_changed_is_a_failure(world):
    await world.add("a", "b")
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"owner_id": "bob", "status": "closed"}})
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b", "c"], "update": {"age": 1}, "results": True})
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["missing"]) == (207, "partial", ["c"])
    assert await statuses(answer) == [("a", "updated"), ("b", "forbidden"), ("c", "not_found")]
    assert (await row(world, "b")).get("age") is None


async def test_mongodb_is_asked_for_the_rule_too_whatever_was_judged_in_memory(world, monkeypatch):
    """The guard stands in the query: were the judgement in memory wrong, the row would still not be written."""
    await world.add("a", "b")
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"owner_id": "bob", "status": "closed"}})
    monkeypatch.setattr("permission_mongo.storage.revising.rewrite", lambda *_: Rewrite({"age": 1}, (), 100))
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 1}, "results": True})
    assert await statuses(answer) == [("a", "updated"), ("b", "conflict")]
    assert (await row(world, "b")).get("age") is None


async def test_values_that_break_the_schema_fail_one_by_one(world):
    await world.add("a", "b", "c", age=1)
    updates = [
        {"id": "a", "update": {"age": "old"}},
        {"id": "b", "update": {"$inc": {"age": -5}}},
        {"id": "c", "update": {"age": 2}},
    ]
    answer = await world.ask("PUT", "/notes/batch", {"updates": updates, "results": True})
    assert await statuses(answer) == [("a", "schema_validation"), ("b", "schema_validation"), ("c", "updated")]
    same = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"$inc": {"age": -1}}, "results": True})
    assert await statuses(same) == [("a", "updated"), ("b", "updated")]


async def test_t24_each_document_refuses_what_a_patch_of_it_refuses(world):
    """Hidden, stamped, unknown and moved: each code is that of the single route, and nothing is written."""
    await world.add("a", token=BOSS, ssn="123456789")
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    before = await row(world, "a")
    for change in (
        {"owner_id": "bob"},
        {"tenant_id": "evil"},
        {"_version": 9},
        {"colour": "red"},
        {"_made": {}},
        {"_id": "b"},
        {"title": None},
        {"$inc": {"ssn": 1}},
        {"$push": {"tags": {"a.b": 1}}},
    ):
        single = await world.ask("PATCH", "/notes/a", change)
        many = await world.ask("PUT", "/notes/batch", {"updates": [{"id": "a", "update": change}]})
        assert many.status_code == 207, (change, many.text)
        assert many.json()["failed"][0]["error"] == single.json()["error"], change
        if single.status_code == 403 or "_id" in change:
            same = await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": change})
            assert (same.status_code, same.json()) == (single.status_code, single.json()), change
    assert await row(world, "a") == before


async def test_t11_A1_a_filter_sees_only_rows_whose_field_the_caller_reads_raw(world):
    await world.add("a", token=BOSS, ssn="123456789")
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    answer = await world.ask("PUT", "/notes/batch", {"filter": {"ssn": {"$gte": "1"}}, "update": {"age": 1}})
    assert answer.status_code == 403
    assert "age" not in await row(world, "a")


async def test_t11_A11_a_guess_at_a_masked_value_is_always_a_change(world):
    """`unchanged` of an equal guess would tell the value."""
    await world.add("a", "b", token=BOSS, ssn="123456789")
    await world.database["notes"].update_many({}, {"$set": {"owner_id": "alice"}})
    updates = [{"id": "a", "update": {"ssn": "123456789"}}, {"id": "b", "update": {"ssn": "000000000"}}]
    answer = await world.ask("PUT", "/notes/batch", {"updates": updates, "results": True})
    assert len({one["status"] for one in answer.json()["results"]}) == 1


async def test_if_match_is_judged_for_each(world):
    await world.add("a", "b", age=1)
    tag = (await world.get("/notes/a")).headers["etag"]
    updates = [
        {"id": "a", "update": {"age": 2}, "if_match": tag},
        {"id": "b", "update": {"age": 2}, "if_match": tag},
        {"id": "c", "update": {"age": 2}, "if_match": "*"},
    ]
    answer = await world.ask("PUT", "/notes/batch", {"updates": updates, "results": True})
    assert await statuses(answer) == [("a", "updated"), ("b", "precondition_failed"), ("c", "not_found")]
    assert [(await row(world, one))["age"] for one in "ab"] == [2, 1]


async def test_atomic_does_all_or_nothing_and_tells_the_first_that_fails(world):
    await world.add("a", "b", "d", age=1)
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"owner_id": "bob", "status": "closed"}})
    for ids, status, code in (
        (["a", "b", "c"], 403, "forbidden"),
        (["a", "c", "b"], 404, "document_not_found"),
    ):
        answer = await world.ask("PUT", "/notes/batch", {"ids": ids, "update": {"age": 2}, "atomic": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert [one["id"] for one in answer.json()["error"]["details"]["failed"]] == ids[1:]
    refused = await world.ask("PUT", "/notes/batch", {"filter": {"age": 1}, "update": {"age": -1}, "atomic": True})
    assert refused.status_code == 422
    assert (await row(world, "a"))["age"] == 1
    assert await records(world) == []
    assert (await world.ask("PUT", "/notes/batch", {"ids": ["a", "d"], "update": {"age": 2}, "atomic": True})).json()[
        "modified"
    ] == 2


async def test_a_dry_run_tells_what_would_happen_and_changes_nothing(world):
    await world.add("a", age=1)
    before = await row(world, "a")
    body = {"ids": ["a", "b"], "update": {"age": 2}, "dry_run": True}
    answer = await world.ask("PUT", "/notes/batch", body)
    assert answer.json() == {"matched": 1, "modified": 1, "missing": ["b"], "failed": [], "dry_run": True}
    assert await row(world, "a") == before
    assert await records(world) == []
    assert await world.database["_pm_audit"].count_documents({"action": "update (dry run)"}) == 1


async def test_more_than_max_affected_touches_nothing(world):
    await world.add("a", "b", "c", age=1)
    for chosen in ({"filter": {"age": 1}}, {"ids": ["a", "b", "c"]}):
        answer = await world.ask("PUT", "/notes/batch", {**chosen, "update": {"age": 2}, "max_affected": 2})
        assert (answer.status_code, answer.json()["error"]["details"]["matched_at_least"]) == (400, 3)
    assert [(await row(world, one))["age"] for one in "abc"] == [1, 1, 1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"update": {"age": 1}},
        {"ids": ["a"]},
        {"ids": ["a"], "filter": {"age": 1}, "update": {"age": 1}},
        {"ids": [], "update": {"age": 1}},
        {"ids": ["a"], "update": {}},
        {"ids": ["a"], "update": [1]},
        {"ids": ["a"], "update": {"$where": "1"}},
        {"ids": ["a"], "update": {"$set": {"age": 1}, "title": "x"}},
        {"ids": ["a"], "update": {"age": 1}, "all": True},
        {"filter": {}, "update": {"age": 1}},
        {"ids": ["a"], "update": {"age": 1}, "colour": 1},
        {"ids": ["a"], "update": {"age": 1}, "atomic": "yes"},
        {"updates": []},
        {"updates": [1]},
        {"updates": [{"update": {"age": 1}}]},
        {"updates": [{"id": "a"}]},
        {"updates": [{"id": "a", "update": {"age": 1}, "colour": 1}]},
        {"updates": [{"id": "a", "update": {"age": 1}, "if_match": 7}]},
        {"updates": [{"id": "a", "update": {"age": 1}, "if_match": "bare"}]},
        {"updates": [{"id": "a", "update": {"age": 1}}, {"id": "a", "update": {"age": 2}}]},
        {"updates": [{"id": "a", "update": {"age": 1}}], "update": {"age": 2}},
        {"updates": [{"id": "a", "update": {"age": 1}}], "ids": ["a"]},
        {"updates": [{"id": "a", "update": {"$set": {"pay.0": 1}}}]},
    ],
)
async def test_what_makes_no_sense_is_refused_whole(world, body):
    await world.add("a")
    answer = await world.ask("PUT", "/notes/batch", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request"), answer.text
    assert "age" not in await row(world, "a")


async def test_a_role_without_the_action_is_forbidden_whatever_is_there(world):
    answer = await world.ask(
        "PUT", "/notes/batch", {"ids": ["a"], "update": {"age": 1}}, token=a_token(roles=["viewer"])
    )
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "update", "collection": "notes"})


async def test_a_collection_without_versions_is_changed_too(world):
    made = await world.post("/plain/batch", {"documents": [{"name": "a"}, {"name": "b"}]}, token=BOSS)
    ids = made.json()["created"]
    answer = await world.ask("PUT", "/plain/batch", {"ids": ids, "update": {"name": "c"}}, token=BOSS)
    assert answer.json()["modified"] == 2
    assert [one["name"] async for one in world.database["plain"].find()] == ["c", "c"]
    assert await records(world) == []


async def test_a_filter_matching_more_than_a_chunk_is_worked_off_each_document_once(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 10}\n")) as world:
        ids = [f"n{n:03}" for n in range(35)]
        for n in range(0, 35, 10):
            await world.add(*ids[n : n + 10], age=1)
        body = {"filter": {"age": {"$gte": 1}}, "update": {"$inc": {"age": 1}}}
        assert (await world.ask("PUT", "/notes/batch", {**body, "atomic": True})).status_code == 400
        answer = await world.ask("PUT", "/notes/batch", body)
        assert (answer.json()["matched"], answer.json()["modified"]) == (35, 35)
        assert {one["age"] async for one in world.database["notes"].find()} == {2}
        batch = await world.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})
        assert batch["counts"] == {"update": 35}
        undone = await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
        assert undone.json()["restored"] == 35
        assert {one["age"] async for one in world.database["notes"].find()} == {1}


async def test_more_bytes_than_a_transaction_may_hold_are_split_and_refused_whole_when_atomic(mongo_uri, tmp_path):
    """Read or written: a small document may become a large one."""
    config = CONFIG + "limits: {max_transaction_bytes: 5000}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, config)) as world:
        await world.add("a", "b", "c", "d")
        body = {"ids": ["a", "b", "c", "d"], "update": {"ssn": "x" * 2000}}
        refused = await world.ask("PUT", "/notes/batch", {**body, "atomic": True}, token=BOSS)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
        assert (await world.ask("PUT", "/notes/batch", body, token=BOSS)).json()["modified"] == 4
        assert (await world.ask("PUT", "/notes/batch", {**body, "update": {"age": 1}}, token=BOSS)).json()[
            "modified"
        ] == 4
        assert len(await records(world)) == 8


async def test_an_unfit_document_too_large_is_a_failure_of_its_own(mongo_uri, tmp_path):
    config = CONFIG + "limits: {max_document_bytes: 2000}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, config)) as world:
        await world.add("a", "b")
        updates = [{"id": "a", "update": {"ssn": "x" * 3000}}, {"id": "b", "update": {"ssn": "x"}}]
        answer = await world.ask("PUT", "/notes/batch", {"updates": updates, "results": True}, token=BOSS)
        assert await statuses(answer) == [("a", "payload_too_large"), ("b", "updated")]


async def test_a_retry_under_one_key_changes_once_and_is_told_the_same(world):
    await world.add("a", "b", age=1)
    body = {"ids": ["a", "b", "c"], "update": {"$inc": {"age": 1}}, "results": True}
    answers = [await world.ask("PUT", "/notes/batch", body, headers={"idempotency-key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert [(await row(world, one))["age"] for one in "ab"] == [2, 2]


async def test_a_document_made_beside_the_gateway_begins_its_history(world):
    await world.database["notes"].insert_one(
        {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "t", "status": "open"}
    )
    assert (await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"age": 1}})).json()["modified"] == 1
    assert (await row(world, "a"))["_version"] == 1
    assert [one["version"] for one in await records(world)] == [0]


async def test_a_taken_number_is_gone_past(world):
    """A writer beside the gateway has set the number back."""
    await world.add("a", "b", age=1)
    await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 2}})
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"_version": 1}})
    answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 3}})
    assert (answer.status_code, answer.json()["modified"]) == (200, 2), answer.text
    for one in "ab":
        numbers = [kept["version"] for kept in await records(world, doc_id=one)]
        assert len(set(numbers)) == 2
        assert (await row(world, one))["_version"] == max(numbers) + 1


async def test_delete_takes_what_each_document_must_be(world):
    await world.add("a", "b")
    tag = (await world.get("/notes/a")).headers["etag"]
    items = [{"id": "a", "if_match": tag}, {"id": "b", "if_match": tag}, {"id": "c", "if_match": "*"}]
    answer = await world.delete("/notes/batch", {"items": items, "results": True})
    assert (answer.status_code, answer.json()["deleted"], answer.json()["missing"]) == (207, 1, ["c"])
    assert await statuses(answer) == [("a", "deleted"), ("b", "precondition_failed"), ("c", "not_found")]
    assert await world.stored("a", "b") == ["b"]
    atomic = await world.delete("/notes/batch", {"items": items[1:], "atomic": True})
    assert (atomic.status_code, atomic.json()["error"]["code"]) == (412, "precondition_failed")
    assert (await world.delete("/notes/batch", {"items": [{"id": "b"}]})).json()["deleted"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        {"items": ["a"]},
        {"items": [{"id": "a"}, {"id": "a"}]},
        {"items": [{"id": "a", "colour": 1}]},
        {"items": [{"id": "a", "if_match": 1}]},
        {"items": [{"if_match": "*"}]},
        {"items": [{"id": "a"}], "ids": ["a"]},
        {"items": [{"id": "a"}], "filter": {"age": 1}},
    ],
)
async def test_items_that_make_no_sense_delete_nothing(world, body):
    await world.add("a")
    answer = await world.delete("/notes/batch", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request"), answer.text
    assert await world.stored("a") == ["a"]


async def test_a_filter_of_more_than_a_chunk_is_a_job_that_another_can_carry_on(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 4}\n")) as world:
        ids = [f"n{n}" for n in range(10)]
        for n in range(0, 10, 4):
            await world.add(*ids[n : n + 4], age=1)
        body = {"filter": {"age": {"$gte": 1}}, "update": {"$inc": {"age": 1}}}
        answer = await world.ask("PUT", "/notes/batch", body, headers={"prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        job = answer.json()["job"]["id"]
        for _ in range(200):
            told = (await world.get(f"/_pm/jobs/{job}")).json()
            if told["state"] not in ("running", "cancelling"):
                break
            await asyncio.sleep(0.05)
        assert told["state"] == "done", told
        assert {one["age"] async for one in world.database["notes"].find()} == {2}
        assert (await world.post(f"/notes/batch/{job}/undo", {})).json()["restored"] == 10
