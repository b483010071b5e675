"""Bodies of batch updates: one change for all or one each, what is wrong told with its place."""

import json

import pytest

from permission_mongo.documents.changes import Merge, Step, Steps
from permission_mongo.errors import InvalidRequest, PayloadTooLarge
from permission_mongo.operations import Alike, ByFilter, ByIds, Each
from permission_mongo.parsing.batches import read_update_many
from permission_mongo.parsing.ids import Fresh
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Field

NOTES = Collection("notes", {"title": Field("title", "string")}, id_type="string")
CHANGE = {"title": "x"}


def read(**body):
    return read_update_many(json.dumps(body).encode(), NOTES, Limits(max_batch_size=3), Fresh())


def test_one_change_for_ids_or_a_filter():
    by_ids, by_filter = read(ids=["a", "b"], update=CHANGE).edits, read(filter=CHANGE, update={"$set": CHANGE}).edits
    assert by_ids == Alike(ByIds(("a", "b")), Merge(CHANGE))
    assert isinstance(by_filter.selection, ByFilter)
    assert by_filter.change == Steps((Step("$set", "title", "x"),))


def test_a_change_each_with_what_its_document_must_be():
    found = read(updates=[{"id": "a", "update": CHANGE}, {"id": "b", "update": CHANGE, "if_match": '"t"'}]).edits
    assert isinstance(found, Each)
    assert [(one.id, one.change) for one in found.items] == [("a", Merge(CHANGE)), ("b", Merge(CHANGE))]


def test_a_whole_number_is_one_however_it_is_written():
    assert read(ids=["a"], update=CHANGE, max_affected=3.0).options.max_affected == 3
    for wrong in (3.5, -1.0, 1e300, "3", True, None):
        with pytest.raises(InvalidRequest, match="max_affected: expected a whole number"):
            read(ids=["a"], update=CHANGE, max_affected=wrong)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ids": ["a"]}, "update: expected"),
        ({"update": CHANGE}, "either 'ids' or 'filter'"),
        ({"ids": ["a"], "filter": {}, "update": CHANGE}, "not both"),
        ({"filter": {}, "update": CHANGE}, "all"),
        ({"ids": ["a"], "update": {}}, "names no field"),
        ({"ids": ["a"], "update": CHANGE, "upsert": True}, "upsert"),
        ({"ids": ["a", "b", "c", "d"], "update": CHANGE}, "3"),
        ({"updates": [{"id": "a", "update": CHANGE}], "ids": ["a"]}, "ids"),
        ({"updates": [{"id": "a", "update": CHANGE}] * 2}, r"updates\[1\].id: names a document for the second time"),
        ({"updates": [{"id": "a", "update": {"$set": {}}}]}, r"updates\[0\].*\$set"),
        ({"updates": [{"id": "a", "update": CHANGE, "if_match": 1}]}, r"updates\[0\].if_match"),
        ({"updates": [{"id": "a", "update": CHANGE, "x": 1}]}, r"updates\[0\]"),
        ({"updates": ["a"]}, r"updates\[0\]: expected an object"),
    ],
)
def test_a_wrong_body_is_told_what_is_wrong_and_where(body, message):
    with pytest.raises((InvalidRequest, PayloadTooLarge), match=message):
        read(**body)
