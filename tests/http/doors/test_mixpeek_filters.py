"""Filters of the Mixpeek API as our own: what each becomes, and what it finds."""

import pytest

from permission_mongo.api.doors.mixpeek_filters import OPERATORS, our_filter
from permission_mongo.errors import InvalidRequest
from tests.http.doors.mixpeek import AT, DOOR, ask, delete, refused
from tests.http.doors.test_mixpeek import POLICY, SCHEMA, VIEWER
from tests.http.harness import a_config, a_kept_world

mongo = pytest.mark.mongo
LOOSE = {"$options": "i"}


def of(operator, *value):
    return our_filter({"field": "f", "operator": operator, **({"value": value[0]} if value else {})})["f"]


@pytest.mark.parametrize(
    ("sent", "ours"),
    [
        ({}, {}),
        ({"case_sensitive": True}, {}),
        ({"status": "Open"}, {"status": {"$eq": "Open", **LOOSE}}),
        ({"age": 5, "at": None}, {"age": {"$eq": 5}, "at": {"$eq": None}}),
        ({"field": "age", "value": 5}, {"age": {"$eq": 5}}),
        ({"field": "age", "operator": None, "value": None}, {"age": {"$eq": None}}),
        ({"key": "age", "value": 5}, {"age": {"$eq": 5}}),
        ({"document_id": "a"}, {"_id": {"$eq": "a"}}),
        ({"field": "document_id", "operator": "in", "value": ["a", "b"]}, {"_id": {"$in": ["a", "b"]}}),
        ({"AND": [{"a": 1}, {"field": "b", "value": 2}]}, {"$and": [{"a": {"$eq": 1}}, {"b": {"$eq": 2}}]}),
        ({"OR": [{"a": 1}], "NOT": [{"b": 1}, {"c": 1}]}, {"$or": [{"a": {"$eq": 1}}], "$nor": [{"b": {"$eq": 1}}, {"c": {"$eq": 1}}]}),
        ({"must": [{"key": "a", "value": 1}]}, {"$and": [{"a": {"$eq": 1}}]}),
        ({"should": [{"key": "a", "value": 1}]}, {"$or": [{"a": {"$eq": 1}}]}),
        ({"must_not": [{"key": "a", "value": 1}]}, {"$nor": [{"a": {"$eq": 1}}]}),
        # As the client writes a condition: with what is said of letters beside it.
        ({"AND": [{"case_sensitive": False, "field": "a", "operator": "eq", "value": 1}], "case_sensitive": False}, {"$and": [{"a": {"$eq": 1}}]}),
        ({"AND": [{"case_sensitive": False, "a": "X"}], "case_sensitive": True}, {"$and": [{"a": {"$eq": "X"}}]}),
        ({"AND": [{"case_sensitive": True, "a": "X"}, {"a": "X"}]}, {"$and": [{"a": {"$eq": "X"}}, {"a": {"$eq": "X", **LOOSE}}]}),
        ({"field": "must", "value": 1}, {"must": {"$eq": 1}}),
        ({"at": {"$date": "2026-01-31T00:00:00Z"}}, {"at": {"$eq": {"$date": "2026-01-31T00:00:00Z"}}}),
    ],
)  # fmt: skip
def test_what_a_filter_becomes(sent, ours):
    assert our_filter(sent) == ours


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (of("eq", "x"), {"$eq": "x", **LOOSE}),
        (of("eq", 5), {"$eq": 5}),
        (of("ne", "x"), {"$ne": "x", **LOOSE}),
        (of("gt", "x"), {"$gt": "x"}),
        (of("gte", 1), {"$gte": 1}),
        (of("lt", 1), {"$lt": 1}),
        (of("lte", 1), {"$lte": 1}),
        (of("in", ["x", 1]), {"$in": ["x", 1], **LOOSE}),
        (of("in", [1]), {"$in": [1]}),
        (of("nin", ["x"]), {"$nin": ["x"], **LOOSE}),
        (of("contains", "a.b"), {"$regex": r"a\.b", **LOOSE}),
        (of("contains", 5), {"$eq": 5}),
        (of("starts_with", "^a"), {"$regex": r"^\^a", **LOOSE}),
        (of("ends_with", "a$"), {"$regex": r"a\$\z", **LOOSE}),
        (of("text", "(a|b)"), {"$regex": r"\(a\|b\)", **LOOSE}),
        (of("regex", "^a"), {"$regex": "^a", **LOOSE}),
        (of("exists"), {"$exists": True}),
        (of("exists", None), {"$exists": True}),
        (of("exists", False), {"$exists": False}),
        (of("is_null", True), {"$eq": None}),
        (of("is_null", False), {"$ne": None}),
    ],
)
def test_what_an_operator_becomes(found, ours):
    assert found == ours


