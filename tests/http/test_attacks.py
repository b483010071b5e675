"""Ways around a promise that were found once, kept so that they stay closed."""

from datetime import datetime
from uuid import UUID, uuid4

import pytest

from tests.auth.test_tokens import claims, forged
from tests.http.harness import CONFIG, POLICY, SCHEMA, SECRET, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
OPEN = """
  open:
    id_type: uuid
    additional_fields: keep
    versioning: {enabled: true}
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string}, status: {type: string}, key: {type: uuid}, o: {type: object}, any: {type: any}}
"""
OPEN_POLICY = """
  open:
    boss: {actions: ["*"]}
    user: {actions: [read, create], fields: {allow: [name, status, o.x]}}
    viewer: {actions: [read], when: "resource.key == user.key", fields: {deny: [o.secret]}}
"""


@pytest.fixture
async def opened(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA + OPEN, POLICY + OPEN_POLICY)) as found:
        yield found


async def test_documents_with_uuid_ids_are_deleted_and_put_back(opened):
    made = (
        await opened.post("/open/batch", {"documents": [{"name": "a", "key": str(uuid4())}] * 2}, token=BOSS)
    ).json()
    gone = await opened.delete("/open/batch", {"ids": made["created"]}, token=BOSS)
    assert (gone.status_code, gone.json()["deleted"]) == (200, 2)
    back = await opened.post(f"/open/batch/{gone.json()['batch']}/undo", {}, token=BOSS)
    assert back.json()["restored"] == 2
    asked = {"filter": {"any": {"$uuid": str(UUID(int=0))}}}
    assert (await opened.delete("/open/batch", asked, token=BOSS)).json() == {"deleted": 0, "missing": []}
    assert (await opened.get("/open", token=a_token(roles=["viewer"], key=str(UUID(int=1))))).json()["data"] == []


@pytest.mark.parametrize(
    "document",
    [
        {"title": "t", "tags": [{}] * 200_000},
        {"title": "t", "tags": [[]] * 200_000},
        {f"k{n}": 1 for n in range(150_000)},
    ],
    ids=["objects", "lists", "names"],
)
async def test_t14_t16_a_body_of_very_many_values_is_refused_before_it_is_judged(world, document):
    answer = await world.post("/notes", document)
    assert (answer.status_code, len(answer.content) < 1000) == (400, True)
    assert "more than 100000 values" in answer.text


async def test_t16_of_very_many_errors_a_hundred_are_told(world):
    answer = await world.post("/notes", {"title": "t", "tags": [5] * 5000})
    assert (answer.status_code, len(answer.json()["error"]["details"]["errors"])) == (422, 100)
    assert "5000 places" in answer.json()["error"]["message"]
    unknown = await world.post("/notes", {f"k{n}": 1 for n in range(5000)})
    assert (unknown.status_code, len(unknown.json()["error"]["details"]["fields"])) == (403, 100)


async def test_t14_a_filter_of_more_bytes_than_a_query_can_hold_is_refused(world):
    branches = [{"title": {"$in": [f"{n}-{'x' * 40}" for n in range(9_000)]}} for _ in range(10)]
    answer = await world.delete("/notes/batch", {"filter": {"$or": branches}, "dry_run": True})
    assert (answer.status_code, "at most" in answer.text) == (400, True)


async def test_a3_a_field_below_a_stored_name_that_looks_like_a_position_is_shown_by_no_other_rule(opened):
    stored = {
        "_id": uuid4(),
        "name": "n",
        "2024": {"name": "HIDDEN", "_id": "HIDDEN"},
        "_id.7": "HIDDEN",
        "o": {"7": {"x": "HIDDEN"}, "x": 1},
    }
    await opened.database["open"].insert_one(stored)
    shown = await opened.get("/open", token=a_token(roles=["user"]))
    assert shown.json()["data"] == [{"_id": str(stored["_id"]), "name": "n", "o": {"x": 1}}]
    for path in ("2024.name", "o.7.x", "o.0.x"):
        asked = await opened.get("/open", params={path: "HIDDEN"}, token=a_token(roles=["user"]))
        assert asked.status_code == 403, path


async def test_a_denied_field_is_hidden_below_such_a_name_too(opened):
    key = uuid4()
    await opened.database["open"].insert_one({"_id": uuid4(), "key": key, "o": {"7": {"secret": "HIDDEN", "y": 1}}})
    shown = await opened.get("/open", token=a_token(roles=["viewer"], key=str(key)))
    assert shown.json()["data"][0]["o"] == {"7": {"y": 1}}


async def test_t24_a_name_that_looks_like_a_position_lets_no_field_be_written(opened):
    user = a_token(roles=["user"])
    assert (await opened.post("/open", {"name": "n", "o": {"7": {"x": 1}}}, token=user)).status_code == 403
    assert (await opened.post("/open", {"name": "n", "o": {"x": 1}}, token=user)).status_code == 201


async def test_a_cross_tenant_role_widens_no_other_role_of_the_caller(mongo_uri, tmp_path):
    policy = POLICY.replace(
        "root: {cross_tenant: true}", "root: {cross_tenant: true}, support: {cross_tenant: true}"
    ).replace(
        '    root: {actions: ["*"]}\n',
        '    root: {actions: ["*"]}\n    support: {actions: [read], when: "resource.status == \'open\'", fields: {allow: [title]}}\n',
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("x", token=a_token("alice", ["user"], "other"), age=5)
        both = a_token("alice", ["user", "support"])
        assert (await world.get("/notes/x", token=both)).json() == {"_id": "x", "_version": 1, "title": "note x"}
        assert (await world.delete("/notes/batch", {"ids": ["x"]}, token=both)).json()["failed"][0]["error"][
            "code"
        ] == "forbidden"
        assert (await world.delete("/notes/batch", {"filter": {"age": 5}}, token=both)).json()["deleted"] == 0


@pytest.mark.parametrize("exp", ["99999999999", True, 10**400, 2**41])
async def test_t3_an_expiry_that_is_no_plain_number_is_refused(world, exp):
    token = forged({"alg": "HS256"}, claims(exp=exp), SECRET.encode())
    assert (await world.get("/notes", token=token)).status_code == 401


async def test_a_filter_that_names_no_field_is_an_empty_one(world):
    await world.add("a")
    for asked in ({"$and": [{}]}, {"$or": [{}, {"$and": [{}]}]}):
        assert (await world.delete("/notes/batch", {"filter": asked})).status_code == 400
    assert await world.stored("a") == ["a"]


async def test_ids_that_python_takes_for_equal_are_told_apart(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 5}\n")) as world:
        row = {"tenant_id": "acme", "owner_id": "alice", "title": "t", "status": "open"}
        await world.database["notes"].insert_many([{**row, "_id": one} for one in (-3, -2, -1, 0, 1, False, True)])
        assert (await world.delete("/notes/batch", {"filter": {"status": "open"}})).json()["deleted"] == 7


async def test_a_mark_that_another_writer_left_half_breaks_no_history(world):
    row = {
        "_id": "a",
        "tenant_id": "acme",
        "owner_id": "alice",
        "title": "t",
        "status": "open",
        "_made": {"at": datetime(2026, 1, 1)},
    }
    await world.database["notes"].insert_one(row)
    assert (await world.get("/notes/a/versions")).json() == [
        {"version": 0, "action": "create", "updated_by": None, "updated_at": "2026-01-01T00:00:00Z"}
    ]
