"""Laws of filters: what is not on the list is refused at any depth; what is generated never shows more than the policy."""

import json
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.harness import a_token
from tests.http.test_filters import ask, found

pytestmark = pytest.mark.mongo
BOB, BOSS = a_token("bob"), a_token("boss", ["boss"])
VIEWER, STRANGER = a_token("vera", ["viewer"]), a_token("eve", ["boss"], "evil")
LAW = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


# -- operators

TAKEN = {
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$and",
    "$or",
    "$nor",
    "$not",
    "$exists",
    "$regex",
    "$elemMatch",
    "$all",
    "$size",
}
KNOWN_TO_MONGOD = [
    "$where",
    "$expr",
    "$jsonSchema",
    "$text",
    "$mod",
    "$type",
    "$comment",
    "$rand",
    "$sampleRate",
    "$natural",
    "$meta",
    "$slice",
    "$search",
    "$language",
    "$options",
    "$near",
    "$nearSphere",
    "$geoWithin",
    "$within",
    "$geoIntersects",
    "$geometry",
    "$box",
    "$center",
    "$centerSphere",
    "$polygon",
    "$uniqueDocs",
    "$maxDistance",
    "$minDistance",
    "$geoNear",
    "$bitsAllSet",
    "$bitsAnySet",
    "$bitsAllClear",
    "$bitsAnyClear",
    "$alwaysTrue",
    "$alwaysFalse",
    "$_internalExprEq",
    "$_internalExprGt",
    "$_internalSchemaType",
    "$_internalSchemaMatchArrayIndex",
    "$_internalBucketGeoWithin",
    "$encryptedBetween",
    "$function",
    "$accumulator",
    "$out",
    "$merge",
    "$unionWith",
    "$graphLookup",
    "$lookup",
    "$facet",
    "$match",
    "$project",
    "$group",
    "$sort",
    "$limit",
    "$skip",
    "$unwind",
    "$count",
    "$sample",
    "$redact",
    "$replaceRoot",
    "$set",
    "$unset",
    "$addFields",
    "$inc",
    "$push",
    "$pull",
    "$rename",
    "$getField",
    "$setField",
    "$literal",
    "$cond",
    "$switch",
    "$let",
    "$map",
    "$filter",
    "$reduce",
    "$convert",
    "$toString",
    "$toInt",
    "$concat",
    "$substrCP",
    "$regexMatch",
    "$regexFind",
    "$cmp",
    "$ifNull",
    "$add",
    "$sum",
    "$max",
    "$min",
    "$first",
    "$last",
    "$dateAdd",
    "$objectToArray",
    "$mergeObjects",
    "$score",
    "$ref",
    "$id",
    "$db",
    "$minKey",
    "$maxKey",
    "$undefined",
    "$symbol",
    "$code",
    "$scope",
    "$timestamp",
    "$regularExpression",
    "$dbPointer",
    "$$ROOT",
    "$$NOW",
    "$currentOp",
    "$collStats",
    "$indexStats",
    "$listSessions",
    "$planCacheStats",
    "$documents",
    "$changeStream",
    "$query",
    "$orderby",
    "$hint",
    "$explain",
    "$maxTimeMS",
    "$returnKey",
    "$showDiskLoc",
    "$snapshot",
    "$isolated",
    "$atomic",
    "$exists2",
    "$EQ",
    "$Or",
    "$",
]


def _anywhere(operator: str, operand: object) -> st.SearchStrategy:
    """A filter with the operator at some depth, at a place where operators or conditions stand."""
    bare = st.sampled_from(
        [
            {operator: operand},
            {"age": {operator: operand}},
            {"age": {"$gt": 1, operator: operand}},
            {"age": 1, operator: operand},
        ]
    )
    inside = st.sampled_from(
        [
            {"tags": {"$elemMatch": {operator: operand}}},
            {"lines": {"$elemMatch": {"sku": {operator: operand}}}},
            {"age": {"$not": {operator: operand}}},
            {"age": {"$not": {"$not": {operator: operand}}}},
        ]
    )
    logic = st.sampled_from(["$and", "$or", "$nor"])
    return st.recursive(
        bare | inside, lambda within: st.builds(lambda key, one: {key: [{"age": 1}, one]}, logic, within), max_leaves=4
    )


unlisted = st.sampled_from(KNOWN_TO_MONGOD).flatmap(
    lambda operator: st.tuples(
        st.just(operator),
        st.sampled_from(
            [1, "x", True, None, [], ["$ssn", 1], {}, {"$gt": 1}, {"body": "1", "args": [], "lang": "js"}]
        ).flatmap(lambda operand: _anywhere(operator, operand)),
    )
)