def test_letters_are_told_apart_where_that_is_asked_but_for_a_search_in_text():
    for operator in ("eq", "ne", "in", "nin", "contains", "starts_with", "ends_with", "regex"):
        value = ["x"] if operator in ("in", "nin") else "x"
        sent = {"field": "f", "operator": operator, "value": value, "case_sensitive": True}
        assert "$options" not in our_filter(sent)["f"], operator
    assert our_filter({"field": "f", "operator": "text", "value": "x", "case_sensitive": True})["f"]["$options"] == "i"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], "filters: expected an object"),
        ({"AND": {}}, "filters.AND: expected a list of at least one filter"),
        ({"AND": []}, "filters.AND: expected a list of at least one filter"),
        ({"OR": [[]]}, r"filters.OR\[0\]: expected an object"),
        ({"NOT": [{}]}, r"filters.NOT\[0\]: names no condition"),
        ({"AND": [{"a": 1}], "must": [{"a": 1}]}, "filters: 'and' is given twice"),
        ({"document_id": "a", "_id": "b"}, "filters: '_id' is given twice"),
        ({"case_sensitive": "no"}, "filters: case_sensitive: expected true or false"),
        ({"field": 5, "value": 1}, "filters.field: expected a field"),
        ({"field": "a"}, "filters.value: is missing"),
        ({"field": "a", "value": 1, "match": {}}, "filters: unknown key 'match'"),
        ({"field": "a", "key": "b", "value": 1}, "filters: unknown key 'key'"),
        ({"field": "a", "operator": "near", "value": 1}, "filters.operator: 'near' is not taken here; known here: eq, ne"),
        ({"field": "a", "operator": "words", "value": 1}, "'words' is not taken here"),
        ({"field": "a", "operator": ["eq"], "value": 1}, "this is not taken here"),
        ({"field": "a", "operator": "text", "value": 1}, "filters.field: text expects a text"),
        ({"field": "a", "operator": "contains", "value": ["x"]}, "contains expects a text, or one element"),
        ({"field": "a", "operator": "exists", "value": "yes"}, "exists expects true or false"),
        ({"$where": "1"}, r"filters.\$where: a field is named like"),
        ({"field": "$or", "value": 1}, "filters.field: a field is named like"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_told_with_its_place(sent, told):
    with pytest.raises(InvalidRequest, match=told):
        our_filter(sent)


def test_an_operator_that_is_not_known_is_told_all_that_are():
    with pytest.raises(InvalidRequest) as caught:
        our_filter({"field": "a", "operator": "geo_radius", "value": 1})
    assert caught.value.message.endswith(", ".join(OPERATORS))


# -- asked


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


async def ids_by(world, filters, token=None) -> str:
    answer = await ask(world, "POST", f"{AT}/list", {"filters": filters}, token)
    assert answer.status_code == 200, answer.text
    return "".join(sorted(one["document_id"] for one in answer.json()["results"]))


@mongo
async def test_what_a_filter_finds(world):
    await world.add("a", title="Red Car", tags=["Fast", "old"], age=1)
    await world.add("b", title="red car", at="2026-01-31T00:00:00Z")
    await world.add("c", title="red car\n", tags=["FASTER"])
    await world.add("d", title="a.car (red)", status="closed")
    for filters, ids in (
        ({"title": "RED CAR"}, "ab"),
        ({"title": "RED CAR", "case_sensitive": True}, ""),
        ({"field": "title", "operator": "ne", "value": "RED car"}, "cd"),
        ({"field": "title", "operator": "in", "value": ["RED CAR", "x"]}, "ab"),
        ({"field": "title", "operator": "nin", "value": ["RED CAR"]}, "cd"),
        ({"field": "title", "operator": "contains", "value": "CAR"}, "abcd"),
        ({"field": "title", "operator": "contains", "value": ".CAR ("}, "d"),
        ({"field": "title", "operator": "starts_with", "value": "RED"}, "abc"),
        ({"field": "title", "operator": "ends_with", "value": "CAR"}, "ab"),
        ({"field": "title", "operator": "regex", "value": "^RED"}, "abc"),
        ({"field": "title", "operator": "text", "value": "(red"}, "d"),
        ({"field": "tags", "operator": "contains", "value": "fast"}, "ac"),
        ({"field": "tags", "value": "fast"}, "a"),
        ({"field": "at", "operator": "exists"}, "b"),
        ({"field": "at", "operator": "is_null"}, "acd"),
        ({"field": "at", "value": "2026-01-31"}, "b"),
        ({"NOT": [{"title": "red car"}, {"status": "closed"}]}, "c"),
        ({"must": [{"key": "status", "value": "OPEN"}], "should": [{"key": "age", "value": 1}]}, "a"),
        ({"field": "document_id", "operator": "in", "value": ["a", "B"]}, "a"),
        ({"document_id": "A"}, ""),
    ):
        assert await ids_by(world, filters) == ids, filters


@mongo
@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"AND": [{"field": "age", "value": n} for n in range(200)]}, "filters.AND[0].age: more than 200 conditions"),
        ({"AND": [{"field": "age", "value": n} for n in range(201)]}, "filters.AND: more than 200 conditions"),
        ({"title": "x" * 1001}, "filters.title: a text of more than 1000 signs can't be compared without regard to case; compare them as they are"),
        ({"field": "title", "operator": "in", "value": [str(n) for n in range(201)]}, "filters.title: more than 200 texts can't be compared without regard to case; compare them as they are"),
        ({"field": "title", "operator": "contains", "value": "x" * 129}, "filters.title: expected literal text of at most 128 signs, after '^' or before '$' if anchored, with punctuation escaped by '\\'"),
        ({"field": "title", "operator": "regex", "value": "(a+)+$"}, "filters.title: expected literal text of at most 128 signs, after '^' or before '$' if anchored, with punctuation escaped by '\\'"),
        ({"title": {"$ne": "x"}}, "filters.title: expected a single value"),
        ({"field": "age", "operator": "in", "value": 1}, "filters.age: expected a list"),
        ({"age": "old"}, "filters.age: expected a number"),
        ({"a..b": 1}, "filters.a..b: a field is named like 'status' or 'address.city'"),
    ],
)  # fmt: skip
async def test_the_limits_of_filters_are_ours_and_told_by_their_names(world, filters, told):
    for answer in (await ask(world, "POST", f"{AT}/list", {"filters": filters}), await delete(world, filters=filters)):
        assert refused(answer)[:2] == (400, "BadRequestError")
        assert refused(answer)[2].startswith(told) or told in refused(answer)[2], refused(answer)


