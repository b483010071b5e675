"""The door for callers of the Moorcheh API: its routes, and that each is refused what our own routes refuse."""

import pytest
from bson import ObjectId

from permission_mongo.api.doors import DOORS
from permission_mongo.auth.api_keys import new_key
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.doors.moorcheh import DOOR, POLICY, SCHEMA, act
from tests.http.harness import a_config, a_kept_world, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS, VIEWER, CLERK = a_token("boss", ["boss"]), a_token("vera", ["viewer"]), a_token("carl", ["clerk"])
BOB, STRANGER, NOBODY = a_token("bob"), a_token("alice", ["boss"], "evil"), a_token("nils", ["nobody"])
NEAR = [0.1, 0.2, 0.3]


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


async def faces(world, *ids, token=None, **more) -> None:
    vectors = [{"id": one, "vector": NEAR, **more} for one in ids]
    answer = await act(world, "faces/vectors", {"vectors": vectors}, token=token)
    assert answer.status_code == 201, answer.text


async def stored(world, name) -> list:
    return sorted([row["_id"] async for row in world.database[name].find({}, {"_id": 1})])


def refused(answer) -> tuple[int, str, str]:
    assert set(answer.json()) <= {"error", "message", "details"}
    return answer.status_code, answer.json()["error"], answer.json()["message"]


# -- deletions


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_texts_are_deleted_by_their_ids(world, prefix):
    await world.add("a", "b", "c")
    answer = await world.post(f"{prefix}/namespaces/notes/documents/delete", {"ids": ["a", "b", "absent"]})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "success",
            "message": "2 of 3 deleted; there is nothing of the others",
            "requested_deletions": 3,
            "actual_deletions": 2,
            "remaining_items": 1,
            "requested_ids": ["a", "b", "absent"],
            "deleted_ids": ["a", "b"],
            "errors": [],
        },
    )
    assert await stored(world, "notes") == ["c"]


async def test_vectors_are_deleted_by_their_ids(world):
    await faces(world, "a", "b")
    answer = await world.post("/v1/namespaces/faces/vectors/delete", {"ids": ["b"]})
    assert (answer.status_code, answer.json()["status"], answer.json()["remaining_items"]) == (200, "success", 1)
    assert await stored(world, "faces") == ["a"]


async def test_a_number_is_its_digits_and_what_is_named_twice_is_named_once(world):
    await world.add("5", "7")
    answer = (await act(world, "notes/documents/delete", {"ids": [5, "5", 7.0, 9]})).json()
    assert answer["requested_ids"] == ["5", "7", "9"]
    assert (answer["deleted_ids"], answer["requested_deletions"]) == (["5", "7"], 3)


async def test_an_id_is_told_as_it_was_sent(world):
    one = ObjectId("65f0000000000000000000ab")
    await world.database["numbered"].insert_one({"_id": one, "text": "n"})
    sent = str(one).upper()
    answer = (await act(world, "numbered/documents/delete", {"ids": [sent]}, token=BOSS)).json()
    assert (answer["requested_ids"], answer["deleted_ids"]) == ([sent], [sent])
    wrong = await act(world, "numbered/documents/delete", {"ids": [5]}, token=BOSS)
    assert refused(wrong) == (400, "Bad Request", "ids[0]: expected 24 hex digits")


async def test_what_is_seen_and_may_not_be_deleted_makes_it_207_with_the_reason_of_our_own_route(world):
    await world.add("a", "b")
    await world.add("l", status="locked")
    await world.add("v", token=BOB, status="closed")  # seen, and not hers
    ours = await world.post("/notes/batch/delete", {"ids": ["l", "v"]})
    answer = await act(world, "notes/documents/delete", {"ids": ["a", "l", "v", "absent"]})
    assert (answer.status_code, answer.json()["status"]) == (207, "partial")
    told = answer.json()
    assert (told["requested_deletions"], told["actual_deletions"], told["deleted_ids"]) == (4, 1, ["a"])
    assert told["unprocessed_ids"] == ["l", "v"]
    assert told["message"] == "1 of 4 deleted, 2 could not be"
    reasons = {one["id"]: one["error"]["message"] for one in ours.json()["failed"]}
    assert {one["id"]: one["message"] for one in told["errors"]} == reasons
    assert [one["error"] for one in told["errors"]] == ["Forbidden", "Forbidden"]
    assert told["remaining_items"] == 3  # b, l and v: what she sees
    assert await stored(world, "notes") == ["b", "l", "v"]


