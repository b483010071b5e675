"""Threats to requests and documents, tried at every route of the table: one that is new must be given its place here."""

import itertools
import json

import pytest

from permission_mongo.api.routes import ROUTES
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
UNKNOWN = "0" * 32
BOSS, BOB = a_token("boss", ["boss"]), a_token("bob")
STRANGER = a_token("alice", ["boss"], "evil")  # called like the caller: nothing but the tenant hides what is hers
# Every route that reads a body, with one that is right
BODIES = {
    "create": ("POST", "/notes", b'{"title": "n"}'),
    "create many": ("POST", "/notes/batch", b'{"documents": [{"title": "n"}]}'),
    "get many": ("POST", "/notes/batch/get", b'{"ids": ["a"]}'),
    "delete many": ("DELETE", "/notes/batch", b'{"ids": ["a"]}'),
    "delete many twin": ("POST", "/notes/batch/delete", b'{"ids": ["a"]}'),
    "update many": ("PUT", "/notes/batch", b'{"ids": ["a"], "update": {"title": "n"}}'),
    "cancel": ("POST", f"/_pm/jobs/{UNKNOWN}/cancel", b"{}"),
    "undo": ("POST", f"/notes/batch/{UNKNOWN}/undo", b"{}"),
    "query": ("POST", "/notes/query", b'{"filter": {"title": "n"}}'),
    "count": ("POST", "/notes/count", b'{"filter": {"title": "n"}}'),
    "aggregate": ("POST", "/notes/aggregate", b'{"pipeline": [{"$count": "n"}]}'),
    "put": ("PUT", "/notes/a", b'{"title": "n"}'),
    "patch": ("PATCH", "/notes/a", b'{"title": "n"}'),
    "patch by operators": ("PATCH", "/notes/a", b'{"$set": {"title": "n"}}'),
    "delete": ("DELETE", "/notes/a", b"{}"),
    "purge": ("POST", "/notes/a/purge", b'{"reason": "r"}'),
    "restore": ("POST", "/notes/a/restore/1", b"{}"),
    "explain": ("POST", "/_pm/explain", b'{"action": "read", "collection": "notes"}'),
    "check of the policy": ("POST", "/_pm/policy/check", b'{"files": {}}'),
    "test of the policy": ("POST", "/_pm/policy/test", b'{"files": {}}'),
    "difference of the policy": ("POST", "/_pm/policy/diff", b'{"files": {}}'),
    "policy": ("PUT", "/_pm/policy", b'{"files": {"policy.yml": "roles: {}"}}'),
    "removal of a blob": ("DELETE", "/notes/a/blobs/photo", b"{}"),
    "sync": ("POST", "/_pm/hierarchy/sync", b"{}"),
    "sync as in Go": ("POST", "/api/hierarchy/sync", b"{}"),
}
every_body = pytest.mark.parametrize("route", BODIES)


@pytest.fixture
async def one(world):
    """One note, and a way to send bytes that must change nothing."""
    await world.add("a", token=BOSS)
    before = await world.database["notes"].find({}).to_list()

    async def refused(route, content, statuses=(400,), path=None, **more):
        method, at, _ = BODIES[route]
        answer = await world.ask(method, path or at, content=content, token=BOSS, **more)
        assert answer.status_code in statuses, (route, content[:80], answer.text)
        assert set(answer.json()) == {"error"}
        assert await world.database["notes"].find({}).to_list() == before
        assert await world.database["_pm_versions"].count_documents({}) == 0
        return answer

    refused.world = world
    return refused


def test_every_route_that_reads_a_body_stands_in_the_table():
    names = {
        "/notes/a": "/{collection}/{id}",
        f"/_pm/jobs/{UNKNOWN}/cancel": "/_pm/jobs/{job}/cancel",
        "/notes/a/purge": "/{collection}/{id}/purge",
        "/notes/a/blobs/photo": "/{collection}/{id}/blobs/{field}",
        "/notes/a/restore/1": "/{collection}/{id}/restore/{version}",
    }
    here = {
        (method, names.get(path, path.replace("/notes", "/{collection}").replace(UNKNOWN, "{batch}")))
        for method, path, _ in BODIES.values()
    }
    of_bytes = {("PUT", "/{collection}/{id}/blobs/{field}")}  # whatever they are
    assert here == {(method, path) for method, path, _ in ROUTES if method != "GET"} - of_bytes


# -- T8, T9, T13


