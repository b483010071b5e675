"""A row of another tenant, one outside the rule and one that does not exist are told alike, request id apart."""

import json

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
ALICE, BOB, BOSS = a_token(), a_token("bob"), a_token("boss", ["boss"])
STRANGER = a_token("alice", ["boss"], "evil")  # called like the caller: nothing but the tenant hides what is hers
ROOT = a_token("root", ["root"], None)
HIDDEN = ("x1", "x2", "x3", "x4")  # another tenant's, another owner's, a deleted one of another owner, none


@pytest.fixture
async def crowd(world):
    await world.add("x1", token=STRANGER)
    await world.add("x2", "x3", token=BOB)
    await world.delete("/notes/batch", {"ids": ["x3"]}, token=BOB)
    await world.add("a")
    return world


def told(answer, one):
    """Status, headers and body, without the request id and with the id asked for as ID."""
    headers = sorted((name, value) for name, value in answer.headers.items() if name != "x-request-id")
    return (answer.status_code, tuple(headers), answer.text.replace(one, "ID"))


ROUTES = {
    "get": lambda one: ("GET", f"/notes/{one}", None),
    "versions": lambda one: ("GET", f"/notes/{one}/versions", None),
    "batch get": lambda one: ("POST", "/notes/batch/get", {"ids": [one]}),
    "batch get among own": lambda one: ("POST", "/notes/batch/get", {"ids": ["a", one], "fields": ["title"]}),
    "batch delete": lambda one: ("DELETE", "/notes/batch", {"ids": [one], "results": True}),
    "batch delete twin": lambda one: ("POST", "/notes/batch/delete", {"ids": [one]}),
    "batch delete atomic": lambda one: ("DELETE", "/notes/batch", {"ids": [one], "atomic": True}),
    "batch delete dry": lambda one: ("DELETE", "/notes/batch", {"ids": [one, "a"], "dry_run": True}),
    "batch delete by filter": lambda one: ("DELETE", "/notes/batch", {"filter": {"_id": one}, "max_affected": 0}),
    "list": lambda one: ("GET", f"/notes?_id={one}", None),
    "list by filter": lambda one: ("GET", "/notes?_filter=" + json.dumps({"_id": {"$in": [one]}}), None),
    "list sorted": lambda one: ("GET", f"/notes?_id={one}&_sort=-title&_count=true&_fields=title", None),
    "query": lambda one: ("POST", "/notes/query", {"filter": {"_id": one}, "sort": ["title"], "count": True}),
    "count": lambda one: ("POST", "/notes/count", {"filter": {"_id": one}}),
    "get fields": lambda one: ("GET", f"/notes/{one}?_fields=title", None),
    "deleted": lambda one: ("GET", "/notes/deleted?_limit=3", None),
}


@pytest.mark.parametrize("route", ROUTES)
async def test_t25_invisible_and_absent_are_byte_identical(crowd, route):
    before = await crowd.database["notes"].find({"_id": {"$in": list(HIDDEN)}}).to_list()
    answers = []
    for one in HIDDEN:
        method, path, body = ROUTES[route](one)
        answers.append(told(await crowd.ask(method, path, body), one))
    assert set(answers) == {answers[-1]}
    assert answers[-1][0] in (200, 404)
    assert await crowd.database["notes"].find({"_id": {"$in": list(HIDDEN)}}).to_list() == before


async def test_t25_undo_of_invisible_and_absent_batches_is_byte_identical(crowd):
    batches = ["0" * 32]
    for one, token in (("x1", STRANGER), ("x2", BOB)):
        batches.append((await crowd.delete("/notes/batch", {"ids": [one]}, token=token)).json()["batch"])
    for token in (STRANGER, BOB):
        made = await crowd.post("/notes/batch", {"documents": [{"title": "n"}]}, token=token)
        batches.append(made.json()["batch"])
    answers = {told(await crowd.post(f"/notes/batch/{one}/undo", {}), one) for one in batches}
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404


async def test_the_same_requests_find_what_is_the_callers(crowd):
    """Without this the identical answers above could all be empty for another reason."""
    await crowd.add("b")
    for route in ("get", "versions", "batch get", "list", "list by filter", "list sorted", "query"):
        method, path, body = ROUTES[route]("b")
        answer = await crowd.ask(method, path, body)
        assert answer.status_code == 200
        assert '"not_found":["b"]' not in answer.text
        assert '"data":[]' not in answer.text


async def test_two_tenants_with_equal_notes_see_their_own(world):
    for tenant, token in (("acme", BOSS), ("evil", STRANGER)):
        documents = [{"_id": f"{tenant}{n}", "title": "same", "age": n} for n in range(3)]
        await world.post("/notes/batch", {"documents": documents}, token=token)
    for tenant, token in (("acme", BOSS), ("evil", STRANGER)):
        for path in ("/notes", "/notes?title=same", '/notes?_filter={"age":{"$gte":0}}'):
            rows = (await world.get(path, token=token)).json()["data"]
            assert [one["_id"] for one in rows] == [f"{tenant}{n}" for n in range(3)]
            assert {one["tenant_id"] for one in rows} == {tenant}
    gone = await world.delete("/notes/batch", {"filter": {}, "all": True}, token=BOSS)
    assert gone.json()["deleted"] == 3
    assert await world.stored("evil0", "evil1", "evil2") == ["evil0", "evil1", "evil2"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/notes", None),
        ("GET", "/notes/a", None),
        ("GET", "/notes/deleted", None),
        ("GET", "/notes/a/versions", None),
        ("POST", "/notes", {"title": "n"}),
        ("POST", "/notes/batch", {"documents": [{"title": "n"}]}),
        ("POST", "/notes/batch/get", {"ids": ["a"]}),
        ("POST", "/notes/query", {}),
        ("POST", "/notes/count", {}),
        ("POST", "/notes/batch/delete", {"ids": ["a"]}),
        ("DELETE", "/notes/batch", {"ids": ["a"]}),
        ("POST", f"/notes/batch/{'0' * 32}/undo", {}),
    ],
)
async def test_a13_a_credential_without_a_tenant_reaches_no_tenants_rows(world, method, path, body):
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": None, "owner_id": "alice", "title": "nobody's"})
    answer = await world.ask(method, path, body, token=a_token("alice", ["boss"], None))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "names none" in answer.json()["error"]["message"]
    assert await world.database["notes"].count_documents({}) == 1


