"""Commands by the shortest way: whatever happens to one, nobody gets the answer of another, and no connection is lost."""

import asyncio
import random
from time import monotonic

import pymongo
import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, NetworkTimeout, OperationFailure, PyMongoError

from permission_mongo.config.model import MongoDB
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.quick_pool import QuickConnection
from tests.storage.straights import NAME, SLOW, Listening, failing, ids, pool_of, slow_finds, straight_to

pytestmark = pytest.mark.mongo


async def test_the_gateways_client_waits_by_one_future_and_its_watch_on_the_servers_as_the_driver_does(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.admin.command("ping")
        (server,) = client._topology._servers.values()
        assert {type(one) for one in server.pool.conns} == {QuickConnection}
        monitors = server._monitor._pool.conns
        assert QuickConnection not in {type(one) for one in monitors}


async def test_a_read_goes_straight_to_a_primary(straight):
    assert await ids(straight, 3) == [3]
    assert straight._primary() is not None
    assert straight._seen is straight._client.topology_description


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_is_cancelled_leaves_no_answer_behind_for_another(mongo_uri, straight, seed):
    """Two hundred reads on four connections; a third is cancelled at any moment."""
    chance = random.Random(seed)
    async with straight_to(mongo_uri, most=4) as narrow:
        wrong, told = [], 0

        async def ask(one: int) -> None:
            nonlocal told
            found = await ids(narrow, one)
            told += 1
            if found != [one]:
                wrong.append((one, found))

        for _ in range(10):
            tasks = [asyncio.create_task(ask(chance.randrange(50))) for _ in range(20)]
            for task in tasks:
                if chance.random() < 0.3:
                    asyncio.get_running_loop().call_later(chance.random() * 0.01, task.cancel)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in ended if one is not None} <= {asyncio.CancelledError}
        assert not wrong
        assert told > 60
        assert await ids(narrow, 7) == [7]
        assert pool_of(narrow).active_sockets == 0


async def test_more_ask_than_there_are_connections_and_all_are_served(mongo_uri, straight):
    async with straight_to(mongo_uri, most=2) as narrow:
        found = await asyncio.gather(*[ids(narrow, n) for n in range(50)])
        assert found == [[n] for n in range(50)]
        for n in range(5):  # now without anybody who waits
            assert await asyncio.gather(ids(narrow, n), ids(narrow, n + 1)) == [[n], [n + 1]]
        pool = pool_of(narrow)
        assert (len(pool.conns), pool.active_sockets, pool.requests, pool.operation_count) == (2, 0, 0, 0)
        assert not pool.active_contexts


async def test_a_connection_of_another_generation_is_closed_and_not_asked(mongo_uri, straight):
    async with straight_to(mongo_uri, most=1) as alone:
        await ids(alone, 1)
        (old,) = pool_of(alone).conns
        await pool_of(alone).reset_without_pause()
        assert await ids(alone, 1) == [1]
        (new,) = pool_of(alone).conns
        assert old.closed
        assert new is not old
        pool_of(alone).gen.inc(None)  # as one that came back late
        async with pool_of(alone).checkout() as another:
            assert another is not new
        assert new.closed


async def test_a_connection_that_ages_while_it_is_in_use_is_not_kept(mongo_uri, straight):
    async with straight_to(mongo_uri, most=2) as few:
        await ids(few, 1)
        async with slow_finds(straight._client):
            reading = asyncio.create_task(ids(few, 1))
            await asyncio.sleep(0.1)
            await pool_of(few).reset_without_pause()
            assert await reading == [1]
        assert not pool_of(few).conns
        assert await ids(few, 1) == [1]


async def test_a_connection_that_the_server_closed_meanwhile_is_noticed(mongo_uri, straight):
    async with straight_to(mongo_uri, most=1) as alone:
        await ids(alone, 1)
        (one,) = pool_of(alone).conns
        one.conn.get_conn.transport.abort()
        await asyncio.sleep(1.1)
        assert await ids(alone, 1) == [1]


