"""Creates of one caller that are asked for at the same moment go together; what each is told is as if it went alone."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from time import monotonic

import bson
import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo import AsyncMongoClient
from pymongo.uri_parser import parse_uri

from permission_mongo.errors import Conflict, DeadlineExceeded, NoConnectionFree, Unavailable
from permission_mongo.outcomes import Created
from permission_mongo.plans import Actor, CreatePlan, Draft, Once, Target
from permission_mongo.schema.model import Keeping
from permission_mongo.storage import grouping as room
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.grouping import Grouping
from permission_mongo.storage.quick_pool import QuickPool
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.straight import Straight
from tests.faults.lossy import a_lossy_path

pytestmark = pytest.mark.mongo
NAME = "test_grouping"
MANY = 60
NOW = datetime(2026, 1, 31)
AUDITED = [pytest.param(False, id="plain"), pytest.param(True, id="audited")]
ALICE, BOB = object(), object()  # callers, as plans name them


def plan_of(one, *, audited, caller=ALICE, owner="alice", **values):
    document = {"_id": ObjectId(), "n": one, "owner": owner, **values}
    target = Target("notes", None, False, audited, 1000, 2**20, Keeping())
    draft = Draft(0, document["_id"], document, bson.encode(document))
    return CreatePlan(target, (draft,), None, False, None, None, caller=caller)


def actor_of(one, subject="alice"):
    return Actor(subject, None, None, ("clerk",), NOW, f"request {one}")


async def create(grouping, plan, one=0, subject="alice"):
    with refusing():
        return await grouping.create(plan, actor_of(one, subject))


async def all_of(grouping, plans):
    return await asyncio.gather(*(create(grouping, plan, n) for n, plan in enumerate(plans)), return_exceptions=True)


class Counting(pymongo.monitoring.CommandListener):
    def __init__(self):
        self.inserts = []
        self.commits = 0

    def started(self, event):
        if event.command_name == "insert" and event.command["insert"] == "notes":
            self.inserts.append([bson.decode(one.raw) for one in event.command["documents"]])
        self.commits += event.command_name == "commitTransaction"

    def succeeded(self, event):
        pass

    failed = succeeded


@asynccontextmanager
async def rooms_at(uri, seconds=5.0, **options):
    options = {"uuidRepresentation": "standard", "appname": NAME, "w": "majority", **options}
    async with AsyncMongoClient(uri, _pool_class=QuickPool, **options) as client:
        found = Rooms(client, NAME, seconds, 100)
        found.client = client
        yield found
        await found.transactor.close()


@pytest.fixture
async def rooms(mongo_uri):
    """As a gateway has them: commands go straight."""
    async with rooms_at(mongo_uri) as found:
        await found.client.drop_database(NAME)
        await found.live("notes").create_index("key", unique=True, sparse=True)
        await found.audit.stored.database.create_collection("_pm_audit")
        yield found
        await found.client.admin.command("killAllSessions", [])
        await found.client.drop_database(NAME)


@pytest.fixture
async def heard(mongo_uri, rooms):
    counting = Counting()
    async with rooms_at(mongo_uri, event_listeners=[counting]) as found:
        await found.client.admin.command("ping")
        found.counting = counting
        yield found


@asynccontextmanager
async def failing(rooms, mode, *commands, **what):
    hit = {"appName": NAME, "failCommands": [*commands], **what}
    await rooms.client.admin.command("configureFailPoint", "failCommand", mode=mode, data=hit)
    try:
        yield
    finally:
        await rooms.client.admin.command("configureFailPoint", "failCommand", mode="off")


async def require_true(rooms, plans, told, *, audited):
    """Who is told of a document finds it once; a refusal has none behind it, and one that does not say, perhaps. Of
    each document that is stored the audit has one entry, the request's own, and no other.
    """
    stored = {row["_id"]: row async for row in rooms.live("notes").find()}
    entries = [row async for row in rooms.audit.stored.find()]
    for plan, answer in zip(plans, told, strict=True):
        draft = plan.drafts[0]
        if isinstance(answer, Created):
            assert answer.document == draft.document == stored[draft.id]
        elif not isinstance(answer, asyncio.CancelledError) and not _did_not_say(answer):
            assert draft.id not in stored
    if audited:
        assert sorted(row["ids"] for row in entries) == sorted([one] for one in stored)
        asked = {plan.drafts[0].id: f"request {n}" for n, plan in enumerate(plans)}
        assert all(row["request_id"] == asked[row["ids"][0]] for row in entries)
        assert {(row["action"], row["count"], row["at"]) for row in entries} <= {("create", 1, NOW)}
        assert len({row["_id"] for row in entries}) == len(entries)
    else:
        assert entries == []


def _did_not_say(answer):
    return isinstance(answer, Unavailable) and "did not say" in str(answer)


# -- what each is told


@pytest.mark.parametrize("audited", AUDITED)
async def test_each_is_stored_and_told_so(rooms, audited):
    grouping, plans = Grouping(rooms), [plan_of(n, audited=audited) for n in range(MANY)]
    told = await all_of(grouping, plans)
    assert all(isinstance(one, Created) for one in told)
    await require_true(rooms, plans, told, audited=audited)
    assert not grouping._lines
    assert not grouping._tasks


@pytest.mark.parametrize("audited", AUDITED)
async def test_creates_of_one_moment_take_a_few_commands(heard, audited):
    told = await all_of(Grouping(heard), [plan_of(n, audited=audited) for n in range(MANY)])
    assert all(isinstance(one, Created) for one in told)
    assert len(heard.counting.inserts) <= 6
    assert heard.counting.commits == (len(heard.counting.inserts) if audited else 0)


@pytest.mark.parametrize("audited", AUDITED)
async def test_a_key_that_exists_is_told_to_its_own_alone(rooms, audited):
    await rooms.live("notes").insert_one({"_id": ObjectId(), "key": "taken"})
    keys = {0: "taken", 7: "taken", 20: "mine", 31: "mine", 50: "taken"}
    plans = [plan_of(n, audited=audited, **({"key": keys[n]} if n in keys else {})) for n in range(MANY)]
    told = await all_of(Grouping(rooms), plans)
    refused = {n for n, one in enumerate(told) if isinstance(one, Conflict)}
    assert refused in ({0, 7, 20, 50}, {0, 7, 31, 50})
    assert {str(told[n]) for n in refused} == {"a document with this key exists"}
    assert sum(isinstance(one, Created) for one in told) == MANY - len(refused)
    await rooms.live("notes").delete_one({"key": "taken"})
    await require_true(rooms, plans, told, audited=audited)


@pytest.mark.parametrize("audited", AUDITED)
async def test_what_the_server_refuses_of_one_document_is_told_to_its_own_alone(rooms, audited):
    await rooms.client[NAME].command("collMod", "notes", validator={"n": {"$ne": 30}})
    plans = [plan_of(n, audited=audited) for n in range(MANY)]
    grouping = Grouping(rooms)
    told = await asyncio.gather(
        *(grouping.create(plan, actor_of(n)) for n, plan in enumerate(plans)), return_exceptions=True
    )
    alone = await asyncio.gather(grouping.create(plan_of(30, audited=audited), actor_of(0)), return_exceptions=True)
    assert [n for n, one in enumerate(told) if not isinstance(one, Created)] == [30]
    assert (type(told[30]), told[30].code) == (type(alone[0]), 121)
    told[30] = Conflict("")
    await require_true(rooms, plans, told, audited=audited)


# -- who goes with whom


@pytest.mark.parametrize("audited", AUDITED)
async def test_two_callers_never_share_a_command(heard, audited):
    grouping = Grouping(heard)
    asked = [(caller, owner, n) for n in range(MANY) for caller, owner in ((ALICE, "alice"), (BOB, "bob"))]
    plans = [plan_of(n, audited=audited, caller=caller, owner=owner) for caller, owner, n in asked]
    told = await asyncio.gather(
        *(create(grouping, plan, 0, owner) for plan, (_, owner, _) in zip(plans, asked, strict=True))
    )
    assert all(isinstance(one, Created) for one in told)
    assert len(heard.counting.inserts) <= 12
    assert all(len({row["owner"] for row in rows}) == 1 for rows in heard.counting.inserts)


ONCE = Once("default", None, "token", "alice", "k", b"f", ObjectId())


@pytest.mark.parametrize("audited", AUDITED)
async def test_what_asks_for_more_than_to_be_stored_goes_alone(heard, audited):
    """A caller whom no plan names, an id of the client's own, a document that others would wait for."""
    plans = []
    for n in range(20):
        plain = plan_of(n, audited=audited)
        large = plan_of(n, audited=audited, text="x" * 2**16)
        plans += [replace(plain, caller=None), large, replace(plan_of(n, audited=audited), continues=True)]
    told = await all_of(Grouping(heard), plans)
    assert all(isinstance(one, Created) for one in told)
    assert {len(rows) for rows in heard.counting.inserts} == {1}


