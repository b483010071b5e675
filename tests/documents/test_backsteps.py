"""From a newer state back to the older one, exact to the byte."""

import re
from datetime import datetime
from random import Random

import pytest
from bson import Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, encode
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

from permission_mongo.documents.backsteps import Backstep, backstep, elements, stepped_back

EVERY_TYPE = {
    "double": 1.5,
    "string": "text with \u00e4",
    "object": {"a": {"b": [1, {"c": 2}]}},
    "array": [1, "x", None],
    "binary": Binary(b"\0\1\2", 5),
    "id": ObjectId("5" * 24),
    "bool": True,
    "date": datetime(2026, 1, 1),
    "null": None,
    "regex": Regex("a.b", re.IGNORECASE),
    "ref": DBRef("c", 1),
    "code": Code("f()"),
    "scoped": Code("f()", {"x": 1}),
    "int": 1,
    "stamp": Timestamp(1, 2),
    "long": Int64(1),
    "decimal": Decimal128("1.10"),
    "least": MinKey(),
    "most": MaxKey(),
    "": "no name",
}


def back(newer: bytes, older: bytes) -> bytes:
    kept = Backstep.from_bson(RawBSONDocument(encode(backstep(newer, older).as_bson())))
    return stepped_back(newer, kept)


def test_every_type_is_cut_at_its_end():
    raw = encode(EVERY_TYPE)
    assert len(list(elements(raw))) == len(EVERY_TYPE)
    assert b"".join(elements(raw)) == raw[4:-1]


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({}, {}),
        ({}, EVERY_TYPE),
        (EVERY_TYPE, {}),
        (EVERY_TYPE, EVERY_TYPE),
        (EVERY_TYPE, dict(reversed(EVERY_TYPE.items()))),
        ({"a": 1}, {"a": Int64(1)}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
    ],
)
def test_the_older_state_is_made_again_byte_for_byte(newer, older):
    assert back(encode(newer), encode(older)) == encode(older)


def test_random_states_are_made_again():
    rnd = Random(7)
    for _ in range(2_000):
        states = []
        for _ in range(2):
            names = rnd.sample("abcdefgh", rnd.randrange(9))
            states.append(encode({name: rnd.choice((1, 2, "x", [1], {"y": 1})) for name in names}))
        newer, older = states
        assert back(newer, older) == older


def test_a_name_given_twice_and_text_that_is_no_utf_8_survive():
    element = b"\x02a\0\x03\0\0\0\xff\xfe\0"
    twice = element + b"\x10a\0\1\0\0\0" + element
    raw = (len(twice) + 5).to_bytes(4, "little") + twice + b"\0"
    assert back(encode({"b": 1}), raw) == raw
    assert back(raw, raw) == raw


def test_what_did_not_change_is_not_kept_again():
    newer = {f"field{n}": "x" * 100 for n in range(100)}
    step = backstep(encode(newer), encode(newer | {"field50": "y"}))
    assert step.size < 200


def test_a_step_back_from_another_state_is_refused():
    step = backstep(encode({"a": 1, "b": 2}), encode({"a": 1, "b": 3}))
    for other in ({"a": 2, "b": 2}, {}, {"b": 2, "a": 1}):
        with pytest.raises(ValueError, match="not the state"):
            stepped_back(encode(other), step)


def test_a_type_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no such type"):
        list(elements(b"\x0b\0\0\0\x20a\0\1\0\0\0"))
