"""First pages that one caller asks for in the same words at the same moment take one command; nobody else joins it."""

import asyncio
from dataclasses import replace

import pymongo
import pytest
from bson.codec_options import DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.errors import ExecutionTimeout

from permission_mongo.documents.fields import EVERYTHING, FieldRules
from permission_mongo.errors import DeadlineExceeded, NoConnectionFree
from permission_mongo.planning.showing import show
from permission_mongo.plans import ListPlan
from permission_mongo.policy.grants import Grant, Lens, Reach
from permission_mongo.policy.guard import narrow
from permission_mongo.policy.nodes import ALWAYS, NEVER, Compare, Path, Value
from permission_mongo.query.cursors import CursorKey
from permission_mongo.storage import sharing as module
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.sharing import Sharing

pytestmark = pytest.mark.mongo
MANY = 16
DATABASE = "test_sharing"


def plan_of(owner: str) -> ListPlan:
    """A first page of one owner's rows."""
    own = Grant("r", Compare("==", Path("resource", ("owner",)), Value(owner)), EVERYTHING, ALWAYS)
    reach = Reach(ALWAYS, (own,), NEVER)
    return ListPlan("notes", narrow({}, reach), 20, None, (), Lens(reach, b""), ("list",), 100_000)


def ids_of(page):
    return [one["_id"] for one in page.documents]


class Counting(pymongo.monitoring.CommandListener):
    def __init__(self):
        self.finds = []
        self.sent = asyncio.Semaphore(0)

    def started(self, event):
        if event.command_name == "find":
            self.finds.append(event.command["filter"])
            self.sent.release()

    async def see(self, count):
        """Wait until so many more were sent."""
        for _ in range(count):
            await self.sent.acquire()

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
        await client[DATABASE]["notes"].insert_many(
            [{"_id": f"n{n}", "owner": "alice" if n % 3 else "bob"} for n in range(9)]
        )
        found = Rooms(client, DATABASE, 5.0, 64)
        found.counting, found.client = counting, client
        yield found
        await client.drop_database(DATABASE)


class Failing:
    """What MongoDB does with so many finds here, or with every one until the end of the block."""

    def __init__(self, rooms, times=None, **how):
        self.admin = rooms.client.admin
        self.mode = "alwaysOn" if times is None else {"times": times}
        self.how = {"failCommands": ["find"], "namespace": f"{DATABASE}.notes", **how}

    async def __aenter__(self):
        await self.admin.command("configureFailPoint", "failCommand", mode=self.mode, data=self.how)

    async def __aexit__(self, *_):
        await self.admin.command("configureFailPoint", "failCommand", mode="off")


async def test_pages_of_one_plan_take_a_few_commands_and_are_what_each_would_be_told_alone(rooms):
    sharing, plan = Sharing(rooms), plan_of("alice")
    found = await asyncio.gather(*(sharing.page(plan) for _ in range(MANY)))
    assert len(rooms.counting.finds) == 3
    assert found == [await sharing.page(plan)] * MANY
    assert not sharing._lines
    assert not sharing._tasks


async def test_two_callers_never_share_a_command(rooms):
    """Asked for alternately; each command holds one caller's rule, and neither is given the other's rows."""
    sharing, plans = Sharing(rooms), [plan_of("alice"), plan_of("bob")]
    found = await asyncio.gather(*(sharing.page(plans[n % 2]) for n in range(2 * MANY)))
    for n, page in enumerate(found):
        assert {one["owner"] for one in page.documents} == {"bob" if n % 2 else "alice"}
    assert len(rooms.counting.finds) == 6
    assert all(("alice" in str(bytes(one.raw))) != ("bob" in str(bytes(one.raw))) for one in rooms.counting.finds)


async def test_plans_that_only_look_alike_are_two(rooms):
    """The very object is the key: that of another access, policy or word may be equal and is still another's."""
    sharing, plan = Sharing(rooms), plan_of("alice")
    await asyncio.gather(*(sharing.page(replace(plan)) for _ in range(6)))
    assert len(rooms.counting.finds) == 6


