"""A filter's work of more than one transaction is a job: told, cancelled, carried on by another, by the policy in force."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from permission_mongo.assembly import open_gateway
from permission_mongo.auth.api_keys import new_key
from permission_mongo.errors import DeadlineExceeded
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.store import Store
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


async def has_done(world, job: str, least: int) -> None:
    for _ in range(400):
        if (await world.get(f"/_pm/jobs/{job}")).json()["progress"]["deleted"] >= least:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(job)


async def the_job(world) -> dict:
    """The only one, as soon as it is one: its first chunk is committed."""
    for _ in range(400):
        if found := (await world.get("/_pm/jobs")).json()["data"]:
            [job] = found
            return job
        await asyncio.sleep(0.02)
    raise AssertionError("no job was begun")


def counted(world) -> float:
    """The notes deleted, as the metrics tell it."""
    labels = {"collection": "notes", "verb": "deleted"}
    return world.gateway.metrics.registry.get_sample_value("permission_mongo_documents_written_total", labels) or 0


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
    assert (await small.stored(*ids), counted(small)) == ([], 4)
    assert (await small.get("/_pm/jobs")).json() == {"data": []}
    assert "job" not in await small.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})


async def test_who_waits_is_told_the_whole_outcome_and_the_job_is_done(small):
    ids = await add_many(small)
    answer = (await small.delete("/notes/batch", OPEN)).json()
    assert (answer["deleted"], await small.stored(*ids), counted(small)) == (10, [], 10)
    [job] = (await small.get("/_pm/jobs")).json()["data"]
    assert (job["id"], job["state"], job["progress"]) == (answer["batch"], "done", {"deleted": 10, "failed": 0})
    record = await small.database["_pm_batches"].find_one({"_id": answer["batch"]})
    assert record["counts"] == {"delete": 10}
    of_the_asker = {"body", "claims", "request", "request_id", "roles", "credential", "until", "behind"}
    assert not of_the_asker & set(record["job"])


async def test_who_does_not_wait_is_told_where_to_look(small):
    ids = await add_many(small)
    job = await ended(small, await started(small))
    assert (job["state"], job["progress"], job["operation"]) == ("done", {"deleted": 10, "failed": 0}, "delete")
    assert (await small.stored(*ids), counted(small)) == ([], 10)
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
        await the_job(small)  # is in its second chunk
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
    assert counted(small) == 20


async def test_a_job_is_kept_alive_between_its_transactions(small):
    """Looking for the next ids takes longer than the lease: it is renewed, and nobody takes the job."""
    await add_many(small, 9)
    async with held(small, "find", 900):
        answer = await small.delete("/notes/batch", OPEN)
    record = await small.database["_pm_batches"].find_one({"_id": answer.json()["batch"]})
    assert (answer.json()["deleted"], record["job"]["fence"]) == (9, 1)


@asynccontextmanager
async def failing(world, command, code, name="notes", **mode):
    """Such a command on notes, or another collection, is answered with an error of this code."""
    wrong = {"failCommands": [command], "namespace": f"{world.database.name}.{name}", "errorCode": code}
    admin = world.database.client.admin
    await admin.command("configureFailPoint", "failCommand", mode=mode or "alwaysOn", data=wrong)
    try:
        yield
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")


UNFORESEEN = 96  # the server's OperationFailed: no refusal is made of it


@pytest.fixture
async def patient(mongo_uri, tmp_path):
    """A lease that runs out after no test waits."""
    async with a_world(mongo_uri, a_config(tmp_path, SMALL.replace("600ms", "30s"), SCHEMA, ADMINS)) as found:
        yield found


async def test_what_goes_wrong_lets_go_of_the_job_at_once(patient):
    """The caller is told of an error, and another need not wait until the lease runs out."""
    ids = await add_many(patient)
    async with failing(patient, "find", UNFORESEEN, skip=2):
        answer = await patient.delete("/notes/batch", OPEN)
    patient.gateway.running.waiting.set()
    assert answer.status_code == 500
    [job] = (await patient.get("/_pm/jobs")).json()["data"]
    async with asyncio.timeout(5):
        assert (await ended(patient, job["id"]))["state"] == "done"
    assert await patient.stored(*ids) == []


BROKEN = {"claims": "{", "roles": None, "outcome": {"form": "?"}, "asked": "sing"}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_record_that_can_not_be_read_ends_as_failed_and_frees_its_key(small, name):
    ids = await add_many(small, 40)
    sent = {**ALONE, "idempotency-key": "k"}
    async with held(small, milliseconds=100):
        job = (await small.delete("/notes/batch", OPEN, headers=sent)).json()["job"]["id"]
        await has_done(small, job, 8)
        broken = {"$set": {f"job.{name}": BROKEN[name]}, "$inc": {"job.fence": 1}}
        await small.database["_pm_batches"].update_one({"_id": job}, broken)
        for _ in range(400):
            record = await small.database["_pm_batches"].find_one({"_id": job})
            if not record["job"]["open"]:
                break
            await asyncio.sleep(0.02)
    told = await ended(small, job)
    assert (told["state"], told["error"]["code"]) == ("failed", "internal_error")
    assert 8 <= told["progress"]["deleted"] == 40 - len(await small.stored(*ids)) < 40
    again = await small.delete("/notes/batch", OPEN, headers=sent)
    assert (again.status_code, again.json()["deleted"]) == (207, told["progress"]["deleted"])


async def test_a_record_that_a_transaction_holds_does_not_delay_other_jobs(small):
    """As after a kill inside a transaction, until the server has given that up."""
    await add_many(small)
    batches = small.database["_pm_batches"]
    lease = {
        "open": True,
        "state": "running",
        "fence": 1,
        "holder": "killed",
        "until": utc_now() + timedelta(seconds=1),
    }
    await batches.insert_one({"_id": "held", "job": lease})
    async with batches.database.client.start_session() as session:
        await session.start_transaction()
        await batches.update_one({"_id": "held"}, {"$set": {"job.step": 1}}, session=session)
        await asyncio.sleep(1.5)  # its lease has run out, and the carriers have met it
        async with asyncio.timeout(8):
            told = await ended(small, await started(small))
        await session.abort_transaction()
    assert (told["state"], told["progress"]["deleted"]) == ("done", 10)
    for _ in range(400):
        if (await batches.find_one({"_id": "held"}))["job"]["state"] == "failed":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it was not taken up when it was free")


# -- a first chunk of several transactions


@pytest.fixture
async def narrow(mongo_uri, tmp_path):
    """A transaction holds one of the documents that `add_big` makes."""
    limits = "limits: {max_batch_size: 8, job_lease: 600ms, max_transaction_bytes: 30000}\n"
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + limits, SCHEMA, ADMINS)) as found:
        yield found


async def add_big(world, count=8) -> list[str]:
    ids = [f"n{n:03}" for n in range(count)]
    for one in ids:
        await world.add(one, ssn="x" * 20_000)
    return ids


async def first_part(world, change) -> dict:
    """The record of the only job, changed as soon as it is there."""
    for _ in range(10_000):
        found = await world.database["_pm_batches"].find_one_and_update({"job.open": True}, change)
        if found is not None:
            return found
        await asyncio.sleep(0.001)
    raise AssertionError("no job")


async def test_a_job_that_is_cancelled_in_its_first_chunk_ends_with_what_it_did(narrow):
    ids = await add_big(narrow)
    async with held(narrow, milliseconds=150):
        asked = asyncio.create_task(narrow.delete("/notes/batch", OPEN))
        record = await first_part(narrow, {"$set": {"job.state": "cancelling"}})
        answer = await asked
    told = answer.json()
    assert (answer.status_code, told["error"]["code"]) == (207, "conflict")
    assert 0 < told["deleted"] == 8 - len(await narrow.stored(*ids)) < 8
    job = (await narrow.get(f"/_pm/jobs/{record['_id']}")).json()
    assert (job["state"], job["progress"]["deleted"]) == ("cancelled", told["deleted"])
    assert counted(narrow) == told["deleted"]


@pytest.mark.parametrize("headers", [{}, ALONE])
async def test_a_job_that_is_overtaken_in_its_first_chunk_is_ended_by_another(narrow, headers):
    ids = await add_big(narrow)
    async with held(narrow, milliseconds=150):
        asked = asyncio.create_task(narrow.delete("/notes/batch", OPEN, headers=headers))
        record = await first_part(narrow, {"$inc": {"job.fence": 1}})
        answer = await asked
    assert answer.status_code == (202 if headers else 200)
    assert (await ended(narrow, record["_id"]))["progress"]["deleted"] == 8
    assert (await narrow.stored(*ids), counted(narrow)) == ([], 8)


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
        job = await the_job(small)
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


@asynccontextmanager
async def carried_by(world, config, mongo_uri):
    """Another gateway, of this configuration, has the world's job as soon as there is one."""
    batches = world.database["_pm_batches"]
    async with open_gateway(replace(config, mongodb=world.gateway.config.mongodb), mongo_uri) as later:
        # The first gateway is overtaken whenever it goes on, until the later one has the job.
        overtaken = {"$set": {"job.until": utc_now() - timedelta(1)}, "$inc": {"job.fence": 1}}

        async def taken() -> None:
            for _ in range(4000):
                if await batches.find_one({"job.holder": later.running.holder}):
                    return
                await batches.update_one({"job.open": True, "job.holder": {"$ne": later.running.holder}}, overtaken)
                await asyncio.sleep(0.02)
            raise AssertionError("the other gateway has not taken it")

        yield taken


