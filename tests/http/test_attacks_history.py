"""Attacks by way of the past: what a restore writes that its caller may not, and what an old state tells."""

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS, ROOT = a_token("boss", ["boss"]), a_token("root", ["root"])

RULED = """
roles: {user: {}, boss: {}, root: {cross_tenant: true}}
policies:
  notes:
    boss: {actions: ["*"], fields: {reassign: [owner_id]}, check: "true"}
    root: {actions: ["*"]}
    user:
      actions: ["*"]
      when: "resource.status != 'locked'"
      fields: {deny: [ssn], deny_write: [age, pay.bonus], mask: {email: redact}}
"""
FIRST = {"title": "old", "age": 1, "ssn": "1", "pay": {"month": 1, "bonus": 1}, "tags": ["old"], "email": "a@b.de"}
THEN = {"title": "new", "age": 2, "ssn": "2", "pay": {"month": 2, "bonus": 2}, "tags": ["new"], "email": "c@d.de"}


@pytest.fixture
async def ruled(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, RULED)) as world:
        yield world


async def content(world):
    names = ("title", "age", "ssn", "pay", "tags", "owner_id", "tenant_id", "status", "email")
    found = await world.database["notes"].find_one({"_id": "a"})
    return {name: found[name] for name in names if name in found}


@pytest.mark.parametrize("by", ["restore", "restore of a deleted one", "undo"])
async def test_t24_no_old_state_brings_back_what_its_caller_may_not_write(ruled, by):
    """The boss corrected the document: neither a denied nor a hidden nor a judging field nor the owner goes back."""
    assert (await ruled.post("/notes", {"_id": "a", **FIRST}, token=BOSS)).status_code == 201
    change = {**THEN, "owner_id": "bob", "status": "closed"}
    answer = await ruled.ask("PUT", "/notes/batch", {"ids": ["a"], "update": change}, token=BOSS)
    assert answer.json()["modified"] == 1, answer.text
    if by == "undo":
        answer = await ruled.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
    else:
        if by != "restore":
            await ruled.ask("DELETE", "/notes/a")
        answer = await ruled.ask("POST", "/notes/a/restore/1")
    assert answer.status_code == 200, answer.text
    assert await content(ruled) == {
        **{"title": "old", "tags": ["old"], "email": "a@b.de", "pay": {"month": 1, "bonus": 2}},
        **{"age": 2, "ssn": "2", "owner_id": "bob", "tenant_id": "acme", "status": "closed"},
    }


async def test_what_was_not_there_does_not_come_back_or_go_where_it_may_not_be_written(ruled):
    first, then = ({"title": "n", "pay": {"bonus": 1}}, {"title": "m", "ssn": "2", "pay": None, "age": 3})
    await ruled.post("/notes", {"_id": "a", **first}, token=BOSS)
    await ruled.ask("PATCH", "/notes/a", then, token=BOSS)
    for number, token in ((1, a_token()), (2, a_token())):
        assert (await ruled.ask("POST", f"/notes/a/restore/{number}", token=token)).status_code == 200
        stored = await content(ruled)
        assert (stored["ssn"], stored["age"], "pay" in stored) == ("2", 3, False)
    assert (await ruled.ask("POST", "/notes/a/restore/1", token=BOSS)).status_code == 200
    assert {"ssn", "age"}.isdisjoint(await content(ruled))


async def test_who_may_write_the_owner_brings_it_back_and_nobody_the_tenant(ruled):
    await ruled.post("/notes", {"_id": "a", "title": "n"}, token=BOSS)
    await ruled.ask("PATCH", "/notes/a", {"owner_id": "bob"}, token=BOSS)
    await ruled.ask("POST", "/notes/a/restore/1", token=BOSS)
    assert (await content(ruled))["owner_id"] == "boss"
    await ruled.database["notes"].update_one({"_id": "a"}, {"$set": {"tenant_id": "evil"}})
    for number in (1, 2):
        answer = await ruled.ask("POST", f"/notes/a/restore/{number}", token=ROOT)
        assert (answer.status_code, (await content(ruled))["tenant_id"]) == (200, "evil"), answer.text


async def test_an_old_state_over_fields_that_stay_is_no_larger_than_a_document_may_be(mongo_uri, tmp_path):
    config = CONFIG + "limits: {max_document_bytes: 2000}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, config, SCHEMA, RULED)) as world:
        await world.post("/notes", {"_id": "a", "title": "n", "tags": ["x" * 1500]}, token=BOSS)
        answer = await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"tags": None}}, token=BOSS)
        await world.database["notes"].update_one({"_id": "a"}, {"$set": {"ssn": "y" * 1500}})
        single = await world.ask("POST", "/notes/a/restore/1")
        undone = await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
        assert (single.status_code, undone.status_code) == (413, 207)
        assert undone.json()["failed"][0]["error"]["code"] == "payload_too_large"


HIDING = """
roles: {user: {}, boss: {}}
policies:
  notes:
    boss: {actions: ["*"]}
    user:
      - {actions: [create, restore], when: "true"}
      - {actions: [read], when: "true", fields: {mask: {email: redact}}}
      - {effect: deny, actions: [read], fields: [ssn, pay.bonus], when: "resource.status == 'locked'"}
      - {effect: deny, actions: [read], when: "resource.age == 9"}
"""


@pytest.mark.parametrize("by", ["restore", "restore of a deleted one", "undo"])
async def test_t11_what_was_hidden_in_the_old_state_does_not_come_back_in_sight(mongo_uri, tmp_path, by):
    """Only the status hid it, and the status stays."""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, HIDING)) as world:
        await world.post("/notes", {"_id": "a", **FIRST, "status": "locked"}, token=BOSS)
        change = {**THEN, "status": "open"}
        batch = (await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": change}, token=BOSS)).json()["batch"]
        if by == "restore of a deleted one":
            await world.ask("DELETE", "/notes/a", token=BOSS)
        path = f"/notes/batch/{batch}/undo" if by == "undo" else "/notes/a/restore/1"
        assert (await world.ask("POST", path)).status_code == 200
        shown = (await world.get("/notes/a")).json()
        assert (shown["title"], shown["status"], shown["ssn"]) == ("old", "open", "2")
        assert shown["pay"] == {"month": 1, "bonus": 2}
