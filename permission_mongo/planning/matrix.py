"""Who may do what, by the policy's text alone: every role, collection and action, and the rules that say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from permission_mongo.config.model import Auth, Config
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.errors import Forbidden
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.me import require_admin
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.grants import Policy, Speaking
from permission_mongo.policy.nodes import ALWAYS, Path, Value
from permission_mongo.policy.rules import ACTIONS, Action, Role, Rule
from permission_mongo.policy.sketch import sketched
from permission_mongo.policy.wording import told_operand, wording
from permission_mongo.schema.model import Collection, innermost
from permission_mongo.service import TellPlan


def plan_matrix(asking: Asking, callers: Callers) -> TellPlan:
    """Forbidden without the system rights `admin`, as is the policy's text, and `explain`.

    What the environment puts into a rule is no part of the text, but stands in its condition: explanations tell it.
    """
    require_admin(asking, callers)
    if not callers.has_system_right(asking, "explain"):
        raise Forbidden("the rules' conditions are shown with the system right 'explain' as well")
    policy, collections = callers.policy, callers.config.collections
    return TellPlan(
        {
            "actions": list(ACTIONS),
            "roles": [_role_told(role, policy) for role in policy.roles.values()],
            "collections": [_collection_told(one) for one in collections.values()],
            "rules": [_rule_told(rule) for rule in policy.rules.values()],
            "claims": _claims_told(callers.config.auth),
            "principals": list(_principals(callers.config)),
            "cells": list(_cells(policy, collections)),
        }
    )


def _cells(policy: Policy, collections: Mapping[str, Collection]) -> Iterator[dict[str, Any]]:
    """Those of which some rule speaks, each with its rules by their numbers."""
    numbers = {rule_id: n for n, rule_id in enumerate(policy.rules)}
    written: dict[tuple[str, str], list[Rule]] = {}
    for rule in policy.rules.values():
        written.setdefault((rule.collection, rule.role), []).append(rule)
    for role in policy.roles:
        held = policy.engine.roles_of((role,))
        for name, collection in collections.items():
            rules = (rule for one in held for rule in written.get((name, one), ()))
            speaking = speaking_of(sorted(rules, key=lambda rule: numbers[rule.id]))
            for action, one in speaking.items():
                spoken = [numbers[rule.id] for rule in (*one.allows, *one.denies, *one.hides)]
                extent = _extent(one, speaking["read"], collection, action)
                if spoken:
                    about = {"role": role, "collection": name, "action": action}
                    yield {**about, "extent": extent, "rules": spoken}


def speaking_of(rules: Iterable[Rule]) -> Mapping[Action, Speaking]:
    """Of the rules of one caller at one collection those that speak, by action.

    As the policy itself says it: but what it remembers for callers must not be driven out by questions for all roles.
    """
    found = tuple(rules)
    return {action: _speaking(tuple(rule for rule in found if action in rule.actions)) for action in ACTIONS}


def _speaking(rules: tuple[Rule, ...]) -> Speaking:
    rows = tuple(rule for rule in rules if not rule.hidden)
    return Speaking(
        tuple(rule for rule in rows if rule.effect == "allow"),
        tuple(rule for rule in rows if rule.effect == "deny"),
        tuple(rule for rule in rules if rule.hidden),
    )


def _extent(speaking: Speaking, reading: Speaking, collection: Collection, action: Action) -> str:
    """Of the tenant's documents. Whatever is not created must be readable as well."""
    needed = (speaking,) if action in ("read", "create") else (speaking, reading)
    if any(one.is_void for one in needed) or (action == "restore" and not collection.versioned):
        return "none"
    return "all" if all(_is_whole(one) for one in needed) else "some"


def _is_whole(speaking: Speaking) -> bool:
    return not speaking.denies and any(rule.when == ALWAYS for rule in speaking.allows)


# -- told


def _claims_told(auth: Auth) -> dict[str, str]:
    """Under which names a token says who somebody is."""
    return {"user": auth.user_claim, "tenant": auth.tenant_claim, "roles": auth.roles_claim}


def _principals(config: Config) -> Iterator[dict[str, Any]]:
    """Those of the policy tests; relations that stand there for a hierarchy's are no claims."""
    for name, who in (config.tests.principals if config.tests else {}).items():
        claims = {key: value for key, value in who.claims.items() if key not in RELATIONS}
        about = {"name": name, "sub": who.subject, "tenant": who.tenant, "roles": sorted(who.roles)}
        yield {**about, "claims": claims}


def _role_told(role: Role, policy: Policy) -> dict[str, Any]:
    return {
        "name": role.name,
        "inherits": list(role.inherits),
        "with_inherited": sorted(policy.engine.roles_of((role.name,))),
        "cross_tenant": role.cross_tenant,
        "system": sorted(role.system),
    }


def _collection_told(collection: Collection) -> dict[str, Any]:
    return {
        "name": collection.name,
        "tenant_field": collection.tenant_field,
        "owner_field": collection.owner_field,
        "versioned": collection.versioned,
        "fields": _names(innermost(collection.fields)),
    }


def _rule_told(rule: Rule) -> dict[str, Any]:
    """Its `filter` has `<user.id>` and the like where the caller's values will stand."""
    told: dict[str, Any] = {
        "at": {"file": rule.place.file, "line": rule.place.line, "column": rule.place.column},
        "role": rule.role,
        "collection": rule.collection,
        "effect": rule.effect,
        "actions": list(rule.actions),
        "when": wording(rule.when),
        "filter": sketched(rule.when),
    }
    optional = {
        "check": None if rule.check is None else wording(rule.check),
        "fields": _fields_told(rule.fields),
        "hides": _names(sorted(rule.hidden)),
        "sets": {name: _stamp_told(value) for name, value in rule.stamps},
    }
    return {**told, **{name: value for name, value in optional.items() if value}}


def _fields_told(fields: FieldRules) -> dict[str, Any]:
    found = {
        "allow": _names(sorted(fields.allow or ())),
        "deny": _names(sorted(fields.deny)),
        "deny_write": _names(sorted(fields.deny_write)),
        "mask": {".".join(path): kind for path, kind in fields.mask},
        "reassign": _names(sorted(fields.reassign)),
    }
    return {name: value for name, value in found.items() if value}


def _names(paths: Iterable[FieldPath]) -> list[str]:
    return [".".join(path) or "*" for path in paths]


def _stamp_told(value: Path | Value) -> str:
    return told_operand(value)
