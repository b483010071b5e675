"""Canonical Extended JSON by our own hand: the same as that of bson's encoder, whatever is stored."""

import json
import math
from datetime import datetime
from uuid import UUID

import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.binary import UuidRepresentation
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from permission_mongo.api.doors.atlas_answers import _CANONICAL, _written

SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=5)),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda one: one.replace(microsecond=5000)),
    st.integers(-(2**62), 2**62).map(DatetimeMS),
    st.uuids(),
    st.sampled_from(
        [Decimal128("1.50"), Decimal128("NaN"), MinKey(), MaxKey(), Regex("^a", "ix"), Timestamp(5, 6), Code("x")]
        + [Code("x", {"a": 1}), DBRef("a", 1), Binary(b"x", 128), Binary(b"x", 5), UUID(int=0)]
    ),
)
VALUES = st.recursive(SCALARS, lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(), one, max_size=4))


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_extended_json_is_that_of_bson(document):
    assert json.loads(_written(document, True)) == json.loads(json_util.dumps(document, json_options=_CANONICAL))
    json.loads(_written(document, False))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (ObjectId("5d505646cf6d4fe581014ab2"), "5d505646cf6d4fe581014ab2"),
        (datetime(2022, 1, 12, 2, 33, 23, 67000), "2022-01-12T02:33:23.067Z"),
        (Decimal128("9823.1297"), "9823.1297"),
        (Binary(b"abc", 5), {"Subtype": 5, "Data": "YWJj"}),
        (b"abc", {"Subtype": 0, "Data": "YWJj"}),
        (Regex("^H", "i"), {"Pattern": "^H", "Options": "i"}),
        (Timestamp(1565545664, 1), {"T": 1565545664, "I": 1}),
        (MaxKey(), {}),
        (Int64(2**60), 2**60),
        (UUID(int=1), str(UUID(int=1))),
        (math.nan, None),
    ],
)
def test_plain_json_is_that_of_the_table(value, plain):
    assert json.loads(_written({"a": value}, False)) == {"a": plain}


def test_a_uuid_is_of_the_standard_subtype():
    assert _CANONICAL.uuid_representation == UuidRepresentation.STANDARD
    assert json.loads(_written({"a": UUID(int=1)}, True))["a"]["$binary"]["subType"] == "04"
