"""Casbin picks the rules that speak, whatever its traps."""

import casbin
import pytest

from permission_mongo.policy.roles import MAX_DEPTH, RoleEngine, inheritance_faults
from tests.builders import a_policy, a_rule

ASK = (frozenset({"user"}), "notes", "read")


def ids(*rules):
    return tuple(rule.id for rule in rules)


def test_rules_of_inherited_roles_speak_too_and_others_do_not():
    viewer, user, stranger = a_rule("viewer"), a_rule("user"), a_rule("boss")
    policy = a_policy(viewer, user, stranger, inherits={"user": ["viewer"], "boss": ["user"]})
    assert policy.engine.speaking(*ASK) == ids(viewer, user)


def test_denies_are_inherited_like_allows():
    deny = a_rule("viewer", effect="deny", when="resource.a == 1")
    policy = a_policy(a_rule("user"), deny, inherits={"user": ["viewer"]})
    assert policy.speaking(*ASK).denies == (deny,)


def test_every_rule_is_noted_even_behind_an_unconditional_deny():
    """A deny ends Casbin's loop; a rule that hides a field must not be lost behind it."""
    first, second = a_rule(effect="deny", hidden=["salary"]), a_rule(effect="deny", hidden=["ssn"])
    policy = a_policy(a_rule(), first, second)
    assert policy.engine.hiding(*ASK) == ids(first, second)
    deny, late = a_rule(effect="deny"), a_rule()
    assert a_policy(deny, late).engine.speaking(*ASK) == ids(deny, late)


def test_a_hiding_rule_is_no_verdict_on_rows():
    policy = a_policy(a_rule(), a_rule(effect="deny", hidden=["salary"]))
    assert not policy.speaking(*ASK).is_void
    assert policy.engine.permits(*ASK, verdict=lambda _: True)


def test_t34_an_empty_policy_permits_nothing():
    engine = RoleEngine([], {})
    assert engine.speaking(*ASK) == ()
    assert engine.speaking(frozenset({""}), "", "") == ()
    assert not engine.permits(frozenset({""}), "", "", verdict=lambda _: True)
    assert not engine.permits(*ASK, verdict=lambda _: True)


def test_casbins_trap_of_the_empty_request_is_still_there():
    """Why plans are read from notes and never from Casbin's verdict alone."""
    model = casbin.Enforcer.new_model(
        text="[request_definition]\nr = sub\n[policy_definition]\np = sub\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub"
    )
    assert casbin.Enforcer(model).enforce("") is True


def test_a_person_called_like_a_role_gets_nothing_from_it():
    policy = a_policy(a_rule("admin"))
    assert policy.engine.speaking(frozenset({"role:admin"}), "notes", "read") == ()
    assert policy.engine.speaking(frozenset({"Admin"}), "notes", "read") == ()


@pytest.mark.parametrize(
    "name", ["True) or (True", "*", "r.sub", "admin, admin", 'a" or "a" == "a', "a && b", "  user", "user\n"]
)
def test_t7_names_are_never_read_as_matcher_text(name):
    engine = a_policy(a_rule("user")).engine
    for ask in (
        (frozenset({name}), "notes", "read"),
        (frozenset({"user"}), name, "read"),
        (frozenset({"user"}), "notes", name),
    ):
        assert engine.speaking(*ask) == ()


def test_a_deny_wins_across_roles_whatever_the_order():
    allow, deny = a_rule("user"), a_rule("guest", effect="deny", when="resource.a == 1")
    for rules in ((allow, deny), (deny, allow)):
        engine = a_policy(*rules).engine
        both = frozenset({"user", "guest"})
        assert not engine.permits(both, "notes", "read", lambda rule_id: True)
        assert not engine.permits(both, "notes", "read", lambda rule_id: True if rule_id == allow.id else None)
        assert engine.permits(both, "notes", "read", lambda rule_id: rule_id == allow.id)


def test_an_unknown_condition_allows_nothing():
    assert not a_policy(a_rule(when="resource.a == 1")).engine.permits(*ASK, verdict=lambda _: None)


def test_inheritance_is_followed_to_the_last_level_that_may_be_written():
    chain = {f"r{n}": [f"r{n + 1}"] for n in range(MAX_DEPTH)}
    rule = a_rule(f"r{MAX_DEPTH}")
    assert inheritance_faults(chain) == {}
    assert a_policy(rule, inherits=chain).engine.speaking(frozenset({"r0"}), "notes", "read") == ids(rule)


def test_deeper_inheritance_and_cycles_are_faults():
    deep = {f"r{n}": [f"r{n + 1}"] for n in range(MAX_DEPTH + 1)}
    assert set(inheritance_faults(deep)) == {"r0"}
    assert "a -> b -> a" in inheritance_faults({"a": ["b"], "b": ["a"]})["a"]
    assert set(inheritance_faults({"a": ["a"], "b": ["a"]})) == {"a"}


def test_plans_are_remembered_by_the_very_tuple_and_not_by_a_joined_string():
    """A20: `("a,b",)` and `("a", "b")` must never share a plan."""
    policy = a_policy(a_rule("a"), a_rule("a,b".replace(",", "-")))
    assert policy.speaking(frozenset({"a", "b"}), "notes", "read").allows
    assert not policy.speaking(frozenset({"a,b"}), "notes", "read").allows


def test_casbin_is_asked_once_for_a_plan_however_often_it_is_used(monkeypatch):
    policy = a_policy(a_rule())
    asked = []
    monkeypatch.setattr(
        policy.engine, "_noted", lambda *args, original=policy.engine._noted: asked.append(args) or original(*args)
    )
    for _ in range(100):
        policy.speaking(*ASK)
    assert len(asked) == 2  # rows, and hidden fields
