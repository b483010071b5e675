"""What of a filter a new document begins with."""

import pytest

from permission_mongo.documents.changes import Step
from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import Fresh
from permission_mongo.parsing.upserts import read_anew, read_replacement_anew
from permission_mongo.schema.model import Collection

NOTES = Collection("notes", id_type="string", client_ids=True)


def anew(asked, *only):
    return read_anew(asked, tuple(Step("$set", path, value) for path, value in only), NOTES, Fresh())


def alike(asked):
    return {step.path: step.operand for step in anew(asked).alike}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {}),
        ({"a": 1, "b.c": {"$oid": "x"}, "d": [1], "e": None}, {"a": 1, "b.c": {"$oid": "x"}, "d": [1], "e": None}),
        ({"a": {"$eq": 1, "$gt": 0}, "b": {"$in": [2]}, "c": {"$all": [3]}}, {"a": 1, "b": 2, "c": 3}),
        ({"$and": [{"a": 1}, {"$and": [{"b": 2}]}], "$or": [{"c": 3}]}, {"a": 1, "b": 2, "c": 3}),
        ({"$or": [{"a": 1}, {"b": 2}], "$nor": [{"c": 3}]}, {}),
        ({"a": {"$in": [1, 2]}, "b": {"$ne": 1}, "c": {"$not": {"$eq": 1}}, "d": {"$elemMatch": {"e": 1}}}, {}),
        ({"a": {"$eq": "x", "$options": "i"}}, {}),
    ],
)
def test_what_is_asked_to_be_equal_is_taken_and_nothing_else(asked, found):
    assert alike(asked) == found
    assert anew(asked).fault is None


@pytest.mark.parametrize("asked", [{"a": 1, "$and": [{"a": 1}]}, {"a": 1, "a.b": 2}, {"a": {"$all": [1, 2]}}])
def test_two_values_of_one_place_are_a_fault(asked):
    assert anew(asked).fault is not None


def test_an_id_is_the_filters_or_what_is_set_of_a_new_document():
    assert (anew({"_id": "a"}).id, anew({"_id": {"$eq": "a"}}, ("_id", "a")).id, anew({}, ("_id", "b")).id) == (
        "a",
        "a",
        "b",
    )
    assert not anew({"a": 1}).names_id
    for wrong in (anew({"_id": "a"}, ("_id", "b")), anew({"$and": [{"_id": "a"}, {"_id": "b"}]}), anew({"_id": 5})):
        assert wrong.fault is not None
    with pytest.raises(InvalidRequest):
        anew({}, ("_id.a", 1))


def test_a_replacement_takes_the_id_alone():
    found = read_replacement_anew({"_id": "a", "b": 1}, {"c": 2}, NOTES, Fresh())
    assert (found.id, found.document, found.alike) == ("a", {"c": 2}, ())
