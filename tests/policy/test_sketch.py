"""A condition of no caller, as the filter that it becomes: for every condition there is one, and it can be read."""

import json

import pytest
from hypothesis import given, settings

from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.nodes import paths_of
from permission_mongo.policy.parser import parse
from permission_mongo.policy.sketch import sketched
from permission_mongo.policy.to_mongo import to_mongo
from permission_mongo.values import write_json
from tests.laws import worlds

BINDINGS = worlds.bindings()


def read(text):
    return typed(parse(text), worlds.KINDS.get)


def is_of_no_caller(expression) -> bool:
    return all(path.root in ("resource", "element") for path in paths_of(expression))


@pytest.mark.parametrize("text", worlds.leaves())
def test_each_kind_of_test_has_a_filter_as_it_is_and_turned_round(text):
    for expression in (read(text), read(f"!({text})")):
        assert isinstance(json.loads(write_json(sketched(expression))), dict)
        if is_of_no_caller(expression):
            assert sketched(expression) == to_mongo(bind(expression, BINDINGS))


@pytest.mark.parametrize(
    "text",
    [
        "any(resource.a, x => any(x.b, y => y == user.id || y == 'b'))",
        "any(resource.a, x => x.b in user.list || user.text == 'b')",
        "any(resource.a, x => x == 'a' || user.text == 'b')",
        "any(resource.a, x => startsWith(x, user.id))",
        "!containsAll(resource.a, user.list)",
        "resource.a in user.$subordinates",
        "!(user.id in user.list)",
    ],
)
def test_so_has_what_callers_bring_in_odd_places(text):
    assert isinstance(json.loads(write_json(sketched(read(text)))), dict)


@settings(max_examples=300, deadline=None)
@given(worlds.expressions())
def test_so_has_every_tree_of_them(text):
    assert isinstance(json.loads(write_json(sketched(read(text)))), dict)


def value_of(found: dict):
    """Of the filter on `resource.a` what is compared, its guards left out."""
    return {name: value for name, value in found["a"].items() if name not in ("$exists", "$not", "$type")}


def test_what_a_caller_brings_is_named():
    assert value_of(sketched(read("resource.a == user.id"))) == {"$eq": "<user.id>"}
    assert value_of(sketched(read("resource.a in user.list"))) == {"$in": ["<user.list>..."]}
    assert value_of(sketched(read("resource.a in ['x', user.text]"))) == {"$in": ["x", "<user.text>"]}
    assert value_of(sketched(read("resource.a < now"))) == {"$lt": "<now>"}


def test_what_is_decided_without_a_document_stands_by_itself():
    found = sketched(read("user.text == 'a' && resource.a == 1"))
    assert {"$of_the_caller": "user.text == 'a'"} in found["$and"]
    turned = sketched(read("!(user.text == 'a' && resource.a == 1)"))
    assert {"$of_the_caller": "!(user.text == 'a')"} in turned["$or"]


def test_a_rule_for_every_document_is_an_empty_filter():
    assert sketched(read("true")) == {}
