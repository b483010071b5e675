"""A gateway that starts while its servers change their places waits some seconds, and tells in a sentence if it must not."""

from contextlib import asynccontextmanager

import pytest

from permission_mongo.assembly import open_gateway
from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.storage import starting
from permission_mongo.storage.connection import new_client
from tests.http.harness import a_config

pytestmark = pytest.mark.mongo
INTERRUPTED, STEPPED_DOWN, NOT_ALLOWED = 11602, 189, 13


@asynccontextmanager
async def failing(client, mode, *commands, code):
    hit = {"appName": "permission-mongo", "failCommands": [*commands], "errorCode": code}
    await client.admin.command("configureFailPoint", "failCommand", mode=mode, data=hit)
    try:
        yield
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
async def client(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        yield client


@pytest.fixture
async def config(client, tmp_path):
    config = a_config(tmp_path)
    await client.drop_database(config.mongodb.database)
    yield config
    await client.drop_database(config.mongodb.database)


@pytest.mark.parametrize("code", [INTERRUPTED, STEPPED_DOWN])
@pytest.mark.parametrize("command", ["listCollections", "create", "createIndexes", "update", "find"])
async def test_a_start_within_a_stepdown_goes_on_behind_it(client, config, mongo_uri, command, code):
    async with failing(client, {"times": 3}, command, code=code), open_gateway(config, mongo_uri):
        pass
    assert "_pm_settings" in await client[config.mongodb.database].list_collection_names()
    assert "history" in await client[config.mongodb.database]["_pm_versions"].index_information()


@pytest.mark.parametrize("command", ["create", "createIndexes"])
async def test_servers_that_stay_out_of_their_place_are_told_in_a_sentence(
    client, config, mongo_uri, command, monkeypatch
):
    monkeypatch.setattr(starting, "PATIENCE", 0.5)
    async with failing(client, "alwaysOn", command, code=INTERRUPTED):
        with pytest.raises(StartupFailure, match="changes its primary"):
            async with open_gateway(config, mongo_uri):
                pass


async def test_what_mongodb_does_not_allow_is_told_at_once(client, config, mongo_uri):
    async with failing(client, "alwaysOn", "create", code=NOT_ALLOWED):
        with pytest.raises(StartupFailure, match="Unauthorized"):
            async with open_gateway(config, mongo_uri):
                pass
