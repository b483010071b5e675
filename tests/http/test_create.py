"""`POST /{collection}`: stamped, then typed and validated, then judged as it will be stored."""

import pytest

from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, VIEWER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token(roles=["viewer"]),
)
ROOT, STRANGER = a_token("root", ["root"], None), a_token("eve", ["boss"], "evil")


async def refused(world, body, **more):
    """Status and error of a create that must not happen."""
    answer = await world.post("/notes", body, **more)
    assert await world.database["notes"].count_documents({}) == 0
    return answer.status_code, answer.json()["error"]


async def test_a_created_document_is_answered_as_stored_with_its_place(world):
    answer = await world.post("/notes", {"title": "first", "age": 3})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/notes/{made['_id']}"
    assert (await world.get(answer.headers["location"])).json() == made
    assert (made["title"], made["age"], made["status"], made["_version"]) == ("first", 3, "open", 1)
    assert (made["tenant_id"], made["owner_id"], made["created_by"]) == ("acme", "alice", "alice")
    assert "_made" not in made


async def test_a_masked_field_is_masked_in_the_echo_too(world):
    answer = await world.post("/notes", {"title": "n", "ssn": "123456789"})
    assert answer.json()["ssn"] == "***6789"
    assert (await world.database["notes"].find_one())["ssn"] == "123456789"


async def test_a_creator_without_a_right_to_read_is_answered_the_id_alone(world):
    answer = await world.post("/notes", {"title": "n"}, token=CLERK)
    assert answer.status_code == 201
    assert list(answer.json()) == ["_id"]


async def test_values_are_stored_by_the_declared_type(world):
    answer = await world.post("/notes", {"title": "n", "at": "2026-01-31T12:00:00+01:00", "age": 3.0})
    assert answer.json()["at"] == "2026-01-31T11:00:00Z"
    stored = await world.database["notes"].find_one()
    assert (stored["at"].hour, stored["age"], type(stored["age"])) == (11, 3, int)


async def test_the_reason_of_a_create_is_kept_with_its_version(world):
    made = (await world.post("/notes", {"title": "n"}, headers={"x-change-reason": "asked for"})).json()
    history = (await world.get(f"/notes/{made['_id']}/versions")).json()
    assert history[0]["change_reason"] == "asked for"


async def test_every_broken_constraint_is_told_at_once_with_its_field(world):
    body = {
        "title": "x" * 51,
        "status": "gone",
        "age": -1,
        "email": "nobody",
        "at": "yesterday",
        "lines": [{"quantity": 1.5}],
    }
    status, error = await refused(world, body)
    assert (status, error["code"]) == (422, "schema_validation")
    assert {one["field"]: one["code"] for one in error["details"]["errors"]} == {
        "title": "max_length",
        "status": "enum",
        "age": "min",
        "email": "format",
        "at": "type",
        "lines.0.quantity": "type",
    }


async def test_a_required_field_is_required_and_null_does_not_count(world):
    for body in ({}, {"title": None}):
        status, error = await refused(world, body)
        assert (status, [one["field"] for one in error["details"]["errors"]]) == (422, ["title"])


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ({"tenant_id": "evil"}, ["tenant_id"]),
        ({"tenant_id": "acme"}, ["tenant_id"]),
        ({"owner_id": "bob"}, ["owner_id"]),
        ({"created_by": "bob"}, ["created_by"]),
        ({"updated_at": "2020-01-01"}, ["updated_at"]),
        ({"_version": 7}, ["_version"]),
        ({"_made": {"by": "bob"}}, ["_made.by"]),
    ],
    ids=str,
)
async def test_t24_a16_stamped_fields_are_refused_whatever_they_say(world, sent, names):
    status, error = await refused(world, {"title": "n", **sent})
    assert (status, error["code"]) == (403, "forbidden")
    assert set(error["details"]["fields"]) <= {*names, "_made"}
    assert error["details"]["fields"]


async def test_t24_marks_of_the_gateway_are_refused_where_the_schema_keeps_additional_fields(mongo_uri, tmp_path):
    schema = "collections: {open: {id_type: string, client_ids: true, additional_fields: keep, versioning: {enabled: true}, fields: {title: {type: string}}}}"
    policy = 'roles: {user: {}}\npolicies: {open: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        for sent in (
            {"_version": 7},
            {"_made": {"action": "create", "by": "bob", "at": "2020-01-01"}},
            {"created_by": "bob"},
        ):
            answer = await world.post("/open", {"title": "n", "more": 1, **sent})
            assert answer.status_code == 403, sent
        kept = await world.post("/open", {"title": "n", "more": {"deep": [1, "x"]}})
        assert (kept.status_code, kept.json()["more"], kept.json()["_version"]) == (201, {"deep": [1, "x"]}, 1)


async def test_an_unknown_and_a_hidden_field_are_refused_alike(world):
    """The clerk may write title and status; `ssn` exists, `nothing` does not."""
    told = []
    for name in ("ssn", "nothing"):
        status, error = await refused(world, {"title": "n", name: "x"}, token=CLERK)
        assert error["details"].pop("fields") == [name]
        told.append((status, error))
    assert told[0] == told[1]
    assert told[0][0] == 403