async def test_a_write_under_a_key_goes_alone(rooms):
    plan = plan_of(0, audited=True)
    assert room._may_share(plan, actor_of(0))
    assert not room._may_share(plan, replace(actor_of(0), once=ONCE))


async def test_no_command_takes_more_than_its_bytes(heard, monkeypatch):
    monkeypatch.setattr(room, "_MOST_BYTES", 5000)
    told = await all_of(Grouping(heard), [plan_of(n, audited=True, text="x" * 900) for n in range(MANY)])
    assert all(isinstance(one, Created) for one in told)
    assert max(sum(len(bson.encode(row)) for row in rows) for rows in heard.counting.inserts) <= 5000
    assert max(len(rows) for rows in heard.counting.inserts) == 5


@pytest.mark.parametrize("audited", AUDITED)
async def test_nobody_waits_long_for_commands_that_are_slow(heard, audited):
    """Two hang; those behind them go out after a moment, and not when the two have ended."""
    grouping, command = Grouping(heard), "commitTransaction" if audited else "insert"
    slow = {"blockConnection": True, "blockTimeMS": 1500}
    async with failing(heard, {"times": 2}, command, **slow):
        first = [asyncio.create_task(create(grouping, plan_of(n, audited=audited), n)) for n in range(2)]
        while heard.counting.commits < 2 if audited else len(heard.counting.inserts) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        begun = monotonic()
        told = await all_of(grouping, [plan_of(n, audited=audited) for n in range(MANY)])
        assert monotonic() - begun < 1
        await asyncio.gather(*first)
    assert all(isinstance(one, Created) for one in told)
    assert not grouping._lines


