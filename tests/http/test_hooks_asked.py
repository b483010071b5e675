"""`http` hooks before a write: a receiver refuses or sets, and the write is that of the document it was asked of."""

import asyncio
import json

import pytest

from tests.http import people
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world
from tests.receivers import SECRET, a_receiver

pytestmark = pytest.mark.mongo
ALLOWED = CONFIG + "hooks: {allow_addresses: [127.0.0.1]}\n"
BOSS = a_token("boss", ["boss"])


def said(**answer):
    body = json.dumps(answer).encode()
    return lambda heard: (200, body)


def hooks_to(url, more=""):
    hook = f"{{action: http, url: '{url}', secret: '{SECRET}', timeout: 2s, fields: [title, age]{more}}}"
    return f"hooks: {{notes: {{pre_create: [{hook}], pre_update: [{hook}], pre_delete: [{hook}]}}}}"


def an_asking_world(mongo_uri, folder, receiver, more="", config=ALLOWED):
    return a_world(mongo_uri, a_config(folder, config, SCHEMA, POLICY, hooks_to(receiver.url, more)))


@pytest.fixture
async def receiver():
    async with a_receiver(answer=said(allow=True)) as found:
        yield found


@pytest.fixture
async def world(mongo_uri, tmp_path, receiver):
    async with an_asking_world(mongo_uri, tmp_path, receiver) as found:
        yield found


async def stored(world, one):
    return await world.database["notes"].find_one({"_id": one})


def code(answer):
    return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]


async def test_a_receiver_is_asked_once_of_each_document_signed(world, receiver):
    await world.post("/notes", {"_id": "a", "title": "x", "ssn": "123456789"})
    await world.ask("PATCH", "/notes/a", {"age": 1})
    await world.ask("DELETE", "/notes/a")
    assert [one["type"] for one in receiver.told] == ["document.creating", "document.updating", "document.deleting"]
    assert all(one.is_signed() for one in receiver.heard)
    assert receiver.told[1]["before"] == {"title": "x"}
    assert receiver.told[1]["values"] == {"title": "x", "age": 1}
    assert not any(b"123456789" in one.body for one in receiver.heard)


@pytest.mark.parametrize("route", ["create", "update", "delete", "restore", "purge"])
async def test_what_it_refuses_is_not_done(world, receiver, route):
    await world.add("a")
    await world.ask("PATCH", "/notes/a", {"age": 1})
    before = await stored(world, "a")
    receiver.answer = said(allow=False, message="not today")
    method, path, body, token = {
        "create": ("POST", "/notes", {"title": "x"}, None),
        "update": ("PATCH", "/notes/a", {"age": 2}, None),
        "delete": ("DELETE", "/notes/a", None, None),
        "restore": ("POST", "/notes/a/restore/1", None, None),
        "purge": ("POST", "/notes/a/purge", {"reason": "x"}, BOSS),
    }[route]
    assert code(await world.ask(method, path, body, token=token)) == (422, "hook_rejected", "not today")
    assert await stored(world, "a") == before
    assert await world.database["notes"].count_documents({}) == 1


@pytest.mark.parametrize("route", ["create", "ids", "filter", "delete"])
async def test_a_batch_is_asked_item_by_item(world, receiver, route):
    await world.add("a", age=1)
    await world.add("b", age=2)

    def answer(heard):
        values = {**heard.said["values"], **heard.said.get("before", {})}
        return said(allow=values["age"] != 2, message="no twos")(heard)

    receiver.answer = answer
    update = {"$set": {"title": "new"}}
    method, body = {
        "create": ("POST", {"documents": [{"title": "x", "age": 2}, {"title": "y", "age": 3}]}),
        "ids": ("PUT", {"ids": ["a", "b"], "update": update}),
        "filter": ("PUT", {"filter": {"status": "open"}, "update": update}),
        "delete": ("DELETE", {"filter": {"status": "open"}}),
    }[route]
    audited = await world.database["_pm_audit"].count_documents({})
    found = await world.ask(method, "/notes/batch", body)
    assert found.status_code == 207, found.text
    assert [one["error"]["message"] for one in found.json()["failed"]] == ["no twos"]
    assert await world.database["_pm_audit"].count_documents({}) == audited + 1
    whole = await world.ask(method, "/notes/batch", {**body, "atomic": True} if route == "create" else body)
    assert whole.status_code in (422, 207)