async def test_a_field_is_refused_before_its_value_is_looked_at(world):
    status, error = await refused(world, {"title": 5, "nothing": 1, "age": "x"})
    assert (status, error["details"]["fields"]) == (403, ["nothing"])


async def test_the_rule_must_hold_for_the_document_as_it_will_be(world):
    """A clerk creates open notes only; the default is open."""
    status, error = await refused(world, {"title": "n", "status": "closed"}, token=CLERK)
    assert (status, error["code"]) == (403, "forbidden")
    assert (await world.post("/notes", {"title": "n"}, token=CLERK)).status_code == 201


async def test_a_role_without_the_action_is_forbidden_whatever_is_sent(world):
    status, error = await refused(world, {"title": 5}, token=VIEWER)
    assert (status, error["details"]) == (403, {"action": "create", "collection": "notes"})


@pytest.mark.parametrize(
    "wrong", [["a"], {"$gt": ""}, {"$regex": "a"}, 5, None, "", "a/b", "batch", "..", "x" * 129, "ä"], ids=str
)
async def test_t22_an_id_that_a_url_cannot_hold_is_refused(world, wrong):
    status, error = await refused(world, {"_id": wrong, "title": "n"})
    assert (status, error["details"]["errors"][0]["field"]) == (422, "_id")
    assert error["details"]["errors"][0]["message"].startswith("expected ")


async def test_t22_an_id_is_refused_where_the_collection_makes_its_own(world):
    answer = await world.post("/plain", {"_id": "5" * 24, "name": "n"}, token=BOSS)
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["fields"] == ["_id"]


async def test_a15_t25_a_taken_id_is_a_conflict_that_tells_no_value_and_no_tenant(world):
    """The one thing a caller learns of a row it can't see: that an id it chose itself is taken."""
    await world.add("a", token=STRANGER)
    await world.add("b", token=BOB)
    await world.add("c")
    answers = [await world.post("/notes", {"_id": one, "title": "mine"}) for one in ("a", "b", "c")]
    assert {(one.status_code, one.text) for one in answers} == {
        (409, '{"error":{"code":"conflict","message":"a document with this key exists"}}')
    }


async def test_a15_a_taken_unique_value_tells_neither_value_nor_index(mongo_uri, tmp_path):
    schema = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  notes:
    fields: {tenant_id: {type: string}, email: {type: string}}
    indexes: [{fields: [email], unique: true, global: true}]
