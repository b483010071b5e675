"""Everything that can be raised instead of a result.

ClientError
├── Refused                 the gateway answered, and said no
│   ├── BadRequest          400 bad_request
│   │   └── AsOfOutOfRange  400 as_of_out_of_range
│   ├── Unauthenticated     401 unauthorized
│   ├── Forbidden           403 forbidden
│   ├── NotFound            404 document_not_found, and collection, version, batch, job
│   ├── Conflict            409 conflict
│   ├── PreconditionFailed  412 precondition_failed
│   ├── TooLarge            413 payload_too_large
│   ├── Invalid             422 schema_validation
│   │   └── HookRejected    422 hook_rejected
│   ├── RateLimited         429 rate_limited
│   ├── NotVersioned        501 versioning_not_enabled
│   ├── Unavailable         502, 503 unavailable
│   │   └── TimedOut        504 timeout
│   └── ServerError         500 internal_error, and any other 5xx
├── PartlyDone              207: some of a batch was done and some was not; `result` tells both
├── Unreachable             no answer came, and nothing was changed
├── Unclear                 no answer came to a write, or none that tells: it may have been done or not
├── NotUnderstood           something answered that no gateway answers
└── Unsendable              what was asked for can't be sent as a request; nothing was sent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from permission_mongo.client.results import BatchResult


def _revived(kind: type[ClientError], state: dict[str, Any]) -> ClientError:
    error = kind.__new__(kind, state["message"])
    error.args = (state["message"],)
    vars(error).update(state)
    return error


class ClientError(Exception):
    """`code` is stable and for programs, `message` a sentence for people, `details` what the code says more.

    `status` is that of the answer, None where none came. `request_id` leads to the gateway's log and audit.
    """

    code: str = "client_error"

    def __init__(self, message: str, *, request_id: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = {}
        self.status = status
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Taken from one process to another as it is: else a pool of processes breaks where one of them fails."""
        return _revived, (type(self), dict(vars(self)))

    def __str__(self) -> str:
        known = [str(self.status)] if self.status is not None else []
        known += [self.code] if self.code != "client_error" else []
        known += [f"request {self.request_id}"] if self.request_id else []
        return f"{self.message} ({', '.join(known)})" if known else self.message


class Refused(ClientError):
    """The gateway answered and said no, or something before it: then `code` begins with `http_`.

    `retry_after` is in how many seconds it wants to be asked again, None where it did not say.
    """

    statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, status=status)
        self.code = code
        self.status: int = status
        self.details = {} if details is None else details
        self.retry_after = retry_after


class BadRequest(Refused):
    """The request is wrong in itself: an unknown operator, a bad id, a batch too large."""

    statuses = (400, 405, 408, 415, 431)


class AsOfOutOfRange(BadRequest):
    """`as_of` names a moment of which not all is known; `details["from"]` is the first that can be asked."""


class Unauthenticated(Refused):
    """No credential, or one that is not good. A token that is a callable was asked anew once."""

    statuses = (401,)


class Forbidden(Refused):
    """No rule of the caller's roles lets it do this, or a field is not the caller's to use."""

    statuses = (403,)


class NotFound(Refused):
    """Absent, or not the caller's to see: the two are told alike. `code` says what was not found."""

    statuses = (404,)


class Conflict(Refused):
    """A key that exists, others who changed the same documents, or an idempotency key of another request."""

    statuses = (409,)


class PreconditionFailed(Refused):
    """The document is not the one that `if_match` names."""

    statuses = (412,)


class TooLarge(Refused):
    """More than the gateway takes, or answers, at once."""

    statuses = (413,)


class Invalid(Refused):
    """The document breaks its schema: `errors` has each place."""

    statuses = (422,)

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """`{"field", "code", "message"}` each; empty where a hook said no."""
        found = self.details.get("errors")
        return found if isinstance(found, list) else []


class HookRejected(Invalid):
    """A hook before the write said no."""


class RateLimited(Refused):
    """Too much at once by this caller. It was asked again until the time was over; nothing was done."""

    statuses = (429,)


class NotVersioned(Refused):
    """The collection keeps no versions."""

    statuses = (501,)


class Unavailable(Refused):
    """The gateway, its MongoDB or something before it does not serve at present; it was asked again."""

    statuses: ClassVar[tuple[int, ...]] = (502, 503)


class TimedOut(Unavailable):
    """It took longer than the gateway lets a query take. By the code `timeout` a write was not done."""

    statuses = (504,)


class ServerError(Refused):
    """The gateway failed; `request_id` leads to its log."""

    statuses = (500,)


class PartlyDone(ClientError):
    """Some of a batch was done, and some was not.

    `result` is what the method would have returned: what was done, what was missing, what failed and why.
    """

    code = "partial"

    def __init__(self, message: str, result: BatchResult, *, status: int | None, request_id: str | None) -> None:
        super().__init__(message, request_id=request_id, status=status)
        self.result = result


class Unreachable(ClientError):
    """No answer came. Of a write: it was never sent, so it was not done."""

    code = "unreachable"


class Unclear(ClientError):
    """A write that may have been done or not: nobody here knows.

    To find out, send the same again with `idempotency_key=error.idempotency_key`: it takes effect at most once, and the
    gateway keeps keys for a day. `last` is what the last attempt came to. The key is None of a request that takes none.
    """

    code = "unclear"

    def __init__(self, message: str, last: ClientError, *, idempotency_key: str | None, request_id: str | None) -> None:
        super().__init__(message, request_id=request_id, status=last.status)
        self.last = last
        self.idempotency_key = idempotency_key


class NotUnderstood(ClientError):
    """Something answered that no gateway answers: no JSON, another shape, a redirect (none is followed)."""

    code = "not_understood"


class Unsendable(ClientError, ValueError):
    """What was asked for can't be sent: an id that no path can hold, a value that is no JSON. Nothing was sent."""

    code = "unsendable"


_BY_CODE: Final[Mapping[str, type[Refused]]] = {
    "as_of_out_of_range": AsOfOutOfRange,
    "hook_rejected": HookRejected,
}
_BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    status: kind
    for kind in (
        BadRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        PreconditionFailed,
        TooLarge,
        Invalid,
        RateLimited,
        NotVersioned,
        Unavailable,
        TimedOut,
        ServerError,
    )
    for status in kind.statuses
}


def kind_of(status: int, code: str) -> type[Refused]:
    """The class of a refusal. A status that is not known stands with those of its hundred."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status) or (ServerError if status >= 500 else BadRequest)
