"""Ways in which products of this kind gave away what was hidden, each tried here: side answers, costly questions, what is
remembered of others."""

import asyncio
import functools
import json
import random
import time
from urllib.parse import quote

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
EVERY_HEADER = ("cache-control", "content-length", "content-type", "x-content-type-options", "x-request-id")
NOBODY = a_token("boss", ["boss"], "elsewhere")  # may do all, and has no document
TELLER, MOVER = a_token("tess", ["teller"]), a_token("mo", ["mover"])
POLICY = """
roles: {boss: {}, teller: {}, mover: {}, local: {}, far: {}}
policies:
  notes:
    boss: {actions: ["*", purge]}
    teller: {actions: ["*", purge], fields: {allow: [title, status, ssn], mask: {ssn: last4}}}
    mover:
      actions: [read, update]
      when: "resource.status == 'open'"
      check: "resource.status in ['open', 'closed']"
      fields: {allow: [title, status], reassign: [status]}
    local: {actions: [read], when: "resource.owner_id == user.owner", fields: {allow: [title, owner_id]}}
    far: {actions: [read], when: "resource.status == 'closed'"}
"""
SECRETS = {
    "ssn": "CANARY-1-6789",
    "age": 7531902468,
    "pay": {"month": 7531902468, "bonus": 7531902468},
    "tags": ["CANARY"],
    "lines": [{"sku": "CANARY", "quantity": 7531902468}],
    "email": "canary@canary.example",
}