RAISED = {"filter": {"status": "open"}, "update": {"age": 7, "pay": {"month": 3}}}
SHRUNK = ADMINS.replace("actions: [create, read, update, delete, restore]", "actions: [create, read]")
NARROWED = ADMINS.replace("fields: {mask: {ssn: last4}}", "fields: {mask: {ssn: last4}, readonly: [age]}")
OTHERS = """
collections:
  plain:
    id_type: objectId
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string, required: true}, price: {type: decimal}}
"""
LATER = {
    "delete, policy": ("DELETE", OPEN, SCHEMA, SHRUNK, "forbidden"),
    "update, policy": ("PUT", RAISED, SCHEMA, SHRUNK, "forbidden"),
    "update, schema": (
        "PUT",
        RAISED,
        SCHEMA.replace("age: {type: integer, min: 0}", "age: {type: integer, min: 8}"),
        ADMINS,
        "partial",
    ),
    "update, no field": (
        "PUT",
        RAISED,
        SCHEMA.replace("      age: {type: integer, min: 0}\n", ""),
        ADMINS.replace(", age]", "]"),
        "forbidden",
    ),
    "delete, no collection": ("DELETE", OPEN, None, None, "collection_not_found"),
    "update, no collection": ("PUT", RAISED, None, None, "collection_not_found"),
}


