"""The people around a caller come in from outside: asked for by a plan whose rules read them, and by no other."""

from dataclasses import replace

import pytest

from permission_mongo.config.model import Config
from permission_mongo.errors import CollectionNotFound, Forbidden
from permission_mongo.operations import CountMany, GetOne, ListMany, SyncHierarchy
from permission_mongo.planning.callers import Asking, Callers, KinWanted
from permission_mongo.planning.make import Planner
from permission_mongo.planning.related import Related
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.kin import NOBODY, Kin
from permission_mongo.policy.nodes import Path
from permission_mongo.policy.rules import Role
from permission_mongo.principal import Principal
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Field, Hierarchy
from tests.builders import NOW, a_caller, a_policy, a_rule

FIELDS = {name: Field(name, "string") for name in ("tenant_id", "owner", "boss")}
NOTES = Collection("notes", FIELDS, "string", tenant_field="tenant_id")
USERS = Collection("users", FIELDS, "string", tenant_field="tenant_id", hierarchy=Hierarchy("_id", "boss"))
BELOW = "resource.owner in user.$subordinates"


def a_planner(*rules, users=USERS, limits=None) -> Planner:
    collections = {one.name: one for one in (NOTES, users)}
    policy = a_policy(*rules, cross_tenant=["root"])
    policy.roles["root"] = Role("root", (), True, frozenset({"admin"}))
    policy.roles["keeper"] = Role("keeper", (), False, frozenset({"admin"}))
    config = Config(collections, policy, limits=limits or Limits())
    return Planner(Callers(config, bytes(32)), CursorKey(bytes(32)), lambda: None, {})


def asked(subject="alice", tenant: str | None = "acme", roles=("user",), kin=None, **claims) -> Asking:
    principal = Principal(subject, tenant, frozenset(roles), claims, "token")
    return Asking(principal, NOW, {"method": "GET", "ip": None}, "r", kin=kin)


def kin(*below: str, over=()) -> Kin:
    return Kin({"$subordinates": below}, frozenset(over))


def rows(planner, asking) -> Guarded:
    return planner.plan(CountMany(NOTES), asking).match


def test_who_is_asked_for_is_the_caller_in_the_callers_tenant():
    planner = a_planner(a_rule(when=BELOW), limits=Limits(max_subordinates=7, hierarchy_cache=3.0))
    with pytest.raises(KinWanted) as wanted:
        planner.plan(GetOne(NOTES, "x"), asked())
    plan = wanted.value.plan
    assert (plan.tenant, plan.user, plan.relations, plan.most, plan.seconds) == (
        "acme",
        "alice",
        {"$subordinates"},
        7,
        3.0,
    )


@pytest.mark.parametrize(
    "rule",
    [
        a_rule(when=f"!({BELOW})"),
        a_rule(check=BELOW),
        a_rule(when="any(resource.owner, x => x in user.$ancestors)"),
        a_rule(when="resource.owner == 'x' && containsAny(resource.owner, user.$directReports)"),
    ],
)
def test_a_relation_anywhere_in_a_rule_asks_for_them(rule):
    with pytest.raises(KinWanted):
        a_planner(rule).plan(GetOne(NOTES, "x"), asked())


def test_a_deny_and_hidden_fields_ask_for_them_as_well():
    for rule in (a_rule(when=BELOW, effect="deny"), a_rule(when=BELOW, effect="deny", hidden=["boss"])):
        with pytest.raises(KinWanted):
            a_planner(a_rule(), rule).plan(GetOne(NOTES, "x"), asked())


def test_a_plan_without_one_asks_for_nobody():
    planner = a_planner(a_rule(), a_rule("lead", when=BELOW), a_rule(when=BELOW, actions=["delete"]))
    with pytest.raises(KinWanted):
        planner.plan(GetOne(NOTES, "x"), asked(roles=["lead"]))
    planner = a_planner(a_rule(actions=["read"]), a_rule("lead", when=BELOW), a_rule(when=BELOW, actions=["delete"]))
    assert planner.plan(ListMany(NOTES, 5), asked()).match


def test_who_can_be_nobody_there_is_looked_for_nowhere():
    """An id or a tenant that is none of its type; and who has no tenant at all, though rules cross them."""
    ids = replace(USERS, id_type="objectId")
    assert rows(a_planner(a_rule(when=BELOW), users=ids), asked()).is_empty
    planner = a_planner(a_rule("root", when=BELOW))
    assert rows(planner, asked(tenant=None, roles=["root"])).is_empty


