"""A condition that is said to hold within another one does, on every document."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.evaluate import verdict
from permission_mongo.policy.implication import applies_within, cases_of, implies
from permission_mongo.policy.parser import parse
from tests.laws import worlds

LEAVES = [
    "resource.a == 1", "resource.a == 1.5", "resource.a < 2", "resource.a <= 1", "resource.a > 1", "resource.a >= 1", "resource.a != 1",
    "resource.a != 'a'", "resource.a in [1, 2]", "resource.a in ['a', 1]", "not resource.a in [1]", "resource.a == 'a'", "has(resource.a)",
    "resource.a == user.text", "resource.a in ['a', user.missing]", "resource.a in [user.text, 'ab']", "resource.a in []",
    "startsWith(resource.a, 'a')", "'a' in resource.a", "resource.a == null", "resource.a.b == 1", "has(resource.a.b)",
    "any(resource.a, x => x == 'a')", "containsAny(resource.a, ['a'])", "resource.a == user.missing",
]  # fmt: skip


def expressions():
    return st.recursive(
        st.sampled_from(LEAVES),
        lambda inner: st.one_of(
            inner.map(lambda e: f"!({e})"),
            st.tuples(inner, inner).map(lambda es: f"(({es[0]}) && ({es[1]}))"),
            st.tuples(inner, inner).map(lambda es: f"(({es[0]}) || ({es[1]}))"),
        ),
        max_leaves=4,
    )


def read(text):
    return typed(parse(text), worlds.KINDS.get)


def at(expression, document):
    return verdict(bind(expression, worlds.bindings()), document)


CORPUS = [one for one in worlds.corpus() if "a" in one] + [{}]


def test_every_pair_of_tests_that_is_said_to_imply_does():
    proved = 0
    for one in LEAVES + [f"!({leaf})" for leaf in LEAVES]:
        truths = [at(read(one), document) for document in CORPUS]
        for other in LEAVES + [f"!({leaf})" for leaf in LEAVES]:
            if implies(read(one), read(other)):
                proved += one != other
                assert all(
                    at(read(other), d) is True for d, truth in zip(CORPUS, truths, strict=True) if truth is True
                ), f"{one} -> {other}"
            if applies_within(read(one), read(other)):
                assert all(
                    at(read(other), d) is not False
                    for d, truth in zip(CORPUS, truths, strict=True)
                    if truth is not False
                ), f"{one} -> {other}"
    assert proved > 150


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(), expressions())
def test_random_trees(one, other):
    left, right = read(one), read(other)
    for document in CORPUS[::7]:
        if implies(left, right) and at(left, document) is True:
            assert at(right, document) is True
        if applies_within(left, right) and at(left, document) is not False:
            assert at(right, document) is not False


def test_what_is_meant_alike_is_proved_alike():
    for one, other in (
        ("!(resource.a == 1 && resource.a == 'a')", "resource.a != 1 || resource.a != 'a'"),
        ("resource.a in [1, 2]", "resource.a == 2 || resource.a == 1"),
        ("!(resource.a in [1, 2])", "resource.a != 1 && resource.a != 2"),
        ("resource.a == user.text && has(resource.a.b)", "has(resource.a.b) && resource.a == user.text"),
    ):
        assert implies(read(one), read(other))
        assert implies(read(other), read(one))


MANY = " && ".join(f"(resource.a == {n} || resource.s == '{n}')" for n in range(9))


def test_what_has_too_many_cases_is_looked_at_by_its_parts():
    assert cases_of(read(MANY)) is None
    for one, other in (
        (f"{MANY} && resource.b == 1", "resource.b in [1, 2]"),
        (f"({MANY} && resource.b == 1) || resource.b == 2", "resource.b in [1, 2]"),
        (f"{MANY} && resource.b == 1", "has(resource.b) && resource.b != 2"),
    ):
        assert implies(read(one), read(other))
        assert not implies(read(one), read("resource.b == 2"))
