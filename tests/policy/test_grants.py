"""Rules only narrow, and a grant stays whole."""

from hypothesis import given, settings
from hypothesis import strategies as st

from permission_mongo.documents.paths import canonical
from permission_mongo.policy.binding import bind
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.policy.guard import narrow
from permission_mongo.policy.nodes import ALWAYS, NEVER, UNKNOWN, disjunction, either
from permission_mongo.policy.parser import parse
from permission_mongo.policy.to_mongo import MATCH_NONE
from tests.builders import a_caller, a_policy, a_rule, some_fields

KEY = bytes(32)
WHENS = [
    "resource.a == 1",
    "resource.a != 1",
    "resource.b in ['x', 'y']",
    "has(resource.c)",
    "resource.a == user.n",
    "",
]
WHENS += ["!(resource.b == 'x')", "resource.owner == user.id", "resource.a == user.missing", "'user' in user.roles"]
ROLES = ["viewer", "user", "manager", "guest"]
INHERITS = {"user": ["viewer"], "manager": ["user", "guest"]}


def some_rules():
    made = st.builds(
        lambda role, when, effect, actions: a_rule(role, when, actions, effect),
        st.sampled_from(ROLES),
        st.sampled_from(WHENS),
        st.sampled_from(["allow", "allow", "deny"]),
        st.lists(st.sampled_from(["read", "delete"]), min_size=1, max_size=2, unique=True),
    )
    return st.lists(made, max_size=8)


def some_documents():
    values = st.sampled_from([None, 1, 2, "x", "y", [1], ["x"], {}, "alice"])
    return st.dictionaries(st.sampled_from(["a", "b", "c", "owner"]), values, max_size=4)


def reach(policy, *roles, action="read", within=ALWAYS, **claims):
    caller = a_caller(roles=roles, **claims)
    return policy.speaking(frozenset(roles), "notes", action).reach(caller, within)


@settings(max_examples=400, deadline=None)
@given(some_rules(), st.sets(st.sampled_from(ROLES), min_size=1), some_documents(), st.sampled_from(["read", "delete"]))
def test_plan_and_filter_equal_casbins_check_mode(rules, roles, document, action):
    policy = a_policy(*rules, inherits=INHERITS)
    caller = a_caller(roles=tuple(roles), n=1)
    planned = reach(policy, *roles, action=action, n=1).sees(document)
    checked = policy.engine.permits(
        frozenset(roles), "notes", action, lambda rule_id: verdict(bind(policy.rules[rule_id].when, caller), document)
    )
    assert planned == checked


@settings(max_examples=200, deadline=None)
@given(some_rules(), some_rules(), some_documents())
def test_more_allow_rules_never_show_less_and_more_denies_never_more(rules, further, document):
    before = reach(a_policy(*rules), *ROLES, n=1).sees(document)
    allows = [rule for rule in further if rule.effect == "allow"]
    denies = [rule for rule in further if rule.effect == "deny"]
    assert reach(a_policy(*rules, *allows), *ROLES, n=1).sees(document) >= before
    assert reach(a_policy(*rules, *denies), *ROLES, n=1).sees(document) <= before


def test_nothing_is_allowed_that_no_rule_allows():
    policy = a_policy(a_rule("boss"))
    assert policy.speaking(frozenset({"user"}), "notes", "read").is_void
    assert narrow({}, reach(policy, "user")).filter == MATCH_NONE
    assert narrow({}, reach(policy, "user")).is_empty


def test_a_grant_lends_fields_only_in_its_own_rows():
    """Role A sees rows X with field a, role B rows Y with field b: X with b would be a leak."""
    first = a_rule("user", "resource.kind == 'x'", fields=some_fields(["kind", "a"]))
    second = a_rule("user", "resource.kind == 'y'", fields=some_fields(["kind", "b"]))
    found = reach(a_policy(first, second), "user")
    shown = found.view({"kind": "x", "a": 1, "b": 2}, KEY).reveal({"kind": "x", "a": 1, "b": 2})
    assert shown == {"kind": "x", "a": 1}


def test_a_request_on_a_path_sees_only_rows_of_grants_that_read_it_raw():
    hides = a_rule("user", "resource.kind == 'x'", fields=some_fields(deny=["salary"]))
    shows = a_rule("user", "resource.kind == 'y'")
    found = reach(a_policy(hides, shows), "user")
    lent = found.lending([canonical("salary")])
    assert found.sees({"kind": "x"})
    assert not lent.sees({"kind": "x"})
    assert lent.sees({"kind": "y"})


