"""For callers of the Atlas Data API, which ended in September 2025: its paths, bodies and answers, under our rules.

Each action is read into an operation of ours by the functions that read our own routes; what it can't tell in that
API's words is refused, and never told as something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from permission_mongo.api.calls import Call
from permission_mongo.api.doors.atlas_answers import answer, answer_of_many, refuse
from permission_mongo.api.doors.atlas_requests import (
    Asked,
    read_asked,
    read_deletion,
    read_find,
    read_find_one,
    read_insertion,
    read_insertions,
    read_pipeline_of,
    read_replacement,
    read_update,
)
from permission_mongo.api.doors.entrance import Entrance
from permission_mongo.api.doors.passage import batch_shown_to, partly, shown_to
from permission_mongo.api.manners import Manner
from permission_mongo.errors import PayloadTooLarge
from permission_mongo.operations import Filtered, Operation
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import ShownDocument, ShownPage, ShownRows

_EJSON: Final = b"application/ejson"


async def _asked(call: Call, *keys: str) -> tuple[Asking, Asked]:
    """Who asks and what, in the namespace that the body names. What it names is the collection from here on."""
    found: list[Asked] = []

    async def where() -> str:
        call.parameters.require_known(())
        found.append(read_asked(await call.body(_EJSON), keys))
        return found[0].namespace(call.gateway.config)

    asking = await call.asking(where=where)
    call.request.path_params["collection"] = found[0].collection
    return asking, found[0]


# -- reads


async def find_one(call: Call) -> Response:
    asking, asked = await _asked(call, "filter", "projection")
    shown, _ = await shown_to(call, read_find_one(asked, call.collection, call.gateway.config.limits), asking)
    assert isinstance(shown, ShownPage)  # noqa: S101  (a list leads to nothing else)
    return answer(call, 200, {"document": next(iter(shown.documents), None)})


async def find(call: Call) -> Response:
    asking, asked = await _asked(call, "filter", "projection", "sort", "limit", "skip")
    operation, wanted = read_find(asked, call.collection, call.gateway.config.limits)
    shown, _ = await shown_to(call, operation, asking)
    assert isinstance(shown, ShownPage)  # noqa: S101  (a list leads to nothing else)
    if shown.has_more and len(shown.documents) < wanted:
        # There is no cursor to go on with: less than what was asked for would be taken for all of it.
        most = len(shown.documents)
        raise PayloadTooLarge(f"only {most} of these documents fit into one answer; use 'limit' and 'skip'", fits=most)
    return await answer_of_many(call, shown.documents)


async def aggregate(call: Call) -> Response:
    asking, asked = await _asked(call, "pipeline")
    config = call.gateway.config
    operation = read_pipeline_of(asked, call.collection, config.collections, config.limits)
    shown, _ = await shown_to(call, operation, asking)
    assert isinstance(shown, ShownRows)  # noqa: S101  (an aggregation leads to nothing else)
    return await answer_of_many(call, shown.rows)


# -- writes


async def insert_one(call: Call) -> Response:
    asking, asked = await _asked(call, "document")
    shown, headers = await shown_to(
        call, read_insertion(asked, call.reason, call.collection, call.gateway.fresh), asking
    )
    assert isinstance(shown, ShownDocument)  # noqa: S101  (a creation leads to nothing else)
    return answer(call, 201, {"insertedId": shown.document["_id"]}, headers)


async def insert_many(call: Call) -> Response:
    """All of them or none: there is no answer for some."""
    asking, asked = await _asked(call, "documents")
    gateway = call.gateway
    operation = read_insertions(asked, call.reason, call.collection, gateway.config.limits, gateway.fresh)
    outcome, headers = await _batch(call, operation, asking)
    return answer(call, 201, {"insertedIds": outcome.done}, headers)


async def update_first(call: Call) -> Response:
    return await _update(call, first=True)


async def update_all(call: Call) -> Response:
    return await _update(call, first=False)


async def _update(call: Call, *, first: bool) -> Response:
    asking, asked = await _asked(call, "filter", "update", "upsert")
    gateway = call.gateway
    return await _changed(
        call, read_update(asked, call.reason, call.collection, gateway.config.limits, gateway.fresh), asking, first
    )


async def replace_first(call: Call) -> Response:
    asking, asked = await _asked(call, "filter", "replacement", "upsert")
    gateway = call.gateway
    operation = read_replacement(asked, call.reason, call.collection, gateway.config.limits, gateway.fresh)
    return await _changed(call, operation, asking, True)


async def _changed(call: Call, operation: Filtered, asking: Asking, first: bool) -> Response:
    outcome, headers = await _batch(call, _of_first(operation) if first else operation, asking)
    if outcome.verb == "created":
        return answer(call, 200, {"matchedCount": 0, "modifiedCount": 0, "upsertedId": outcome.done[0]}, headers)
    return answer(call, 200, {"matchedCount": outcome.met, "modifiedCount": outcome.count}, headers)


async def delete_first(call: Call) -> Response:
    return await _delete(call, first=True)


async def delete_all(call: Call) -> Response:
    return await _delete(call, first=False)


async def _delete(call: Call, *, first: bool) -> Response:
    asking, asked = await _asked(call, "filter")
    gateway = call.gateway
    operation = read_deletion(asked, call.reason, call.collection, gateway.config.limits, gateway.fresh)
    outcome, headers = await _batch(call, _of_first(operation) if first else operation, asking)
    return answer(call, 200, {"deletedCount": outcome.count}, headers)


def _of_first(operation: Filtered) -> Filtered:
    return replace(operation, options=replace(operation.options, first=True))


async def _batch(call: Call, operation: Operation, asking: Asking) -> tuple[BatchOutcome, Mapping[str, str]]:
    """What a batch did, where it did all."""
    outcome, headers = await batch_shown_to(call, operation, asking)
    if outcome.is_partial:
        raise partly(outcome)
    return outcome, headers


_AT: Final = "/app/{app}/endpoint/data/v1/action"
ENTRANCE: Final = Entrance(
    (
        ("POST", f"{_AT}/findOne", find_one),
        ("POST", f"{_AT}/find", find),
        ("POST", f"{_AT}/insertOne", insert_one),
        ("POST", f"{_AT}/insertMany", insert_many),
        ("POST", f"{_AT}/updateOne", update_first),
        ("POST", f"{_AT}/updateMany", update_all),
        ("POST", f"{_AT}/replaceOne", replace_first),
        ("POST", f"{_AT}/deleteOne", delete_first),
        ("POST", f"{_AT}/deleteMany", delete_all),
        ("POST", f"{_AT}/aggregate", aggregate),
    ),
    # The first two are what the pages of that API name, and what its client for Node sends.
    Manner(frozenset({b"apikey", b"api-key", b"x-api-key"}), frozenset({b"jwttokenstring"}), refuse),
)
