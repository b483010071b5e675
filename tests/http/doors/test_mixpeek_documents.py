"""The door for callers of the Mixpeek API: single documents, lists, what is read from all collections, and who asks."""

from uuid import uuid4

import pytest

from permission_mongo.auth.api_keys import new_key
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.doors.mixpeek import AT, BATCH, DOOR, ask, refused
from tests.http.doors.test_mixpeek import BOB, BOSS, CLERK, NOBODY, POLICY, SCHEMA, STRANGER, VIEWER
from tests.http.harness import a_config, a_kept_world, a_token, a_world

pytestmark = pytest.mark.mongo
GET_ALL = "/v1/documents/batch-get"


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


async def listed(world, token=None, **body) -> dict:
    answer = await ask(world, "POST", f"{AT}/list", body, token)
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def ids_of(found: dict) -> str:
    return "".join(one["document_id"] for one in found["results"])


# -- single documents


async def test_a_document_is_created_shown_changed_and_deleted(world):
    sent = {"document_id": "a", "collection_id": "notes", "title": "one", "metadata": {"x": 1, "y": 2}, "near": [1, 2]}
    made = await ask(world, "POST", AT, sent)
    assert made.status_code == 200
    shown = made.json()
    assert {key: shown[key] for key in ("document_id", "collection_id", "document_blobs", "title", "_version")} == {
        "document_id": "a",
        "collection_id": "notes",
        "document_blobs": [],
        "title": "one",
        "_version": 1,
    }
    assert {"_id", "near"} & set(shown) == set()
    got = await ask(world, "GET", f"{AT}/a")
    assert (got.json(), got.headers["etag"]) == (shown, made.headers["etag"])
    assert (await ask(world, "GET", f"{AT}/a?return_vectors=true")).json()["near"] == [1.0, 2.0]
    assert (await ask(world, "GET", f"{AT}/a", headers={"if-none-match": got.headers["etag"]})).status_code == 304
    for method in ("PATCH", "PUT"):
        change = {"age": 5, "metadata": {"x": None, "z": method}, "collection_id": "notes", "document_id": "a"}
        answer = await ask(world, method, f"{AT}/a", change)
        assert (answer.status_code, answer.json()["age"]) == (200, 5)
        assert answer.json()["metadata"] == {"y": 2, "z": method}
        assert answer.json()["title"] == "one"
    stale = await ask(world, "PATCH", f"{AT}/a", {"age": 6}, headers={"if-match": got.headers["etag"]})
    assert refused(stale)[:2] == (412, "PreconditionFailedError")
    gone = await ask(world, "DELETE", f"{AT}/a")
    assert (gone.status_code, gone.json()) == (200, {"message": "Successfully deleted", "success": True})
    assert refused(await ask(world, "GET", f"{AT}/a")) == (404, "NotFoundError", "no such document in notes")


async def test_what_is_hidden_stays_hidden_and_what_is_masked_masked(world):
    await world.add("a", status="closed", ssn="123-45-6789", age=1)
    ours = (await world.get("/notes/a")).json()
    assert (await ask(world, "GET", f"{AT}/a")).json()["ssn"] == ours["ssn"] != "123-45-6789"
    shown = (await ask(world, "GET", f"{AT}/a", token=VIEWER)).json()
    assert set(shown) == {"document_id", "collection_id", "document_blobs", "_version", "title", "status", "age"}
    made = await ask(world, "POST", AT, {"title": "unseen"}, token=CLERK)
    assert set(made.json()) == {"document_id", "collection_id", "document_blobs"}


