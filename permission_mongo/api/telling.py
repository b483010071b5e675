"""What an operator is told of one request: the log's line and the trace's span. Neither holds a path or an id."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.responses import Response

from permission_mongo.api.addresses import client_address
from permission_mongo.api.calls import Call
from permission_mongo.logs import Line
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.spans import Spans

_WRITES: Final = frozenset(
    {"create", "update", "delete", "restore", "purge", "undo", "cancel_job", "sync_hierarchy", "write_policy"}
)
_PARENTS: Final = (b"traceparent", b"tracestate")


def writes(action: str) -> bool:
    return action in _WRITES


def line_of(call: Call, action: str, route: str, status: int, seconds: float) -> Line:
    """With who asked, and of what. Of a name that is not declared nothing: it is whatever a caller sends."""
    told: dict[str, str | None] = {
        "action": action,
        "code": call.refused,
        "request": call.request_id,
        "collection": collection_of(call),
        "trace": call.trace,
        "ip": client_address(call.request),
    }
    if call.asked is not None:
        principal = call.asked.principal
        told["subject"], told["tenant"], told["credential"] = principal.subject, principal.tenant, principal.kind
        namespace = call.gateway.planner.engine.namespace
        told["namespace"] = None if namespace == DEFAULT_NAMESPACE else namespace
    about = {name: value for name, value in told.items() if value is not None}
    return Line(call.request.scope["method"], route, status, seconds, about)


def collection_of(call: Call) -> str | None:
    """The declared collection of the path."""
    named = call.request.path_params.get("collection")
    return named if named in call.gateway.config.collections else None


async def traced(spans: Spans, call: Call, route: str, answering: Awaitable[Response]) -> Response:
    """The answer, made within a span of its own."""
    scope = call.request.scope
    with spans.serving(scope["method"], route, _parent(scope["headers"])) as span:
        call.trace = span.trace
        response = await answering
        span.tell("http.response.status_code", response.status_code)
        span.tell("permission_mongo.request_id", call.request_id)
        collection = collection_of(call)
        if collection is not None:
            span.tell("permission_mongo.collection", collection)
        if call.refused is not None:
            span.tell("permission_mongo.code", call.refused)
        if response.status_code >= 500:
            span.fail(str(response.status_code))
        return response


def _parent(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers of W3C Trace Context. None where one of them comes twice: nobody knows which is meant."""
    found = [(name.decode(), value.decode("latin-1")) for name, value in headers if name in _PARENTS]
    return {} if len(found) > len(dict(found)) else dict(found)
