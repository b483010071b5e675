"""An expression is written anew from allow-lists, and every stored path in it is noted."""

from datetime import datetime

import pytest
from bson import ObjectId

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.expressions import EXPRESSIONS, Expressions, Here
from permission_mongo.query.limits import Limits
from permission_mongo.query.scope import Asked, Scope
from permission_mongo.schema.model import Collection
from tests.query.names_of_mongod import KNOWN_TO_MONGOD

NOTES = Collection("notes", keeps_additional=True)
EXTENDED = {"$oid", "$date", "$numberDecimal", "$numberLong", "$numberInt", "$numberDouble", "$uuid", "$binary"}


def read(sent, scope=None, **limits):
    asked = Asked(Limits(**limits))
    return Expressions(scope or Scope(NOTES), asked).read(sent, Here("here")), asked.paths


@pytest.mark.parametrize(
    ("sent", "written", "paths"),
    [
        ("$a.b", "$a.b", {"a.b"}),
        ("text", "text", set()),
        (5, 5, set()),
        (None, None, set()),
        ("$$NOW", "$$NOW", set()),
        ({"$oid": "65f000000000000000000001"}, ObjectId("65f000000000000000000001"), set()),
        ({"$date": "2026-01-31"}, datetime(2026, 1, 31), set()),
        ([1, "$a"], [1, "$a"], {"a"}),
        ({"x": "$a", "y": {"z": ["$b"]}}, {"x": "$a", "y": {"z": ["$b"]}}, {"a", "b"}),
        ({}, {"$literal": {}}, set()),
        ({"$abs": "$a"}, {"$abs": ["$a"]}, {"a"}),
        ({"$add": ["$a", 1, {"$size": "$b"}]}, {"$add": ["$a", 1, {"$size": ["$b"]}]}, {"a", "b"}),
        ({"$cond": ["$a", "$b", "$c"]}, {"$cond": {"if": "$a", "then": "$b", "else": "$c"}}, {"a", "b", "c"}),
        ({"$literal": "$a"}, {"$literal": "$a"}, set()),
        ({"$literal": {"x": ["$$ROOT"]}}, {"$literal": {"x": ["$$ROOT"]}}, set()),
        ({"$year": "$at"}, {"$year": {"date": "$at"}}, {"at"}),
        (
            {"$year": {"date": "$at", "timezone": "$zone"}},
            {"$year": {"date": "$at", "timezone": "$zone"}},
            {"at", "zone"},
        ),
        (
            {"$convert": {"input": "$a", "to": "int"}},
            {"$convert": {"input": "$a", "to": "int", "onError": None, "onNull": None}},
            {"a"},
        ),
        (
            {"$let": {"vars": {"v": "$a"}, "in": {"$eq": ["$$v.x", "$b"]}}},
            {"$let": {"vars": {"v": "$a"}, "in": {"$eq": ["$$v.x", "$b"]}}},
            {"a", "a.x", "b"},
        ),
        (
            {"$map": {"input": "$a.l", "in": "$$this.x"}},
            {"$map": {"input": "$a.l", "as": "this", "in": "$$this.x"}},
            {"a.l", "a.l.x"},
        ),
        (
            {"$filter": {"input": ["$a"], "as": "one", "cond": {"$gt": ["$$one.x", "$b"]}}},
            {"$filter": {"input": ["$a"], "as": "one", "cond": {"$gt": ["$$one.x", "$b"]}}},
            {"a", "b"},
        ),
        (
            {"$switch": {"branches": [{"case": "$a", "then": "$b"}], "default": "$c"}},
            {"$switch": {"branches": [{"case": "$a", "then": "$b"}], "default": "$c"}},
            {"a", "b", "c"},
        ),
    ],
)
def test_it_is_written_and_its_paths_are_noted(sent, written, paths):
    assert read(sent) == (written, paths)


