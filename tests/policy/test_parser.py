"""The language reads one way, and what it can't mean exactly is refused at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.nodes import (
    NEVER,
    UNKNOWN,
    And,
    Compare,
    Has,
    Items,
    Member,
    Not,
    Or,
    Path,
    RuleError,
    Value,
)
from permission_mongo.policy.parser import parse
from tests.laws.worlds import bindings


def leaf(name: str, value: object) -> Compare:
    return Compare("==", Path("resource", (name,)), Value(value))


def test_and_binds_closer_than_or_and_words_equal_signs():
    expected = Or((leaf("a", 1), And((leaf("b", 2), leaf("c", 3)))))
    assert parse("resource.a == 1 || resource.b == 2 && resource.c == 3") == expected
    assert parse("doc.a == 1 or doc.b == 2 and doc.c == 3") == expected


def test_not_covers_the_comparison_behind_it():
    assert parse("not doc.a == 1 and doc.b == 2") == And((Not(leaf("a", 1)), leaf("b", 2)))
    assert parse("!(doc.a == 1)") == Not(leaf("a", 1))


def test_a_literal_on_the_left_is_turned_around():
    assert parse("5 < doc.a") == Compare(">", Path("resource", ("a",)), Value(5))


def test_the_spellings_of_the_user_id_are_one():
    assert {parse(f"doc.o == user.{name}").right.segments for name in ("id", "_id", "sub")} == {("id",)}


def test_claims_are_reached_with_and_without_their_prefix():
    assert parse("doc.o == user.claims.region").right.segments == parse("doc.o == user.region").right.segments


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("resource.a = 1", 11, "did you mean '=='"),
        ("resorce.a == 1", 0, "did you mean 'resource'"),
        ("resource.a == 1 & true", 16, "did you mean '&&'"),
        ("resource.a", 10, "expected a comparison"),
        ("resource == 1", 0, "alone is no value"),
        ("!resource.a == 1", 0, "must stand in brackets"),
        ("resource.a == resource.b", 0, "can't be compared with each other"),
        ("resource.a in resource.b", 0, "can't be compared with each other"),
        ("resource.a < true", 0, "orders numbers"),
        ("resource.a < null", 0, "orders numbers"),
        ("resource.$where == 1", 0, "can't start with '$'"),
        ("user.$subordinate == 1", 0, "did you mean 'user.$subordinates'"),
        ("user.claims.$subordinates == 1", 0, "can't start with '$'"),
        ("request.body == 1", 0, "request has method, ip, time"),
        ("resource.a == 'x", 14, "does not end"),
        ("resource.a == date('soon')", 19, "expects a date"),
        ("resource.a == oid('1')", 18, "24 hex digits"),
        ("resource.a == 99999999999999999999", 14, "64 bits"),
        ("resource.a == 1e999", 14, "too large"),
        ("any(resource.a, x => x == 1 && x == 2)", 16, "'&&' needs fields"),
        ("any(resource.a, x => x == 1 || x.b == 2)", 16, "not both"),
        ("any(resource.a, x => resource.b == 2)", 21, "only the element"),
        ("any(resource.a, x => has(x.b))", 25, "can't stand inside any"),
        ("any(resource.a, user => user == 1)", 16, "a new name"),
        ("any(resource.a, x => user.id == 'a')", 16, "must read its element"),
        ("any(resource.a, x => any(x.b, y => x.c == 1))", 35, "out of reach"),
        ("startsWith(resource.a, 5)", 23, "compares with a string"),
        ("containsAny(resource.a, 'x')", 24, "expected a list"),
        ("resource.a in 'x'", 0, "needs a list"),
        ("resource.a == ['x']", 0, "single values"),
        ("resource.a in [['x']]", 15, "can't hold a list"),
        ("resource.a == 1) || true", 15, "after the expression"),
        ("resource.a == 'a\\q'", 14, "unknown escape"),
        ("(" * 60 + "true" + ")" * 60, 50, "nests at most 50"),
        ("x" * 10_001, 0, "at most 10000"),
        ("", 0, "expected a path or a value"),
    ],
)
def test_a_text_without_exact_meaning_is_refused_at_its_place(text, place, message):
    with pytest.raises(RuleError, match=r".") as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.offset == place


@given(st.text(alphabet="abresourceuser.$()[]!&|=<>'\"0123456789 ,innotxhasanydateoid\\\n\x00", max_size=60))
def test_any_text_parses_or_is_refused_and_never_breaks(text):
    try:
        parse(text)
        offset = 0
    except RuleError as error:
        offset = error.offset
    assert 0 <= offset <= len(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("doc.a == 1", "string"), ("doc.a == 'x'", "number"), ("doc.a in ['x']", "objectId"), ("doc.a < true", None)]
    + [("doc.a > 'x'", "boolean"), ("doc.a == 'soon'", "date"), ("startsWith(doc.a, 'x')", "number")],
)
def test_a_literal_of_another_type_is_a_clash(text, kind):
    with pytest.raises(RuleError):
        typed(parse(text), lambda _: kind)


@pytest.mark.parametrize(
    "claim", ["missing", "null", "object", "dollar", "nul", "huge", "nan", "list", "flag.deeper", "claims.missing"]
)
def test_a13_a14_t7_an_attribute_that_is_no_plain_scalar_is_unknown_and_never_null(claim):
    for text in (
        f"doc.a == user.{claim}",
        f"doc.a != user.{claim}",
        f"user.{claim} == null",
        f"startsWith(doc.a, user.{claim})",
    ):
        assert bind(parse(text), bindings()) in (UNKNOWN, NEVER)


def test_a_claim_of_the_wrong_type_for_its_field_is_unknown():
    assert bind(typed(parse("doc.a != user.number"), lambda _: "string"), bindings()) == UNKNOWN
    assert bind(typed(parse("doc.a != user.text"), lambda _: "objectId"), bindings()) == UNKNOWN


def test_a_claim_never_overrides_the_callers_identity():
    """A token that carries claims called id, roles or tenant_id does not change who asks."""
    assert bind(parse("user.id == 'a' && user.tenant_id == 'acme'"), bindings()).truth is True
    assert bind(parse("user.claims.id == 'a'"), bindings()) == UNKNOWN


def test_what_the_caller_decides_is_folded_before_any_query():
    assert bind(parse("user.text == 'zzz' && doc.a == 1"), bindings()) == NEVER
    assert bind(parse("'user' in user.roles || doc.a == 1"), bindings()).truth is True


def test_a_list_with_an_unreadable_element_grants_by_the_readable_ones_only():
    expression = bind(parse("doc.a in user.mixed"), bindings())
    assert expression == Or((Member(Path("resource", ("a",)), Items((Value("a"),))), UNKNOWN))


def test_has_reads_no_caller():
    assert isinstance(bind(parse("has(doc.a.b)"), bindings()), Has)
