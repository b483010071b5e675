"""`POST /{collection}/{id}/restore/{version}`: an old state lives again as a new version."""

import asyncio

import pytest

from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER, STRANGER, ROOT = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("vera", ["viewer"]),
    a_token("eve", ["boss"], "evil"),
    a_token("root", ["root"], None),
)


async def restore(world, number, body=None, **more):
    return await world.ask("POST", f"/notes/a/restore/{number}", body, **more)


async def change(world, fields, **more):
    answer = await world.ask("PATCH", "/notes/a", fields, **more)
    assert answer.status_code == 200, answer.text


async def content(world, one="a"):
    found = await world.database["notes"].find_one({"_id": one})
    return {name: value for name, value in found.items() if name not in ("_version", "_made")}


async def numbers(world):
    return [one["version"] for one in (await world.get("/notes/a/versions", token=ROOT)).json()]


async def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_the_old_content_is_a_new_version_whole_hidden_fields_included(world):
    await world.add("a", ssn="123456789", age=1, pay={"month": 1})
    before = await content(world)
    await change(world, {"ssn": "987654321", "age": None, "pay": {"bonus": 2}})
    answer = await restore(world, 1, headers={"x-change-reason": "better so"})
    assert (answer.status_code, answer.json()["_version"], answer.json()["ssn"]) == (200, 3, "***6789")
    assert answer.headers["etag"] == (await world.get("/notes/a")).headers["etag"]
    assert answer.json() == (await world.get("/notes/a")).json()
    assert await content(world) == before
    assert await numbers(world) == [3, 2, 1]
    told = (await world.get("/notes/a/versions")).json()[0]
    assert (told["action"], told["updated_by"], told["change_reason"]) == ("restore", "alice", "better so")


async def test_a_deleted_document_lives_again_behind_its_deletion(world):
    await world.add("a", age=1)
    await change(world, {"age": 2})
    await world.ask("DELETE", "/notes/a")
    answer = await restore(world, 1, {})
    assert (answer.status_code, answer.json()["age"], answer.json()["_version"]) == (200, 1, 4)
    assert (await world.get("/notes/deleted")).json()["data"] == []
    assert [one["action"] for one in (await world.get("/notes/a/versions")).json()] == [
        "restore",
        "delete",
        "update",
        "create",
    ]
    await world.ask("DELETE", "/notes/a")
    assert (await world.get("/notes/a/versions")).json()[0]["version"] == 5


async def test_the_live_version_again_is_no_write(world):
    await world.add("a")
    answer = await restore(world, 1)
    assert (answer.status_code, answer.json()["_version"]) == (200, 1)
    assert await numbers(world) == [1]


async def test_of_a_deleted_document_its_last_version_too(world):
    await world.add("a")
    await world.ask("DELETE", "/notes/a")
    assert await code(await restore(world, 2)) == (404, "version_not_found")
    assert (await restore(world, 1)).json()["_version"] == 3


async def test_t35_a_document_that_is_not_visible_is_absent(world):
    await world.add("a")
    await change(world, {"age": 1})
    for token in (BOB, STRANGER):
        assert await code(await restore(world, 1, token=token)) == (404, "document_not_found")
    assert await code(await world.ask("POST", "/notes/b/restore/1")) == (404, "document_not_found")


async def test_t35_an_old_state_that_is_not_visible_is_absent_and_stays_old(world):
    await world.add("a", token=BOB)
    await world.ask("PATCH", "/notes/a", {"age": 3}, token=BOB)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    assert await code(await restore(world, 1)) == (404, "version_not_found")
    assert (await content(world))["age"] == 3


async def test_restore_needs_its_right(world):
    await world.add("a", status="closed")
    answer = await restore(world, 1, token=VIEWER)
    assert (answer.status_code, answer.json()["error"]["details"]) == (
        403,
        {"action": "restore", "collection": "notes"},
    )


@pytest.fixture
async def narrow(mongo_uri, tmp_path):
    """Who reads all and restores only what is their own, open, and stays so."""
    policy = """
roles: {user: {}, writer: {}}
policies:
  notes:
    writer: {actions: [create, read, update, delete], when: "true"}
    user:
      - {actions: [read], when: "true"}
      - {actions: [restore], when: "resource.owner_id == user.id", check: "resource.status == 'open'"}
      - {effect: deny, actions: [restore], when: "resource.age == 9"}
"""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, policy)) as world:
        yield world


WRITER = a_token("alice", ["writer"])