@pytest.mark.parametrize("name", LATER)
async def test_t35_each_chunk_is_planned_by_the_configuration_in_force(mongo_uri, tmp_path, name):
    """The gateway that goes on has another one, by which what was asked is not to be done any more.

    The first one carries nothing but what it is asked: else it would take again what it was overtaken in.
    """
    (tmp_path / "later").mkdir()
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, SCHEMA, ADMINS), carriers=0) as first:
        await judged_by_another(first, mongo_uri, tmp_path, *LATER[name])


async def judged_by_another(small, mongo_uri, tmp_path, method, body, schema, policy, code):
    by_item = code == "partial"
    ids = await add_many(small, 240)
    if schema is None:
        policy = ADMINS[: ADMINS.index("  notes:")] + ADMINS[ADMINS.index("  plain:") :]
    other = a_config(tmp_path / "later", SMALL, schema or OTHERS, policy)
    slow = "delete" if method == "DELETE" else "update"
    async with carried_by(small, other, mongo_uri) as taken, held(small, slow, 200):
        asked = asyncio.create_task(small.ask(method, "/notes/batch", body))
        await taken()
        answer = (await asked).json()
    assert answer["error"]["code"] == code, answer
    assert {one["error"]["code"] for one in answer.get("failed", [])} == ({"schema_validation"} if by_item else set())
    if method == "DELETE":
        told, left = answer["deleted"], len(await small.stored(*ids))
    else:
        told, left = answer["modified"], await small.database["notes"].count_documents({"age": {"$ne": 7}})
    assert 0 < told == 240 - left < 240
    [job] = (await small.get("/_pm/jobs")).json()["data"]
    assert (job["state"], job.get("error", {}).get("code")) == (("done", None) if by_item else ("failed", code))


