"""One pair of worlds for all tests of this folder, on a loop of its own: the sequences are not written with await."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.laws.two_worlds.worlds import open_pair


@pytest.fixture(scope="package")
def run():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="package")
def pair(mongo_uri, run, tmp_path_factory):
    stack = AsyncExitStack()
    yield run.run(open_pair(stack, mongo_uri, tmp_path_factory.mktemp("worlds")))
    run.run(stack.aclose())
