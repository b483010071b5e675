"""What a version's record says of the state it keeps."""

from datetime import datetime, timedelta
from itertools import product
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from permission_mongo.batch import once, quarters, without
from permission_mongo.values import CODEC
from permission_mongo.versions import TICK, Ending, began, made, number_of, record

EARLY, LATE = datetime(2026, 1, 1), datetime(2026, 1, 2)


def a_record(ended_at=LATE, tenant_field="tenant", action="delete", **document):
    stored = {
        "_id": "a",
        "_version": 3,
        "_made": made("create", "alice", EARLY, None, None),
        "tenant": "acme",
        **document,
    }
    raw = bson.encode(stored, codec_options=CODEC)
    ended = made(action, "bob", ended_at, "why", "b" * 32)
    return raw, record(RawBSONDocument(raw), bson.decode(raw, CODEC), ("notes", tenant_field), 3, ended)


def test_a_record_keeps_the_very_bytes_and_who_ended_them():
    raw, kept = a_record(odd={"nan": float("nan"), "big": bson.Int64(5)})
    assert kept["data"].raw == raw
    assert (kept["collection"], kept["doc_id"], kept["tenant_id"], kept["version"]) == ("notes", "a", "acme", 3)
    assert kept["ended"] == {"action": "delete", "by": "bob", "at": LATE, "reason": "why", "batch": "b" * 32}
    assert kept["began"] == EARLY
    assert bson.decode(bson.encode(kept))["data"]["_id"] == "a"


def test_only_a_deletion_leaves_a_document_gone():
    assert a_record()[1]["gone"] is True
    assert "gone" not in a_record(action="update")[1]


def test_time_never_goes_back_within_a_document():
    for ended_at in (EARLY, EARLY - timedelta(days=1)):
        assert a_record(ended_at)[1]["ended"]["at"] == EARLY + TICK


@pytest.mark.parametrize("mark", [None, "text", {}, {"at": "text"}, {"at": None}])
def test_a_state_from_before_the_gateway_has_no_beginning(mark):
    assert began({"_made": mark}) is None
    assert "began" not in a_record(_made=mark)[1]


@pytest.mark.parametrize(
    ("stored", "number"), [(1, 1), (0, 0), (None, 0), ("3", 0), (True, 0), (-1, 0), (2.5, 0), (2**53, 0)]
)
def test_a_version_mark_that_is_no_number_counts_as_none(stored, number):
    assert number_of({"_version": stored}) == number
    assert number_of({}) == 0


def test_a_contended_batch_is_split_in_four_and_loses_nothing():
    for size in (1, 2, 3, 4, 5, 999, 1000):
        parts = quarters(list(range(size)))
        assert [one for part in parts for one in part] == list(range(size))
        assert len(parts) <= 4
        assert size == 1 or len(parts) > 1


def test_alignment_keeps_the_order_asked():
    assert once(["b", "a", "b"]) == ("b", "a")
    assert without(["c", "a", "b"], ["a"]) == ("c", "b")


def test_a_record_made_of_bytes_is_the_very_record():
    """One `Ending` for all of them: what is put together once for some is not mixed up with that for others."""
    ids = [ObjectId(), "a", "\u00e9" * 200, 1, Int64(1), UUID(int=1), 1.5, True, Binary(b"x", 5), Decimal128("1")]
    tenants = ["acme", "", None, 1, Int64(1), True, 1.0, ObjectId(), UUID(int=2), b"acme", {"a": 1}, ["acme"]]
    numbers = [1, Int64(1), 2, 2**40]
    begins = [{"at": EARLY}, {"at": LATE}, {"at": "text"}, {}, None]
    for action in ("delete", "update"):
        ended = made(action, "bob", EARLY, "why", None)
        ending = Ending(("notes", "tenant"), ended)
        for one, tenant, number, mark in product(ids, tenants, numbers, begins):
            stored = bson.encode({"_id": one, "_version": number, "_made": mark, "tenant": tenant}, codec_options=CODEC)
            about = bson.decode(stored, CODEC)
            whole = record(RawBSONDocument(stored), about, ("notes", "tenant"), number_of(about), ended)
            kept_id, kept = ending.record(stored, about, number_of(about))
            assert kept == bson.encode(whole, codec_options=CODEC)
            assert kept_id == whole["_id"]