async def test_what_is_not_seen_is_told_like_what_is_not_there(world):
    """By the number of deletions, of what is left, by status or by any byte."""
    await world.add("mine")
    await world.add("bobs", token=BOB)
    await world.add("foreign", token=STRANGER)
    told = set()
    for one in ("bobs", "foreign", "absent"):
        answer = await act(world, "notes/documents/delete", {"ids": [one]})
        told.add((answer.status_code, answer.text.replace(one, "X"), "x-batch" in answer.headers))
    assert len(told) == 1
    assert await stored(world, "notes") == ["bobs", "foreign", "mine"]
    got = [await act(world, "notes/documents/get", {"ids": [one]}) for one in ("bobs", "foreign", "absent")]
    assert {(one.status_code, one.text) for one in got} == {(200, '{"documents":[]}')}


async def test_a_deletion_is_a_batch_that_stands_in_the_audit_and_is_undone(world):
    await faces(world, "a", "b", name="n")
    answer = await act(world, "faces/vectors/delete", {"ids": ["a", "b"]}, headers={"x-change-reason": "old"})
    batch = answer.headers["x-batch"]
    entry = await world.database["_pm_audit"].find_one({"batch": batch})
    assert (entry["action"], entry["ids"], entry["user_id"], entry["collection"]) == (
        "delete",
        ["a", "b"],
        "alice",
        "faces",
    )
    assert (await world.get("/faces/a/versions")).json()[0]["change_reason"] == "old"
    assert (await world.post(f"/faces/batch/{batch}/undo", {})).json()["restored"] == 2
    assert (await world.get("/faces/a")).json()["near"] == NEAR


async def test_a_deletion_takes_effect_once_under_a_key(world):
    await world.add("a")
    await world.add("l", status="locked")
    body, key = {"ids": ["a", "l", "z"]}, {"idempotency-key": "k"}
    first, again = [await act(world, "notes/documents/delete", body, headers=key) for _ in range(2)]
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (207, 207, "true")
    assert again.json() == first.json()
    other = await act(world, "notes/documents/delete", {"ids": ["b"]}, headers=key)
    assert refused(other)[0] in (400, 409)


async def test_items_of_the_other_kind_are_refused(world):
    await world.add("a")
    await faces(world, "a")
    for path, body in (
        ("notes/vectors/delete", {"ids": ["a"]}),
        ("faces/documents/delete", {"ids": ["a"]}),
        ("faces/documents/get", {"ids": ["a"]}),
        ("notes/vectors", {"vectors": [{"id": "b", "vector": NEAR}]}),
        ("faces/documents", {"documents": [{"id": "b", "text": "t"}]}),
    ):
        status, _, sentence = refused(await act(world, path, body))
        assert (status, "its routes begin with /namespaces/" in sentence) == (400, True)
    assert refused(await act(world, "faces/documents/fetch-text-data", method="GET"))[0] == 400
    assert (await stored(world, "notes"), await stored(world, "faces")) == (["a"], ["a"])


ALL = (
    ("POST", "{}/documents/delete", {"ids": ["a"]}),
    ("POST", "{}/vectors/delete", {"ids": ["a"]}),
    ("POST", "{}/documents/get", {"ids": ["a"]}),
    ("POST", "{}/documents", {"documents": [{"id": "n", "text": "t"}]}),
    ("POST", "{}/vectors", {"vectors": [{"id": "n", "vector": NEAR}]}),
    ("GET", "{}/documents/fetch-text-data", None),
)


