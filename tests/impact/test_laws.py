"""The difference of two policies is a proof: where it says that nothing is gained, nothing is."""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from permission_mongo.impact import compare as comparing
from permission_mongo.impact.compare import compare
from permission_mongo.impact.kinds import widening
from tests.impact.worlds import (
    ROLES,
    a_config,
    barring_pairs,
    callers,
    documents,
    gains,
    pairs,
    policies,
    roles_of,
    showing_pairs,
)

# A failure is not shrunk: its policies are small, and to shrink them takes minutes.
DERANDOMIZED = "LAW_EXAMPLES" not in os.environ
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}


def law(examples: int, both_ways: st.SearchStrategy) -> tuple[int, int, int]:
    """Runs the law; the pairs, those with a verdict of no gain that are not alike, and those with a real gain."""
    counts = [0, 0, 0]

    @settings(max_examples=examples, derandomize=DERANDOMIZED, **SETTINGS)
    @given(both_ways, st.lists(documents(), min_size=4, max_size=4), st.sampled_from(ROLES))
    def nothing_is_gained_where_it_says_so(both, rows, role):
        old, new = both
        changes = compare(old, new)
        of_role = [change for change in changes if change.roles in ((role,), ())]
        real = next((found for asking in callers(role) if (found := gains(old, new, asking, rows))), "")
        counts[0] += 1
        counts[1] += bool(changes) and not widening(of_role)
        counts[2] += bool(real)
        if real and not widening(of_role):
            pytest.fail(f"{role} gains {real}\n{told(old)}\n->\n{told(new)}\ntold: {changes}", pytrace=False)

    nothing_is_gained_where_it_says_so()
    return tuple(counts)


def told(config):
    roles = {name: (role.inherits, role.cross_tenant) for name, role in config.policy.roles.items()}
    return "\n".join([str(roles), *map(str, config.policy.rules.values())])


def test_nothing_is_gained_where_the_difference_says_so():
    pairs_, quiet, gaining = law(150, pairs())
    assert quiet > 0.1 * pairs_
    assert gaining > 0.1 * pairs_


def test_the_same_of_rules_that_bar_and_of_fields():
    assert law(60, barring_pairs())[2] > 5
    assert law(60, showing_pairs())[2] > 5


@pytest.mark.parametrize("taken_out", ["implies", "applies_within", "at_most"])
def test_the_law_fails_without_a_guard(taken_out, monkeypatch):
    monkeypatch.setattr(comparing, taken_out, lambda *_: True)
    with pytest.raises(pytest.fail.Exception):
        law(150, {"applies_within": barring_pairs, "at_most": showing_pairs, "implies": pairs}[taken_out]())


@settings(max_examples=150, **SETTINGS)
@given(policies())
def test_equal_policies_say_nothing(rules):
    roles = roles_of({"user": ("viewer",)})
    assert compare(a_config(rules, roles), a_config(rules, roles)) == ()


@settings(max_examples=150, **SETTINGS)
@given(pairs())
def test_what_one_way_only_loses_is_gained_the_other_way(both):
    old, new = both
    there, back = compare(old, new), compare(new, old)
    assert bool(there) == bool(back) or widening(there) or widening(back)
    if there and not widening(there):
        assert widening(back)
