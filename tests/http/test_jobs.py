"""A filter's work of more than one transaction is a job: told, cancelled, carried on by another, by the policy in force."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from permission_mongo.assembly import open_gateway
from permission_mongo.auth.api_keys import new_key
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
SMALL = CONFIG + "limits: {max_batch_size: 4, job_lease: 600ms}\n"
ADMINS = POLICY.replace("roles: {", "roles: {chief: {system: [admin]}, deputy: {inherits: [chief]}, ")
ALONE = {"prefer": "respond-async"}
OPEN = {"filter": {"status": "open"}}


@pytest.fixture
async def small(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, SCHEMA, ADMINS)) as found:
        yield found


async def add_many(world, count=10, **fields) -> list[str]:
    """Notes of alice's, some at a time."""
    ids = [f"n{n:03}" for n in range(count)]
    for n in range(0, count, 4):
        await world.add(*ids[n : n + 4], **fields)
    return ids


async def ended(world, job: str, **more) -> dict:
    for _ in range(400):
        told = (await world.get(f"/_pm/jobs/{job}", **more)).json()
        if told["state"] not in ("running", "cancelling"):
            return told
        await asyncio.sleep(0.05)
    raise AssertionError(told)


@asynccontextmanager
async def held(world, command="delete", milliseconds=400):
    """Each such command on notes takes long."""
    space = f"{world.database.name}.notes"
    late = {"failCommands": [command], "namespace": space, "blockConnection": True, "blockTimeMS": milliseconds}
    admin = world.database.client.admin
    await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=late)
    try:
        yield
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")


async def started(world, body=OPEN, **more) -> str:
    answer = await world.delete("/notes/batch", body, headers=ALONE, **more)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async"), answer.text
    job = answer.json()["job"]
    assert answer.headers["location"] == f"/_pm/jobs/{job['id']}"
    return job["id"]


# -- what becomes a job


async def test_work_of_one_transaction_is_no_job(small):
    ids = await add_many(small, 4)
    answer = await small.delete("/notes/batch", OPEN, headers=ALONE)
    assert (answer.status_code, answer.json()["deleted"]) == (200, 4)
    assert await small.stored(*ids) == []
    assert (await small.get("/_pm/jobs")).json() == {"data": []}
    assert "job" not in await small.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})


async def test_who_waits_is_told_the_whole_outcome_and_the_job_is_done(small):
    ids = await add_many(small)
    answer = (await small.delete("/notes/batch", OPEN)).json()
    assert (answer["deleted"], await small.stored(*ids)) == (10, [])
    [job] = (await small.get("/_pm/jobs")).json()["data"]
    assert (job["id"], job["state"], job["progress"]) == (answer["batch"], "done", {"deleted": 10, "failed": 0})
    record = await small.database["_pm_batches"].find_one({"_id": answer["batch"]})
    assert record["counts"] == {"delete": 10}
    assert not {"body", "claims", "until"} & set(record["job"])


async def test_who_does_not_wait_is_told_where_to_look(small):
    ids = await add_many(small)
    job = await ended(small, await started(small))
    assert (job["state"], job["progress"], job["operation"]) == ("done", {"deleted": 10, "failed": 0}, "delete")
    assert await small.stored(*ids) == []
    back = await small.post(f"/notes/batch/{job['batch']}/undo", {})
    assert (back.json()["restored"], await small.stored(*ids)) == (10, ids)


async def test_a_dry_run_is_no_job(small):
    ids = await add_many(small)
    answer = await small.delete("/notes/batch", {**OPEN, "dry_run": True}, headers=ALONE)
    assert (answer.status_code, answer.json()["deleted"], await small.stored(*ids)) == (200, 10, ids)
    assert (await small.get("/_pm/jobs")).json() == {"data": []}


async def test_max_affected_holds_over_the_whole_job_and_is_told_before_it(small):
    ids = await add_many(small)
    answer = await small.delete("/notes/batch", {**OPEN, "max_affected": 9}, headers=ALONE)
    assert (answer.status_code, await small.stored(*ids)) == (400, ids)
    async with held(small):
        asked = asyncio.create_task(small.delete("/notes/batch", {**OPEN, "max_affected": 10}))
        await asyncio.sleep(0.6)  # in the second chunk
        await small.add("o1", "o2")
        answer = (await asked).json()
    assert (answer["deleted"], answer["error"]["details"]) == (8, {"matched_at_least": 11})