@pytest.mark.parametrize(("method", "path", "body"), ALL)
async def test_a_collection_the_caller_may_know_nothing_of_is_told_like_none(world, method, path, body):
    """Of texts or of vectors, asked rightly or wrongly: by status, headers or any byte."""
    told = set()
    for name in ("notes", "faces", "numbered", "nothing", "_pm_audit"):
        for sent in (body, {"ids": [5], "more": 1}) if body else (None,):
            answer = await act(world, path.format(name), sent, token=NOBODY, method=method)
            headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "content-length")}
            told.add((answer.status_code, answer.text.replace(name, "X"), repr(sorted(headers.items()))))
    assert len(told) == 1, told
    assert next(iter(told))[0] == 404


async def test_an_untold_refusal_stands_in_the_audit_with_its_reason(world):
    token = a_token("olga", ["nobody"])  # one caller's refusals are kept up to so many a second
    await act(world, "notes/documents/delete", {"ids": ["a"]}, token=token)
    ours = await world.post("/notes/batch/delete", {"ids": ["a"]}, token=token)
    await world.gateway.trail.settled()
    entries = await world.database["_pm_audit"].find({"kind": "refusal", "user_id": "olga"}).to_list()
    told = [(one["action"], one["collection"], one["user_id"], one["code"]) for one in entries]
    assert told == [("delete", "notes", "olga", "forbidden")] * 2
    assert ours.status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), [one for one in ALL if "vectors" not in one[1]])
async def test_the_policy_is_asked_and_its_reason_told(world, method, path, body):
    """Of who may do something else in the collection."""
    token = VIEWER if method == "POST" and path != "{}/documents/get" else CLERK
    ours = {
        "{}/documents/delete": ("POST", "/notes/batch/delete", {"ids": ["a"]}),
        "{}/documents/get": ("POST", "/notes/batch/get", {"ids": ["a"]}),
        "{}/documents": ("POST", "/notes/batch", {"documents": [{"_id": "n", "text": "t"}]}),
        "{}/documents/fetch-text-data": ("GET", "/notes", None),
    }[path]
    expected = await world.ask(*ours, token=token)
    answer = await act(world, path.format("notes"), body, token=token, method=method)
    told = expected.json()["error"]
    assert refused(answer) == (403, "Forbidden", told["message"])
    assert answer.json().get("details") == told.get("details")
    assert expected.status_code == 403


# -- uploads


async def test_texts_are_uploaded_all_or_none(world):
    documents = [{"id": "a", "text": "one", "metadata": {"title": "t"}}, {"id": 2, "text": "two", "status": "closed"}]
    answer = await act(world, "notes/documents", {"documents": documents})
    assert (answer.status_code, answer.json()) == (202, {"status": "queued", "submitted_ids": ["a", "2"]})
    rows = {row["_id"]: row async for row in world.database["notes"].find()}
    assert (rows["a"]["title"], rows["a"]["owner_id"], rows["2"]["status"]) == ("t", "alice", "closed")
    assert (await world.post(f"/notes/batch/{answer.headers['x-batch']}/undo", {})).json()["restored"] == 2
    await world.add("c")
    for wrong in (
        {"id": "c", "text": "t"},
        {"id": "d", "text": 5},
        {"id": "d", "tenant_id": "evil"},
        {"id": "d", "nothing": 1},
        {"id": "a b", "text": "t"},
    ):
        answer = await act(world, "notes/documents", {"documents": [{"id": "b", "text": "t"}, wrong]})
        assert refused(answer)[0] in (400, 403, 409), answer.text
        assert "documents[1]: " in answer.json()["message"]
    assert await stored(world, "notes") == ["c"]