async def test_an_undo_asks_as_well(world, receiver):
    await world.add("a", "b")
    gone = await world.delete("/notes/batch", {"ids": ["a", "b"]})
    receiver.answer = lambda heard: said(allow=heard.said["document"] != "a")(heard)
    answer = await world.post(f"/notes/batch/{gone.json()['batch']}/undo", {})
    assert answer.json()["restored"] == 1, answer.text
    assert await world.stored("a", "b") == ["b"]


async def test_what_it_sets_is_typed_validated_and_not_judged_by_fields(world, receiver):
    receiver.answer = said(allow=True, set={"age": 7, "pay.month": 2})
    clerk = a_token("clara", ["clerk"])
    assert (await world.post("/notes", {"_id": "a", "title": "x"}, token=clerk)).status_code == 201
    row = await stored(world, "a")
    assert (row["age"], row["pay"]) == (7, {"month": 2})
    receiver.answer = said(allow=True, set={"age": -1})
    assert code(await world.post("/notes", {"title": "x"}))[:2] == (422, "schema_validation")
    receiver.answer = said(allow=True, set={"at": "2026-01-01T00:00:00Z"})
    assert (await world.post("/notes", {"_id": "b", "title": "x"})).json()["at"] == "2026-01-01T00:00:00Z"
    assert (await world.ask("PATCH", "/notes/b", {"age": 3})).status_code == 200


@pytest.mark.parametrize(
    "name", ["tenant_id", "owner_id", "_id", "_version", "_made", "created_at", "nothing", "$x", "a.0"]
)
async def test_what_is_out_of_its_reach_counts_as_no_answer(world, receiver, name):
    receiver.answer = said(allow=True, set={name: "x"})
    answer = await world.post("/notes", {"title": "x"})
    assert code(answer)[:2] == (422, "hook_rejected")
    assert "gave no answer" in code(answer)[2]


@pytest.mark.parametrize(
    "body", [b"", b"yes", b"[]", b'{"allow": 1}', b'{"allow": true, "more": 1}', b"{" * 999, b"x" * 99999]
)
async def test_no_answer_refuses_unless_it_is_to_be_ignored(mongo_uri, tmp_path, body):
    async with a_receiver(answer=lambda heard: (200, body)) as receiver:
        async with an_asking_world(mongo_uri, tmp_path, receiver) as world:
            assert code(await world.post("/notes", {"title": "x"}))[:2] == (422, "hook_rejected")
        async with an_asking_world(mongo_uri, tmp_path, receiver, ", on_failure: ignore") as world:
            assert (await world.post("/notes", {"title": "x"})).status_code == 201


async def test_a_document_that_changed_meanwhile_is_a_conflict(world, receiver):
    """The receiver itself changes the row before it says yes: its yes was for another one."""
    await world.add("a")
    receiver.pause = 0.3
    asking = asyncio.create_task(world.ask("PATCH", "/notes/a", {"age": 1}))
    await asyncio.sleep(0.15)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"title": "meanwhile"}})
    assert code(await asking)[:2] == (409, "conflict")
    assert "age" not in await stored(world, "a")
    asking = asyncio.create_task(world.delete("/notes/batch", {"ids": ["a"]}))
    await asyncio.sleep(0.15)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"title": "again"}})
    assert (await asking).json()["failed"][0]["error"]["code"] == "conflict"
    assert await world.stored("a") == ["a"]


async def test_a_dry_run_asks_nobody(world, receiver):
    await world.post("/notes/batch", {"documents": [{"title": "x"}], "dry_run": True})
    await world.delete("/notes/batch", {"filter": {"status": "open"}, "dry_run": True})
    assert receiver.heard == []


async def test_nobody_is_asked_of_what_the_caller_may_not_do(world, receiver):
    await world.add("a", status="closed")
    receiver.heard.clear()
    await world.ask("PATCH", "/notes/a", {"age": 1}, token=a_token("bob"))
    await world.ask("DELETE", "/notes/a", token=a_token("vera", ["viewer"]))
    await world.delete("/notes/batch", {"ids": ["a"]}, token=a_token("bob"))
    await world.post("/notes", {"title": "x", "nothing": 1})
    await world.post("/notes", {"title": "x"}, token=a_token("vera", ["viewer"]))
    assert receiver.heard == []


async def test_more_documents_than_may_be_asked_of_are_refused_before_any_call(world, receiver):
    answer = await world.post("/notes/batch", {"documents": [{"title": "x"}] * 101})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert receiver.heard == []


async def test_an_address_that_is_not_listed_refuses_the_write(mongo_uri, tmp_path, receiver):
    async with an_asking_world(mongo_uri, tmp_path, receiver, config=CONFIG) as world:
        assert code(await world.post("/notes", {"title": "x"}))[:2] == (422, "hook_rejected")
    assert receiver.heard == []


