"""The two readings of a policy agree: the rows a filter finds are the rows of which the expression is true.

Shown on a real server, over hostile documents, with and without indexes; and shown to be able to fail.
"""

import os
from functools import cache

import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permission_mongo.policy import to_mongo as compiler
from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.policy.nodes import And, AnyElement, Constant, Expression, Not, Or
from permission_mongo.policy.parser import parse
from permission_mongo.values import CODEC
from tests.laws import worlds

pytestmark = pytest.mark.mongo
PAIRS = int(os.environ.get("LAW_EXAMPLES", "2000"))
IN_CI = "LAW_EXAMPLES" not in os.environ
DOCUMENTS_AN_EXAMPLE = 20


def bound(text: str) -> Expression:
    return bind(typed(parse(text), worlds.KINDS.get), worlds.bindings())


@pytest.fixture(scope="module")
def database(mongo_uri):
    with pymongo.MongoClient(mongo_uri) as client:
        database = client.get_database("law_agreement", codec_options=CODEC)
        client.drop_database("law_agreement")
        yield database
        client.drop_database("law_agreement")


@pytest.fixture(scope="module")
def collections(database):
    """The same hostile documents without an index, with single and with compound multikey ones."""
    plain, single, compound = (database[name] for name in ("plain", "single", "compound"))
    for field in ("a", "a.b", "a.b.c", "o", "u", "t", "s", "n"):
        single.create_index(field)
        compound.create_index([(field, 1), ("fixed", 1)])
    for collection in (plain, single, compound):
        collection.insert_many([{**document, "fixed": 1} for document in CORPUS])
    return plain, single, compound


def found(collection, expression: Expression) -> set[int]:
    return {row["_id"] for row in collection.find(compiler.to_mongo(expression), {"_id": 1})}


CORPUS = worlds.corpus()


@cache
def granted(text: str) -> set[int]:
    expression = bound(text)
    return {document["_id"] for document in CORPUS if holds(expression, document)}


def disagreements(collection, texts: list[str], most: int = 10) -> list[str]:
    wrong = []
    for text in texts:
        extra = found(collection, bound(text)) ^ granted(text)
        if extra:
            wrong.append(f"{text}: {[CORPUS[n] for n in sorted(extra)][:3]}")
        if len(wrong) == most:
            break
    return wrong


def in_both_polarities(texts: list[str]) -> list[str]:
    return [*texts, *(f"!({text})" for text in texts)]


def test_every_leaf_in_both_polarities_agrees_on_every_hostile_document(collections):
    texts = in_both_polarities(worlds.leaves())
    assert disagreements(collections[0], texts) == []
    print(f"\nleaves: {len(texts)} expressions x {len(CORPUS)} documents agree")


@pytest.mark.parametrize("index", [1, 2], ids=["single", "compound"])
def test_indexes_change_no_verdict(collections, index):
    texts = in_both_polarities(worlds.leaves())
    assert disagreements(collections[index], texts[:: 4 if IN_CI else 1]) == []


@pytest.mark.parametrize("index", [0, 1, 2], ids=["none", "single", "compound"])
def test_tests_of_one_place_that_are_said_as_one_agree(collections, index):
    texts = in_both_polarities(worlds.alternatives())
    assert disagreements(collections[index], texts[index :: 4 if index and IN_CI else 1]) == []
    print(f"\nalternatives: {len(texts)} expressions x {len(CORPUS)} documents agree")


