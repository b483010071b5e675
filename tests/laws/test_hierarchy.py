"""Whatever is asked in whatever order, the hierarchy is what the documents say; with races, too."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.http.harness import World, a_config, a_token, a_world
from tests.http.people import BY_LOGIN, CLERK, HR, POLICY, ROOT, SCHEMA, by_rows, hire, lead, move, require_true

pytestmark = pytest.mark.mongo
NAMES = [f"p{n}" for n in range(10)]
OTHER = a_token("hera", ["hr"], "umbrella")


@pytest.fixture(params=["_id", "login"])
async def world(request, tmp_path, mongo_uri):
    """Once by the ids of documents, once by a field of theirs."""
    schema = SCHEMA if request.param == "_id" else BY_LOGIN
    policy = POLICY.replace("[manager_id]", "[manager_id, login]") if schema is BY_LOGIN else POLICY
    async with a_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as one:
        yield one, request.param


def a_person(rnd: Random, field: str) -> dict:
    one = rnd.choice(NAMES)
    body: dict = {"_id": one, "name": one}
    if field == "login" and rnd.random() < 0.95:
        body["login"] = one if rnd.random() < 0.8 else rnd.choice(NAMES)
    if rnd.random() < 0.7:
        body["manager_id"] = rnd.choice(NAMES)
    return body


def a_change(rnd: Random, field: str) -> dict:
    change: dict = {"manager_id": rnd.choice([*NAMES, None])} if rnd.random() < 0.8 else {"name": str(rnd.random())}
    if field == "login" and rnd.random() < 0.2:
        change["login"] = rnd.choice([*NAMES, None])
    return change


async def fill(world: World, field: str) -> None:
    """Who is not there is hired, each below the one before."""
    chain = zip(NAMES, [None, *NAMES], strict=False)
    documents = [
        {"_id": one, **({"login": one} if field == "login" else {}), "manager_id": above} for one, above in chain
    ]
    answer = await world.post("/users/batch", {"documents": documents}, token=HR)
    assert answer.status_code in (201, 207)


async def step(rnd: Random, world: World, field: str, batches: list[str]) -> int:
    """One request, drawn by chance; its status."""
    token = rnd.choice([HR, HR, HR, OTHER, CLERK, ROOT])
    one, some = rnd.choice(NAMES), rnd.sample(NAMES, rnd.randrange(1, 5))
    atomic = {"atomic": True} if rnd.random() < 0.2 else {}
    people = [a_person(rnd, field) for _ in range(rnd.randrange(1, 6))]
    if token == ROOT:
        people = [{**body, "tenant_id": rnd.choice(("acme", "umbrella"))} for body in people]
    each = [{"id": name, "update": a_change(rnd, field)} for name in some]
    asked = rnd.choice(
        [
            ("POST", "/users", people[0]),
            ("POST", "/users/batch", {"documents": people, **atomic}),
            ("PATCH", f"/users/{one}", a_change(rnd, field)),
            ("PUT", f"/users/{one}", a_change(rnd, field)),
            ("PUT", f"/users/{one}?_replace=true", {k: v for k, v in people[0].items() if k != "_id"}),
            ("PUT", "/users/batch", {"updates": each, **atomic}),
            ("PUT", "/users/batch", {"ids": some, "update": a_change(rnd, field)}),
            ("PUT", "/users/batch", {"filter": {"_id": {"$in": some}}, "update": a_change(rnd, field)}),
            ("DELETE", f"/users/{one}", None),
            ("DELETE", "/users/batch", {"ids": some, **atomic}),
            ("DELETE", "/users/batch", {"filter": {"_id": {"$in": some}}}),
            ("POST", f"/users/{one}/restore/{rnd.randrange(1, 5)}", {}),
            ("POST", f"/users/{one}/purge", {"reason": "r"}),
            ("POST", f"/users/batch/{rnd.choice(batches or ['0' * 32])}/undo", {}),
        ]
    )
    answer = await world.ask(*asked, token=token)
    assert answer.status_code < 500, (asked, answer.text)
    told = answer.json()
    if isinstance(told, dict) and isinstance(told.get("batch"), str):
        batches.append(told["batch"])
    return answer.status_code


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_requests_the_rows_are_the_closure_of_the_documents(world, seed):
    gateway, field = world
    rnd, batches, told, links = Random(seed), [], set(), 0
    for n in range(80):
        if n % 20 == 0:
            await fill(gateway, field)
        told.add(await step(rnd, gateway, field, batches))
        rows = await by_rows(gateway.database)
        links += sum(map(len, rows.values()))
        assert all(user not in chain for (_, user), chain in rows.items())
        await require_true(gateway, field)
    assert {200, 207, 404} <= told
    assert links > 300


async def test_two_who_would_make_a_loop_together_do_not(tmp_path, mongo_uri):
    async with a_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as world:
        told = []
        for n in range(12):
            await hire(world, f"a{n}")
            await hire(world, f"b{n}")
            both = await asyncio.gather(move(world, f"a{n}", f"b{n}"), move(world, f"b{n}", f"a{n}"))
            told.append(sorted(one.status_code for one in both))
            await require_true(world)
        assert told == [[200, 422]] * 12


async def test_many_at_once_leave_the_closure_of_what_they_wrote(world):
    gateway, field = world
    await fill(gateway, field)
    rnd, batches = Random(7), []
    for _ in range(6):
        told = await asyncio.gather(*(step(rnd, gateway, field, batches) for _ in range(8)))
        assert all(status < 500 for status in told)
        await require_true(gateway, field)


async def test_a_transaction_that_ends_before_its_commit_changes_nothing(tmp_path, mongo_uri, monkeypatch):
    """The rows are of the transaction: what cuts it off after them takes them back with the document."""
    async with a_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as world:
        await hire(world, "ada", "bob")
        await hire(world, "zoe")
        before = await by_rows(world.database)
        # An audit entry can't be written: it comes behind the rows.
        await world.database.command("collMod", "_pm_audit", validator={"action": {"$ne": "update"}})
        try:
            answer = await move(world, "bob", "zoe")
            assert answer.status_code == 500
        finally:
            await world.database.command("collMod", "_pm_audit", validator={})
        assert await by_rows(world.database) == before
        await require_true(world)
        await world.database["files"].insert_one({"_id": "f", "tenant_id": "acme", "owner_id": "bob"})
        assert (await world.get("/files/f", token=lead("ada"))).status_code == 200
        assert (await world.get("/files/f", token=lead("zoe"))).status_code == 404
