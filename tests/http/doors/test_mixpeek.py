"""The door for callers of the Mixpeek API: its routes, and that each is refused what our own routes refuse."""

import pytest

from tests.http.doors.mixpeek import AT, BATCH, DOOR, ask, delete, refused
from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS, VIEWER, CLERK = a_token("boss", ["boss"]), a_token("vera", ["viewer"]), a_token("carl", ["clerk"])
BOB, STRANGER, NOBODY = a_token("bob"), a_token("alice", ["boss"], "evil"), a_token("nina", ["none"])
UNKNOWN = "unknown or not permitted field"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, required: true, max_length: 50}
      status: {type: string, enum: [open, closed, locked], default: open}
      age: {type: integer, min: 0}
      kind: {type: string, immutable: true}
      ssn: {type: string}
      tags: {type: array, items: {type: string}}
      at: {type: date}
      metadata: {type: object}
      near: {type: vector, dimensions: 2}
  plain:
    id_type: objectId
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string, required: true}}
  versions:
    client_ids: true
    access: {owner_field: null}
    fields: {tenant_id: {type: string}, name: {type: string}}
"""
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [create], when: "resource.status == 'open'", fields: {allow: [title, status]}}
  plain:
    boss: {actions: ["*"]}
  versions:
    user: {actions: ["*"]}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


async def undone(world, answer, token=None) -> dict:
    found = await world.post(f"/notes/batch/{answer.headers['x-batch']}/undo", {}, token=token)
    assert found.status_code == 200, found.text
    told: dict = found.json()
    return told


# -- batch deletion


async def test_documents_are_deleted_by_ids(world):
    await world.add("a", "b", "c")
    answer = await delete(world, document_ids=["a", "zz", "b", "a"], reason="a slip")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "deleted_count": 2,
            "failed_count": 1,
            "results": [
                {"document_id": "a", "success": True},
                {"document_id": "zz", "success": False, "error": "no such document in notes"},
                {"document_id": "b", "success": True},
            ],
            "message": "2 deleted, 1 could not be: no such document in notes",
        },
    )
    assert await world.stored("a", "b", "c") == ["c"]
    kept = await world.database["_pm_versions"].find_one()
    assert (kept["ended"]["action"], kept["ended"]["reason"]) == ("delete", "a slip")
    assert (await undone(world, answer))["restored"] == 2
    assert await world.stored("a", "b", "c") == ["a", "b", "c"]


async def test_documents_are_deleted_by_filter(world):
    await world.add("a", "b", age=1)
    await world.add("c", age=5)
    answer = await delete(world, filters={"AND": [{"field": "age", "operator": "lt", "value": 3}]})
    assert (answer.status_code, answer.json()) == (
        200,
        {"deleted_count": 2, "failed_count": 0, "results": [], "message": "2 deleted"},
    )
    assert await world.stored("a", "b", "c") == ["c"]
    assert (await undone(world, answer))["restored"] == 2
    again = await delete(world, filters={"age": 99})
    assert (again.json()["deleted_count"], "x-batch" in again.headers) == (0, False)


async def test_what_another_owns_is_told_like_what_is_not_there(world):
    await world.add("a")
    await world.add("b", token=BOB)
    answer = await delete(world, document_ids=["b", "x"])
    first, second = answer.json()["results"]
    assert {**first, "document_id": ""} == {**second, "document_id": ""}
    assert (await delete(world, filters={"title": "note b"})).json()["deleted_count"] == 0
    assert await world.stored("a", "b") == ["a", "b"]


async def test_what_a_rule_keeps_is_a_failure_with_the_reason_of_our_own_route(world):
    await world.add("a", "b")
    await world.ask("PATCH", "/notes/b", {"status": "locked"})
    ours = (await world.delete("/notes/batch", {"ids": ["b"]})).json()
    answer = await delete(world, document_ids=["a", "b"])
    [failed] = [one for one in answer.json()["results"] if not one["success"]]
    assert (answer.status_code, answer.json()["deleted_count"], answer.json()["failed_count"]) == (200, 1, 1)
    told = ours["failed"][0]["error"]["message"] if ours.get("failed") else "no such document in notes"
    assert failed == {"document_id": "b", "success": False, "error": told}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "expected exactly one of 'document_ids' and 'filters'"),
        ({"document_ids": ["a"], "filters": {"age": 1}}, "expected exactly one of 'document_ids' and 'filters'"),
        ({"document_ids": []}, "document_ids: expected at least one"),
        ({"document_ids": ["a"] * 1001}, "document_ids: at most 1000 in one batch"),
        ({"document_ids": "a"}, "document_ids: expected a list"),
        ({"document_ids": [5]}, "document_ids[0]: expected a text"),
        ({"document_ids": [""]}, "document_ids[0]: expected an id of 1 to 1024 characters"),
        ({"document_ids": ["a"], "all": True}, "all: goes with 'filters'"),
        ({"document_ids": ["a"], "dry_run": True}, "unknown key 'dry_run'; known here: document_ids, filters, all, reason"),
        ({"filters": {}}, 'filters: an empty filter matches everything; say so with "all": true'),
        ({"filters": {"case_sensitive": False}}, 'filters: an empty filter matches everything; say so with "all": true'),
        ({"filters": {"AND": [None]}}, 'filters.AND[0]: expected an object such as {"AND": [{"field": "status", "value": "open"}]}'),
        ({"filters": {"OR": [{"age": 1}, {"case_sensitive": False}]}}, "filters.OR[1]: names no condition"),
        ({"filters": None}, 'filters: expected an object such as {"AND": [{"field": "status", "value": "open"}]}'),
        ({"document_ids": ["a"], "reason": ""}, "reason: expected a text of 1 to 1000 characters"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_deletes_nothing(world, body, told):
    await world.add("a", age=1)
    assert refused(await delete(world, **body)) == (400, "BadRequestError", told)
    assert await world.stored("a") == ["a"]


# -- batch updates


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_documents_are_updated_each_by_itself(world, method):
    await world.add("a", "b", age=1)
    updates = [
        {"document_id": "a", "update_data": {"age": 2, "metadata.stage": "done", "collection_id": "notes"}},
        {"document_id": "b", "update_data": {"age": 1, "document_id": "b"}},
        {"document_id": "zz", "update_data": {"age": 2}},
        {"document_id": "c", "update_data": {"nothing": 2}},
    ]
    await world.add("c")
    answer = await ask(world, method, BATCH, {"updates": updates})
    told = answer.json()
    assert (answer.status_code, told["updated_count"], told["failed_count"]) == (200, 2, 2)
    assert told["results"][:3] == [
        {"document_id": "a", "success": True},
        {"document_id": "b", "success": True},
        {"document_id": "zz", "success": False, "error": "no such document in notes"},
    ]
    assert told["results"][3] == {"document_id": "c", "success": False, "error": UNKNOWN}
    shown = (await world.get("/notes/a")).json()
    assert (shown["age"], shown["metadata"]) == (2, {"stage": "done"})
    assert (await undone(world, answer))["restored"] == 1
    assert (await world.get("/notes/a")).json()["age"] == 1


async def test_documents_are_updated_alike_by_filter(world):
    await world.add("a", "b", age=1)
    await world.add("c", age=9)
    answer = await ask(world, "POST", BATCH, {"filters": {"age": 1}, "update_data": {"age": 2}})
    assert answer.json() == {"updated_count": 2, "failed_count": 0, "results": [], "message": "2 updated"}
    assert (await undone(world, answer))["restored"] == 2
    bulk = await ask(world, "PATCH", f"{AT}/bulk", {"filters": {"age": 1}, "update_data": {"age": 3}})
    assert (bulk.status_code, bulk.json()["updated_count"], bulk.json()["message"]) == (200, 2, "2 updated")
    every = await ask(world, "PATCH", f"{AT}/bulk", {"all": True, "update_data": {"title": "same"}})
    assert every.json()["updated_count"] == 3
    assert (await undone(world, every))["restored"] == 3


@pytest.mark.parametrize("fixed", [{"near": [3, 4]}, {"kind": "other"}])
async def test_vectors_and_what_is_immutable_are_not_updated(world, fixed):
    await world.add("a", near=[1, 2], kind="first")
    told = set()
    batch = (await ask(world, "POST", BATCH, {"updates": [{"document_id": "a", "update_data": fixed}]})).json()
    assert (batch["updated_count"], batch["failed_count"]) == (0, 1)
    told.add(batch["results"][0]["error"])
    for method, path, body in (
        ("POST", BATCH, {"filters": {"title": "note a"}, "update_data": fixed}),
        ("PATCH", f"{AT}/bulk", {"all": True, "update_data": fixed}),
    ):
        answer = await ask(world, method, path, body)
        assert (answer.status_code, answer.json()["updated_count"], answer.json()["failed_count"]) == (200, 0, 1)
        told.add(answer.json()["message"].partition("could not be: ")[2])
    for method in ("PATCH", "PUT"):
        answer = await ask(world, method, f"{AT}/a", fixed)
        assert refused(answer)[:2] == (422, "ValidationError")
        assert answer.json()["error"]["details"]["validation_errors"][0]["code"] == "immutable"
        [name] = fixed
        told.add(f"{refused(answer)[2]}: {name}: can't be changed once it is set")
    assert len(told) == 1
    shown = (await world.get("/notes/a")).json()
    assert (shown["near"], shown["kind"]) == ([1.0, 2.0], "first")


async def test_a_vector_that_is_hidden_is_told_like_a_field_that_there_is_not(world):
    await world.add("a", status="closed", near=[1, 2])
    for field in ("near", "nothing"):
        answer = await ask(world, "POST", BATCH, {"filters": {field: 1}, "update_data": {"age": 1}}, token=VIEWER)
        assert answer.status_code == 403
        listed = await ask(world, "POST", f"{AT}/list", {"filters": {field: {"x": 1}}}, token=VIEWER)
        assert refused(listed)[0] == 400
        listed = await ask(world, "POST", f"{AT}/list", {"filters": {field: 1}}, token=VIEWER)
        assert refused(listed) == (403, "ForbiddenError", UNKNOWN)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "expected exactly one of 'updates' and 'filters'"),
        ({"updates": [], "filters": {}}, "expected exactly one of 'updates' and 'filters'"),
        ({"updates": []}, "updates: expected at least one"),
        ({"updates": [{"document_id": "a"}]}, "updates[0]: expected an object with 'document_id' and 'update_data', and nothing else"),
        ({"updates": [{"document_id": "a", "update_data": {}}]}, 'updates[0]: expected fields to set, such as {"status": "done"}'),
        ({"updates": [{"document_id": "a", "update_data": {"$inc": {"age": 1}}}]}, "'$inc': operators are not taken here; send the fields to set"),
        ({"updates": [{"document_id": "a", "update_data": {"age": 1}}] * 2}, "updates[1].document_id: names a document for the second time"),
        ({"updates": [{"document_id": "a", "update_data": {"collection_id": "plain"}}]}, "collection_id: is not the collection of the path"),
        ({"updates": [{"document_id": "a", "update_data": {"age": 1}}], "update_data": {}}, "update_data: goes with 'filters'"),
        ({"filters": {"age": 1}}, 'update_data: expected fields to set, such as {"status": "done"}'),
        ({"filters": {}, "update_data": {"age": 1}}, 'filters: an empty filter matches everything; say so with "all": true'),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_updates_nothing(world, body, told):
    await world.add("a", age=1)
    assert refused(await ask(world, "POST", BATCH, body)) == (400, "BadRequestError", told)
    assert (await world.get("/notes/a")).json()["_version"] == 1


async def test_an_update_of_all_says_so(world):
    await world.add("a", age=1)
    answer = await ask(world, "PATCH", f"{AT}/bulk", {"update_data": {"age": 2}})
    assert refused(answer)[2] == 'filters: is missing; "all": true says that every document is meant'
    answer = await ask(world, "PATCH", f"{AT}/bulk", {"update_data": {"age": 2}, "filters": {}})
    assert refused(answer)[2] == 'filters: an empty filter matches everything; say so with "all": true'
    answer = await ask(world, "PATCH", f"{AT}/bulk", {"update_data": {"document_id": "b"}, "all": True})
    assert (refused(answer)[0], (await world.get("/notes/a")).json()["age"]) == (422, 1)
