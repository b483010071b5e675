"""A transaction ends: committed, or gone with its locks, whatever happens to the request that asked."""

import asyncio
from time import monotonic

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import Conflict, DeadlineExceeded, Unavailable
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.faults import refusal_of, refusing
from permission_mongo.storage.transactions import Contended, Late, Lost, Proof, Transactor

pytestmark = pytest.mark.mongo
PROOF = Proof("rows", {"_id": "proof"})


@pytest.fixture
async def client(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.drop_database("transactions_test")
        await client["transactions_test"]["rows"].insert_one({"_id": 1, "n": 0})
        yield client
        await client.drop_database("transactions_test")


@pytest.fixture
def rows(client):
    return client["transactions_test"]["rows"]


@pytest.fixture
async def transactor(client):
    transactor = Transactor(client, "transactions_test")
    yield transactor
    await transactor.close()


async def raise_by_one(rows, session):
    await rows.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
    await rows.insert_one({"_id": "proof"}, session=session)
    return "done"


async def open_transactions(client) -> int:
    pipeline = [
        {"$currentOp": {"allUsers": True, "idleSessions": True}},
        {"$match": {"transaction": {"$exists": True}}},
    ]
    return len(await (await client.admin.aggregate(pipeline)).to_list())


async def is_free(rows) -> bool:
    started = monotonic()
    await asyncio.wait_for(rows.update_one({"_id": 1}, {"$inc": {"n": 100}}), 10)
    return monotonic() - started < 4


async def test_what_the_body_wrote_is_committed_and_its_answer_given(transactor, rows):
    assert await transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 5, proof=PROOF) == "done"
    assert (await rows.find_one({"_id": 1}))["n"] == 1


async def test_a_rehearsal_leaves_nothing(transactor, rows):
    run = transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 5, proof=PROOF, commit=False)
    assert await run == "done"
    assert await rows.find_one({"_id": 1}) == {"_id": 1, "n": 0}
    assert await is_free(rows)


async def test_a_body_that_fails_leaves_nothing(transactor, rows):
    async def fails(session):
        await raise_by_one(rows, session)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await transactor.run(fails, deadline=monotonic() + 5, proof=PROOF)
    assert (await rows.find_one({"_id": 1}))["n"] == 0
    assert await is_free(rows)


async def test_of_rivals_on_one_row_each_counts_once(transactor, rows, client):
    async def one(n):
        async def body(session):
            await rows.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
            await rows.insert_one({"_id": n + 10}, session=session)

        await transactor.run(body, deadline=monotonic() + 20, proof=Proof("rows", {"_id": n + 10}), attempts=1000)

    await asyncio.gather(*(one(n) for n in range(12)))
    assert (await rows.find_one({"_id": 1}))["n"] == 12
    assert await open_transactions(client) == 0


async def test_a_row_that_stays_locked_ends_in_contention_within_the_deadline(transactor, rows, client):
    holder = client.start_session()
    await holder.start_transaction()
    await rows.update_one({"_id": 1}, {"$set": {"n": 7}}, session=holder)
    started = monotonic()
    with pytest.raises(Contended):
        await transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 1, proof=PROOF, attempts=10_000)
    assert monotonic() - started < 10
    await holder.abort_transaction()
    await holder.end_session()
    assert await is_free(rows)


async def test_f7_a_deadline_inside_the_body_leaves_no_locks(transactor, rows, client):
    async def slow(session):
        await raise_by_one(rows, session)
        await asyncio.sleep(1)
        await rows.find_one({"_id": 1}, session=session)

    with pytest.raises(PyMongoError) as caught:
        await transactor.run(slow, deadline=monotonic() + 0.5, proof=PROOF, attempts=1)
    assert isinstance(refusal_of(caught.value), DeadlineExceeded)
    assert await is_free(rows)
    assert await open_transactions(client) == 0


async def test_f11_a_request_that_leaves_takes_its_locks_along(transactor, rows, client):
    reached = asyncio.Event()

    async def waits(session):
        await raise_by_one(rows, session)
        reached.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(transactor.run(waits, deadline=monotonic() + 60, proof=PROOF))
    await reached.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await transactor.close()
    assert await is_free(rows)
    assert await open_transactions(client) == 0