async def test_a_deadline_ends_a_read_and_the_next_has_a_connection(straight):
    async with slow_finds(straight._client):
        started = monotonic()
        with pymongo.timeout(0.15), pytest.raises(PyMongoError) as met:
            await ids(straight, 1)
        assert met.value.timeout
        assert monotonic() - started < SLOW / 1000
    assert await ids(straight, 1) == [1]


async def test_the_deadline_of_one_command_is_not_that_of_the_next_on_its_connection(mongo_uri, straight):
    async with straight_to(mongo_uri, most=1) as alone:
        with pymongo.timeout(0.2):
            await alone._database.command("ping")
        async with slow_finds(straight._client):
            assert await ids(alone, 2) == [2]


async def test_a_read_on_a_connection_that_is_called_off_ends_long_before_its_answer(straight):
    await ids(straight, 1)
    async with slow_finds(straight._client, 3000):
        started = monotonic()
        reading = asyncio.create_task(ids(straight, 1))
        await asyncio.sleep(0.05)
        for context in list(pool_of(straight).active_contexts):
            context.cancel()
        with pytest.raises(AutoReconnect):
            await reading
        assert monotonic() - started < 2
    assert await ids(straight, 1) == [1]


async def test_a_socket_timeout_holds(mongo_uri, straight):
    async with straight_to(mongo_uri, socketTimeoutMS=100) as hasty:
        await hasty._database.command("ping")
        async with slow_finds(straight._client):
            with pytest.raises(NetworkTimeout):
                await ids(hasty, 1)


async def test_what_the_server_refuses_is_raised(straight):
    with pytest.raises(OperationFailure) as met:
        await straight.read({"find": "rows", "filter": {"$no": 1}})
    assert met.value.code == 2


async def test_a_server_that_is_no_primary_any_more_is_told_as_a_lost_connection(straight):
    hit = {"appName": NAME, "failCommands": ["find"], "errorCode": 10107}
    await straight._client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=hit)
    with pytest.raises(AutoReconnect):
        await ids(straight, 1)
    assert await ids(straight, 1) == [1]


async def test_who_listens_to_commands_is_told_of_each(mongo_uri, straight):
    listening = Listening()
    async with straight_to(mongo_uri, event_listeners=[listening]) as heard:
        await ids(heard, 1)
        async with heard._client.start_session() as session, await session.start_transaction():
            await heard.insert(session, "rows", {"_id": 100})
    assert listening.told.count("find") == 1
    assert listening.told.count("insert") == 1
    assert await ids(straight, 100) == [100]


async def test_within_a_transaction_everything_is_committed_together_or_not_at_all(straight):
    async with straight._client.start_session() as session:
        async with await session.start_transaction():
            await straight.insert(session, "rows", {"_id": 100})
            await straight.within(session, {"update": "rows", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 1}}}]})
            assert await ids(straight, 100) == []
        assert await ids(straight, 100) == [100]
        await session.start_transaction()
        await straight.insert(session, "rows", {"_id": 101})
        with pytest.raises(DuplicateKeyError):
            await straight.insert(session, "rows", {"_id": 100})
        await session.abort_transaction()
        assert await ids(straight, 101) == []


async def test_a_connection_lost_within_a_transaction_is_a_reason_to_try_it_again(straight):
    hit = {"appName": NAME, "failCommands": ["insert"], "closeConnection": True}
    async with straight._client.start_session() as session:
        await session.start_transaction()
        await straight._client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=hit)
        with pytest.raises(AutoReconnect) as met:
            await straight.insert(session, "rows", {"_id": 102})
        assert met.value.has_error_label("TransientTransactionError")
        await session.abort_transaction()
    assert await ids(straight, 102) == []


NO_PRIMARY = {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}
CUT = {"closeConnection": True}