OPERATORS = ("$where", "$expr", "$function", "$accumulator", "$jsonSchema", "$text", "$near", "$comment", "$out", "$merge", "$unionWith", "$graphLookup", "$setOnInsert", "$bit", "$ne")  # fmt: skip


@every_body
async def test_t8_t9_an_operator_at_the_top_of_a_body_is_refused(one, route):
    rest = BODIES[route][2][1:]
    for operator in OPERATORS:
        await one(route, b'{"%s": "1"%s' % (operator.encode(), rest if rest == b"}" else b", " + rest), (400, 403, 422))
        await one(route, b'{"%s": {"a": 1}}' % operator.encode(), (400, 403, 422))


# -- T12


async def test_t12_whatever_is_asked_the_answer_is_within_the_policy(world):
    """Each way to say "everything", as a caller who reads closed notes of others and all own ones."""
    for status in ("open", "closed", "locked"):
        await world.add(f"own-{status}", status=status)
        await world.add(f"bob-{status}", status=status, token=BOB)
        await world.add(f"evil-{status}", status=status, token=STRANGER)
    mine = {"own-open", "own-closed", "own-locked", "bob-closed"}
    for asked in (
        {},
        {"$or": [{}, {"status": "open"}]},
        {"$or": [{"tenant_id": "evil"}, {"tenant_id": {"$ne": "x"}}]},
        {"$nor": [{"status": "nothing"}]},
        {"$and": [{"$or": [{"_id": {"$exists": True}}, {"owner_id": "bob"}]}]},
        {
            "_id": {
                "$in": [f"{who}-{status}" for who in ("own", "bob", "evil") for status in ("open", "closed", "locked")]
            }
        },
        {"_id": {"$nin": []}},
        {"tenant_id": {"$in": ["acme", "evil"]}},
        {"title": {"$regex": ""}},
    ):
        answer = await world.post("/notes/query", {"filter": asked, "limit": 100})
        assert answer.status_code in (200, 400, 403), answer.text
        assert {one["_id"] for one in answer.json().get("data", ())} <= mine, asked
        counted = await world.post("/notes/count", {"filter": asked})
        assert counted.status_code != 200 or counted.json()["data"]["count"] <= len(mine)
        dry = await world.delete("/notes/batch", {"filter": asked, "all": True, "dry_run": True, "results": True})
        assert {one["id"] for one in dry.json().get("results", ()) if one["status"] == "deleted"} <= {
            "own-open",
            "own-closed",
        }
    everything = await world.post("/notes/query", {"filter": {"_id": {"$exists": True}}})
    assert {one["_id"] for one in everything.json()["data"]} == mine


# -- T17 to T20: JSON


@every_body
async def test_t17_a_key_given_twice_is_refused_at_every_route(one, route):
    for content in (
        b'{"title": "a", "title": "b"}',
        b'{"x": {"y": [{"z": 1, "z": 2}]}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"ids": ["a"], "ids": ["b"]}',
    ):
        told = await one(route, content)
        assert "uplicate" in told.text or "takes no body" in told.text


async def test_t17_a_key_given_twice_in_a_parameter_is_refused(one):
    for query in (
        '_filter={"title":"a","title":"b"}',
        '_filter={"$or":[{"title":"a","title":"b"}]}',
        'title={"$eq":"a","$eq":"b"}',
        'title={"$not":{"$eq":"a","$eq":"b"}}',
    ):
        answer = await one.world.get(f"/notes?{query}", token=BOSS)
        assert (answer.status_code, "uplicate" in answer.text) == (400, True)


@every_body
async def test_t18_t20_what_can_not_be_kept_is_refused_at_every_route(one, route):
    await one(route, b"\xef\xbb\xbf" + BODIES[route][2])
    for value in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"a\x00b"',
        b'"\xc0\xaf"',
    ):
        await one(route, b'{"title": ' + value + b"}")
    for value in (b"18446744073709551616", b"9223372036854775808", b"1e400", b"1" * 400, b'"a\\u0000b"'):
        await one(route, b'{"title": ' + value + b', "reason": ' + value + b"}", (400, 403, 422))
    for key in (b'"a\\u0000b"', b'"\\u0000"', b'"$\\u0000"'):
        await one(route, b"{" + key + b": 1}", (400, 403, 422))


@every_body
async def test_t19_absurd_depth_is_refused_at_every_route(one, route):
    for content in (
        b'{"title":' * 65 + b"1" + b"}" * 65,
        b'{"tags":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"a":' + b"[" * 100_000,
        b"[" * 70 + b"]" * 70,
    ):
        await one(route, content)