# -- who leaves, and what does not come


@pytest.mark.parametrize("audited", AUDITED)
@pytest.mark.parametrize("after", [0, 0.002, 0.01])
async def test_who_leaves_takes_nobody_along(rooms, audited, after):
    grouping, plans = Grouping(rooms), [plan_of(n, audited=audited) for n in range(MANY)]
    tasks = [asyncio.create_task(create(grouping, plan, n)) for n, plan in enumerate(plans)]
    await asyncio.sleep(after)
    for one in tasks[::2]:
        one.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, Created) for one in told[1::2])
    if grouping._tasks:
        await asyncio.wait(grouping._tasks)
    await rooms.transactor.close()
    await asyncio.sleep(0.1)
    await require_true(rooms, plans, told, audited=audited)
    assert not grouping._lines
    again = plan_of(MANY, audited=False)
    assert isinstance(await create(grouping, again), Created)


@pytest.mark.parametrize("audited", AUDITED)
async def test_who_leaves_while_the_group_is_under_way_is_stored_with_the_others(rooms, audited):
    grouping, plans = Grouping(rooms), [plan_of(n, audited=audited) for n in range(20)]
    async with failing(rooms, "alwaysOn", "insert", blockConnection=True, blockTimeMS=300):
        tasks = [asyncio.create_task(create(grouping, plan, n)) for n, plan in enumerate(plans)]
        await asyncio.sleep(0.15)
        for one in tasks[2::2]:
            one.cancel()
        async with asyncio.timeout(3):
            told = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, Created) for one in [told[0], *told[1::2]])
    await require_true(rooms, plans, told, audited=audited)
    assert await rooms.live("notes").count_documents({}) == 20


