"""For callers of the Mixpeek API: its documents, one by one and in batches.

A collection there is a collection here, and the id of a document its `_id`. What a request names is read by the
functions that read our own routes, and what can't be told in that API's words is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from starlette.responses import Response

from permission_mongo.api.calls import IF_MATCH, IF_NONE_MATCH, MERGE_PATCH, Call
from permission_mongo.api.doors import mixpeek_answers as answers
from permission_mongo.api.doors import mixpeek_requests as requests
from permission_mongo.api.doors.entrance import Entrance
from permission_mongo.api.doors.mixpeek_requests import Looks
from permission_mongo.api.doors.passage import batch_shown_to, shown_to
from permission_mongo.api.endpoints import answered
from permission_mongo.api.manners import Manner
from permission_mongo.api.render import JSON, respond, unless_known
from permission_mongo.errors import Forbidden, InvalidRequest, PayloadTooLarge
from permission_mongo.operations import CreateOne, DeleteMany, GetOne, UpdateMany, UpdateOne
from permission_mongo.outcomes import BatchOutcome, Deleted
from permission_mongo.parsing.documents import read_delete_one
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import ShownDocument, ShownMany, ShownPage
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import write_json

Of = TypeVar("Of", DeleteMany, UpdateMany)
_WHERE: Final = "namespace"
_IN_A_TURN: Final = 100  # documents, between which other callers have theirs


async def _asking(call: Call, takes: bytes | None = None) -> Asking:
    """Who asks; the namespace is named by the header or by the query string."""
    named = _namespace(call)
    if named is None:
        return await call.asking(takes)

    async def where() -> str:
        return named

    return await call.asking(takes, where)


def _namespace(call: Call) -> str | None:
    try:
        return call.parameters.get(_WHERE)
    except InvalidRequest:
        return None  # told once it is known who asks


def _require_no_parameters(call: Call) -> None:
    call.parameters.require_known((_WHERE,))


# -- single documents


async def get_document(call: Call) -> Response:
    asking, collection = await _asking(call, IF_NONE_MATCH), call.collection
    looks, known = requests.read_looks(call.parameters), call.tags(IF_NONE_MATCH)
    response = await _shown(call, requests.read_get(call.path("id"), collection, looks), asking, looks)
    return unless_known(response, known)


async def create_document(call: Call) -> Response:
    asking, collection = await _asking(call), call.collection
    _require_no_parameters(call)
    operation = requests.read_creation(await call.body(), call.reason, collection, call.gateway.fresh)
    return await _shown(call, operation, asking, Looks())


async def update_document(call: Call) -> Response:
    asking, collection = await _asking(call, IF_MATCH), call.collection
    _require_no_parameters(call)
    operation = requests.read_change(call.path("id"), await call.body(MERGE_PATCH), call.conditions, collection)
    return await _shown(call, operation, asking, Looks())


async def delete_document(call: Call) -> Response:
    asking, collection = await _asking(call, IF_MATCH), call.collection
    _require_no_parameters(call)
    operation = read_delete_one(call.path("id"), await call.body(), call.conditions, collection)
    shown, headers = await shown_to(call, operation, asking)
    assert isinstance(shown, Deleted)  # noqa: S101  (a deletion leads to nothing else)
    return respond(200, {"message": "Successfully deleted", "success": True}, dict(headers))


async def _shown(call: Call, operation: GetOne | CreateOne | UpdateOne, asking: Asking, looks: Looks) -> Response:
    shown, headers = await shown_to(call, operation, asking)
    assert isinstance(shown, ShownDocument)  # noqa: S101  (these lead to nothing else)
    tag = {} if shown.tag is None else {"etag": shown.tag}
    return respond(200, answers.told_of(shown.document, operation.collection, looks), {**headers, **tag})


async def list_documents(call: Call) -> Response:
    asking, collection = await _asking(call), call.collection
    limits = call.gateway.config.limits
    operation, looks = requests.read_listing(await call.body(), call.parameters, collection, limits)
    shown, _ = await shown_to(call, operation, asking)
    assert isinstance(shown, ShownPage)  # noqa: S101  (a list leads to nothing else)
    return answers.listing(shown, operation, (answers.told_of(one, collection, looks) for one in shown.documents))


# -- batches


async def delete_documents(call: Call) -> Response:
    return answers.deletion(*await _batch(call, requests.read_deletion))


async def update_documents(call: Call) -> Response:
    return answers.updates(*await _batch(call, requests.read_updates))


async def update_matching(call: Call) -> Response:
    return answers.updates(*await _batch(call, requests.read_update_of_all, MERGE_PATCH))


async def _batch(
    call: Call, read: Callable[[bytes, str | None, Collection, Limits, Fresh], Of], takes: bytes = b"application/json"
) -> tuple[BatchOutcome, Of, Mapping[str, str]]:
    asking, collection, gateway = await _asking(call), call.collection, call.gateway
    _require_no_parameters(call)
    operation = read(await call.body(takes), call.reason, collection, gateway.config.limits, gateway.fresh)
    outcome, headers = await batch_shown_to(call, operation, asking)
    return outcome, operation, headers


# -- of all collections


async def get_documents(call: Call) -> Response:
    """From each collection that the caller may read. An id that several have is shown of each."""
    asking, limits = await _asking(call), call.gateway.config.limits
    _require_no_parameters(call)
    named, looks = requests.read_named(await call.body(), limits)
    found, parts, size = set[str](), list[bytes](), 0
    for collection in _readable(call, asking):
        documents = await _found(call, asking, collection, named, looks)
        for n, (texts, document) in enumerate(documents, 1):
            found.update(texts)
            parts.append(write_json(answers.told_of(document, collection, looks)))
            size += len(parts[-1])
            if size > limits.max_result_bytes:
                most = limits.max_result_bytes
                raise PayloadTooLarge(f"these documents have more than {most} bytes; ask for fewer")
            if not n % _IN_A_TURN:
                await asyncio.sleep(0)
    missing = write_json([one for one in named if one not in found])
    body = b"".join((b'{"documents":[', b",".join(parts), b'],"not_found":', missing, b"}"))
    return Response(body, 200, None, JSON)


def _readable(call: Call, asking: Asking) -> list[Collection]:
    """Those in which a rule lets the caller read anything. Forbidden where there is none."""
    callers = call.gateway.planner.callers
    every = call.gateway.config.collections.values()
    found = [one for one in every if not callers.speaking(asking, one, "read").is_void]
    if not found:
        raise Forbidden("no rule of your roles allows read in any collection", action="read")
    return found


async def _found(
    call: Call, asking: Asking, collection: Collection, named: tuple[str, ...], looks: Looks
) -> list[tuple[list[str], Any]]:
    """The visible ones, each with how it was named. None for who needs a tenant there, and has none."""
    operation, written = requests.reading_of(named, collection, looks)
    if not operation.ids:
        return []
    try:
        shown = await answered(call, operation, asking)
    except Forbidden:
        return []
    finally:
        if call.share is not None:  # the next one waits for its own
            call.share.leave()
            call.share = None
    assert isinstance(shown, ShownMany)  # noqa: S101  (a read of many leads to nothing else)
    return [(written[one["_id"]], one) for one in shown.documents]


_AT: Final = "/v1/collections/{collection}/documents"
ENTRANCE: Final = Entrance(
    (
        ("POST", "/v1/documents/batch-get", get_documents),
        ("DELETE", f"{_AT}/batch", delete_documents),
        ("POST", f"{_AT}/batch", update_documents),
        ("PUT", f"{_AT}/batch", update_documents),
        ("PATCH", f"{_AT}/bulk", update_matching),
        ("POST", f"{_AT}/list", list_documents),
        ("GET", _AT, list_documents),
        ("POST", _AT, create_document),
        ("GET", f"{_AT}/{{id}}", get_document),
        ("PATCH", f"{_AT}/{{id}}", update_document),
        ("PUT", f"{_AT}/{{id}}", update_document),
        ("DELETE", f"{_AT}/{{id}}", delete_document),
    ),
    Manner(frozenset({b"x-api-key"}), frozenset(), answers.refuse, bears_keys=True),
)