@pytest.fixture
async def told(mongo_uri, tmp_path):
    """Notes full of what a teller must not see, and a way to ask that looks at every byte of the answer."""
    config = a_config(tmp_path, CONFIG, SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        await world.add("a", "b", "c", token=BOSS, **SECRETS)

        async def ask(method, path, body=None, token=TELLER, **more):
            answer = await world.ask(method, path, body, token=token, **more)
            whole = answer.text + str(answer.headers)
            assert "canary" not in whole.lower(), answer.text
            assert "7531902468" not in whole, answer.text
            return answer

        ask.world = world
        yield ask


def plain(note):
    """Without what each write changes."""
    return {name: value for name, value in note.items() if name not in ("_version", "updated_at")}


# -- A11, A12: what stands beside the document


async def test_a11_no_route_tells_of_changes_by_itself(told):
    words = ("watch", "stream", "event", "subscri", "hook", "change", "live", "feed")
    app = told.world.app
    assert [route.path for route in app.routes if any(word in route.path for word in words)] == []
    answer = await told("GET", "/notes/a", headers={"accept": "text/event-stream", "prefer": "respond-async"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    for path in ("/notes", "/notes/a", "/notes/changes"):
        sent = []
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "app": app,
        }

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message, sent=sent):
            sent.append(message["type"])

        await app(scope, receive, send)
        assert sent == ["websocket.close"]


async def test_a11_every_echo_of_a_write_shows_what_a_read_shows(told):
    made = await told("POST", "/notes", {"title": "new"})
    assert made.json() == (await told("GET", f"/notes/{made.json()['_id']}")).json()
    for method, body in (
        ("PUT", {"title": "x"}),
        ("PATCH", {"title": "y"}),
        ("PATCH", {"$set": {"title": "z"}}),
        ("PUT", {"title": "z"}),
    ):
        echo = await told(method, "/notes/a", body)
        assert (echo.status_code, echo.json()) == (200, (await told("GET", "/notes/a")).json())
        assert set(echo.json()) == {"_id", "_version", "title", "status", "ssn"}
        assert echo.json()["ssn"].endswith("6789")
    replaced = await told("PUT", "/notes/a?_replace=true", {"title": "r"})
    assert replaced.status_code == 200
    assert (await told.world.database["notes"].find_one({"_id": "a"}))["pay"]["month"] == 7531902468


async def test_a11_what_leaves_the_callers_sight_is_echoed_by_its_id_alone(told):
    echo = await told("PATCH", "/notes/a", {"status": "closed"}, MOVER)
    assert (echo.status_code, echo.json()) == (200, {"_id": "a"})
    assert (await told("GET", "/notes/a", token=MOVER)).status_code == 404
    assert "etag" not in echo.headers


async def test_a11_a12_refusals_hold_no_value(told):
    refused = (
        (409, await told("POST", "/notes", {"_id": "a", "title": "n"})),
        (412, await told("PUT", "/notes/a", {"title": "n"}, headers={"if-match": '"x"'})),
        (412, await told("DELETE", "/notes/a", headers={"if-match": '"x"'})),
        (412, await told("POST", "/notes/a/purge", {"reason": "r"}, headers={"if-match": '"x"'})),
        (422, await told("PATCH", "/notes/a", {"status": "nothing"})),
        (403, await told("PATCH", "/notes/a", {"$inc": {"age": 1}})),
        (403, await told("PATCH", "/notes/a", {"$rename": {"pay": "title"}})),
        (403, await told("GET", "/notes?age=7531902467")),
        (403, await told("PUT", "/notes/a", {"email": "x"})),
        (409, await told("POST", "/notes/batch", {"documents": [{"_id": "a", "title": "n"}], "atomic": True})),
    )
    assert [answer.status_code for _, answer in refused] == [status for status, _ in refused]


async def test_a12_every_other_way_to_a_document_shows_what_get_shows(told):
    shown = {one: (await told("GET", f"/notes/{one}")).json() for one in "abc"}
    everything = list(shown.values())
    assert (await told("GET", "/notes")).json()["data"] == everything
    assert (await told("GET", "/notes?_sort=title&_count=true")).json()["data"] == everything
    assert (await told("POST", "/notes/query", {"filter": {"status": "open"}, "sort": ["title"]})).json()[
        "data"
    ] == everything
    assert (await told("POST", "/notes/batch/get", {"ids": ["a", "b", "c"]})).json()["documents"] == everything
    assert (await told("POST", "/notes/count", {})).json() == {"data": {"count": 3}}
    rows = (await told("POST", "/notes/aggregate", {"pipeline": [{"$project": {"title": 1, "status": 1}}]})).json()[
        "data"
    ]
    assert rows == [{name: one[name] for name in ("_id", "title", "status")} for one in everything]
    for field in ("age", "pay.month", "ssn", "tags", "lines.sku", "email"):
        for stage in ({"$group": {"_id": f"${field}"}}, {"$project": {field: 1}}, {"$project": {"title": f"${field}"}}):
            assert (await told("POST", "/notes/aggregate", {"pipeline": [stage]})).status_code == 403, stage


async def test_a12_history_deleted_documents_and_undo_show_what_get_showed(told):
    shown = (await told("GET", "/notes/a")).json()
    for options in ({"dry_run": True}, {}):
        gone = await told("DELETE", "/notes/batch", {"ids": ["a", "b"], "results": True, **options})
        assert [set(one) for one in gone.json()["results"]] == [{"id", "status"}] * 2
    listed = (await told("GET", "/notes/deleted")).json()["data"]
    assert [plain(one) for one in listed if one["_id"] == "a"] == [plain(shown)]
    back = await told("POST", f"/notes/batch/{gone.json()['batch']}/undo", {"results": True})
    assert (back.json()["restored"], set(back.json())) == (2, {"restored", "failed", "results", "batch"})
    assert plain((await told("GET", "/notes/a")).json()) == plain(shown)
    history = (await told("GET", "/notes/a/versions")).json()
    assert [one["action"] for one in history][-2:] == ["delete", "create"]
    assert {name for one in history for name in one} <= {
        "version",
        "action",
        "updated_by",
        "updated_at",
        "change_reason",
        "batch",
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/notes", {"_id": "n", "title": "new"}),
        ("PUT", "/notes/a", {"title": "x"}),
        ("PATCH", "/notes/a", {"$set": {"title": "x"}}),
        ("DELETE", "/notes/a", None),
        ("POST", "/notes/a/purge", {"reason": "r"}),
        ("DELETE", "/notes/batch", {"ids": ["a", "x"], "results": True}),
        ("POST", "/notes/batch", {"documents": [{"title": "x"}, {"_id": "a", "title": "x"}], "results": True}),
    ],
)
async def test_a12_a_replay_shows_no_more_than_the_first_answer(told, method, path, body):
    answers = [await told(method, path, body, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].json() == answers[1].json()


# -- A18: what costs much


def nested(operator, levels):
    """A filter of so many levels of one operator."""
    if operator == "$not":
        return {"title": functools.reduce(lambda inner, _: {"$not": inner}, range(levels), {"$eq": "x"})}
    if operator == "$elemMatch":
        return {
            "lines": {operator: functools.reduce(lambda inner, _: {"$and": [inner]}, range(levels - 1), {"sku": "x"})}
        }
    return functools.reduce(lambda inner, _: {operator: [inner]}, range(levels), {"title": "x"})


@pytest.mark.parametrize(("operator", "most"), [("$and", 7), ("$or", 7), ("$nor", 7), ("$not", 7), ("$elemMatch", 7)])
async def test_a18_nesting_is_answered_quickly_up_to_the_limit_and_refused_beyond(told, operator, most):
    for levels, status in ((most, 200), (most + 1, 400), (30, 400), (60, 400), (400, 400)):
        for path in ("/notes/query", "/notes/count", "/notes/batch/delete"):
            started = time.perf_counter()
            answer = await told("POST", path, {"filter": nested(operator, levels)}, NOBODY)
            assert answer.status_code == status, (levels, path, answer.text)
            assert time.perf_counter() - started < 15


async def test_a18_breadth_at_each_level_counts_as_a_whole(told):
    """Three branches on each of eight levels are thousands of conditions: refused before MongoDB sees one."""

    def tree(levels):
        return {"title": "x"} if levels == 1 else {"$or": [tree(levels - 1)] * 3}

    for levels, status in ((4, 200), (7, 400), (8, 400)):
        started = time.perf_counter()
        assert (await told("POST", "/notes/query", {"filter": tree(levels)})).status_code == status
        assert time.perf_counter() - started < 15
    assert (
        await told("POST", "/notes/aggregate", {"pipeline": [{"$match": tree(7)}, {"$project": {"title": 1}}]})
    ).status_code == 400


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "(a|a)*b", "(.*)*x", "([a-z]+)*$", "a{1,99}{1,99}", "(?=(a+))a*b", "x" * 129]
)
async def test_a18_t13_a_pattern_that_backtracks_is_refused_wherever_it_stands(told, pattern):
    regex = {"title": {"$regex": pattern}}
    for asked in (regex, {"$or": [regex]}, {"title": {"$not": {"$regex": pattern}}}, {"$nor": [{"$and": [regex]}]}):
        answers = [
            await told("POST", "/notes/query", {"filter": asked}),
            await told("POST", "/notes/count", {"filter": asked}),
            await told("POST", "/notes/batch/delete", {"filter": asked}),
            await told("GET", "/notes?_filter=" + quote(json.dumps(asked))),
            await told("POST", "/notes/aggregate", {"pipeline": [{"$match": asked}, {"$project": {"title": 1}}]}),
        ]
        assert {answer.status_code for answer in answers} == {400}
    assert await told.world.stored("a", "b", "c") == ["a", "b", "c"]


