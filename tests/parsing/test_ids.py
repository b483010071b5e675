"""Lists of ids: read by the declared type, each once, what is wrong told with its place."""

import pytest
from bson.objectid import ObjectId

from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import read_ids
from permission_mongo.schema.model import Collection

ONE, OTHER = "65f0000000000000000000aB", "65f0000000000000000000ac"


def test_ids_are_read_once_in_the_order_asked():
    found = read_ids([OTHER, ONE, ONE.lower(), {"$oid": ONE}], Collection("c"), "ids")
    assert found == (ObjectId(OTHER), ObjectId(ONE))
    assert read_ids([OTHER, ONE, ONE.lower()], Collection("c"), "ids") == found


@pytest.mark.parametrize("wrong", ["x" * 24, "é" * 24, " " * 24, "0" * 23 + "\n", 7, None, "0" * 12])
def test_t22_a_wrong_id_is_told_with_its_place(wrong):
    with pytest.raises(InvalidRequest, match=r"ids\[1\]: expected 24 hex digits"):
        read_ids([ONE, wrong], Collection("c"), "ids")
