"""A door whose bodies name the database: it is that of a namespace of the caller's, or none."""

from uuid import uuid4

import pytest

from tests.http.doors.data_api import DOOR, act
from tests.http.harness import a_config, a_token, a_world

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def other() -> str:
    return f"test_{uuid4().hex[:12]}"


@pytest.fixture
async def world(mongo_uri, tmp_path, other):
    config = a_config(tmp_path, f"{DOOR.replace(']', ', moorcheh]')}namespaces: {{eu: {{database: {other}}}}}\n")
    async with a_world(mongo_uri, config) as world:
        yield world
        await world.database.client.drop_database(other)


async def test_a_database_is_that_of_a_namespace_of_the_callers_by_either_name(world, other):
    own = world.database.name
    both, eu, none = (a_token(namespaces=list(names)) for names in (("default", "eu"), ("eu",), ("us",)))
    for token in (both, eu):
        for name in ("eu", other):
            made = await act(world, "insertOne", token=token, database=name, document={"title": f"in {name}"})
            assert made.status_code == 201
    assert await world.database["notes"].count_documents({}) == 0
    assert await world.database.client[other]["notes"].count_documents({}) == 4
    for name in ("default", own):
        assert (await act(world, "find", token=both, database=name)).json() == {"documents": []}
    refused = set()
    for token, names in ((eu, ("default", own, "us", "")), (a_token(), ("eu", other, "us")), (none, ("us", "eu", own))):
        for name in filter(None, names):
            answer = await act(world, "find", token=token, database=name)
            refused.add((answer.status_code, answer.text))
    assert len(refused) == 1
    assert next(iter(refused))[0] == 403


async def test_a_door_whose_paths_name_a_collection_is_asked_in_the_namespace_of_the_header(world, other):
    eu, none = a_token(namespaces=["eu"]), a_token(namespaces=["us"])
    made = await act(world, "insertOne", token=eu, database="eu", document={"title": "in eu"})
    sent = {"ids": [made.json()["insertedId"]]}
    path, header = "/v1/namespaces/notes/documents/delete", {"x-namespace": "eu"}
    refused = [
        await world.post(path, sent, token=token, headers=headers)
        for token, headers in ((eu, None), (none, header), (a_token(), header))
    ]
    assert {(one.status_code, one.json()["message"]) for one in refused} == {(403, "no such namespace, or not yours")}
    assert (await world.post(path, sent)).json()["actual_deletions"] == 0
    told = await world.post(path, sent, token=eu, headers=header)
    assert told.json()["deleted_ids"] == sent["ids"]
    assert await world.database.client[other]["notes"].count_documents({"_id": sent["ids"][0]}) == 0