async def test_refusals_of_planning_come_before_the_job(small):
    answer = await small.delete("/notes/batch", {"filter": {"secret": 1}}, headers=ALONE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def test_a_batch_by_ids_is_answered_at_once(small):
    await add_many(small, 4)
    assert (await small.delete("/notes/batch", {"ids": ["n000"]}, headers=ALONE)).status_code == 200


# -- a lease


async def test_what_nobody_carries_another_takes_up(mongo_uri, tmp_path):
    """Its caller left a gateway that carries no jobs on: another goes on from where the record says it stands."""
    config = a_config(tmp_path, SMALL, SCHEMA, ADMINS)
    async with a_world(mongo_uri, config, carriers=0) as first:
        ids, batches = await add_many(first, 30), first.database["_pm_batches"]
        async with held(first, milliseconds=150):
            asked = asyncio.create_task(first.delete("/notes/batch", OPEN))
            for _ in range(500):
                if await batches.find_one({"job.open": True}):
                    break
                await asyncio.sleep(0.02)
            while not asked.done():  # the driver may lose one cancellation
                asked.cancel()
                await asyncio.sleep(0.01)
        [job] = (await first.get("/_pm/jobs")).json()["data"]
        assert (job["state"], 0 < job["progress"]["deleted"] < 30) == ("running", True)
        async with open_gateway(config, mongo_uri):
            assert (await ended(first, job["id"]))["progress"] == {"deleted": 30, "failed": 0}
        assert await first.stored(*ids) == []
        assert (await batches.find_one({"_id": job["id"]}))["counts"] == {"delete": 30}


async def test_who_holds_an_old_fence_commits_nothing(small):
    """The lease is taken while a chunk is under way elsewhere: that chunk is not done twice, and its asker is told all."""
    ids = await add_many(small, 20)
    batches, taken = small.database["_pm_batches"], {"$inc": {"job.fence": 1}}
    async with held(small, "find", 300):
        asked = asyncio.create_task(small.delete("/notes/batch", OPEN))
        for _ in range(1000):
            if (await batches.update_one({"job.open": True}, taken)).modified_count:
                break
            await asyncio.sleep(0.01)
    answer = (await asked).json()
    assert (answer["deleted"], await small.stored(*ids)) == (20, [])
    record = await small.database["_pm_batches"].find_one({"_id": answer["batch"]})
    assert (record["counts"], record["job"]["fence"] >= 3) == ({"delete": 20}, True)
    assert await small.database["_pm_versions"].count_documents({}) == 20


async def test_a_job_is_kept_alive_between_its_transactions(small):
    """Looking for the next ids takes longer than the lease: it is renewed, and nobody takes the job."""
    await add_many(small, 9)
    async with held(small, "find", 900):
        answer = await small.delete("/notes/batch", OPEN)
    record = await small.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})
    assert (answer.json()["deleted"], record["job"]["fence"]) == (9, 1)


# -- who may


async def test_t35_a_stranger_and_another_tenant_are_told_what_an_absent_job_is_told(small):
    await add_many(small)
    job = await started(small)
    await ended(small, job)
    absent = "0" * 32
    for token in (
        a_token("bob"),
        a_token("alice", tenant="evil"),
        a_token("root", ["root"], None),
        a_token("d", ["deputy"]),
    ):
        for method, path in (("GET", "/_pm/jobs/{}"), ("POST", "/_pm/jobs/{}/cancel")):
            told = [await small.ask(method, path.format(one), token=token) for one in (job, absent, "x")]
            assert [one.status_code for one in told] == [404] * 3
            assert len({one.content for one in told}) == 1
        assert (await small.get("/_pm/jobs", token=token)).json() == {"data": []}
        streamed = await small.get(f"/_pm/jobs/{job}", token=token, headers={"accept": "text/event-stream"})
        assert streamed.status_code == 404


async def test_t35_an_api_key_of_the_same_subject_is_another_creator(small):
    await add_many(small)
    job = await started(small)
    key = await a_key(small)
    assert (await small.client.get(f"/_pm/jobs/{job}", headers={"x-api-key": key.text})).status_code == 404


async def test_an_admin_of_the_same_tenant_sees_and_ends_it_and_no_other_tenants(small):
    await add_many(small, 40)
    async with held(small, milliseconds=200):
        job = await started(small)
        chief = a_token("carl", ["chief"])
        assert (await small.get(f"/_pm/jobs/{job}", token=chief)).json()["collection"] == "notes"
        evil = a_token("carl", ["chief"], "evil")
        assert (await small.ask("POST", f"/_pm/jobs/{job}/cancel", token=evil)).status_code == 404
        assert (await small.ask("POST", f"/_pm/jobs/{job}/cancel", token=chief)).status_code == 200
        told = await ended(small, job)
    assert (told["state"], told["progress"]["deleted"] < 40) == ("cancelled", True)


async def test_a_job_tells_no_id_and_no_text_of_the_request(small):
    await add_many(small, ssn="hush hush")
    job = await started(small, {"filter": {"status": "open", "title": {"$ne": "hush hush"}}, "reason": "hidden"})
    told = json.dumps(await ended(small, job))
    assert "hush" not in told
    assert "hidden" not in told
    assert "n00" not in told


# -- the end of it