async def test_a_page_is_read_after_it_was_asked_for(rooms):
    """Three commands are under way when a row is written; whoever asks after that is told of it."""
    sharing, plan = Sharing(rooms), plan_of("alice")
    async with Failing(rooms, times=3, blockConnection=True, blockTimeMS=400, errorCode=50):
        earlier = [asyncio.create_task(sharing.page(plan)) for _ in range(3)]
        await rooms.counting.see(3)  # two at once, and who has waited long enough
        await rooms.live("notes").insert_one({"_id": "new", "owner": "alice"})
        later = [asyncio.create_task(sharing.page(plan)) for _ in range(3)]
        for page in await asyncio.gather(*later):
            assert "new" in ids_of(page)
        told = await asyncio.gather(*earlier, return_exceptions=True)
        assert all(isinstance(one, ExecutionTimeout | DeadlineExceeded) for one in told)


async def test_who_leaves_takes_nobody_along(rooms):
    sharing, plan = Sharing(rooms), plan_of("alice")
    tasks = [asyncio.create_task(sharing.page(plan)) for _ in range(MANY)]
    await asyncio.sleep(0)
    for one in tasks[::2]:
        one.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [True, False] * (MANY // 2)
    assert not sharing._lines


async def test_where_all_leave_nothing_is_asked_for_them(rooms):
    sharing, plan = Sharing(rooms), plan_of("alice")
    tasks = [asyncio.create_task(sharing.page(plan)) for _ in range(MANY)]
    await asyncio.sleep(0)
    for one in tasks[2:]:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(rooms.counting.finds) == 2
    assert not sharing._lines


async def test_each_is_given_a_refusal_of_its_own(rooms):
    """What the server refuses of one command it would refuse of each: it is not asked again."""
    sharing, plan = Sharing(rooms), plan_of("alice")

    async def asked():
        with refusing():
            return await sharing.page(plan)

    async with Failing(rooms, errorCode=50):
        found = await asyncio.gather(*(asked() for _ in range(MANY)), return_exceptions=True)
    assert all(isinstance(one, DeadlineExceeded) for one in found)
    assert len({id(one) for one in found}) == MANY
    assert {one.message for one in found} == {found[0].message}
    assert len(rooms.counting.finds) == 3
    assert not sharing._lines


async def test_all_are_told_when_no_turn_is_free(rooms):
    rooms._slots = asyncio.Semaphore(0)
    sharing, plan = Sharing(rooms), plan_of("alice")
    found = await asyncio.gather(*(sharing.page(plan) for _ in range(8)), return_exceptions=True)
    assert all(isinstance(one, NoConnectionFree) for one in found)
    assert not sharing._lines


async def test_where_something_is_wrong_with_us_each_meets_it_alone(rooms, monkeypatch):
    sharing, plan = Sharing(rooms), plan_of("alice")
    asked = []

    async def broken(*_):
        asked.append(1)
        await asyncio.sleep(0)
        raise ZeroDivisionError

    monkeypatch.setattr(module, "list_page", broken)
    found = await asyncio.gather(*(sharing.page(plan) for _ in range(6)), return_exceptions=True)
    assert all(isinstance(one, ZeroDivisionError) for one in found)
    assert len({id(one) for one in found}) == 6
    assert not sharing._lines


async def test_nobody_waits_for_long_behind_a_slow_command(rooms):
    sharing, plan = Sharing(rooms), plan_of("alice")
    async with Failing(rooms, times=2, blockConnection=True, blockTimeMS=1500, errorCode=50):
        slow = [asyncio.create_task(sharing.page(plan)) for _ in range(2)]
        await rooms.counting.see(2)
        assert ids_of(await sharing.page(plan))
        assert not any(one.done() for one in slow)
        await asyncio.gather(*slow, return_exceptions=True)
    assert not sharing._lines


async def test_what_was_made_of_a_page_is_shown_to_its_own_plan_alone(rooms):
    """Its rows have become what is shown to one: through another lens they are shown to nobody."""
    plan, cursors = plan_of("alice"), CursorKey(b"k" * 32)
    page = await Sharing(rooms).page(plan)
    shown = show(plan, page, cursors, 0.0)
    assert show(plan, page, cursors, 0.0) is shown
    title_only = Reach(ALWAYS, (Grant("r", ALWAYS, FieldRules(allow=frozenset({("title",)})), ALWAYS),), NEVER)
    other = replace(plan, lens=Lens(title_only, b""))
    with pytest.raises(AssertionError, match="one plan"):
        show(other, page, cursors, 0.0)
    assert [one["owner"] for one in shown.documents] == ["alice"] * 6
