"""The hierarchy found anew: for writers beside the gateway, at the first start, by command; and how old it may be."""

import asyncio
from dataclasses import replace

import pytest
from bson.objectid import ObjectId
from pymongo import MongoClient

from permission_mongo.cli.main import main
from tests.http.harness import CONFIG, a_config, a_token, a_world
from tests.http.people import CLERK, HR, POLICY, ROOT, SCHEMA, by_documents, by_rows, hire, lead, move, require_true

OTHER = a_token("hera", ["hr"], "umbrella")


@pytest.fixture
async def world(tmp_path, mongo_uri):
    async with a_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as one:
        yield one


def people(tenant: str, **managers: str | None) -> list[dict]:
    return [{"_id": one, "tenant_id": tenant, "manager_id": manager} for one, manager in managers.items()]


async def counted(world, body=None, token=HR, path="/_pm/hierarchy/sync") -> tuple[int, int, int, int]:
    answer = await world.post(path, body or {}, token=token)
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    return told["people"], told["changed"], told["in_loops"], told["too_deep"]


async def seen(world, token: str) -> list[str]:
    return [row["_id"] for row in (await world.get("/files?_limit=100", token=token)).json()["data"]]


# -- by request


async def test_what_was_written_beside_is_found_and_only_in_the_callers_tenant(world):
    await world.database["users"].insert_many(people("acme", ada=None, bob="ada", cem="bob"))
    await world.database["users"].insert_many(people("umbrella", zoe=None, yan="zoe"))
    assert await by_rows(world.database) == {}
    assert await counted(world, path="/api/hierarchy/sync") == (3, 3, 0, 0)
    assert {tenant for tenant, _ in await by_rows(world.database)} == {"acme"}
    assert await counted(world) == (3, 0, 0, 0)
    assert await counted(world, {"tenant_id": "umbrella", "user_collection": "users"}, ROOT) == (2, 2, 0, 0)
    await require_true(world)
    await world.database["users"].delete_one({"_id": "bob"})
    await world.database["users"].update_one({"_id": "ada"}, {"$set": {"tenant_id": "umbrella"}})
    assert await counted(world) == (1, 3, 0, 0)
    assert await counted(world, token=OTHER) == (3, 1, 0, 0)
    await require_true(world)


async def test_people_in_a_loop_have_nobody_above_and_are_told_by_number(world):
    await world.database["users"].insert_many(people("acme", ada="cem", bob="ada", cem="bob", dan="ada", eve="eve"))
    answer = await world.post("/_pm/hierarchy/sync", {}, token=HR)
    assert answer.json() == {"data": {"people": 5, "changed": 5, "in_loops": 4, "too_deep": 0}}
    assert (await by_rows(world.database))["acme", "dan"] == ["ada"]
    # Another change of one of them goes, and one of their manager puts it right.
    assert (await world.ask("PATCH", "/users/bob", {"name": "b"}, token=HR)).status_code == 200
    assert (await move(world, "ada", None)).status_code == 200
    assert (await by_rows(world.database))["acme", "cem"] == ["bob", "ada"]
    await require_true(world)


async def test_who_is_too_deep_keeps_the_nearest_hundred(world):
    names = [f"p{n:03}" for n in range(105)]
    rows = [
        {"_id": one, "tenant_id": "acme", "manager_id": above}
        for one, above in zip(names, [None, *names], strict=False)
    ]
    await world.database["users"].insert_many(rows)
    assert await counted(world) == (105, 105, 0, 4)
    chain = (await by_rows(world.database))["acme", "p104"]
    assert (chain[0], len(chain), chain[-1]) == ("p103", 100, "p004")


async def test_who_may_not_is_told_alike_whatever_there_is(world):
    for token in (CLERK, lead("ada")):
        assert (await world.post("/_pm/hierarchy/sync", {"tenant_id": "acme"}, token=token)).status_code == 403
    told = {
        (await world.post("/_pm/hierarchy/sync", {"tenant_id": tenant}, token=HR)).text
        for tenant in ("umbrella", "none")
    }
    assert len(told) == 1
    both = a_token("hera", ["hr", "guest"])  # the right by one role and the tenants by another
    assert (await world.post("/_pm/hierarchy/sync", {"tenant_id": "umbrella"}, token=both)).text in told
    assert (await world.post("/_pm/hierarchy/sync", {}, token=ROOT)).status_code == 403
    assert (await world.post("/_pm/hierarchy/sync", {"user_collection": "files"}, token=HR)).status_code == 404
    for wrong in ({"tenant": "acme"}, {"tenant_id": 5}, {"tenant_id": ""}, []):
        assert (await world.post("/_pm/hierarchy/sync", wrong, token=HR)).status_code == 400
    assert (await world.post("/_pm/hierarchy/sync?x=1", {}, token=HR)).status_code == 400
    keyed = await world.post("/_pm/hierarchy/sync", {}, token=HR, headers={"idempotency-key": "k"})
    assert keyed.status_code == 400


