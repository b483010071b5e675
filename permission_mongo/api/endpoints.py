"""The routes' own lines: who asks, what is asked, what is shown."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from permission_mongo import metrics
from permission_mongo.api.calls import IF_MATCH, IF_NONE_MATCH, MERGE_PATCH, Call
from permission_mongo.api.events import events_of
from permission_mongo.api.large import share_of
from permission_mongo.api.render import render, respond, unless_known
from permission_mongo.errors import InvalidRequest
from permission_mongo.openapi.document import public_description
from permission_mongo.operations import (
    Describe,
    GetMany,
    GetOne,
    ListMany,
    OfFiles,
    Operation,
    Service,
    TellMatrix,
    TellMe,
    TellPolicy,
)
from permission_mongo.parsing.aggregates import read_aggregate
from permission_mongo.parsing.audit import read_list_audit
from permission_mongo.parsing.batches import (
    read_create_many,
    read_delete_many,
    read_get_many,
    read_undo,
    read_update_many,
)
from permission_mongo.parsing.documents import (
    read_compare,
    read_create_one,
    read_delete_one,
    read_get_one,
    read_get_version,
    read_list_versions,
    read_patch_one,
    read_purge_one,
    read_put_one,
    read_restore_one,
)
from permission_mongo.parsing.explain import read_explain
from permission_mongo.parsing.hierarchy import read_sync
from permission_mongo.parsing.jobs import read_cancel_job, read_get_job, read_list_jobs
from permission_mongo.parsing.lists import read_count, read_list_deleted, read_list_of, read_query
from permission_mongo.parsing.once import HEADER
from permission_mongo.parsing.policy import read_check_policy, read_compare_policy, read_run_tests, read_write_policy
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import Shown
from permission_mongo.rates import owed_for


async def answered(call: Call, operation: Operation, asking: Asking, *, waits: bool = True) -> Shown:
    """What is shown: the one way by which any request about documents is asked, counted and paid for."""
    if call.keys:
        asking = call.keyed(asking, operation)
    if call.payers:
        call.pay_for(operation)
    if isinstance(operation, GetOne | GetMany | ListMany) and operation.presign:
        asking = replace(asking, base=str(call.request.base_url).rstrip("/"))
    call.share = share_of(call, operation)
    if call.share is not None:
        asking = replace(asking, share=call.share)
    shown = await call.gateway.answer(operation, asking, waits=waits)
    if call.payers:
        call.gateway.rates.owe(call.payers, owed_for(operation, shown))
    return shown


async def _answer(call: Call, operation: Operation, asking: Asking, *, waits: bool = True) -> Response:
    return render(await answered(call, operation, asking, waits=waits), operation.collection.name)


async def _serve(call: Call, operation: Service | OfFiles, asking: Asking) -> Response:
    """What is asked of the gateway itself."""
    if call.keys:
        raise InvalidRequest(f"{HEADER}: this request writes no document")
    return render(await call.gateway.answer(operation, asking), "")


async def get_one(call: Call) -> Response:
    asking = await call.asking(IF_NONE_MATCH)
    known = call.tags(IF_NONE_MATCH)
    operation = read_get_one(call.path("id"), call.parameters, call.collection)
    answer = await _answer(call, operation, asking)
    # An address that is told anew is good for longer.
    return answer if isinstance(operation, GetOne) and operation.presign else unless_known(answer, known)


async def list_many(call: Call) -> Response:
    asking = await call.asking()
    return await _answer(call, read_list_of(call.query_string, call.collection, call.gateway.config.limits), asking)


async def query(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    return await _answer(call, read_query(await call.body(), collection, call.gateway.config.limits), asking)


async def count(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    return await _answer(call, read_count(await call.body(), collection, call.gateway.config.limits), asking)


async def aggregate(call: Call) -> Response:
    asking, collection, config = await call.asking(), call.collection, call.gateway.config
    call.parameters.require_known(())
    return await _answer(call, read_aggregate(await call.body(), collection, config.collections, config.limits), asking)


async def create_one(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    operation = read_create_one(await call.body(), call.reason, collection, call.gateway.fresh)
    return await _answer(call, operation, asking)


async def put_one(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    body = await call.body()
    operation = read_put_one(call.path("id"), body, call.parameters, call.conditions, collection)
    return await _answer(call, operation, asking)


async def patch_one(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    call.parameters.require_known(())
    operation = read_patch_one(call.path("id"), await call.body(MERGE_PATCH), call.conditions, collection)
    return await _answer(call, operation, asking)


async def delete_one(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    call.parameters.require_known(())
    operation = read_delete_one(call.path("id"), await call.body(), call.conditions, collection)
    return await _answer(call, operation, asking)


async def purge_one(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    call.parameters.require_known(())
    operation = read_purge_one(call.path("id"), await call.body(), call.conditions, collection)
    return await _answer(call, operation, asking)


async def create_many(call: Call) -> Response:
    asking, collection, gateway = await call.asking(), call.collection, call.gateway
    call.parameters.require_known(())
    operation = read_create_many(await call.body(), collection, gateway.config.limits, gateway.fresh)
    return await _answer(call, operation, asking)


async def get_many(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    return await _answer(call, read_get_many(await call.body(), collection, call.gateway.config.limits), asking)


async def delete_many(call: Call) -> Response:
    asking, collection, gateway = await call.asking(), call.collection, call.gateway
    call.parameters.require_known(())
    operation = read_delete_many(await call.body(), collection, gateway.config.limits, gateway.fresh)
    return await _answer(call, operation, asking, waits=call.waits)


async def update_many(call: Call) -> Response:
    asking, collection, gateway = await call.asking(), call.collection, call.gateway
    call.parameters.require_known(())
    operation = read_update_many(await call.body(), collection, gateway.config.limits, gateway.fresh)
    return await _answer(call, operation, asking, waits=call.waits)


async def undo(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    operation = read_undo(await call.body(), call.path("batch"), collection, call.gateway.fresh)
    return await _answer(call, operation, asking)


async def list_deleted(call: Call) -> Response:
    asking = await call.asking()
    operation = read_list_deleted(call.parameters, call.collection, call.gateway.config.limits)
    return await _answer(call, operation, asking)


async def list_versions(call: Call) -> Response:
    asking = await call.asking()
    return await _answer(call, read_list_versions(call.path("id"), call.parameters, call.collection), asking)


async def list_jobs(call: Call) -> Response:
    asking = await call.asking()
    return await _serve(call, read_list_jobs(call.parameters), asking)


async def get_job(call: Call) -> Response:
    asking = await call.asking()
    operation = read_get_job(call.path("job"), call.parameters)
    if call.wants_events:
        return await events_of(call, operation, asking)
    return await _serve(call, operation, asking)


async def cancel_job(call: Call) -> Response:
    asking = await call.asking()
    operation = read_cancel_job(call.path("job"), call.parameters)
    await call.no_body()
    return await _serve(call, operation, asking)


async def explain(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, read_explain(await call.body(), call.gateway.config), asking)


async def tell_me(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, TellMe(), asking)


async def describe(call: Call) -> Response:
    """Whoever shows no credential is told what is the same of every gateway, or all, where that is chosen."""
    asking = await call.asking() if call.names_caller else None
    call.parameters.require_known(())
    if asking is None:
        call.pay_by_address()
        return respond(200, public_description(call.gateway.config))
    return await _serve(call, Describe(), asking)


async def tell_policy(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, TellPolicy(), asking)


async def tell_matrix(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, TellMatrix(), asking)


async def check_policy(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, read_check_policy(await call.body()), asking)


async def run_policy_tests(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, read_run_tests(await call.body()), asking)


async def compare_policy(call: Call) -> Response:
    asking = await call.asking()
    call.parameters.require_known(())
    return await _serve(call, read_compare_policy(await call.body()), asking)


async def write_policy(call: Call) -> Response:
    asking = await call.asking(IF_MATCH)
    call.parameters.require_known(())
    return await _serve(call, read_write_policy(await call.body(), call.tags(IF_MATCH)), asking)


async def sync_hierarchy(call: Call) -> Response:
    asking = await call.asking()
    return await _serve(call, read_sync(await call.body(), call.parameters), asking)


async def list_audit(call: Call) -> Response:
    asking = await call.asking()
    return await _serve(call, read_list_audit(call.parameters, call.gateway.config.collections), asking)


async def get_version(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    return await _answer(call, read_get_version(call.path("id"), call.path("version"), collection), asking)


async def compare(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    call.parameters.require_known(())
    operation = read_compare(call.path("id"), call.path("from"), call.path("to"), collection)
    return await _answer(call, operation, asking)


async def restore_one(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    call.parameters.require_known(())
    body = await call.body()
    operation = read_restore_one(call.path("id"), call.path("version"), body, call.conditions, collection)
    return await _answer(call, operation, asking)


async def health(call: Call) -> Response:
    """Touches nothing, tells nothing else."""
    return respond(200, {"status": "ok"})


async def ready(call: Call) -> Response:
    """A refused edit makes no gateway unready: an earlier configuration serves, and all gateways may have the same."""
    gateway = call.gateway
    reachable = await gateway.store.is_reachable()
    if call.streams.are_closing:
        return respond(503, {"status": "ending"})
    policy = "stale" if gateway.in_force.standing.is_stale else "ok"
    checks = {"mongodb": "ok" if reachable else "unavailable", "policy": policy}
    about = {"checks": checks, "policy": gateway.config.policy_digest}
    return respond(200 if reachable else 503, {"status": "ready" if reachable else "not_ready", **about})


async def show_metrics(call: Call) -> Response:
    return Response(call.gateway.metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})
