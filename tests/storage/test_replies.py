"""A reply is read once, whatever is asked of it; its bytes tell what it weighs."""

import pytest
from bson import decode_all, encode
from bson.errors import BSONError
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


def test_what_cannot_be_read_is_told_to_who_asks_for_it_and_not_to_the_driver():
    raw = a_reply([{"_id": 1, "text": "abcdef"}])[0].replace(b"abcdef", b"abc\xffef")
    reply = decode_all(raw, REPLY)[0]
    assert reply["ok"] == 1.0
    assert reply.unread()["cursor"]["firstBatch"][0].raw
    with pytest.raises(BSONError):
        reply.read()
