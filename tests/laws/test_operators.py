"""The law of update operators: applied in memory they make what MongoDB makes of them, or are refused as it refuses."""

import math
from datetime import datetime

import pymongo
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from permission_mongo.documents.changes import Step, apply_steps
from permission_mongo.values import CODEC

pytestmark = pytest.mark.mongo
NOW = datetime(2026, 1, 31, 12)
OID = ObjectId("65f000000000000000000001")
NUMBERS = [
    0, 1, -1, 3, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, Int64(1), Int64(2**63 - 1), Int64(-(2**63)), 0.0, -0.0, 0.1, 1.5, 1e300, -2.5e-7,
    123456789.123456789, float("nan"), float("inf"), Decimal128("1"), Decimal128("0.1"), Decimal128("-12.50"), Decimal128("NaN"),
    Decimal128("1E+6000"), Decimal128("9999999999999999999999999999999999"), Decimal128("0E+3"), 1 / 3, 2.0**60, 5e-324,
]  # fmt: skip
OPERAND_NUMBERS = [n for n in NUMBERS if not isinstance(n, Decimal128) or n.to_decimal().is_finite()]
SCALARS = [None, True, False, "", "a", "ab", "é", OID, NOW, datetime(1969, 1, 1), *NUMBERS]
STORED = [
    *SCALARS, Binary(b"a"), Regex("a"), Code("a"), Timestamp(1, 1), MinKey(), MaxKey(), [], {}, [[]], [{}], [1], [1, 2, 1.0],
    ["a", "ab", None], [[1]], [{"b": 1}, {"b": 2}], {"b": 1}, {"b": {"c": 1}}, {"b": [1, 2]}, {"0": 1}, {"b": None}, [None],
    [float("nan"), Decimal128("1")], [{"b": 1, "c": 2}, {"c": 2, "b": 1}], [OID, NOW, True], {"b": [{"c": 1}]}, ["a", ["a"], [["a"]]],
    [None] * 4, Int64(5), [Int64(5), 5.0],
]  # fmt: skip
PATHS = ["a", "a.b", "a.b.c", "a.0", "a.2", "a.0.b", "a.b.0", "n", "n.b", "z", "z.y", "a.b.1.c"]
VALUES = [*SCALARS, {"b": 1}, {"c": 2, "b": 1}, {"b": 1, "c": 2}, [1], ["a"], {}]


def steps() -> st.SearchStrategy[Step]:
    path, number, value = st.sampled_from(PATHS), st.sampled_from(OPERAND_NUMBERS), st.sampled_from(VALUES)
    values = st.lists(value, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Step, st.just("$set"), path, value),
        st.builds(Step, st.just("$unset"), path),
        st.builds(Step, st.sampled_from(["$inc", "$mul"]), path, number),
        st.builds(Step, st.sampled_from(["$min", "$max"]), path, st.sampled_from(SCALARS)),
        st.builds(Step, st.sampled_from(["$push", "$addToSet"]), path, values),
        st.builds(Step, st.just("$pull"), path, st.sampled_from(SCALARS).map(lambda one: (one,))),
        st.builds(Step, st.just("$pull"), path, values, st.just(True)),
        st.tuples(path, path).filter(lambda two: not conflict(*two)).map(lambda two: Step("$rename", two[0], two[1])),
        st.builds(Step, st.just("$currentDate"), path),
    )


