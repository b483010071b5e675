"""What MongoDB and its driver say -> what a caller is told. No server text gets through: it holds hosts and values."""

from __future__ import annotations

from typing import Final

from bson.errors import InvalidBSON
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from permission_mongo.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidRequest,
    NoConnectionFree,
    PayloadTooLarge,
    Refusal,
    SchemaViolation,
    Unavailable,
)
from permission_mongo.storage.transactions import Contended, Late, Lost

DUPLICATE: Final = 11000
_TOO_LARGE: Final = frozenset({2, 10334, 17419, 17420})
_UNSTORABLE: Final = frozenset({52, 55, 56, 57})  # names with `$` or dots, as writers beside the gateway make them
# A server that starts, ends, changes its place or has lost others, or gave up an operation for reasons of its own.
_ELSEWHERE: Final = frozenset(
    {6, 7, 24, 43, 46, 89, 91, 134, 175, 189, 237, 239, 246, 262, 9001, 10107, 11600, 11601, 11602, 13435, 13436}
)
_TOO_MUCH_FOR_ONE: Final = frozenset({251, 257, 388})


class refusing:
    """Turns the driver's errors into refusals; what is not foreseen stays as it is, and becomes a 500.

    A class, for around each request a generator would cost thrice as much.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PyMongoError | InvalidBSON | Contended | Lost | TimeoutError):
            refusal = refusal_of(error)
            if refusal is not None:
                raise refusal from error


def told_or_raised(error: Exception, *, after_some: bool) -> Refusal:
    """Of a batch that can't go on: what was done stays and is told with this; with nothing done the error is all."""
    refusal = error if isinstance(error, Refusal) else refusal_of(error)
    if refusal is None or not after_some:
        raise error
    return refusal


def refusal_of(error: Exception) -> Refusal | None:
    """The refusal for a driver's error; None where it is a defect of ours."""
    match error:
        case Contended():
            return Conflict("others changed the same documents at the same time; try again")
        case Lost():
            return Unavailable("MongoDB did not say whether the write happened; look before you repeat it")
        case Late():
            return DeadlineExceeded("the write could not be committed within limits.query_timeout; nothing was written")
        case TimeoutError():
            return DeadlineExceeded("the query took longer than limits.query_timeout")
        case InvalidBSON():
            return Conflict("a stored document holds what can't be read, as a UUID of another length")
        case DuplicateKeyError():
            return Conflict("a document with this key exists")
        case DocumentTooLarge():
            return PayloadTooLarge("the document is too large to be kept with its versions")
        case BulkWriteError():
            return None if duplicate_index(error) is None else Conflict("a document with this key exists")
        case WaitQueueTimeoutError():
            return NoConnectionFree("MongoDB can't be reached just now")
        case ServerSelectionTimeoutError():
            return Unavailable("MongoDB can't be reached just now")
        case PyMongoError() if error.timeout:
            return DeadlineExceeded("the query took longer than limits.query_timeout")
        case OperationFailure():
            return _of_code(error.code)
        case ConnectionFailure():
            return Unavailable("MongoDB can't be reached just now")
        case _:
            return None


def _of_code(code: int | None) -> Refusal | None:
    if code == 50:  # MaxTimeMSExpired
        return DeadlineExceeded("the query took longer than limits.query_timeout")
    if code == 112:  # WriteConflict
        return Conflict("others changed the same documents at the same time; try again")
    if code == 51091:  # a pattern that is none: only a caller's can be, where the collection takes any
        return InvalidRequest("the filter holds a pattern that is no regular expression")
    if code in _TOO_LARGE:
        return PayloadTooLarge("the document is too large to be kept with its versions")
    if code in _UNSTORABLE:
        return SchemaViolation("the document holds a field that can't be stored again")
    if code in _ELSEWHERE:
        return Unavailable("MongoDB can't serve this just now")
    if code in _TOO_MUCH_FOR_ONE:
        return PayloadTooLarge("too much for one transaction; send fewer or smaller documents")
    return None


def duplicate_index(error: BulkWriteError) -> int | None:
    """The place of the document whose key exists already; None if the error is another one."""
    written = (error.details or {}).get("writeErrors", [])
    return next((one["index"] for one in written if one.get("code") == DUPLICATE), None)
