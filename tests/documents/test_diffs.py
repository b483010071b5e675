"""In what two documents differ, told for a reader."""

import pytest
from bson.int64 import Int64
from bson.objectid import ObjectId

from permission_mongo.documents.diffs import differences


def told(old, new):
    return [(one.field, one.op, one.old, one.new) for one in differences(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": Int64(1)}, []),
        ({"a": 1}, {"a": 1.0}, [("a", "change", 1, 1.0)]),
        ({"a": 1}, {"a": True}, [("a", "change", 1, True)]),
        ({"a": None}, {}, [("a", "remove", None, None)]),
        ({}, {"a": None}, [("a", "add", None, None)]),
        ({"a": None}, {"a": {}}, [("a", "change", None, {})]),
        ({"a": {}}, {"a": []}, [("a", "change", {}, [])]),
        ({"a": {}}, {"a": {"b": 1}}, [("a.b", "add", None, 1)]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", "remove", 1, None)]),
        ({"a": {"b": 1}}, {}, [("a", "remove", {"b": 1}, None)]),
        ({"a": {"b": 1}}, {"a": 1}, [("a", "change", {"b": 1}, 1)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, []),
        ({"a": []}, {"a": [1]}, [("a.0", "add", None, 1)]),
        ({"a": [1, [2]]}, {"a": [1, [3]]}, [("a.1.0", "change", 2, 3)]),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": ObjectId("5" * 24)}, {"a": "5" * 24}, [("a", "change", ObjectId("5" * 24), "5" * 24)]),
    ],
)
def test_added_removed_and_changed_are_told_apart(old, new, expected):
    assert repr(told(old, new)) == repr(expected)


def test_they_are_sorted_by_path_and_positions_as_numbers():
    old = {"b": list(range(12)), "a": {"z": 1, "y": 1}, "c": 1}
    new = {"c": 2, "b": [0, 1, 9, *range(3, 11), 12], "a": {"y": 2, "z": 2}}
    assert [one.field for one in differences(old, new)] == ["a.y", "a.z", "b.2", "b.11", "c"]


def test_a_name_that_looks_like_a_number_is_a_name():
    assert told({"a": {"1": 1, "x": 1}}, {"a": {"1": 2, "x": 2}}) == [("a.1", "change", 1, 2), ("a.x", "change", 1, 2)]


def test_a_very_long_array_is_told_whole():
    old, new = list(range(20_000)), list(range(1, 20_001))
    assert told({"a": old}, {"a": new}) == [("a", "change", old, new)]
    assert told({"a": old}, {"a": list(old)}) == []


def test_neither_document_is_changed():
    old, new = {"a": {"b": [1]}}, {"a": {"b": [2]}}
    differences(old, new)
    assert (old, new) == ({"a": {"b": [1]}}, {"a": {"b": [2]}})
