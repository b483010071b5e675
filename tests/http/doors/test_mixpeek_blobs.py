"""Addresses of bytes through the Mixpeek door: for whom our own routes give them, and for nobody else."""

import hashlib

import pytest

from tests.http.doors.mixpeek import AT, DOOR, ask, refused
from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BYTES = b"\x89PNG" * 9
BLIND, MASKED, STRANGER = a_token("carl", ["blind"]), a_token("mia", ["masked"]), a_token("eve")
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields: {tenant_id: {type: string}, owner_id: {type: string}, title: {type: string}, photo: {type: blob}}
"""
POLICY = """
roles: {user: {}, blind: {}, masked: {}}
policies:
  notes:
    user: {actions: ["*"], when: "resource.owner_id == user.id"}
    blind: {actions: [read, update], fields: {deny: [photo]}}
    masked: {actions: [read], fields: {mask: {photo: redact}}}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        await found.add("n", "empty")
        put = {"headers": {"content-type": "image/png"}, "content": BYTES}
        assert (await found.ask("PUT", "/notes/n/blobs/photo?filename=a.png", **put)).status_code == 200
        yield found


async def each(world, urls: bool, token=None) -> list[dict]:
    """The document by each route that shows it."""
    sent = {"return_presigned_urls": urls}
    get = await ask(world, "GET", f"{AT}/n?return_presigned_urls={str(urls).lower()}", token=token)
    listed = await ask(world, "POST", f"{AT}/list", {"filters": {"document_id": "n"}, **sent}, token)
    of_all = await ask(world, "POST", "/v1/documents/batch-get", {"document_ids": ["n"], **sent}, token)
    return [get.json(), listed.json()["results"][0], of_all.json()["documents"][0]]


async def test_a_blob_is_told_with_where_it_is_and_an_address_where_that_is_asked(world):
    told = {
        "field": "photo",
        "role": "source",
        "type": "image",
        "url": "/notes/n/blobs/photo",
        "filename": "a.png",
        "content_type": "image/png",
        "size_bytes": len(BYTES),
        "checksum": f"sha256:{hashlib.sha256(BYTES).hexdigest()}",
    }
    for one in await each(world, urls=False):
        assert one["document_blobs"] == [told]
    for one in await each(world, urls=True):
        [blob] = one["document_blobs"]
        url = blob.pop("presigned_url")
        assert (blob, one["photo"]["url"]) == (told, url)
        found = await world.client.get(url)
        assert (found.status_code, found.content) == (200, BYTES)
    assert (await world.get(told["url"])).content == BYTES
    assert (await ask(world, "GET", f"{AT}/empty?return_presigned_urls=true")).json()["document_blobs"] == []


@pytest.mark.parametrize("token", [BLIND, MASKED])
async def test_who_does_not_read_it_raw_is_given_no_address(world, token):
    for urls in (False, True):
        for one in await each(world, urls=urls, token=token):
            assert one["document_blobs"] == []
            assert "url" not in str(one)


async def test_what_is_invisible_has_none(world):
    body = {"document_ids": ["n", "absent"], "return_presigned_urls": True}
    told = (await ask(world, "POST", "/v1/documents/batch-get", body, STRANGER)).json()
    assert told == {"documents": [], "not_found": ["n", "absent"]}


@pytest.mark.parametrize("data", [{"photo": {"filename": "b.png"}}, {"photo.filename": "b.png"}, {"photo": None}])
async def test_no_write_names_one(world, data):
    sentence = "unknown or not permitted field"
    answer = await ask(world, "PATCH", f"{AT}/n", data)
    assert refused(answer) == (403, "ForbiddenError", sentence)
    each_one = {"updates": [{"document_id": "n", "update_data": data}]}
    assert (await ask(world, "POST", f"{AT}/batch", each_one)).json()["results"][0]["error"] == sentence
    assert refused(await ask(world, "PATCH", f"{AT}/bulk", {"all": True, "update_data": data}))[2] == sentence
    assert refused(await ask(world, "POST", AT, {"photo": {"filename": "b.png"}}))[2] == sentence