def conflict(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def paths_of(step: Step) -> list[str]:
    return [step.path, step.operand] if step.operator == "$rename" else [step.path]


def apart(found: list[Step]) -> bool:
    named = [path for step in found for path in paths_of(step)]
    return not any(conflict(one, other) for n, one in enumerate(named) for other in named[n + 1 :])


DOCUMENTS = st.dictionaries(st.sampled_from(["a", "n"]), st.sampled_from(STORED))
CHANGES = st.lists(steps(), min_size=1, max_size=3).filter(apart)


def as_update(found: list[Step]) -> dict:
    update: dict = {}
    for step in found:
        operand = step.operand
        match step.operator:
            case "$unset":
                operand = ""
            case "$push" | "$addToSet":
                operand = {"$each": list(operand)}
            case "$pull":
                operand = {"$in": list(operand)} if step.among else operand[0]
            case "$currentDate":
                update.setdefault("$set", {})[step.path] = NOW
                continue
        update.setdefault(step.operator, {})[step.path] = operand
    return update


def plain(value):
    """Comparable to the last bit, fields of objects in any order at the top of each object."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Decimal128) and value.to_decimal().is_nan():
        return "decimal NaN"
    return encode({"v": value}, codec_options=CODEC)


@pytest.fixture(scope="module")
def rows(mongo_uri):
    with pymongo.MongoClient(mongo_uri, tz_aware=False, uuidRepresentation="standard") as client:
        yield client["laws"].get_collection("operators", codec_options=CODEC)
        client.drop_database("laws")


def by_mongod(rows, cases):
    """What the server makes of each document by its steps, by their number; a refused one is not in it."""
    rows.delete_many({})
    rows.insert_many([{"_id": number, **stored} for number, (stored, _) in enumerate(cases)])
    changes = [UpdateOne({"_id": number}, as_update(found)) for number, (_, found) in enumerate(cases)]
    refused: set[int] = set()
    try:
        rows.bulk_write(changes, ordered=False)
    except BulkWriteError as error:
        refused = {one["index"] for one in error.details["writeErrors"]}
    return {row["_id"]: row for row in rows.find({}) if row["_id"] not in refused}


def compared(rows, cases):
    """How many of the cases are refused, and alike."""
    made = by_mongod(rows, cases)
    for number, (stored, found) in enumerate(cases):
        new, unfit = apply_steps({"_id": number, **stored}, tuple(found), NOW)
        if number not in made:
            assert unfit, (stored, found, new)
        else:
            assert not unfit, (stored, found, unfit, made[number])
            assert plain(new) == plain(made[number])
    return len(cases) - len(made)


# Some cases at once: each costs the server little beside what it costs to ask.
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases=st.lists(st.tuples(DOCUMENTS, CHANGES), min_size=10, max_size=10))
def test_operators_in_memory_make_what_mongod_makes(rows, cases):
    compared(rows, cases)


def test_every_pair_of_numbers_is_counted_as_mongod_counts(rows):
    cases = [({}, [Step("$mul", "a", operand)]) for operand in OPERAND_NUMBERS]
    assert compared(rows, cases) == 0
    cases = [
        ({"a": stored}, [Step(operator, "a", operand)])
        for operator in ("$inc", "$mul", "$min", "$max")
        for stored in NUMBERS
        for operand in OPERAND_NUMBERS
    ]
    refused = compared(rows, cases)
    assert refused > 10
    assert len(cases) - refused > 1000


def test_every_operator_meets_every_value_as_mongod_has_it(rows):
    cases = [
        ({"a": stored, "z": {"y": 1}} if one.path == "z" else {"a": stored}, [one])
        for stored in STORED
        for path in ("a", "a.b", "a.0", "a.0.b", "a.2")
        for one in (
            Step("$set", path, 7), Step("$unset", path), Step("$inc", path, 2), Step("$mul", path, 2), Step("$min", path, "a"),
            Step("$max", path, "a"), Step("$push", path, (1, 1)), Step("$addToSet", path, (1, 1, {"b": 1})), Step("$pull", path, (1,)),
            Step("$pull", path, (1, None, {"b": 1}), True), Step("$rename", path, "z.y"), Step("$rename", "z", path),
            Step("$currentDate", path), Step("$pull", path, (None,)), Step("$push", path, ()), Step("$addToSet", path, ()),
        )
    ]  # fmt: skip
    assert 0 < compared(rows, cases) < len(cases)
