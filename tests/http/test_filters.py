"""Filters: operators from an allow-list, values by declared type, fields that the caller reads raw, rows within reach."""

import json

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER, STRANGER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("vera", ["viewer"]),
    a_token("eve", ["boss"], "evil"),
)

ANY = 'roles: {user: {}}\npolicies: {notes: {user: {actions: ["*"]}}}\n'


async def ask(world, asked, **more):
    return await world.get(
        "/notes", params={"_filter": asked if isinstance(asked, str) else json.dumps(asked), "_limit": 100}, **more
    )


async def found(world, asked, **more):
    answer = await ask(world, asked, **more)
    assert answer.status_code == 200, answer.text
    return [one["_id"] for one in answer.json()["data"]]


async def some_notes(world):
    await world.add(
        "a", age=1, tags=["x", "y"], lines=[{"sku": "s1", "quantity": 1}, {"sku": "s2", "quantity": 9}], at="2026-01-01"
    )
    await world.add("b", age=2, tags=["x"], lines=[{"sku": "s1", "quantity": 9}], pay={"month": 10.5})
    await world.add("c", age=3, tags=[], status="closed")
    await world.add("d")


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({"age": 2}, "b"),
        ({"age": {"$eq": 2}}, "b"),
        ({"age": {"$ne": 2}}, "acd"),
        ({"age": {"$gt": 1, "$lt": 3}}, "b"),
        ({"age": {"$gte": 2}}, "bc"),
        ({"age": {"$lte": 2}}, "ab"),
        ({"age": {"$in": [1, 3]}}, "ac"),
        ({"age": {"$nin": [1, 3]}}, "bd"),
        ({"age": {"$not": {"$gt": 1}}}, "ad"),
        ({"age": {"$exists": False}}, "d"),
        ({"age": None}, "d"),
        ({"$or": [{"age": 1}, {"status": "closed"}]}, "ac"),
        ({"$nor": [{"age": 1}, {"status": "closed"}]}, "bd"),
        ({"$and": [{"age": {"$gt": 1}}, {"age": {"$lt": 3}}]}, "b"),
        ({"title": {"$regex": "^note [ab]".replace("[ab]", "a")}}, "a"),
        ({"title": {"$regex": "b$"}}, "b"),
        ({"tags": "x"}, "ab"),
        ({"tags": ["x"]}, "b"),
        ({"tags": {"$all": ["x", "y"]}}, "a"),
        ({"tags": {"$size": 0}}, "c"),
        ({"tags": {"$elemMatch": {"$gt": "x"}}}, "a"),
        ({"lines": {"$elemMatch": {"sku": "s1", "quantity": {"$gt": 5}}}}, "b"),
        ({"lines.sku": "s1", "lines.quantity": {"$gt": 5}}, "ab"),
        ({"lines.0.quantity": 9}, "b"),
        ({"at": {"$lt": "2026-06-01"}}, "a"),
        ({"at": {"$date": "2026-01-01T00:00:00Z"}}, "a"),
        ({"at": {"$gte": {"$date": {"$numberLong": "0"}}}}, "a"),
        ({"pay.month": {"$numberDouble": "10.5"}}, "b"),
        ({"_id": {"$in": ["a", "d"]}}, "ad"),
        ({"_version": 1}, "abcd"),
        ({}, "abcd"),
    ],
    ids=str,
)
async def test_each_operator_means_what_mongodb_means(world, asked, ids):
    await some_notes(world)
    assert "".join(await found(world, asked)) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("age=2", "b"),
        ('age={"$gt":1}', "bc"),
        ("age=1&status=open", "a"),
        ('status=open&_filter={"age":{"$gt":1}}', "b"),
        ("at=2026-01-01", "a"),
        ("_id=d", "d"),
        ("pay.month=10.5", "b"),
        ("lines.sku=s2", "a"),
        ("title=note%20c", "c"),
        ('title=%20{"$gt":""}', ""),
    ],
)
async def test_parameters_are_read_by_the_schemas_type_and_anded(world, query, ids):
    await some_notes(world)
    answer = await world.get(f"/notes?{query}")
    assert "".join(one["_id"] for one in answer.json()["data"]) == ids


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("", "_filter: not JSON"),
        ("{", "_filter: not JSON"),
        ("[]", 'filter: expected an object such as {"status": "open"}'),
        ('"a"', 'filter: expected an object such as {"status": "open"}'),
        ({"age": {}}, 'filter.age: expected a value or operators such as {"$gt": 18}'),
        ({"age": "old"}, "filter.age: expected a number"),
        ({"age": {"$gt": [1]}}, "filter.age.$gt: expected a single value"),
        ({"age": {"$in": 1}}, "filter.age.$in: expected a list"),
        ({"age": {"$in": [1, "x"]}}, "filter.age.$in[1]: expected a number"),
        ({"age": {"$exists": 1}}, "filter.age.$exists: expected true or false"),
        ({"tags": {"$size": -1}}, "filter.tags.$size: expected a whole number"),
        ({"tags": {"$size": True}}, "filter.tags.$size: expected a whole number"),
        ({"at": "soon"}, "filter.at: expected a date such as 2026-01-31 or 2026-01-31T12:00:00Z"),
        ({"at": "2026-02-31"}, "filter.at: expected a date"),
        ({"$or": []}, "filter.$or: expected a list of at least one filter"),
        ({"$or": {"age": 1}}, "filter.$or: expected a list of at least one filter"),
        ({"$or": [1]}, 'filter.$or[0]: expected an object such as {"status": "open"}'),
        ({"age": {"$not": 1}}, 'filter.age.$not: expected operators such as {"$gt": 18}'),
        ({"age": {"$not": {}}}, "filter.age.$not: expected"),
        ({"lines": {"$elemMatch": {}}}, "filter.lines.$elemMatch: expected conditions on one element"),
        (
            {"pay": {"month": 1}},
            "filter.pay.month: the key 'month' is not taken here; name a field of an object by its path",
        ),
        ({"": 1}, "filter.: a field is named like 'status' or 'address.city'"),
        ({"age.": 1}, "filter.age.: a field is named like 'status' or 'address.city'"),
        ({"pay.$month": 1}, "filter.pay.$month: a field is named like 'status' or 'address.city'"),
        ({"at": {"$date": 10**18}}, "filter.at: expected a valid $date value"),
        ({"age": {"$numberLong": "x"}}, "filter.age: expected a valid $numberLong value"),
        ({"_id": {"$gt": 5}}, "filter._id.$gt: expected a string"),
    ],
    ids=str,
)
async def test_a_wrong_filter_is_told_what_is_wrong_where_and_what_would_be_right(world, asked, message):
    answer = await ask(world, asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    "query", ["age=old", "age=1.5", "age=", "age=1e400", "age=NaN", "at=soon", 'age={"$gt":', "age={}"]
)
async def test_a_wrong_parameter_is_told_with_its_name(world, query):
    answer = await world.get(f"/notes?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]


# -- no oracle


@pytest.mark.parametrize(
    "asked",
    [
        {"ssn": "1"},
        {"ssn": {"$gt": "1"}},
        {"ssn": {"$regex": "^1"}},
        {"ssn": {"$exists": True}},
        {"ssn": None},
        {"ssn": {"$ne": None}},
        {"ssn": {"$in": []}},
        {"$or": [{"title": "n"}, {"ssn": "1"}]},
        {"$and": [{"$nor": [{"ssn": ""}]}]},
        {"$or": [{"$and": [{"ssn": False}]}]},
        {"pay": {"$ne": None}},
        {"pay.month": {"$gt": 0}},
        {"pay.0.month": 1},
        {"lines": {"$elemMatch": {"sku": "s1"}}},
        {"lines.0.sku": "s1"},
        {"tenant_id": "acme"},
        {"owner_id": "alice"},
        {"created_by": "alice"},
        {"_made.by": "alice"},
        {"nothing": 1},
        {"title.deeper": 1},
        {"__proto__": 1},
    ],
    ids=str,
)
async def test_a1_a2_a3_a_hidden_and_an_unknown_field_are_refused_alike_at_any_depth(world, asked):
    """A viewer reads title, status and age; whatever else a filter names is no field of the viewer's."""
    await world.add("a", status="closed", ssn="1", pay={"month": 5}, token=BOSS)
    answers = [
        await ask(world, asked, token=VIEWER),
        await world.post("/notes/batch/get", {"ids": ["a"], "fields": ["nothing"]}, token=VIEWER),
    ]
    told = [one.json()["error"] for one in answers]
    assert [one.status_code for one in answers] == [403, 403]
    assert told[0]["details"].pop("fields")
    assert told[1]["details"].pop("fields") == ["nothing"]
    assert told[0] == told[1]


async def test_a1_a_masked_field_is_no_field_to_ask_about(world):
    await world.add("a", ssn="123456789")
    for asked in ({"ssn": "123456789"}, {"ssn": "***6789"}, {"$nor": [{"ssn": {"$gt": "1"}}]}):
        assert (await ask(world, asked)).status_code == 403
    assert await found(world, {"ssn": "123456789"}, token=BOSS) == ["a"]


async def test_a1_a_wrong_value_for_a_hidden_field_is_told_like_a_right_one(world):
    answers = [await ask(world, {"at": value}, token=VIEWER) for value in ("soon", "2026-01-01")]
    assert {(one.status_code, one.text) for one in answers} == {(403, answers[0].text)}


async def test_a1_rows_take_part_only_where_their_grant_reads_the_field(world):
    """Closed notes of others are seen by three fields: a question about tags is asked of own notes only."""
    await world.add("mine", tags=["x"])
    await world.add("bobs", tags=["x"], status="closed", token=BOB)
    assert await found(world, {"tags": "x"}) == ["mine"]
    assert await found(world, {"tags": {"$ne": "z"}}) == ["mine"]
    assert await found(world, {"title": {"$regex": "^note"}}) == ["bobs", "mine"]
    assert await found(world, {"$or": [{"title": "note bobs"}, {"tags": "x"}]}) == ["mine"]


async def test_t12_a_callers_conditions_never_widen_the_policys(world):
    await world.add("a")
    await world.add("b", token=BOB)
    await world.add("c", token=STRANGER)
    for asked in (
        {"$or": [{"_id": {"$exists": True}}, {"owner_id": "bob"}]},
        {"owner_id": {"$ne": "alice"}},
        {"tenant_id": "evil"},
        {"$nor": [{"tenant_id": "acme"}]},
        {"_id": {"$in": ["a", "b", "c"]}},
        {"owner_id": {"$in": ["alice", "bob", "eve"]}},
    ):
        assert set(await found(world, asked)) <= {"a"}


async def test_t17_duplicate_keys_in_a_filter_are_refused(world):
    for asked in ('{"age":1,"age":{"$gt":0}}', '{"age":{"$gt":1,"$gt":0}}', '{"$or":[{"a":1,"a":2}]}'):
        answer = await ask(world, asked)
        assert (answer.status_code, "duplicate" in answer.json()["error"]["message"].lower()) == (400, True)


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 2**64, {"$numberLong": str(2**63)}, {"$numberLong": "9" * 5000}],
    ids=lambda value: str(value)[:40],
)
async def test_t18_integers_over_64_bits_are_refused(world, value):
    for asked in ({"age": value}, {"pay.month": {"$gt": value}}, {"_version": {"$in": [value]}}):
        assert (await ask(world, asked)).status_code == 400
    if isinstance(value, int):
        assert (await world.get(f"/notes?age={value}")).status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        '{"age":NaN}',
        '{"age":Infinity}',
        '{"age":1e999}',
        '{"title":"\\ud800"}',
        '{"age":{"$numberDouble":"nan"}}',
        '{"age":{"$numberDecimal":"Infinity"}}',
    ],
)
async def test_t18_what_is_no_finite_number_or_no_text_is_refused(world, asked):
    assert (await ask(world, asked)).status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        {"a\x00": 1},
        {"age\x00.b": 1},
        {"title": "a\x00"},
        {"title": {"$regex": "a\x00"}},
        {"title": {"$in": ["\x00"]}},
        {"\x00": 1},
        {"_id": "\x00"},
    ],
    ids=repr,
)
async def test_t20_nul_in_names_values_and_patterns_is_refused(world, asked):
    answer = await ask(world, asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "(a|aa)+$",
        ".*",
        "a*",
        "a|b",
        "[a-z]",
        "a{2}",
        "a?",
        "\\d",
        "\\1",
        "(?i)a",
        "a.b",
        "^^a",
        "x" * 129,
        "\\",
        "a$b",
        "\\Qa\\E",
    ],
)
async def test_t13_a_pattern_that_can_backtrack_is_refused(world, pattern):
    answer = await ask(world, {"title": {"$regex": pattern}})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(
        "filter.title.$regex: expected literal text of at most 128 signs"
    )