SINGLE = (
    ("GET", "{at}/a", None, "GET", "/notes/a", None),
    ("PATCH", "{at}/a", {"age": 2}, "PATCH", "/notes/a", {"$set": {"age": 2}}),
    ("PUT", "{at}/a", {"age": 2}, "PATCH", "/notes/a", {"$set": {"age": 2}}),
    ("DELETE", "{at}/a", None, "DELETE", "/notes/a", None),
    ("POST", "{at}", {"document_id": "a", "title": 5}, "POST", "/notes", {"_id": "a", "title": 5}),
    ("POST", "{at}", {"title": "x", "tenant_id": "evil"}, "POST", "/notes", {"title": "x", "tenant_id": "evil"}),
    ("PATCH", "{at}/a", {"nothing": 2}, "PATCH", "/notes/a", {"$set": {"nothing": 2}}),
    ("PATCH", "{at}/a", {"document_id": "b"}, "PATCH", "/notes/a", {"$set": {"_id": "b"}}),
    ("DELETE", "{at}/batch", {"filters": {"ssn": "x"}}, "DELETE", "/notes/batch", {"filter": {"ssn": "x"}}),
    ("DELETE", "{at}/batch", {"document_ids": ["a"]}, "DELETE", "/notes/batch", {"ids": ["a"]}),
    ("POST", "{at}/batch", {"filters": {"age": 1}, "update_data": {"nothing": 1}}, "PUT", "/notes/batch", {"filter": {"age": 1}, "update": {"$set": {"nothing": 1}}}),
    ("PATCH", "{at}/bulk", {"all": True, "update_data": {"age": 3}}, "PUT", "/notes/batch", {"filter": {}, "all": True, "update": {"$set": {"age": 3}}}),
    ("POST", "{at}/list", {"sort": {"field": "ssn"}}, "POST", "/notes/query", {"sort": "ssn"}),
    ("POST", "{at}/list", {"select": ["ssn"]}, "POST", "/notes/query", {"fields": ["ssn"]}),
)  # fmt: skip


@pytest.mark.parametrize("token", [None, BOB, VIEWER, CLERK, STRANGER, NOBODY, "x.y.z"])
@pytest.mark.parametrize("case", SINGLE)
async def test_each_refusal_is_that_of_our_own_route(world, case, token):
    """By status, sentence and details; an answer where ours is one."""
    method, path, body, our_method, our_path, our_body = case
    await world.add("a", token=BOSS, age=1)
    ours = await world.ask(our_method, our_path, our_body, token=token)
    if ours.status_code < 300:
        return
    answer = await ask(world, method, path.format(at=AT), body, token)
    told = ours.json()["error"]
    if ours.status_code == 207:
        assert answer.json()["message"].endswith(told["message"]) or answer.json()["failed_count"]
        return
    details = {key: one for key, one in answer.json()["error"].get("details", {}).items() if key != "validation_errors"}
    assert (answer.status_code, refused(answer)[2], answer.json()["error"]["code"]) == (
        ours.status_code,
        told["message"],
        told["code"],
    )
    assert details == told.get("details", {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", f"{AT}/a?expand=parent", None, 400, "unknown parameter 'expand'"),
        ("GET", f"{AT}/a?return_vectors=maybe", None, 400, "return_vectors: expected true or false"),
        ("POST", f"{AT}?limit=1", {"title": "x"}, 400, "unknown parameter 'limit'"),
        ("POST", AT, {"title": "x", "collection_id": "plain"}, 400, "collection_id: is not the collection of the path"),
        ("POST", AT, {"title": "x", "$set": {}}, 400, "operators are not taken here"),
        ("PATCH", f"{AT}/a", {}, 400, "the change names no field"),
        ("PATCH", f"{AT}/a", {"metadata": {}}, 400, "the change names no field"),
        ("DELETE", f"{AT}/a", {"reason": "x"}, 400, "a DELETE of one document takes no body"),
        ("GET", "/v1/collections/plain/documents/zz", None, 400, "document_id: expected 24 hex digits"),
        ("GET", "/v1/collections/absent/documents/a", None, 404, "no such collection"),
        ("POST", AT, [], 400, "the body must be a JSON object"),
    ],
)
async def test_what_makes_no_sense_is_told(world, method, path, body, status, told):
    answer = await ask(world, method, path, body, BOSS)
    assert (refused(answer)[0], told in refused(answer)[2]) == (status, True), answer.text