async def with_failpoint(client, mode, **data):
    await client.admin.command(
        "configureFailPoint", "failCommand", mode=mode, data={"appName": "permission-mongo", **data}
    )


async def test_f4_lost_commit_answers_apply_once(transactor, rows, client):
    with_transaction = transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 10, proof=PROOF)
    await with_failpoint(client, {"times": 2}, failCommands=["commitTransaction"], closeConnection=True)
    try:
        assert await with_transaction == "done"
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert (await rows.find_one({"_id": 1}))["n"] == 1


async def test_f4_a_commit_that_never_answers_is_told_by_its_proof(transactor, rows, client):
    """Each commit runs and its answer is a write concern error: the record says that it happened."""
    error = {"code": 64, "errmsg": "waiting for replication timed out"}
    await with_failpoint(client, "alwaysOn", failCommands=["commitTransaction"], writeConcernError=error)
    try:
        run = transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 0.5, proof=PROOF)
        assert await run == "done"
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert (await rows.find_one({"_id": 1}))["n"] == 1


async def test_f4_a_commit_that_never_happens_is_late_and_leaves_nothing(transactor, rows, client):
    await with_failpoint(client, "alwaysOn", failCommands=["commitTransaction"], closeConnection=True)
    try:
        with pytest.raises(Late):
            await transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 0.5, proof=PROOF)
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert (await rows.find_one({"_id": 1}))["n"] == 0
    assert await is_free(rows)


async def test_f4_a_cut_beside_the_transaction_makes_it_run_again(transactor, rows, client):
    """The driver labels nothing that is not in the transaction, and repeats no plain command."""

    async def body(session):
        await rows.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        return await client.admin.command("ping")

    await with_failpoint(client, {"times": 1}, failCommands=["ping"], closeConnection=True)
    assert (await transactor.run(body, deadline=monotonic() + 8, proof=PROOF))["ok"] == 1
    assert (await rows.find_one({"_id": 1}))["n"] == 1
    assert await open_transactions(client) == 0


@pytest.mark.parametrize("code", [43, 91, 189, 246, 262, 10107, 11600, 11602])
def test_f4_a_server_that_is_not_in_its_place_is_no_fault_of_ours(code):
    assert isinstance(refusal_of(OperationFailure("words with values", code)), Unavailable)


async def test_t32_refusals_hold_no_server_text(rows):
    with pytest.raises(Conflict) as caught, refusing():
        await rows.insert_one({"_id": 1, "canary": "secret"})
    assert isinstance(caught.value.__cause__, DuplicateKeyError)
    assert "rows" not in str(caught.value)
    assert caught.value.details == {}


async def test_an_unreachable_server_is_unavailable():
    async with new_client(
        "mongodb://127.0.0.1:9/?directConnection=true", MongoDB(server_selection_timeout=0.2)
    ) as client:
        with pytest.raises(Unavailable), refusing():
            await client["x"]["y"].find_one({})


async def test_an_abort_that_nobody_hears_is_followed_by_the_end_of_its_session(client, transactor, rows):
    """The driver keeps it to itself: the rows would stay locked for a minute, and with them a key to ask again with."""
    hit = {"appName": "permission-mongo", "failCommands": ["abortTransaction"], "errorCode": 10107}

    async def fails(session):
        await raise_by_one(rows, session)
        raise ValueError("no")

    await client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=hit)
    try:
        with pytest.raises(ValueError, match="no"):
            await transactor.run(fails, deadline=monotonic() + 5, proof=PROOF)
        assert await open_transactions(client) == 0
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert await is_free(rows)


async def test_a_commit_of_which_nothing_can_be_learned_is_ended_all_the_same(client, transactor, rows):
    """Nobody answers what became of it, and nothing did: what it holds is not left to the server's own minute."""
    hit = {
        "appName": "permission-mongo",
        "failCommands": ["commitTransaction", "killSessions"],
        "closeConnection": True,
    }
    await client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=hit)
    try:
        with pytest.raises(Lost):
            await transactor.run(lambda s: raise_by_one(rows, s), deadline=monotonic() + 0.5, proof=PROOF)
        assert await open_transactions(client) == 1
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
    async with asyncio.timeout(10):
        while await open_transactions(client):  # noqa: ASYNC110  (the server tells nobody)
            await asyncio.sleep(0.05)
