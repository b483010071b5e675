"""A gateway that was told to end: long work stops behind the chunk in hand, and another one goes on with it."""

import asyncio

import pytest

from permission_mongo.assembly import open_gateway
from tests.http.harness import SCHEMA, a_config, a_world
from tests.http.test_jobs import ADMINS, OPEN, SMALL, add_many, ended, has_done, held

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


KEYED = {"idempotency-key": "once"}


async def begun(world) -> str:
    """The one job, once there is a record of it."""
    for _ in range(400):
        jobs = (await world.get("/_pm/jobs")).json()["data"]
        if jobs:
            return jobs[0]["id"]
        await asyncio.sleep(0.02)
    raise AssertionError("no job was begun")


async def test_f10_who_waits_for_long_work_is_told_how_far_it_came_and_another_gateway_ends_it(mongo_uri, tmp_path):
    config = a_config(tmp_path, SMALL, SCHEMA, ADMINS)
    async with a_world(mongo_uri, config) as world:
        ids = await add_many(world, 30)
        async with held(world, milliseconds=150):
            asked = asyncio.create_task(world.delete("/notes/batch", OPEN, headers=KEYED))
            job = await begun(world)
            await has_done(world, job, 4)
            world.gateway.end()
            answer = await asked
        told = answer.json()
        assert (answer.status_code, told["error"]["code"]) == (207, "unavailable")
        assert told["batch"] == job
        assert 0 < told["deleted"] < 30
        assert len(await world.stored(*ids)) == 30 - told["deleted"]
        left = (await world.get(f"/_pm/jobs/{job}")).json()
        assert (left["state"], left["progress"]["deleted"]) == ("running", told["deleted"])
        async with open_gateway(config, mongo_uri):
            assert (await ended(world, job))["progress"] == {"deleted": 30, "failed": 0}
        again = await world.delete("/notes/batch", OPEN, headers=KEYED)
        assert (again.headers["idempotency-replayed"], again.json()["deleted"]) == ("true", 30)


async def test_f10_a_rehearsal_of_long_work_ends_as_unavailable(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, SCHEMA, ADMINS)) as world:
        ids = await add_many(world)
        world.gateway.end()
        answer = await world.delete("/notes/batch", {**OPEN, "dry_run": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert await world.stored(*ids) == ids


async def test_f10_what_one_transaction_holds_is_done_as_ever(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, SCHEMA, ADMINS)) as world:
        ids = await add_many(world, 4)
        world.gateway.end()
        answer = await world.delete("/notes/batch", OPEN)
        assert (answer.status_code, answer.json()["deleted"], await world.stored(*ids)) == (200, 4, [])


async def test_f10_ready_says_that_it_ends(world):
    world.app.state.streams.close()
    answer = await world.client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "ending"})
    assert (await world.client.get("/health")).status_code == 200


async def test_f10_what_does_not_end_in_time_is_answered_all_the_same(world):
    """The server cancels it then."""
    async with held(world, "find", 1500):
        asked = asyncio.create_task(world.get("/notes"))
        await asyncio.sleep(0.3)
        world.app.state.streams.close()
        asked.cancel()
        answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "not known" in answer.json()["error"]["message"]


async def test_before_that_a_cancelled_request_is_cancelled(world):
    async with held(world, "find", 1500):
        asked = asyncio.create_task(world.get("/notes"))
        await asyncio.sleep(0.3)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
