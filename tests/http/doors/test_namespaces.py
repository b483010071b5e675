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
    config = a_config(tmp_path, f"{DOOR}namespaces: {{eu: {{database: {other}}}}}\n")
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
