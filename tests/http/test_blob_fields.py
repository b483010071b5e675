"""A field of type blob is written by no way but its own: whatever else names it is refused like an unknown field."""

import pytest

from tests.http.harness import CONFIG, World, a_config, a_token, a_world

SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      photo: {type: blob, max_bytes: 1KiB, content_types: [image/png, "text/*"]}
      other: {type: blob}
"""
POLICY = """
roles: {user: {}, blind: {}, masked: {}, boss: {}, parts: {}, mixed: {}, nameless: {}}
policies:
  notes:
    user: {actions: ["*"], when: "resource.owner_id == user.id"}
    blind: {actions: [read, update, restore], fields: {deny: [photo]}}
    masked: {actions: [read, update, restore], fields: {mask: {photo: redact}}}
    parts: {actions: [read], fields: {deny: [photo.checksum]}}
    mixed:
      - {actions: [read, update], when: "resource.owner_id == user.id"}
      - {actions: [read], fields: {mask: {photo.filename: redact}}}
    nameless: {actions: [read], when: "resource.owner_id == user.id", fields: {deny: [owner_id]}}
    boss: {actions: ["*", purge], check: "true", fields: {reassign: [photo]}}
"""
PHOTO = {"filename": "a.png", "content_type": "image/png", "size_bytes": 3, "checksum": "0" * 64}
BOSS = a_token("bob", ["boss"])


@pytest.fixture(scope="module")
async def shared(mongo_uri, tmp_path_factory):
    async with a_world(mongo_uri, a_config(tmp_path_factory.mktemp("blobs"), CONFIG, SCHEMA, POLICY)) as world:
        yield world


@pytest.fixture
async def world(shared: World):
    await shared.database["notes"].delete_many({})
    await shared.database["_pm_versions"].delete_many({})
    await shared.add("n")
    await shared.database["notes"].update_one({"_id": "n"}, {"$set": {"photo": PHOTO}})
    return shared


@pytest.mark.parametrize("token", [None, BOSS], ids=["user", "boss"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/notes", {"_id": "m", "photo": PHOTO}),
        ("POST", "/notes", {"_id": "m", "photo": None}),
        ("POST", "/notes", {"_id": "m", "photo": "x"}),
        ("PUT", "/notes/n", {"photo": {**PHOTO, "checksum": "1" * 64}}),
        ("PUT", "/notes/n", {"other": PHOTO}),
        ("PUT", "/notes/n?_replace=true", {"title": "t", "photo": {**PHOTO, "size_bytes": 4}}),
        ("PATCH", "/notes/n", {"photo": None}),
        ("PATCH", "/notes/n", {"photo": {"checksum": "1" * 64}}),
        ("PATCH", "/notes/n", {"photo": {"key": "x"}}),
        ("PATCH", "/notes/n", {"other": {}}),
        ("PATCH", "/notes/n", {"$set": {"photo.checksum": "1" * 64}}),
        ("PATCH", "/notes/n", {"$set": {"photo": PHOTO}}),
        ("PATCH", "/notes/n", {"$unset": {"photo": ""}}),
        ("PATCH", "/notes/n", {"$rename": {"photo": "other"}}),
        ("PATCH", "/notes/n", {"$rename": {"title": "photo"}}),
        ("PATCH", "/notes/n", {"$inc": {"photo.size_bytes": 1}}),
        ("PUT", "/notes/batch", {"filter": {"_id": "n"}, "update": {"photo": PHOTO}}),
        ("PUT", "/notes/batch", {"ids": ["n"], "update": {"$unset": {"photo": ""}}}),
    ],
)
async def test_no_other_write_names_a_blob(world: World, token, method, path, body):
    answer = await world.ask(method, path, body, token=token)
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["message"] == "unknown or not permitted field"
    assert (await world.database["notes"].find_one({"_id": "n"}))["photo"] == PHOTO


async def test_batches_refuse_a_blob_of_each_item(world: World):
    created = await world.post("/notes/batch", {"documents": [{"_id": "m", "photo": PHOTO}]})
    updated = await world.ask(
        "PUT", "/notes/batch", {"updates": [{"id": "n", "update": {"photo": PHOTO | {"size_bytes": 4}}}]}
    )
    for answer in (created, updated):
        assert answer.status_code in (207, 403), answer.text
        assert "unknown or not permitted field" in answer.text


async def test_what_was_shown_may_come_back_and_a_replacement_leaves_it(world: World):
    shown = (await world.get("/notes/n")).json()
    assert shown["photo"] == PHOTO
    back = await world.ask("PUT", "/notes/n", {"title": "new", "photo": shown["photo"]})
    assert back.status_code == 200, back.text
    replaced = await world.ask("PUT", "/notes/n?_replace=true", {"title": "newer"})
    assert replaced.json()["photo"] == PHOTO


@pytest.mark.parametrize("role", ["blind", "masked"])
async def test_hidden_and_masked_parts_are_asked_about_by_nobody(world: World, role):
    token = a_token("carl", [role])
    for path in ("photo", "photo.checksum", "photo.key", "nosuch"):
        for answer in (
            await world.post("/notes/query", {"filter": {path: {"$exists": True}}}, token=token),
            await world.get(f"/notes?_fields={path}", token=token),
            await world.get(f"/notes?_sort={path}", token=token),
        ):
            assert (answer.status_code, answer.json()["error"]["message"]) == (403, "unknown or not permitted field")


async def test_a_blob_is_asked_about_by_what_is_shown_of_it(world: World):
    found = await world.post("/notes/query", {"filter": {"photo.size_bytes": {"$lt": 5}}})
    assert [one["_id"] for one in found.json()["data"]] == ["n"]
    refused = await world.post("/notes/query", {"filter": {"photo.key": "x"}})
    assert refused.status_code == 403


async def test_a_restored_state_has_its_blob(world: World):
    await world.ask("PATCH", "/notes/n", {"title": "two"})
    await world.database["notes"].update_one({"_id": "n"}, {"$unset": {"photo": ""}})
    assert "photo" not in (await world.get("/notes/n")).json()
    restored = await world.post("/notes/n/restore/1", {})
    assert restored.json()["photo"] == PHOTO


async def test_a_rule_and_a_hook_set_no_blob(tmp_path):
    with pytest.raises(Exception, match="'photo' is a blob"):
        a_config(tmp_path, CONFIG, SCHEMA, POLICY.replace("fields: {reassign: [photo]}", "set: {photo: x}"))
