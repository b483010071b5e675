"""A filter is written anew from an allow-list; nothing of what was sent is passed on."""

import re
from datetime import datetime

import pytest
from bson import ObjectId

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.filters import OPERATORS, joined, read_equality, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Field

NOTES = Collection(
    "notes",
    {
        "age": Field("age", "integer"),
        "at": Field("at", "date"),
        "name": Field("name", "string"),
        "tags": Field("tags", "array", items=Field("tags[]", "string")),
        "lines": Field("lines", "array", items=Field("lines[]", "object", properties={"n": Field("n", "integer")})),
        "ref": Field("ref", "objectId"),
        "free": Field("free", "any"),
    },
)
SMALL = Limits(max_filter_depth=3, max_filter_clauses=5, max_in_values=3, max_regex_length=8)


def read(asked, limits=SMALL):
    return read_filter(asked, NOTES, limits)


def test_values_are_read_by_the_schemas_type():
    oid = "65f000000000000000000001"
    assert read({"at": "2026-01-31"}).match == {"at": {"$eq": datetime(2026, 1, 31)}}
    assert read({"ref": {"$in": [oid]}}).match == {"ref": {"$in": [ObjectId(oid)]}}
    assert read({"at": {"$gt": {"$date": "2026-01-31T00:00:00Z"}}}).match == {"at": {"$gt": datetime(2026, 1, 31)}}
    assert read({"lines": {"$elemMatch": {"n": {"$gt": 1}}}}).match == {"lines": {"$elemMatch": {"n": {"$gt": 1}}}}
    size = read({"tags": {"$size": 2.0}}).match  # 2.0 is 2, as in documents
    assert (size, type(size["tags"]["$size"])) == ({"tags": {"$size": 2}}, int)
    assert read_equality("age", "18", NOTES).match == {"age": {"$eq": 18}}
    assert read_equality("name", "18", NOTES).match == {"name": {"$eq": "18"}}


def test_every_path_is_told_also_inside_logic_and_elements():
    asked = {"$or": [{"name": "a"}, {"$nor": [{"age": 1}]}], "lines": {"$elemMatch": {"n": 1}}}
    assert read(asked, Limits()).paths == {"name", "age", "lines", "lines.n"}
    assert read({"lines.0.n": 1}).paths == {"lines.0.n"}


def test_a_wrong_value_is_kept_back_until_the_paths_are_judged():
    """Else 400 against 403 would tell a hidden field from an unknown one."""
    query = read({"age": "old"})
    assert query.fault == "filter.age: expected a number"
    assert query.paths == {"age"}
    assert read_equality("age", "old", NOTES).fault
    assert joined([read({"name": "a"}), query]).fault == query.fault


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"$where": "1"}, "filter.$where: the operator '$where'"),
        ({"$expr": {}}, "the operator '$expr'"),
        ({"$comment": "x"}, "the operator '$comment'"),
        ({"age": {"$gt": 1, "$where": "x"}}, "filter.age.$where"),
        ({"age": {"$not": {"$mod": [2, 1]}}}, "'$mod'"),
        ({"$and": [{"$or": [{"age": {"$type": 2}}]}]}, "filter.$and[0].$or[0].age.$type"),
        ({"age": {"$and": []}}, "'$and' is not taken here"),
        ({"age": {}}, "expected a value or operators"),
        ({"age": {"x": 1}}, "by its path"),
        ({"lines": {"n": 1}}, "by its path"),
        ({"$or": []}, "at least one filter"),
        ({"$or": {}}, "at least one filter"),
        ({"$or": [5]}, "expected an object"),
        ([], "expected an object"),
        ("x", "expected an object"),
        ({"age": {"$in": 5}}, "expected a list"),
        ({"age": {"$in": [[1]]}}, "single value"),
        ({"age": {"$gt": [1]}}, "single value"),
        ({"age": {"$gt": {"$gt": 1}}}, "single value"),
        ({"age": {"$exists": 1}}, "true or false"),
        ({"age": {"$size": True}}, "whole number"),
        ({"age": {"$size": -1}}, "whole number"),
        ({"age": {"$size": 1.5}}, "whole number"),
        ({"age": {"$size": 1e300}}, "whole number"),
        ({"age": {"$in": [1, 2, 3, 4]}}, "more than 3 values"),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}, "more than 5 conditions"),
        ({"$and": [{"$and": [{"$and": [{"age": 1}]}]}]}, "nested deeper than 3"),
        ({"age": {"$not": {"$not": {"$not": {"$not": {"$gt": 1}}}}}}, "nested deeper than 3"),
        ({"": 1}, "a field is named like"),
        ({"a..b": 1}, "a field is named like"),
        ({"a.$b": 1}, "a field is named like"),
        ({"a\x00": 1}, "a field is named like"),
        ({"x" * 600: 1}, "a field is named like"),
        ({"name": {"$regex": 5}}, "literal text"),
        ({"name": {"$regex": "123456789"}}, "at most 8"),
        ({"name": {"$elemMatch": {}}}, "one element"),
    ],
)
def test_t8_t9_t14_what_is_not_on_the_list_is_refused_at_its_place(asked, message):
    with pytest.raises(InvalidRequest) as caught:
        read(asked)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "a|b", "a.*", "[a]", "a{2}", "\\d", "a\\", "^^a", "a$b", "(?i)a", "\x00"]
)
def test_t13_a_pattern_that_could_backtrack_is_refused(pattern):
    with pytest.raises(InvalidRequest):
        read({"name": {"$regex": pattern}})


