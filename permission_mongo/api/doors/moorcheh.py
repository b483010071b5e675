"""For callers of the Moorcheh API: deletion of texts and vectors by ids, and what its client calls around it.

A namespace there is a collection here. Which there are is written in schema.yml: none is made or deleted by a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

from starlette.responses import Response

from permission_mongo.api.calls import Call
from permission_mongo.api.doors import moorcheh_answers as answers
from permission_mongo.api.doors import moorcheh_requests as requests
from permission_mongo.api.doors.entrance import Entrance
from permission_mongo.api.doors.moorcheh_requests import Kind, require_kind, vector_of
from permission_mongo.api.doors.passage import batch_shown_to, partly, shown_to
from permission_mongo.api.manners import Manner
from permission_mongo.api.render import respond
from permission_mongo.errors import (
    CollectionNotFound,
    Conflict,
    Forbidden,
    Refusal,
)
from permission_mongo.operations import CountMany, CreateMany, TellMe
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import ShownCount, ShownMany, ShownPage, ShownTold
from permission_mongo.schema.model import Collection

_OF_FIELDS: Final = ("readable", "masked", "writable", "writable_on_create")
_DECLARED: Final = "collections are declared in schema.yml; no request makes or deletes one"


async def _asked(call: Call) -> tuple[Asking, Collection]:
    """Who may do nothing in the collection is refused as if there were none: neither its kind nor its ids are told.

    Before anything else is looked at or paid for: what a request costs would tell as well.
    """
    asking, collection = await call.asking(), call.collection
    if collection.name not in await _abilities(call, asking):
        told = "no rule of your roles allows anything here"
        raise answers.Untold(Forbidden(told, collection=collection.name), collection.name)
    return asking, collection


async def _abilities(call: Call, asking: Asking) -> Mapping[str, Mapping[str, Any]]:
    """The collections in which the caller may do something, with what."""
    told = await call.gateway.answer(TellMe(), asking)
    assert isinstance(told, ShownTold)  # noqa: S101  (nothing else is told of a caller)
    found: Mapping[str, Mapping[str, Any]] = told.told["collections"]
    return found


async def _count(call: Call, asking: Asking, collection: Collection) -> int | None:
    """How many the caller sees; None where that can't be told now. What was done before is done all the same."""
    call.gateway.rates.owe(call.payers, 1)
    try:
        shown = await call.gateway.answer(CountMany(collection), asking)
    except Refusal:
        return None
    assert isinstance(shown, ShownCount)  # noqa: S101  (a count leads to nothing else)
    return shown.count


# -- deletions


async def delete_documents(call: Call) -> Response:
    return await _delete(call, "documents")


async def delete_vectors(call: Call) -> Response:
    return await _delete(call, "vectors")


async def _delete(call: Call, kind: Kind) -> Response:
    asking, collection = await _asked(call)
    gateway = call.gateway
    call.parameters.require_known(())
    require_kind(collection, kind)
    named = requests.read_named(await call.body(), collection, gateway.config.limits)
    operation = requests.deletion_of(named, call.reason, collection, gateway.fresh)
    outcome, headers = await batch_shown_to(call, operation, asking)
    return answers.deletion(outcome, named, await _count(call, asking, collection), headers)


# -- uploads


async def upload_documents(call: Call) -> Response:
    asking, collection = await _asked(call)
    texts, operation = await _upload(call, "documents", collection)
    outcome, headers = await batch_shown_to(call, operation, asking)
    if outcome.is_partial:
        raise partly(outcome)
    return answers.taken(texts, headers)


async def upload_vectors(call: Call) -> Response:
    asking, collection = await _asked(call)
    texts, operation = await _upload(call, "vectors", collection)
    outcome, headers = await batch_shown_to(call, operation, asking)
    return answers.vectors_taken(outcome, texts, headers)


async def _upload(call: Call, kind: Kind, collection: Collection) -> tuple[list[str], CreateMany]:
    """The ids as they were sent, and what is to be stored."""
    call.parameters.require_known(())
    require_kind(collection, kind)
    documents = requests.read_upload(await call.body(), kind, collection, call.gateway.config.limits)
    operation = requests.upload_of(documents, kind, collection, call.reason, call.gateway.fresh)
    return [one["_id"] for one in documents], operation