async def test_t13_an_escaped_pattern_means_its_signs(mongo_uri, tmp_path, world):
    await world.post("/notes", {"_id": "p", "title": "a.b+c(d)|e$ [x] ^ü"})
    for pattern in (r"a\.b\+c", r"\(d\)\|e\$", r"\[x\] \^ü$", "^a"):
        assert await found(world, {"title": {"$regex": pattern}}) == ["p"]
    assert await found(world, {"title": {"$regex": r"a\-b"}}) == []


async def test_t13_flags_of_a_pattern_are_refused(world):
    assert (await ask(world, {"title": {"$regex": "a", "$options": "s"}})).status_code == 400


# -- sizes


async def test_t14_t19_a_filter_has_bounds(mongo_uri, tmp_path):
    limits = "limits: {max_filter_depth: 3, max_filter_clauses: 5, max_in_values: 4, max_regex_length: 6}\n"

    def nested(levels):
        return {"age": 1} if levels == 1 else {"$and": [nested(levels - 1)]}

    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + limits)) as world:
        for fits in (nested(3), {"$or": [{"age": 1}] * 2}, {"age": {"$in": [1] * 4}}, {"title": {"$regex": "a" * 6}}):
            assert (await ask(world, fits)).status_code == 200, fits
        too_much = {
            "nested deeper than 3": [nested(4), {"age": {"$not": {"$not": {"$not": {"$gt": 1}}}}}],
            "more than 5 conditions": [{"$or": [{"age": 1}] * 6}, {"$and": [{"age": 1}, {"$or": [{"age": 1}] * 3}]}],
            "more than 4 values": [{"age": {"$in": [1] * 5}}, {"tags": {"$all": ["x"] * 5}}, {"tags": ["x"] * 5}],
            "at most 6 signs": [{"title": {"$regex": "a" * 7}}],
        }
        for message, filters in too_much.items():
            for asked in filters:
                answer = await ask(world, asked)
                assert (answer.status_code, message in answer.json()["error"]["message"]) == (400, True), asked


