"""No stored document makes a computed field fail: one bad row must neither end a list nor tell that it is there."""

import random
from datetime import datetime

import pytest
from bson import DatetimeMS, Decimal128, Int64, encode
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from permission_mongo.schema.computed import OPERATORS, compile_computed
from permission_mongo.values import CODEC
from tests.laws.worlds import CONTAINERS, SCALARS

pytestmark = pytest.mark.mongo
EXTREMES = [
    2**31 - 1, -(2**31), Int64(2**63 - 1), Int64(-(2**63)), 9.223372036854775e18, -1e19, 1e308, -1e308, 5e-324, 0.5, Decimal128("0E+3"),
    Decimal128("-0"), Decimal128("sNaN"), Decimal128("9.999999999999999999999999999999999E6144"), Decimal128("1E-6176"), Decimal128("1E19"),
    DatetimeMS(2**63 - 1), DatetimeMS(-(2**63)), DatetimeMS(253402300800000), DatetimeMS(-62135596800001), "x" * 20_000, " é\u200b ", "ß" * 9000,
]  # fmt: skip
NO_TEXTS = [b"ab\xff\xfeef", b"\xf0bcdef", b"abcde\xf0", b"\x80bcdef", b"abcd\xe2\x80", b" \x80\x80\x80\x80 "]
FIELDS = ("a", "b", "a.b", "c.b.c", "_id")
CONSTANTS = [None, True, 0, 1, -3, 2.5, "", "a", "%Y", datetime(2026, 1, 31)]


def ill_formed(one: str, text: bytes) -> RawBSONDocument:
    """A document whose text is no UTF-8, as other drivers can store it."""
    return RawBSONDocument(encode({"_id": one, "a": "abcdef", "b": "abcdef"}).replace(b"abcdef", text))


@pytest.fixture(scope="module")
def hostile(mongo_uri):
    """A collection of documents with anything BSON can hold at each field."""
    seeded = random.Random(7)
    values = [*SCALARS, *EXTREMES, *CONTAINERS]
    rows = [{field: value} for field in ("a", "b", "c") for value in values]
    rows += [{field: seeded.choice(values) for field in ("a", "b", "c")} for _ in range(600)]
    with MongoClient(mongo_uri) as client:
        lenient = CODEC.with_options(unicode_decode_error_handler="replace")
        collection = client["test_computed"].get_collection("rows", codec_options=lenient)
        collection.drop()
        collection.insert_many([{"_id": n, **row} for n, row in enumerate(rows)])
        collection.insert_many([ill_formed(f"t{n}", text) for n, text in enumerate(NO_TEXTS)])
        yield collection
        client.drop_database("test_computed")


def sources() -> st.SearchStrategy:
    leaf = st.sampled_from([f"${field}" for field in FIELDS]) | st.sampled_from(CONSTANTS)

    def operators(inner):
        def some(least, most):
            return st.lists(inner, min_size=least, max_size=most)

        digits = st.integers(-18, 18)
        return st.one_of(
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$add", "$multiply", "$concat", "$and", "$or"]), some(1, 3)),
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$subtract", "$divide", "$mod", "$in", "$ifNull"]), some(2, 2)),
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), some(2, 2)),
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$abs", "$ceil", "$floor", "$toLower", "$toUpper", "$strLenCP"]), inner),
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$sum", "$avg", "$min", "$max", "$not"]), inner.map(lambda one: [one])),
            st.builds(lambda name, of: {name: of}, st.sampled_from(["$sum", "$avg", "$min", "$max"]), inner | some(1, 3)),
            st.builds(lambda name, of: {name: [of]}, st.sampled_from(["$size", "$first", "$last"]), inner),
            st.builds(lambda name, of: {name: [of]}, st.sampled_from(["$year", "$month", "$dayOfMonth"]), inner),
            st.builds(lambda name, of, n: {name: [of, n]}, st.sampled_from(["$round", "$trunc"]), inner, digits),
            st.builds(lambda of, n: {"$arrayElemAt": [of, n]}, inner, st.sampled_from([0, -1, 5, 2**31 - 1, -(2**31)])),
            st.builds(lambda of: {"$cond": of}, some(3, 3)),
            st.builds(lambda case, then, other: {"$switch": {"branches": [{"case": case, "then": then}], "default": other}}, inner, inner, inner),
            st.builds(lambda of: {"$trim": {"input": of}}, inner),
            st.builds(lambda of, chars: {"$trim": {"input": of, "chars": chars}}, inner, st.sampled_from([" ", "é", "x"])),
            st.builds(lambda of, form: {"$dateToString": {"date": of, "format": form}}, inner, st.sampled_from(["%Y-%m-%d", "%H:%M:%S.%L %j %G %V %u %%", "x"])),
        )  # fmt: skip

    return st.recursive(leaf, operators, max_leaves=6)


