"""Who may ask the audit, for whose entries, and of which fields they are told."""

from dataclasses import replace
from datetime import datetime

import pytest

from permission_mongo.auditing import ListAudit
from permission_mongo.config.model import Config
from permission_mongo.errors import Forbidden
from permission_mongo.planning.audit import plan_audit
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.rules import Role
from permission_mongo.principal import Principal
from permission_mongo.query.cursors import CursorKey
from permission_mongo.schema.model import Collection, Field
from tests.builders import NOW, a_rule, some_fields

NOTES = Collection("notes", {"title": Field("title", "string")}, "string", tenant_field="tenant_id")
AUDITOR, PLATFORM = Role("auditor", system=frozenset({"audit"})), Role("platform", (), True, frozenset({"audit"}))
ROLES = {
    one.name: one for one in (AUDITOR, PLATFORM, Role("chief", ("auditor",)), Role("root", (), True), Role("user"))
}


def planned(*rules, roles=("auditor",), tenant: str | None = "acme", operation=None):
    callers = Callers(Config({"notes": NOTES}, Policy(rules, ROLES)), bytes(32))
    who = Principal("ann", tenant, frozenset(roles), {}, "token")
    return plan_audit(operation or ListAudit(10), Asking(who, NOW, {}, "r1"), callers, CursorKey(bytes(32)))


def told(*rules, paths=("title", "age", "pay.month"), tenant="acme", **asked):
    return planned(*rules, **asked).sight.readable(tenant, "notes").of(paths)


@pytest.mark.parametrize("roles", [(), ("user",), ("root",), ("chief",), ("audit",)])
def test_the_right_is_named_by_a_role_of_ones_own_and_not_inherited(roles):
    with pytest.raises(Forbidden):
        planned(roles=roles)


def test_the_tenant_is_in_the_plan_of_everybody_but_who_crosses_by_that_role():
    assert planned().match == {"tenant_id": {"$eq": "acme"}}
    assert planned(tenant=None).match == {"tenant_id": {"$eq": None}}
    assert planned(roles=("auditor", "root")).match == {"tenant_id": {"$eq": "acme"}}
    assert planned(roles=("platform",)).match == {}


def test_what_is_asked_never_takes_the_tenants_place():
    operation = ListAudit(10, None, NOW, NOW, "refusal", (("user_id", "x"), ("code", "forbidden")), "a")
    assert planned(operation=operation).match["tenant_id"] == {"$eq": "acme"}
    far = replace(operation, since=datetime(1, 1, 1), until=datetime(9999, 12, 31))
    assert planned(operation=far).match["at"] == {"$gte": datetime(1, 1, 1), "$lt": datetime(9999, 12, 31)}


def test_without_a_rule_that_reads_no_field_is_told():
    assert told() == []
    assert told(a_rule(role="auditor", actions=("update",))) == []


def test_fields_are_those_of_every_rule_or_of_one_that_holds_always():
    some = a_rule(role="auditor", when="resource.title == 'x'", fields=some_fields(allow=["title", "age"]))
    other = a_rule(role="auditor", when="resource.title == 'y'", fields=some_fields(deny=["age"]))
    always = a_rule(role="auditor", fields=some_fields(allow=["age"]))
    assert told(some) == ["title", "age"]
    assert told(some, other) == ["title"]
    assert told(other, always) == ["age"]
    assert told(a_rule(role="auditor", fields=some_fields(mask={"title": "redact"}))) == ["age", "pay.month"]


@pytest.mark.parametrize("when", ["", "resource.title == 'x'"])
def test_a_field_that_is_hidden_in_some_row_is_not_told(when):
    hiding = a_rule(role="auditor", effect="deny", hidden=["age", "pay"], when=when)
    assert told(a_rule(role="auditor"), hiding) == ["title"]


def test_an_object_is_told_to_who_reads_all_of_it():
    assert told(a_rule(role="auditor", fields=some_fields(deny=["pay.bonus"])), paths=("pay", "pay.month")) == [
        "pay.month"
    ]


def test_of_other_tenants_those_fields_that_rules_which_cross_read():
    own, crossing = a_rule(role="user"), a_rule(role="platform", fields=some_fields(allow=["title"]))
    assert told(own, roles=("platform", "user"), tenant="other") == []
    assert told(own, crossing, roles=("platform", "user"), tenant="other") == ["title"]
    assert "age" in told(own, crossing, roles=("platform", "user"))
