"""Lists of ids: read by the declared type, each once, what is wrong told with its place."""

from uuid import UUID

import pytest
from bson.objectid import ObjectId

from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import Fresh, read_ids
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


def test_ids_made_at_once_are_the_drivers_own_each_once_and_in_order():
    """Those made before and after by the driver itself are none of them."""
    before, some, after = ObjectId(), Fresh().document_ids(Collection("c"), 1000), ObjectId()
    ids = [before, *some, after]
    assert len({*ids}) == 1002
    assert {one.binary[4:9] for one in ids} == {before.binary[4:9]}
    counted = [int.from_bytes(one.binary[9:], "big") for one in ids]
    assert [(n - counted[0]) % 2**24 for n in counted if n != counted[-1]] == [*range(1001)]


def test_ids_made_at_once_go_round_with_the_counter(monkeypatch):
    monkeypatch.setattr(ObjectId, "_inc", 2**24 - 2)
    found = Fresh().document_ids(Collection("c"), 4)
    assert [one.binary[9:].hex() for one in found] == ["fffffe", "ffffff", "000000", "000001"]
    assert len({one.binary[9:] for one in (*found, ObjectId())}) == 5


def test_ids_made_at_once_are_of_the_declared_type():
    assert all(isinstance(one, UUID) for one in Fresh().document_ids(Collection("c", id_type="uuid"), 3))
    assert len({*Fresh().document_ids(Collection("c", id_type="string"), 3)}) == 3