async def test_what_of_many_vectors_is_right_is_stored(world):
    await faces(world, "taken")
    vectors = [
        {"id": 1, "vector": NEAR, "metadata": {"name": "n"}},
        {"id": "short", "vector": [1]},
        {"id": "taken", "vector": NEAR},
    ]
    answer = await act(world, "faces/vectors", {"vectors": vectors})
    assert (answer.status_code, answer.json()["status"]) == (207, "partial")
    assert answer.json()["vector_ids_processed"] == ["1"]
    told = {one["id"]: (one["error"], one.get("details")) for one in answer.json()["errors"]}
    assert told["short"][0] == "Bad Request"
    assert told["short"][1]["errors"][0]["code"] == "dimensions"
    assert told["taken"][0] == "Conflict"
    assert (await world.get("/faces/1")).json()["name"] == "n"


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("documents", 5),
        ("documents", {"text": "t"}),
        ("documents", {"id": None, "text": "t"}),
        ("documents", {"id": True}),
        ("documents", {"id": 1.5}),
        ("documents", {"id": {"$oid": "65f000000000000000000000"}}),
        ("documents", {"id": "a", "_id": "b"}),
        ("documents", {"id": "a", "metadata": "m"}),
        ("documents", {"id": "a", "metadata": {"_id": "b"}}),
        ("documents", {"id": "a", "text": "t", "metadata": {"text": "u"}}),
        ("vectors", {"id": "a", "vector": NEAR, "near": NEAR}),
    ],
)
async def test_an_item_that_makes_no_sense_is_refused(world, kind, item):
    name = "notes" if kind == "documents" else "faces"
    assert refused(await act(world, f"{name}/{kind}", {kind: [item]}))[0] == 400
    assert await stored(world, name) == []


# -- reads


async def test_texts_are_got_by_their_ids(world):
    await world.add("a", text="one", ssn="123-45-6789")
    ours = (await world.get("/notes/a")).json()
    [told] = (await act(world, "notes/documents/get", {"ids": ["a", "absent"]})).json()["documents"]
    assert (told["id"], told["text"]) == ("a", "one")
    assert told["metadata"] == {name: value for name, value in ours.items() if name not in ("_id", "text")}
    assert told["metadata"]["ssn"].startswith("***")
    await world.add("b", token=BOB, status="closed", text="two", ssn="1")
    [seen] = (await act(world, "notes/documents/get", {"ids": ["a", "b"]}, token=VIEWER)).json()["documents"]
    assert seen == {"id": "b", "text": "two", "metadata": {"status": "closed", "_version": 1}}


async def test_a_field_called_metadata_is_the_metadata(world):
    one = ObjectId()
    await world.database["numbered"].insert_one({"_id": one, "text": "n", "metadata": {"a": 1}})
    [told] = (await act(world, "numbered/documents/get", {"ids": [str(one)]}, token=BOSS)).json()["documents"]
    assert (told["id"], told["text"], told["metadata"]) == (str(one), "n", {"a": 1})
    uploaded = await act(world, "numbered/documents", {"documents": [{"id": "x", "text": "t"}]}, token=BOSS)
    assert refused(uploaded)[0] == 403  # ids are the gateway's there


async def test_texts_are_listed_page_by_page(world):
    for one in "abc":
        await world.add(one, text=f"text {one}")
    first = (await act(world, "notes/documents/fetch-text-data?limit=2", method="GET")).json()
    assert [one["id"] for one in first["items"]] == ["a", "b"]
    assert (first["status"], first["namespace"], first["statistics"]["total_items"]) == ("success", "notes", 2)
    assert first["items"][0]["created_at"] == first["statistics"]["created_at_min"]
    assert (first["pagination"]["limit"], first["pagination"]["has_more"]) == (2, True)
    token = first["pagination"]["next_token"]
    last = (await act(world, f"notes/documents/fetch-text-data?limit=2&next_token={token}", method="GET")).json()
    assert ([one["text"] for one in last["items"]], last["pagination"]["next_token"]) == (["text c"], None)
    for wrong in ("limit=0", "limit=101", "limit=x", "next_token=x", "limit=1&limit=2", "skip=1"):
        assert refused(await act(world, f"notes/documents/fetch-text-data?{wrong}", method="GET"))[0] == 400