@pytest.mark.parametrize(
    ("old", "new", "deleted", "expected"),
    [
        ({}, {"title": "m"}, False, 200),
        ({"status": "closed"}, {"status": "open"}, False, 403),
        ({"age": 9}, {"age": 1}, False, 403),
        ({"age": 1}, {"age": 9}, False, 403),
        ({}, {"title": "m"}, True, 200),
        ({"status": "closed"}, {"status": "open"}, True, 403),
        ({"age": 9}, {"age": 1}, True, 403),
        ({"age": 1}, {"age": 9}, True, 403),
    ],
)
async def test_both_states_must_be_within_the_right_to_restore(narrow, old, new, deleted, expected):
    await narrow.add("a", token=WRITER, **{"age": 2, **old})
    await change(narrow, new, token=WRITER)
    if deleted:
        await narrow.ask("DELETE", "/notes/a", token=WRITER)
    before = await narrow.database["notes"].find().to_list()
    answer = await restore(narrow, 1)
    assert answer.status_code == expected, answer.text
    if expected == 403:
        assert await narrow.database["notes"].find().to_list() == before


async def test_a_document_handed_on_is_not_taken_back(narrow):
    """Alice reads it still, and owned the old state; the row she would write over is no longer hers."""
    await narrow.add("a", token=WRITER)
    await narrow.database["notes"].update_one({"_id": "a"}, {"$set": {"age": 3, "_version": 1}})
    await change(narrow, {"title": "m"}, token=WRITER)
    await narrow.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "bob"}})
    assert await code(await restore(narrow, 1)) == (403, "forbidden")
    assert (await content(narrow))["owner_id"] == "bob"


async def test_if_match_names_the_document_as_it_is(world):
    await world.add("a", age=1)
    tag = (await world.get("/notes/a")).headers["etag"]
    await change(world, {"age": 2})
    assert await code(await restore(world, 1, headers={"if-match": tag})) == (412, "precondition_failed")
    tag = (await world.get("/notes/a")).headers["etag"]
    assert (await restore(world, 1, headers={"if-match": tag})).status_code == 200


async def test_a_key_makes_it_happen_once(world):
    await world.add("a", age=1)
    await change(world, {"age": 2})
    first = await restore(world, 1, headers={"idempotency-key": "k"})
    again = await restore(world, 1, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (200, first.json(), "true")
    assert await numbers(world) == [3, 2, 1]
    assert await code(await restore(world, 2, headers={"idempotency-key": "k"})) == (409, "conflict")


async def test_an_id_that_lives_in_another_tenant_is_a_conflict(world):
    await world.add("a")
    await world.ask("DELETE", "/notes/a")
    await world.add("a", token=STRANGER)
    assert await code(await restore(world, 1)) == (409, "conflict")
    assert (await content(world))["tenant_id"] == "evil"


async def test_a_taken_key_is_a_conflict(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "    versioning: {enabled: true}\n",
        "    versioning: {enabled: true}\n    indexes: [{fields: [tenant_id, email], unique: true, sparse: true}]\n",
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a", email="x@example.org")
        await change(world, {"email": "y@example.org"})
        await world.add("b", email="x@example.org")
        assert await code(await restore(world, 1)) == (409, "conflict")
        await world.ask("DELETE", "/notes/a")
        assert await code(await restore(world, 1)) == (409, "conflict")
        assert (await restore(world, 2)).status_code == 200


async def test_an_old_reference_that_finds_nothing_is_a_violation(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "      at: {type: date}\n", "      at: {type: date}\n      of: {type: string, ref: notes}\n"
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("b")
        await world.add("a", of="b")
        await change(world, {"of": None})
        await world.ask("DELETE", "/notes/b")
        answer = await restore(world, 1)
        assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["field"]) == (422, "of")
        await world.ask("DELETE", "/notes/a")
        assert (await restore(world, 1)).status_code == 422
        assert (await world.ask("POST", "/notes/b/restore/1")).status_code == 200
        assert (await restore(world, 1)).json()["of"] == "b"


async def test_a_state_that_breaks_todays_schema_comes_back_as_it_was(world):
    row = {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "n" * 99, "age": -1, "unknown": 1}
    await world.database["notes"].insert_one(row)
    await change(world, {"title": "m", "age": 1})
    assert (await restore(world, 0)).status_code == 200
    assert await content(world) == row


async def test_two_at_the_same_time_are_one_behind_the_other(world):
    await world.add("a", age=1)
    await change(world, {"age": 2})
    answers = await asyncio.gather(*(restore(world, 1) for _ in range(6)))
    assert {one.status_code for one in answers} == {200}
    assert await numbers(world) == [8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(("number", "body"), [("x", None), ("1", {"reason": "r"}), ("1", [1]), ("-1", {})])
async def test_a_wrong_request_is_refused(world, number, body):
    await world.add("a")
    assert (await restore(world, number, body)).status_code == 400


async def test_a_collection_without_versions_says_so(world):
    answer = await world.ask("POST", f"/plain/{'5' * 24}/restore/1", token=BOSS)
    assert await code(answer) == (501, "versioning_not_enabled")


async def test_without_audit_as_well(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG + "audit: {enabled: false}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await world.add("a", age=1)
        await change(world, {"age": 2})
        assert (await restore(world, 1)).json()["_version"] == 3
        await world.ask("DELETE", "/notes/a")
        assert (await restore(world, 1)).json()["_version"] == 5
