"""What is shown -> status and body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, assert_never

from starlette.responses import Response

from permission_mongo.api.errors import STATUS, headers_of
from permission_mongo.documents.diffs import Difference
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import Refusal
from permission_mongo.outcomes import (
    BatchOutcome,
    Deleted,
    Entry,
    Failure,
    History,
    Item,
    Job,
    JobList,
    Purged,
    Started,
    Synced,
)
from permission_mongo.planning.showing import (
    Shown,
    ShownAgain,
    ShownChanges,
    ShownCount,
    ShownDocument,
    ShownMany,
    ShownPage,
    ShownRows,
    ShownTold,
    ShownVersion,
)
from permission_mongo.portions import Portions
from permission_mongo.values import write_json

JSON = "application/json"
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_UNKEPT: Final = (b"cache-control", b"no-store")


_JSON: Final = (b"content-type", JSON.encode())


class _Answer(Response):
    """JSON as it is sent; its headers, whose names are in small letters, are put together in half of the usual time."""

    media_type = JSON

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()] if headers else []
        self.raw_headers = [*own, (b"content-length", b"%d" % len(self.body)), _JSON]


def respond(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return _Answer(write_json(body), status, headers)


def refuse(refusal: Refusal) -> Response:
    return respond(STATUS[refusal.code], {"error": refusal.as_entry()}, dict(headers_of(refusal)))


def complete(response: Response, request_id: str) -> Response:
    """With what every answer carries. What one caller may read is kept by nobody on its way to another."""
    own = [(b"x-request-id", request_id.encode("ascii")), _NO_SNIFFING]
    if not any(name == b"cache-control" for name, _ in response.raw_headers):
        own.append(_UNKEPT)
    response.raw_headers.extend(own)
    return response


def unless_known(response: Response, known: Tags | None) -> Response:
    """`If-None-Match`: 304 without a body where the caller has this very view already."""
    tag = response.headers.get("etag")
    if known is None or tag is None or not known.has_weak(tag):
        return response
    return Response(status_code=304, headers={"etag": tag})


def render(shown: Shown, collection: str) -> Response:
    match shown:
        case ShownDocument(document, created, tag, written=written):
            headers = {"location": f"/{collection}/{document['_id']}"} if created else {}
            if tag is not None:
                headers["etag"] = tag
            return _Answer(write_json(document) if written is None else written, 201 if created else 200, headers)
        case ShownPage(written=written):
            if not written:
                written.append(_page(shown))
            return _Answer(written[0], 200)
        case ShownCount(count):
            return respond(200, {"data": {"count": count}})
        case ShownMany(documents, not_found):
            return respond(200, {"documents": documents, "not_found": not_found})
        case ShownRows(rows):
            return respond(200, {"data": rows})
        case Deleted(deleted):
            return respond(200, {"deleted": True, "id": deleted})
        case Purged(purged, versions):
            return respond(200, {"purged": True, "id": purged, "versions": versions})
        case History(entries):
            return respond(200, [_entry(one) for one in entries])
        case ShownVersion(document, entry):
            return respond(200, {"data": document, "metadata": _metadata(entry)})
        case ShownChanges(earlier, later, changes):
            differences = [_difference(one) for one in changes]
            return respond(200, {"from_version": earlier, "to_version": later, "changes": differences})
        case BatchOutcome():
            return respond(_status(shown), _batch(shown))
        case Job() | JobList() | Started() | ShownTold() | Synced():
            return _of_service(shown)
        case ShownAgain(earlier):
            response = render(earlier, collection)
            response.headers["idempotency-replayed"] = "true"
            return response
        case _:
            assert_never(shown)


def _page(shown: ShownPage) -> bytes:
    total = {} if shown.total is None else {"total": shown.total}
    pagination = {"cursor": shown.cursor, "has_more": shown.has_more, **total}
    incomplete = {} if shown.complete else {"complete": False}
    if not isinstance(shown.documents, Portions):
        return write_json({"data": shown.documents, "pagination": pagination, **incomplete})
    # As one answer would be written, with a portion of it in memory as objects.
    rows = b",".join(write_json(portion)[1:-1] for portion in shown.documents.each())
    return b"".join((b'{"data":[', rows, b"],", write_json({"pagination": pagination, **incomplete})[1:]))


def _of_service(shown: Job | JobList | Started | ShownTold | Synced) -> Response:
    match shown:
        case ShownTold(told, tag):
            return respond(200, told, {} if tag is None else {"etag": tag})
        case Synced():
            return respond(200, {"data": asdict(shown)})
        case Job():
            return respond(200, job_body(shown))
        case JobList(jobs):
            return respond(200, {"data": [job_body(one) for one in jobs]})
        case Started(job):
            location = {"location": f"/_pm/jobs/{job.id}", "preference-applied": "respond-async"}
            return respond(202, {"job": job_body(job)}, location)


def job_body(job: Job) -> dict[str, Any]:
    """Counts and why it ended, and no id of a document: who may see those today is a question of its own."""
    outcome = job.outcome
    done = {outcome.verb: outcome.count, "failed": len(outcome.failed) + outcome.unlisted}
    about = {"id": job.id, "state": job.state, "operation": job.asked, "collection": job.collection}
    body: dict[str, Any] = {**about, "created_at": job.at, "progress": done}
    if outcome.batch is not None:
        body["batch"] = outcome.batch
    if outcome.stopped is not None:
        body["error"] = outcome.stopped.as_entry()
    return body


def _entry(one: Entry) -> dict[str, Any]:
    told = {"version": one.version, "action": one.action, "updated_by": one.by, "updated_at": one.at}
    optional = {"change_reason": one.reason, "batch": one.batch}
    return {**told, **{name: value for name, value in optional.items() if value is not None}}


def _metadata(made: Entry) -> dict[str, Any]:
    """Of the write that made the version."""
    return {
        "version": made.version,
        "updated_by": made.by,
        "updated_at": made.at,
        "change_reason": made.reason,
    }


def _difference(one: Difference) -> dict[str, Any]:
    old = {} if one.op == "add" else {"from": one.old}
    new = {} if one.op == "remove" else {"to": one.new}
    return {"field": one.field, "op": one.op, **old, **new}


def _status(outcome: BatchOutcome) -> int:
    if outcome.is_partial:
        return 207
    return 201 if outcome.verb == "created" and not outcome.dry_run else 200


def _batch(outcome: BatchOutcome) -> dict[str, Any]:
    body = _counts(outcome)
    if outcome.failed:
        body["failed"] = [_failure(one) for one in outcome.failed]
    if outcome.is_partial:
        body["error"] = outcome.stopped.as_entry() if outcome.stopped else _partial(outcome)
    if outcome.results is not None:
        body["results"] = [_item(one) for one in outcome.results]
    if outcome.batch is not None:
        body["batch"] = outcome.batch
    if outcome.dry_run:
        body["dry_run"] = True
    return body


def _counts(outcome: BatchOutcome) -> dict[str, Any]:
    match outcome.verb:
        case "updated":
            return {"matched": outcome.met, "modified": outcome.count, "missing": outcome.missing, "failed": []}
        case "deleted":
            return {"deleted": outcome.count, "missing": outcome.missing}
        case "created":
            return {"created": outcome.done, "failed": []}
        case "restored":
            return {"restored": outcome.count, "failed": []}


def _failure(one: Failure) -> dict[str, Any]:
    key: dict[str, Any] = {"index": one.index} if one.id is None else {"id": one.id}
    return {**key, "error": one.refusal.as_entry()}


def _item(one: Item) -> dict[str, Any]:
    told: dict[str, Any] = {"id": one.id, "status": one.status}
    return told if one.refusal is None else {**told, "error": one.refusal.as_entry()}


def _partial(outcome: BatchOutcome) -> dict[str, Any]:
    failed, done = len(outcome.failed) + outcome.unlisted, outcome.count
    told = f"{done} {outcome.verb}, {failed} could not be"
    if outcome.interrupted:
        told = f"the gateway ended before all was done; {told}, and the rest was not tried"
    return {"code": "partial", "message": told, "details": {"failed": failed, outcome.verb: done}}
