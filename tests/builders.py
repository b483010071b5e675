"""Builders with defaults: a test overrides what matters to it."""

from collections.abc import Iterable
from datetime import datetime

from permission_mongo.documents.fields import EVERYTHING, FieldRules
from permission_mongo.documents.paths import canonical
from permission_mongo.policy.binding import Bindings
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.policy.parser import parse
from permission_mongo.policy.rules import EVERY_ACTION, Role, Rule

NOW = datetime(2026, 1, 31, 12)


def a_caller(user_id="alice", tenant="acme", roles=("user",), **claims) -> Bindings:
    return Bindings(user_id, tenant, tuple(roles), claims, {"method": "GET", "ip": "127.0.0.1"}, NOW)


def some_fields(allow=None, deny=(), deny_write=(), mask=None) -> FieldRules:
    return FieldRules(
        None if allow is None else frozenset(canonical(path) for path in allow),
        frozenset(canonical(path) for path in deny),
        frozenset(canonical(path) for path in deny_write),
        tuple((canonical(path), kind) for path, kind in (mask or {}).items()),
    )


_COUNT = iter(range(10**9))


def a_rule(
    role="user",
    when="",
    actions=EVERY_ACTION,
    effect="allow",
    fields=EVERYTHING,
    hidden=(),
    check="",
    collection="notes",
):
    return Rule(
        f"{collection}/{role}/{next(_COUNT)}",
        role,
        collection,
        tuple(actions),
        effect,
        parse(when) if when else ALWAYS,
        parse(check) if check else None,
        fields,
        frozenset(canonical(path) for path in hidden),
    )


def a_policy(
    *rules: Rule, inherits: dict[str, Iterable[str]] | None = None, cross_tenant: Iterable[str] = ()
) -> Policy:
    inherits = inherits or {}
    names = {rule.role for rule in rules} | set(inherits) | {p for parents in inherits.values() for p in parents}
    roles = {
        name: Role(name, tuple(inherits.get(name, ())), name in set(cross_tenant)) for name in names | set(cross_tenant)
    }
    return Policy(rules, roles)