@pytest.mark.parametrize("what", [CUT, NO_PRIMARY])
async def test_an_insert_that_may_have_got_lost_is_sent_again_and_takes_effect_once(straight, what):
    async with failing(straight._client, {"times": 1}, failCommands=["insert"], **what):
        await straight.insert_once("rows", {"_id": 200, "n": 1})
    assert await ids(straight, 200) == [200]


async def test_an_insert_whose_answer_was_lost_is_the_same_write_when_it_is_sent_again(straight):
    """The number under which it is sent tells the server: otherwise its key would exist."""
    server, command = straight._primary(), {"insert": "rows", "documents": [{"_id": 201}]}
    async with straight._client._tmp_session(None) as session:
        session._start_retryable_write()
        await straight._written(server, session, command)
        await straight._written(server, session, command)
    with pytest.raises(DuplicateKeyError):
        await straight.insert_once("rows", {"_id": 201})


async def test_an_insert_is_sent_twice_and_within_a_deadline_until_it_is_over(straight):
    async with failing(straight._client, "alwaysOn", failCommands=["insert"], **CUT):
        with pytest.raises(AutoReconnect):
            await straight.insert_once("rows", {"_id": 202})
    async with failing(straight._client, {"times": 3}, failCommands=["insert"], **CUT):
        with pymongo.timeout(5):
            await straight.insert_once("rows", {"_id": 203})
    async with failing(straight._client, "alwaysOn", failCommands=["insert"], **CUT):
        started = monotonic()
        with pymongo.timeout(0.3), pytest.raises(PyMongoError):
            await straight.insert_once("rows", {"_id": 204})
        assert monotonic() - started < 2
    assert [await ids(straight, n) for n in (202, 203, 204)] == [[], [203], []]


async def test_an_insert_that_is_refused_is_not_sent_again(straight):
    async with failing(straight._client, "alwaysOn", failCommands=["insert"], errorCode=8000):
        with pytest.raises(OperationFailure) as met:
            await straight.insert_once("rows", {"_id": 205})
    assert met.value.code == 8000


async def committed(straight, one: int) -> None:
    async with straight._client.start_session() as session:
        await session.start_transaction()
        await straight.insert(session, "rows", {"_id": one})
        try:
            await straight.commit(session)
        except BaseException:
            assert not session.in_transaction  # so that nothing is aborted that may have been committed
            await asyncio.sleep(SLOW / 1000)
            await straight._client.admin.command("killSessions", [session.session_id])
            raise


@pytest.mark.parametrize("what", [CUT, NO_PRIMARY])
async def test_a_commit_that_may_have_got_lost_is_sent_again(straight, what):
    async with failing(straight._client, {"times": 1}, failCommands=["commitTransaction"], **what):
        await committed(straight, 300)
    assert await ids(straight, 300) == [300]


async def test_a_commit_that_nobody_hears_is_told_as_unknown(straight):
    async with failing(straight._client, "alwaysOn", failCommands=["commitTransaction"], **CUT):
        with pytest.raises(AutoReconnect) as met:
            await committed(straight, 301)
    assert met.value.has_error_label("UnknownTransactionCommitResult")


async def test_a_commit_that_is_refused_is_told_so_and_sent_once(straight):
    what = {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}
    async with failing(straight._client, {"times": 1}, failCommands=["commitTransaction"], **what):
        with pytest.raises(OperationFailure) as met:
            await committed(straight, 302)
    assert met.value.has_error_label("TransientTransactionError")
    assert await ids(straight, 302) == []


async def test_a_commit_that_is_cancelled_is_one_that_may_have_happened(straight):
    hit = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": SLOW}
    async with failing(straight._client, {"times": 1}, **hit):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(committed(straight, 303), 0.2)
    assert await ids(straight, 303) == [303]


async def test_a_transaction_without_a_write_is_committed_without_a_word(straight):
    async with straight._client.start_session() as session:
        await session.start_transaction()
        await straight.commit(session)
        assert not session.in_transaction
