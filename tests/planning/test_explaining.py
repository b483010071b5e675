"""Where an explanation may look: among the rows the asker sees, or, with `admin`, those of its tenant."""

from dataclasses import replace

import pytest

from permission_mongo.config.model import Config
from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.explanations import ExplainPlan
from permission_mongo.operations import Explain
from permission_mongo.planning.callers import Callers
from permission_mongo.planning.explaining import plan_explain
from permission_mongo.planning.me import plan_policy
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.rules import ACTIONS, Role
from permission_mongo.query.filters import read_filter
from permission_mongo.query.limits import Limits
from tests.builders import a_rule, some_fields
from tests.planning.test_plans import NOTES, a_principal, asked, guards_of

OWN = a_rule("user", when="resource.owner == user.id", actions=ACTIONS)
SHARED = replace(NOTES, name="notes", tenant_field=None)
SYSTEM = {
    "asker": {"explain"},
    "chief": {"explain", "admin"},
    "warden": {"admin"},
    "above": {"explain", "admin"},
}


def callers(*rules, collection=NOTES) -> Callers:
    roles = {name: Role(name, system=frozenset(rights)) for name, rights in SYSTEM.items()}
    roles["above"] = replace(roles["above"], cross_tenant=True)
    roles |= {"user": Role("user"), "heir": Role("heir", inherits=("asker", "user"))}
    return Callers(Config({collection.name: collection}, Policy(rules or (OWN,), roles)), bytes(32))


def planned(operation, *roles, tenant="acme", known=None) -> ExplainPlan:
    return plan_explain(operation, asked(a_principal(tenant=tenant, roles=roles)), known or callers())


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "create"])
def test_who_explains_looks_only_at_rows_that_its_rules_show(action):
    plan = planned(Explain(NOTES, action, "x"), "user", "asker")
    assert not plan.sees_all
    for guard in (plan.live, plan.ended):
        assert guard is None or ("'acme'" in str(guard.filter) and "'alice'" in str(guard.filter))
    assert plan.live is not None
    assert (plan.ended is not None) is (action in ("restore", "purge"))


def test_an_admin_looks_at_its_tenant_and_no_further():
    plan = planned(Explain(NOTES, "purge", "x", whom=a_principal("bob", None)), "user", "chief")
    assert plan.sees_all
    for guard in (plan.live, plan.ended):
        assert guard is not None
        assert "'acme'" in str(guard.filter)
    assert planned(Explain(NOTES, "read", "x"), "above", tenant=None).live.filter == {}


def test_documents_without_a_tenant_are_of_no_tenants_admin():
    known = callers(collection=SHARED)
    operation = Explain(SHARED, "read", "x")
    assert not planned(operation, "user", "chief", known=known).sees_all
    for action in ("read", "purge"):
        other = planned(Explain(SHARED, action, "x", whom=a_principal("bob")), "user", "chief", known=known)
        assert (other.live, other.ended) == (None, None), "what the asker reads is not what bob does"
    assert planned(operation, "user", "chief", tenant=None, known=known).sees_all
    assert planned(operation, "above", known=known).sees_all


def test_without_an_id_nothing_is_looked_at():
    for action in ACTIONS:
        plan = planned(Explain(NOTES, action), "user", "chief")
        assert (plan.live, plan.ended) == (None, None)
        assert guards_of(plan.needs) == []


@pytest.mark.parametrize("roles", [(), ("user",), ("heir",), ("user", "warden"), ("user", "explain")])
def test_the_system_right_is_needed_and_not_inherited(roles):
    with pytest.raises(Forbidden, match="system right 'explain'"):
        planned(Explain(NOTES, "read"), *roles)


def test_to_ask_as_another_needs_admin_and_stays_in_the_tenant():
    as_bob = Explain(NOTES, "read", whom=a_principal("bob", "evil"))
    with pytest.raises(Forbidden, match="system right 'admin'"):
        planned(as_bob, "user", "asker")
    with pytest.raises(Forbidden, match="another tenant"):
        planned(as_bob, "user", "chief")
    with pytest.raises(Forbidden, match="another tenant"):
        planned(as_bob, "chief", tenant=None)
    assert planned(replace(as_bob, whom=a_principal("bob", None)), "chief").principal.tenant == "acme"
    assert planned(as_bob, "above").principal.tenant == "evil"


def test_claims_of_a_role_that_crosses_tenants_lead_nobody_past_its_own():
    plan = planned(Explain(NOTES, "read", "x", whom=a_principal("bob", None, roles=("above",))), "chief")
    assert plan.crosses
    assert "'acme'" in str(plan.live.filter)


def test_a_filter_is_checked_as_that_of_the_request_is():
    hiding = callers(a_rule("user", actions=ACTIONS, fields=some_fields(deny=["pay"])))
    query = read_filter({"pay": 1}, NOTES, Limits())
    for action in ("read", "update", "delete", "aggregate"):
        with pytest.raises(Forbidden, match="unknown or not permitted field"):
            planned(Explain(NOTES, action, query=query), "user", "asker", known=hiding)
    split = callers(
        a_rule("user", actions=["read"]), a_rule("user", actions=["aggregate"], fields=some_fields(deny=["pay"]))
    )
    with pytest.raises(Forbidden, match="unknown or not permitted field"):
        planned(Explain(NOTES, "aggregate", query=query), "user", "asker", known=split)
    wrong = read_filter({"pay": "x"}, NOTES, Limits())
    for action in ("read", "update", "delete", "aggregate"):
        with pytest.raises(InvalidRequest, match="expected a number"):
            planned(Explain(NOTES, action, query=wrong), "user", "asker")
    fine = read_filter({"title": "t"}, NOTES, Limits())
    for action in ("restore", "purge"):
        with pytest.raises(InvalidRequest, match="one document"):
            planned(Explain(NOTES, action, query=fine), "user", "asker")
    for action in ("read", "update", "delete", "aggregate"):
        match = str(planned(Explain(NOTES, action, query=fine), "user", "asker").match)
        assert "'t'" in match
        assert "'alice'" in match


def test_the_policy_is_for_admins():
    for roles in ((), ("user",), ("asker",), ("heir",)):
        with pytest.raises(Forbidden):
            plan_policy(asked(a_principal(roles=roles)), callers())
    assert plan_policy(asked(a_principal(roles=("chief",))), callers()).told["files"] == {}
