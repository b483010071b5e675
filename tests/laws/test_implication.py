"""What the linter calls never, always or implied is so: of every hostile document, whoever asks.

The evaluator is the oracle; `tests/laws/test_agreement.py` holds it against a real server.
"""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permission_mongo.policy import facts as facts_room
from permission_mongo.policy import implication
from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.implication import excludes, implies, is_always, is_never
from permission_mongo.policy.nodes import Expression
from permission_mongo.policy.parser import parse
from tests.laws import worlds

EXAMPLES = max(int(os.environ.get("LAW_EXAMPLES", "2000")) // 4, 1)
IN_CI = "LAW_EXAMPLES" not in os.environ
CORPUS = worlds.corpus()

PLACES = ("resource.a", "resource.a.b", "resource.s")
VALUES = ("'a'", "'b'", "'ab'", "1", "2", "1.0", "null", "true", "user.text", "user.number", "user.missing")
LISTS = ("[]", "['a']", "['a', 'b']", "['a', 1, null]", "[1, 2]", "['a', user.text]", "user.roles", "user.list")
LEAVES = [
    *(f"{place} {op} {value}" for place in PLACES[:2] for op in ("==", "!=") for value in VALUES),
    *(f"{place} {op} {v}" for place in PLACES[:2] for op in ("<", "<=", ">", ">=") for v in VALUES if v not in ("null", "true")),
    *(f"resource.s {op} {v}" for op in ("==", "!=", "<", ">=") for v in ("'a'", "'b'", "user.text")),
    *(f"{place} in {items}" for place in PLACES[:2] for items in LISTS),
    *(f"has({place})" for place in PLACES),
    *(f"startsWith({place}, {v})" for place in PLACES for v in ("'a'", "'ab'", "''", "user.text")),
    *(f"{value} in resource.a" for value in ("'a'", "1", "user.text")),
    *(f"contains{q}(resource.a, {items})" for q in ("Any", "All") for items in LISTS[1:4]),
    *(f"any(resource.a, x => {test})" for test in ("x == 'a'", "x.b == 1", "!(x == 'a')")),
    *(f"user.{name} {test}" for name in ("text", "number") for test in ("== 'a'", "!= 'a'", "== 1", "< 2", "in ['a', 'b']")),
    "true", "false", "1 == 1", "'a' in ['b']", "now > date('2020-01-01')",
]  # fmt: skip


def trees() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(LEAVES),
        lambda inner: st.one_of(
            inner.map(lambda e: f"!({e})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda es: "(" + " && ".join(f"({e})" for e in es) + ")"),
            st.lists(inner, min_size=2, max_size=3).map(lambda es: "(" + " || ".join(f"({e})" for e in es) + ")"),
        ),
        max_leaves=5,
    )


def read(text: str) -> Expression:
    return typed(parse(text), worlds.KINDS.get)


BINDINGS = worlds.bindings()
CALLERS = [
    BINDINGS,
    replace(BINDINGS, claims={}),
    replace(BINDINGS, claims={"text": "b", "number": 2.0, "list": [1]}, roles=()),
    replace(BINDINGS, claims={"text": 1, "number": "a", "list": ["a", None]}, user_id="b"),
]


def reached(expression: Expression, caller, documents) -> set[int]:
    bound = bind(expression, caller)
    return {n for n, document in enumerate(documents) if holds(bound, document)}


def law(examples: int = EXAMPLES):
    return settings(
        max_examples=examples, deadline=None, derandomize=IN_CI, database=None, suppress_health_check=list(HealthCheck)
    )


ALL = [
    *CORPUS,
    *({"a": one, "s": other} for one in ("a", "b", 1, 2, None, {"b": "a"}, {"b": 1}) for other in ("a", None)),
]


def judged(one: str, other: str) -> tuple[list[str], list[str]]:
    """What is said of the two, and what of it is wrong."""
    left, right = read(one), read(other)
    said = {
        "never": is_never(left),
        "always": is_always(left),
        "implies": implies(left, right),
        "excludes": excludes(left, right),
    }
    wrong = []
    for caller in CALLERS if any(said.values()) else ():
        first, second = reached(left, caller, ALL), reached(right, caller, ALL)
        breaches = {
            "never": bool(first),
            "always": len(first) < len(ALL),
            "implies": bool(first - second),
            "excludes": bool(first & second),
        }
        wrong += [f"{what}: {one} | {other}" for what, is_said in said.items() if is_said and breaches[what]]
    return [what for what, is_said in said.items() if is_said], wrong


def test_what_is_said_of_random_trees_is_so():
    counts = dict.fromkeys(("never", "always", "implies", "excludes"), 0)

    @law()
    @given(trees(), trees(), st.booleans())
    def holds_true(one, other, related):
        # Of two strangers hardly anything follows; of a part and its whole something may.
        said, wrong = judged(f"({one}) && ({other})" if related else one, other)
        assert wrong == []
        for what in said:
            counts[what] += 1

    holds_true()
    print(f"\nsaid: {counts}")
    assert min(counts.values()) >= EXAMPLES // 200, counts
    assert counts["implies"] >= EXAMPLES // 10, counts


def test_every_pair_of_leaves_is_judged_rightly():
    """Exhaustive: each leaf in both polarities against each, by one caller's rows and then by all where something is said."""
    texts = [text for leaf in LEAVES for text in (leaf, f"!({leaf})")]
    trees_ = {text: read(text) for text in texts}
    rows = [{text: reached(tree, caller, ALL) for text, tree in trees_.items()} for caller in CALLERS]
    said, wrong = 0, []
    for one in texts:
        for other in texts:
            if implies(trees_[one], trees_[other]):
                said += 1
                wrong += [f"{one} => {other}" for by in rows if by[one] - by[other]]
            if excludes(trees_[one], trees_[other]):
                said += 1
                wrong += [f"{one} excludes {other}" for by in rows if by[one] & by[other]]
    assert wrong == []
    assert said > 2 * len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("resource.a == 'a'", "has(resource.a)"),
        ("resource.a.b == 1", "has(resource.a)"),
        ("resource.a == 1", "resource.a < 2"),
        ("resource.a == 1", "resource.a in [1.0, 'x']"),
        ("resource.a in ['a', 'b']", "resource.a != 'c'"),
        ("resource.a > 3 && resource.a <= 5", "resource.a >= 3"),
        ("resource.a > 3", "resource.a != 3"),
        ("resource.a > 3", "resource.a != 'x'"),
        ("resource.a == user.text && resource.s == 'a'", "resource.a == user.text"),
        ("resource.a == 'a' || resource.a == 'b'", "resource.a in ['a', 'b', 'c']"),
        ("resource.a in ['a', 'b']", "resource.a == 'b' || resource.a == 'a'"),
        ("resource.a == 'abc'", "startsWith(resource.a, 'ab')"),
        ("startsWith(resource.a, 'abc')", "startsWith(resource.a, 'ab')"),
        ("resource.a == 'a'", "!(resource.a == 'b')"),
        ("resource.a == 'a'", "!has(resource.a.b)"),
        ("!(resource.a in ['a', 'b'])", "resource.a != 'a'"),
        ("resource.a == 1", "resource.a < 5 || resource.a >= 5"),
    ],
)
def test_what_a_person_would_see_is_seen(one, other):
    assert implies(read(one), read(other))
    assert excludes(read(one), read(f"!({other})")) or "startsWith(" in one


