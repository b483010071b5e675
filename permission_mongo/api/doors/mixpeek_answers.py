"""What is shown -> answers of the Mixpeek API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from permission_mongo.api.doors.mixpeek_filters import ID
from permission_mongo.api.doors.mixpeek_requests import COLLECTION, Looks
from permission_mongo.api.doors.passage import first_reason, partly
from permission_mongo.api.errors import STATUS, headers_of
from permission_mongo.api.render import respond
from permission_mongo.errors import InvalidRequest, Refusal, SchemaViolation
from permission_mongo.operations import DeleteMany, Filtered, ListMany, UpdateMany
from permission_mongo.outcomes import BatchOutcome, Item
from permission_mongo.planning.showing import ShownPage
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId

BLOBS: Final = "document_blobs"
_FAMILIES: Final = ("video", "image", "audio", "text")
_OWN: Final = ("_id", ID, COLLECTION, BLOBS)
_TYPES: Final = {
    "bad_request": "BadRequestError",
    "unauthorized": "UnauthorizedError",
    "forbidden": "ForbiddenError",
    "collection_not_found": "NotFoundError",
    "document_not_found": "NotFoundError",
    "schema_validation": "ValidationError",
    "rate_limited": "RateLimitError",
    "internal_error": "InternalServerError",
}
# Places in what we read, as the caller named them.
_PLACE: Final = re.compile(r"[^\s]{1,2000}")
_RENAMED: Final = (
    (re.compile(r"^filter(?=[.\[]|$)"), "filters"),
    (re.compile(r"^id$"), ID),
    (re.compile(r"^ids(?=\[|$)"), "document_ids"),
    (re.compile(r"^(updates\[\d+\])\.id$"), rf"\1.{ID}"),
    (re.compile(r"^(updates\[\d+\]\.)?update(?:\.\$set)?(?=\.|$)"), r"\1update_data"),
    (re.compile(r"\.\$and(?=\[|$)"), ".AND"),
    (re.compile(r"\.\$or(?=\[|$)"), ".OR"),
    (re.compile(r"\.\$nor(?=\[|$)"), ".NOT"),
    (re.compile(r"\.\$[a-zA-Z]+(?=\[|$)"), ""),
)


def refuse(refusal: Refusal) -> Response:
    """The gateway's own sentence, under that API's names. `code` is ours."""
    status, kind = STATUS[refusal.code], _TYPES.get(refusal.code)
    kind = kind or f"{refusal.code.title().replace('_', '')}Error"
    error: dict[str, Any] = {"message": _told(refusal), "type": kind, "code": refusal.code}
    details = dict(refusal.details)
    if isinstance(refusal, SchemaViolation) and "errors" in details:
        details["validation_errors"] = details["errors"]  # as that API calls them
    if details:
        error["details"] = details
    return respond(status, {"success": False, "status": status, "error": error}, dict(headers_of(refusal)))


def _told(refusal: Refusal) -> str:
    """The sentence; of a place in the request, as it is called there."""
    place, colon, rest = refusal.message.partition(": ")
    if not colon or not isinstance(refusal, InvalidRequest) or not _PLACE.fullmatch(place):
        return refusal.message
    for pattern, name in _RENAMED:
        place = pattern.sub(name, place)
    return f"{place}: {rest}"


# -- documents


def told_of(shown: Mapping[str, Any], collection: Collection, looks: Looks) -> dict[str, Any]:
    """A document as it is shown, under that API's names for what it is and where."""
    fields = {
        name: value
        for name, value in shown.items()
        if name not in _OWN and (looks.vectors or not _is_vector(name, collection))
    }
    blobs = [_blob(shown["_id"], name, shown[name], collection) for name in fields if name in collection.blobs]
    return {ID: shown["_id"], COLLECTION: collection.name, BLOBS: [one for one in blobs if one], **fields}


