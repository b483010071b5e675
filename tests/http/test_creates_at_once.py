"""Creates of one moment: what goes together is one caller's, and each request is still one of its own."""

import asyncio
from datetime import timedelta

import pytest

from permission_mongo.storage.sealing import Sealer
from permission_mongo.storage.verifying import verify
from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
MANY = 30
PLAIN = f"{CONFIG}audit: {{enabled: false}}\n"
LATEST = timedelta(seconds=130)


def counted(world, name, **labels):
    return world.gateway.metrics.registry.get_sample_value(f"permission_mongo_{name}", labels) or 0


def inserts(world):
    return counted(world, "mongodb_command_duration_seconds_count", command="insert", outcome="ok")


@pytest.fixture(params=[CONFIG, PLAIN], ids=["audited", "plain"])
async def either(request, mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, request.param)) as found:
        found.audited = request.param is CONFIG
        yield found


async def together(world, bodies, tokens):
    asked = zip(bodies, tokens, strict=True)
    return await asyncio.gather(
        *(
            world.post("/notes", body, token=token, headers={"x-request-id": f"request-{n}"})
            for n, (body, token) in enumerate(asked)
        )
    )


async def require_audited(world, answers):
    """Of each that was created one entry, with its own id and the request's own name; all in seals that fit."""
    entries = await world.database["_pm_audit"].find({"action": "create", "kind": {"$exists": False}}).to_list()
    made = {one.json()["_id"]: one.headers["x-request-id"] for one in answers if one.status_code == 201}
    assert {str(row["ids"][0]): row["request_id"] for row in entries} == (made if world.audited else {})
    assert len(entries) == (len(made) if world.audited else 0)
    sealer = Sealer(world.database, world.gateway.running.holder, LATEST, None, lambda _: None)
    async with asyncio.timeout(30):
        while sum(
            len(row["ids"]) // 12 for row in await world.database["_pm_audit_seals"].find().to_list()
        ) < await world.database["_pm_audit"].count_documents({}):
            await sealer.look(full=True)
            await asyncio.sleep(0.1)
    chains = await verify(world.database, (None, LATEST), {}, None, every=True)
    assert [fault for chain in chains for fault in chain.faults] == []


async def test_each_is_answered_audited_and_counted_as_its_own(either):
    token, route = a_token(), {"method": "POST", "route": "/{collection}", "status": "201"}
    await either.get("/notes", token=token)
    before = inserts(either)
    answers = await together(either, [{"title": f"n{n}"} for n in range(MANY)], [token] * MANY)
    assert {one.status_code for one in answers} == {201}
    assert [one.json()["title"] for one in answers] == [f"n{n}" for n in range(MANY)]
    assert [one.headers["x-request-id"] for one in answers] == [f"request-{n}" for n in range(MANY)]
    stored = {str(row["_id"]): row["title"] for row in await either.database["notes"].find().to_list()}
    assert stored == {one.json()["_id"]: one.json()["title"] for one in answers}
    assert 0 < inserts(either) - before < MANY
    assert counted(either, "http_requests_total", **route) == MANY
    assert counted(either, "documents_written_total", collection="notes", verb="created") == MANY
    await require_audited(either, answers)


async def test_what_is_wrong_with_one_is_told_to_that_one(either):
    """A key that exists, and a field that is none: 409 and 403, and the others are there."""
    await either.database["notes"].create_index("title", unique=True)
    bodies = [{"title": "twice" if n in {11, 23} else f"n{n}"} for n in range(MANY)]
    bodies[5] = {"title": "n5", "unheard_of": 1}
    try:
        answers = await together(either, bodies, [a_token()] * MANY)
        await require_audited(either, answers)
    finally:
        await either.database["notes"].drop_index("title_1")
    told = {n: one.status_code for n, one in enumerate(answers) if one.status_code != 201}
    assert told in ({5: 403, 11: 409}, {5: 403, 23: 409})
    conflict = next(one for one in answers if one.status_code == 409).json()["error"]
    assert (conflict["code"], conflict["message"]) == ("conflict", "a document with this key exists")
    assert await either.database["notes"].count_documents({}) == MANY - 2


async def test_callers_of_one_moment_are_stored_each_as_its_own(either):
    """Of two tenants, and two of one: whose a document is, and whose its audit entry."""
    who = [("alice", "acme"), ("bob", "acme"), ("eve", "evil")]
    tokens = [a_token(name, tenant=tenant) for name, tenant in who]
    asked = [n % 3 for n in range(MANY)]
    answers = await together(either, [{"title": f"n{n}"} for n in range(MANY)], [tokens[n] for n in asked])
    assert {one.status_code for one in answers} == {201}
    rows = {row["title"]: row for row in await either.database["notes"].find().to_list()}
    entries = {
        row["request_id"]: row for row in await either.database["_pm_audit"].find({"action": "create"}).to_list()
    }
    for n, which in enumerate(asked):
        assert (rows[f"n{n}"]["owner_id"], rows[f"n{n}"]["tenant_id"]) == who[which]
        if either.audited:
            entry = entries[f"request-{n}"]
            assert (entry["user_id"], entry["tenant_id"], entry["ids"]) == (*who[which], [rows[f"n{n}"]["_id"]])
    await require_audited(either, answers)
