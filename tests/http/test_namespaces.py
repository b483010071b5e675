"""Several databases behind one gateway: a caller reaches those that its credential lists, and nothing reaches across."""

from dataclasses import replace
from uuid import uuid4

import pytest

from permission_mongo.assembly import open_lasting
from permission_mongo.auth.api_keys import new_key
from permission_mongo.policy.grants import Policy
from permission_mongo.principal import KeyRecord
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.harness import CONFIG, a_config, a_token, a_world

EU = {"x-namespace": "eu"}
BOTH = ["default", "eu"]


@pytest.fixture
async def world(mongo_uri, tmp_path):
    other = f"test_{uuid4().hex[:12]}"
    config = a_config(tmp_path, CONFIG + f"namespaces: {{eu: {{database: {other}}}}}\n")
    # Its digest names the other database, so that no other test is given this one's.
    async with a_world(mongo_uri, config) as world:
        yield world
        await world.database.client.drop_database(other)


def both(sub="alice", roles=("user",), **claims):
    return a_token(sub, roles, namespaces=BOTH, **claims)


def refusal(answer):
    return answer.status_code, answer.json()


async def test_what_is_in_one_namespace_is_in_no_other(world):
    made = await world.post("/notes", {"_id": "n1", "title": "here"}, token=both(), headers=EU)
    assert made.status_code == 201
    assert (await world.get("/notes/n1", token=both(), headers=EU)).json()["title"] == "here"
    assert (await world.get("/notes/n1", token=both())).status_code == 404
    other = world.database.client[world.gateway.config.namespaces["eu"]]
    assert await other["notes"].count_documents({}) == 1
    assert await world.stored("n1") == []


async def test_versions_batches_audit_and_keys_of_idempotency_are_of_the_namespace(world):
    other = world.database.client[world.gateway.config.namespaces["eu"]]
    for headers in (EU, {}):
        for _ in range(2):
            once = {**headers, "idempotency-key": "same"}
            answer = await world.post(
                "/notes/batch", {"documents": [{"_id": "n1", "title": "x"}]}, token=both(), headers=once
            )
            assert answer.status_code == 201
        gone = await world.delete("/notes/batch", {"ids": ["n1"]}, token=both(), headers=headers)
        undone = await world.post(f"/notes/batch/{gone.json()['batch']}/undo", {}, token=both(), headers=headers)
        assert undone.json()["restored"] == 1
        # What is one namespace's batch is none of the other's.
        elsewhere = {} if headers else EU
        missed = await world.post(f"/notes/batch/{gone.json()['batch']}/undo", {}, token=both(), headers=elsewhere)
        assert missed.status_code == 404
    for database in (other, world.database):
        counted = [
            await database[name].count_documents({}) for name in ("_pm_versions", "_pm_audit", "_pm_idempotency")
        ]
        assert counted[2] == 1
        assert all(counted)


@pytest.mark.parametrize("headers", [EU, {"x-namespace": "nowhere"}, {"x-namespace": ""}, {"x-namespace": "EU"}])
async def test_a_namespace_that_is_not_ones_own_and_one_that_there_is_not_are_told_alike(world, headers):
    refused = await world.get("/notes", token=a_token(), headers=headers)
    assert refusal(refused) == refusal(await world.get("/notes", token=both(), headers={"x-namespace": "none"}))
    assert refused.status_code == 403


async def test_who_lists_others_is_not_in_the_default_one(world):
    token = a_token(namespaces=["eu"])
    assert (await world.get("/notes", token=token, headers=EU)).status_code == 200
    assert (await world.get("/notes", token=token)).status_code == 403
    assert (await world.get("/notes", token=token, headers={"x-namespace": "default"})).status_code == 403
    # The service's own routes are asked somewhere too.
    assert (await world.get("/_pm/jobs", token=token)).status_code == 403


async def test_a_caller_is_told_where_it_asks_and_where_it_may(world):
    for headers, name in ((EU, "eu"), ({}, "default")):
        told = (await world.get("/_pm/me", token=both(), headers=headers)).json()
        assert (told["namespace"], told["namespaces"]) == (name, BOTH)


async def test_two_namespaces_in_one_request_are_none(world):
    sent = [("authorization", f"Bearer {both()}"), ("x-namespace", "eu"), ("x-namespace", "default")]
    assert (await world.client.get("/notes", headers=sent)).status_code == 400


async def test_a_cursor_is_good_in_its_namespace_alone(world):
    for headers in (EU, {}):
        await world.post(
            "/notes/batch",
            {"documents": [{"_id": f"n{n}", "title": "x"} for n in range(3)]},
            token=both(),
            headers=headers,
        )
    page = (await world.get("/notes?_limit=1", token=both(), headers=EU)).json()
    path = f"/notes?_limit=1&_cursor={page['pagination']['cursor']}"
    assert (await world.get(path, token=both(), headers=EU)).status_code == 200
    assert (await world.get(path, token=both())).status_code == 400


async def test_keys_list_their_namespaces(world):
    store = MongoKeyStore(world.database)
    here = new_key("alice", "acme", ("user",), utc_now(), None)
    there = new_key("alice", "acme", ("user",), utc_now(), None, ("eu",))
    for key in (here, there):
        await store.add(key.record)
    statuses = [
        (await world.client.get("/notes", headers={"x-api-key": key.text, **headers})).status_code
        for key in (here, there)
        for headers in ({}, EU)
    ]
    assert statuses == [200, 403, 403, 200]


async def test_a_key_from_before_there_were_namespaces_is_good_in_the_default_one(world):
    key = new_key("alice", "acme", ("user",), utc_now(), None)
    await MongoKeyStore(world.database).add(key.record)
    await world.database["_pm_keys"].update_one({"_id": key.record.prefix}, {"$unset": {"namespaces": 1}})
    found = await MongoKeyStore(world.database).find_key(key.record.prefix)
    assert isinstance(found, KeyRecord)
    assert found.namespaces == ()
    assert (await world.client.get("/notes", headers={"x-api-key": key.text})).status_code == 200


async def test_a_filters_work_goes_on_in_its_namespace(world):
    for headers in (EU, {}):
        sent = {"documents": [{"_id": f"n{n}", "title": "x"} for n in range(30)]}
        assert (await world.post("/notes/batch", sent, token=both(), headers=headers)).status_code == 201
    begun = await world.delete(
        "/notes/batch", {"filter": {"title": "x"}}, token=both(), headers={**EU, "prefer": "respond-async"}
    )
    assert begun.status_code in (200, 202)
    assert (await world.get("/notes?_count=true", token=both())).json()["pagination"]["total"] == 30


async def test_a_reload_is_one_of_all_namespaces(mongo_uri, world):
    async with open_lasting(world.gateway.config, mongo_uri, carriers=0) as (gateway, lasting):
        config = replace(gateway.config, policy=Policy([], {}))
        successor = await lasting.successor(gateway, config)
        assert gateway.current is gateway
        successor.put_in_force()
        assert gateway.current.config is config
        assert gateway.current.beside["eu"].config is config
        # What works behind requests there takes it as well.
        assert gateway.beside["eu"].current.config is config