def _blob(of: DocumentId, name: str, shown: Any, collection: Collection) -> dict[str, Any] | None:
    """One of the blobs, as far as it is shown; None for a mask. `url` is where who may read it finds the bytes."""
    if not isinstance(shown, dict):
        return None
    kind = str(shown.get("content_type", ""))
    family = kind.partition("/")[0]
    checksum = shown.get("checksum")
    found = {
        "field": name,
        "role": "source",
        "type": "pdf" if kind == "application/pdf" else family if family in _FAMILIES else "other",
        "url": f"/{collection.name}/{quote(str(of), safe='')}/blobs/{name}",
        "filename": shown.get("filename"),
        "content_type": shown.get("content_type"),
        "size_bytes": shown.get("size_bytes"),
        "checksum": None if checksum is None else f"sha256:{checksum}",
        "presigned_url": shown.get("url"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _is_vector(name: str, collection: Collection) -> bool:
    one = collection.fields.get(name)
    return one is not None and one.type == "vector"


def listing(page: ShownPage, operation: ListMany, documents: Iterable[Mapping[str, Any]]) -> Response:
    size, total = operation.limit, page.total
    pagination = {
        "total": total,
        "page": None if operation.cursor else operation.skip // size + 1,
        "page_size": size,
        "total_pages": None if total is None else -(-total // size),
        "next_page": None,
        "previous_page": None,
        "next_cursor": page.cursor if page.has_more else None,
    }
    body = {"results": [*documents], "pagination": pagination, "total_documents": total}
    return respond(200, body if page.complete else {**body, "warnings": ["rows may be missing"]})


# -- batches


def deletion(outcome: BatchOutcome, operation: DeleteMany, headers: Mapping[str, str]) -> Response:
    return _batch(outcome, operation, "deleted_count", headers)


def updates(outcome: BatchOutcome, operation: UpdateMany, headers: Mapping[str, str]) -> Response:
    return _batch(outcome, operation, "updated_count", headers)


def _batch(outcome: BatchOutcome, operation: Filtered, count: str, headers: Mapping[str, str]) -> Response:
    """Of ids what became of each. Of a filter the counts; not all of it is refused, for the rest was not looked at."""
    by_ids = operation.options.results
    if (outcome.stopped or outcome.interrupted) and not (by_ids and outcome.met):
        raise partly(outcome)
    results = _results(outcome, operation.collection.name) if by_ids else []
    failed = [one for one in results if not one["success"]]
    count_of_failed = len(failed) if by_ids else len(outcome.failed) + outcome.unlisted
    told = f"{outcome.met} {outcome.verb}"
    if count_of_failed:
        why = failed[0]["error"] if failed else _reason(first_reason(outcome))
        told = f"{told}, {count_of_failed} could not be: {why}"
    body = {count: outcome.met, "failed_count": count_of_failed, "results": results, "message": told}
    return respond(200, body, dict(headers))


def _results(outcome: BatchOutcome, collection: str) -> list[dict[str, Any]]:
    items = outcome.results
    if items is None:  # of an earlier answer only so much is kept
        items = (
            *(Item(one, outcome.verb) for one in outcome.done),
            *(Item(one, "not_found") for one in outcome.missing),
            *(Item(one.id, one.refusal.code, one.refusal) for one in outcome.failed),
        )
    return [_result(one, collection) for one in items]


def _reason(refusal: Refusal) -> str:
    """As one sentence: a result has no place for details."""
    errors = refusal.details.get("errors") if isinstance(refusal, SchemaViolation) else None
    return f"{refusal.message}: {errors[0]['field']}: {errors[0]['message']}" if errors else refusal.message


def _result(item: Item, collection: str) -> dict[str, Any]:
    if item.refusal is not None:
        return {ID: item.id, "success": False, "error": _reason(item.refusal)}
    if item.status == "not_found":
        return {ID: item.id, "success": False, "error": f"no such document in {collection}"}
    return {ID: item.id, "success": True}