async def test_a_collection_may_be_called_as_a_route_of_ours(world):
    made = await ask(world, "POST", "/v1/collections/versions/documents", {"document_id": "a", "name": "x"})
    assert made.json()["collection_id"] == "versions"
    assert (await ask(world, "GET", "/v1/collections/versions/documents")).json()["results"][0]["name"] == "x"


# -- lists


async def test_a_list_goes_on_by_its_cursor(world):
    await world.add(*"abcde", age=1)
    first = await listed(world, limit=2, include_total=True)
    assert (ids_of(first), first["total_documents"]) == ("ab", 5)
    assert {key: one for key, one in first["pagination"].items() if key != "next_cursor"} == {
        "total": 5,
        "page": 1,
        "page_size": 2,
        "total_pages": 3,
        "next_page": None,
        "previous_page": None,
    }
    second = await listed(world, page_size=2, cursor=first["pagination"]["next_cursor"])
    third = await listed(world, page_size=2, cursor=second["pagination"]["next_cursor"], offset=0)
    assert (ids_of(second), ids_of(third)) == ("cd", "e")
    assert (third["pagination"]["next_cursor"], third["total_documents"]) == (None, None)
    assert ids_of(await listed(world, limit=2, offset=3)) == "de"
    assert ids_of(await listed(world, page_size=2, page=2)) == "cd"
    for query, ids in (("limit=2", "ab"), ("page_size=2&page=2&include_total=true", "cd"), ("offset=4", "e")):
        for method, path in (("GET", AT), ("POST", f"{AT}/list")):
            assert ids_of((await ask(world, method, f"{path}?{query}")).json()) == ids


async def test_a_list_is_sorted_cut_and_filtered(world):
    for n, one in enumerate("abc"):
        await world.add(one, age=n)
    down = {"field": "age", "direction": "desc"}
    for sort in (down, [down], "age:desc", '{"field": "age", "direction": "desc"}'):
        assert ids_of(await listed(world, sort=sort)) == "cba"
    assert ids_of(await listed(world, sort={"field": "document_id", "direction": "desc"}, limit=1)) == "c"
    [one] = (await listed(world, select=["age", "document_id"], filters={"age": 1}))["results"]
    assert set(one) == {"document_id", "collection_id", "document_blobs", "age", "_version"}
    by_query = await world.client.get(
        AT,
        params={"filters": '{"age": 2}', "sort": "age:asc", "return_vectors": "false"},
        headers={"authorization": f"Bearer {a_token()}"},
    )
    assert ids_of(by_query.json()) == "c"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"limit": 0}, "limit: expected a whole number from 1 to 1000"),
        ({"limit": 1001}, "limit: expected a whole number from 1 to 1000"),
        ({"limit": 1, "page_size": 2}, "expected one of 'limit' and 'page_size'"),
        ({"offset": 2, "page": 2}, "page: goes without 'offset'"),
        ({"offset": 20_000}, "skip: expected a whole number from 0 to 10000"),
        ({"cursor": "x", "offset": 1}, "skip: a cursor says where to go on"),
        ({"cursor": "x"}, "the cursor is not valid here"),
        ({"cursor": 5}, "cursor: expected the one of an earlier answer"),
        ({"cursor": "x", "after": "y"}, "cursor: expected the one of an earlier answer"),
        ({"sort": {"field": "age", "direction": "up"}}, "sort.direction: expected 'asc' or 'desc'"),
        ({"sort": {"field": "-age"}}, "sort: expected a field"),
        ({"sort": "{"}, "sort: not JSON"),
        ({"select": "age"}, "select: expected a list of fields"),
        ({"search": "car"}, "search: is not taken here"),
        ({"group_by": "age"}, "group_by: is not taken here"),
        ({"partition": {"index": 0, "count": 2}}, "partition: is not taken here"),
        ({"return_vector_names": True}, "return_vector_names: is not taken here"),
        ({"include_total": "yes"}, "include_total: expected true or false"),
        ({"filter": {}}, "unknown key 'filter'; did you mean 'filters'?"),
    ],
)
async def test_a_list_takes_nothing_else(world, body, told):
    answer = await ask(world, "POST", f"{AT}/list", body)
    assert (refused(answer)[0], told in refused(answer)[2]) == (400, True), answer.text
    assert ids_of(await listed(world, search=None, expand=None)) == ""


