"""Undo of a batch update: what the batch changed is as before, where nobody has changed it since."""

import pytest

from tests.http.harness import POLICY, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, STRANGER = a_token("bob"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")


async def row(world, one):
    return await world.database["notes"].find_one({"_id": one})


def content(stored):
    return {name: value for name, value in stored.items() if name not in ("_version", "_made")}


async def updated(world, body, **more):
    answer = await world.ask("PUT", "/notes/batch", body, **more)
    assert answer.status_code in (200, 207), answer.text
    return answer.json()["batch"]


async def undo(world, batch, body=None, **more):
    return await world.post(f"/notes/batch/{batch}/undo", body or {}, **more)


async def test_what_was_changed_is_as_before_with_a_new_number(world):
    await world.add("a", "b", age=1, tags=["x"])
    before = {one: content(await row(world, one)) for one in "ab"}
    batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2, "tags": None, "ssn": "9"}})
    answer = await undo(world, batch, {"reason": "mistake", "results": True})
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 2, []), answer.text
    assert [one["status"] for one in answer.json()["results"]] == ["restored", "restored"]
    for one in "ab":
        stored = await row(world, one)
        assert content(stored) == before[one]
        assert (stored["_version"], stored["_made"]["action"], stored["_made"]["reason"]) == (3, "restore", "mistake")
    told = (await world.get("/notes/a/versions")).json()
    assert [(one["version"], one["action"]) for one in told] == [(3, "restore"), (2, "update"), (1, "create")]


async def test_an_undo_can_be_undone_again_and_again(world):
    await world.add("a", "b", age=1)
    batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2}})
    for n, age in enumerate((1, 2, 1, 2)):
        answer = await undo(world, batch)
        assert (answer.status_code, answer.json()["restored"]) == (200, 2), answer.text
        batch = answer.json()["batch"]
        stored = await row(world, "a")
        assert (stored["age"], stored["_version"]) == (age, 3 + n)
    kept = await world.database["_pm_versions"].find({"doc_id": "a"}, sort=[("version", 1)]).to_list()
    assert [one["version"] for one in kept] == [1, 2, 3, 4, 5]
    assert [one["data"]["age"] for one in kept] == [1, 2, 1, 2, 1]


async def test_what_somebody_changed_since_stays_and_is_told(world):
    await world.add("a", "b", "c", age=1)
    batch = await updated(world, {"ids": ["a", "b", "c"], "update": {"age": 2}})
    await world.ask("PATCH", "/notes/b", {"title": "mine"})
    await world.delete("/notes/batch", {"ids": ["c"]})
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"]) == (207, 1)
    assert [(one["id"], one["error"]["code"]) for one in answer.json()["failed"]] == [("b", "conflict")]
    assert [(await row(world, one) or {}).get("age") for one in "abc"] == [1, 2, None]


async def test_another_change_with_the_same_number_is_not_taken_for_the_batchs(world):
    """A writer beside the gateway keeps the number and takes the mark away."""
    await world.add("a", age=1)
    batch = await updated(world, {"ids": ["a"], "update": {"age": 2}})
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"age": 5, "_made.batch": "0" * 32}})
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"]) == (207, 0)
    assert (await row(world, "a"))["age"] == 5


async def test_atomic_puts_back_all_or_nothing(world):
    await world.add("a", "b", age=1)
    batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2}})
    await world.ask("PATCH", "/notes/b", {"title": "mine"})
    answer = await undo(world, batch, {"atomic": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert [(await row(world, one))["age"] for one in "ab"] == [2, 2]


async def test_a_dry_run_puts_nothing_back(world):
    await world.add("a", age=1)
    batch = await updated(world, {"ids": ["a"], "update": {"age": 2}})
    answer = await undo(world, batch, {"dry_run": True})
    assert answer.json() == {"restored": 1, "failed": [], "dry_run": True}
    assert (await row(world, "a"))["age"] == 2


async def test_more_than_max_affected_puts_nothing_back(world):
    await world.add("a", "b", age=1)
    batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2}})
    answer = await undo(world, batch, {"max_affected": 1})
    assert (answer.status_code, answer.json()["error"]["details"]["matched_at_least"]) == (400, 2)
    assert (await row(world, "a"))["age"] == 2


async def test_t25_another_tenants_batch_an_unseen_one_and_none_are_told_alike(world):
    await world.add("a", age=1, token=BOB)
    batch = await updated(world, {"ids": ["a"], "update": {"age": 2}}, token=BOB)
    answers = [await undo(world, batch, token=token) for token in (STRANGER, a_token())]
    answers.append(await undo(world, "0" * 32))
    assert {(one.status_code, one.content) for one in answers} == {(404, answers[0].content)}
    assert (await row(world, "a"))["age"] == 2


async def test_t35_an_old_state_out_of_sight_is_neither_put_back_nor_told(world):
    """The boss gives bob's note to alice: that it was bob's is not hers to know, nor to bring back."""
    await world.add("a", token=BOB)
    await world.add("b")
    updates = [{"id": one, "update": {"age": 2}} for one in "ab"]
    batch = await updated(world, {"updates": updates}, token=BOSS)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 1, [])
    assert (await row(world, "a"))["owner_id"] == "alice"


async def test_a_state_that_is_out_of_sight_now_is_neither_put_back_nor_told(world):
    await world.add("a", "b")
    batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2}})
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "bob"}})
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 1, [])
    assert (await row(world, "a"))["age"] == 2


async def test_an_old_state_that_may_not_be_restored_is_a_failure(mongo_uri, tmp_path):
    policy = POLICY.replace(
        "actions: [create, read, update, delete, restore]", "actions: [create, read, update, delete]"
    )
    policy = policy.replace(
        "      - {effect: deny, actions: [delete]",
        "      - {actions: [restore], when: \"resource.status == 'open'\"}\n      - {effect: deny, actions: [delete]",
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("a", "b")
        await world.database["notes"].update_one({"_id": "b"}, {"$set": {"status": "closed"}})
        batch = await updated(world, {"ids": ["a", "b"], "update": {"age": 2}})
        answer = await undo(world, batch)
        assert (answer.status_code, answer.json()["restored"]) == (207, 1)
        assert [(one["id"], one["error"]["code"]) for one in answer.json()["failed"]] == [("b", "forbidden")]
        viewer = await undo(world, batch, token=a_token(roles=["viewer"]))
        assert viewer.status_code == 403


async def test_the_number_left_behind_by_a_batch_is_the_only_one_undone(world):
    """A document changed by two batches: the first is not undone over the second."""
    await world.add("a", age=1)
    first = await updated(world, {"ids": ["a"], "update": {"age": 2}})
    second = await updated(world, {"ids": ["a"], "update": {"age": 3}})
    assert (await undo(world, first)).status_code == 207
    assert (await undo(world, second)).json()["restored"] == 1
    assert (await row(world, "a"))["age"] == 2


async def test_where_versions_are_differences_an_undo_puts_back_the_same(mongo_uri, tmp_path):
    schema = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff}")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a", age=1, tags=["x"])
        batch = await updated(world, {"ids": ["a"], "update": {"age": 2, "tags": None}})
        for age in (1, 2, 1):
            answer = await undo(world, batch)
            assert answer.json()["restored"] == 1, answer.text
            batch = answer.json()["batch"]
            stored = await row(world, "a")
            assert (stored["age"], stored.get("tags")) == (age, ["x"] if age == 1 else None)
