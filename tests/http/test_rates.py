"""`limits.rate`: who asks too much at once is told when to come back, before any work is done for the request."""

import asyncio
import json

import httpx
import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world
from tests.http.test_reload import a_reloaded_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOSS, BOB = a_token("boss", ["boss"]), a_token("bob")
NAMESPACES = ("default", "eu")


def rate(**keys) -> str:
    return f"limits: {{rate: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}}}\n"


def limited(tmp_path, more: str = "", **keys):
    """With one an hour: ten, and then nothing more while a test runs."""
    return a_config(tmp_path, CONFIG + rate(**{"burst": "10h", **keys}) + more)


async def statuses(world, times: int, path="/notes/x", **how) -> list[int]:
    return [(await world.get(path, **how)).status_code for _ in range(times)]


def refused(answer: httpx.Response) -> tuple[int, str, int]:
    error = answer.json()["error"]
    assert answer.headers["retry-after"] == str(error["details"]["retry_after"])
    return answer.status_code, error["code"], int(answer.headers["retry-after"])


async def test_t33_a_principal_has_its_burst_to_the_request_even_when_all_come_at_once(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h")) as world:
        answers = await asyncio.gather(*(world.get("/notes/x") for _ in range(40)))
        assert sorted(one.status_code for one in answers) == [404] * 10 + [429] * 30
        last = await world.get("/notes")
        assert refused(last)[:2] == (429, "rate_limited")
        assert 3590 <= refused(last)[2] <= 3600
        assert last.json()["error"]["message"].startswith("too much at once of this principal; try again in 3")
        assert await statuses(world, 1, token=BOB) == [404]


async def test_service_routes_are_free_and_all_others_count(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h", per_address="1/h")) as world:
        for n, path in enumerate(["/notes", "/_pm/me", "/notes/deleted", "/_pm/jobs", "/nothing"] * 2):
            assert (await world.get(path)).status_code in (200, 404), n
        for path in ("/health", "/ready", "/metrics"):
            assert [(await world.client.get(path)).status_code for _ in range(20)] == [200] * 20
        for path in ("/notes", "/_pm/me", "/notes/deleted", "/_pm/jobs", "/nothing", "/notes/x/versions"):
            assert (await world.get(path)).status_code == 429
        assert await statuses(world, 1, token=BOB) == [429]  # of the same address


async def test_t33_failed_logins_count_for_the_address_before_they_are_looked_at(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_address="1/h")) as world:
        wrong = [f"pmk_{n:012x}_{'a' * 43}" for n in range(6)] + ["not.a.token", "", "e30.e30.e30", "x"]
        assert [(await world.get("/notes", token=one)).status_code for one in wrong] == [401] * 10
        await world.database.command("profile", 2)
        assert (await world.get("/notes", token=wrong[0])).status_code == 429
        await world.database.command("profile", 0)
        assert await world.database["system.profile"].count_documents({"ns": {"$regex": "_pm_keys"}}) == 0
        assert await statuses(world, 1) == [429]


async def test_t33_the_description_for_nobody_counts_for_the_address(mongo_uri, tmp_path):
    """It is a hundred kilobytes, and needs no credential."""
    async with a_world(mongo_uri, limited(tmp_path, per_address="1/h", per_principal="1/h")) as world:
        asked = [(await world.client.get("/_pm/openapi.json")).status_code for _ in range(12)]
        assert asked == [200] * 10 + [429] * 2
        assert await statuses(world, 1) == [429]


async def test_addresses_have_a_bucket_each(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_address="1/h")) as world:

        async def ask(address: str) -> int:
            transport = httpx.ASGITransport(world.app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return (await client.get("/notes", headers={"authorization": f"Bearer {BOB}"})).status_code

        asked = ["2001:db8:0:1::1", "2001:db8:0:1::2"] * 5
        assert [await ask(one) for one in asked] == [200] * 10
        assert [await ask(one) for one in ("2001:db8:0:1::3", "2001:db8:0:2::1", "10.0.0.1")] == [429, 200, 200]


async def test_a_refused_request_is_not_read(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h")) as world:
        await statuses(world, 10)

        async def never():
            raise AssertionError("the body was asked for")
            yield b""

        headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
        answer = await world.client.post("/notes", content=never(), headers=headers)
        assert answer.status_code == 429


# -- batches


async def test_t33_each_item_of_a_batch_costs_one(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h")) as world:
        documents = [{"_id": one, "title": one} for one in "abcd"]
        assert (await world.post("/notes/batch", {"documents": documents})).status_code == 201
        more = await world.post("/notes/batch/get", {"ids": list("abcdefg")})
        # It had 6; the one of the door is gone, and 7 will be there when 2 more came in.
        assert refused(more)[0] == 429
        assert 7190 <= refused(more)[2] <= 7200
        assert (await world.post("/notes/batch/get", {"ids": list("abcde")})).status_code == 200
        assert await statuses(world, 1) == [429]


@pytest.mark.parametrize("of", ["per_principal", "per_address"])
async def test_t33_a_batch_that_can_never_be_let_through_is_told_so(mongo_uri, tmp_path, of):
    async with a_world(mongo_uri, limited(tmp_path, **{of: "1/h"})) as world:
        answer = await world.delete("/notes/batch", {"ids": [f"n{n}" for n in range(11)]})
        assert answer.status_code == 400
        assert answer.json()["error"] == {
            "code": "bad_request",
            "message": "limits.rate lets at most 10 items through at once; ask for fewer",
            "details": {"most_at_once": 10, "requested": 11},
        }
        assert await statuses(world, 1) == [404]


async def test_t33_what_a_filter_touched_is_owed_afterwards(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h")) as world:
        rows = [{"_id": f"n{n}", "tenant_id": "acme", "title": "t", "status": "open"} for n in range(14)]
        await world.database["notes"].insert_many(rows)
        update = {"filter": {"status": "open"}, "update": {"title": "u"}}
        answer = await world.ask("PUT", "/notes/batch", update, token=BOSS)
        assert (answer.status_code, answer.json()["modified"]) == (200, 14)
        later = await world.get("/notes", token=BOSS)
        assert 5 * 3600 - 10 <= refused(later)[2] <= 5 * 3600


async def test_what_is_refused_by_the_rate_writes_nothing_and_no_entry_of_the_audit(mongo_uri, tmp_path):
    async with a_world(mongo_uri, limited(tmp_path, per_principal="1/h")) as world:
        await world.add("a", "b", "c", "d", "e", "f")
        entries = await world.database["_pm_audit"].count_documents({})
        answer = await world.delete("/notes/batch", {"ids": list("abcdef")})
        assert answer.status_code == 429
        assert await statuses(world, 20, token=a_token()) == [404] * 3 + [429] * 17
        await world.gateway.trail.settled()
        assert await world.stored(*"abcdef") == list("abcdef")
        kept = [one async for one in world.database["_pm_audit"].find({}, {"outcome": 1, "code": 1})]
        assert [one for one in kept if "rate" in json.dumps(one, default=str)] == []
        assert entries <= len(kept)


# -- where it holds


async def test_one_bucket_in_all_namespaces(mongo_uri, tmp_path):
    config = limited(tmp_path, f"namespaces: {{eu: {{database: eu_{tmp_path.name[-20:]}}}}}\n", per_principal="1/h")
    token = a_token(namespaces=["default", "eu"])
    async with a_world(mongo_uri, config) as world:
        for n in range(10):
            asked = await world.get("/notes", token=token, headers={"x-namespace": NAMESPACES[n % 2]})
            assert asked.status_code == 200
        for name in NAMESPACES:
            asked = await world.get("/notes", token=token, headers={"x-namespace": name})
            assert asked.status_code == 429
        await world.database.client.drop_database(config.namespaces["eu"])


async def test_a_reload_takes_other_rates_and_none(mongo_uri, tmp_path):
    slow = CONFIG + rate(per_principal="1/h", burst="10h")
    async with a_reloaded_world(mongo_uri, tmp_path, watching=False, config=slow) as world:
        assert await statuses(world, 12) == [404] * 10 + [429] * 2
        world.write("config.yaml", CONFIG + rate(per_principal="1000/s", per_address="1/h", burst="4h"))
        assert await world.reloading.reload()
        await asyncio.sleep(0.05)
        assert await statuses(world, 5) == [404] * 4 + [429]
        world.write("config.yaml", CONFIG)
        assert await world.reloading.reload()
        assert await statuses(world, 20) == [404] * 20


async def test_off_unless_it_is_asked_for(world):
    assert set(await statuses(world, 100)) == {404}
    assert len(world.gateway.rates) == 0