@pytest.mark.parametrize("audited", AUDITED)
async def test_who_left_before_it_was_sent_is_not_stored(heard, audited):
    grouping, plans = Grouping(heard), [plan_of(n, audited=audited) for n in range(MANY)]
    tasks = [asyncio.create_task(create(grouping, plan, n)) for n, plan in enumerate(plans)]
    await asyncio.sleep(0)
    for one in tasks[10:]:
        one.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, Created) for one in told[:10])
    assert sorted(row["n"] for rows in heard.counting.inserts for row in rows) == list(range(10))


@pytest.mark.parametrize("audited", AUDITED)
async def test_all_are_told_when_no_turn_is_free(rooms, audited):
    rooms._long_slots = asyncio.Semaphore(0)
    grouping = Grouping(rooms)
    told = await all_of(grouping, [plan_of(n, audited=audited) for n in range(8)])
    assert all(isinstance(one, NoConnectionFree) for one in told)
    assert len({id(one) for one in told}) == 8
    assert not grouping._lines


@pytest.mark.parametrize("audited", AUDITED)
async def test_time_that_is_over_is_told_to_each(mongo_uri, rooms, audited):
    async with rooms_at(mongo_uri, 0.4) as hasty:
        grouping, plans = Grouping(hasty), [plan_of(n, audited=audited) for n in range(20)]
        async with failing(rooms, "alwaysOn", "insert", blockConnection=True, blockTimeMS=1500):
            begun = monotonic()
            told = await all_of(grouping, plans)
            assert monotonic() - begun < 1.4
    kinds = {type(one) for one in told}
    assert kinds == ({DeadlineExceeded} if audited else {Unavailable})
    await asyncio.sleep(1.6)
    await require_true(rooms, plans, told, audited=audited)


# -- faults: each document once, and what is told is true

