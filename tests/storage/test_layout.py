"""What the gateway needs is made at start, and what it can't work on stops it with a sentence."""

import pytest

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.settings import shared_secret
from tests.config.test_load import SCHEMA, load

pytestmark = pytest.mark.mongo
INDEXES = "    indexes: [{fields: [tenant_id, title], unique: true}, {fields: [at], expire_after: 1h}, {fields: [pay], partial: {title: a}}]\n"
INDEXED = SCHEMA.replace("enabled: true", "enabled: false") + INDEXES


@pytest.fixture
async def database(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.drop_database("layout_test")
        yield client["layout_test"]
        await client.drop_database("layout_test")


async def test_collections_and_indexes_are_made_and_making_them_again_changes_nothing(database, tmp_path):
    config = load(tmp_path, schema=INDEXED)
    for _ in range(2):
        await prepare(database, config)
    found = await database["notes"].index_information()
    assert found["tenant_id_1_title_1"]["unique"]
    assert found["at_1"]["expireAfterSeconds"] == 3600
    assert found["pay_1"]["partialFilterExpression"] == {"title": {"$eq": "a"}}
    assert "tenant_id_1__id_1" in found
    assert list(await database["_pm_versions"].index_information()) == ["_id_", "history"]


async def test_an_index_that_stands_in_the_way_is_named_and_never_dropped(database, tmp_path):
    await database["notes"].create_index([("tenant_id", 1), ("title", 1)])
    with pytest.raises(StartupFailure, match=r"\(tenant_id, title\) of 'notes' exists with other options"):
        await prepare(database, load(tmp_path, schema=INDEXED))
    assert "unique" not in (await database["notes"].index_information())["tenant_id_1_title_1"]


async def test_a_unique_index_over_equal_values_is_refused_without_the_values(database, tmp_path):
    await database["notes"].insert_many(
        [{"tenant_id": "canary", "title": "x"}] * 1 + [{"tenant_id": "canary", "title": "x"}]
    )
    with pytest.raises(StartupFailure, match="equal values") as caught:
        await prepare(database, load(tmp_path, schema=INDEXED))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"viewOn": "other", "pipeline": []}, "a view"),
        ({"capped": True, "size": 4096}, "capped"),
        ({"timeseries": {"timeField": "at"}}, "a time-series"),
        ({"collation": {"locale": "en", "strength": 2}}, "a collation"),
    ],
)
async def test_a_collection_on_which_rules_are_not_exact_is_refused(database, tmp_path, options, reason):
    await database.create_collection("notes", **options)
    with pytest.raises(StartupFailure, match=reason):
        await prepare(database, load(tmp_path))


async def test_the_shared_secret_is_made_once(database):
    secret = await shared_secret(database)
    assert len(secret) == 32
    assert await shared_secret(database) == secret


async def test_a_server_that_does_not_answer_is_told_without_its_address():
    settings = MongoDB(server_selection_timeout=0.2)
    async with new_client("mongodb://user:canary@127.0.0.1:9/?directConnection=true", settings) as client:
        with pytest.raises(StartupFailure, match="does not answer") as caught:
            await require_server(client)
    assert "canary" not in str(caught.value)
    with pytest.raises(StartupFailure, match=r"mongodb\.uri"):
        new_client("mongodb://", settings)
