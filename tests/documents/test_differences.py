"""Whether two values are the same: as they are stored, to the last bit."""

from itertools import product

from bson import Int64, encode
from bson.decimal128 import Decimal128

from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.values import CODEC

NAN = float("nan")
VALUES = [
    *(0, 1, -1, 2**40, True, False, 0.0, -0.0, 1.0, -1.0, 1.5, 2.0**40, NAN, -NAN, float("inf"), -float("inf")),
    *("", "a", "1", None, Int64(1), Decimal128("1"), Decimal128("1.0"), [1], [1.0], {"a": 0.0}, {"a": -0.0}),
]


def test_what_is_stored_alike_is_the_same_and_nothing_else():
    for one, other in product(VALUES, VALUES):
        alike = encode({"v": one}, codec_options=CODEC) == encode({"v": other}, codec_options=CODEC)
        assert are_same(one, other) == alike, (one, other)


def test_what_is_absent_is_the_same_as_nothing_that_is_there():
    assert are_same(ABSENT, ABSENT)
    assert not any(are_same(ABSENT, one) or are_same(one, ABSENT) for one in VALUES)