def test_random_trees_agree_on_random_documents(database):
    pairs = verdicts = 0

    @settings(
        max_examples=max(PAIRS // DOCUMENTS_AN_EXAMPLE, 1),
        deadline=None,
        derandomize=IN_CI,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        worlds.expressions(), st.lists(worlds.documents(), min_size=DOCUMENTS_AN_EXAMPLE, max_size=DOCUMENTS_AN_EXAMPLE)
    )
    def law(text, documents):
        nonlocal pairs, verdicts
        expression = bound(text)
        rows = [{**document, "_id": n} for n, document in enumerate(documents)]
        stages = [{"$documents": [{"$literal": row} for row in rows]}, {"$match": compiler.to_mongo(expression)}]
        matched = {row["_id"] for row in database.aggregate(stages)}
        # The server has the documents as BSON; the evaluator gets them as BSON decodes them.
        stored = list(database.aggregate(stages[:1]))
        assert matched == {row["_id"] for row in stored if holds(expression, row)}
        pairs += len(rows)
        verdicts += len(matched)

    law()
    print(f"\ntrees: {pairs} pairs agree, {verdicts} granted")
    assert pairs >= PAIRS
    assert 0.02 < verdicts / pairs < 0.98, "degenerate: the oracle grants nearly nothing or nearly all"


def shape(document: dict, field: str = "a") -> str:
    if field not in document:
        return "absent"
    value = document[field]
    return type(value).__name__


def leaf_names(expression: Expression, positive: bool = True) -> set[tuple[str, bool]]:
    match expression:
        case Constant():
            return set()
        case Not(part):
            return leaf_names(part, not positive)
        case And(parts) | Or(parts):
            return set().union(*(leaf_names(part, positive) for part in parts))
        case AnyElement(_, _, objects):
            return {(f"any{'-object' if objects else '-scalar'}", positive)}
        case _:
            op = getattr(expression, "op", getattr(expression, "quantifier", ""))
            side = type(getattr(expression, "item", None)).__name__ if hasattr(expression, "item") else ""
            return {(f"{type(expression).__name__}{op}{side}", positive)}


def test_the_corpus_is_complete():
    """Every operator, in both polarities, meets every shape of document; and is true and not true of some."""
    operators: dict[tuple[str, bool], set[bool | None]] = {}
    for text in in_both_polarities(worlds.leaves()):
        expression = bound(text)
        for name in leaf_names(expression):
            operators.setdefault(name, set()).update(verdict(expression, d) for d in CORPUS)
    wanted = {"Compare" + op for op in ("==", "!=", "<", "<=", ">", ">=")}
    wanted |= {
        "MemberPath",
        "MemberValue",
        "Has",
        "StartsWith",
        "Containsany",
        "Containsall",
        "any-object",
        "any-scalar",
    }
    assert {name for name, _ in operators} == wanted
    for name in wanted:
        for positive in (True, False):
            expected = {True, False} if name == "Has" else {True, False, None}
            assert operators[name, positive] == expected, (name, positive)
    shapes = {shape(document) for document in CORPUS}
    assert shapes == {"absent", *(type(value).__name__ for value in (*worlds.SCALARS, *worlds.CONTAINERS))}


def without_hops(path, operators):
    return {path.dotted: operators}


EXACT_FILTER = compiler._filter


def negation_by_nor(expression, positive):
    if isinstance(expression, Not):
        return {"$nor": [EXACT_FILTER(expression.part, True)]}
    return EXACT_FILTER(expression, positive)


MUTANTS = {
    "no array guard": ("_NO_CONTAINER", {}),
    "no $exists": ("_EXISTS", {}),
    "no array guard of one kind": ("_NO_ARRAY", {}),
    "null is of one kind": ("_guards", lambda wanted: {"$not": {"$type": "array"}}),
    "no hop guard": ("_place", without_hops),
    "$nor for negation": ("_filter", negation_by_nor),
    "hop may be an array": ("_HOP", {"$type": "object"}),
    "value and array alike": ("_of_array", lambda match, positive: match if positive else {"$not": match}),
    "elements need not be objects": ("_no_false_object", lambda test: [{"$nor": [EXACT_FILTER(test, False)]}]),
}


def by_all_of_them(part, positive):
    found = EXACT_EQUALITY(part, positive)
    return None if found is None else (found[0], "$in", found[2])


EXACT_EQUALITY = compiler._equality
OF_ALTERNATIVES = {
    "no array guard": MUTANTS["no array guard"],
    "no array guard of one kind": MUTANTS["no array guard of one kind"],
    "no $exists": MUTANTS["no $exists"],
    "no hop guard": MUTANTS["no hop guard"],
    "equal and unequal alike": ("_equality", by_all_of_them),
}


@pytest.mark.parametrize("name", OF_ALTERNATIVES)
def test_alternatives_said_as_one_without_a_guard_are_caught(collections, monkeypatch, name):
    attribute, weaker = OF_ALTERNATIVES[name]
    monkeypatch.setattr(compiler, attribute, weaker)
    assert disagreements(collections[0], worlds.alternatives(), most=1)


SCALAR = {"$exists": True, "$not": {"$type": ["array", "object"]}}
NO_ARRAY = {"$not": {"$type": "array"}}


@pytest.mark.parametrize(
    ("text", "filter_"),
    [
        (
            "resource.s == 'a' || resource.s == 'b' || resource.s in ['c', 'd']",
            {"$or": [{"s": {**NO_ARRAY, "$in": ["c", "d"]}}, {"s": {**NO_ARRAY, "$in": ["a", "b"]}}]},
        ),
        ("!(resource.s != 'a' && resource.s != 'b')", {"s": {**NO_ARRAY, "$in": ["a", "b"]}}),
        (
            "resource.s != 'a' || resource.s != 'b'",
            {"$and": [{"s": SCALAR}, {"s": {"$not": {"$all": ["a", "b"]}}}]},
        ),
        (
            "resource.s == 'a' || resource.n == 1",
            {"$or": [{"s": {**NO_ARRAY, "$eq": "a"}}, {"n": {**NO_ARRAY, "$eq": 1}}]},
        ),
    ],
)
def test_what_is_asked_of_one_place_is_one_filter(text, filter_):
    assert compiler.to_mongo(bound(text)) == filter_


@pytest.mark.parametrize("name", MUTANTS)
def test_a_compiler_with_a_guard_taken_out_is_caught(collections, monkeypatch, name):
    attribute, weaker = MUTANTS[name]
    monkeypatch.setattr(compiler, attribute, weaker)
    wrong = disagreements(collections[0], in_both_polarities(worlds.leaves()))
    print(f"\n{name}: caught by {wrong[:1]}")
    assert wrong
