"""A job told as server-sent events: its progress, its end, and why the telling ends before."""

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from permission_mongo.api.streams import MOST
from permission_mongo.auth.development import make_token
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.harness import SCHEMA, SECRET, a_config, a_token, a_world
from tests.http.test_jobs import ADMINS, ALONE, OPEN, SMALL, UNFORESEEN, a_key, add_many, ended, failing, held, started

pytestmark = pytest.mark.mongo
STREAM = {"accept": "text/event-stream"}


@pytest.fixture
async def small(mongo_uri, tmp_path):
    config = SMALL.replace("auth: {", "auth: {leeway: 0s, ")
    async with a_world(mongo_uri, a_config(tmp_path, config, SCHEMA, ADMINS)) as found:
        yield found


@asynccontextmanager
async def a_long_job(world):
    """Its name; it ends soon after this does."""
    await add_many(world, 40)
    async with held(world, milliseconds=600):
        yield await started(world)


def told_in(streamed: httpx.Response) -> list[tuple[str, dict]]:
    assert (streamed.status_code, streamed.headers["content-type"][:17]) == (200, "text/event-stream"), streamed.text
    events = [dict(line.split(": ", 1) for line in one.splitlines()) for one in streamed.text.strip().split("\n\n")]
    return [(one["event"], json.loads(one["data"])) for one in events]


def listening(world, job: str, **more) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(world.get(f"/_pm/jobs/{job}", headers=STREAM, **more))


async def test_events_tell_the_progress_and_the_end(small):
    await add_many(small, 12)
    async with held(small, milliseconds=600):
        told = told_in(await small.get(f"/_pm/jobs/{await started(small)}", headers=STREAM))
    assert {name for name, _ in told[:-1]} == {"progress"}
    assert (told[-1][0], told[-1][1]["state"]) == ("done", "done")
    done = [job["progress"]["deleted"] for _, job in told]
    assert (done, done[-1]) == (sorted(done), 12)


# -- who may listen no longer


async def test_t36_a_stream_ends_when_its_token_expires(small):
    async with a_long_job(small) as job:
        token = make_token(SECRET, "HS256", "alice", ("user",), int(time.time()) + 2, {"tenant_id": "acme"})
        async with asyncio.timeout(20):
            told = told_in(await listening(small, job, token=token))
    assert [name for name, _ in told[:-1]] == ["progress"] * (len(told) - 1)
    assert (len(told) > 1, told[-1][0], told[-1][1]["error"]["code"]) == (True, "error", "unauthorized")


async def test_t36_a_stream_ends_when_its_key_is_revoked(small):
    await add_many(small, 40)
    key = await a_key(small)
    sent = {"x-api-key": key.text}
    async with held(small, milliseconds=600):
        answer = await small.client.request("DELETE", "/notes/batch", json=OPEN, headers={**sent, **ALONE})
        path = answer.headers["location"]
        asked = asyncio.create_task(small.client.get(path, headers={**sent, **STREAM}))
        await asyncio.sleep(0.2)
        await MongoKeyStore(small.database).revoke(key.record.prefix, utc_now())
        async with asyncio.timeout(20):
            told = told_in(await asked)
    assert (told[0][0], told[-1][0], told[-1][1]["error"]["code"]) == ("progress", "error", "unauthorized")


# -- other ends


async def test_what_goes_wrong_is_told_without_a_word_of_the_server(small, caplog):
    async with a_long_job(small) as job:
        asked = listening(small, job)
        await asyncio.sleep(0.2)
        with caplog.at_level(logging.ERROR):
            async with failing(small, "find", UNFORESEEN, "_pm_batches"):
                told = told_in(await asked)
    assert (told[-1][0], told[-1][1]["error"]["code"]) == ("error", "internal_error")
    logged = [one.getMessage() for one in caplog.records if one.name == "permission_mongo.api"]
    assert any("OperationFailure at " in one for one in logged)
    assert "failCommand" not in caplog.text + str(told)
    await ended(small, job)


async def test_a_stream_ends_with_the_gateway(small):
    async with a_long_job(small) as job:
        asked = listening(small, job)
        await asyncio.sleep(0.2)
        small.app.state.streams.close()
        async with asyncio.timeout(20):
            told = told_in(await asked)
    assert [name for name, _ in told] == ["progress"]


async def test_a_caller_has_so_many_streams_at_once_and_another_has_as_many(small):
    async with a_long_job(small) as job:
        asked = [listening(small, job) for _ in range(MOST)]
        await asyncio.sleep(0.4)
        more = await listening(small, job)
        assert (more.status_code, more.json()["error"]["code"]) == (429, "rate_limited")
        assert more.headers["retry-after"] == "1"
        other = listening(small, job, token=a_token("carl", ["chief"]))
        await asyncio.sleep(0.2)
        assert (await small.get(f"/_pm/jobs/{job}")).status_code == 200
        asked[0].cancel()
        await asyncio.wait([asked[0]])
        again = listening(small, job)
    for one in (*asked[1:], other, again):
        assert told_in(await one)[-1][0] == "done"
    assert not small.app.state.streams._open
