"""Reads of one caller that are asked for at the same moment go together; what each is told is as if it went alone."""

import asyncio

import pymongo
import pytest
from bson.binary import Binary
from bson.codec_options import DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.errors import ExecutionTimeout

from permission_mongo.documents.fields import EVERYTHING
from permission_mongo.errors import Unavailable
from permission_mongo.plans import ReadPlan
from permission_mongo.policy.grants import Grant, Lens, Reach
from permission_mongo.policy.guard import narrow
from permission_mongo.policy.nodes import ALWAYS, NEVER, Compare, Path, Value
from permission_mongo.storage.gathering import Gathering
from permission_mongo.storage.rooms import Rooms

pytestmark = pytest.mark.mongo
MANY = 60
EVERYBODY = Reach(ALWAYS, (), NEVER)


def rows_of(owner: str):
    """The rows of one owner: a filter of its own for each caller."""
    return narrow(
        {},
        Reach(
            ALWAYS, (Grant("r", Compare("==", Path("resource", ("owner",)), Value(owner)), EVERYTHING, ALWAYS),), NEVER
        ),
    )


def find(gathering, rows, one):
    return gathering.find(ReadPlan("notes", one, rows, Lens(EVERYBODY, b"")))


class Counting(pymongo.monitoring.CommandListener):
    def __init__(self):
        self.finds = []

    def started(self, event):
        if event.command_name == "find":
            self.finds.append(event.command["filter"])

    def succeeded(self, event):
        pass

    failed = succeeded


@pytest.fixture
async def rooms(mongo_uri):
    counting = Counting()
    async with AsyncMongoClient(
        mongo_uri,
        uuidRepresentation="standard",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        event_listeners=[counting],
    ) as client:
        database = client["test_gathering"]
        await database["notes"].insert_many(
            [{"_id": f"n{n}", "owner": "alice" if n % 3 else "bob"} for n in range(MANY)]
        )
        found = Rooms(client, "test_gathering", 5.0, 16)
        found.counting, found.client = counting, client
        yield found
        await client.drop_database("test_gathering")


async def test_each_is_told_what_it_would_be_told_alone(rooms):
    gathering, alice = Gathering(rooms), rows_of("alice")
    asked = [f"n{n}" for n in range(MANY)] + ["absent", "n1", "n1"]
    found = await asyncio.gather(*(find(gathering, alice, one) for one in asked))
    alone = [await find(gathering, alice, one) for one in asked]
    assert found == alone
    assert [one is None for one in found] == [n % 3 == 0 for n in range(MANY)] + [True, False, False]


async def test_reads_of_one_moment_take_a_few_commands(rooms):
    gathering, alice = Gathering(rooms), rows_of("alice")
    await asyncio.gather(*(find(gathering, alice, f"n{n}") for n in range(MANY)))
    assert len(rooms.counting.finds) <= 6
    assert not gathering._lines


async def test_two_callers_never_share_a_command(rooms):
    """Asked for alternately; each command holds one caller's rule, and neither is given the other's rows."""
    gathering, alice, bob = Gathering(rooms), rows_of("alice"), rows_of("bob")
    asked = [(rows, f"n{n}") for n in range(MANY) for rows in (alice, bob)]
    found = await asyncio.gather(*(find(gathering, rows, one) for rows, one in asked))
    for (rows, _), document in zip(asked, found, strict=True):
        assert document is None or document["owner"] == ("alice" if rows is alice else "bob")
    assert all(("alice" in str(one)) != ("bob" in str(one)) for one in rooms.counting.finds)


async def test_a_document_that_was_stored_badly_is_read_beside_the_others(rooms):
    """A UUID of the wrong length, stored past the gateway: the driver decodes none of the reply then."""
    await rooms.live("notes").insert_one({"_id": "broken", "owner": "alice", "is": Binary(b"short", 4)})
    gathering, alice = Gathering(rooms), rows_of("alice")
    asked = [*(f"n{n}" for n in range(20)), "broken", *(f"n{n}" for n in range(20, MANY))]
    found = await asyncio.gather(*(find(gathering, alice, one) for one in asked))
    assert found[asked.index("broken")]["is"] == Binary(b"short", 4)
    assert sum(isinstance(answer, dict) for answer in found) == 41


async def test_what_the_server_refuses_of_all_is_not_asked_of_each(rooms):
    """A time limit that is over for forty documents together would be over for each of forty commands."""
    late = {"failCommands": ["find"], "errorCode": 50, "namespace": "test_gathering.notes"}
    admin = rooms.client.admin
    await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=late)
    try:
        gathering, alice = Gathering(rooms), rows_of("alice")
        asked = (find(gathering, alice, f"n{n}") for n in range(42))
        found = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")
    assert all(isinstance(one, ExecutionTimeout) for one in found)
    assert len(rooms.counting.finds) <= 4


async def test_who_leaves_takes_nobody_along(rooms):
    gathering, alice = Gathering(rooms), rows_of("alice")
    tasks = [asyncio.create_task(find(gathering, alice, f"n{n}")) for n in range(MANY)]
    await asyncio.sleep(0)
    for one in tasks[::2]:
        one.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one is None for one in found[1::2]] == [n % 3 == 0 for n in range(1, MANY, 2)]
    assert not gathering._lines
    assert (await find(gathering, alice, "n1"))["_id"] == "n1"


async def test_all_are_told_when_no_turn_is_free(rooms):
    rooms._slots = asyncio.Semaphore(0)
    gathering, alice = Gathering(rooms), rows_of("alice")
    found = await asyncio.gather(*(find(gathering, alice, f"n{n}") for n in range(8)), return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in found)
    assert not gathering._lines


async def test_rows_that_can_never_be_are_not_asked_for(rooms):
    assert await find(Gathering(rooms), narrow({}, Reach(ALWAYS, (), NEVER)), "n1") is None
    assert rooms.counting.finds == []