# -- T21, T22: names and ids


NAMED = (
    ("create", {"NAME": 1}),
    ("put", {"NAME": 1}),
    ("patch", {"pay": {"NAME": 1}}),
    ("put", {"lines": [{"NAME": 1}]}),
    ("patch by operators", {"$set": {"pay": {"NAME": 1}}}),
    ("patch by operators", {"$rename": {"title": "NAME"}}),
)


async def test_t21_a_name_no_path_can_address_is_stored_by_no_route(one):
    for name, (route, document) in itertools.product(("", "$x", "a.b", "$set.x", "0", "7.x", "a..b", ".", "$"), NAMED):
        document = json.loads(json.dumps(document).replace("NAME", name))
        method, path, _ = BODIES[route]
        answer = await one.world.ask(
            method, path, {"title": "n", **document} if route == "create" else document, token=BOSS
        )
        assert answer.status_code in (400, 403, 422), (route, answer.text)
    assert await one.world.database["notes"].count_documents({}) == 1
    assert set(await one.world.database["notes"].find_one({})) >= {"title"}


IDS = (
    5,
    None,
    True,
    ["a"],
    {"$ne": 1},
    {"$gt": ""},
    {"$regex": "."},
    {"$oid": "65f000000000000000000000"},
    "x" * 129,
    "a b",
    "",
)


async def test_t22_an_id_of_another_type_names_no_document_by_any_route(one):
    world = one.world
    for other in IDS:
        for method, path, body in (
            ("POST", "/notes", {"_id": other, "title": "n"}),
            ("PUT", "/notes/a", {"_id": other}),
            ("PATCH", "/notes/a", {"_id": other}),
            ("PATCH", "/notes/a", {"$set": {"_id": other}}),
            ("PUT", "/notes/a?_replace=true", {"_id": other, "title": "n"}),
            ("DELETE", "/notes/batch", {"ids": [other]}),
            ("POST", "/notes/batch/get", {"ids": [other]}),
        ):
            answer = await world.ask(method, path, body, token=BOSS)
            # A text that no id of a URL can be may be the id of a stored document: there is none.
            statuses = {200, 400} if "batch" in path and isinstance(other, str) else {400, 403, 422}
            assert answer.status_code in statuses, (method, path, answer.text)
    assert await world.database["notes"].find({}, {"_id": 1}).to_list() == [{"_id": "a"}]


# -- T23: sizes


@every_body
async def test_t23_a_body_that_is_too_large_or_lies_is_refused_at_every_route(mongo_uri, tmp_path, route):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_body_bytes: 1000}\n")) as world:
        await world.add("a", token=BOSS)
        method, path, content = BODIES[route]
        large = content + b" " * 2000

        async def parts():
            for n in range(0, len(large), 100):
                yield large[n : n + 100]

        for sent, headers in (
            (large, {}),
            (parts(), {}),
            (large, {"content-length": "5"}),
            (content, {"content-length": "99999999999"}),
        ):
            answer = await world.ask(method, path, content=sent, headers=headers, token=BOSS)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
            assert answer.json()["error"]["details"] == {"max_body_bytes": 1000}
        for encoding in ("gzip", "deflate", "br", "gzip, identity", "x"):
            answer = await world.ask(method, path, content=content, headers={"content-encoding": encoding}, token=BOSS)
            assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
        assert await world.stored("a") == ["a"]
        assert await world.database["_pm_versions"].count_documents({}) == 0


async def test_t23_more_than_16_mb_are_refused_by_default(one):
    for route in ("create", "put", "aggregate"):
        await one(route, b'{"title": "' + b"x" * (16 * 2**20) + b'"}', (413,))
    await one("create", b'{"title": "n", "ssn": "' + b"x" * (16 * 2**20 - 60) + b'"}', (413,))


# -- T24


