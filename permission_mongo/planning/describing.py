"""What a caller is told of what it may ask: the description of its own collections, actions and fields."""

from __future__ import annotations

from collections.abc import Iterator

from permission_mongo.config.policy import SYSTEM_RIGHTS
from permission_mongo.openapi.audience import RIGHT_TO_WRITE_POLICY, Audience, Seen, for_caller
from permission_mongo.openapi.document import description
from permission_mongo.planning.abilities import abilities_of, fields_had
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.me import usable_reach
from permission_mongo.policy.rules import ACTIONS, Action
from permission_mongo.schema.model import Collection
from permission_mongo.service import TellPlan


def plan_describe(asking: Asking, callers: Callers) -> TellPlan:
    """By roles, claims and policy text. No document is looked at."""
    return TellPlan(description(audience_of(asking, callers)))


def audience_of(asking: Asking, callers: Callers) -> Audience:
    had = {one: actions for one in callers.config.collections.values() if (actions := _actions(one, asking, callers))}
    named = frozenset(one.name for one in had)
    seen = tuple(_seen(one, actions, named, asking, callers) for one, actions in had.items())
    return for_caller(callers.config, seen, frozenset(_rights(asking, callers)), asking.principal.namespaces)


def _actions(collection: Collection, asking: Asking, callers: Callers) -> frozenset[Action]:
    return frozenset(one for one in ACTIONS if usable_reach(collection, asking, callers, one) is not None)


def _seen(
    collection: Collection, actions: frozenset[Action], named: frozenset[str], asking: Asking, callers: Callers
) -> Seen:
    had = fields_had(abilities_of(collection, asking, callers))
    return Seen(collection, actions, had.raw, had.masked, had.writable, had.creatable, named)


def _rights(asking: Asking, callers: Callers) -> Iterator[str]:
    for right in SYSTEM_RIGHTS:
        crosses = right == RIGHT_TO_WRITE_POLICY
        if callers.crosses_with_right(asking, right) if crosses else callers.has_system_right(asking, right):
            yield right
