"""Large answers: what they are expected to hold before they are made, and how they are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from permission_mongo.api.calls import Call
from permission_mongo.operations import (
    Aggregate,
    Compare,
    GetAsOf,
    GetMany,
    GetOne,
    GetVersion,
    ListAsOf,
    ListDeleted,
    ListMany,
    ListVersions,
    Operation,
)
from permission_mongo.principal import Whom
from permission_mongo.shares import LARGE, Share, made_of

_LAST: Final = 64 * 2**10  # bytes: as many are let go before they are taken


def _one(operation: Any) -> int:
    return 1


def _limit(operation: Any) -> int:
    return int(operation.limit)


# The rows that are read for an answer. What is not here reads none, or is a write: those never wait.
_ROWS: Final[Mapping[type, Callable[[Any], int]]] = {
    GetOne: _one,
    GetAsOf: _one,
    GetVersion: _one,
    Compare: lambda operation: 2,
    Aggregate: _one,
    GetMany: lambda operation: len(operation.ids),
    ListMany: _limit,
    ListAsOf: _limit,
    ListDeleted: _limit,
    ListVersions: _one,
}


def share_of(call: Call, operation: Operation) -> Share | None:
    """What it has to wait for; None for what is no read, and for what is known to be small."""
    count = _ROWS.get(type(operation))
    if count is None:
        return None
    rows, gateway, name = count(operation), call.gateway, operation.collection.name
    seen = gateway.sizes[made_of(name) if type(operation) is Aggregate else name]
    if seen.is_known and seen.expected(rows) < LARGE:
        return None
    left = call.request.is_disconnected
    return Share(gateway.budget, seen, rows, gateway.config.limits.max_result_bytes, whom_of(call), left)


def whom_of(call: Call) -> Whom | None:
    return None if call.asked is None else call.asked.principal.whom


async def deliver(response: Response, call: Call, send: Send) -> None:
    """Send it; what is large is counted until it is taken, or nobody is there to take it."""
    size = (
        0 if isinstance(response, StreamingResponse) else len(response.body)
    )  # of a stream there is one part at a time
    if call.share is None and size < LARGE:
        return await response(call.request.scope, call.request.receive, send)
    if call.share is None:
        call.share = Share(
            call.gateway.budget, call.gateway.sizes[()], 0, 0, whom_of(call), call.request.is_disconnected
        )
    call.share.settle(size)
    if size < LARGE:
        return await response(call.request.scope, call.request.receive, send)
    body = memoryview(response.body)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": body[:-_LAST], "more_body": True})
    # The server takes this only once most of the other was taken from it.
    await send({"type": "http.response.body", "body": body[-_LAST:]})