async def test_it_is_audited(world):
    await counted(world)
    [entry] = await world.database["_pm_audit"].find({"action": "sync"}).to_list()
    assert (entry["collection"], entry["user_id"], entry["tenant_id"]) == ("_pm_hierarchy", "hera", "acme")


async def test_a_sync_and_a_write_at_once_leave_the_closure(world):
    await hire(world, "ada", "bob", "cem", "dan")
    for n in range(6):
        above = ("ada", "bob")[n % 2]
        await asyncio.gather(counted(world), move(world, "dan", above), counted(world), move(world, "cem", "ada"))
        await require_true(world)


# -- at start, and from the command line


async def test_at_its_first_start_it_is_built_and_later_it_is_not(tmp_path, mongo_uri):
    plain = SCHEMA.replace("    hierarchy: {user_id_field: _id, manager_field: manager_id}\n", "")
    simple = "roles: {hr: {}}\npolicies: {users: {hr: {actions: ['*']}}}\n"
    without = a_config(tmp_path, schema=plain, policy=simple)
    async with a_world(mongo_uri, without) as before:
        await before.database["users"].insert_many(people("acme", ada=None, bob="ada"))
        within = a_config(tmp_path, schema=SCHEMA, policy=POLICY)
        same = replace(within, mongodb=without.mongodb)
        async with a_world(mongo_uri, same) as world:
            await require_true(world)
            assert len(await by_rows(world.database)) == 2
            await world.database["users"].insert_many(people("acme", cem="bob"))
            async with a_world(mongo_uri, same) as again:
                assert len(await by_rows(again.database)) == 2


async def test_what_was_written_while_there_was_none_is_found_when_there_is_one_again(tmp_path, mongo_uri):
    """A gateway without a hierarchy keeps none: who was moved by it would be below the old manager for ever."""
    plain = SCHEMA.replace("    hierarchy: {user_id_field: _id, manager_field: manager_id}\n", "")
    without = a_config(tmp_path, schema=plain, policy="roles: {hr: {}}\npolicies: {users: {hr: {actions: ['*']}}}\n")
    within = replace(a_config(tmp_path, schema=SCHEMA, policy=POLICY), mongodb=without.mongodb)
    async with a_world(mongo_uri, within) as world:
        await hire(world, "ada", "bob")
        async with a_world(mongo_uri, without) as between:
            answer = await between.ask("PATCH", "/users/bob", {"manager_id": None}, token=HR)
            assert answer.status_code == 200, answer.text
            assert await by_rows(world.database) != await by_documents(world.database)
            async with a_world(mongo_uri, within) as again:
                await require_true(again)


def test_the_commands_tell_and_put_right(tmp_path, mongo_uri, monkeypatch, capsys):
    config = a_config(tmp_path, schema=SCHEMA, policy=POLICY)
    with MongoClient(mongo_uri) as client:
        database = client[config.mongodb.database]
        database["users"].insert_many(people("acme", ada=None, bob="ada"))
        database["users"].insert_many(people("umbrella", yan="yan"))
        monkeypatch.setenv("MONGODB_URI", mongo_uri)
        monkeypatch.setenv("MONGODB_DATABASE", config.mongodb.database)
        at = ["--config", str(tmp_path)]
        assert main(["hierarchy", "check", *at]) == 1
        assert capsys.readouterr().out == "3 people, 3 rows wrong, 1 in loops, 0 too deep\n"
        assert database["_pm_hierarchy"].count_documents({}) == 0
        assert main(["hierarchy", "sync", "--tenant", "acme", *at]) == 0
        assert capsys.readouterr().out == "2 people, 2 rows put right, 0 in loops, 0 too deep\n"
        assert main(["hierarchy", "check", "--tenant", "acme", *at]) == 0
        assert main(["hierarchy", "check", *at]) == 1
        client.drop_database(config.mongodb.database)


# -- how old it may be, and how many