"""
    policy = 'roles: {user: {}}\npolicies: {notes: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        sent = {"email": "canary@x.org"}
        assert (await world.post("/notes", sent, token=a_token("eve", tenant="evil"))).status_code == 201
        answer = await world.post("/notes", sent)
        many = await world.post("/notes/batch", {"documents": [sent, {"email": "b@x.org"}]})
    assert (answer.status_code, many.status_code) == (409, 207)
    assert many.json()["failed"] == [
        {"index": 0, "error": {"code": "conflict", "message": "a document with this key exists"}}
    ]
    for text in (answer.text, many.text):
        assert not {word for word in ("canary", "email_1", "E11000", "index:") if word in text}


@pytest.mark.parametrize("name", ["$set", "$where", "a.b", "pay.month", "", "$"])
async def test_t21_names_that_cannot_be_stored_are_refused_with_their_place(world, name):
    for body in ({"title": "n", name: 1}, {"title": "n", "pay": {name: 1}}, {"title": "n", "lines": [{name: 1}]}):
        status, error = await refused(world, body)
        assert status == 422
        assert error["details"]["errors"][0]["code"] == "name"


async def test_t21_a_name_that_only_javascript_minds_is_plain_data(mongo_uri, tmp_path):
    schema = "collections: {open: {additional_fields: keep, fields: {title: {type: string}}}}"
    policy = 'roles: {user: {}}\npolicies: {open: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        answer = await world.post("/open", {"__proto__": {"admin": True}})
        assert (answer.status_code, answer.json()["__proto__"]) == (201, {"admin": True})


async def test_t21_an_operator_is_no_document_where_the_schema_is_open(mongo_uri, tmp_path):
    schema = "collections: {open: {additional_fields: keep, fields: {title: {type: string}}}}"
    policy = 'roles: {user: {}}\npolicies: {open: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        for body in ({"$oid": "5" * 24}, {"$date": "2020-01-01"}, {"$set": {"a": 1}}):
            answer = await world.post("/open", body)
            assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["code"]) == (422, "name"), body
        assert await world.database["open"].count_documents({}) == 0


@pytest.mark.parametrize("value", ["5", True, 1.5])
async def test_what_is_no_integer_is_refused(world, value):
    status, error = await refused(world, {"title": "n", "age": value})
    assert (status, [one["field"] for one in error["details"]["errors"]]) == (422, ["age"])


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**63 + 1, 2**64 - 1, 2**64, 10**30])
async def test_t18_what_is_no_integer_of_64_bits_is_refused_and_never_rounded(world, value):
    for body in ({"title": "n", "age": value}, {"title": "n", "lines": [{"quantity": value}]}, {"nothing": value}):
        status, error = await refused(world, body)
        assert (status, error["message"]) == (400, "the body is not to be kept: expected an integer of at most 64 bits")


async def test_t18_the_ends_of_64_bits_come_back_as_sent(world):
    made = (await world.post("/notes", {"title": "n", "age": 2**63 - 1})).json()
    assert (await world.get(f"/notes/{made['_id']}")).json()["age"] == 2**63 - 1


async def test_t18_an_overflowing_number_is_refused(world):
    answer = await world.ask("POST", "/notes", content=b'{"title": "n", "pay": {"month": 1e999}}')
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_t20_a_nul_anywhere_is_refused(world):
    for body in ({"title": "a\x00"}, {"title": "n", "a\x00b": 1}, {"title": "n", "tags": ["\x00"]}, {"x": {"\x00": 1}}):
        status, error = await refused(world, body)
        assert (status, error["code"]) == (400, "bad_request")


async def test_t19_a_body_of_more_than_64_levels_is_refused(world):
    for depth, status in ((64, 403), (65, 400)):
        content = b'{"x":' * depth + b"1" + b"}" * depth
        assert (await world.ask("POST", "/notes", content=content)).status_code == status


async def test_a_decimal_is_kept_exactly(world):
    made = (await world.post("/plain", {"name": "n", "price": "0.10"}, token=BOSS)).json()
    assert made["price"] == {"$numberDecimal": "0.10"}


async def test_t19_a_document_nested_too_deep_is_refused_and_the_deepest_comes_back(mongo_uri, tmp_path):
    schema = "collections: {open: {additional_fields: keep, fields: {title: {type: string}}}}"
    policy = 'roles: {user: {}}\npolicies: {open: {user: {actions: ["*"]}}}\n'

    def nested(levels):
        value = 1
        for _ in range(levels):
            value = {"a": value}
        return value

    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        deepest = await world.post("/open", nested(64))
        assert (await world.get(deepest.headers["location"])).json()["a"] == nested(63)
        answers = [await world.post("/open", nested(levels)) for levels in (65, 100, 150)]
        assert [one.status_code for one in answers] == [400, 400, 400]
        absurd = await world.ask("POST", "/open", content=b'{"a":' * 900 + b"1" + b"}" * 900)
        assert (absurd.status_code, absurd.json()["error"]["code"]) == (400, "bad_request")


async def test_t23_a_document_above_the_limit_is_refused(mongo_uri, tmp_path):
    config = a_config(
        tmp_path, "auth: {secret: '0123456789abcdef0123456789abcdef'}\nlimits: {max_document_bytes: 2000}\n"
    )
    async with a_kept_world(mongo_uri, config) as world:
        answer = await world.post("/notes", {"title": "n", "ssn": "x" * 3000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
        assert answer.json()["error"]["details"] == {"max_document_bytes": 2000}
        assert (await world.post("/notes", {"title": "n", "ssn": "x" * 1000})).status_code == 201


@pytest.mark.parametrize(
    ("reason", "status"), [("", 400), ("x" * 1001, 400), ("x" * 1000, 201)], ids=["empty", "long", "fits"]
)
async def test_a_reason_has_bounds(world, reason, status):
    answer = await world.post("/notes", {"title": "n"}, headers={"x-change-reason": reason})
    assert answer.status_code == status
    assert (await world.database["notes"].count_documents({})) == (status == 201)


@pytest.mark.parametrize("header", ["if-match"])
async def test_a_promise_that_is_not_kept_yet_is_refused(world, header):
    status, error = await refused(world, {"title": "n"}, headers={header: "x"})
    assert (status, error["code"]) == (400, "bad_request")
    assert header in error["message"]


async def test_an_unknown_parameter_is_refused_by_name(world):
    answer = await world.post("/notes?force=true", {"title": "n"})
    assert (answer.status_code, "'force'" in answer.json()["error"]["message"]) == (400, True)


async def test_a_cross_tenant_role_names_the_tenant_it_writes_to(world):
    answer = await world.post("/notes", {"_id": "r", "title": "n", "tenant_id": "evil"}, token=ROOT)
    assert answer.status_code == 201
    assert (await world.get("/notes/r", token=STRANGER)).json()["tenant_id"] == "evil"
    assert (await world.get("/notes/r", token=BOSS)).status_code == 404


async def test_a_field_that_a_deny_hides_from_creators_is_sent_by_nobody(mongo_uri, tmp_path):
    schema = "collections: {notes: {fields: {title: {type: string}, pay: {type: number}, level: {type: integer}}}}"
    policy = """
roles: {user: {}}
policies:
  notes:
    user:
      - {actions: ["*"]}
      - {effect: deny, actions: [create], fields: [pay], when: "resource.level == 1"}
"""
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        status, error = await refused(world, {"title": "n", "pay": 1, "level": 1})
        assert (status, error["message"]) == (403, "unknown or not permitted field")
        assert error["details"]["fields"] == ["pay"]
        for body in ({"title": "n", "pay": 1, "level": 2}, {"title": "n", "level": 1}):
            assert (await world.post("/notes", body)).status_code == 201
