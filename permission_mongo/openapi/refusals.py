"""Refusals, by the codes of the HTTP contract: a status, a sentence, and a response that operations refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from permission_mongo.openapi.words import Shape, a_list, an_object, or_null, ref, text

# code -> status, what it means. The table that answers is that of the API; a test holds the two together.
CODES: Final[Mapping[str, tuple[int, str]]] = {
    "bad_request": (400, "The request is not understood: an unknown key, parameter or operator, a value that is none."),
    "as_of_out_of_range": (400, "A moment that can't be told of; `details.from` is the first that can."),
    "unauthorized": (401, "No credential, more than one, or one that fails."),
    "forbidden": (403, "No rule of the caller's roles has the action, or a field is not the caller's to use."),
    "collection_not_found": (404, "No such collection, or no such route."),
    "document_not_found": (404, "Absent, or not visible to the caller: the two are told alike."),
    "version_not_found": (404, "No such version, no longer kept, or not visible: all told alike."),
    "batch_not_found": (404, "No such batch with a document that the caller can see."),
    "job_not_found": (404, "No such job, or not the caller's to see."),
    "method_not_allowed": (405, "The route takes other methods: see `Allow`."),
    "request_timeout": (408, "Its head or body did not arrive in time; the connection is closed."),
    "conflict": (409, "A key that exists, a concurrent change, or an idempotency key in use."),
    "precondition_failed": (412, "The document is not the one that `If-Match` names."),
    "payload_too_large": (413, "Too large a body, document, transaction or result."),
    "unsupported_media_type": (415, "A body that is no JSON, or is compressed."),
    "schema_validation": (422, "The document breaks its schema; `details.errors` has every place."),
    "hook_rejected": (422, "A hook before the write said no, in its own words."),
    "rate_limited": (429, "Too much at once: ask again after `Retry-After` seconds."),
    "headers_too_large": (431, "Too large a request line or headers, or too many; the connection is closed."),
    "internal_error": (500, "Something went wrong here; the request id leads to the log."),
    "versioning_not_enabled": (501, "The collection keeps no versions."),
    "unavailable": (503, "MongoDB can't be reached or did not say whether a write happened, or there is no room."),
    "timeout": (504, "It took longer than the gateway lets a request take."),
}
# Of every route that asks who is asking.
OF_CALLERS: Final = (
    "bad_request",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "headers_too_large",
    "internal_error",
    "unavailable",
)
_STATUSES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "No valid credential",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Too late",
    409: "Conflict",
    412: "Another document",
    413: "Too large",
    415: "No JSON",
    422: "Not valid",
    429: "Too much",
    431: "Too large a head",
    500: "Internal error",
    501: "Not enabled",
    503: "Unavailable",
    504: "Too slow",
}
_AFTER: Final[Shape] = {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
REQUEST_ID: Final[Shape] = {
    "description": "The caller's own `X-Request-ID` where it is a plain one, else a fresh one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
}
HEADERS: Final[Mapping[int, Mapping[str, Shape]]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    405: {"Allow": {"required": True, "schema": {"type": "string"}}},
    409: {"Retry-After": _AFTER},
    429: {"Retry-After": {"required": True, **_AFTER}},
    503: {"Retry-After": {"required": True, **_AFTER}},
}
_BROKEN: Final = an_object(
    {"field": or_null(text("A dotted path; null where it is not told.")), "code": text(), "message": text()},
    ["field", "code", "message"],
)
DETAILS: Final[Shape] = {
    "type": "object",
    "description": "What a program may want of it. Other keys may come.",
    "properties": {
        "action": text(),
        "collection": text(),
        "fields": a_list(text(), description="As they were sent."),
        "errors": a_list(ref("FieldError")),
        "max_batch_size": {"type": "integer"},
        "requested": {"type": "integer"},
        "matched_at_least": {"type": "integer"},
        "operator": text(),
        "from": or_null(text(format="date-time")),
    },
}


def shapes() -> dict[str, Shape]:
    """Of every error body, batch items included."""
    codes = [*CODES, "partial"]
    entry = {"code": {"enum": codes}, "message": text("For a person."), "details": ref("Details")}
    return {
        "FieldError": _BROKEN,
        "Details": DETAILS,
        "Error": an_object(entry, ["code", "message"]),
    }


class Refusals:
    """The responses that were referred to, each made once."""

    def __init__(self) -> None:
        self.made: dict[str, Shape] = {}

    def of(self, codes: Iterable[str]) -> dict[str, Shape]:
        """By status."""
        found: dict[int, list[str]] = {}
        for code in CODES:  # in the table's order, whatever the caller's
            if code in codes:
                found.setdefault(CODES[code][0], []).append(code)
        return {str(status): self._one(status, some) for status, some in found.items()}

    def _one(self, status: int, codes: list[str]) -> Shape:
        name = ".".join((str(status), *codes))
        self.made[name] = _response(status, codes)
        return ref(name, "responses")


def _response(status: int, codes: list[str]) -> Shape:
    entry: dict[str, Any] = {"allOf": [ref("Error")], "properties": {"code": {"enum": codes}}}
    example = {"error": {"code": codes[0], "message": CODES[codes[0]][1]}}
    told = "\n".join(f"* `{code}`: {CODES[code][1]}" for code in codes)
    return {
        "description": f"{_STATUSES[status]}.\n\n{told}",
        "headers": {"X-Request-ID": ref("X-Request-ID", "headers"), **HEADERS.get(status, {})},
        "content": {"application/json": {"schema": an_object({"error": entry}, ["error"]), "example": example}},
    }
