"""Answers -> results and errors. Pure: each function takes the parsed body and the answer it stood in.

What is read here was sent by whoever is at the address. Another shape is NotUnderstood, never a KeyError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import orjson

from permission_mongo.client.call import Answer, Call
from permission_mongo.client.errors import NotUnderstood, Refused, kind_of
from permission_mongo.client.json import Document, Types, typed
from permission_mongo.client.results import (
    BatchResult,
    Change,
    Deleted,
    DeleteResult,
    Difference,
    Failure,
    Found,
    Gathered,
    InsertResult,
    Item,
    Job,
    OldState,
    Page,
    Purged,
    Readiness,
    UndoResult,
    UpdateResult,
    Version,
    Written,
)
from permission_mongo.client.shapes import Mismatch, Shape, text_of

T = TypeVar("T")
R = TypeVar("R", bound=BatchResult)
_CODE: Final = re.compile(r"[a-z_]{1,64}")
_IN_PART: Final = 207
_LONGEST_WAIT: Final = 9  # digits of a Retry-After that is a number


def outcome_of(call: Call[T], answer: Answer, secret: str) -> T:
    """What the call comes to. Refused or NotUnderstood where it was not done; `secret` is in no error."""
    if answer.status in call.takes:
        try:
            return _read(call, answer, secret)
        except NotUnderstood:
            if answer.status < 400:
                raise
    elif 200 <= answer.status < 400:
        raise answer.not_understood(f"the status {answer.status} to {call.method} of this route")
    refusal = refusal_of(answer, secret)
    if call.absent is not None and call.absent[0] == refusal.code:
        return call.absent[1]
    raise refusal


def _read(call: Call[T], answer: Answer, secret: str) -> T:
    try:
        body = orjson.loads(answer.body)
    except ValueError:
        raise answer.not_understood("no JSON") from None
    try:
        if answer.status == _IN_PART and secret:
            body = _without(body, secret)  # what failed is told in words, and part of an error
        return call.read(body, answer)
    except Mismatch as error:
        raise answer.not_understood(str(error)) from None
    except RecursionError:
        raise answer.not_understood("very many levels") from None


def _without(value: Any, secret: str) -> Any:
    """The same without the secret in any of its texts."""
    if isinstance(value, str):
        return value.replace(secret, "...")
    if isinstance(value, list):
        return [_without(one, secret) for one in value]
    if isinstance(value, dict):
        return {_without(name, secret): _without(one, secret) for name, one in value.items()}
    return value


def refusal_of(answer: Answer, secret: str) -> Refused:
    """Of an answer that is no success. What is before a gateway answers in other shapes, and has only its status."""
    code, message = f"http_{answer.status}", f"refused with the status {answer.status}"
    details: Document = {}
    try:
        told = orjson.loads(answer.body)["error"]
        if _is_code(told["code"], secret) and isinstance(told["message"], str):
            code, message = told["code"], told["message"]
            details = told["details"] if isinstance(told.get("details"), dict) else {}
    except (ValueError, LookupError, TypeError):
        pass
    return kind_of(answer.status, code)(
        message.replace(secret, "...") if secret else message,
        code=code,
        status=answer.status,
        details={} if _shows(details, secret) else details,
        request_id=answer.request_id,
        retry_after=retry_after(answer.headers),
    )


def _shows(details: Document, secret: str) -> bool:
    """Whether the secret is in there, or it may be: nobody walks through very many levels."""
    try:
        return bool(secret) and secret in repr(details)
    except RecursionError:
        return True


def _is_code(code: str, secret: str) -> bool:
    return _CODE.fullmatch(code) is not None and not (secret and secret in code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds. A date counts from the answer's own; what can't be read says nothing."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _LONGEST_WAIT else float("inf")
    try:
        until = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(until.total_seconds(), 0.0)


# -- documents


@dataclass(frozen=True, slots=True)
class Reading:
    """How answers with documents are read: plain, or with the values that `types` makes."""

    types: Types | None = None

    def _document(self, shape: Shape) -> Document:
        return shape.document if self.types is None else typed(shape.document, self.types)

    def found(self, body: Any, answer: Answer) -> Found:
        return Found(self._document(Shape(body)), answer.headers.get("etag"))

    def written(self, body: Any, answer: Answer) -> Written:
        found = Shape(body)
        tag = answer.headers.get("etag")
        return Written(found.at("_id").text, self._document(found), tag, answer.is_replay)

    def page(self, body: Any, answer: Answer) -> Page:
        found = Shape(body)
        about = found.at("pagination")
        total, complete = about.maybe("total"), found.maybe("complete")
        return Page(
            found.at("data").each(self._document),
            about.maybe_text("cursor"),
            about.at("has_more").truth,
            None if total is None else total.number,
            complete is None or complete.truth,
        )

    def first(self, body: Any, answer: Answer) -> Document | None:
        return next(iter(self.page(body, answer).documents), None)

    def only(self, body: Any, answer: Answer) -> Document | None:
        return self._document(Shape(body))

    def rows(self, body: Any, answer: Answer) -> list[Document]:
        return list(Shape(body).at("data").each(self._document))

    def gathered(self, body: Any, answer: Answer) -> Gathered:
        found = Shape(body)
        return Gathered(found.at("documents").each(self._document), found.at("not_found").each(text_of))

    def old_state(self, body: Any, answer: Answer) -> OldState:
        found = Shape(body)
        return OldState(self._document(found.at("data")), _version(found.at("metadata")))


def count(body: Any, answer: Answer) -> int:
    return Shape(body).at("data").at("count").number


def deleted(body: Any, answer: Answer) -> Deleted:
    return Deleted(Shape(body).at("id").text, answer.is_replay)


def purged(body: Any, answer: Answer) -> Purged:
    found = Shape(body)
    return Purged(found.at("id").text, found.at("versions").number, answer.is_replay)


def versions(body: Any, answer: Answer) -> tuple[Version, ...]:
    return Shape(body).each(_version)


def _version(shape: Shape) -> Version:
    at = shape.maybe("updated_at")
    return Version(
        shape.at("version").number,
        shape.maybe_text("action"),
        shape.maybe_text("updated_by"),
        None if at is None else at.moment,
        shape.maybe_text("change_reason"),
        shape.maybe_text("batch"),
    )


def difference(body: Any, answer: Answer) -> Difference:
    found = Shape(body)
    changes = found.at("changes").each(_change)
    return Difference(found.at("from_version").number, found.at("to_version").number, changes)


def _change(shape: Shape) -> Change:
    found = shape.document
    return Change(shape.at("field").text, shape.at("op").text, found.get("from"), found.get("to"))


# -- batches


def inserted(body: Any, answer: Answer) -> InsertResult:
    found = Shape(body)
    created = found.maybe("created")
    return _batch(InsertResult(ids=() if created is None else created.each(text_of)), found, answer)


def updated(body: Any, answer: Answer) -> UpdateResult:
    found, job = _begun(body)
    matched, modified = found.maybe("matched"), found.at("modified" if job is None else "updated").number
    counted = modified if matched is None else matched.number
    return _batch(UpdateResult(matched=counted, modified=modified, missing=_missing(found)), found, answer, job)


def removed(body: Any, answer: Answer) -> DeleteResult:
    found, job = _begun(body)
    return _batch(DeleteResult(deleted=found.at("deleted").number, missing=_missing(found)), found, answer, job)


def undone(body: Any, answer: Answer) -> UndoResult:
    found = Shape(body)
    return _batch(UndoResult(restored=found.at("restored").number), found, answer)


def _begun(body: Any) -> tuple[Shape, Job | None]:
    """What was done, or of a job that goes on what it has done so far."""
    found = Shape(body)
    told = found.maybe("job")
    return (found, None) if told is None else (told.at("progress"), job_of(told))


def _missing(shape: Shape) -> tuple[str, ...]:
    found = shape.maybe("missing")
    return () if found is None else found.each(text_of)


def _batch(result: R, shape: Shape, answer: Answer, job: Job | None = None) -> R:
    """`result` with what all batches tell alike."""
    if job is not None:
        failures = shape.number_or("failed", 0)
        return replace(
            result, job=job, batch=job.batch, failures=failures, replayed=answer.is_replay, request_id=answer.request_id
        )
    error, failed, items, rehearsed = (shape.maybe(key) for key in ("error", "failed", "results", "dry_run"))
    failure = None if error is None else _failure(error)
    if failure is None and answer.status == 207:
        raise Mismatch("a 207 without an 'error'")
    errors = () if failed is None else failed.each(_failed)
    counted = None if failure is None else failure.details.get("failed")
    return replace(
        result,
        batch=shape.maybe_text("batch"),
        error=failure,
        errors=errors,
        failures=counted if isinstance(counted, int) else len(errors),
        items=None if items is None else items.each(_item),
        dry_run=rehearsed is not None and rehearsed.truth,
        replayed=answer.is_replay,
        request_id=answer.request_id,
    )


def _failure(shape: Shape) -> Failure:
    details = shape.maybe("details")
    told = {} if details is None else details.document
    return Failure(shape.at("code").text, shape.at("message").text, details=told)


def _failed(shape: Shape) -> Failure:
    index = shape.maybe("index")
    place = None if index is None else index.number
    return replace(_failure(shape.at("error")), id=shape.maybe_text("id"), index=place)


def _item(shape: Shape) -> Item:
    error = shape.maybe("error")
    return Item(shape.maybe_text("id"), shape.at("status").text, None if error is None else _failure(error))


# -- the gateway itself


def job(body: Any, answer: Answer) -> Job:
    return job_of(Shape(body))


def jobs(body: Any, answer: Answer) -> tuple[Job, ...]:
    return Shape(body).at("data").each(job_of)


def job_of(shape: Shape) -> Job:
    error = shape.maybe("error")
    return Job(
        shape.at("id").text,
        shape.at("state").text,
        shape.at("operation").text,
        shape.at("collection").text,
        shape.at("created_at").moment,
        shape.at("progress").numbers,
        shape.maybe_text("batch"),
        None if error is None else _failure(error),
    )


def told(body: Any, answer: Answer) -> Document:
    return Shape(body).document


def healthy(body: Any, answer: Answer) -> bool:
    return Shape(body).at("status").text == "ok"


def ready(body: Any, answer: Answer) -> Readiness:
    found = Shape(body)
    return Readiness(found.at("status").text == "ready" and answer.status == 200, found.document)


def counts(body: Any, answer: Answer) -> dict[str, int]:
    return Shape(body).at("data").numbers