async def test_t14_conditions_as_parameters_count_like_those_of_a_filter(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_filter_clauses: 5}\n")) as world:
        assert (await world.get("/notes?" + "&".join(["age=1"] * 5))).status_code == 200
        for query in (
            "&".join(["age=1"] * 6),
            "&".join(['age={"$gt":1}'] * 6),
            "age=1&age=1&age=1&" + '_filter={"$or":[{"age":1}]}&age=1',
        ):
            assert (await world.get(f"/notes?{query}")).status_code == 400


async def test_t19_a_filter_of_absurd_depth_is_refused(world):
    for asked in ('{"$or":[' * 60 + "{}" + "]}" * 60, "[" * 500 + "]" * 500, '{"age":{"$not":' * 90 + "1" + "}}" * 90):
        assert (await ask(world, asked)).status_code == 400


async def test_t18_a_query_string_that_is_no_utf8_is_refused_not_read_as_other_signs(world):
    for text in ("title=%ff", "_filter=%c0%af", "%ed%a0%80=1", "title=a%fe", "_sort=%ff", "_cursor=%80"):
        answer = await world.get(f"/notes?{text}")
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "the query string is not UTF-8")
    await world.add("a", title="é")
    assert await found(world, {"title": "é"}) == ["a"]
    assert [one["_id"] for one in (await world.get("/notes?title=%C3%A9")).json()["data"]] == ["a"]


