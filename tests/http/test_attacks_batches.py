"""Attacks by way of batches: what an undo puts back, and what a batch tells of rows and fields out of sight."""

import asyncio
import time

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])

HANDED_ON = """
roles: {user: {}, boss: {}}
policies:
  notes:
    boss: {actions: ["*"], fields: {reassign: [owner_id]}, check: "true"}
    user:
      - {actions: [create, update, delete, restore], when: "resource.owner_id == user.id"}
      - {actions: [read], when: "true"}
      - {effect: deny, actions: [restore], when: "resource.status == 'locked'"}
"""


@pytest.mark.parametrize(("one", "change"), [("a", {"owner_id": "bob"}), ("b", {"status": "locked"})])
async def test_an_undo_takes_nothing_back_that_a_restore_may_not(mongo_uri, tmp_path, one, change):
    """Alice reads it still and may restore the old state; not over the one that the boss made of it."""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, HANDED_ON)) as world:
        await world.add("a", "b")
        answer = await world.ask("PUT", "/notes/batch", {"ids": [one], "update": change}, token=BOSS)
        stored = await world.database["notes"].find_one({"_id": one})
        single = await world.ask("POST", f"/notes/{one}/restore/1")
        undone = await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
        assert (single.status_code, undone.status_code, undone.json()["restored"]) == (403, 207, 0)
        assert undone.json()["failed"] == [{"id": one, "error": single.json()["error"]}]
        assert await world.database["notes"].find_one({"_id": one}) == stored


REFERRING = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  people:
    client_ids: true
    fields: {tenant_id: {type: string}, owner_id: {type: string}}
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      who: {type: string, ref: people}
      kin: {type: array, items: {type: string, ref: notes}}
"""
REFERRERS = """
roles: {user: {}, boss: {}, narrow: {}}
policies:
  notes: {boss: {actions: ["*", purge]}, user: {actions: ["*"]}, narrow: {actions: ["*"], fields: {deny: [who]}}}
  people: {boss: {actions: ["*"]}, user: {actions: [create, read], when: "resource.owner_id == user.id"}}
