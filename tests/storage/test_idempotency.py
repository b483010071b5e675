"""The record of a key: one run's, kept with what took effect, freed with what did not."""

from datetime import datetime

import pytest
from bson.objectid import ObjectId

from permission_mongo.config.model import Config, MongoDB
from permission_mongo.errors import Conflict, StillRunning
from permission_mongo.outcomes import BatchOutcome, Written
from permission_mongo.plans import Once
from permission_mongo.policy.grants import Policy
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.idempotency import Answers, Taken
from permission_mongo.storage.jobs import Jobs
from permission_mongo.storage.layout import prepare

pytestmark = pytest.mark.mongo
NOW = datetime(2026, 2, 1)
NOTHING, ONE = BatchOutcome("deleted", ()), BatchOutcome("deleted", ("a",), batch="0" * 32)


@pytest.fixture
async def database(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.drop_database("idempotency_test")
        await prepare(client["idempotency_test"], Config({}, Policy((), {})))
        yield client["idempotency_test"]
        await client.drop_database("idempotency_test")


@pytest.fixture
def answers(database):
    return Answers(database, Jobs(database, 5), 5)


def once(**change) -> Once:
    about = {"namespace": "default", "tenant": "acme", "kind": "token", "subject": "alice", "key": "k"}
    return Once(**{**about, "fingerprint": b"f", "run": ObjectId(), **change})


async def left(answers, one: Once, kept, *, running: bool) -> None:
    """As a transaction that claims the key and leaves this."""
    async with answers._kept.database.client.start_session() as session, await session.start_transaction():
        await answers.claim(session, one, NOW)
        await answers.keep(session, one, kept, running=running)


async def aged(database, seconds: float) -> None:
    change = [{"$set": {"moved": {"$subtract": ["$$NOW", seconds * 1000]}}}]
    await database["_pm_idempotency"].update_many({}, change)


async def test_a_free_key_has_no_answer(answers):
    assert await answers.find(once()) is None


async def test_what_is_left_is_found_by_the_same_request_of_another_run(answers):
    await left(answers, once(), Written("a", 1, created=True), running=False)
    assert await answers.find(once()) == Written("a", 1, created=True)


@pytest.mark.parametrize("change", [{"tenant": "globex"}, {"tenant": None}, {"subject": "bob"}, {"kind": "key"}])
async def test_t35_another_callers_key_is_another(answers, change):
    await left(answers, once(), ONE, running=False)
    assert await answers.find(once(**change)) is None
    await left(answers, once(**change), NOTHING, running=False)


@pytest.mark.parametrize("change", [{"namespace": "other"}, {"key": "K"}])
async def test_another_namespaces_key_and_another_key_are_free(answers, change):
    await left(answers, once(), ONE, running=False)
    assert await answers.find(once(**change)) is None


async def test_another_request_under_the_key_is_a_conflict(answers):
    await left(answers, once(), ONE, running=False)
    with pytest.raises(Conflict) as caught:
        await answers.find(once(fingerprint=b"g"))
    assert not isinstance(caught.value, StillRunning)


async def test_a_second_run_can_neither_claim_nor_settle(answers, database):
    await left(answers, once(), ONE, running=False)
    with pytest.raises(Taken):
        await left(answers, once(), ONE, running=False)
    with pytest.raises(Taken):
        await answers.settle(once(), NOTHING, NOW)
    assert await database["_pm_idempotency"].count_documents({}) == 1


async def test_a_claim_in_an_open_transaction_keeps_others_out_at_once(answers, database):
    client = database.client
    async with client.start_session() as first, client.start_session() as second:
        await first.start_transaction()
        await answers.claim(first, once(), NOW)
        await second.start_transaction()
        with pytest.raises(Taken):
            await answers.claim(second, once(), NOW)
        await first.abort_transaction()
    assert await answers.find(once()) is None


async def test_a_run_goes_on_under_its_own_claim_and_settles_it(answers):
    one = once()
    await left(answers, one, NOTHING, running=True)
    await left(answers, one, ONE, running=True)
    with pytest.raises(StillRunning):
        await answers.find(once())
    await answers.settle(one, ONE, NOW)
    assert (await answers.find(once())).count == 1


async def test_after_a_long_silence_a_running_batch_is_told_as_interrupted(answers, database):
    """Ten times what a transaction may take, and never less than a minute."""
    await left(answers, once(), ONE, running=True)
    await aged(database, 58)
    with pytest.raises(StillRunning):
        await answers.find(once())
    with pytest.raises(StillRunning):
        await Answers(database, Jobs(database, 30), 30).find(once())
    await aged(database, 62)
    found = await answers.find(once())
    assert (found.count, found.interrupted) == (1, True)
    with pytest.raises(StillRunning):
        await Answers(database, Jobs(database, 30), 30).find(once())


async def test_a_refused_run_frees_its_key_unless_it_took_effect(answers):
    idle, effective = once(), once(key="other")
    await left(answers, idle, NOTHING, running=True)
    await left(answers, effective, ONE, running=True)
    await answers.forget(idle)
    await answers.forget(effective)
    assert await answers.find(once()) is None
    with pytest.raises(StillRunning):
        await answers.find(once(key="other"))


async def test_forgetting_frees_no_other_runs_key(answers):
    await left(answers, once(), NOTHING, running=True)
    await answers.forget(once())
    with pytest.raises(StillRunning):
        await answers.find(once())
