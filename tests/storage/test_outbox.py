"""The entries of the outbox: each is one holder's at a time, and those of a line follow one another."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from permission_mongo.config.model import MongoDB
from permission_mongo.events import Told
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.outbox import Outbox

pytestmark = pytest.mark.mongo


@pytest.fixture
async def outbox(mongo_uri):
    """Three entries of one line, due."""
    async with new_client(mongo_uri, MongoDB()) as client:
        database = client[f"test_{uuid4().hex}"]
        found = Outbox(database, 5.0)
        try:
            async with client.start_session() as session:
                told = [Told("h", "document.updated", ("a",), {"n": n}) for n in range(3)]
                await found.add(session, told, datetime.now(UTC) - timedelta(seconds=1))
            yield found
        finally:
            await client.drop_database(database.name)


async def test_the_next_of_a_line_is_taken_once_though_the_one_before_ends_just_then(outbox):
    """The second is taken as soon as the first is gone, and what follows the first's end must not hand it out again."""
    first = await outbox.take("one", ["h"], 30)
    await outbox.drop([first.id], dead=False, hook=None)
    second = await outbox.take("two", ["h"], 30)
    await outbox.delivered(first, "one")
    assert await outbox.take("three", ["h"], 30) is None
    await outbox.delivered(second, "two")
    assert (await outbox.take("three", ["h"], 30)).body.find(b'"n":2') > 0


async def test_what_failed_or_was_given_up_is_nobodys(outbox):
    first = await outbox.take("one", ["h"], 30)
    await outbox.failed(first, "one", "status 500", 0)
    again = await outbox.take("two", ["h"], 30)
    assert (again.id, again.attempts) == (first.id, 2)
    await outbox.died(again, "two", "status 500")
    await outbox.retry([], dead=True, hook=None)
    assert (await outbox.take("three", ["h"], 30)).id == first.id


async def test_what_is_being_told_is_not_handed_out_again_by_hand(outbox):
    first = await outbox.take("one", ["h"], 30)
    assert await outbox.retry([first.id], dead=False, hook=None) == 0
    assert await outbox.take("two", ["h"], 30) is None
    await outbox.failed(first, "one", "status 500", 30)
    assert await outbox.take("two", ["h"], 30) is None
    assert await outbox.retry([first.id], dead=False, hook=None) == 1
    assert (await outbox.take("two", ["h"], 30)).id == first.id