"""


@pytest.fixture
async def referring(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, REFERRING, REFERRERS)) as world:
        for one, token in (("mine", a_token()), ("theirs", BOSS)):
            assert (await world.post("/people", {"_id": one}, token=token)).status_code == 201
        yield world


async def batch_of(world, method, body, **more):
    answer = await world.ask(method, "/notes/batch", body, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["batch"]


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("atomic", [False, True])
async def test_an_undo_points_at_nothing_that_its_caller_may_not_point_at(referring, deleted, atomic):
    for one, who in (("a", "theirs"), ("b", "mine")):
        await referring.post("/notes", {"_id": one, "who": who}, token=BOSS)
    await referring.database["people"].update_one({"_id": "mine"}, {"$set": {"owner_id": "alice"}})
    body = {"ids": ["a", "b"]} if deleted else {"ids": ["a", "b"], "update": {"who": None}}
    batch = await batch_of(referring, "DELETE" if deleted else "PUT", body)
    before = await referring.database["notes"].find().to_list()
    single = await referring.ask("POST", "/notes/a/restore/1")
    undone = await referring.post(f"/notes/batch/{batch}/undo", {"atomic": atomic})
    assert single.json()["error"]["details"]["errors"][0]["code"] == "ref"
    if atomic:
        assert (undone.status_code, undone.json()["error"]["code"]) == (422, "schema_validation")
        assert await referring.database["notes"].find().to_list() == before
        return
    assert (undone.status_code, undone.json()["restored"]) == (207, 1)
    assert undone.json()["failed"] == [{"id": "a", "error": single.json()["error"]}]
    assert (await referring.get("/notes/a")).json().get("who") is None
    assert (await referring.get("/notes/b")).json()["who"] == "mine"


async def test_documents_that_refer_to_each_other_come_back_together(referring):
    await referring.post("/notes/batch", {"documents": [{"_id": "a", "kin": ["b"]}, {"_id": "b", "kin": ["a"]}]})
    batch = await batch_of(referring, "DELETE", {"ids": ["a", "b"]})
    undone = await referring.post(f"/notes/batch/{batch}/undo", {"atomic": True})
    assert (undone.status_code, undone.json()["restored"]) == (200, 2), undone.text


async def test_t11_a_hidden_reference_that_finds_nothing_is_not_named(referring):
    await referring.post("/notes", {"_id": "a", "title": "old", "who": "theirs"}, token=BOSS)
    narrow = a_token("nora", ["narrow"])
    batch = await batch_of(referring, "PUT", {"ids": ["a"], "update": {"title": "new"}}, token=narrow)
    single = await referring.ask("POST", "/notes/a/restore/1", token=narrow)
    undone = await referring.post(f"/notes/batch/{batch}/undo", {}, token=narrow)
    errors = [{"field": None, "code": "hidden", "message": "a field that you can't read breaks the schema"}]
    for error in (single.json()["error"], undone.json()["failed"][0]["error"]):
        assert (error["code"], error["details"]["errors"]) == ("schema_validation", errors)


@pytest.mark.parametrize("odd", [{"x": 1}, [{"x": 1}], 1.5])
async def test_what_another_writer_left_in_place_of_a_reference_is_no_fault_of_ours(referring, odd):
    await referring.post("/notes", {"_id": "a", "kin": []})
    await referring.post("/notes", {"_id": "b"})
    await referring.database["notes"].update_one({"_id": "a"}, {"$set": {"who": odd}})
    changed = await referring.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"kin": ["b"]}})
    assert (changed.status_code, changed.json()["modified"]) == (200, 2)
    batch = await batch_of(referring, "PUT", {"ids": ["a", "b"], "update": {"who": "mine"}})
    refused = [await referring.ask("POST", "/notes/a/restore/1")]
    undone = await referring.post(f"/notes/batch/{batch}/undo", {})
    assert (undone.status_code, undone.json()["restored"]) == (207, 1)
    await referring.ask("DELETE", "/notes/a")
    refused.append(await referring.ask("POST", "/notes/a/restore/2"))
    assert [one.json()["error"]["details"]["errors"][0]["code"] for one in refused] == ["ref", "ref"]


async def test_t14_a_short_change_makes_no_long_arrays_step_by_step(mongo_uri, tmp_path):
    """Each step went on from where the last one led: 900 of them made a million elements, in every document."""
    schema = SCHEMA.replace("      ssn: {type: string}\n", "      ssn: {type: string}\n      open: {type: array}\n")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a", "b", open=[])
        change = {"$set": {f"open.{999 * n}": 1 for n in range(1, 901)}}
        answer = await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": change})
        assert [one["error"]["code"] for one in answer.json()["failed"]] == ["schema_validation", "schema_validation"]
        assert (await world.ask("PATCH", "/notes/a", {"$set": {"open.999": 1}})).status_code == 200
        assert (await world.ask("PATCH", "/notes/a", {"$set": {"open.1999": 1, "open.0": 2}})).status_code == 200
        assert (await world.ask("PATCH", "/notes/a", {"$set": {"open.3000": 1}})).status_code == 422


async def test_t16_others_have_their_turn_while_a_long_batch_is_judged(world):
    ids = [f"n{n:02}" for n in range(20)]
    await world.add(*ids)
    change = {"$push": {"tags": {"$each": [f"t{n}" for n in range(10_000)]}}}
    batch = asyncio.create_task(world.ask("PUT", "/notes/batch", {"ids": ids, "update": change}))
    began, longest = time.monotonic(), 0.0
    while not batch.done():
        await asyncio.sleep(0.001)
        longest, began = max(longest, time.monotonic() - began), time.monotonic()
    assert (await batch).json()["modified"] == 20
    assert longest < 2, longest