async def test_namespaces_are_the_collections_that_the_caller_reads_with_what_it_sees_of_them(world):
    await world.add("a", "b")
    await world.add("c", token=BOB, status="closed")
    await faces(world, "f")
    expected = [
        {"namespace_name": "notes", "type": "text", "item_count": 3, "vector_dimension": None},
        {"namespace_name": "faces", "type": "vector", "item_count": 1, "vector_dimension": 3},
    ]
    for path in ("/namespaces", "/v1/namespaces"):
        assert (await world.get(path)).json() == {"namespaces": expected}
    seen = (await world.get("/namespaces", token=VIEWER)).json()["namespaces"]
    assert [(one["namespace_name"], one["item_count"]) for one in seen] == [("notes", 1), ("faces", 1)]
    assert seen[1]["vector_dimension"] is None  # the field is nothing to her
    [one] = (await world.get("/namespaces", token=CLERK)).json()["namespaces"]
    # A hidden field is not told by the name of an action.
    assert one == {"namespace_name": "readers", "type": "vector", "item_count": 0, "vector_dimension": None}
    assert (await world.get("/namespaces", token=NOBODY)).json() == {"namespaces": []}


# -- what is not here


async def test_no_namespace_is_made_or_deleted(world):
    await world.add("a")
    body = {"namespace_name": "notes", "type": "text", "vector_dimension": None}
    made = await world.post("/v1/namespaces", body)
    assert refused(made) == (409, "Conflict", "the namespace 'notes' exists")
    told = set()
    for name, token in (("new", None), ("notes", NOBODY), ("numbered", None), ("numbered", NOBODY)):
        answer = await world.post("/namespaces", {**body, "namespace_name": name}, token=token)
        told.add(refused(answer))
    for name in ("notes", "new", "_pm_audit"):
        told.add(refused(await act(world, name, method="DELETE", token=BOSS)))
    assert told == {(403, "Forbidden", "collections are declared in schema.yml; no request makes or deletes one")}
    for wrong in ({}, {"namespace_name": 5}, {**body, "more": 1}):
        assert refused(await world.post("/namespaces", wrong))[0] == 400
    assert await stored(world, "notes") == ["a"]


async def test_search_answers_and_files_are_not_here_and_that_is_said(world):
    for method, path, word in (
        ("POST", "/search", "search"),
        ("POST", "/v1/search", "search"),
        ("POST", "/answer", "generated answers"),
        ("POST", "/v1/namespaces/notes/upload-url", "files"),
        ("GET", "/namespaces/notes/list-files", "files"),
        ("DELETE", "/namespaces/notes/delete-file", "files"),
    ):
        status, error, sentence = refused(await world.ask(method, path))
        assert (status, error, word in sentence) == (404, "Not Found", True)
        assert (await world.client.request(method, path)).status_code == 401


# -- who, and what is not taken