@pytest.mark.parametrize(
    "text",
    [
        "resource.a == 1 && resource.a == 2",
        "resource.a in []",
        "resource.a > 5 && resource.a < 3",
        "resource.a > 5 && resource.a < 'x'",
        "resource.a == user.text && resource.a != user.text",
        "resource.a == 'a' && resource.a.b == 1",
        "has(resource.a) && !has(resource.a)",
        "resource.a == 'x' && startsWith(resource.a, 'y')",
        "resource.a == 'a' && 'x' in resource.a",
        "user.text == 'a' && user.text == 'b'",
        "!(resource.a == 1 || resource.a != 1)",
    ],
)
def test_a_contradiction_is_seen(text):
    assert is_never(read(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("resource.a == user.text", "resource.a == user.other"),
        ("resource.a != 'a'", "resource.a != 'b'"),
        ("has(resource.a)", "resource.a == user.text"),
        ("resource.a < 5", "resource.a < 3"),
        ("resource.a == 'a'", "resource.a == 'a' && resource.s == 'b'"),
        ("!(resource.a == 'a')", "resource.a == 'b'"),
    ],
)
def test_nothing_is_said_where_nothing_is_sure(one, other):
    assert not implies(read(one), read(other))


MUTANTS = {
    "a range says nothing of its ends": (facts_room._Bounds, "against", lambda self, value: frozenset({"gt"})),
    "claims differ by their names": (facts_room, "_may_be_equal", lambda one, other: one == other),
    "one claim is as good as another": (facts_room, "_is_equal", lambda one, other: True),
}


@pytest.fixture
def forgotten():
    """Nothing of what a broken engine found is left behind."""
    for memory in (implication.cases_of, implication._facts_of):
        memory.cache_clear()
    yield
    for memory in (implication.cases_of, implication._facts_of):
        memory.cache_clear()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_engine_is_caught(monkeypatch, forgotten, name):
    room, attribute, broken = MUTANTS[name]
    monkeypatch.setattr(room, attribute, broken)
    pairs = [
        ("resource.a < 'b'", "resource.a != 1"),
        ("resource.a == 1", "resource.a == user.number"),
        ("resource.a == user.text", "resource.a == user.other"),
        ("resource.a in ['a']", "has(resource.a)"),
        ("resource.a > 1", "resource.a < 'x'"),
        ("resource.a > 1", "resource.a > 5"),
        ("resource.a > 1 && resource.a >= 1", "resource.a > 0"),
        ("resource.a >= 2 && resource.a > 1", "resource.a >= 2"),
        ("resource.a <= 1 && resource.a < 2", "resource.a < 2"),
        ("resource.a > 1 && resource.a > 0", "resource.a >= 1"),
        ("resource.a == 'a'", "resource.a == user.text && resource.a == 'a'"),
    ]
    sound = {(one, other) for one, other in pairs if not judged(one, other)[1]}
    monkeypatch.undo()
    assert len(sound) < len(pairs)
