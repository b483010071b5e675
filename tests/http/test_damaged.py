"""Documents that another writer stored badly: text that is no UTF-8, a UUID of another length. Reading one never fails."""

import asyncio
import uuid

import bson
import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
KEY = bson.Binary.from_uuid(uuid.UUID(int=7))
SCHEMA = """
settings: {id_type: string, additional_fields: keep}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      title: {type: string}
      n: {type: integer}
      key: {type: uuid}
      loud: {type: string, computed: {$concat: [$title, "!"]}}
  plain:
    client_ids: true
    versioning: {enabled: true}
    fields: {title: {type: string}, n: {type: integer}, key: {type: uuid}, odd: {type: any}, at: {type: string}}
"""
POLICY = """
roles: {boss: {system: [explain]}, clerk: {}, other: {}, warded: {}}
policies:
  notes: {boss: {actions: ["*", purge]}}
  plain:
    boss: {actions: ["*", purge]}
    clerk: {actions: [read], fields: {mask: {title: hash, odd: hash}}}
    other: {actions: [read, update], when: "resource.odd != 'x'"}
    warded:
      - {actions: [read]}
      - {effect: deny, actions: [read], when: "startsWith(resource.title, 'secret')"}
      - {effect: deny, actions: [read], when: "any(resource.odd, x => startsWith(x, 'secret'))"}
      - {effect: deny, actions: [read], when: "resource.at < 'é'", fields: [n]}
"""
SPOILT = b"\xff\xfe" + b"x" * 14
MARK = "M" * len(SPOILT)
HOWS = ("text", "name", "uuid")
SHOWN = {
    "text": ("odd", "\ufffd\ufffd" + "x" * 14),
    "name": ("\ufffd\ufffd" + "x" * 14, 1),
    "uuid": ("odd", {"$binary": {"base64": "eHh4eHh4eHh4eHh4eHh4", "subType": "04"}}),
}


def damaged(how: str, **fields) -> RawBSONDocument:
    odd = {"text": {"odd": MARK}, "name": {MARK: 1}, "uuid": {"odd": bson.Binary(b"x" * 15, 4)}}
    return RawBSONDocument(bson.encode({**fields, "key": KEY, **odd[how]}).replace(MARK.encode(), SPOILT))


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as found:
        for name in ("notes", "plain"):
            rows = [damaged(how, _id=how, title="sound", n=1, _version=1) for how in HOWS]
            await found.database[name].insert_many([{"_id": "a", "n": 0}, *rows, {"_id": "z", "n": 2}])
        yield found


def is_shown(document: dict, how: str) -> bool:
    name, value = SHOWN[how]
    return document[name] == value and document["key"] == str(KEY.as_uuid())


@pytest.mark.parametrize("collection", ["notes", "plain"])
async def test_t18_what_is_stored_badly_is_read_beside_the_rest(world, collection):
    """A page that failed would hide all that stands beside it, and tell nobody which document it is."""
    for asked in ("", "?_sort=n", "?_sort=-title,n", "?_limit=4"):
        rows = (await world.get(f"/{collection}{asked}", token=BOSS)).json()["data"]
        odd = [row for row in rows if row["_id"] in HOWS]
        assert len(odd) == 3, asked
        assert all(is_shown(row, row["_id"]) for row in odd), asked
    got = (await world.post(f"/{collection}/batch/get", {"ids": [*HOWS, "a"]}, token=BOSS)).json()["documents"]
    assert [one["_id"] for one in got] == [*HOWS, "a"]
    assert all(is_shown(one, one["_id"]) for one in got[:3])
    found = await asyncio.gather(*(world.get(f"/{collection}/{how}", token=BOSS) for how in HOWS * 3))
    assert all(is_shown(one.json(), how) for one, how in zip(found, HOWS * 3, strict=True))
    pipeline = [{"$project": {"key": 1, "title": 1}}]
    rows = (await world.post(f"/{collection}/aggregate", {"pipeline": pipeline}, token=BOSS)).json()["data"]
    assert len(rows) == 5


async def test_t18_it_is_masked_and_judged_like_any_other(world):
    masked = (await world.get("/plain", token=a_token("carl", ["clerk"]))).json()["data"]
    assert [one["_id"] for one in masked] == ["a", *sorted(HOWS), "z"]
    assert "\ufffd" not in masked[2]["odd"]
    judged = (await world.get("/plain", token=a_token("otto", ["other"]))).json()["data"]
    assert [one["_id"] for one in judged] == ["text", "uuid"]
    pipeline = [{"$project": {"odd": 1}}]
    rows = (await world.post("/plain/aggregate", {"pipeline": pipeline}, token=BOSS)).json()["data"]
    assert {one["_id"]: one.get("odd") for one in rows if one["_id"] != "name"}["uuid"] == SHOWN["uuid"][1]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("collection", ["notes", "plain"])
