"""What the server keeps and the driver does not read is found among elements of every type, and nothing else is touched."""

from datetime import datetime

import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, encode
from bson.errors import InvalidBSON

from permission_mongo.storage.decoding import document_of, documents_of
from permission_mongo.storage.old_bytes import readable

OLD = Binary(b"ab", 2)
EVERYTHING = {
    "of each type": [1.5, "text\x00", {"a": {}}, [], b"\x02", OLD, ObjectId(), True, datetime(2026, 1, 31), None, Regex("a", "i"), DBRef("a", 1),
                     Code("a"), Code("a", {"x": OLD}), 1, Timestamp(1, 1), Int64(1), Decimal128("1"), MinKey(), MaxKey()],
    "": OLD,
}  # fmt: skip
WRONG = (b"\x09abcdefgh", b"\x02abcdefgh")  # a length that is none of these


@pytest.mark.parametrize("place", [lambda one: one, lambda one: [[one]], lambda one: Code("a", {"x": one})])
def test_bytes_of_the_old_kind_are_told_wherever_they_stand(place):
    pointer = b"\x0cp\x00\x02\x00\x00\x00c\x00" + b"x" * 12
    sound = encode({"p": None, "wrong": place(Binary(WRONG[0][1:], 9)), **EVERYTHING})
    sound = sound.replace(b"\x0ap\x00", pointer)
    sound = (len(sound)).to_bytes(4, "little") + sound[4:]
    wrong = sound.replace(*WRONG)
    assert wrong != sound
    assert readable(sound) == sound
    assert readable(wrong + wrong) == sound.replace(b"\x09abcdefgh", b"\x80abcdefgh") * 2
    assert document_of(wrong)["wrong"] == place(Binary(b"abcdefgh", 128))
    assert documents_of(wrong + sound)[1] == document_of(sound)


def test_few_bytes_have_no_length_of_their_own():
    wrong = encode({"a": Binary(b"x", 9)}).replace(b"\x09x", b"\x02x")
    assert document_of(wrong) == {"a": Binary(b"x", 128)}


def test_what_no_server_stores_is_no_document():
    with pytest.raises(InvalidBSON):
        document_of(b"\x05\x00\x00\x00\x01")
