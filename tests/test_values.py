"""Values keep their meaning between JSON and BSON, and what can't keep it is refused."""

from datetime import datetime
from uuid import UUID

import orjson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId

from permission_mongo.values import read_date, read_json, read_scalar, read_text, write_json


def test_t17_duplicate_keys_are_refused_also_nested_and_escaped():
    for body in (b'{"a": 1, "a": 2}', b'{"x": {"a": 1, "a": 2}}', b'{"a": 1, "\\u0061": 2}'):
        with pytest.raises(ValueError, match="uplicate"):
            read_json(body)


@pytest.mark.parametrize(
    "text",
    [
        *("9223372036854775808", "-9223372036854775809", "18446744073709551615", "1e400", "-1e+0400", "1" + "0" * 400),
        *(
            '"\\u0000"',
            '{"a\\u0000": 1}',
            '[{"x": [1, "\\u0000"]}]',
            "NaN",
            "Infinity",
            '"\\ud800"',
            "[" * 65 + "]" * 65,
            '["8e0001", 1e400, "8e0001"]',
            '["\\"", 1e400, "a"]',
            "[0.5, 1e400, 0.25]",
        ),
        *('{"a":' * 65 + "1" + "}" * 65, "[" * 65 + '"]]}"' + "]" * 65, '[{"a":' * 33 + "1" + "}]" * 33),
    ],
)
def test_t18_t19_t20_a_text_of_what_can_not_be_kept_is_refused(text):
    for whole in (text, f'{{"x": [1, {text}]}}'):
        with pytest.raises(ValueError, match=r"^(not|nested)"):
            read_json(whole.encode())


@pytest.mark.parametrize(
    "text",
    [
        *("9223372036854775807", "-9223372036854775808", "1e308", "1.0000000000000000000000001", '"1e999"', '"e0000"'),
        *(
            '"\\\\u0000"',
            '"12345678901234567890"',
            "[" * 64 + "]" * 64,
            '"' + "[" * 100 + '"',
            '[{"a":' * 32 + "1" + "}]" * 32,
        ),
    ],
)
def test_what_only_looks_like_it_is_read(text):
    assert read_json(text.encode()) == orjson.loads(text)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"base64": "", "subType": "00"}, b""),
        ({"base64": "AP8=", "subType": "0"}, b"\x00\xff"),
        ({"base64": "AQ==", "subType": "05"}, Binary(b"\x01", 5)),
        ({"base64": "AQ==", "subType": "80"}, Binary(b"\x01", 128)),
        ({"base64": "AAAAAAAAAAAAAAAAAAAAAQ==", "subType": "04"}, UUID(int=1)),
    ],
)
def test_binary_is_read_and_comes_back(sent, stored):
    found = read_scalar("any", {"$binary": sent})
    assert (found, type(found)) == (stored, type(stored))
    again = orjson.loads(write_json(found))
    assert again == str(stored) if isinstance(stored, UUID) else read_scalar("any", again) == stored


@pytest.mark.parametrize(
    "sent",
    [
        *("AP8=", {}, {"base64": "AP8="}, {"base64": "AP8", "subType": "00"}, {"base64": "A P8=", "subType": "00"}),
        *({"base64": "AA==", "subType": "04"}, {"base64": "AA==", "subType": "06"}, {"base64": "", "subType": "100"}),
        *({"base64": "", "subType": 0}, {"base64": 1, "subType": "00"}, {"base64": "", "subType": "00", "x": 1}),
        *({"base64": "é", "subType": "00"}, {"base64": "", "subType": ""}, {"base64": "AA==", "subType": "02"}),
    ],
)
def test_what_is_no_binary_is_refused(sent):
    with pytest.raises(ValueError, match=r"a valid \$binary value"):
        read_scalar("any", {"$binary": sent})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", {"$binary": {"base64": "", "subType": "00"}}),
        ("integer", 2**63),
        ("integer", -(2**63) - 1),
        ("integer", 1.5),
        ("integer", True),
        ("number", float("inf")),
        ("number", float("nan")),
        ("number", "1"),
        ("string", "a\x00b"),
        ("string", 1),
        ("boolean", 1),
        ("date", "yesterday"),
        ("date", "2026-02-30"),
        ("date", 5),
        ("objectId", "xyz"),
        ("objectId", {"$oid": "nope"}),
        ("uuid", "1"),
        ("decimal", "NaN"),
        ("decimal", "abc"),
        ("any", {"$where": "1"}),
        ("any", [1]),
    ],
)
def test_t18_t20_values_that_cannot_be_kept_are_refused(kind, value):
    with pytest.raises(ValueError, match=r"."):
        read_scalar(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("date", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10)),
        ("date", "2026-01-31", datetime(2026, 1, 31)),
        ("date", {"$date": 0}, datetime(1970, 1, 1)),
        ("date", {"$date": "2026-01-31T12:00:00.1239Z"}, datetime(2026, 1, 31, 12, 0, 0, 123000)),
        ("objectId", "65f000000000000000000001", ObjectId("65f000000000000000000001")),
        ("uuid", {"$uuid": "123e4567-e89b-12d3-a456-426614174000"}, UUID("123e4567-e89b-12d3-a456-426614174000")),
        ("decimal", "12.50", Decimal128("12.50")),
        ("number", {"$numberLong": "9"}, Int64(9)),
        ("integer", 3.0, 3),
    ],
)
def test_values_are_read_by_declared_type(kind, value, expected):
    read = read_scalar(kind, value)
    assert (read, type(read)) == (expected, type(expected))


def test_text_of_urls_is_read_by_type_and_never_guessed():
    assert read_text("integer", "18") == 18
    assert read_text("string", "18") == "18"
    assert read_text("boolean", "true") is True
    for kind, text in (("integer", "1e400"), ("number", "NaN"), ("boolean", "yes"), ("integer", "x")):
        with pytest.raises(ValueError, match=r"."):
            read_text(kind, text)


def test_answers_write_ids_and_dates_as_text_and_other_types_as_extended_json():
    stored = {"_id": ObjectId("65f000000000000000000001"), "at": datetime(2026, 1, 31, 12), "price": Decimal128("1.50")}
    assert orjson.loads(write_json(stored)) == {
        "_id": "65f000000000000000000001",
        "at": "2026-01-31T12:00:00Z",
        "price": {"$numberDecimal": "1.50"},
    }


def test_a_date_without_offset_is_utc():
    assert read_date("2026-01-31T12:00:00") == read_date("2026-01-31T12:00:00Z")
