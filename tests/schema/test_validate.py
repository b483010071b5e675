"""A document is typed by its schema, and every error of it is told at once, with its path."""

import re
from datetime import datetime
from uuid import UUID

import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from permission_mongo.schema.defaults import Fill
from permission_mongo.schema.model import Collection, Field
from permission_mongo.schema.validate import read_document, unfit_names, unknown_paths

FILL = Fill(datetime(2026, 1, 31), "alice", lambda: UUID(int=1))


def a_collection(keeps=False, **fields) -> Collection:
    made = {name: Field(name, **({"type": one} if isinstance(one, str) else one)) for name, one in fields.items()}
    return Collection("c", made, keeps_additional=keeps)


def errors(document, **fields):
    return [(one.field, one.code) for one in read_document(document, a_collection(**fields), FILL)[1]]


def stored(document, **fields):
    found, wrong = read_document(document, a_collection(**fields), FILL)
    assert not wrong
    return found


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "x", "x"),
        ("integer", 5, 5),
        ("number", 1.5, 1.5),
        ("boolean", True, True),
        ("date", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12)),
        ("objectId", "65f000000000000000000001", ObjectId("65f000000000000000000001")),
        ("uuid", str(UUID(int=5)), UUID(int=5)),
        ("decimal", "1.50", Decimal128("1.50")),
        ("array", [1, "a", None], [1, "a", None]),
        ("object", {"a": {"b": 1}}, {"a": {"b": 1}}),
        ("any", {"$date": "2026-01-31"}, datetime(2026, 1, 31)),
        ("string", None, None),
    ],
)
def test_each_type_is_read_into_bson(kind, value, expected):
    assert stored({"a": value}, a=kind) == {"a": expected}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ({"type": "string"}, 5, "type"),
        ({"type": "integer"}, 1.5, "type"),
        ({"type": "integer"}, 2**63, "type"),
        ({"type": "boolean"}, 1, "type"),
        ({"type": "array"}, {}, "type"),
        ({"type": "object"}, [], "type"),
        ({"type": "object"}, {"$date": 1}, "type"),
        ({"type": "any"}, 2**64, "type"),
        ({"type": "string", "required": True}, None, "required"),
        ({"type": "string", "min_length": 2}, "x", "min_length"),
        ({"type": "string", "max_length": 2}, "xxx", "max_length"),
        ({"type": "array", "max_length": 1}, [1, 2], "max_length"),
        ({"type": "string", "pattern": re.compile("^a")}, "b", "pattern"),
        ({"type": "string", "enum": ("a", "b")}, "c", "enum"),
        ({"type": "integer", "min": 1}, 0, "min"),
        ({"type": "number", "max": 1}, 1.5, "max"),
        ({"type": "decimal", "max": 1}, "1.01", "max"),
        ({"type": "string", "format": "email"}, "no", "format"),
        ({"type": "string", "format": "url"}, "javascript:x", "format"),
        ({"type": "string", "format": "date"}, "2026-13-01", "format"),
        ({"type": "string", "format": "date"}, "2026-01-01T00:00:00Z", "format"),
        ({"type": "string", "format": "datetime"}, "2026-01-01", "format"),
        ({"type": "string", "format": "time"}, "25:00", "format"),
    ],
)
def test_each_constraint_is_told_by_its_code(field, value, code):
    assert errors({"a": value}, a=field) == [("a", code)]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("email", "a@b.co"),
        ("url", "https://a.b/c"),
        ("date", "2026-01-31"),
        ("time", "23:59"),
        ("datetime", "2026-01-31T00:00:00Z"),
    ],
)
def test_formats_take_what_they_name(form, value):
    assert stored({"a": value}, a={"type": "string", "format": form}) == {"a": value}


def test_all_errors_are_told_at_once_with_the_places_inside_arrays():
    items = Field("lines[]", "object", properties={"n": Field("n", "integer", required=True)})
    found = errors(
        {"lines": [{"n": "x"}, {}], "s": 5},
        lines={"type": "array", "items": items},
        s="string",
        need={"type": "string", "required": True},
    )
    assert found == [("lines.0.n", "type"), ("lines.1.n", "required"), ("s", "type"), ("need", "required")]


def test_defaults_fill_what_is_absent_and_only_that():
    fields = {
        "at": {"type": "date", "default": "now()"},
        "key": {"type": "uuid", "default": "uuid()"},
        "by": {"type": "string", "default": "user.id"},
        "n": {"type": "integer", "default": 3},
        "flag": {"type": "boolean", "default": False},
    }
    assert stored({}, **fields) == {"at": FILL.now, "key": UUID(int=1), "by": "alice", "n": 3, "flag": False}
    assert stored({"n": None, "by": "bob"}, **fields)["n"] is None


@pytest.mark.parametrize("name", ["$x", "a.b", "", "a\x00b"])
def test_t20_t21_names_that_can_not_be_addressed_are_found_at_any_depth(name):
    for document in ({name: 1}, {"a": {name: 1}}, {"a": [{"b": [{name: 1}]}]}):
        assert [one.code for one in unfit_names(document, a_collection())] == ["name"]
    assert unfit_names({"__proto__": {"constructor": 1}}, a_collection()) == []


def test_t19_what_is_nested_too_deep_to_be_answered_is_not_stored():
    deep: object = 1
    for _ in range(70):
        deep = {"a": deep}
    assert [one.code for one in unfit_names(deep, a_collection())] == ["depth"]


def test_unknown_paths_are_found_inside_objects_and_arrays():
    inner = {"n": Field("n", "integer")}
    collection = a_collection(
        one={"type": "object", "properties": inner},
        many={"type": "array", "items": Field("m", "object", properties=inner)},
    )
    document = {"one": {"n": 1, "x": 1}, "many": [{"n": 1}, {"y": 1}], "z": 1}
    assert unknown_paths(document, collection) == [("one", "x"), ("many", "y"), ("z",)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_told_and_never_breaks(value):
    document = {"a": value, "b": value}
    if not unfit_names(document, a_collection()):
        found, wrong = read_document(document, a_collection(a="any", b={"type": "object"}), FILL)
        assert set(found) == {"a", "b"}
        assert all(one.field[0] in "ab" for one in wrong)


def test_t24_a_name_that_paths_would_take_for_a_position_is_refused():
    """`0` as a field would be judged by no rule: array positions are no part of a path."""
    assert [one.code for one in unfit_names({"0": 1}, a_collection(keeps=True))] == ["name"]
    assert unfit_names({"years": {"2026": 1}}, a_collection()) == []
