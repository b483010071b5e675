"""F4: writes of which neither an audit entry nor a version tells. What the caller is told is what happened."""

from contextlib import asynccontextmanager

import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
BOSS = a_token("alice", ["boss"])
BARE = CONFIG + "audit: {enabled: false}\nlimits: {query_timeout: 800ms}\n"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id, auto_timestamps: false}
collections:
  notes:
    client_ids: true
    versioning: {enabled: VERSIONED}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      age: {type: integer}
"""
POLICY = """
roles: {boss: {}}
policies: {notes: {boss: {actions: ["*", purge]}}}
"""
ROW = {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "t", "age": 1}
NEVER_TOLD = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}
WRITES = {
    "unset": ("PATCH", "/notes/a", {"$unset": {"title": ""}}),
    "set": ("PATCH", "/notes/a", {"title": "other"}),
    "inc": ("PATCH", "/notes/a", {"$inc": {"age": 1}}),
    "delete": ("DELETE", "/notes/a", None),
    "purge": ("POST", "/notes/a/purge", {"reason": "r"}),
}


def a_bare_world(mongo_uri, folder, versioned="false"):
    return a_world(mongo_uri, a_config(folder, BARE, SCHEMA.replace("VERSIONED", versioned), POLICY))


@asynccontextmanager
async def commits(world, **failing):
    """Each commit of a gateway fails."""
    admin, hit = world.database.client.admin, {"appName": "permission-mongo", "failCommands": ["commitTransaction"]}
    await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={**hit, **failing})
    try:
        yield
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize("write", WRITES)
async def test_a_commit_that_never_happened_is_not_told_as_done(mongo_uri, tmp_path, write):
    async with a_bare_world(mongo_uri, tmp_path) as world:
        await world.database["notes"].insert_one(ROW)
        async with commits(world, closeConnection=True):
            method, path, body = WRITES[write]
            answer = await world.ask(method, path, body, token=BOSS)
        assert answer.status_code == 504, answer.text
        assert await world.database["notes"].find_one({}) == ROW


@pytest.mark.parametrize("write", WRITES)
async def test_a_commit_whose_answer_is_lost_is_told_as_done(mongo_uri, tmp_path, write):
    async with a_bare_world(mongo_uri, tmp_path) as world:
        await world.database["notes"].insert_one(ROW)
        async with commits(world, writeConcernError=NEVER_TOLD):
            method, path, body = WRITES[write]
            answer = await world.ask(method, path, body, token=BOSS)
        assert answer.status_code == 200, answer.text
        assert await world.database["notes"].find_one({}) != ROW


async def test_a_deleted_document_whose_purge_never_happened_is_not_told_as_purged(mongo_uri, tmp_path):
    """It lives as little before as after: that it does not tells nothing."""
    async with a_bare_world(mongo_uri, tmp_path, "true") as world:
        await world.database["notes"].insert_one(ROW)
        await world.ask("DELETE", "/notes/a", token=BOSS)
        async with commits(world, closeConnection=True):
            answer = await world.ask("POST", "/notes/a/purge", {"reason": "r"}, token=BOSS)
        assert answer.status_code == 504, answer.text
        assert await world.database["_pm_versions"].count_documents({}) == 1


async def test_what_proves_a_write_goes_by_itself(mongo_uri, tmp_path):
    """One record for each such write, which MongoDB removes; none where something else tells of it."""
    async with a_bare_world(mongo_uri, tmp_path) as world:
        await world.database["notes"].insert_one(ROW)
        await world.ask("PATCH", "/notes/a", {"age": 2}, token=BOSS)
        await world.ask("PATCH", "/notes/a", {"age": 2}, token=BOSS)
        proofs = world.database["_pm_proofs"]
        assert [set(one) async for one in proofs.find()] == [{"_id", "at"}]
        assert (await proofs.index_information())["ttl"]["expireAfterSeconds"] == 3600
    async with a_bare_world(mongo_uri, tmp_path, "true") as world:
        await world.database["notes"].insert_one(ROW)
        await world.ask("PATCH", "/notes/a", {"age": 2}, token=BOSS)
        assert await world.database["_pm_proofs"].count_documents({}) == 0