NO_PRIMARY = {"errorCode": 10107, "errorLabels": ["RetryableWriteError", "TransientTransactionError"]}
UNSURE = {"writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}}
PASSING = {
    "cut before an insert": (("insert",), {"closeConnection": True}),
    "no primary at an insert": (("insert",), NO_PRIMARY),
    "write conflict": (("insert",), {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}),
    "cut before the commit": (("commitTransaction",), {"closeConnection": True}),
    "no primary at the commit": (("commitTransaction",), {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}),
    "the transaction is gone at the commit": (
        ("commitTransaction",),
        {"errorCode": 251, "errorLabels": ["TransientTransactionError"]},
    ),
    "commit unconfirmed": (("commitTransaction",), UNSURE),
}


@pytest.mark.parametrize("audited", AUDITED)
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("times", [3, 5])
async def test_a_fault_in_the_middle_leaves_each_document_once(rooms, fault, times, audited):
    """The first two commands are of those that go alone, the next one is a group's."""
    commands, what = PASSING[fault]
    grouping, plans = Grouping(rooms), [plan_of(n, audited=audited) for n in range(MANY)]
    async with failing(rooms, {"times": times}, *commands, **what):
        told = await all_of(grouping, plans)
    if audited or fault.startswith("no primary"):
        assert all(isinstance(one, Created) for one in told)
    await require_true(rooms, plans, told, audited=audited)
    assert not grouping._lines


@pytest.mark.parametrize("lost", ["insert", "commitTransaction"])
@pytest.mark.parametrize("audited", AUDITED)
async def test_answers_that_are_lost_leave_each_document_once(mongo_uri, rooms, lost, audited):
    """The server has done it, and is asked once more under the same number."""
    host, port = parse_uri(mongo_uri)["nodelist"][0]
    with a_lossy_path(host, port) as path:
        async with rooms_at(f"mongodb://127.0.0.1:{path.port}/?directConnection=true") as lossy:
            grouping, plans = Grouping(lossy), [plan_of(n, audited=audited) for n in range(MANY)]
            await lossy.client.admin.command("ping")
            path.lose(lost, times=3)
            told = await all_of(grouping, plans)
            path.lose(times=0)
            assert all(isinstance(one, Created) for one in told)
            assert path.lost == (3 if audited or lost == "insert" else 0)
    await require_true(rooms, plans, told, audited=audited)


@pytest.mark.parametrize("audited", AUDITED)
async def test_an_end_that_is_never_told_is_looked_for(mongo_uri, rooms, audited):
    """Of a transaction its proof says whether it is done; without one nobody knows, and that is what is told."""
    host, port = parse_uri(mongo_uri)["nodelist"][0]
    with a_lossy_path(host, port) as path:
        async with rooms_at(f"mongodb://127.0.0.1:{path.port}/?directConnection=true", 2.0) as lossy:
            grouping, plans = Grouping(lossy), [plan_of(n, audited=audited) for n in range(20)]
            await lossy.client.admin.command("ping")
            path.lose("commitTransaction" if audited else "insert", times=10**6)
            told = await all_of(grouping, plans)
            path.lose(times=0)
    told_well = [isinstance(one, Created | DeadlineExceeded) and audited for one in told]
    assert all(well or _did_not_say(one) for well, one in zip(told_well, told, strict=True))
    assert any(isinstance(one, Created) for one in told) == audited
    await require_true(rooms, plans, told, audited=audited)


async def test_what_is_not_on_a_majority_is_told_to_nobody_as_stored(rooms):
    """A refusal of one document has nothing to do with that, and is told all the same."""
    await rooms.live("notes").insert_one({"_id": ObjectId(), "key": "taken"})
    plans = [plan_of(n, audited=False, **({"key": "taken"} if n == 9 else {})) for n in range(20)]
    async with failing(rooms, "alwaysOn", "insert", **UNSURE):
        told = await all_of(Grouping(rooms), plans)
    assert isinstance(told[9], Conflict)
    assert all(_did_not_say(one) for n, one in enumerate(told) if n != 9)


async def test_a_group_goes_together_where_the_primary_is_to_be_found_first(heard, monkeypatch):
    """As behind shards, or while the servers change their places."""
    monkeypatch.setattr(Straight, "_primary", lambda _: None)
    plans = [plan_of(n, audited=False, **({"key": "mine"} if n in {4, 5} else {})) for n in range(20)]
    told = await all_of(Grouping(heard), plans)
    assert sum(isinstance(one, Conflict) for one in told) == 1
    assert sum(isinstance(one, Created) for one in told) == 19
    assert len(heard.counting.inserts) <= 4
    await require_true(heard, plans, told, audited=False)


@pytest.mark.parametrize("audited", AUDITED)
async def test_a_server_that_is_away_is_told_to_each(audited):
    """Nothing was sent, so it is not told as something that nobody knows."""
    async with rooms_at("mongodb://127.0.0.1:1/?replicaSet=test", serverSelectionTimeoutMS=200) as away:
        begun = monotonic()
        told = await all_of(Grouping(away), [plan_of(n, audited=audited) for n in range(20)])
        assert monotonic() - begun < 2
    assert {(type(one), str(one)) for one in told} == {(Unavailable, "MongoDB can't be reached just now")}


async def test_what_the_server_is_silent_about_is_told_to_nobody_as_stored(rooms, monkeypatch):
    """An answer that counts fewer documents than were sent, and names none that is refused."""
    asked = Straight._sent

    async def short(*given, **named):
        answer = await asked(*given, **named)
        return {**answer, "n": answer["n"] - 1} if answer.get("n", 0) > 1 else answer

    monkeypatch.setattr(Straight, "_sent", short)
    told = await all_of(Grouping(rooms), [plan_of(n, audited=False) for n in range(20)])
    assert [isinstance(one, Created) for one in told] == [n < 2 for n in range(20)]
    assert all(_did_not_say(one) for one in told[2:])