async def test_t18_no_request_on_it_is_a_fault_of_ours(world, collection, how):
    one, by_id = f"/{collection}/{how}", {"filter": {"_id": how}}
    asked = [
        ("POST", f"/{collection}/query", {**by_id, "sort": ["n"]}, {200}),
        ("POST", f"/{collection}/count", by_id, {200}),
        ("GET", f"{one}/versions", None, {200}),
        ("GET", f"{one}/versions/1", None, {200}),
        ("GET", f"{one}?_as_of=2020-01-01T00:00:00Z", None, {400, 404}),
        ("POST", "/_pm/explain", {"collection": collection, "action": "read", "id": how}, {200}),
        ("PATCH", one, {"n": 5}, {200, 409}),
        ("GET", f"{one}/versions/1", None, {200}),
        ("GET", f"{one}/diff/1/2", None, {200, 404}),
        ("POST", f"{one}/restore/1", {}, {200, 404, 409}),
        ("PUT", f"/{collection}/batch", {"ids": [how, "a"], "update": {"n": 6}}, {200}),
        ("PUT", one, {"n": 7}, {200, 409}),
        ("DELETE", f"/{collection}/batch", {"ids": [how, "z"]}, {200}),
        ("GET", f"/{collection}/deleted", None, {200}),
        ("GET", f"{one}/versions", None, {200}),
        ("GET", f"{one}/versions/1", None, {200}),
        ("POST", f"{one}/restore/1", {}, {200, 409}),
        ("POST", f"{one}/purge", {"reason": "damaged"}, {200}),
    ]
    for method, path, body, right in asked:
        answer = await world.ask(method, path, body, token=BOSS)
        assert answer.status_code in right, (method, path, answer.text)


@pytest.mark.parametrize("how", HOWS)
async def test_t18_a_change_beside_it_leaves_its_bytes_and_a_deletion_keeps_them(world, how):
    stored = world.database["plain"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    odd = SPOILT if how != "uuid" else b"x" * 15
    changed = await world.ask("PATCH", f"/plain/{how}", {"n": 5}, token=BOSS)
    assert changed.status_code == (409 if how == "uuid" else 200)
    assert odd in bytes((await stored.find_one({"_id": how})).raw)
    assert (await world.ask("DELETE", f"/plain/{how}", token=BOSS)).status_code == 200
    versions = world.database["_pm_versions"].with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    kept = [bytes(one.raw) async for one in versions.find({"doc_id": how})]
    assert kept
    assert all(odd in one for one in kept)


async def test_t18_no_page_begins_behind_a_text_that_is_none(world):
    """What stands for it sorts elsewhere: the next page would leave rows out, or be this one for ever."""
    spoilt = bson.encode({"_id": "m", "title": MARK}).replace(MARK.encode(), SPOILT)
    await world.database["notes"].insert_one(RawBSONDocument(spoilt))
    order = "/notes?_sort=-title"
    first = await world.get(f"{order}&_limit=1", token=BOSS)
    assert (first.status_code, first.json()["error"]["code"]) == (400, "bad_request")
    assert "no UTF-8" in first.json()["error"]["message"]
    assert (await world.get(f"{order}&_limit=2", token=BOSS)).status_code == 200
    assert len((await world.get(order, token=BOSS)).json()["data"]) == 6


async def test_t18_a_deny_on_how_a_text_begins_holds_of_one_that_is_none(world):
    """No pattern matches it: taken for one that begins otherwise, it would be shown."""
    sound = {"title": "secret", "odd": ["secret"]}
    rows = [
        {"_id": f"{name} {how}", "title": "open", "odd": ["open"], name: [text] if name == "odd" else text}
        for name in sound
        for how, text in (("sound", "secret"), ("spoilt", "secret" + MARK))
    ]
    stored = [RawBSONDocument(bson.encode(row).replace(MARK.encode(), SPOILT)) for row in rows]
    await world.database["plain"].insert_many([*stored, {"_id": "open", "title": "open", "odd": ["open"]}])
    token = a_token("wanda", ["warded"])
    assert [one["_id"] for one in (await world.get("/plain", token=token)).json()["data"]] == ["open"]
    for row in rows:
        assert (await world.get(f"/plain/{row['_id']}", token=token)).status_code == 404


async def test_t18_a_field_hidden_by_the_order_of_a_text_stays_hidden_where_it_is_none(world):
    """U+FFFD sorts behind what the bytes it stands for sort before."""
    row = bson.encode({"_id": "m", "title": "open", "odd": ["open"], "n": 7, "at": MARK})
    spoilt = row.replace(MARK.encode(), b"\xc1\xa1" + MARK.encode()[2:])
    plain = {"_id": "o", "title": "open", "odd": ["open"], "n": 7, "at": "z"}
    await world.database["plain"].insert_many([RawBSONDocument(spoilt), plain, {**plain, "_id": "p", "at": "éa"}])
    rows = (await world.get("/plain", token=a_token("wanda", ["warded"]))).json()["data"]
    assert [(one["_id"], one.get("n")) for one in rows] == [("m", None), ("o", None), ("p", 7)]


async def test_t18_bytes_that_tell_another_length_of_themselves_are_read_beside_the_rest(world):
    wrong = bson.encode({"_id": "m", "n": 1, "odd": [bson.Binary(b"abcdefgh", 9)]}).replace(b"\x09abc", b"\x02abc")
    await world.database["plain"].insert_one(RawBSONDocument(wrong))
    shown = [{"$binary": {"base64": "YWJjZGVmZ2g=", "subType": "80"}}]
    for path in ("/plain", "/plain?_sort=n", "/plain?_limit=4"):
        rows = (await world.get(path, token=BOSS)).json()["data"]
        assert next(one for one in rows if one["_id"] == "m")["odd"] == shown, path
    assert (await world.get("/plain/m", token=BOSS)).json()["odd"] == shown
    found = await world.post("/plain/batch/get", {"ids": ["m", "text"]}, token=BOSS)
    assert found.json()["documents"][0]["odd"] == shown
