"""A reply is read once, whatever is asked of it; its bytes tell what it weighs."""

import pytest
from bson import decode_all, encode
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.replies import REPLY
from permission_mongo.values import CODEC


def a_reply(rows):
    raw = encode({"cursor": {"firstBatch": rows, "id": 0}, "ok": 1.0}, codec_options=CODEC)
    return raw, decode_all(raw, REPLY)[0]


@pytest.mark.parametrize("signs", [3, 2**21])
def test_all_of_it_whether_it_was_read_at_once_or_not(signs):
    rows = [{"_id": 1, "text": "x" * signs, "at": {"a": [1, 2]}}]
    raw, reply = a_reply(rows)
    assert (reply["ok"], bytes(reply.raw)) == (1.0, raw)
    assert reply.read()["cursor"]["firstBatch"] == rows
    assert type(reply.read()["cursor"]["firstBatch"][0]["at"]) is dict


@pytest.mark.parametrize("signs", [3, 2**21])
def test_documents_as_their_bytes(signs):
    row = {"_id": 1, "text": "x" * signs}
    found = a_reply([row])[1].unread()["cursor"]["firstBatch"][0]
    assert isinstance(found, RawBSONDocument)
    assert bytes(found.raw) == encode(row)


def test_what_is_stored_badly_is_no_error_in_the_hands_of_the_driver():
    """A UUID of another length: decoded at once it would fail, and cost the driver its connection."""
    raw = encode({"cursor": {"firstBatch": [{"_id": 1, "uuid": Binary(b"123456789", 4)}], "id": 0}, "ok": 1.0})
    reply = decode_all(raw, REPLY)[0]
    assert reply["ok"] == 1.0
    assert reply.unread()["cursor"]["firstBatch"][0].raw
    assert reply.read()["cursor"]["firstBatch"] == [{"_id": 1, "uuid": Binary(b"123456789", 4)}]
