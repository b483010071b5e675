"""Bytes go when nothing names them any more, and not before."""

from datetime import timedelta

import pytest

from permission_mongo.values import utc_now
from tests.http.harness import CONFIG, World, a_config, a_token, a_world
from tests.http.test_blob_fields import POLICY, SCHEMA
from tests.http.test_blobs import PATH, kept, put

pytestmark = pytest.mark.mongo
LATER = timedelta(hours=25)
DIFFS = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff, max_versions: 2}")


@pytest.fixture(scope="module")
async def shared(mongo_uri, tmp_path_factory):
    async with a_world(mongo_uri, a_config(tmp_path_factory.mktemp("sweep"), CONFIG, DIFFS, POLICY)) as world:
        yield world


@pytest.fixture
async def world(shared: World):
    for name in ("notes", "_pm_versions", "_pm_blob_keys", "_pm_blobs.files", "_pm_blobs.chunks"):
        await shared.database[name].delete_many({})
    await shared.add("n")
    return shared


async def sweep(world: World, after=LATER) -> int:
    return await world.gateway.store.sweep_blobs(utc_now() + after)


async def test_what_a_document_or_a_version_names_stays(world: World):
    await put(world, content=b"one")
    await put(world, content=b"two")
    assert await sweep(world) == 0
    await world.delete("/notes/n", None)
    assert await sweep(world) == 0
    await world.post("/notes/n/restore/3", {})
    assert (await world.get(PATH)).content == b"two"


async def test_what_no_kept_version_names_goes(world: World):
    await put(world, content=b"one")
    await put(world, content=b"two")
    for n in range(4):
        await world.ask("PATCH", "/notes/n", {"title": f"t{n}"})
    assert await sweep(world, timedelta(hours=23)) == 0
    assert await sweep(world) == 1
    assert await kept(world) == (1, 1)
    assert (await world.get(PATH)).content == b"two"


async def test_what_was_cut_off_goes_with_all_its_parts(world: World):
    keys, chunks = world.database["_pm_blob_keys"], world.database["_pm_blobs.chunks"]
    at = utc_now()
    await keys.insert_one({"_id": "cut", "at": at, "collection": "notes", "doc": "n", "field": "photo"})
    await chunks.insert_one({"files_id": "cut", "n": 0, "data": b"x"})
    assert await sweep(world, timedelta()) == 0
    assert await sweep(world) == 1
    assert await chunks.count_documents({}) == 0


async def test_bytes_of_a_purged_document_go_at_once(world: World):
    await put(world, content=b"one")
    await put(world, content=b"two")
    url = (await world.get("/notes/n?_presign=true")).json()["photo"]["url"]
    answer = await world.post("/notes/n/purge", {"reason": "asked for"}, token=a_token("bob", ["boss"]))
    assert answer.status_code == 200, answer.text
    assert await kept(world) == (0, 0)
    assert await world.database["_pm_blobs.chunks"].count_documents({}) == 0
    assert (await world.client.get(url)).status_code == 404


async def test_a_purge_leaves_what_is_on_its_way(world: World):
    """Its write may come after the document was made again."""
    keys = world.database["_pm_blob_keys"]
    place = {"collection": "notes", "doc": "n", "field": "photo", "checksum": "0" * 64}
    await keys.insert_one({"_id": "coming", "at": utc_now(), **place})
    await world.post("/notes/n/purge", {"reason": "asked for"}, token=a_token("bob", ["boss"]))
    assert await keys.count_documents({}) == 1
    assert await sweep(world) == 1


async def test_one_gateway_sweeps_in_an_hour(world: World):
    sweeper = world.gateway.store._sweeper
    assert await sweeper._is_time()
    assert not await sweeper._is_time()