# -- of all collections


async def test_documents_are_got_from_every_collection_that_the_caller_may_read(world):
    await world.add("a", near=[1, 2])
    await world.add("b", token=BOB)
    await ask(world, "POST", "/v1/collections/versions/documents", {"document_id": "a", "name": "x"})
    plain = await ask(world, "POST", "/v1/collections/plain/documents", {"name": "y"}, BOSS)
    of_plain = plain.json()["document_id"]
    ids = [of_plain, "a", "zz", "b", "a", "no id of any"]
    answer = await ask(world, "POST", GET_ALL, {"document_ids": ids, "return_presigned_urls": True})
    told = answer.json()
    assert (answer.status_code, set(told)) == (200, {"documents", "not_found"})
    assert [(one["document_id"], one["collection_id"]) for one in told["documents"]] == [
        ("a", "notes"),
        ("a", "versions"),
    ]
    assert (told["documents"][0]["title"], "near" in told["documents"][0]) == ("note a", False)
    assert told["not_found"] == [of_plain, "zz", "b", "no id of any"]
    boss = (await ask(world, "POST", GET_ALL, {"document_ids": [*ids, of_plain.upper()]}, BOSS)).json()
    found = {(one["document_id"], one["collection_id"]) for one in boss["documents"]}
    assert found == {("a", "notes"), ("b", "notes"), ("a", "versions"), (of_plain, "plain")}
    assert boss["not_found"] == ["zz", "no id of any"]


async def test_what_is_invisible_is_not_found_like_what_is_not_there(world):
    await world.add("a", token=BOB)
    for token in (VIEWER, STRANGER, a_token("alice", ["boss"], None)):
        told = (await ask(world, "POST", GET_ALL, {"document_ids": ["a"]}, token)).content
        assert told == b'{"documents":[],"not_found":["a"]}'
    answer = await ask(world, "POST", GET_ALL, {"document_ids": ["a"]}, NOBODY)
    assert refused(answer) == (403, "ForbiddenError", "no rule of your roles allows read in any collection")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "document_ids: expected a list"),
        ({"document_ids": []}, "document_ids: expected at least one"),
        ({"document_ids": ["a"] * 1001}, "document_ids: at most 1000 in one batch"),
        ({"document_ids": [None]}, "document_ids[0]: expected a text"),
        ({"document_ids": ["a"], "collection_ids": ["notes"]}, "unknown key 'collection_ids'"),
        ({"document_ids": ["a"], "return_presigned_urls": 1}, "return_presigned_urls: expected true or false"),
    ],
)
async def test_nothing_else_is_got(world, body, told):
    answer = await ask(world, "POST", GET_ALL, body)
    assert (refused(answer)[0], told in refused(answer)[2]) == (400, True), answer.text


async def test_what_does_not_fit_into_one_answer_is_refused_and_not_cut(mongo_uri, tmp_path):
    config = a_config(tmp_path, f"{DOOR}limits: {{max_result_bytes: 1000}}\n", SCHEMA, POLICY)
    async with a_kept_world(mongo_uri, config) as small:
        await small.add("a", title="x" * 50)
        for n in range(3):
            body = {"document_id": f"v{n}", "name": "x" * 190}
            await ask(small, "POST", "/v1/collections/versions/documents", body)
        ids = ["a", *(f"v{n}" for n in range(3))]
        answer = await ask(small, "POST", GET_ALL, {"document_ids": ids})
        assert refused(answer)[:2] == (413, "PayloadTooLargeError")
        assert len((await ask(small, "POST", GET_ALL, {"document_ids": ids[:2]})).json()["documents"]) == 2
        assert (small.gateway.budget.held, {one.trying for one in small.gateway.sizes.values()}) == (0, {0})