async def test_a_binary_value_is_found(mongo_uri, tmp_path):
    schema = "collections: {notes: {id_type: string, client_ids: true, fields: {a: {type: any}}}}"
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, ANY)) as world:
        value = {"$binary": {"base64": "AP8=", "subType": "00"}}
        made = await world.post("/notes", {"_id": "a", "a": value})
        assert (made.status_code, made.json()["a"]) == (201, value)
        assert (await world.database["notes"].find_one({}))["a"] == b"\x00\xff"
        assert await found(world, {"a": value}) == ["a"]
        assert await found(world, {"a": {"$in": [{"$binary": {"base64": "", "subType": "00"}}]}}) == []
        for wrong in ({"$binary": "AP8="}, {"$binary": {"$gt": ""}}, {"$binary": {"base64": "?", "subType": "00"}}):
            assert (await ask(world, {"a": wrong})).status_code == 400
            assert (await ask(world, {"a": {"$gt": wrong}})).status_code == 400


@pytest.mark.parametrize(
    ("pattern", "ids"), [("^note [ab]", "ab"), ("(?i)NOTE A", "a"), ("a|b$", "ab"), ("^(a+)+$", ""), ("n.*e", "ab")]
)
async def test_a_collection_may_take_any_pattern(mongo_uri, tmp_path, pattern, ids):
    schema = SCHEMA.replace("    client_ids: true\n", "    client_ids: true\n    allow_regex: true\n")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a", "b")
        assert "".join(await found(world, {"title": {"$regex": pattern}})) == ids


@pytest.mark.parametrize("pattern", ["(", "[", "a\x00", "x" * 129, "*", "\\", "(?<n", 5, None, ["a"], {"$gt": ""}])
async def test_T13_a_pattern_that_is_none_is_refused_where_any_is_taken(mongo_uri, tmp_path, pattern):
    schema = SCHEMA.replace("    client_ids: true\n", "    client_ids: true\n    allow_regex: true\n")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a")
        for asked in ({"title": {"$regex": pattern}}, {"tags": {"$elemMatch": {"$regex": pattern}}}):
            assert (await ask(world, asked)).status_code == 400
        assert (await ask(world, {"title": {"$regex": "a", "$options": "s"}})).status_code == 400
        assert (await world.get("/plain", params={"name": '{"$regex": "a|b"}'}, token=BOSS)).status_code == 400
