"""Writes sent behind each other: each gets its own answer, all are committed or none, and no connection is left unread."""

import asyncio
from contextlib import asynccontextmanager

import pymongo
import pytest
from pymongo.errors import AutoReconnect, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from tests.storage.straights import SLOW, Listening, failing, ids, pool_of, straight_to

pytestmark = pytest.mark.mongo
CUT = {"closeConnection": True}
LATE = {"blockConnection": True, "blockTimeMS": SLOW}


@pytest.fixture
async def alone(mongo_uri, straight):
    """On one connection: what is left unread on it is met by the next who asks."""
    async with straight_to(mongo_uri, most=1) as found:
        await ids(found, 1)  # from here on it knows who is the primary
        yield found


@asynccontextmanager
async def transaction(straight):
    async with straight._client.start_session() as session:
        await session.start_transaction()
        try:
            yield session
        except BaseException:
            # As the transactor does. A statement that is still on its way to the server is not waited for by this one.
            await straight._client.admin.command("killSessions", [session.session_id])
            raise
        await straight.commit(session)


def an_insert(*rows: int):
    return {"insert": "rows", "documents": [{"_id": one} for one in rows]}


AN_UPDATE = {"update": "rows", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 1}}}]}


async def written(straight, *commands, within=10.0):
    async with transaction(straight) as session:
        with pymongo.timeout(within):
            async with straight.pipelined(session) as pipeline:
                for one in commands:
                    await pipeline.send(one)


async def is_calm(straight):
    """Its only connection is whole: whoever asks next gets the answer to what was asked."""
    for one in (1, 2, 3):
        assert await ids(straight, one) == [one]
    assert pool_of(straight).active_sockets == 0


async def test_each_write_gets_its_own_answer_and_all_are_committed(alone):
    answers = []
    async with transaction(alone) as session, alone.pipelined(session) as pipeline:
        for n in range(12):
            await pipeline.send(an_insert(*range(100 * (n + 1), 100 * (n + 1) + n + 1)), answers.append)
        assert len(answers) == 8, "no more than a few are in memory"
    assert [one["n"] for one in answers] == [*range(1, 13)]
    assert [await ids(alone, 100 * n) for n in range(1, 13)] == [[100 * n] for n in range(1, 13)]
    await is_calm(alone)


async def test_what_is_sent_behind_is_not_waited_for(alone):
    """So many that they are on their way while none is answered."""
    async with transaction(alone) as session, failing(alone._client, "alwaysOn", failCommands=["insert"], **LATE):
        async with alone.pipelined(session) as pipeline:
            answers = []
            async with asyncio.timeout(SLOW / 2000):
                for n in (100, 101, 102):
                    await pipeline.send(an_insert(n), answers.append)
            assert answers == []
            await pipeline.answered(left=2)
            assert len(answers) == 1
        assert len(answers) == 3
    await is_calm(alone)


@pytest.mark.parametrize("wrong", [0, 1, 2, 4])
async def test_one_that_is_refused_ends_those_behind_it_too(alone, wrong):
    rows = [100, 101, 102, 103, 104]
    rows[wrong] = 7
    with pytest.raises(DuplicateKeyError):
        await written(alone, *map(an_insert, rows))
    await is_calm(alone)
    assert [await ids(alone, one) for one in (100, 101, 102, 103, 104)] == [[]] * 5


async def test_who_sends_may_give_up_in_the_middle(alone):
    async def give_up():
        async with transaction(alone) as session, alone.pipelined(session) as pipeline:
            await pipeline.send(an_insert(100))
            await pipeline.send(an_insert(101))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await give_up()
    assert [await ids(alone, one) for one in (100, 101)] == [[], []]
    await is_calm(alone)


async def test_what_can_not_be_sent_leaves_what_was_sent_read(alone):
    too_large = {"insert": "rows", "documents": [{"_id": 101, "text": "x" * 17_000_000} for _ in range(3)]}
    with pytest.raises(DocumentTooLarge):
        await written(alone, an_insert(100), too_large)
    assert await ids(alone, 100) == []
    await is_calm(alone)


@pytest.mark.parametrize("after", [0.001, 0.05, SLOW / 1000 + 0.05])
async def test_who_is_cancelled_leaves_no_answer_behind(alone, after):
    async with failing(alone._client, "alwaysOn", failCommands=["insert"], **LATE):
        writing = asyncio.create_task(written(alone, *map(an_insert, (100, 101, 102))))
        await asyncio.sleep(after)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await is_calm(alone)
    await asyncio.sleep(SLOW / 500)
    assert [await ids(alone, one) for one in (100, 101, 102)] == [[], [], []]


async def test_who_is_cancelled_while_at_something_else_leaves_no_answer_behind(alone):
    sent = asyncio.Event()

    async def write():
        async with transaction(alone) as session, alone.pipelined(session) as pipeline:
            await pipeline.send(an_insert(100))
            sent.set()
            await asyncio.sleep(60)

    writing = asyncio.create_task(write())
    await sent.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await is_calm(alone)
    assert await ids(alone, 100) == []


async def test_a_deadline_ends_it_also_where_answers_are_still_to_come(alone):
    async with failing(alone._client, "alwaysOn", failCommands=["insert"], **LATE):
        with pytest.raises(PyMongoError) as met:
            await written(alone, an_insert(100), an_insert(101), within=0.1)
        assert met.value.timeout
        await is_calm(alone)
    assert [await ids(alone, one) for one in (100, 101)] == [[], []]


async def test_a_connection_that_is_lost_is_a_reason_to_try_it_again(alone):
    async with failing(alone._client, {"times": 1}, failCommands=["update"], **CUT):
        with pytest.raises(AutoReconnect) as met:
            await written(alone, an_insert(100), AN_UPDATE, an_insert(101))
    assert met.value.has_error_label("TransientTransactionError")
    assert [await ids(alone, one) for one in (100, 101)] == [[], []]
    await is_calm(alone)


async def test_a_first_one_that_fails_begins_no_transaction_by_the_second(alone):
    async with failing(alone._client, {"times": 1}, failCommands=["insert"], errorCode=8000):
        with pytest.raises(OperationFailure) as met:
            await written(alone, an_insert(100), an_insert(101))
    assert met.value.code == 8000
    assert [await ids(alone, one) for one in (100, 101)] == [[], []]
    await is_calm(alone)


async def test_who_listens_to_commands_is_told_of_each(mongo_uri, straight):
    listening, answers = Listening(), []
    async with straight_to(mongo_uri, most=1, event_listeners=[listening]) as heard:
        await ids(heard, 1)
        async with transaction(heard) as session, heard.pipelined(session) as pipeline:
            await pipeline.send(an_insert(100), answers.append)
            await pipeline.send(an_insert(101, 102), answers.append)
        with pytest.raises(DuplicateKeyError):
            async with transaction(heard) as session, heard.pipelined(session) as pipeline:
                await pipeline.send(an_insert(1))
    assert [one["n"] for one in answers] == [1, 2]
    assert listening.told.count("insert") == 3
    assert [await ids(straight, one) for one in (100, 101, 102)] == [[100], [101], [102]]


async def test_outside_a_transaction_each_is_answered_at_once(alone):
    async with alone._client.start_session() as session, alone.pipelined(session) as pipeline:
        await pipeline.send(an_insert(100))
        assert await ids(alone, 100) == [100]
        with pytest.raises(DuplicateKeyError):
            await pipeline.send(an_insert(100))
