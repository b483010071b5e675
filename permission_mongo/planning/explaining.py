"""The plan of an explanation: the real plan of the request that is asked about, and every rule beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final
from uuid import UUID

from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Merge
from permission_mongo.errors import Forbidden, InvalidRequest, Refusal
from permission_mongo.explanations import Another, Considered, ExplainPlan, Needed
from permission_mongo.operations import (
    Alike,
    ByFilter,
    CountMany,
    DeleteMany,
    DeleteOne,
    Explain,
    GetOne,
    PurgeOne,
    RestoreOne,
    UpdateMany,
    UpdateOne,
)
from permission_mongo.planning.abilities import abilities_of, reach_or_none
from permission_mongo.planning.callers import Asking, Callers, require_paths
from permission_mongo.planning.deletes import plan_delete, plan_delete_one, plan_purge
from permission_mongo.planning.history import plan_restore
from permission_mongo.planning.reads import asked_reach, plan_count, plan_get, require_stored
from permission_mongo.planning.updates import plan_update, plan_update_many
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.guard import Guarded, narrow, narrow_bound, narrow_content
from permission_mongo.policy.nodes import ALWAYS, Expression
from permission_mongo.policy.rules import Action, Rule
from permission_mongo.query.filters import Query
from permission_mongo.values import MongoFilter
from permission_mongo.versions import lives_of

_NO_UUID: Final = UUID(int=0)  # nothing is stored of what is made with it
_NO_ID: Final = ""
_BATCH: Final = Batch("0" * 32)
_NOTHING: Final = Merge({})
_ALSO_READ: Final = ("update", "delete", "restore", "aggregate", "purge")  # what needs a right to read as well
_ONE_ALONE: Final = ("restore", "purge")


def plan_explain(operation: Explain, asking: Asking, callers: Callers) -> ExplainPlan:
    """Forbidden without the system right, or for claims that are not the asker's to ask about.

    What the caller in question would be refused is no refusal here, but part of the answer; a filter that it may not
    ask is refused as its list would be.
    """
    whom, sees_all = _in_question(operation, asking, callers)
    collection, action = operation.collection, operation.action
    needed: tuple[Action, ...] = (action, "read") if action in _ALSO_READ else (action,)
    needs = tuple(_needed(operation, one, whom, callers) for one in needed)
    asked, refusal = _match(operation, whom, callers)
    live, ended = _looked_for(operation, asking, whom, callers, sees_all=sees_all)
    return ExplainPlan(
        collection=collection,
        action=action,
        id=operation.id,
        principal=whom.principal,
        bindings=whom.bindings(),
        roles=tuple(sorted(callers.roles_of(whom))),
        inherited=tuple(sorted(callers.policy.engine.roles_of(callers.roles_of(whom)))),
        crosses=callers.crosses_tenants(whom),
        needs=needs,
        others=tuple(_others(operation, needed, whom, callers)),
        match=None if asked is None else asked.also(_id_is(operation)),
        refusal=refusal,
        sees_all=sees_all,
        live=live,
        # What the request is refused for by policy text alone is no way to learn what was deleted.
        ended=ended if refusal is None else None,
        abilities=abilities_of(collection, whom, callers),
        noted={"action": action, **({"as": whom.principal.subject} if operation.whom is not None else {})},
        audited=callers.config.audit.enabled,
    )


# -- who asks, and about whom


def _in_question(operation: Explain, asking: Asking, callers: Callers) -> tuple[Asking, bool]:
    """The caller in question, and whether nothing of a document of the asker's tenant is kept from the asker."""
    if not operation.at_the_machine and not callers.has_system_right(asking, "explain"):
        raise Forbidden("explaining needs the system right 'explain'")
    admin = operation.at_the_machine or callers.has_system_right(asking, "admin")
    if operation.whom is None:
        return asking, admin and _may_see_all(operation, asking, callers)
    if not admin:
        raise Forbidden("'as' needs the system right 'admin'")
    whom = operation.whom
    if not _administers_all(operation, asking, callers):
        if whom.tenant not in (None, asking.principal.tenant):
            raise Forbidden("'as' names another tenant than yours")
        whom = replace(whom, tenant=asking.principal.tenant)
    return replace(asking, principal=whom), _may_see_all(operation, asking, callers)


def _may_see_all(operation: Explain, asking: Asking, callers: Callers) -> bool:
    """A system right reaches no further than the caller's tenant; documents without one are of no tenant's admin.

    Who reads other tenants by another role than the one that names `admin` is told of oneself what any caller is.
    """
    if _administers_all(operation, asking, callers):
        return True
    if operation.whom is None and callers.crosses_tenants(asking):
        return False
    return operation.collection.tenant_field is not None or asking.principal.tenant is None


def _administers_all(operation: Explain, asking: Asking, callers: Callers) -> bool:
    """A role that crosses tenants lends that to no right of another role."""
    return operation.at_the_machine or callers.crosses_with_right(asking, "admin")


# -- rules


def _needed(operation: Explain, action: Action, whom: Asking, callers: Callers) -> Needed:
    collection, policy = operation.collection, callers.policy
    own = callers.roles_of(whom)
    crossing = policy.crossing(own)
    rules = (
        Considered(rule, _through(rule.role, own, policy), action in rule.actions, rule.role in crossing)
        for rule in policy.rules.values()
        if rule.collection == collection.name
    )
    try:
        reach, refusal = callers.access(whom, collection, action).reach, None
    except Forbidden as error:
        reach, refusal = None, error
    # A field that is hidden from a role of others is of no interest.
    considered = tuple(one for one in rules if one.through or not one.rule.hidden)
    return Needed(action, considered, reach, refusal)


