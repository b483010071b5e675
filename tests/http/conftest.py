"""One world a test."""

import pytest

from tests.http.harness import World, a_config, a_kept_world, a_world, end_kept_worlds


@pytest.fixture
async def world(mongo_uri, tmp_path):
    """Emptied, and of a gateway that other tests have asked before."""
    async with a_kept_world(mongo_uri, a_config(tmp_path)) as found:
        assert isinstance(found, World)
        yield found


@pytest.fixture
async def new_world(mongo_uri, tmp_path):
    """Of a gateway that nobody has asked before."""
    async with a_world(mongo_uri, a_config(tmp_path)) as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
async def kept_worlds(mongo_uri):
    yield
    await end_kept_worlds()