@mongo
async def test_a_filter_of_depth_nine_is_refused_and_one_of_eight_is_not(world):
    def deep(levels: int) -> dict:
        return {"AND": [deep(levels - 1)]} if levels > 1 else {"age": 1}

    await world.add("a", age=1)
    assert await ids_by(world, deep(7)) == "a"
    answer = await delete(world, filters=deep(9))
    assert refused(answer)[0] == 400
    assert refused(answer)[2].startswith("filters.AND[0].AND[0]")
    assert refused(answer)[2].endswith(": nested deeper than 8")
    assert await world.stored("a") == ["a"]


@mongo
@pytest.mark.parametrize("field", ["ssn", "near", "kind", "nothing", "metadata.x"])
async def test_a_field_that_is_not_the_callers_is_refused_whatever_is_asked_of_it(world, field):
    """Of every type alike: what is too much for a text is not told of a field that is hidden."""
    told = set()
    for value in ("x", "x" * 1001, 5, None, ["x"] * 300):
        operator = "in" if isinstance(value, list) else "eq"
        body = {"filters": {"field": field, "operator": operator, "value": value}}
        answer = await ask(world, "POST", f"{AT}/list", body, VIEWER)
        told.add((answer.status_code, answer.text.replace(field, "F")))
    ours = await world.post("/notes/query", {"filter": {field: 1}}, token=VIEWER)
    assert len(told) == 1
    assert refused(answer) == (403, "ForbiddenError", ours.json()["error"]["message"])
    assert answer.json()["error"]["details"] == ours.json()["error"]["details"]