def _through(role: str, own: frozenset[str], policy: Policy) -> tuple[str, ...]:
    """The roles from one of the caller's own to this one, each inheriting the next; none if there is no such line."""
    lines: list[tuple[str, ...]] = [(name,) for name in sorted(own)]
    seen = set(own)
    while lines:
        line = lines.pop(0)
        if line[-1] == role:
            return line
        for parent in policy.roles[line[-1]].inherits:
            if parent not in seen:
                seen.add(parent)
                lines.append((*line, parent))
    return ()


def _others(operation: Explain, needed: Iterable[Action], whom: Asking, callers: Callers) -> Iterator[Another]:
    """Roles that bring a rule which allows the action."""
    policy, own = callers.policy, callers.roles_of(whom)
    has = policy.engine.roles_of(own)
    here = [rule for rule in policy.rules.values() if rule.collection == operation.collection.name and not rule.hidden]
    bringing = {rule.role for rule in here if rule.effect == "allow" and operation.action in rule.actions} - has
    for role in policy.roles:
        brought = policy.engine.roles_of((role,))
        if role not in has and brought & bringing:
            rules = {one: _speaking(here, one, brought | has) for one in needed}
            callers.require_kin(whom, (rule for some in rules.values() for rule in some))
            bindings = whom.bindings()
            yield Another(role, replace(bindings, roles=(*bindings.roles, role)), rules)


def _speaking(rules: Iterable[Rule], action: Action, roles: frozenset[str]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.role in roles and action in rule.actions)


# -- the request itself


def _match(operation: Explain, whom: Asking, callers: Callers) -> tuple[Guarded | None, Refusal | None]:
    """The rows that the request would name, by its own plan; or what it would be told instead."""
    try:
        plain = _match_of_one(operation, whom, callers)
    except InvalidRequest:
        raise
    except Refusal as refusal:
        return None, refusal
    if operation.query is None:
        return plain, None
    return _match_of_filter(operation, operation.query, whom, callers), None


def _match_of_one(operation: Explain, whom: Asking, callers: Callers) -> Guarded | None:
    collection, one = operation.collection, operation.id or _NO_ID  # the id is no part of the rows
    match operation.action:
        case "read":
            return plan_get(GetOne(collection, one), whom, callers).rows
        case "update":
            return plan_update(UpdateOne(collection, one, _NOTHING), whom, callers, lambda: _NO_UUID).match
        case "delete":
            return plan_delete_one(DeleteOne(collection, one), whom, callers).match
        case "purge":
            return plan_purge(PurgeOne(collection, one, "explained"), whom, callers).match
        case "restore":
            return plan_restore(RestoreOne(collection, one, 1), whom, callers).match
        case "aggregate":
            reading = callers.access(whom, collection, "read").reach
            return narrow({}, reading, callers.access(whom, collection, "aggregate").reach)
        case "create":
            callers.access(whom, collection, "create")
            return None


def _match_of_filter(operation: Explain, query: Query, whom: Asking, callers: Callers) -> Guarded | None:
    """Of many documents. Forbidden and InvalidRequest as the request itself would be refused."""
    collection = operation.collection
    match operation.action:
        case "read":
            plan = plan_count(CountMany(collection, query), whom, callers)
            return plan.match.further(plan.asked)
        case "update":
            edits = Alike(ByFilter(query), _NOTHING)
            return plan_update_many(UpdateMany(collection, edits, _BATCH), whom, callers, lambda: _NO_UUID).match
        case "delete":
            return plan_delete(DeleteMany(collection, ByFilter(query), _BATCH), whom, callers).match
        case "aggregate":
            reading, aggregating = (callers.access(whom, collection, one) for one in ("read", "aggregate"))
            wanted = require_paths(aggregating, collection, "aggregate", query)
            require_stored(query.paths, collection)
            return narrow(query.match, asked_reach(reading, collection, query), aggregating.lending(wanted))
        case action:
            raise InvalidRequest(f"filter: '{action}' works on one document, or on none that is there")


def _id_is(operation: Explain) -> MongoFilter:
    return {} if operation.id is None else {"_id": {"$eq": operation.id}}


# -- the document


def _looked_for(
    operation: Explain, asking: Asking, whom: Asking, callers: Callers, *, sees_all: bool
) -> tuple[Guarded | None, Guarded | None]:
    """Where the document may be looked at, alive and as the last content of a deleted one.

    That is among the rows the asker sees, who is then the caller in question, or, with `admin`, all of its tenant.
    """
    collection, one = operation.collection, operation.id
    if one is None:
        return None, None
    may_be_deleted = operation.action in _ONE_ALONE and collection.versioned
    last: MongoFilter = {**lives_of(collection.name, one), "gone": True}
    if sees_all:
        bound = _bound(operation, asking, callers)
        return narrow_bound(bound), narrow_bound(bound, last, content=True) if may_be_deleted else None
    reach = reach_or_none(collection, asking, callers, "read") if whom is asking else None
    if reach is None:
        return None, None
    return narrow({}, reach), narrow_content(last, reach) if may_be_deleted else None


def _bound(operation: Explain, asking: Asking, callers: Callers) -> Expression:
    everywhere = _administers_all(operation, asking, callers)
    return ALWAYS if everywhere else callers.own_tenant(asking, operation.collection)