@pytest.mark.parametrize("pattern", ["", "abc", "^abc", "abc$", "a\\.b", "é ü", "^\\(x\\)$"])
def test_literal_patterns_are_taken(pattern):
    assert read({"name": {"$regex": pattern}}).match == {"name": {"$regex": pattern}}


def test_the_list_of_operators_is_the_documented_one():
    documented = "$eq $ne $gt $gte $lt $lte $in $nin $and $or $nor $not $exists $regex $elemMatch $all $size"
    assert set(documented.split()) == OPERATORS


def found_by(operators):
    [value] = operators.values()
    return [one if one is None or isinstance(one, int | datetime) else (one.pattern, one.flags) for one in value]


def test_texts_are_compared_without_regard_to_case_where_that_is_asked():
    for operator, becomes in (("$eq", "$in"), ("$ne", "$nin")):
        match = read({"name": {operator: "a.b", "$options": "i"}}).match
        assert (list(match["name"]), found_by(match["name"])) == ([becomes], [("^a\\.b\\z", re.IGNORECASE)])
    for operator in ("$in", "$nin"):
        match = read({"free": {operator: ["A", 1, None], "$options": "i"}}).match
        assert (list(match["free"]), found_by(match["free"])) == ([operator], [("^A\\z", re.IGNORECASE), 1, None])
    assert found_by(read({"at": {"$eq": "2026-01-31", "$options": "i"}}).match["at"]) == [datetime(2026, 1, 31)]
    assert read({"name": {"$regex": "^ab", "$options": "i"}}).match == {"name": {"$regex": "^ab", "$options": "i"}}
    assert read({"tags": {"$eq": ["a"], "$options": "i"}}).match == {"tags": {"$eq": ["a"]}}
    below = read({"free.x": {"$nin": ["A", None], "$options": "i"}}).match["free.x"]
    assert [one.pattern for one in below.pop("$nin")] == ["^A\\z"]
    assert below == {"$exists": True, "$not": {"$type": "null"}}


@pytest.mark.parametrize(
    "asked",
    [
        {"$options": "i"},
        {"$gt": "a", "$options": "i"},
        {"$eq": "a", "$options": "im"},
        {"$eq": "a", "$options": None},
        {"$eq": "a", "$ne": "b", "$options": "i"},
        {"$in": ["a"], "$regex": "b", "$options": "i"},
    ],
)
def test_options_are_taken_beside_one_operator_alone(asked):
    with pytest.raises(InvalidRequest, match=r'\$options: expected "i", beside one of \$eq'):
        read({"name": asked}, Limits())


def test_too_much_to_be_compared_without_regard_to_case_is_told_behind_the_paths():
    """It depends on the type of the field, which may be hidden."""
    long, many = {"$eq": "x" * 1001, "$options": "i"}, {"$in": list("abcdef"), "$options": "i"}
    wide = Limits(max_filter_clauses=5)
    for asked, told in ((long, "more than 1000 signs"), (many, "more than 5 texts")):
        fault = read({"name": asked}, wide).fault
        assert fault is not None
        assert told in fault
        assert read({"name": {**asked, "$options": "i"}}, wide).paths == {"name"}
    assert read({"ref": {"$in": ["65f000000000000000000001"] * 6, "$options": "i"}}, wide).fault is None
