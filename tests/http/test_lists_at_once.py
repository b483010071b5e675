"""Lists of one moment: what goes together is one caller's in the same words, and each request is still one of its own."""

import asyncio

import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
MANY = 12
BOB = a_token("bob")
LIST = {"method": "GET", "route": "/{collection}", "status": "200"}


def counted(world, name, **labels):
    return world.gateway.metrics.registry.get_sample_value(f"permission_mongo_{name}", labels) or 0


def finds(world):
    return counted(world, "mongodb_command_duration_seconds_count", command="find", outcome="ok")


@pytest.fixture
async def noting(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, f"{CONFIG}audit: {{log_reads: true}}\n")) as found:
        yield found


async def test_each_request_is_audited_counted_and_named_as_its_own(noting):
    await noting.add("a", "b", "c", ssn="123456789")
    token = a_token()
    await noting.get("/notes?_limit=2", token=token)
    before, asked = counted(noting, "http_requests_total", **LIST), finds(noting)
    names = [f"request-{n}" for n in range(MANY)]
    slow = {"failCommands": ["find"], "namespace": f"{noting.database.name}.notes"}
    slow |= {"blockConnection": True, "blockTimeMS": 100}
    await noting.database.client.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=slow)
    answers = await asyncio.gather(
        *(noting.get("/notes?_limit=2", token=token, headers={"x-request-id": name}) for name in names)
    )
    assert 2 < finds(noting) - asked < MANY
    assert [one.headers["x-request-id"] for one in answers] == names
    assert len({one.content for one in answers}) == 1
    assert [(one["_id"], one["ssn"]) for one in answers[0].json()["data"]] == [("a", "***6789"), ("b", "***6789")]
    assert counted(noting, "http_requests_total", **LIST) - before == MANY
    await noting.gateway.trail.settled()
    noted = await noting.database["_pm_audit"].find({"action": "read", "request_id": {"$in": names}}).to_list()
    assert sorted(one["request_id"] for one in noted) == sorted(names)
    assert all(one["ids"] == ["a", "b"] for one in noted)


async def test_the_cursor_of_a_page_for_several_serves_each(world):
    await world.add(*(f"n{n}" for n in range(5)))
    token = a_token()
    answers = await asyncio.gather(*(world.get("/notes?_limit=2", token=token) for _ in range(MANY)))
    for one in answers:
        cursor = one.json()["pagination"]["cursor"]
        behind = await world.get(f"/notes?_limit=2&_cursor={cursor}", token=token)
        assert [row["_id"] for row in behind.json()["data"]] == ["n2", "n3"]


async def test_callers_with_other_rights_are_shown_their_own(world):
    """In the same words at the same moment; the third is the first one's person by another credential."""
    await world.add("a", status="closed", ssn="123456789")
    await world.add("b", token=BOB, title="bob's", ssn="987654321")
    tokens = [a_token(), BOB, a_token("alice", ["viewer"]), a_token("eve"), a_token("alice", tenant="other")]
    answers = await asyncio.gather(*(world.get("/notes?_limit=5", token=tokens[n % 5]) for n in range(5 * MANY)))
    told = [[(row["_id"], row.get("ssn")) for row in one.json()["data"]] for one in answers]
    bare = [("a", None)]
    assert told == [[("a", "***6789")], [*bare, ("b", "***4321")], bare, bare, []] * MANY


async def test_who_wrote_is_told_of_it_while_others_ask_the_same(world):
    """The list goes with those of the same caller who ask meanwhile, and with none that was sent before the write."""
    token, over = a_token(), False

    async def keep_asking():
        while not over:
            await world.get("/notes?_limit=50", token=token)

    others = [asyncio.create_task(keep_asking()) for _ in range(6)]
    try:
        for n in range(10):
            await world.add(f"n{n}", token=token)
            rows = (await world.get("/notes?_limit=50", token=token)).json()["data"]
            assert f"n{n}" in [row["_id"] for row in rows]
    finally:
        over = True
        await asyncio.gather(*others)