async def test_a_key_makes_it_happen_once(world, receiver):
    headers = {"idempotency-key": "k1"}
    first = await world.post("/notes", {"_id": "a", "title": "x"}, headers=headers)
    again = await world.post("/notes", {"_id": "a", "title": "x"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    changed = [await world.ask("PATCH", "/notes/a", {"age": 1}, headers={"idempotency-key": "k2"}) for _ in range(2)]
    assert [one.json()["_version"] for one in changed] == [2, 2]


async def test_an_answer_given_under_a_key_is_told_without_asking_again(world, receiver):
    """The receiver says no by then, and what was done is done."""
    await world.add("z")
    headers = {"idempotency-key": "k1"}
    many = {"ids": ["z"], "update": {"$set": {"age": 1}}}
    first = await world.post("/notes", {"_id": "a", "title": "x"}, headers=headers)
    done = await world.ask("PUT", "/notes/batch", many, headers={"idempotency-key": "k2"})
    asked = len(receiver.heard)
    receiver.answer = said(allow=False)
    again = await world.post("/notes", {"_id": "a", "title": "x"}, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    repeated = await world.ask("PUT", "/notes/batch", many, headers={"idempotency-key": "k2"})
    assert (repeated.status_code, repeated.json()) == (200, done.json())
    other = await world.post("/notes", {"_id": "b", "title": "x"}, headers=headers)
    assert code(other)[:2] == (409, "conflict")
    assert len(receiver.heard) == asked


async def test_nobody_is_asked_of_a_document_that_no_rule_allows(mongo_uri, tmp_path, receiver):
    receiver.answer = said(allow=False, message="a verdict")
    policy = POLICY.replace(
        'root: {actions: ["*"]}', 'root: {actions: ["*"], check: "resource.status != \'locked\'"}', 1
    )
    clerk, root = a_token("clara", ["clerk"]), a_token("rhea", ["root"])
    async with a_world(mongo_uri, a_config(tmp_path, ALLOWED, SCHEMA, policy, hooks_to(receiver.url))) as world:
        await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "title": "x", "status": "open"})
        made = await world.post("/notes", {"title": "x", "status": "locked"}, token=clerk)
        changed = await world.ask("PATCH", "/notes/a", {"status": "locked"}, token=root)
        many = {"ids": ["a"], "update": {"$set": {"status": "locked"}}}
        [failed] = (await world.ask("PUT", "/notes/batch", many, token=root)).json()["failed"]
        assert [code(made)[:2], code(changed)[:2]] == [(403, "forbidden")] * 2
        assert failed["error"]["code"] == "forbidden"
        assert receiver.heard == []
        assert code(await world.ask("PATCH", "/notes/a", {"age": 1}, token=root))[2] == "a verdict"


@pytest.mark.parametrize("value", [{"$where": 1}, {"a.b": 1}, {"": 1}, {"deep": [{"$x": 1}]}])
async def test_names_that_no_caller_may_store_are_not_stored_for_a_receiver(mongo_uri, tmp_path, receiver, value):
    receiver.answer = said(allow=True, set={"meta": value})
    schema = SCHEMA.replace("      ssn: {type: string}\n", "      ssn: {type: string}\n      meta: {type: object}\n")
    async with a_world(mongo_uri, a_config(tmp_path, ALLOWED, schema, POLICY, hooks_to(receiver.url))) as world:
        answer = await world.post("/notes", {"title": "x"})
        assert code(answer)[:2] == (422, "schema_validation")
        receiver.answer = said(allow=True, set={"meta.": 1})
        assert "gave no answer" in code(await world.post("/notes", {"title": "x"}))[2]
        receiver.answer = said(allow=True, set={"meta.a": {"b": [{"c": 1}]}})
        assert (await world.post("/notes", {"title": "x"})).status_code == 201


async def test_no_receiver_says_who_is_above_whom(mongo_uri, tmp_path, receiver):
    receiver.answer = said(allow=True, set={"manager_id": "ada"})
    hooks = hooks_to(receiver.url).replace("notes:", "users:").replace("title, age", "name")
    async with a_world(mongo_uri, a_config(tmp_path, ALLOWED, people.SCHEMA, people.POLICY, hooks)) as world:
        await world.database["users"].insert_one({"_id": "ada", "tenant_id": "acme"})
        answer = await world.post("/users", {"_id": "bob"}, token=people.CLERK)
        assert "gave no answer" in code(answer)[2]
