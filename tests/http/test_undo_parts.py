"""Undo of batches that were, or must be, worked off in several transactions; and of many documents."""

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SMALL = CONFIG + "limits: {max_batch_size: 4, max_transaction_bytes: 800}\n"
CHUNKS = CONFIG + "limits: {max_batch_size: 4}\n"
BOSS = a_token("boss", ["boss"])


@pytest.fixture
async def small(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, SMALL)) as found:
        yield found


@pytest.fixture
async def chunks(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CHUNKS)) as found:
        yield found


async def undo(world, batch, body=None, **more):
    return await world.post(f"/notes/batch/{batch}/undo", body or {}, **more)


async def parts_of(world, batch) -> int:
    return await world.database["_pm_parts"].count_documents({"batch": batch})


async def fattened(world, batch, **fields):
    """The states that a batch ended are larger by these fields."""
    change = {f"data.{name}": value for name, value in fields.items()}
    await world.database["_pm_versions"].update_many({"ended.batch": batch}, {"$set": change})


async def deleted_in_parts(world) -> str:
    for one in "abcd":
        await world.add(one, ssn="x" * 300)
    answer = await world.delete("/notes/batch", {"ids": [*"abcd"]})
    assert await parts_of(world, answer.json()["batch"]) > 1
    return answer.json()["batch"]


async def test_a_deletion_that_had_to_be_split_is_undone(small):
    answer = await undo(small, await deleted_in_parts(small))
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 4, [])
    assert await small.stored(*"abcd") == [*"abcd"]


async def test_it_is_too_much_for_one_transaction_where_all_or_nothing_is_asked(small):
    answer = await undo(small, await deleted_in_parts(small), {"atomic": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    assert await small.stored(*"abcd") == []


async def test_contents_of_too_many_bytes_come_back_in_several_transactions(small):
    await small.add(*"abcd"[:2])
    gone = (await small.delete("/notes/batch", {"ids": ["a", "b"]})).json()["batch"]
    await fattened(small, gone, ssn="x" * 500)
    answer = await undo(small, gone)
    assert (answer.status_code, answer.json()["restored"]) == (200, 2), answer.text
    assert await parts_of(small, answer.json()["batch"]) == 2
    assert await small.stored("a", "b") == ["a", "b"]


async def test_former_states_of_too_many_bytes_are_put_back_in_several_transactions(small):
    await small.add("a", "b")
    changed = (await small.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"age": 2}})).json()["batch"]
    await fattened(small, changed, ssn="x" * 500)
    refused = await undo(small, changed, {"atomic": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
    answer = await undo(small, changed)
    assert (answer.status_code, answer.json()["restored"]) == (200, 2), answer.text
    assert await parts_of(small, answer.json()["batch"]) == 2


async def test_ids_that_live_again_cost_no_transaction_each(world):
    ids = [f"n{n}" for n in range(60)]
    await world.add(*ids)
    gone = (await world.delete("/notes/batch", {"ids": ids})).json()["batch"]
    beside = [{"_id": one, "tenant_id": "acme", "owner_id": "alice", "title": "beside"} for one in ids[:40]]
    await world.database["notes"].insert_many(beside)
    before = await started(world)
    answer = await undo(world, gone)
    assert (answer.status_code, answer.json()["restored"], len(answer.json()["failed"])) == (207, 20, 40)
    assert {one["error"]["code"] for one in answer.json()["failed"]} == {"conflict"}
    assert await started(world) - before < 5


async def started(world) -> int:
    return (await world.database.client.admin.command("serverStatus"))["transactions"]["totalStarted"]


async def test_keys_that_are_taken_are_left_out_and_the_rest_comes_back(mongo_uri, tmp_path):
    unique = "    indexes: [{fields: [tenant_id, title], unique: true}]\n"
    schema = SCHEMA.replace("    versioning: {enabled: true}\n", "    versioning: {enabled: true}\n" + unique, 1)
    assert unique in schema
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        ids = [f"n{n}" for n in range(30)]
        await world.post("/notes/batch", {"documents": [{"_id": one, "title": one} for one in ids]})
        gone = (await world.delete("/notes/batch", {"ids": ids})).json()["batch"]
        taken = [{"_id": f"x{one}", "tenant_id": "acme", "title": one} for one in ids[:20]]
        await world.database["notes"].insert_many(taken)
        answer = await undo(world, gone)
        assert (answer.status_code, answer.json()["restored"], len(answer.json()["failed"])) == (207, 10, 20)


async def test_results_of_more_than_one_chunk_are_refused_before_anything_is_done(chunks):
    await chunks.add("a", "b", "c", "d")
    await chunks.add("e")
    gone = (await chunks.delete("/notes/batch", {"filter": {"status": "open"}})).json()["batch"]
    answer = await undo(chunks, gone, {"results": True})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"max_batch_size": 4})
    assert await chunks.stored(*"abcde") == []
    assert (await undo(chunks, gone)).json()["restored"] == 5


async def test_max_affected_counts_all_parts_beforehand(chunks):
    await chunks.add("a", "b", "c", "d")
    await chunks.add("e")
    gone = (await chunks.delete("/notes/batch", {"filter": {"status": "open"}})).json()["batch"]
    answer = await undo(chunks, gone, {"max_affected": 4})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"matched_at_least": 5})
    assert await chunks.stored(*"abcde") == []
    assert (await undo(chunks, gone, {"max_affected": 5})).json()["restored"] == 5


async def test_of_very_many_failures_the_first_are_listed_and_all_are_counted(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 600}\n")) as world:
        rows = [
            {"_id": f"n{n:04}", "tenant_id": "acme", "owner_id": "alice", "title": "n", "status": "open", "_version": 1}
            for n in range(1200)
        ]
        await world.database["notes"].insert_many(rows)
        gone = (await world.delete("/notes/batch", {"filter": {"status": "open"}})).json()["batch"]
        await world.database["notes"].insert_many(rows[:1100])
        answer = await undo(world, gone)
        body = answer.json()
        assert (answer.status_code, body["restored"], len(body["failed"])) == (207, 100, 1000)
        assert "1100" in body["error"]["message"]


DIFFERENCES = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff}")


async def test_a_state_that_a_later_write_cut_to_a_difference_is_judged_by_its_content(mongo_uri, tmp_path):
    """Changed by the batch and then by somebody: a conflict, told to who sees both states, and to nobody else."""
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=DIFFERENCES)) as world:
        text = "so long a text that a difference to it is shorter than it is itself; " * 5
        await world.add("a", "b", ssn=text)
        await world.add("c", ssn=text, token=a_token("bob"))
        updates = [{"id": one, "update": {"age": 2}} for one in "abc"]
        batch = (await world.ask("PUT", "/notes/batch", {"updates": updates}, token=BOSS)).json()["batch"]
        for one in "abc":
            assert (await world.ask("PATCH", f"/notes/{one}", {"age": 3}, token=BOSS)).status_code == 200
        await world.database["notes"].update_one({"_id": "c"}, {"$set": {"owner_id": "alice"}})
        cut = world.database["_pm_versions"].find({"ended.batch": batch})
        assert {one["mode"] async for one in cut} == {"diff"}
        answer = await undo(world, batch)
        assert (answer.status_code, answer.json()["restored"]) == (207, 0), answer.text
        told = [(one["id"], one["error"]["code"]) for one in answer.json()["failed"]]
        assert told == [("a", "conflict"), ("b", "conflict")]
        assert (await undo(world, batch, token=a_token("carl"))).status_code == 404