# -- A19: statistics, plans and hints

ASIDE = ("hint", "comment", "explain", "collation", "maxTimeMS", "readConcern", "let", "stats", "suggest", "profile", "allowDiskUse", "max", "min", "returnKey", "showRecordId", "cursor_type", "batchSize")  # fmt: skip


@pytest.mark.parametrize("name", ASIDE)
async def test_a19_nothing_is_asked_beside_the_question(told, name):
    for value in (True, "title_1", {"locale": "en", "strength": 1}, ""):
        for path, body in (
            ("/notes/query", {}),
            ("/notes/count", {}),
            ("/notes/aggregate", {"pipeline": [{"$count": "n"}]}),
            ("/notes/batch/get", {"ids": ["a"]}),
            ("/notes/batch/delete", {"ids": ["a"]}),
            ("/notes/batch", {"documents": [{"title": "t"}]}),
        ):
            answer = await told("POST", path, {**body, name: value})
            assert (answer.status_code, name in answer.json()["error"]["message"]) == (400, True), path
            assert (await told("POST", f"{path}?{name}=1", body)).status_code == 400, path
    assert (await told("GET", f"/notes?_{name}=1")).status_code == 400
    hidden, unknown = [await told("GET", f"/notes?{one}=1") for one in (name, "nothing")]
    assert (hidden.status_code, hidden.text) == (403, unknown.text.replace("nothing", name))
    assert (await told("GET", f"/notes/a?{name}=1")).status_code == 400
    assert await told.world.stored("a", "b", "c") == ["a", "b", "c"]


async def test_a19_no_stage_and_no_route_tells_of_plans_or_statistics(told):
    for stage in (
        "$collStats",
        "$indexStats",
        "$planCacheStats",
        "$currentOp",
        "$listSessions",
        "$search",
        "$searchMeta",
        "$sample",
        "$bucketAuto",
        "$densify",
        "$fill",
        "$setWindowFields",
        "$redact",
        "$geoNear",
    ):
        for sent in (
            [{stage: {}}],
            [{"$match": {}}, {stage: {"count": {}, "size": 1}}],
            [{"$facet": {"x": [{stage: {}}]}}],
        ):
            answer = await told("POST", "/notes/aggregate", {"pipeline": sent}, NOBODY)
            assert (answer.status_code, stage in answer.text) == (400, True)
    absent = await told("GET", "/notes/zzz")
    for word in ("explain", "stats", "indexes", "suggest", "search", "profile", "distinct", "schema"):
        answer = await told("GET", f"/notes/{word}")
        assert (answer.status_code, answer.text) == (404, absent.text.replace("zzz", word))
        assert (await told("POST", f"/notes/{word}", {})).status_code == 405
        assert (await told("GET", f"/_pm/{word}")).status_code == (405 if word == "explain" else 404)


