"""A look-up tells values apart as comparing each with each does."""

import time
from datetime import datetime
from itertools import product
from uuid import UUID

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef

from permission_mongo.documents.changes import Step, apply_steps
from permission_mongo.documents.equality import Values
from permission_mongo.documents.numbers import are_equal

UNIQUE = UUID("6f3d2f0a-0b1c-4d5e-8f90-a1b2c3d4e5f6")
SCALARS = [
    *(0, -0.0, 0.0, 1, 1.0, Int64(1), 10, 10.0, 0.1, 2**53, float(2**53), 2**53 + 1, 2**63 - 1, float(2**63)),
    *map(Decimal128, ("-0", "0E3", "1.00", "1E1", "0.1", "0.1000000000000000055511151231257827", "9E6144", "1E-6176")),
    *(float("nan"), float("inf"), float("-inf"), 5e-324, *map(Decimal128, ("NaN", "sNaN", "Infinity"))),
    *(True, False, None, "a", "", b"a", Binary(b"a", 0), Binary(b"a", 5), UNIQUE, Binary(UNIQUE.bytes, 4)),
    *(ObjectId("6" * 24), datetime(2020, 1, 1), DatetimeMS(1577836800000), DatetimeMS(10**17), Timestamp(1, 1)),
    *(Regex("a"), Regex("b"), Code("a"), Code("a", {"x": 1}), MinKey(), MaxKey()),
]
NESTED = [
    *({}, {"a": 1}, {"a": 1.0}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": {"b": Decimal128("1")}}, {"a": {"b": 1}}),
    *([], [1], [1.0, 2], [[1]], DBRef("c", 1), {"$ref": "c", "$id": 1}),
]


def test_a_value_is_found_where_an_equal_one_is_known():
    for one, other in product(SCALARS + NESTED, repeat=2):
        assert Values([one]).has(other) == are_equal(one, other), (one, other)


@pytest.mark.parametrize("operator", ["$addToSet", "$pull"])
def test_t14_a_long_operand_on_a_long_array_ends_soon(operator):
    values, others = list(range(50_000)), list(range(50_000, 100_000))
    begun = time.process_time()
    new, unfit = apply_steps({"list": values}, (Step(operator, "list", tuple(others), True),), datetime(2020, 1, 1))
    assert (len(new["list"]), unfit) == (100_000 if operator == "$addToSet" else 50_000, [])
    assert time.process_time() - begun < 5  # each compared with each: half an hour


def test_t14_values_with_equal_hashes_end_soon():
    values = tuple(Decimal128(str(7 + n * (2**61 - 1))) for n in range(20_000))
    assert len({hash(value.to_decimal()) for value in values}) == 1
    begun = time.process_time()
    new, _ = apply_steps({"list": []}, (Step("$addToSet", "list", values),), datetime(2020, 1, 1))
    assert len(new["list"]) == 20_000
    assert time.process_time() - begun < 5
