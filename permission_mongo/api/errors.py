"""Refusals -> status codes: one table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from permission_mongo.errors import RateLimited, Refusal, StillRunning
from permission_mongo.logs import places_of

_LOG: Final = logging.getLogger("permission_mongo.api")
STATUS: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "as_of_out_of_range": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "collection_not_found": 404,
    "document_not_found": 404,
    "version_not_found": 404,
    "batch_not_found": 404,
    "job_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "precondition_failed": 412,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "schema_validation": 422,
    "hook_rejected": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "versioning_not_enabled": 501,
    "unavailable": 503,
    "timeout": 504,
}
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "unauthorized": {"www-authenticate": "Bearer"},
    "unavailable": {"retry-after": "1"},
    "rate_limited": {"retry-after": "1"},
}


def headers_of(refusal: Refusal) -> Mapping[str, str]:
    """What a refusal says in headers."""
    if isinstance(refusal, RateLimited) and "retry_after" in refusal.details:
        return {"retry-after": str(refusal.details["retry_after"])}
    return {"retry-after": "1"} if isinstance(refusal, StillRunning) else HEADERS.get(refusal.code, {})


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"


class RequestTimeout(Refusal):
    """What was to be sent did not come in time."""

    code = "request_timeout"


class HeadersTooLarge(Refusal):
    code = "headers_too_large"


class InternalError(Refusal):
    """Ours. Tells no server text and no stack; the request id leads to the log."""

    code = "internal_error"


def unforeseen(error: Exception, request_id: str) -> InternalError:
    """The log gets the places of the code and the kind of error; its text may hold values, hosts or keys."""
    _LOG.error("request %s failed: %s at %s", request_id, type(error).__name__, places_of(error))
    return InternalError("something went wrong here; the request id leads to the log")
