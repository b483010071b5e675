"""One world a test."""

import pytest

from tests.http.harness import World, a_config, a_world


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path)) as found:
        assert isinstance(found, World)
        yield found
