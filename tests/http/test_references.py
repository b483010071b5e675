"""`ref`: a document may point only at documents that its writer can read; absent and invisible ones are told alike."""

import pytest

from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  users:
    client_ids: true
    fields: {tenant_id: {type: string}, name: {type: string}, open: {type: boolean}}
  secrets:
    client_ids: true
    fields: {tenant_id: {type: string}}
  tasks:
    client_ids: true
    fields:
      tenant_id: {type: string}
      title: {type: string}
      owner: {type: string, ref: users}
      helpers: {type: array, items: {type: string, ref: users}}
      lines: {type: array, items: {type: object, properties: {by: {type: string, ref: users}}}}
      parent: {type: string, ref: tasks}
      secret: {type: string, ref: secrets}
      known: {type: string, ref: {collection: secrets, existence: tenant}}
"""
POLICY = """
roles: {user: {}, boss: {}, root: {cross_tenant: true}}
policies:
  users:
    user: {actions: [read], when: "resource.open == true"}
    boss: {actions: ["*"]}
    root: {actions: ["*"]}
  secrets: {boss: {actions: ["*"]}, root: {actions: ["*"]}}
  tasks: {user: {actions: ["*"]}, boss: {actions: ["*"]}, root: {actions: ["*"]}}
"""
BOSS, EVE, ROOT = a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil"), a_token("root", ["root"], None)


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        await filled(found)
        yield found


async def filled(world):
    people = [{"_id": "ann", "open": True}, {"_id": "ben", "open": True}, {"_id": "shy", "open": False}]
    assert (await world.post("/users/batch", {"documents": people}, token=BOSS)).status_code == 201
    await world.post("/users", {"_id": "evan", "open": True}, token=EVE)
    await world.post("/secrets", {"_id": "s1"}, token=BOSS)
    await world.post("/secrets", {"_id": "s2"}, token=EVE)


def errors(answer):
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "schema_validation")
    return [(one["field"], one["code"], one["message"]) for one in error["details"]["errors"]]


async def inserted(world):
    return (await world.database.client.admin.command("serverStatus"))["opcounters"]["insert"]


async def count(world):
    return await world.database["tasks"].count_documents({})


async def test_a_reference_to_a_readable_document_is_stored_at_any_depth(world):
    body = {"owner": "ann", "helpers": ["ann", "ben", None], "lines": [{"by": "ben"}, {}], "parent": None}
    answer = await world.post("/tasks", body)
    assert (answer.status_code, answer.json()["helpers"]) == (201, ["ann", "ben", None])


@pytest.mark.parametrize("target", ["nobody", "shy", "evan"])
async def test_t25_absent_invisible_and_foreign_targets_are_told_alike(world, target):
    message = "there is no such document in users"
    answer = await world.post("/tasks", {"owner": target})
    assert errors(answer) == [("owner", "ref", message)]
    body = {"helpers": ["ann", target], "lines": [{}, {"by": target}]}
    assert errors(await world.post("/tasks", body)) == [("helpers.1", "ref", message), ("lines.1.by", "ref", message)]
    assert await count(world) == 0


async def test_t25_without_a_right_to_read_the_collection_nothing_is_found_there(world):
    message = "there is no such document in secrets"
    for target in ("s1", "s2", "nothing"):
        assert errors(await world.post("/tasks", {"secret": target})) == [("secret", "ref", message)]


async def test_t25_existence_in_the_tenant_reaches_no_other_tenant(world):
    assert (await world.post("/tasks", {"known": "s1"})).status_code == 201
    answers = [await world.post("/tasks", {"known": target}) for target in ("s2", "nothing")]
    assert len({one.text for one in answers}) == 1
    assert errors(answers[0]) == [("known", "ref", "there is no such document in secrets")]


async def test_t25_a_cross_tenant_caller_points_only_within_the_documents_own_tenant(world):
    assert (await world.post("/tasks", {"tenant_id": "evil", "owner": "evan", "known": "s2"}, token=ROOT)).is_success
    for body in ({"owner": "ann"}, {"known": "s1"}):
        assert (await world.post("/tasks", {"tenant_id": "evil", **body}, token=ROOT)).status_code == 422


@pytest.mark.parametrize(
    "value", [{"$ne": None}, {"$gt": ""}, ["ann"], {"$oid": "5" * 24}, 5, True, {"ann": 1}], ids=str
)
async def test_t22_an_operator_or_another_type_is_no_reference(world, value):
    for body in ({"owner": value}, {"helpers": [value]}, {"lines": [{"by": value}]}):
        assert (await world.post("/tasks", body)).status_code == 422
    assert await count(world) == 0


async def test_t14_many_and_long_references_are_answered(world):
    many = await world.post("/tasks", {"helpers": [f"u{n}" for n in range(2500)]})
    assert (many.status_code, len(many.json()["error"]["details"]["errors"])) == (422, 100)
    assert "2500 places" in many.json()["error"]["message"]
    long = await world.post("/tasks", {"helpers": ["x" * 2_000_000 + str(n) for n in range(7)]})
    assert long.status_code == 422


async def test_a_batch_tells_the_failing_items_by_index_and_stores_the_rest(world):
    documents = [{"owner": "ann"}, {"owner": "shy"}, {"title": "x"}, {"owner": "nobody"}, {"owner": "ben"}]
    answer = await world.post("/tasks/batch", {"documents": documents})
    assert answer.status_code == 207
    failed = answer.json()["failed"]
    assert [one["index"] for one in failed] == [1, 3]
    assert {one["error"]["code"] for one in failed} == {"schema_validation"}
    assert failed[0]["error"]["details"]["errors"][0]["field"] == "owner"
    assert (len(answer.json()["created"]), await count(world)) == (3, 3)


async def test_an_atomic_batch_with_one_failing_reference_stores_nothing(world):
    documents = [{"owner": "ann"}, {"owner": "shy"}]
    answer = await world.post("/tasks/batch", {"documents": documents, "atomic": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "schema_validation")
    assert [one["index"] for one in answer.json()["error"]["details"]["failed"]] == [1]
    assert await count(world) == 0


async def test_documents_of_one_batch_may_refer_to_each_other_and_fall_together(world):
    tree = [{"_id": "leaf", "parent": "root"}, {"_id": "root"}, {"_id": "self", "parent": "self"}]
    assert (await world.post("/tasks/batch", {"documents": tree})).status_code == 201
    broken = [{"_id": f"t{n}", "parent": f"t{n + 1}"} for n in range(30)] + [{"_id": "fine"}]
    before = await inserted(world)
    answer = await world.post("/tasks/batch", {"documents": broken})
    assert await inserted(world) - before < 60  # not once more for each that falls
    assert (answer.status_code, answer.json()["created"]) == (207, ["fine"])
    assert [one["index"] for one in answer.json()["failed"]] == list(range(30))


async def test_a_taken_id_and_a_failing_reference_are_told_of_one_batch(world):
    await world.post("/tasks", {"_id": "a"})
    documents = [{"_id": "a", "owner": "ann"}, {"_id": "b", "owner": "shy"}, {"_id": "c", "owner": "ann"}]
    answer = (await world.post("/tasks/batch", {"documents": documents, "results": True})).json()
    assert [one["status"] for one in answer["results"]] == ["conflict", "schema_validation", "created"]


async def test_a_dry_run_checks_references_too(world):
    answer = await world.post("/tasks/batch", {"documents": [{"owner": "shy"}], "dry_run": True})
    assert (answer.status_code, answer.json()["failed"][0]["index"]) == (207, 0)


async def test_references_are_checked_where_nothing_is_audited(mongo_uri, tmp_path):
    config = "auth: {secret: '0123456789abcdef0123456789abcdef'}\naudit: {enabled: false}\n"
    async with a_kept_world(mongo_uri, a_config(tmp_path, config, SCHEMA, POLICY)) as world:
        assert (await world.post("/tasks", {"owner": "nobody"})).status_code == 422
        await world.post("/users", {"_id": "ann", "open": True}, token=BOSS)
        assert (await world.post("/tasks", {"owner": "ann"})).status_code == 201


async def test_t25_of_a_batch_update_each_document_that_refers_to_nothing_readable_is_refused(world):
    """Absent, another tenant's and unreadable targets are told as a PATCH tells them, and the others are changed."""
    ids = ["t1", "t2", "t3", "t4", "t5"]
    assert (await world.post("/tasks/batch", {"documents": [{"_id": one} for one in ids]})).status_code == 201
    owners = dict(zip(ids, ("ann", "nobody", "evan", "shy", "ben"), strict=True))
    updates = [{"id": one, "update": {"owner": owner}} for one, owner in owners.items()]
    answer = await world.ask("PUT", "/tasks/batch", {"updates": updates, "results": True})
    told = [(one["id"], one["status"]) for one in answer.json()["results"]]
    refused = [(one, "schema_validation") for one in ("t2", "t3", "t4")]
    assert told == [("t1", "updated"), *refused, ("t5", "updated")]
    single = await world.ask("PATCH", "/tasks/t2", {"owner": "nobody"})
    assert {str(one["error"]) for one in answer.json()["failed"]} == {str(single.json()["error"])}
    stored = {row["_id"]: row.get("owner") async for row in world.database["tasks"].find()}
    assert stored == {"t1": "ann", "t2": None, "t3": None, "t4": None, "t5": "ben"}
