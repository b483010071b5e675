"""What is proved of conditions of two configurations, whose fields may be of other types."""

import pytest

from permission_mongo.impact.proofs import applies_within, implies
from permission_mongo.policy.binding import typed
from permission_mongo.policy.parser import parse

PAIRS = [
    ("resource.a == 1", "resource.a == 1 || has(resource.b)"),
    ("resource.a == 1", "resource.a in [1, 2]"),
    ("resource.a < 1 && has(resource.a)", "resource.a < 2"),
    ("resource.a == user.n", "resource.a in [user.n, 2]"),
    ("any(resource.a, x => x == 1)", "any(resource.a, x => x == 1) || has(resource.a)"),
]


def read(text, kind):
    return typed(parse(text), {"a": kind}.get)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_conditions_on_a_field_of_another_type_are_not_compared(one, other):
    for kind in ("integer", None):
        assert implies(read(one, kind), read(other, kind))
        assert applies_within(read(one, kind), read(other, kind))
    for kinds in (("integer", "decimal"), ("integer", None), (None, "integer")):
        assert not implies(read(one, kinds[0]), read(other, kinds[1]))
        assert not applies_within(read(one, kinds[0]), read(other, kinds[1]))


def test_whether_a_field_is_there_is_asked_of_any_type():
    assert implies(read("resource.a == 1", "integer"), read("has(resource.a)", "string"))
    assert implies(read("any(resource.a, x => x == 1)", "integer"), read("has(resource.a)", "string"))