# -- reads


async def get_documents(call: Call) -> Response:
    asking, collection = await _asked(call)
    call.parameters.require_known(())
    require_kind(collection, "documents")
    named = requests.read_named(await call.body(), collection, call.gateway.config.limits)
    shown, _ = await shown_to(call, requests.reading_of(named, collection), asking)
    assert isinstance(shown, ShownMany)  # noqa: S101  (a reading of many leads to nothing else)
    return answers.items(shown.documents, collection)


async def list_documents(call: Call) -> Response:
    asking, collection = await _asked(call)
    require_kind(collection, "documents")
    operation = requests.read_list_of_texts(call.parameters, collection)
    shown, _ = await shown_to(call, operation, asking)
    assert isinstance(shown, ShownPage)  # noqa: S101  (a list leads to nothing else)
    return answers.page(shown, collection, operation.limit)


async def list_namespaces(call: Call) -> Response:
    """The collections that the caller may read, each with what the caller sees of it."""
    asking = await call.asking()
    call.parameters.require_known(())
    found = []
    for name, abilities in (await _abilities(call, asking)).items():
        collection = call.gateway.config.collections[name]
        if "read" not in abilities["actions"]:
            continue
        vector, count = vector_of(collection), await _count(call, asking, collection)
        told = vector is not None and vector.name in _fields_told(abilities)
        dimension = vector.dimensions if vector is not None and told else None
        found.append(answers.namespace(collection, "documents" if vector is None else "vectors", dimension, count))
    return respond(200, {"namespaces": found})


def _fields_told(abilities: Mapping[str, Any]) -> frozenset[str]:
    """The fields of which the caller is told anything, in some rows at least."""
    every = (abilities, abilities.get("in_some_rows", {}))
    return frozenset(name for one in every for kind in _OF_FIELDS for name in one.get(kind, ()))


# -- what is not here


async def create_namespace(call: Call) -> NoReturn:
    """409 for one that is there, as there: who makes sure of a namespace goes on."""
    asking = await call.asking()
    call.parameters.require_known(())
    name = requests.read_namespace_name(await call.body())
    if name in await _abilities(call, asking):
        raise Conflict(f"the namespace '{name}' exists")
    raise Forbidden(_DECLARED)


async def delete_namespace(call: Call) -> NoReturn:
    await call.asking()
    raise Forbidden(_DECLARED)


def _absent(name: str, sentence: str) -> Callable[[Call], Awaitable[Response]]:
    """A route of that API which is not served: 404, with a sentence that says so."""

    async def endpoint(call: Call) -> NoReturn:
        await call.asking()
        raise CollectionNotFound(sentence)

    endpoint.__name__ = name
    return endpoint


search: Final = _absent("search", "there is no search here: items are uploaded, got, listed and deleted by ids")
answer: Final = _absent("answer", "there are no generated answers here: items are uploaded, got, listed and deleted")
file: Final = _absent("file", "files are not taken here: upload the texts themselves")

_IN: Final = "/namespaces/{collection}"
_ROUTES: Final = (
    ("POST", f"{_IN}/documents/delete", delete_documents),
    ("POST", f"{_IN}/vectors/delete", delete_vectors),
    ("POST", f"{_IN}/documents/get", get_documents),
    ("GET", f"{_IN}/documents/fetch-text-data", list_documents),
    ("POST", f"{_IN}/documents", upload_documents),
    ("POST", f"{_IN}/vectors", upload_vectors),
    ("GET", "/namespaces", list_namespaces),
    ("POST", "/namespaces", create_namespace),
    ("DELETE", _IN, delete_namespace),
    ("POST", f"{_IN}/upload-url", file),
    ("GET", f"{_IN}/list-files", file),
    ("DELETE", f"{_IN}/delete-file", file),
    ("POST", "/search", search),
    ("POST", "/answer", answer),
)
ENTRANCE: Final = Entrance(
    # The client's own address ends in /v1, and its pages name their paths with it and without.
    tuple((method, f"{prefix}{path}", one) for prefix in ("", "/v1") for method, path, one in _ROUTES),
    Manner(frozenset({b"x-api-key"}), frozenset(), answers.refuse),
)