async def test_a13_a_tenant_never_matches_a_row_without_one(world):
    rows = [
        {"_id": "a"},
        {"_id": "b", "tenant_id": None},
        {"_id": "c", "tenant_id": ["acme"]},
        {"_id": "d", "tenant_id": {"x": "acme"}},
    ]
    await world.database["notes"].insert_many([{**one, "owner_id": "boss", "title": "odd"} for one in rows])
    assert (await world.get("/notes", token=BOSS)).json()["data"] == []
    assert (await world.delete("/notes/batch", {"filter": {}, "all": True}, token=BOSS)).json()["deleted"] == 0


@pytest.mark.parametrize(
    "claim", [None, {"$ne": None}, {"$gt": ""}, ["north"], [], 5, True, {"$regex": "."}, "$region", "*", ""], ids=repr
)
async def test_a13_a14_a_claim_that_is_no_text_widens_nothing(mongo_uri, tmp_path, claim):
    schema = "settings: {id_type: string}\ncollections: {notes: {client_ids: true, fields: {region: {type: string}, title: {type: string}}}}"
    policy = """
roles: {user: {}, guard: {}}
policies:
  notes:
    user: {actions: [read, delete], when: "resource.region == user.claims.region"}
    guard:
      - {actions: [read]}
      - {effect: deny, actions: [read], when: "resource.region != user.claims.region"}
"""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, policy)) as world:
        rows = [
            {"_id": "a", "region": "north"},
            {"_id": "b", "region": None},
            {"_id": "c"},
            {"_id": "d", "region": ["north"]},
        ]
        await world.database["notes"].insert_many(rows)
        for role in ("user", "guard"):
            token = a_token(roles=[role], **({} if claim is None else {"region": claim}))
            answer = await world.get("/notes", token=token)
            assert (answer.status_code, answer.json()["data"]) == (200, [])
        gone = await world.delete("/notes/batch", {"filter": {}, "all": True}, token=a_token(region=claim))
        assert gone.json()["deleted"] == 0
        mine = await world.get("/notes", token=a_token(region="north"))
        assert [one["_id"] for one in mine.json()["data"]] == ["a"]


async def test_a14_a_tenant_or_subject_that_is_no_text_is_no_credential(world):
    for claims in (
        {"tenant": {"$ne": None}},
        {"tenant": ["acme"]},
        {"tenant": 5},
        {"tenant": ""},
        {"sub": {"$ne": 1}},
        {"sub": ""},
    ):
        answer = await world.get(
            "/notes", token=a_token(claims.get("sub", "alice"), ["boss"], claims.get("tenant", "acme"))
        )
        assert answer.status_code == 401


async def test_a_cross_tenant_role_reaches_every_tenant(crowd):
    rows = (await crowd.get("/notes", token=ROOT)).json()["data"]
    assert [one["_id"] for one in rows] == ["a", "x1", "x2"]
    answer = await crowd.delete("/notes/batch", {"ids": ["a", "x1"]}, token=ROOT)
    assert answer.json()["deleted"] == 2
    assert (await crowd.post(f"/notes/batch/{answer.json()['batch']}/undo", {}, token=ROOT)).json()["restored"] == 2
    assert (await crowd.get("/notes/x1", token=STRANGER)).json()["tenant_id"] == "evil"
    assert (await crowd.get("/notes/x1", token=BOSS)).status_code == 404


async def test_what_a_cross_tenant_role_deleted_each_tenant_puts_back_for_itself(crowd):
    batch = (await crowd.delete("/notes/batch", {"ids": ["a", "x1"]}, token=ROOT)).json()["batch"]
    answer = await crowd.post(f"/notes/batch/{batch}/undo", {}, token=STRANGER)
    assert (answer.status_code, answer.json()["restored"]) == (200, 1)
    assert await crowd.stored("a", "x1") == ["x1"]


async def test_t24_a16_the_tenant_of_a_caller_is_not_the_callers_to_say(crowd):
    """Neither in a body, a parameter, a header nor a filter."""
    for name, value in (("x-tenant-id", "evil"), ("x-tenant", "evil"), ("tenant_id", "evil")):
        answer = await crowd.get("/notes/x1", token=BOSS, headers={name: value})
        assert answer.status_code == 404
    assert (await crowd.get("/notes?tenant_id=evil", token=BOSS)).json()["data"] == []
    assert (await crowd.get("/notes/x1?tenant_id=evil", token=BOSS)).status_code == 400
    for body in ({"ids": ["x1"], "tenant_id": "evil"}, {"ids": ["x1"], "tenant": "evil"}):
        assert (await crowd.delete("/notes/batch", body, token=BOSS)).status_code == 400
    assert (await crowd.post("/notes", {"title": "n", "tenant_id": "evil"}, token=BOSS)).status_code == 403
    assert (await crowd.get("/notes", token=BOSS, headers={"x-namespace": "evil"})).status_code == 403