async def test_a_cancelled_job_ends_before_its_next_transaction_and_what_it_did_stays(small):
    ids = await add_many(small, 40)
    async with held(small, milliseconds=200):
        asked = asyncio.create_task(small.delete("/notes/batch", OPEN))
        await asyncio.sleep(0.6)
        [job] = (await small.get("/_pm/jobs")).json()["data"]
        assert (await small.ask("POST", f"/_pm/jobs/{job['id']}/cancel")).json()["state"] in ("cancelling", "cancelled")
        answer = await asked
    told = answer.json()
    assert (answer.status_code, told["error"]["code"]) == (207, "conflict")
    assert 0 < told["deleted"] == 40 - len(await small.stored(*ids)) < 40
    assert (await small.get(f"/_pm/jobs/{job['id']}")).json()["state"] == "cancelled"
    again = await small.ask("POST", f"/_pm/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


async def a_key(world):
    key = new_key("alice", "acme", ("user",), utc_now(), None)
    await MongoKeyStore(world.database).add(key.record)
    return key


async def test_t36_the_job_of_a_revoked_key_ends(small):
    ids = await add_many(small, 40)
    key = await a_key(small)
    async with held(small, milliseconds=300):
        sent = {"x-api-key": key.text, **ALONE}
        answer = await small.client.request("DELETE", "/notes/batch", json=OPEN, headers=sent)
        assert answer.status_code == 202
        await MongoKeyStore(small.database).revoke(key.record.prefix, utc_now())
        told = await ended(small, answer.json()["job"]["id"], token=a_token("carl", ["chief"]))
    assert (told["state"], told["error"]["code"]) == ("failed", "unauthorized")
    assert 0 < told["progress"]["deleted"] == 40 - len(await small.stored(*ids)) < 40


async def test_t35_each_chunk_is_planned_by_the_policy_in_force(mongo_uri, tmp_path):
    """The gateway that began carries no jobs on; the one that does has a policy by which the creator may not delete."""
    (tmp_path / "later").mkdir()
    shrunk = ADMINS.replace("actions: [create, read, update, delete, restore]", "actions: [create, read]")
    other = a_config(tmp_path / "later", SMALL, SCHEMA, shrunk)
    config = a_config(tmp_path, SMALL, SCHEMA, ADMINS)
    async with a_world(mongo_uri, config, carriers=0) as first:
        ids = await add_many(first)
        job = await started(first)
        async with open_gateway(replace(other, mongodb=config.mongodb), mongo_uri):
            told = await ended(first, job)
        assert (told["state"], told["error"]["code"]) == ("failed", "forbidden")
        assert told["progress"]["deleted"] == 4 == 10 - len(await first.stored(*ids))


# -- events


async def test_events_tell_the_progress_and_the_end(small):
    await add_many(small, 12)
    async with held(small, milliseconds=600):
        job = await started(small)
        streamed = await small.get(f"/_pm/jobs/{job}", headers={"accept": "text/event-stream"})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in one.splitlines()) for one in streamed.text.strip().split("\n\n")]
    assert {one["event"] for one in events[:-1]} == {"progress"}
    assert (events[-1]["event"], json.loads(events[-1]["data"])["state"]) == ("done", "done")
    done = [json.loads(one["data"])["progress"]["deleted"] for one in events]
    assert (done, done[-1]) == (sorted(done), 12)


# -- under a key


async def test_a_key_leads_to_the_job_and_in_the_end_to_its_outcome(small):
    await add_many(small, 20)
    sent = {**ALONE, "idempotency-key": "k"}
    async with held(small, milliseconds=200):
        first = await small.delete("/notes/batch", OPEN, headers=sent)
        again = await small.delete("/notes/batch", OPEN, headers=sent)
        waiting = await small.delete("/notes/batch", OPEN, headers={"idempotency-key": "k"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["job"]["id"] == again.json()["job"]["id"]
    assert (waiting.status_code, waiting.headers["retry-after"]) == (409, "1")
    job = first.json()["job"]["id"]
    await ended(small, job)
    last = await small.delete("/notes/batch", OPEN, headers=sent)
    assert (last.status_code, last.json()) == (200, {"deleted": 20, "missing": [], "batch": job})
    assert last.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(("change", "status"), [({"age": 0}, 409), ({"$inc": {"age": -1}}, 207)])
async def test_a_replay_of_a_job_that_was_refused_tells_what_the_first_answer_told(small, change, status):
    """Nothing was done: the refusal itself, unless there are failures to list."""
    await add_many(small, 40, age=0)
    body, sent = {**OPEN, "update": change}, {"idempotency-key": "k"}
    async with held(small, "find", 200):
        asked = asyncio.create_task(small.ask("PUT", "/notes/batch", body, headers=sent))
        for _ in range(200):
            if jobs := (await small.get("/_pm/jobs")).json()["data"]:
                break
            await asyncio.sleep(0.05)
        await small.ask("POST", f"/_pm/jobs/{jobs[0]['id']}/cancel")
        first = await asked
    again = await small.ask("PUT", "/notes/batch", body, headers=sent)
    assert (first.status_code, first.json()["error"]["code"]) == (status, "conflict"), first.text
    assert (again.status_code, again.json()) == (status, first.json())


@pytest.mark.parametrize(
    "path", ["/_pm/jobs?x=1", "/_pm/jobs?_limit=0", "/_pm/jobs?_limit=101", f"/_pm/jobs/{'0' * 32}?x=1"]
)
async def test_what_is_not_known_is_refused(small, path):
    assert (await small.get(path)).status_code == 400
