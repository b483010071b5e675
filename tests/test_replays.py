"""What is kept of an answer comes back as it was told, and never too large to be kept."""

from uuid import UUID

import pytest
from bson import decode, encode
from bson.objectid import ObjectId

from permission_mongo.api.render import render
from permission_mongo.errors import Conflict, Forbidden, SchemaViolation, StillRunning
from permission_mongo.outcomes import BatchOutcome, Created, Failure, Item, Page, Written
from permission_mongo.replays import LARGEST, from_bson, interrupted, kept_of, to_bson
from permission_mongo.values import CODEC

BATCH = "0" * 32
ERRORS = [{"field": "a.b", "code": "type", "message": "expected a string"}]
INVALID = SchemaViolation("the document breaks its schema in 1 place", errors=ERRORS)
FORBIDDEN = Forbidden("no rule", action="delete", collection="notes")


def stored_and_read(kept):
    return from_bson(decode(encode(to_bson(kept), codec_options=CODEC), CODEC))


def told(kept) -> tuple[int, bytes]:
    answer = render(kept, "notes")
    return answer.status_code, answer.body


@pytest.mark.parametrize(
    "outcome",
    [
        BatchOutcome("created", (ObjectId(), ObjectId()), batch=BATCH),
        BatchOutcome("created", (UUID(int=1),), failed=(Failure(INVALID, index=1),), batch=BATCH),
        BatchOutcome("created", (), failed=(Failure(Conflict("taken"), index=0),), results=(Item(None, "conflict"),)),
        BatchOutcome("deleted", ("a", "b"), ("c",), (Failure(FORBIDDEN, id="d"),), BATCH),
        BatchOutcome("deleted", ("a",), results=(Item("a", "deleted"), Item("b", "forbidden", FORBIDDEN)), batch=BATCH),
        BatchOutcome("deleted", ("a",), batch=BATCH, stopped=Conflict("others", tries=3)),
        BatchOutcome("restored", ("a", "b"), failed=(Failure(Conflict("changed"), id="c"),), batch=BATCH),
    ],
)
def test_a_batch_is_told_again_as_it_was(outcome):
    assert told(stored_and_read(kept_of(outcome))) == told(outcome)


def test_of_a_created_document_id_and_number_are_kept():
    kept = kept_of(Created({"_id": "a", "_version": 3, "title": "secret"}))
    assert kept == Written("a", 3, created=True)
    assert stored_and_read(kept) == kept
    assert kept_of(Created({"_id": "a"})) == Written("a", None, created=True)


def test_what_was_removed_is_kept_as_a_number():
    """A filter can match more than one record could list."""
    stored = to_bson(BatchOutcome("deleted", tuple(range(1_000_000)), batch=BATCH))
    assert (stored["count"], stored["done"]) == (1_000_000, [])


def test_a_very_long_answer_is_kept_without_what_is_told_of_each_item():
    errors = [{"field": "x" * 200, "code": "type", "message": "expected a string"}] * 100
    failures = tuple(Failure(SchemaViolation("broken", errors=errors), index=n) for n in range(1000))
    kept = stored_and_read(BatchOutcome("created", (), failed=failures))
    assert [(one.index, one.refusal.code, dict(one.refusal.details)) for one in kept.failed] == [
        (n, "schema_validation", {}) for n in range(1000)
    ]


def test_an_endless_answer_is_cut():
    failures = tuple(Failure(Conflict("x" * 100), id=f"{n:0128}") for n in range(60_000))
    items = tuple(Item(one.id, "conflict", one.refusal) for one in failures)
    outcome = BatchOutcome("restored", (), failed=failures, results=items)
    kept = stored_and_read(outcome)
    assert (kept.results, len(kept.failed)) == (None, 10_000)
    assert len(encode(to_bson(outcome), codec_options=CODEC)) <= LARGEST


def test_a_refusal_comes_back_as_the_one_its_code_names():
    """A conflict that was kept never asks to be waited for."""
    kept = stored_and_read(BatchOutcome("deleted", (), failed=(Failure(StillRunning("x"), id="a"),)))
    assert type(kept.failed[0].refusal) is Conflict


def test_an_interrupted_batch_knows_nothing_of_what_is_missing():
    told_of = interrupted(BatchOutcome("deleted", ("a",), ("b",), batch=BATCH))
    assert told(told_of)[0] == 207
    assert told_of.missing == ()
    assert interrupted(Written("a", 1, created=True)) == Written("a", 1, created=True)


def test_only_writes_are_kept():
    with pytest.raises(AssertionError):
        kept_of(Page((), None, False))