@LAW
@given(unlisted)
async def test_t8_t9_any_operator_not_on_the_list_is_refused_by_name_at_any_depth(world, asked):
    operator, condition = asked
    assert operator not in TAKEN
    answers = [
        await ask(world, condition),
        await world.delete("/notes/batch", {"filter": condition}),
        await world.post("/notes/batch/delete", {"filter": condition, "all": True}),
        await world.post("/notes/query", {"filter": condition}),
        await world.post("/notes/count", {"filter": condition}),
        await world.get("/notes", params={"_filter": '{"title": "x"}', "age": json.dumps({"$not": {operator: 1}})}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
        assert operator in answer.json()["error"]["message"]


async def test_T8_T9_no_operator_is_taken_in_a_name_a_sort_or_fields(world):
    for operator in KNOWN_TO_MONGOD:
        for name in (f"age[{operator}]", f"age.{operator}", operator):
            answer = await world.get("/notes", params={name: "1"})
            assert (answer.status_code, operator in answer.json()["error"]["message"]) == (400, True), name
        for parameter in ("_sort", "_fields"):
            answer = await world.get("/notes", params={parameter: json.dumps({"age": operator})})
            assert answer.status_code == 400, operator
        for body in ({"sort": [operator]}, {"sort": {operator: 1}}, {"fields": [f"age.{operator}"]}, {operator: 1}):
            assert (await world.post("/notes/query", body)).status_code == 400, body


@pytest.mark.parametrize(
    "operator",
    [
        "$where",
        "$expr",
        "$jsonSchema",
        "$text",
        "$comment",
        "$function",
        "$accumulator",
        "$near",
        "$out",
        "$merge",
        "$unionWith",
        "$graphLookup",
        "$$ROOT",
    ],
)
async def test_t9_code_text_and_stages_are_refused_as_a_parameter_too(world, operator):
    for parameters in ({operator: "1"}, {"age": json.dumps({operator: "sleep(1000) || true"})}):
        answer = await world.get("/notes", params=parameters)
        assert (answer.status_code, operator in answer.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    "value",
    [{"$type": "string"}, {"$gt": 1}, {"$ne": None}, [[1]], [{"$gt": 1}], {"a": 1}, {"$oid": "x", "$gt": 1}],
    ids=str,
)
@pytest.mark.parametrize("operator", ["$eq", "$ne", "$gt", "$lte", "$in", "$all"])
async def test_t8_an_object_is_never_a_value(world, operator, value):
    answer = await ask(world, {"pay": {operator: [value] if operator in ("$in", "$all") else value}})
    assert answer.status_code == 400


# -- generated

_scalars = {
    "title": st.sampled_from(["note a", "note b", "", "x"]),
    "status": st.sampled_from(["open", "closed", "locked", "x"]),
    "age": st.integers(-1, 4),
    "tags": st.sampled_from(["x", "y", ""]),
    "lines.sku": st.sampled_from(["s1", "s2", "x"]),
    "lines.quantity": st.integers(0, 3),
    "at": st.sampled_from(["2026-01-01", "2026-02-01T00:00:00Z"]),
    "_id": st.sampled_from(["a0", "b1", "e2", "zz"]),
    "owner_id": st.sampled_from(["alice", "bob", "eve"]),
    "tenant_id": st.sampled_from(["acme", "evil"]),
}


def _conditions(field: str) -> st.SearchStrategy:
    one = st.none() | _scalars[field]
    simple = st.one_of(
        st.builds(lambda key, value: {key: value}, st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), one),
        st.builds(lambda key, value: {key: value}, st.sampled_from(["$in", "$nin", "$all"]), st.lists(one, max_size=3)),
        st.builds(lambda value: {"$exists": value}, st.booleans()),
        st.builds(lambda value: {"$size": value}, st.integers(0, 3)),
        st.builds(lambda value: {"$regex": value}, st.sampled_from(["^n", "e", "^", "s1$"])),
    )
    return st.one_of(
        one, simple, simple.map(lambda inner: {"$not": inner}), simple.map(lambda inner: {"$elemMatch": inner})
    )


_fields = st.sampled_from(sorted(_scalars)).flatmap(
    lambda name: _conditions(name).map(lambda condition: {name: condition})
)
filters = st.recursive(
    _fields,
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@pytest.fixture
async def crowd(world):
    """Notes of three owners in two tenants, alike but for owner and tenant."""
    number = count()
    for owner, token in (("a", a_token("alice")), ("b", BOB), ("e", STRANGER)):
        for fields in (
            {},
            {"age": 1, "status": "closed"},
            {"age": 2, "tags": ["x", "y"], "at": "2026-01-01"},
            {"age": 3, "status": "closed", "lines": [{"sku": "s1", "quantity": 2}]},
        ):
            await world.add(f"{owner}{next(number)}", token=token, **fields)
    return world


@LAW
@given(filters)
async def test_t12_a_generated_filter_finds_exactly_what_matches_within_the_policy(crowd, asked):
    """The boss sees every note of the tenant raw: what alice finds is what the boss finds, cut to what alice may see."""
    everything = await found(crowd, asked, token=BOSS)
    mine = await found(crowd, asked)
    assert not {one for one in everything if one.startswith("e")}
    own = {one for one in everything if one.startswith("a")}
    assert own <= set(mine)
    rows = {one["_id"]: one for one in (await ask(crowd, asked)).json()["data"]}
    for extra in set(mine) - own:
        # Only by the viewer's rule: a closed note of somebody else in the tenant, by the viewer's fields.
        assert extra in everything
        assert rows[extra]["status"] == "closed"
        assert set(rows[extra]) <= {"_id", "_version", "title", "status", "age"}


@LAW
@given(filters)
async def test_t12_a1_a_generated_filter_shows_a_viewer_closed_notes_or_is_forbidden(crowd, asked):
    answer = await ask(crowd, asked, token=VIEWER)
    asks_more = any(
        f'"{name}"' in json.dumps(asked) for name in _scalars if name not in ("title", "status", "age", "_id")
    )
    assert answer.status_code == (403 if asks_more else 200)
    for row in answer.json().get("data", []):
        assert row["status"] == "closed"
        assert row["_id"][0] in "ab"