async def test_a_key_stands_where_that_api_has_it(world):
    key = new_key("boss", "acme", ("boss",), utc_now(), None)
    await MongoKeyStore(world.database).add(key.record)
    await world.add("a", token=BOSS)
    sent = {"ids": ["a"]}
    for headers in ({}, {"x-api-key": "x"}, {"x-api-key": key.text, "authorization": f"Bearer {BOSS}"}):
        answer = await world.client.post("/namespaces/notes/documents/delete", headers=headers, json=sent)
        assert refused(answer)[:2] == (401, "Unauthorized")
    told = await world.client.post("/namespaces/notes/documents/delete", headers={"x-api-key": key.text}, json=sent)
    assert told.json()["deleted_ids"] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": "a"},
        {"ids": ["a"], "all": True},
        {"ids": ["a"], "atomic": True},
        {"filter": {}},
        {"ids": [None]},
        {"ids": [True]},
        {"ids": [1.5]},
        {"ids": [""]},
        {"ids": [["a"]]},
        {"ids": [{"$ne": 1}]},
        {"ids": ["a\x00"]},
        {"ids": ["x" * 1025]},
        {"ids": [f"n{n}" for n in range(1001)]},
        [],
    ],
)
async def test_ids_that_make_no_sense_are_refused(world, body):
    await world.add("a")
    for path in ("notes/documents/delete", "faces/vectors/delete", "notes/documents/get"):
        assert refused(await act(world, path, body))[:2] == (400, "Bad Request")
    assert await stored(world, "notes") == ["a"]


@pytest.mark.parametrize(("method", "path", "body"), ALL)
async def test_a_parameter_and_a_header_that_are_not_taken_are_refused(world, method, path, body):
    name = "faces" if "vectors" in path else "notes"
    assert refused(await act(world, f"{path.format(name)}?secret=1", body, method=method))[0] == 400
    conditional = await act(world, path.format(name), body, method=method, headers={"if-match": "*"})
    assert refused(conditional)[0] == 400


async def test_rates_count_what_the_door_asks(mongo_uri, tmp_path):
    limits = "limits: {max_batch_size: 9, rate: {per_principal: 1/s, burst: 10s}}\n"
    async with a_world(mongo_uri, a_config(tmp_path, f"{DOOR}{limits}", SCHEMA, POLICY)) as slow:
        ids = [f"n{n}" for n in range(8)]
        assert (await act(slow, "notes/documents/delete", {"ids": ids})).status_code == 200
        answer = await act(slow, "notes/documents/delete", {"ids": ids})
        assert refused(answer)[:2] == (429, "Too Many Requests")
        assert int(answer.headers["retry-after"]) > 1
        assert refused(await act(slow, "notes/documents/delete", {"ids": [*ids, "a", "b"]}))[0] == 429


async def test_what_was_deleted_is_told_where_what_is_left_can_not_be_counted(world):
    await world.add("a")
    fail = {"failCommands": ["aggregate"], "errorCode": 11602, "appName": "permission-mongo"}
    admin = world.database.client.admin
    await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=fail)
    try:
        answer = await act(world, "notes/documents/delete", {"ids": ["a"]})
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")
    assert (answer.status_code, answer.json()["deleted_ids"]) == (200, ["a"])
    assert answer.json()["remaining_items"] is None


async def test_a_door_that_is_off_is_an_unknown_path(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path)) as shut:
        answer = await act(shut, "notes/documents/delete", {"ids": ["a"]})
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "no such route")


def test_each_route_is_there_with_the_prefix_and_without():
    routes = {(method, path) for method, path, _ in DOORS["moorcheh"].routes}
    plain = {one for one in routes if not one[1].startswith("/v1/")}
    assert routes - plain == {(method, f"/v1{path}") for method, path in plain}


async def test_rates_tell_nobody_of_a_collection_in_which_he_may_do_nothing(mongo_uri, tmp_path):
    """Neither by a refusal nor by what a request cost."""
    text = f"{DOOR}limits: {{rate: {{per_principal: 1/h, burst: 25h}}}}\n"
    async with a_world(mongo_uri, a_config(tmp_path, text, SCHEMA, POLICY)) as world:
        ids, told = [f"i{n}" for n in range(20)], set()
        asked = (("faces", "vectors"), ("notes", "documents"), ("faces", "documents"), ("absent", "vectors"))
        for name, kind in asked * 2:
            answer = await act(world, f"{name}/{kind}/delete", {"ids": ids}, token=NOBODY)
            told.add((answer.status_code, answer.text.replace(name, "NAME")))
        assert len(told) == 1, told
        assert next(iter(told))[0] == 404
