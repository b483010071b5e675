"""An order is whole, by `_id` at last, and served only by an index that holds every row in it."""

import pytest

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.sorting import Ordered, Sort, ordered, read_sort
from permission_mongo.schema.model import Collection, Field, Index

FIELDS = {
    "a": Field("a", "integer"),
    "b": Field("b", "string"),
    "free": Field("free", "any"),
    "tags": Field("tags", "array", items=Field("tags[]", "string")),
    "grid": Field("grid", "array", items=Field("grid[]", "array")),
    "lines": Field("lines", "array", items=Field("lines[]", "object", properties={"n": Field("n", "integer")})),
    "pay": Field("pay", "object", properties={"month": Field("month", "number"), "parts": Field("parts", "array")}),
    "open": Field("open", "object"),
}


def notes(*indexes, **more) -> Collection:
    return Collection("notes", FIELDS, indexes=tuple(indexes), **more)


def an_order(text, collection=None, prefix=()) -> Ordered:
    collection = collection or notes()
    return ordered(read_sort(text.split(","), collection, "sort"), collection, prefix)


def test_a_minus_turns_the_direction():
    assert read_sort(["a", "-pay.month"], notes(), "sort") == Sort((("a", 1), ("pay.month", -1)))


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("a", (("a", 1), ("_id", 1))),
        ("-a,b", (("a", -1), ("b", 1), ("_id", 1))),
        ("-_id", (("_id", -1),)),
        ("a,-_id,b", (("a", 1), ("_id", -1))),
    ],
)
def test_ties_go_by_id_and_nothing_stands_behind_it(text, order):
    assert an_order(text).order == order


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a", (("a", 1), ("_id", 1))),
        ("-a", (("a", -1), ("_id", 1))),
        ("-a", (("a", 1), ("_id", -1))),
        ("-a", (("a", 1), ("_id", 1))),
        ("a,-b", (("a", -1), ("b", 1), ("_id", 1))),
        ("-_id", (("_id", 1),)),
    ],
)
def test_an_index_in_these_directions_or_all_reversed_fits(text, keys):
    found = an_order(text, notes(Index(keys)))
    assert found.index == keys
    backward = tuple((name, -way) for name, way in found.order)
    assert keys in (found.order, backward)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("a", Index((("a", 1),))),
        ("a", Index((("a", 1), ("_id", 1)), sparse=True)),
        ("a", Index((("a", 1), ("b", 1), ("_id", 1)))),
        ("a,b", Index((("b", 1), ("a", 1), ("_id", 1)))),
        ("a,b", Index((("a", 1), ("b", -1), ("_id", 1)))),
        ("a", Index((("b", 1), ("a", 1), ("_id", 1)))),
    ],
    ids=str,
)
def test_another_index_does_not(text, index):
    assert an_order(text, notes(index)) == Ordered(an_order(text).order)


def test_an_index_led_by_the_tenant_serves_who_stays_in_one_tenant():
    led, alone = Index((("t", 1), ("a", 1), ("_id", 1))), Index((("a", 1), ("_id", -1)))
    collection = notes(alone, led, tenant_field="t")
    assert an_order("a", collection, ["t"]) == Ordered((("a", 1), ("_id", 1)), led.keys)
    assert an_order("a", collection) == Ordered((("a", 1), ("_id", -1)), alone.keys)
    assert an_order("-_id", collection, ["t"]).index == (("t", 1), ("_id", 1))


@pytest.mark.parametrize(
    "name", ["", "-", "a.", ".a", "a..b", "$a", "a$", "pay.$", "lines.0.n", "0", "a\x00", "x" * 513, 5, None, {}, ["a"]]
)
def test_t8_t20_what_names_no_field_is_refused(name):
    with pytest.raises(InvalidRequest, match="a field is named like"):
        read_sort([name], notes(), "sort")


@pytest.mark.parametrize("names", [["a", "a"], ["a", "-a"], [], [f"f{n}" for n in range(9)]], ids=str)
def test_t14_a_field_twice_or_too_many_are_refused(names):
    with pytest.raises(InvalidRequest):
        read_sort(names, notes(), "sort")


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["tags", "free"], "may both be arrays"),
        (["tags", "unknown"], "may both be arrays"),
        (["open.x", "tags"], "may both be arrays"),
        (["grid"], "array of arrays"),
        (["lines.n"], "leads through"),
        (["free.x"], "leads through"),
        (["open.x.y"], "leads through"),
        (["unknown.x"], "leads through"),
        (["tags", "a", "pay.month", "_id", "_version"], None),
        (["pay.parts", "a"], None),
        (["lines"], None),
        (["pay", "open.x"], None),
    ],
    ids=str,
)
def test_a_field_that_can_not_be_sorted_by_is_kept_back_until_the_paths_are_judged(names, fault):
    found = read_sort(names, notes(), "sort").fault
    assert (found is None) if fault is None else (found is not None and fault in found)