# -- who asks, and where


async def test_a_bearer_may_be_an_api_key_whatever_it_begins_with(world):
    key = new_key("kim", "acme", ("boss",), utc_now(), None)
    await MongoKeyStore(world.database).add(key.record)
    for name, value in (("authorization", f"Bearer {key.text}"), ("x-api-key", key.text)):
        answer = await world.client.post(f"{AT}/list", headers={name: value}, json={})
        assert answer.status_code == 200, answer.text
    told = set()
    for wrong in ("sk_live_123", f"{key.text}x", "pmk_1"):
        answer = await world.client.post(f"{AT}/list", headers={"authorization": f"Bearer {wrong}"}, json={})
        told.add(refused(answer))
    assert told == {(401, "UnauthorizedError", "the API key is not valid")}
    for headers in ({"authorization": f"Bearer {key.text}", "x-api-key": key.text}, {}, {"authorization": "Basic x"}):
        assert refused(await world.client.post(f"{AT}/list", headers=headers, json={}))[0] == 401
    ours = await world.client.get("/notes", headers={"authorization": "Bearer sk_live_123"})
    assert ours.json()["error"]["message"] == "the token is malformed"


async def test_a_namespace_is_named_by_header_or_parameter(mongo_uri, tmp_path):
    other = f"test_{uuid4().hex[:12]}"
    config = a_config(tmp_path, f"{DOOR}namespaces: {{eu: {{database: {other}}}}}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        token = a_token(namespaces=["default", "eu"])
        await ask(world, "POST", f"{AT}?namespace=eu", {"document_id": "a", "title": "x"}, token)
        for path, headers, ids in (
            (AT, {"x-namespace": "eu"}, "a"),
            (f"{AT}?namespace=eu", {}, "a"),
            (f"{AT}?namespace=default", {}, ""),
            (AT, {}, ""),
        ):
            assert ids_of((await ask(world, "GET", path, token=token, headers=headers)).json()) == ids
        told = {
            refused(await ask(world, "GET", f"{AT}?namespace={name}", token=who))
            for name, who in (("us", token), ("eu", a_token()))
        }
        assert told == {(403, "ForbiddenError", "no such namespace, or not yours")}
        for path, headers in ((f"{AT}?namespace=eu&namespace=eu", {}), (f"{AT}?namespace=eu", {"x-namespace": "eu"})):
            assert refused(await ask(world, "GET", path, token=token, headers=headers))[0] == 400
        await world.database.client.drop_database(other)


# -- what every write has


async def test_a_write_takes_effect_once_under_its_key(world):
    await world.add("a", "b", age=1)
    once = {"idempotency-key": "k1"}
    first, again = [await ask(world, "DELETE", BATCH, {"document_ids": ["a", "zz"]}, headers=once) for _ in range(2)]
    assert (first.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")
    assert first.headers["x-batch"] == again.headers["x-batch"]
    for method, path, body in (("POST", f"{AT}/list", {}), ("POST", GET_ALL, {"document_ids": ["a"]})):
        assert refused(await ask(world, method, path, body, headers=once))[0] == 400


async def test_batches_and_refusals_stand_in_the_audit(world):
    token = a_token("otto", ["user"])
    await world.add("a", "b", token=token)
    done = await ask(world, "PATCH", f"{AT}/bulk", {"all": True, "update_data": {"age": 2}}, token)
    await ask(world, "DELETE", BATCH, {"filters": {"nothing": 1}}, token)
    await world.gateway.trail.settled()
    entries = await world.database["_pm_audit"].find({"user_id": "otto"}).to_list()
    [update] = [one for one in entries if one.get("batch") == done.headers["x-batch"]]
    [denied] = [one for one in entries if one.get("kind") == "refusal"]
    assert (update["action"], update["collection"]) == ("update", "notes")
    assert (denied["action"], denied["collection"], denied["code"]) == ("delete", "notes", "forbidden")