@pytest.mark.parametrize(
    "field", ["tenant_id", "owner_id", "_version", "_made", "created_by", "created_at", "updated_at", "updated_by"]
)
async def test_t24_what_the_gateway_writes_is_the_callers_by_no_route(world, field):
    await world.add("a")
    before = await world.database["notes"].find_one({"_id": "a"})
    for method, path, body in (
        ("POST", "/notes", {"title": "n", field: "evil"}),
        ("POST", "/notes/batch", {"documents": [{"title": "n", field: "evil"}], "atomic": True}),
        ("PUT", "/notes/a", {field: "evil"}),
        ("PUT", "/notes/a?_replace=true", {"title": "n", field: "evil"}),
        ("PATCH", "/notes/a", {field: "evil"}),
        ("PATCH", "/notes/a", {field: {"x": "evil"}}),
        *(
            ("PATCH", "/notes/a", {operator: {field: "evil"}})
            for operator in ("$set", "$unset", "$min", "$max", "$push", "$addToSet", "$rename")
        ),
        *(("PATCH", "/notes/a", {"$set": {f"{field}.{part}": "evil"}}) for part in ("x", "0", "$", "$[]")),
        ("PATCH", "/notes/a", {"$rename": {"title": field}}),
        ("PATCH", "/notes/a", {"$currentDate": {field: True}}),
        ("PATCH", "/notes/a", {"$inc": {field: 1}}),
    ):
        answer = await world.ask(method, path, body)
        assert answer.status_code in (400, 403, 422), (method, path, body, answer.text)
    assert await world.database["notes"].find().to_list() == [before]


# -- T25: another tenant's id, another owner's, a deleted one of either, and none

HIDDEN = ("x1", "x2", "x3", "x4", "x5")
TAG = {"if-match": '"0123456789abcdef0123456789abcdef"'}
ROUTES_OF_ONE = {
    "get what is known": ("GET", "/notes/ID", None, {"if-none-match": "*"}),
    "put": ("PUT", "/notes/ID", {"title": "n"}, {}),
    "put what is there": ("PUT", "/notes/ID", {"title": "note ID"}, {}),
    "replace": ("PUT", "/notes/ID?_replace=true", {"title": "n"}, {}),
    "put if-match": ("PUT", "/notes/ID", {"title": "n"}, TAG),
    "put if any": ("PUT", "/notes/ID", {"title": "n"}, {"if-match": "*"}),
    "put what breaks the schema": ("PUT", "/notes/ID", {"status": "nothing"}, {}),
    "patch": ("PATCH", "/notes/ID", {"title": "n"}, {}),
    "patch by operators": ("PATCH", "/notes/ID", {"$inc": {"age": 1}}, {}),
    "patch if-match": ("PATCH", "/notes/ID", {"$set": {"title": "n"}}, TAG),
    "patch what is not the callers": ("PATCH", "/notes/ID", {"owner_id": "alice"}, {}),
    "patch with a key": ("PATCH", "/notes/ID", {"title": "n"}, {"idempotency-key": "ID"}),
    "delete": ("DELETE", "/notes/ID", None, {}),
    "delete if-match": ("DELETE", "/notes/ID", None, TAG),
    "delete with a key": ("DELETE", "/notes/ID", None, {"idempotency-key": "ID"}),
    "blob": ("GET", "/notes/ID/blobs/title", None, {}),
    "purge": ("POST", "/notes/ID/purge", {"reason": "r"}, {}),
    "purge if-match": ("POST", "/notes/ID/purge", {"reason": "r"}, TAG),
    "versions before": ("GET", "/notes/ID/versions?_before=2", None, {}),
    "aggregate": ("POST", "/notes/aggregate", {"pipeline": [{"$match": {"_id": "ID"}}, {"$count": "n"}]}, {}),
}


@pytest.mark.parametrize("route", ROUTES_OF_ONE)
async def test_t25_another_tenants_id_is_told_like_none_by_every_route(mongo_uri, tmp_path, route):
    policy = POLICY.replace("delete, restore]", "delete, restore, purge, aggregate]")
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, policy)) as world:
        await world.add("a")
        for ids, token in ((("x1", "x3"), STRANGER), (("x2", "x4"), BOB)):
            await world.add(*ids, token=token, age=3)
            await world.delete("/notes/batch", {"ids": [ids[1]]}, token=token)
        names = ("notes", "_pm_versions")
        before = [await world.database[name].find().to_list() for name in names]
        method, path, body, headers = ROUTES_OF_ONE[route]
        told = set()
        for one in HIDDEN:
            sent = None if body is None else json.loads(json.dumps(body).replace("ID", one))
            asked = {name: value.replace("ID", one) for name, value in headers.items()}
            answer = await world.ask(method, path.replace("ID", one), sent, headers=asked)
            kept = sorted((name, value) for name, value in answer.headers.items() if name != "x-request-id")
            told.add((answer.status_code, tuple(kept), answer.text.replace(one, "ID")))
        assert len(told) == 1, told
        assert next(iter(told))[0] in (200, 403, 404)
        assert [await world.database[name].find().to_list() for name in names] == before