def test_the_unknown_allows_nothing_and_denies():
    assert rows(a_planner(a_rule(when=f"!({BELOW})")), asked(kin=NOBODY)).is_empty
    assert rows(a_planner(a_rule(), a_rule(when=BELOW, effect="deny")), asked(kin=NOBODY)).is_empty
    assert rows(a_planner(a_rule(when=BELOW)), asked(kin=kin())).is_empty
    assert not rows(a_planner(a_rule(when=f"!({BELOW})")), asked(kin=kin())).is_empty


def test_they_are_in_the_filter_with_the_tenant():
    text = str(rows(a_planner(a_rule(when=BELOW)), asked(kin=kin("bob", "cem"))).filter)
    assert "['bob', 'cem']" in text
    assert "'acme'" in text


def test_a_claim_of_that_name_says_nothing():
    forged = asked(kin=kin("bob"), **{"$subordinates": ["eve"]})
    assert "eve" not in str(rows(a_planner(a_rule(when=BELOW)), forged).filter)


def test_a_name_of_a_relation_is_never_looked_up_among_claims():
    for bindings in (a_caller(**{"$subordinates": ["eve"]}), a_caller(**{"claims": {"$subordinates": "eve"}})):
        assert bindings.lookup(Path("user", ("$subordinates",))) is None


def test_what_was_bound_serves_the_same_people_and_no_others():
    planner, caller = a_planner(a_rule(when=BELOW)), asked()
    first, other = kin("bob"), kin("cem")
    bound = [rows(planner, replace(caller, kin=one)) for one in (first, first, other, first)]
    assert bound[0] is bound[1]
    assert ["bob" in str(one.filter) for one in bound] == [True, True, False, True]
    assert "bob" not in str(rows(planner, asked(kin=other)).filter)


def test_too_many_are_told_where_a_rule_needs_them_and_only_there():
    over = kin("bob", over=["$subordinates"])
    with pytest.raises(Forbidden, match="more than 10000 people"):
        a_planner(a_rule(when=BELOW)).plan(GetOne(NOTES, "x"), asked(kin=over))
    planner = a_planner(a_rule(when="resource.owner in user.$ancestors"))
    assert planner.plan(GetOne(NOTES, "x"), asked(kin=over))


def test_what_is_remembered_has_a_bound():
    known: Related[int] = Related(heaviest=5)
    some = [kin("a", "b") for _ in range(3)]
    for n, one in enumerate(some):
        known.keep(n, one, n)
    assert [known.find(n, one) for n, one in enumerate(some)] == [None, 1, 2]
    assert known.find(1, some[2]) is None


# -- finding it anew


def test_a_sync_is_of_the_callers_tenant_and_needs_the_right():
    planner = a_planner(a_rule())
    plan = planner.plan(SyncHierarchy(), asked(roles=["keeper"]))
    assert (plan.tenant, plan.staff.collection, plan.staff.manager_field) == ("acme", "users", "boss")
    assert planner.plan(SyncHierarchy("acme", "users"), asked(roles=["keeper"])) == plan
    with pytest.raises(Forbidden, match="system right"):
        planner.plan(SyncHierarchy(), asked())
    with pytest.raises(Forbidden, match="no such tenant, or not yours"):
        planner.plan(SyncHierarchy("rival"), asked(roles=["keeper"]))
    with pytest.raises(CollectionNotFound):
        planner.plan(SyncHierarchy(collection="notes"), asked(roles=["keeper"]))


def test_who_crosses_tenants_names_one_or_has_one():
    planner = a_planner(a_rule())
    assert planner.plan(SyncHierarchy("rival"), asked(roles=["root"])).tenant == "rival"
    assert planner.plan(SyncHierarchy(), asked(roles=["root"])).tenant == "acme"
    with pytest.raises(Forbidden, match="names none"):
        planner.plan(SyncHierarchy(), asked(tenant=None, roles=["root"]))


def test_without_a_hierarchy_there_is_nothing_to_find():
    with pytest.raises(CollectionNotFound):
        a_planner(a_rule(), users=replace(USERS, hierarchy=None)).plan(SyncHierarchy(), asked(roles=["keeper"]))