async def test_a19_what_is_hidden_weighs_in_no_tag_no_total_and_no_order(told):
    """The same questions before and after every hidden value changed; the rows come in the order of their ids."""

    async def all_told():
        answers = [
            await told("GET", "/notes/a"),
            await told("GET", "/notes?_count=true"),
            await told("GET", "/notes?_limit=2"),
            await told("POST", "/notes/query", {"filter": {"title": {"$regex": "^note"}}, "count": True}),
            await told("POST", "/notes/count", {}),
            await told("POST", "/notes/aggregate", {"pipeline": [{"$group": {"_id": "$status", "n": {"$sum": 1}}}]}),
        ]
        for answer in answers:
            assert set(answer.headers) <= {*EVERY_HEADER, "etag"}
        cursors = [answer.json().get("pagination", {}).pop("cursor", None) is None for answer in answers]
        return [(one.status_code, one.headers.get("etag"), one.headers["content-length"]) for one in answers], cursors

    before = await all_told()
    hidden = {
        "age": 1,
        "pay": {"month": 0},
        "tags": [],
        "lines": [],
        "email": "z@z.example",
        "ssn": "CANARY-2-6789",
        "extra": "x",
    }
    await told.world.database["notes"].update_many({}, {"$set": hidden})
    assert await all_told() == before


# -- A20: what is remembered of one caller


async def test_a20_callers_of_one_role_and_other_claims_never_share_an_answer(told):
    """Fifty callers of the same roles, in two tenants, interleaved; each sees the rows of its own claim and tenant."""
    tenants = ("acme", "evil")
    rows = [
        {"_id": f"{tenant}-{n}", "tenant_id": tenant, "owner_id": f"o{n}", "title": "t", "ssn": "CANARY"}
        for tenant in tenants
        for n in range(25)
    ]
    await told.world.database["notes"].insert_many(rows)
    callers = [(tenant, n) for tenant in tenants for n in range(25)]
    tokens = {one: a_token("same", ["local"], one[0], owner=f"o{one[1]}") for one in callers}

    async def ask(one):
        tenant, n = one
        answer = await told(*random.choice((("GET", "/notes"), ("POST", "/notes/query", {}))), token=tokens[one])
        assert [row["_id"] for row in answer.json()["data"]] == [f"{tenant}-{n}"]
        other = f"{tenant}-{(n + 1) % 25}"
        assert (await told("GET", f"/notes/{other}", token=tokens[one])).status_code == 404

    for _ in range(3):
        random.shuffle(callers)
        await asyncio.gather(*(ask(one) for one in callers))


async def test_a20_a_role_or_claim_that_is_gone_from_the_next_token_is_gone(told):
    await told.world.database["notes"].update_many({}, {"$set": {"owner_id": "o1"}})
    for _ in range(3):
        for roles, claims, status, count in (
            (["teller"], {}, 200, 3),
            ([], {}, 403, 0),
            (["local"], {"owner": "o1"}, 200, 3),
            (["local"], {"owner": "o2"}, 200, 0),
            (["local"], {}, 200, 0),
            (["far"], {"owner": "o1"}, 200, 0),
            (["local", "far"], {"owner": "o1"}, 200, 3),
            (["local,far"], {"owner": "o1"}, 403, 0),
            (["Local"], {"owner": "o1"}, 403, 0),
        ):
            answer = await told("GET", "/notes", token=a_token("same", roles, **claims))
            assert (answer.status_code, len(answer.json().get("data", ()))) == (status, count), (roles, claims)
        for tenant, count in (("acme", 3), ("evil", 0)):
            rows = (await told("GET", "/notes", token=a_token("same", ["teller"], tenant))).json()["data"]
            assert len(rows) == count


async def test_a20_fields_shown_to_one_role_are_not_kept_for_the_next(told):
    for _ in range(3):
        whole = await told.world.get("/notes/a", token=BOSS)
        assert whole.json()["ssn"] == SECRETS["ssn"]
        some = await told("GET", "/notes/a", headers={"if-none-match": whole.headers["etag"]})
        assert (some.status_code, set(some.json())) == (200, {"_id", "_version", "title", "status", "ssn"})
        assert (await told.world.get("/notes?age=7531902468", token=BOSS)).status_code == 200
        assert (await told("GET", "/notes?age=7531902468")).status_code == 403
