"""The quick reading and the careful one are one reading."""

import re
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from permission_mongo.schema.defaults import Fill
from permission_mongo.schema.model import FIELD_TYPES, Collection, Field
from permission_mongo.schema.validate import _Reader, read_carefully, read_document, read_stamps, unfit_names
from permission_mongo.schema.vectors import plain_vector

FILL = Fill(datetime(2026, 1, 31), "alice", lambda: UUID(int=1))
INNER = {"n": Field("n", "integer", required=True), "s": Field("s", "string", default="x")}
FIELDS = [
    *(Field("f", kind) for kind in FIELD_TYPES),
    Field("f", "vector", dimensions=1),
    Field("f", "vector", dimensions=2, required=True),
    Field("f", "array", items=Field("f[]", "vector", dimensions=1)),
    *(Field("f", kind, required=True) for kind in FIELD_TYPES),
    *(Field("f", kind, min=1, max=5) for kind in ("integer", "number", "decimal")),
    *(Field("f", "string", format=form) for form in ("email", "url", "date", "time", "datetime")),
    Field("f", "string", min_length=1, max_length=3, pattern=re.compile("^a")),
    Field("f", "string", enum=("a", "b")),
    Field("f", "integer", enum=(1, 2)),
    Field("f", "array", min_length=1, max_length=2, items=Field("f[]", "integer", min=1)),
    Field("f", "array", items=Field("f[]", "object", properties=INNER)),
    Field("f", "array", items=Field("f[]", "string")),
    Field("f", "array", items=Field("f[]", "string", required=True)),
    Field("f", "object", properties=INNER),
    Field("f", "array", default=[{"a": []}]),
    Field("f", "uuid", default="uuid()"),
    Field("f", "objectId", default="user.id"),
]
TEXTS = [
    "",
    "a",
    "ab",
    "abcd",
    "a@b.co",
    "https://a.b/c",
    "2026-01-31",
    "2026-01-31T12:00:00Z",
    "23:59",
    "1.5",
    "a\x00",
]
TEXTS += ["65f000000000000000000001", str(UUID(int=5)), "NaN", "Infinity", "$x", "1e6000"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, 1, 3, 2**63, -(2**63), 2**53]), st.floats(),
    st.sampled_from([1.0, 5.0, 5.1, 2.0**53]), st.sampled_from(TEXTS), st.text(max_size=5), st.just(datetime(2026, 1, 1)),
)  # fmt: skip
NAMES = st.sampled_from(
    ["n", "s", "a", "$oid", "$date", "$numberDecimal", "$numberLong", "0", "", "a.b", "__proto__", "é"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=5
)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(FIELDS), st.just({}) | st.fixed_dictionaries({"f": VALUES}), st.booleans())
def test_both_readings_agree_on_values_and_on_errors(field, document, more):
    collection = Collection("c", {"f": field}, keeps_additional=True)
    document = {**document, "other": document.get("f")} if more else document
    assert repr(read_document(document, collection, FILL)) == repr(read_carefully(document, collection, FILL))


@pytest.mark.parametrize("field", FIELDS)
def test_both_readings_agree_on_every_text_by_itself_and_as_an_element(field):
    """Chance finds one text at one type too seldom: a NUL in a text without constraints, for one."""
    collection = Collection("c", {"f": field})
    for one in [*TEXTS, None, True, 1, 1.0]:
        for value in (one, [one], [one, one], {"s": one}, [{"n": 1, "s": one}], {"$oid": one}):
            read = read_document({"f": value}, collection, FILL)
            assert repr(read) == repr(read_carefully({"f": value}, collection, FILL)), value


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("sent", [{}, {"other": "a"}, {"other": 1}])
def test_a_stamp_read_once_is_what_it_is_when_it_is_read_in_each_document(field, sent):
    collection = Collection(
        "c", {"f": field, "other": Field("other", "string"), "filled": Field("filled", "string", default="x")}
    )
    for value in [*TEXTS, None, True, 1, 1.0, datetime(2026, 1, 1), [1], {"n": 1}]:
        stamped = read_stamps({"f": value}, collection, FILL)
        for _ in range(2):
            read = read_document(sent, collection, FILL, stamped)
            assert repr(read) == repr(read_carefully({**sent, "f": value}, collection, FILL)), value


def test_what_could_be_changed_in_one_document_is_no_stamp_of_all():
    collection = Collection("c", {"f": Field("f", "array")})
    stamped = read_stamps({"f": [[]]}, collection, FILL)
    first, _ = read_document({}, collection, FILL, stamped)
    first["f"][0].append(1)
    assert read_document({}, collection, FILL, stamped)[0] == {"f": [[]]}


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_t21_no_name_is_surely_fit_that_the_careful_reading_refuses(document):
    collection = Collection("c", {"n": Field("n", "any"), "0": Field("0", "any")})
    careful = _Reader(collection)
    careful.names_are_fit(document)
    assert unfit_names(document, collection) == careful.errors


@pytest.mark.parametrize("levels", range(60, 70))
@pytest.mark.parametrize("wrap", [lambda value: {"a": value}, lambda value: [value]], ids=["objects", "arrays"])
def test_t19_both_readings_agree_on_depth(levels, wrap):
    value: object = 1
    for _ in range(levels):
        value = wrap(value)
    collection = Collection("c", keeps_additional=True)
    careful = _Reader(collection)
    careful.names_are_fit({"f": value})
    assert unfit_names({"f": value}, collection) == careful.errors


def test_what_a_default_fills_in_is_not_shared_between_documents():
    collection = Collection("c", {"f": Field("f", "array", default=[{"a": []}])})
    first, _ = read_document({}, collection, FILL)
    first["f"][0]["a"].append(1)
    assert read_document({}, collection, FILL)[0] == {"f": [{"a": []}]}


@pytest.mark.parametrize("kind", ["objectId", "uuid", "date"])
def test_a_default_that_the_callers_id_can_not_be_is_told_and_does_not_break(kind):
    collection = Collection("c", {"f": Field("f", kind, default="user.id")})
    assert [(one.field, one.code) for one in read_document({}, collection, FILL)[1]] == [("f", "type")]


@pytest.mark.parametrize("one", [float("nan"), float("inf"), -float("inf"), 10**400, True, None, "1", [1]])
def test_a_vector_is_of_finite_numbers_alone(one):
    assert plain_vector([0.5, 1], 2) == [0.5, 1.0]
    assert plain_vector([0.5, one], 2) is None
    collection = Collection("c", {"f": Field("f", "vector", dimensions=2)})
    assert [(error.field, error.code) for error in read_document({"f": [0.5, one]}, collection, FILL)[1]] == [
        ("f.1", "type")
    ]
