"""The same with an S3-compatible store, over HTTP."""

import asyncio
import os
from importlib import import_module

import httpx
import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured, StartupFailure
from permission_mongo.storage import buckets
from permission_mongo.values import utc_now
from tests.http.harness import CONFIG, World, a_config, a_token, a_world
from tests.http.test_blob_fields import POLICY, SCHEMA
from tests.http.test_blob_sweep import LATER
from tests.http.test_blobs import BLIND, BYTES, PATH, PNG, STRANGER, put

if os.environ.get("PERMISSION_MONGO_S3") != "required":
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
pytestmark = pytest.mark.mongo
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret_of_the_store"}


def texts(folder, endpoint: str) -> None:
    store = f"blobs: {{store: s3, url_ttl: 1s, s3: {{endpoint: '{endpoint}', bucket: files, path_style: true}}}}\n"
    for name, text in (("config.yaml", CONFIG + store), ("schema.yml", SCHEMA), ("policy.yml", POLICY)):
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def endpoint():
    server = import_module("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    assert httpx.put(f"{address}/files").status_code == 200
    yield address
    server.stop()


@pytest.fixture(scope="module")
async def shared(mongo_uri, tmp_path_factory, endpoint):
    folder = tmp_path_factory.mktemp("buckets")
    texts(folder, endpoint)
    settings = load_config(folder, KEYS)
    config = a_config(folder, CONFIG + "# with a bucket\n", SCHEMA, POLICY)
    object.__setattr__(config, "blobs", settings.blobs)
    async with a_world(mongo_uri, config) as world:
        yield world


@pytest.fixture
async def world(shared: World, endpoint):
    for name in ("notes", "_pm_versions", "_pm_blob_keys"):
        await shared.database[name].delete_many({})
    await shared.add("n")
    return shared


def objects(endpoint: str) -> int:
    return httpx.get(f"{endpoint}/files?list-type=2").text.count("<Key>")


async def test_bytes_go_to_the_bucket_and_come_back(world: World, endpoint):
    before = objects(endpoint)
    assert (await put(world, f"{PATH}?filename=a.png")).status_code == 200
    assert objects(endpoint) == before + 1
    assert (await world.get(PATH)).content == BYTES
    assert (await world.get(PATH, headers={"range": "bytes=1-3"})).content == b"PNG"
    assert await world.database["_pm_blobs.files"].count_documents({}) == 0
    assert (await put(world, "/notes/n/blobs/other", b"")).status_code == 200
    assert (await world.get("/notes/n/blobs/other")).content == b""


async def test_an_address_of_the_store_gives_the_bytes_and_ends(world: World, endpoint):
    await put(world, f"{PATH}?filename=a.png")
    url = (await world.get("/notes/n?_presign=true")).json()["photo"]["url"]
    assert url.startswith(f"{endpoint}/files/default/")
    assert "X-Amz-Expires=1&" in url
    assert "secret_of_the_store" not in url
    found = await asyncio.to_thread(httpx.get, url)
    assert (found.status_code, found.content) == (200, BYTES)
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''a.png"
    assert found.headers["content-type"] == "image/png"
    for token in (BLIND, STRANGER):
        assert "url" not in (await world.get("/notes?_presign=true", token=token)).text


async def test_what_was_refused_or_is_named_no_more_is_gone_from_the_bucket(world: World, endpoint):
    before = objects(endpoint)
    assert (await put(world, content=b"x" * 1025)).status_code == 413

    async def body():
        yield b"x"
        await world.database["notes"].update_one({"_id": "n"}, {"$set": {"owner_id": "bob"}})

    assert (await put(world, content=body())).status_code == 404
    await world.database["notes"].update_one({"_id": "n"}, {"$set": {"owner_id": "alice"}})
    assert objects(endpoint) == before
    await put(world, content=b"one")
    await world.post("/notes/n/purge", {"reason": "asked for"}, token=a_token("bob", ["boss"]))
    assert objects(endpoint) == before
    assert await world.gateway.store.sweep_blobs(utc_now() + LATER) == 0


async def test_a_store_that_is_away_is_told_without_its_name(world: World, monkeypatch, endpoint):
    await put(world)
    bucket = world.gateway.store._blobs._store
    settings = buckets.S3Store("files", "http://127.0.0.1:9", "us-east-1", "a", "b", True)
    monkeypatch.setattr(world.gateway.store._blobs, "_store", buckets.Bucket(settings, 1.0))
    for answer in (await world.get(PATH), await put(world, content=b"two", headers=PNG)):
        assert answer.status_code in (503, 504), answer.text
        assert "127.0.0.1" not in answer.text
        assert "files" not in answer.text
    monkeypatch.setattr(world.gateway.store._blobs, "_store", bucket)
    assert (await world.get(PATH)).content == BYTES


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    texts(tmp_path, "ftp://x")
    with pytest.raises(Misconfigured) as told:
        load_config(tmp_path, {})
    messages = " ".join(one.message for one in told.value.findings)
    assert "AWS_ACCESS_KEY_ID" in messages
    assert "'blobs.s3.endpoint'" in messages

    def absent(name: str):
        raise ImportError(name)

    monkeypatch.setattr(buckets, "import_module", absent)
    with pytest.raises(StartupFailure, match=r"permission-mongo\[s3\]"):
        buckets.Bucket(buckets.S3Store("files", None, "us-east-1", "a", "b"), 1.0)