async def test_what_another_gateway_changed_counts_after_the_time_set(tmp_path, mongo_uri):
    config = a_config(tmp_path, CONFIG + "limits: {hierarchy_cache: 1s}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as here, a_world(mongo_uri, config) as there:
        await hire(here, "ada", "bob")
        await here.database["files"].insert_one({"_id": "bob", "tenant_id": "acme", "owner_id": "bob"})
        assert await seen(there, lead("ada")) == ["bob"]
        assert (await move(here, "bob", None)).status_code == 200
        assert await seen(here, lead("ada")) == []
        await asyncio.sleep(1.1)
        assert await seen(there, lead("ada")) == []


async def test_too_many_below_are_told_and_not_cut(tmp_path, mongo_uri):
    config = a_config(tmp_path, CONFIG + "limits: {max_subordinates: 2}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        await hire(world, "ada", "bob", "cem", "dan")
        await world.database["files"].insert_one({"_id": "f", "tenant_id": "acme", "owner_id": "dan"})
        for role in ("lead", "barred"):
            answer = await world.get("/files", token=lead("ada", role))
            assert answer.status_code == 403
            assert "more than 2 people" in answer.json()["error"]["message"]
        assert await seen(world, lead("bob")) == ["f"]
        assert await seen(world, lead("ada", "direct")) == []
        assert (await move(world, "dan", None)).status_code == 200
        assert await seen(world, lead("ada")) == []


async def test_a_job_asks_again_for_each_chunk(tmp_path, mongo_uri):
    """Who moved away in the middle of it is out of the caller's reach from then on."""
    config = a_config(tmp_path, CONFIG + "limits: {max_batch_size: 2}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config, carriers=0) as world:
        await hire(world, "ada", "bob")
        files = [{"_id": f"f{n}", "tenant_id": "acme", "owner_id": "bob", "title": "t"} for n in range(6)]
        await world.database["files"].insert_many(files)
        request = {"filter": {"title": "t"}, "update": {"title": "u"}}
        headers = {"prefer": "respond-async"}
        answer = await world.ask("PUT", "/files/batch", request, token=lead("ada"), headers=headers)
        assert answer.status_code == 202, answer.text
        assert (await move(world, "bob", None)).status_code == 200
        async with a_world(mongo_uri, config) as other:
            until = asyncio.get_running_loop().time() + 20
            path = answer.headers["location"]
            while (job := (await other.get(path, token=lead("ada"))).json())["state"] == "running":
                assert asyncio.get_running_loop().time() < until
                await asyncio.sleep(0.05)
            assert (job["state"], job["progress"]["updated"]) == ("done", 2)
            assert await other.database["files"].count_documents({"title": "u"}) == 2


async def test_the_rest_of_a_filters_work_is_judged_by_the_hierarchy_then(tmp_path, mongo_uri):
    """By the same gateway and within one request."""
    config = a_config(tmp_path, CONFIG + "limits: {max_batch_size: 2}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        await hire(world, "ada", "bob")
        files = [{"_id": f"f{n:03}", "tenant_id": "acme", "owner_id": "bob", "title": "t"} for n in range(300)]
        await world.database["files"].insert_many(files)
        request = {"filter": {"title": "t"}, "update": {"title": "u"}}
        working = asyncio.create_task(world.ask("PUT", "/files/batch", request, token=lead("ada")))
        while not await world.database["files"].count_documents({"title": "u"}):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert (await move(world, "bob", None)).status_code == 200
        done = (await working).json()["modified"]
        assert 0 < done < 300


# -- ids of other types


async def test_ids_are_of_the_type_that_the_schema_says(tmp_path, mongo_uri):
    """A credential tells ids as texts; documents hold object ids here, in one place, and texts in another."""
    schema = SCHEMA.replace("id_type: string,", "id_type: objectId,").replace("client_ids: true", "client_ids: false")
    schema = schema.replace("manager_id: {type: string}", "manager_id: {type: objectId}")
    schema = schema.replace("owner_id: {type: string}", "owner_id: {type: string}\n      author: {type: objectId}")
    policy = POLICY.replace('"resource.owner_id in user.$directReports"', '"resource.author in user.$directReports"')
    async with a_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        ada = (await world.post("/users", {"name": "ada"}, token=HR)).json()["_id"]
        bob = (await world.post("/users", {"name": "bob", "manager_id": ada}, token=HR)).json()["_id"]
        assert (await by_rows(world.database))["acme", ObjectId(bob)] == [ObjectId(ada)]
        row = {"_id": ObjectId(), "tenant_id": "acme", "owner_id": bob, "author": ObjectId(bob)}
        await world.database["files"].insert_one(row)
        assert await seen(world, lead(ada)) == [str(row["_id"])]
        assert await seen(world, lead(ada, "direct")) == [str(row["_id"])]
        assert await seen(world, lead("no-id", "direct")) == []
        assert await seen(world, lead("no-id", "barred")) == []
        await require_true(world)
