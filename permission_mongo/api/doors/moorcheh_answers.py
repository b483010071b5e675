"""What is shown -> answers of the Moorcheh API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from permission_mongo.api.doors.moorcheh_requests import Kind
from permission_mongo.api.doors.passage import first_reason
from permission_mongo.api.errors import STATUS, headers_of
from permission_mongo.api.render import respond
from permission_mongo.errors import CollectionNotFound, Forbidden, Refusal
from permission_mongo.outcomes import BatchOutcome, Failure
from permission_mongo.planning.showing import ShownPage
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId

# That API has no 422: what breaks a schema is a bad request.
_STATUS: Final = {"schema_validation": 400, "hook_rejected": 400}
_TEXT: Final = "text"
_METADATA: Final = "metadata"


class Untold(Forbidden):
    """A refusal that would tell of a collection of which the caller may know nothing. The audit keeps its sentence."""

    def __init__(self, refusal: Refusal, name: str) -> None:
        super().__init__(refusal.message, **refusal.details)
        self.name = name


def unknown(name: str) -> Refusal:
    """As for every name that no collection has."""
    return CollectionNotFound("no such collection", collection=name[:128])


def refuse(refusal: Refusal) -> Response:
    """The gateway's own sentence, under that API's names."""
    if isinstance(refusal, Untold):
        refusal = unknown(refusal.name)
    return respond(_status_of(refusal), _entry(refusal), dict(headers_of(refusal)))


def _status_of(refusal: Refusal) -> int:
    return _STATUS.get(refusal.code, STATUS[refusal.code])


def _entry(refusal: Refusal) -> dict[str, Any]:
    body: dict[str, Any] = {"error": HTTPStatus(_status_of(refusal)).phrase, "message": refusal.message}
    return {**body, "details": dict(refusal.details)} if refusal.details else body


# -- deletions


def deletion(
    outcome: BatchOutcome, named: Mapping[DocumentId, str], remaining: int | None, headers: Mapping[str, str]
) -> Response:
    """200, or 207 where something that the caller sees was not deleted. Ids are told as they were sent."""
    deleted = _deleted(outcome)
    over = {*deleted, *outcome.missing}
    # Neither deleted nor absent: refused, or, where the batch ended before its end, not tried.
    left = [text for one, text in named.items() if one not in over]
    told = {
        "status": "partial" if left else "success",
        "message": _sentence(outcome, len(named), left),
        "requested_deletions": len(named),
        "actual_deletions": outcome.count,
        "remaining_items": remaining,
        "requested_ids": [*named.values()],
        "deleted_ids": [named[one] for one in deleted],
        "errors": _errors(outcome, lambda one: "" if one.id is None else named[one.id]),
    }
    return respond(207, {**told, "unprocessed_ids": left}, dict(headers)) if left else respond(200, told, dict(headers))


def _deleted(outcome: BatchOutcome) -> tuple[DocumentId, ...]:
    """Of an answer that was kept under a key the number is left, and what became of each item."""
    if outcome.results is None:
        return outcome.done
    return tuple(one.id for one in outcome.results if one.status == outcome.verb and one.id is not None)


def _sentence(outcome: BatchOutcome, asked: int, left: Sequence[str]) -> str:
    told = f"{outcome.count} of {asked} deleted"
    if left:
        return f"{told}, {len(left)} could not be"
    return f"{told}; there is nothing of the others" if outcome.count < asked else told


def _errors(outcome: BatchOutcome, of: Callable[[Failure], str]) -> list[dict[str, Any]]:
    """Of each item that was refused, named by `of`, and at last why the rest was not tried."""
    told = [{"id": of(one), **_entry(one.refusal)} for one in outcome.failed]
    if outcome.stopped is not None or outcome.interrupted:
        told.append(_entry(outcome.stopped or first_reason(outcome)))
    return told


# -- uploads


def taken(texts: Sequence[str], headers: Mapping[str, str]) -> Response:
    """That they are queued is what is said there; here they are stored already."""
    return respond(202, {"status": "queued", "submitted_ids": [*texts]}, dict(headers))


def vectors_taken(outcome: BatchOutcome, texts: Sequence[str], headers: Mapping[str, str]) -> Response:
    """201, or 207 where some were refused."""
    errors = _errors(outcome, lambda one: str(one.id) if one.index is None else texts[one.index])
    told = {
        "status": "partial" if errors else "success",
        "vector_ids_processed": [*outcome.done],
        "errors": errors,
    }
    return respond(207 if errors else 201, told, dict(headers))


# -- reads


def items(documents: Iterable[Mapping[str, Any]], collection: Collection) -> Response:
    return respond(200, {"documents": [_item(one, collection) for one in documents]})


def _item(document: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """`{id, text, metadata}`: the other fields are its metadata, unless the collection has a field of that name."""
    others = {name: value for name, value in document.items() if name not in ("_id", _TEXT)}
    own = {"id": document["_id"], _TEXT: document.get(_TEXT)}
    if _METADATA in collection.fields:
        return {**others, **own, _METADATA: document.get(_METADATA)}
    return {**own, _METADATA: others}


def page(shown: ShownPage, collection: Collection, limit: int) -> Response:
    listed = [
        {**_item(one, collection), "created_at": one.get("created_at"), "is_summary": False} for one in shown.documents
    ]
    moments = [one["created_at"] for one in listed if isinstance(one["created_at"], datetime)]
    statistics: dict[str, Any] = {
        "total_items": len(listed),
        "total_text_chunks": len(listed),
        "total_summary_chunks": 0,
        "created_at_min": min(moments, default=None),
        "created_at_max": max(moments, default=None),
        "source_counts": {},
    }
    body = {
        "status": "success",
        "message": f"{len(listed)} items",
        "namespace": collection.name,
        "statistics": statistics,
        "items": listed,
        "pagination": {"limit": limit, "has_more": shown.has_more, "next_token": shown.cursor},
    }
    return respond(200, body)


def namespace(collection: Collection, kind: Kind, dimension: int | None, count: int | None) -> dict[str, Any]:
    return {
        "namespace_name": collection.name,
        "type": "vector" if kind == "vectors" else "text",
        "item_count": count,
        "vector_dimension": dimension,
    }
