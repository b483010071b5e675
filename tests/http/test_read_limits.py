"""Bounds of a read: its time ends in MongoDB too, and a page ends at its bytes as at its rows."""

import asyncio
import time

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token
from tests.http.test_list import ids, pages

pytestmark = pytest.mark.mongo
SCHEMA = "settings: {id_type: string}\ncollections: {notes: {client_ids: true, allow_regex: true, fields: {n: {type: integer}, text: {type: string}}}}"
POLICY = 'roles: {user: {}}\npolicies: {notes: {user: {actions: ["*"]}}}\n'
SLOW = "^(x+x+)+[yz]$"


async def left_running(world) -> list:
    """What MongoDB still does on the collection."""
    pipeline = [{"$currentOp": {}}, {"$match": {"ns": f"{world.database.name}.notes", "op": {"$ne": "none"}}}]
    return [one async for one in await world.database.client.admin.aggregate(pipeline)]


async def test_T13_T15_F7_a_slow_query_is_told_in_time_and_nothing_is_left_running(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG + "limits: {query_timeout: 300ms}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        rows = [{"_id": f"n{n:05}", "n": n, "text": "x" * 60 + "-"} for n in range(2_000)]
        await world.database["notes"].insert_many(rows)
        asked = {"filter": {"text": {"$regex": SLOW}}}
        for path, body in (
            ("/notes/query", asked),
            ("/notes/query", {**asked, "sort": ["-n"]}),
            ("/notes/query", {**asked, "count": True, "limit": 1}),
            ("/notes/query", {"filter": {"$nor": [asked["filter"]]}, "limit": 1, "count": True}),
            ("/notes/count", asked),
        ):
            started = time.perf_counter()
            answer = await world.post(path, body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout"), body
            assert time.perf_counter() - started < 0.3 + 2  # without a limit: far longer
            assert await left_running(world) == []
        assert (await world.get("/notes?_limit=1")).status_code == 200


async def test_T15_a_server_that_hangs_is_told_in_time(mongo_uri, tmp_path):
    """The server's own clock can't help here: the gateway's does."""
    config = a_config(tmp_path, CONFIG + "limits: {query_timeout: 300ms}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await world.database["notes"].insert_one({"_id": "a"})
        blocked = {
            "failCommands": ["find", "aggregate"],
            "blockConnection": True,
            "blockTimeMS": 1500,
            "appName": "permission-mongo",
        }
        admin = world.database.client.admin
        await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": blocked})
        try:
            for method, path, body in (
                ("GET", "/notes", None),
                ("GET", "/notes/a", None),
                ("GET", "/notes?_sort=-n", None),
                ("POST", "/notes/count", {}),
                ("POST", "/notes/batch/get", {"ids": ["a"]}),
            ):
                started = time.perf_counter()
                assert (await world.ask(method, path, body)).status_code == 504
                assert time.perf_counter() - started < 1.4  # and before the server answers
        finally:
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            await asyncio.sleep(1.5)
        assert (await world.get("/notes/a")).status_code == 200


async def test_every_read_carries_the_limit_to_mongodb(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG, SCHEMA.replace("client_ids", "versioning: {enabled: true}, client_ids"), POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        for n in range(3):
            await world.post("/notes", {"_id": f"n{n}", "n": n})
        await world.delete("/notes/batch", {"ids": ["n2"]})
        await world.database.command("profile", 2)
        for path in (
            "/notes",
            "/notes/n0",
            "/notes?_limit=1&_sort=n&_count=true",
            "/notes/deleted",
            "/notes/n0/versions",
        ):
            assert (await world.get(path)).status_code == 200
        await world.post("/notes/count", {})
        await world.post("/notes/batch/get", {"ids": ["n0"]})
        await world.database.command("profile", 0)
        ran = world.database["system.profile"].find(
            {"op": {"$in": ["query", "command"]}, "ns": {"$regex": "notes|_pm_versions"}}
        )
        commands = [one["command"] async for one in ran]
        assert len(commands) >= 8
        assert [one for one in commands if not 0 < one.get("maxTimeMS", 0) <= 10_000] == []


# -- bytes


@pytest.fixture
async def large(mongo_uri, tmp_path):
    """40 documents of about 1 MB, and pages of at most 4 MiB."""
    config = a_config(tmp_path, CONFIG + "limits: {max_result_bytes: 4MiB}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        for n in range(0, 40, 10):
            rows = [{"_id": f"n{m:02}", "n": m % 7, "text": "x" * 1_000_000} for m in range(n, n + 10)]
            await world.database["notes"].insert_many(rows)
        yield world


async def test_T16_a_page_ends_at_its_bytes(large):
    first = await large.get("/notes?_limit=40&_fields=n&_count=true")
    assert ids(first) == ["n00", "n01", "n02", "n03"]
    assert first.json()["pagination"]["has_more"] is True
    assert first.json()["pagination"]["total"] == 40


@pytest.mark.parametrize("sort", ["", "&_sort=-_id", "&_sort=n"])
async def test_T16_pages_cut_by_bytes_are_the_whole_list(large, sort):
    found = await pages(large, f"/notes?_limit=30&_fields=n{sort}")
    assert max(len(page) for page in found) == 4
    whole = [one for page in found for one in page]
    assert sorted(whole) == [f"n{n:02}" for n in range(40)]
    if sort:
        assert whole == sorted(whole, reverse=True) or "n" in sort.split("=")[1]


async def test_T16_a_document_larger_than_a_page_is_a_page(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG + "limits: {max_result_bytes: 1000}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await world.database["notes"].insert_many([{"_id": one, "text": "x" * 5000} for one in "abc"])
        assert await pages(world, "/notes?_limit=10&_fields=n") == [["a"], ["b"], ["c"]]
        assert await pages(world, "/notes?_limit=10&_sort=-n&_fields=n") == [["a"], ["b"], ["c"]]


async def test_T16_the_documents_of_a_full_page_are_never_all_read(large):
    """Of 40 MB at most one reply of MongoDB is read beyond the page."""
    await large.database.command("profile", 2)
    await large.get("/notes?_limit=40&_fields=n")
    await large.database.command("profile", 0)
    ran = [one async for one in large.database["system.profile"].find({"ns": f"{large.database.name}.notes"})]
    assert sum(one["nreturned"] for one in ran if "nreturned" in one) <= 17


@pytest.fixture(scope="module")
async def many(mongo_uri, tmp_path_factory):
    """3,000 notes of some 600 bytes, of which a page is more than what is read at once."""
    config = a_config(tmp_path_factory.mktemp("many"), CONFIG + "limits: {max_result_size: 5000}\n")
    async with a_kept_world(mongo_uri, config) as world:
        common = {"tenant_id": "acme", "_version": 1, "tags": ["x" * 500], "ssn": "123456789"}
        own = [{"owner_id": "alice", "status": "open"}, {"owner_id": "bob", "status": "closed"}]
        rows = [{"_id": f"n{n:05}", "title": f"t{n % 11}", "age": n % 7, **common, **own[n % 2]} for n in range(3000)]
        await world.database["notes"].insert_many(rows)
        yield world


@pytest.mark.parametrize(
    "asked", ["", "&_sort=-age,_id", "&_sort=title", "&_fields=title,status", "&_sort=age&_fields=title"]
)
@pytest.mark.parametrize(
    "token",
    [a_token("boss", ["boss"]), a_token(), a_token("v", ["viewer"]), a_token("alice", ["user", "viewer"])],
    ids=["all", "masked", "few fields", "fields by row"],
)
async def test_T16_a_large_page_is_shown_as_its_rows_are_in_small_ones(many, token, asked):
    """It is read, judged and written portion by portion."""
    whole = (await many.get(f"/notes?_limit=5000{asked}", token=token)).json()
    assert whole["pagination"] == {"cursor": None, "has_more": False}
    found, cursor = [], ""
    while cursor is not None:
        told = (await many.get(f"/notes?_limit=500{asked}{cursor}", token=token)).json()
        found += told["data"]
        cursor = f"&_cursor={told['pagination']['cursor']}" if told["pagination"]["has_more"] else None
    assert whole["data"] == found
    assert len(found) in (1500, 3000)
    assert not any("_made" in one for one in found)


async def test_T16_a_large_page_that_is_not_the_last_goes_on_behind_its_last_row(many):
    for sort in ("", "&_sort=age,_id"):
        token = a_token("boss", ["boss"])
        first = (await many.get(f"/notes?_limit=2500{sort}", token=token)).json()
        assert first["pagination"]["has_more"] is True
        rest = await many.get(f"/notes?_limit=2500{sort}&_cursor={first['pagination']['cursor']}", token=token)
        ids = [one["_id"] for one in first["data"] + rest.json()["data"]]
        assert (len(ids), len({*ids})) == (3000, 3000)