@pytest.mark.parametrize(
    "sent",
    [
        "$$ROOT",
        "$$ROOT.a",
        "$$CURRENT",
        "$$CURRENT.a",
        "$$REMOVE",
        "$$DESCEND",
        "$$CLUSTER_TIME",
        "$$USER_ROLES",
        "$$SEARCH_META",
        "$$NOW.x",
        "$$this",
        "$$v",
        "$",
        "$$",
        "$.a",
        "$a.",
        "$a..b",
        "$a.$b",
        "$a\x00",
        "a\x00",
        {"$eq": [1]},
        {"$eq": [1, 2, 3]},
        {"$eq": 1},
        {"$eq": [1, 2], "$ne": [1, 2]},
        {"$eq": [1, 2], "x": 1},
        {"a.b": 1},
        {"": 1},
        {"x": {"$y": 1}},
        {"$literal": {"$gt": 1}},
        {"$literal": {"a.b": 1}},
        {"$cond": ["$a"]},
        {"$cond": {"if": 1, "then": 2}},
        {"$cond": {"if": 1, "then": 2, "else": 3, "more": 4}},
        {"$switch": {"branches": []}},
        {"$switch": {"branches": [{"case": 1}]}},
        {"$let": {"vars": {"ROOT": 1}, "in": "$$ROOT"}},
        {"$let": {"vars": {"CURRENT": "$a"}, "in": "$b"}},
        {"$let": {"vars": [], "in": 1}},
        {"$let": {"vars": {"v": "$$v"}, "in": 1}},
        {"$map": {"input": "$a", "as": "v", "in": "$$this"}},
        {"$map": {"input": "$$this", "in": 1}},
        {"$filter": {"input": "$a", "cond": 1, "limit": 1}},
        {"$map": {"input": "$a", "in": {"$map": {"input": "$$this", "in": 1}}}},
        {"$filter": {"input": "$a", "cond": {"$anyElementTrue": {"$map": {"input": "$a", "in": 1}}}}},
        {"$convert": {"input": "$a", "to": "int", "onError": "$$ROOT"}},
        {"$convert": {"input": "$a", "to": "$b"}},
        {"$dateToString": {"format": "%Y"}},
        {"$year": {"date": "$a", "x": 1}},
        2**63,
        {"$numberLong": "x"},
    ],
)
def test_anything_else_is_refused(sent):
    for one in (sent, [sent], {"$ifNull": [sent, 1]}, {"x": sent}, {"$cond": [True, 1, sent]}):
        with pytest.raises(InvalidRequest):
            read(one)


@pytest.mark.parametrize("name", sorted(set(KNOWN_TO_MONGOD) - EXPRESSIONS - EXTENDED))
def test_t8_t9_an_operator_that_is_not_listed_is_refused_at_any_depth_with_its_name(name):
    for operand in ("$a", ["$a", 1], {"input": "$a"}, {}, {"body": "f", "args": [], "lang": "js"}):
        bare = {name: operand}
        for sent in (
            bare,
            [1, bare],
            {"x": {"y": bare}},
            {"$and": [True, {"$not": bare}]},
            {"$let": {"vars": {"v": bare}, "in": 1}},
            {"$let": {"vars": {"v": 1}, "in": bare}},
            {"$map": {"input": bare, "in": 1}},
            {"$filter": {"input": "$a", "cond": bare}},
            {"$switch": {"branches": [{"case": bare, "then": 1}]}},
            {"$convert": {"input": bare, "to": "int"}},
            {"$year": {"date": "$at", "timezone": bare}},
        ):
            with pytest.raises(InvalidRequest, match=r"is not taken here|is named like"):
                read(sent)


def test_t14_depth_clauses_and_lists_are_bounded():
    deep = "$a"
    for _ in range(8):
        deep = {"$not": deep}
    with pytest.raises(InvalidRequest, match="deeper than 8"):
        read(deep)
    assert read(deep["$not"])[1] == {"a"}
    assert len(read({"$add": ["$a"] * 9}, max_filter_clauses=10)[0]["$add"]) == 9
    with pytest.raises(InvalidRequest, match="more than 10 conditions"):
        read({"$add": ["$a"] * 10}, max_filter_clauses=10)
    with pytest.raises(InvalidRequest, match="more than 3 values"):
        read({"$in": ["$a", [1, 2, 3, 4]]}, max_in_values=3)
    with pytest.raises(InvalidRequest, match="more than 3 values"):
        read({"$literal": {"x": [[1, 2, 3, 4]]}}, max_in_values=3)


def test_t16_copies_of_copies_are_bounded():
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read(["$x"] * 11, Scope(NOTES).making({"x": 2_000}))
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read({"$map": {"input": "$tags", "in": ["$x"]}}, Scope(NOTES).making({"x": 200}))
    with pytest.raises(InvalidRequest, match="copies of copies"):
        read({"$let": {"vars": {"v": ["$x"] * 9}, "in": ["$$v"] * 9}}, Scope(NOTES).making({"x": 2_000}))
    read({"$map": {"input": "$tags", "in": ["$x", "$$this"]}})
