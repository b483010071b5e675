"""What is shown of a stored document, on documents that do not keep to any schema."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permission_mongo.documents.masks import masked
from permission_mongo.documents.paths import canonical
from permission_mongo.documents.reveal import View
from tests.builders import some_fields

KEY = bytes(range(32))


def shown(document, *rules, hidden=()):
    return View(tuple(rules), frozenset(canonical(path) for path in hidden), KEY).reveal(document)


def test_denied_fields_are_absent_in_objects_arrays_and_arrays_of_arrays():
    rules = some_fields(deny=["contacts.secret"])
    for contacts, expected in [
        ({"secret": 1, "a": 2}, {"a": 2}),
        ([{"secret": 1, "a": 2}, 5], [{"a": 2}, 5]),
        ([[{"secret": 1}]], [[{}]]),
        ({"0": {"secret": 1, "a": 2}}, {"0": {"a": 2}}),
    ]:
        assert shown({"contacts": contacts}, rules) == {"contacts": expected}


def test_stored_names_with_dots_are_judged_as_the_path_they_read_like():
    rules = some_fields(deny=["contacts.secret"])
    assert shown({"contacts.secret": "LEAK", "contacts": {"secret.deep": "LEAK", "b": 1}}, rules) == {
        "contacts": {"b": 1}
    }
    assert shown({"contacts.secret": "LEAK", "contacts.a": 1}, some_fields(["contacts.a"])) == {"contacts.a": 1}


def test_what_is_not_allowed_is_absent_and_an_emptied_container_too():
    rules = some_fields(["name", "contacts.a"])
    document = {"_id": 1, "_version": 2, "name": "n", "contacts": {"a": 1, "b": 2}, "pay": 5}
    assert shown(document, rules) == {"_id": 1, "_version": 2, "name": "n", "contacts": {"a": 1}}
    assert shown({"contacts": {"b": 2}}, rules) == {}
    assert shown({"contacts": "text"}, rules) == {}
    assert shown({"contacts": ["text", {"b": 1}]}, rules) == {}


def test_a_field_is_raw_if_some_grant_gives_it_raw_else_masked_else_absent():
    masks, raw, nothing = some_fields(mask={"ssn": "redact"}), some_fields(["ssn"]), some_fields(["name"])
    assert shown({"ssn": "123456789"}, masks, raw) == {"ssn": "123456789"}
    assert shown({"ssn": "123456789"}, masks, nothing) == {"ssn": "***"}
    assert shown({"ssn": "123456789"}, nothing) == {}


def test_masks_work_inside_objects_and_arrays():
    rules = some_fields(mask={"people.mail": "email", "cards": "last4"})
    document = {"people": [{"mail": "ann@example.com", "n": 1}], "cards": ["4111 1111 1111 1234", {"no": 1}]}
    assert shown(document, rules) == {"people": [{"mail": "a***@example.com", "n": 1}], "cards": ["***1234", "***"]}


def test_a_masked_object_is_masked_whole():
    assert shown({"pay": {"month": 1}}, some_fields(mask={"pay": "partial"})) == {"pay": "***"}


def test_a_hidden_field_is_absent_whatever_else_grants_it():
    assert shown({"pay": {"month": 1, "year": 2}, "n": 1}, some_fields(), hidden=["pay.month"]) == {
        "pay": {"year": 2},
        "n": 1,
    }
    assert shown({"pay": 1, "pay.month": 2}, some_fields(["pay"]), hidden=["pay"]) == {}


def test_the_stamp_of_the_last_write_is_never_shown():
    assert shown({"_id": 1, "_made": {"by": "x"}}, some_fields()) == {"_id": 1}
    assert shown({"_id": 1, "_made": {"by": "x"}}, some_fields(["_made"])) == {"_id": 1}


@pytest.mark.parametrize("kind", ["email", "phone", "partial", "redact", "last4"])
@pytest.mark.parametrize("value", ["", "a", "1234567", 5, True, 1.5, "no-mail", "@", "a@", b"bytes"])
def test_a_mask_never_tells_a_short_or_unfit_value(kind, value):
    assert masked(value, kind, KEY) == "***"


def test_masks_have_a_constant_shape():
    assert masked("ann@example.com", "email", KEY) == "a***@example.com"
    assert masked("+1-212-555-4567", "phone", KEY) == "***4567"
    assert masked("123-45-6789", "partial", KEY) == "1***9"
    assert masked(None, "redact", KEY) is None
    assert len({len(masked(value, "hash", KEY)) for value in ("", "a", 5, "x" * 100, {"a": 1})}) == 1


def test_a_hash_is_comparable_within_a_deployment_and_useless_outside():
    assert masked("a", "hash", KEY) == masked("a", "hash", KEY) != masked("a", "hash", bytes(32))


PATHS = ["a", "a.b", "a.b.c", "b", "b.c"]
RULES = st.builds(
    some_fields,
    st.none() | st.lists(st.sampled_from(PATHS), max_size=3),
    st.lists(st.sampled_from(PATHS), max_size=2),
    st.just(()),
    st.dictionaries(st.sampled_from(PATHS), st.just("redact"), max_size=2),
)
VALUES = st.recursive(
    st.sampled_from(["SECRET"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["a", "b", "c", "0", "b.c"]), inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["a", "b", "c", "a.b"]), VALUES, max_size=3)


def leaves(value, path=()):
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, *canonical(key)))]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner, path)]
    return [(path, value)]


@given(DOCUMENTS, st.lists(RULES, max_size=3), st.lists(st.sampled_from(PATHS), max_size=2))
def test_no_leaf_is_shown_raw_that_no_grant_gives_raw(document, rules, hidden):
    stored = deepcopy(document)
    for path, value in leaves(shown(document, *rules, hidden=hidden)):
        given_raw = any(one.covers(path) and one.mask_at(path) is None for one in rules)
        barred = any(path[: len(canonical(h))] == canonical(h) for h in hidden)
        assert value == "***" or (given_raw and not barred)
    assert document == stored, "the stored document is left as it was"


@given(
    st.lists(DOCUMENTS, max_size=3), st.integers(1, 3), st.lists(RULES, max_size=2), st.lists(st.sampled_from(PATHS))
)
def test_rows_that_become_what_is_shown_show_what_copies_of_them_do(documents, times, rules, hidden):
    view = View(tuple(rules), frozenset(canonical(path) for path in hidden), KEY)
    rows = [deepcopy({**one, "_made": 1}) for one in documents * times]
    expected = [view.reveal(row) for row in rows]
    assert view.reveal_all(rows) == expected
    assert view.reveal_own(rows) == expected


@given(DOCUMENTS, st.lists(RULES, max_size=2), RULES)
def test_a_further_grant_never_shows_less(document, rules, further):
    before = [leaf for leaf in leaves(shown(document, *rules)) if leaf[1] == "SECRET"]
    after = [leaf for leaf in leaves(shown(document, *rules, further)) if leaf[1] == "SECRET"]
    assert all(after.count(leaf) >= before.count(leaf) for leaf in before)


@given(RULES, st.sampled_from(PATHS))
def test_a_path_that_may_be_asked_about_is_shown_whole(rules, path):
    """What a caller may filter by, it could read: no part of the value is masked or cut."""
    value: object = {"a": {"b": {"c": "SECRET", "d": "SECRET"}}, "b": {"c": "SECRET"}}
    if rules.reads_raw(canonical(path)):
        seen, whole = shown(value, rules), value
        for part in path.split("."):
            seen, whole = seen[part], whole[part]
        assert seen == whole