def test_a_row_whose_field_is_hidden_takes_no_part_in_a_request_on_it():
    policy = a_policy(a_rule(), a_rule(effect="deny", when="resource.vip == true", hidden=["salary"]))
    lent = reach(policy, "user").lending([canonical("salary")])
    assert lent.sees({"vip": False})
    assert not lent.sees({"vip": True})
    assert not lent.sees({}), "unknown hides"


def test_who_may_lend_is_decided_by_text_and_not_by_claims():
    speaking = a_policy(a_rule(when="resource.a == user.missing")).speaking(frozenset({"user"}), "notes", "read")
    assert speaking.lends([canonical("a")])
    assert not speaking.is_void
    hidden = a_policy(a_rule(), a_rule(effect="deny", hidden=["pay"])).speaking(frozenset({"user"}), "notes", "read")
    assert not hidden.lends([canonical("pay.month")])
    assert not hidden.lends([canonical("pay")])
    assert hidden.lends([canonical("other")])


def test_the_tenant_is_part_of_every_reach():
    within = bind(parse("resource.tenant_id == user.tenant_id"), a_caller())
    found = reach(a_policy(a_rule()), "user", within=within)
    assert found.sees({"tenant_id": "acme"})
    for other in ({"tenant_id": "evil"}, {}, {"tenant_id": ["acme"]}, {"tenant_id": None}):
        assert not found.sees(other)
    assert "tenant_id" in str(narrow({"a": 1}, found).filter)


def test_the_callers_filter_stands_beside_the_policy_and_never_in_it():
    """T12: keys are never merged."""
    found = reach(a_policy(a_rule(when="resource.a == 1")), "user")
    guarded = narrow({"a": 2, "$or": [{}]}, found).filter
    assert guarded["$and"][1] == {"a": 2, "$or": [{}]}


def test_a_deny_applies_unless_its_condition_is_false():
    found = reach(a_policy(a_rule(), a_rule(effect="deny", when="resource.a == user.missing")), "user")
    assert not found.sees({"a": 1})
    assert not holds(found.rows, {})


def test_plans_are_told_apart_that_read_the_clock_or_the_request():
    assert a_policy(a_rule(when="resource.a < now")).speaking(frozenset({"user"}), "notes", "read").depends_on_request
    assert (
        not a_policy(a_rule(when="resource.a == user.id"))
        .speaking(frozenset({"user"}), "notes", "read")
        .depends_on_request
    )


def test_a_cross_tenant_right_is_the_roles_own_and_not_inherited():
    policy = a_policy(a_rule("user"), inherits={"user": ["platform"]}, cross_tenant=["platform"])
    assert policy.is_cross_tenant(frozenset({"platform"}))
    assert not policy.is_cross_tenant(frozenset({"user"}))


def test_an_impossible_claim_gives_no_rows_rather_than_a_refusal():
    found = reach(a_policy(a_rule(when="resource.a == user.missing")), "user")
    assert narrow({}, found).is_empty


def test_a_number_and_a_truth_are_not_one_condition():
    """To Python 1 is True: a rule that asks for both is true of no document."""
    both = bind(parse("resource.n == 1 && resource.n == true"), a_caller())
    assert not any(holds(both, {"n": value}) for value in (1, True, 1.0))
    either = bind(parse("resource.n == 1 || resource.n == true"), a_caller())
    assert all(holds(either, {"n": value}) for value in (1, True))


ONE, TWO = parse("doc.a == 1"), parse("doc.b == 'x'")


def test_what_stands_in_every_alternative_is_said_once():
    alike = parse("doc.a == 1 && doc.b == 'x'"), parse("has(doc.c) && doc.a == 1")
    assert either(alike) == parse("doc.a == 1 && (doc.b == 'x' || has(doc.c))")
    assert either((*alike, ONE)) == ONE
    assert either((ONE, TWO)) == disjunction((ONE, TWO))
    assert [either(()), either((NEVER, NEVER)), either((NEVER, ONE)), either((ONE, ALWAYS))] == [
        NEVER,
        NEVER,
        ONE,
        ALWAYS,
    ]
    assert either((UNKNOWN, UNKNOWN)) == UNKNOWN


@given(
    st.lists(st.sampled_from([f"({one})" for one in WHENS if one]), min_size=1, max_size=3).map(" && ".join),
    st.lists(st.lists(st.sampled_from([f"({one})" for one in WHENS if one]), max_size=3), min_size=1, max_size=4),
    some_documents(),
)
def test_and_it_means_the_same(shared, rests, document):
    parts = tuple(bind(parse(" && ".join([shared, *rest])), a_caller()) for rest in rests)
    assert verdict(either(parts), document) is verdict(disjunction(parts), document)