def results(collection, source) -> list:
    computed = compile_computed(source, lambda path: None)
    return [row.get("r", "absent") for row in collection.aggregate([{"$set": {"r": computed.expression}}, {"$project": {"r": 1}}])]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(source=sources())
def test_t15_no_document_makes_an_expression_fail(hostile, source):
    assert len(results(hostile, source)) == hostile.estimated_document_count()


def test_every_operator_alone_meets_every_hostile_pair(hostile):
    pairs = {
        "$subtract",
        "$divide",
        "$mod",
        "$in",
        "$ifNull",
        "$eq",
        "$ne",
        "$gt",
        "$gte",
        "$lt",
        "$lte",
        "$round",
        "$trunc",
        "$arrayElemAt",
    }
    special = {
        "$cond": ["$a", "$b", "$c"],
        "$switch": {"branches": [{"case": "$a", "then": "$b"}]},
        "$trim": {"input": "$a"},
        "$dateToString": {"date": "$a", "format": "%Y"},
        "$literal": 1,
        "$round": ["$a", -1],
        "$trunc": ["$a", -18],
        "$arrayElemAt": ["$a", 0],
    }  # fmt: skip
    for name in OPERATORS:
        source = {name: special.get(name, ["$a", "$b"] if name in pairs else "$a")}
        found = results(hostile, source)
        assert any(one is not None for one in found), name  # nor does a guard refuse everything


@pytest.mark.parametrize(
    ("source", "row", "expected"),
    [
        ({"$add": ["$net", "$tax"]}, {"net": 2, "tax": 1}, 3),
        ({"$add": ["$net", "$tax"]}, {"net": 2}, None),
        ({"$divide": ["$net", "$tax"]}, {"net": 2, "tax": 0}, None),
        ({"$multiply": ["$net", {"$ifNull": ["$tax", 2]}]}, {"net": 2}, 4),
        ({"$round": ["$net", 1]}, {"net": 1.25}, 1.2),
        ({"$concat": ["$s", " ", "$t"]}, {"s": "a", "t": "b"}, "a b"),
        ({"$concat": ["$s", " ", "$t"]}, {"s": "a", "t": 1}, None),
        ({"$concat": ["$s", "$s"]}, {"s": "x" * 9000}, None),
        ({"$strLenCP": {"$concat": ["$s", "$s"]}}, {"s": "x" * 9000}, None),
        ({"$toUpper": {"$trim": {"input": "$s"}}}, {"s": " a "}, "A"),
        ({"$strLenCP": "$s"}, {"s": "é"}, 1),
        ({"$sum": "$lines.amount"}, {"lines": [{"amount": 2}, {"amount": "x"}, {}, {"amount": 3}]}, 5),
        ({"$size": "$lines"}, {"lines": [1, 2]}, 2),
        ({"$size": "$lines"}, {"lines": "x"}, None),
        ({"$in": ["a", "$tags"]}, {"tags": ["a"]}, True),
        ({"$in": ["a", "$tags"]}, {}, None),
        ({"$year": "$at"}, {"at": datetime(2026, 1, 31)}, 2026),
        ({"$year": "$at"}, {"at": "2026"}, None),
        ({"$dateToString": {"date": "$at", "format": "%Y-%m"}}, {"at": datetime(2026, 1, 31)}, "2026-01"),
        ({"$switch": {"branches": [{"case": {"$gt": ["$n", 5]}, "then": "big"}], "default": "small"}}, {"n": 6}, "big"),
        ({"$switch": {"branches": [{"case": {"$gt": ["$n", 5]}, "then": "big"}]}}, {"n": 5}, None),
        ("$inner", {"inner": {"a": 1}}, None),
        ("$inner", {"inner": [1]}, None),
        ({"$literal": "$net"}, {"net": 1}, "$net"),
    ],
)
def test_what_an_expression_yields(hostile, source, row, expected):
    computed = compile_computed(source, lambda path: None)
    stages = [{"$documents": [{"$literal": row}]}, {"$project": {"r": computed.expression}}]
    assert hostile.database.aggregate(stages).next()["r"] == expected


def test_a_document_near_the_limit_is_still_answered(hostile):
    hostile.insert_one({"_id": "large", "a": "x" * (16 * 2**20 - 40)})
    computed = compile_computed({"$cond": [True, "y" * 1000, None]}, lambda path: None).expression
    stages = [{"$match": {"_id": "large"}}, {"$set": {f"r{n}": computed for n in range(20)}}]
    assert hostile.aggregate(stages).next()["r0"] is None
    hostile.delete_one({"_id": "large"})


def test_the_operators_as_they_are_do_fail(hostile):
    """What the guards are for: without them one of these rows ends the query."""
    for bare in ({"$divide": ["$a", "$b"]}, {"$add": ["$a", 1]}, {"$size": "$a"}, {"$year": "$a"}, {"$abs": "$a"}):
        with pytest.raises(OperationFailure):
            list(hostile.aggregate([{"$set": {"r": bare}}, {"$project": {"r": 1}}]))
