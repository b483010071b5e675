"""A pipeline is written anew from allow-lists; what it refers to of stored fields is told apart from what it makes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from permission_mongo.errors import CollectionNotFound, InvalidRequest
from permission_mongo.query.limits import Limits
from permission_mongo.query.pipeline import ACCUMULATORS, STAGES, Join, read_pipeline
from permission_mongo.schema.model import Collection, Field
from tests.query.names_of_mongod import KNOWN_TO_MONGOD

ORDERS = Collection("orders", {"total": Field("total", "integer"), "at": Field("at", "date")})
NOTES = Collection(
    "notes",
    {"age": Field("age", "integer"), "name": Field("name", "string"), "at": Field("at", "date")},
    id_type="objectId",
)
ALL = {"notes": NOTES, "orders": ORDERS}
COUNT = {"$count": "n"}
JOIN = {"$lookup": {"from": "orders", "localField": "name", "foreignField": "by", "as": "o"}}


def read(*stages, **limits):
    return read_pipeline(list(stages), NOTES, ALL, Limits(**limits))


@pytest.mark.parametrize(
    ("stages", "paths"),
    [
        ([COUNT], set()),
        ([{"$match": {"a.b": 1, "$or": [{"c": 2}]}}, COUNT], {"a.b", "c"}),
        ([{"$project": {"a": 1, "b": {"c": True, "d": "$e"}, "_id": 0}}], {"a", "b.c", "e"}),
        ([{"$project": {"a": 0, "b": {"c": False}}}, COUNT], {"a", "b.c"}),
        ([{"$unset": ["a", "b.c"]}, COUNT], {"a", "b.c"}),
        # Names the pipeline made are its own; what is below or beside them is not.
        ([{"$addFields": {"a": "$x"}}, {"$match": {"a.b": 1, "ab": 1}}, COUNT], {"x", "ab"}),
        ([{"$set": {"a": {"b": 1}}}, {"$sort": {"a.b": 1, "a.c": 1}}, COUNT], {"a.c"}),
        ([{"$set": {"a.b": 1}}, {"$project": {"a": 1}}], {"a"}),
        ([{"$addFields": {"a": {"$add": ["$a", 1]}}}, {"$match": {"a": 1}}, COUNT], {"a"}),
        # What a projection left out is gone; what it kept is still stored.
        (
            [{"$project": {"a": 1}}, {"$match": {"a.b": 1, "c": 1, "_id": "65f000000000000000000001"}}],
            {"a", "a.b", "_id"},
        ),
        ([{"$project": {"a.b": 1, "_id": 0}}, {"$project": {"a": 1}}, {"$sort": {"a.c": 1, "_id": 1}}], {"a.b"}),
        ([{"$project": {"a": "$b"}}, {"$project": {"a": 1, "x": "$b"}}, {"$sort": {"a": 1, "b": 1}}], {"b"}),
        # After these nothing but what they made exists.
        ([{"$group": {"_id": "$a", "b": {"$sum": "$c"}}}, {"$match": {"d": 1, "b": 1, "_id": 1}}], {"a", "c"}),
        ([{"$sortByCount": "$a"}, {"$match": {"b": 1}}], {"a"}),
        ([COUNT, {"$match": {"b": 1}}], set()),
        (
            [
                {"$bucket": {"groupBy": "$a", "boundaries": [0, 1], "output": {"x": {"$max": "$b"}}}},
                {"$sort": {"c": 1}},
            ],
            {"a", "b"},
        ),
        (
            [{"$facet": {"x": [{"$match": {"a": 1}}, COUNT], "y": [{"$group": {"_id": "$b"}}]}}, {"$match": {"c": 1}}],
            {"a", "b"},
        ),
        ([{"$unwind": {"path": "$a", "includeArrayIndex": "i"}}, {"$match": {"i": 1}}, {"$project": {"a": 1}}], {"a"}),
    ],
)
def test_the_stored_paths_it_refers_to(stages, paths):
    assert read(*stages).paths == paths


def test_a_join_knows_the_paths_that_are_used_of_its_rows():
    found = read(
        JOIN, {"$match": {"o.at": "2026-01-31", "o.0.x": 1}}, {"$project": {"t": "$o.total", "o": 1, "age": 1}}
    )
    assert found.stages[0] == Join(ORDERS, "name", "by", "o", ("at", "total", "x"))
    assert found.paths == {"name", "age"}
    bound = {"$map": {"input": "$o", "as": "one", "in": {"$add": ["$$one.total", 1]}}}
    assert read(JOIN, {"$project": {"t": bound}}).stages[0].used == ("total",)
    assert read(JOIN, {"$unwind": "$o"}, {"$group": {"_id": "$o.total"}}).stages[0].used == ("total",)
    # Made over, the name means another thing.
    with pytest.raises(InvalidRequest, match="name the fields of 'o'"):
        read(JOIN, {"$set": {"o": 1}}, {"$project": {"x": "$o.total"}})
    over = read({"$set": {"o": 1}}, JOIN, {"$project": {"x": "$o.total"}})
    assert (over.stages[1].used, over.paths) == (("total",), {"name"})
    again = read(JOIN, {"$match": {"o.a": 1}}, JOIN, {"$project": {"x": "$o.b"}})
    assert [again.stages[0].used, again.stages[2].used] == [("a",), ("b",)]
    with pytest.raises(CollectionNotFound):
        read({"$lookup": {**JOIN["$lookup"], "from": "nothing"}}, COUNT)


def test_values_are_read_by_the_type_of_what_a_name_means_there():
    assert read({"$match": {"age": 5}}, COUNT).fault is None
    assert "expected a number" in read({"$match": {"age": "x"}}, COUNT).fault
    assert (
        read({"$group": {"_id": "$name", "age": {"$first": "$name"}}}, {"$match": {"age": "x", "_id": "y"}}).fault
        is None
    )
    assert read({"$addFields": {"age": "x"}}, {"$match": {"age": "x"}}, COUNT).fault is None
    assert "expected a date" in read(JOIN, {"$match": {"o.at": "x"}}, {"$project": {"y": "$o.at"}}).fault


def test_what_is_written_is_our_own():
    assert read({"$set": {"a": {"b": 1}}}, {"$project": {"a": {"b": True}, "_id": False}}).stages == (
        {"$addFields": {"a.b": 1}},
        {"$project": {"a.b": 1, "_id": 0}},
    )
    assert read({"$bucket": {"groupBy": "$a", "boundaries": [0, 9], "default": "x"}}).stages[0]["$bucket"] == {
        "groupBy": "$a",
        "boundaries": [{"$literal": 0}, {"$literal": 9}],
        "default": {"$literal": "x"},
        "output": {"count": {"$sum": 1}},
    }
    assert read({"$sort": {"a": 1.0}}, {"$limit": 1}, COUNT).stages[0] == {"$sort": {"a": 1}}


@pytest.mark.parametrize(
    "stage",
    [
        {"$match": {"$expr": {"$eq": ["$a", 1]}}},
        {"$match": {"$where": "1"}},
        {"$match": {"a": {"$regex": "^(a+)+$"}}},
        {"$match": []},
        {"$match": {}, "$limit": 1},
        {"$project": {}},
        {"$project": {"a": {}}},
        {"$project": {"a": 2}},
        {"$project": {"a": 1.5}},
        {"$project": {"a": -1}},
        {"$project": {"a": 1, "b": 0}},
        {"$project": {"a": 1, "a.b": 1}},
        {"$project": {"a": {"b": 1}, "a.b": 1}},
        {"$project": {"a": {"b": 1, "$add": [1]}}},
        {"$project": {"$a": 1}},
        {"$project": {"a.$": 1}},
        {"$project": {"a": {"$slice": 1}}},
        {"$project": {"a": {"$elemMatch": {"b": 1}}}},
        {"$project": {"a": {"$meta": "textScore"}}},
        {"$addFields": {}},
        {"$addFields": {"a": {"$b": 1}}},
        {"$unset": []},
        {"$unset": ["a", "a.b"]},
        {"$unset": "$a"},
        {"$unset": 1},
        {"$group": {}},
        {"$group": {"a": {"$sum": 1}}},
        {"$group": {"_id": None, "a": 1}},
        {"$group": {"_id": None, "a": {}}},
        {"$group": {"_id": None, "a.b": {"$sum": 1}}},
        {"$group": {"_id": None, "a": {"$sum": ["$a", "$b"]}}},
        {"$group": {"_id": None, "a": {"$sum": 1, "$max": 1}}},
        {"$group": {"_id": None, "a": {"$count": 1}}},
        {"$sort": {}},
        {"$sort": {"a": 0}},
        {"$sort": {"a": True}},
        {"$sort": {"a": {"$meta": "textScore"}}},
        {"$sort": {"$a": 1}},
        {"$sort": {f"a{n}": 1 for n in range(33)}},
        {"$limit": 0},
        {"$limit": "1"},
        {"$limit": True},
        {"$limit": 2**40},
        {"$skip": -1},
        {"$unwind": "a"},
        {"$unwind": "$$ROOT"},
        {"$unwind": {"path": "$a", "more": 1}},
        {"$unwind": {"path": "$a", "includeArrayIndex": "$b"}},
        {"$count": ""},
        {"$count": "$a"},
        {"$count": "a.b"},
        {"$sortByCount": "a"},
        {"$sortByCount": {"a": "$b"}},
        {"$sortByCount": {"$date": "2026-01-31"}},
        {"$bucket": {"groupBy": "a", "boundaries": [1, 2]}},
        {"$bucket": {"groupBy": "$a", "boundaries": [1]}},
        {"$bucket": {"groupBy": "$a", "boundaries": ["$a", {"$add": [1]}]}},
        {"$bucket": {"groupBy": "$a", "boundaries": [1, 2], "default": {"$max": "$b"}}},
        {"$bucket": {"groupBy": "$a", "boundaries": [1, 2], "output": {"_id": {"$sum": 1}}}},
        {"$facet": {}},
        {"$facet": {"a": []}},
        {"$facet": {"a": {}}},
        {"$facet": {"a.b": [COUNT]}},
        {"$facet": {"$a": [COUNT]}},
        {"$facet": {"a": [{"$facet": {"b": [COUNT]}}]}},
        {"$facet": {"a": [JOIN, COUNT]}},
    ],
)
def test_what_a_stage_does_not_take_is_refused(stage):
    for stages in ([stage, COUNT], [COUNT, stage], [{"$facet": {"x": [stage, COUNT]}}]):
        with pytest.raises(InvalidRequest):
            read(*stages)


unlisted = st.sampled_from(sorted(set(KNOWN_TO_MONGOD) - STAGES))
operands = st.sampled_from(
    [{}, "x", 1, [], {"into": "x"}, {"coll": "secrets", "pipeline": []}, "$a", {"newRoot": "$$ROOT"}]
)


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(unlisted, operands, st.integers(0, 3), st.booleans())
def test_a9_t8_t9_a_stage_that_is_not_listed_is_refused_wherever_it_stands(name, operand, before, nested):
    stages = [{"$limit": 5}] * before + [{name: operand}, COUNT]
    with pytest.raises(InvalidRequest) as refused:
        read(*([{"$facet": {"x": [COUNT], "y": stages}}] if nested else stages))
    assert refused.value.details == {"stage": name}


def test_every_unlisted_name_is_refused_as_a_stage_and_as_an_accumulator():
    for name in set(KNOWN_TO_MONGOD) - STAGES:
        with pytest.raises(InvalidRequest):
            read({name: {}}, COUNT)
    for name in set(KNOWN_TO_MONGOD) - ACCUMULATORS:
        for stage in (
            {"$group": {"_id": None, "x": {name: "$a"}}},
            {"$bucket": {"groupBy": "$a", "boundaries": [0, 1], "output": {"x": {name: "$a"}}}},
        ):
            with pytest.raises(InvalidRequest, match="is not taken here"):
                read(stage)


def test_t16_a_field_that_doubles_with_each_stage_is_refused():
    doubled = [{"$addFields": {"x": ["$x", "$x"]}}] * 12
    assert read(*doubled, COUNT)
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read(*doubled, {"$addFields": {"x": ["$x", "$x"]}}, COUNT)
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read(*[{"$project": {"x": {"$map": {"input": "$tags", "in": "$x"}}, "tags": 1}}] * 3)
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read(*doubled, {"$project": {"y": "$x"}}, {"$project": {"x": ["$y", "$y"]}})


def test_t14_clauses_are_counted_over_all_stages():
    with pytest.raises(InvalidRequest, match="more than 200 conditions"):
        read({"$project": {f"a{n}": 1 for n in range(201)}})
    asked = [{"$match": {"a": 1, "b": 2}}, {"$sort": {"a": 1}}, {"$group": {"_id": "$a", "x": {"$sum": "$b"}}}]
    assert read(*asked, max_filter_clauses=7)
    with pytest.raises(InvalidRequest, match="more than 5 conditions"):
        read(*asked, max_filter_clauses=5)
