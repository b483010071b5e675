"""What is kept of a write's answer, for a request that comes again with the same key. Pure.

Ids, numbers, counts and refusals, and never a document: that is read again, by the rules of the day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, assert_never

from bson import encode

from permission_mongo.errors import Refusal
from permission_mongo.outcomes import (
    BatchOutcome,
    Created,
    Deleted,
    Failure,
    Item,
    Kept,
    Outcome,
    Purged,
    Updated,
    Written,
)
from permission_mongo.values import CODEC, Document

# Bytes; MongoDB takes no record above 16 MiB.
LARGEST: Final = 8 * 2**20
_MOST_FAILURES: Final = 10_000


def kept_of(outcome: Outcome) -> Kept:
    """What is kept of a write's outcome."""
    match outcome:
        case Created(document):
            return Written(document["_id"], document.get("_version"), created=True)
        case Updated(document):
            return Written(document["_id"], document.get("_version"), created=False)
        case BatchOutcome() | Deleted() | Purged():
            return outcome
        case _:
            raise AssertionError(f"{type(outcome).__name__} is no outcome of a write")


def interrupted(kept: Kept) -> Kept:
    """What is known of a write that was begun and never ended. One document is written at once or not at all."""
    if not isinstance(kept, BatchOutcome):
        return kept
    return replace(kept, missing=(), interrupted=True)


def count_of(kept: Kept) -> int:
    return kept.count if isinstance(kept, BatchOutcome) else 1


def to_bson(kept: Kept) -> Document:
    """A very long answer is kept without what is told of each item: first the details, then `results`."""
    match kept:
        case Written(id_, version, created):
            return {"form": "written", "id": id_, "version": version, "created": created}
        case Deleted(id_):
            return {"form": "deleted", "id": id_}
        case Purged(id_, versions):
            return {"form": "purged", "id": id_, "versions": versions}
        case BatchOutcome():
            whole = _batch(kept, details=True)
            if _fits(whole):
                return whole
            plain = _batch(kept, details=False)
            return plain if _fits(plain) else _batch(_shortened(kept), details=False)
        case _:
            assert_never(kept)


def from_bson(stored: Document) -> Kept:
    match stored["form"]:
        case "written":
            return Written(stored["id"], stored["version"], stored["created"])
        case "deleted":
            return Deleted(stored["id"])
        case "purged":
            return Purged(stored["id"], stored["versions"])
    results = stored["results"]
    return BatchOutcome(
        stored["verb"],
        tuple(stored["done"]),
        tuple(stored["missing"]),
        tuple(Failure(_refusal(one["error"]), one.get("id"), one.get("index")) for one in stored["failed"]),
        stored["batch"],
        stopped=None if stored["stopped"] is None else _refusal(stored["stopped"]),
        results=None if results is None else tuple(_item(one) for one in results),
        counted=stored["count"],
        unlisted=stored.get("unlisted", 0),
        unchanged=stored.get("unchanged", 0),
    )


def _fits(kept: Document) -> bool:
    return len(encode(kept, codec_options=CODEC)) <= LARGEST


def _shortened(outcome: BatchOutcome) -> BatchOutcome:
    return replace(outcome, results=None, failed=outcome.failed[:_MOST_FAILURES])


def _batch(outcome: BatchOutcome, *, details: bool) -> Document:
    """Of what was removed or put back the answer has the number alone, and a filter can match any number."""
    results = outcome.results
    return {
        "form": "batch",
        "verb": outcome.verb,
        "count": outcome.count,
        "unchanged": outcome.unchanged,
        "done": list(outcome.done) if outcome.verb == "created" else [],
        "missing": list(outcome.missing),
        "unlisted": outcome.unlisted,
        "failed": [_entry({"id": one.id, "index": one.index}, one.refusal, details) for one in outcome.failed],
        "batch": outcome.batch,
        "stopped": None if outcome.stopped is None else told(outcome.stopped),
        "results": None if results is None else [_result(one, details) for one in results],
    }


def _entry(about: Document, refusal: Refusal | None, details: bool) -> Document:
    entry = {name: value for name, value in about.items() if value is not None}
    return entry if refusal is None else {**entry, "error": told(refusal, details=details)}


def _result(item: Item, details: bool) -> Document:
    return _entry({"id": item.id, "status": item.status}, item.refusal, details)


def _item(stored: Document) -> Item:
    error = stored.get("error")
    return Item(stored.get("id"), stored["status"], None if error is None else _refusal(error))


def told(refusal: Refusal, *, details: bool = True) -> Document:
    """What is kept of a refusal."""
    kept: Document = {"code": refusal.code, "message": refusal.message}
    if details and refusal.details:
        kept["details"] = dict(refusal.details)
    return kept


def _refusal(stored: Document) -> Refusal:
    """A refusal of the same code: the most general of that code."""
    kind = next((one for one in _kinds(Refusal) if one.code == stored["code"]), Refusal)
    details: dict[str, Any] = stored.get("details", {})
    return kind(stored["message"], **details)


def _kinds(root: type[Refusal]) -> Iterable[type[Refusal]]:
    return root.__subclasses__()