# -- whose claims: who does not wait is served from the record alone


ACMES = {"tenant_id": "acme", "owner_id": "x", "title": "t", "status": "open"}
CLAIMS = POLICY.replace(
    'when: "resource.owner_id == user.id"',
    'when: "resource.email in user.claims.team.names && resource.age < user.claims.most"',
)


async def test_a_job_that_is_carried_on_knows_the_claims_of_who_began_it(mongo_uri, tmp_path):
    """As they were signed: a list below an object, a number that is no whole one, and signs of every kind."""
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, SCHEMA, CLAIMS)) as world:
        token = a_token(team={"names": ["grün", "\u2028", "\U0001f600"]}, most=2.5)
        rows = [
            {"_id": f"n{n:02}", **ACMES, "age": n % 3 + 1, "email": name}
            for n, name in enumerate(["grün", "\u2028", "grun", None] * 20)
        ]
        await world.database["notes"].insert_many(rows)
        reached = [row["_id"] for row in rows if row["age"] < 2.5 and row["email"] in ("grün", "\u2028")]
        told = await ended(world, await started(world, token=token), token=token)
        assert (told["state"], told["progress"]["deleted"]) == ("done", len(reached))
        assert await world.database["notes"].count_documents({}) == 80 - len(reached)
        assert await world.stored(*reached) == []


async def test_a_job_of_who_crosses_tenants_is_carried_on_across_them(small):
    rows = [{"_id": f"n{n:02}", **ACMES, "tenant_id": tenant} for n, tenant in enumerate(["acme", "evil", None] * 10)]
    await small.database["notes"].insert_many(rows)
    root = a_token("root", ["root"], None)
    told = await ended(small, await started(small, token=root), token=root)
    assert (told["state"], told["progress"]["deleted"]) == ("done", 30)


async def test_a_job_in_which_something_goes_wrong_fails_with_all_that_it_did(small):
    """Its counts are those of its last transaction, and not those of when it was taken up."""
    ids = await add_many(small, 40)
    async with held(small, milliseconds=100):
        job = await started(small)
        await has_done(small, job, 12)
        async with failing(small, "find", UNFORESEEN):
            told = await ended(small, job)
    assert (told["state"], told["error"]["code"]) == ("failed", "internal_error")
    assert 12 <= told["progress"]["deleted"] == 40 - len(await small.stored(*ids)) < 40


class Slow(Store):
    """MongoDB does not answer in time where a job is to be closed, and that was done or was not."""

    closes = False

    async def finish_job(self, lease, state, outcome):
        if self.closes:
            await super().finish_job(lease, state, outcome)
        raise DeadlineExceeded("the query took longer than limits.query_timeout")


@pytest.mark.parametrize("closes", [False, True])
async def test_a_job_that_can_not_be_closed_in_time_is_done_all_the_same(small, closes):
    """Who waits is told the outcome; where the record stayed open, who takes it up closes it."""
    ids = await add_many(small)
    slow = Slow(small.gateway.store._rooms)
    slow.closes = closes
    small.app.state.gateway = replace(small.gateway, running=replace(small.gateway.running, store=slow))
    answer = await small.delete("/notes/batch", OPEN)
    assert (answer.status_code, answer.json()["deleted"], await small.stored(*ids)) == (200, 10, [])
    told = await ended(small, answer.json()["batch"])
    assert (told["state"], told["progress"]) == ("done", {"deleted": 10, "failed": 0})


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
