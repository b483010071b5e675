"""A traced condition says of each document what the evaluator says, and what is hidden in it tells nothing."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permission_mongo.policy.binding import bind, typed
from permission_mongo.policy.evaluate import verdict
from permission_mongo.policy.nodes import And, Not, Or
from permission_mongo.policy.parser import parse
from permission_mongo.policy.telling import telling
from permission_mongo.policy.tracing import Clause, Look, changes_of, traced, ways
from permission_mongo.policy.wording import opposite, wording
from tests.builders import a_policy, a_rule, some_fields
from tests.laws import worlds
from tests.policy.test_grants import WHENS, reach, some_documents

TOLD = {True: "true", False: "false", None: "unknown"}
FEW = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def written(text: str):
    return typed(parse(text), worlds.KINDS.get)


def everything(document: dict | None) -> Look:
    return Look(document, lambda path: True)


def nodes(clause: Clause, expression):
    yield clause, expression
    match expression:
        case And(parts) | Or(parts):
            for one, part in zip(clause.parts, parts, strict=True):
                yield from nodes(one, part)
        case Not(part):
            yield from nodes(clause.parts[0], part)


@FEW
@given(worlds.expressions(), worlds.documents())
def test_every_node_has_the_evaluators_verdict(text, document):
    expression, bindings = written(text), worlds.bindings()
    for clause, node in nodes(traced(expression, bindings, everything(document)), expression):
        assert clause.verdict == TOLD[verdict(bind(node, bindings), document)], clause.text


@FEW
@given(worlds.expressions(), st.sampled_from(worlds.corpus()))
def test_without_a_document_what_the_caller_alone_decides_is_decided(text, document):
    expression, bindings = written(text), worlds.bindings()
    before = traced(expression, bindings, everything(None)).verdict
    assert before in ("open", TOLD[verdict(bind(expression, bindings), document)])


@FEW
@given(worlds.expressions(), worlds.documents(), worlds.documents(), st.sets(st.sampled_from(worlds.FIELDS)))
def test_what_is_hidden_tells_nothing_and_what_is_told_is_true(text, document, other, told):
    """Two documents alike in the fields that are told have the same tree, to the last verdict and the last change."""
    expression, bindings = written(text), worlds.bindings()
    twin = {
        **{name: value for name, value in other.items() if name not in told},
        **{n: document[n] for n in told if n in document},
    }
    look, same = (Look(one, lambda path: path[0] in told) for one in (document, twin))
    clause, alike = traced(expression, bindings, look), traced(expression, bindings, same)
    assert clause == alike
    assert ways(clause, True) == ways(alike, True)
    for one, node in nodes(clause, expression):
        assert one.verdict in ("hidden", TOLD[verdict(bind(node, bindings), document)])


def assumed(clause: Clause, way, default=None) -> bool | None:
    """The verdict if the tests were as the way wants them."""
    words = {"true": True, "false": False, "unknown": None}
    if clause.kind == "test":
        return way[clause.text].wanted if clause.text in way else words[clause.verdict]
    parts = [assumed(part, way) for part in clause.parts]
    if clause.kind == "not":
        return None if parts[0] is None else not parts[0]
    decisive = clause.kind == "any"
    return decisive if decisive in parts else None if None in parts else not decisive


@FEW
@given(worlds.expressions(), worlds.documents(), st.booleans())
def test_each_way_leads_there_and_what_holds_already_needs_no_change(text, document, wanted):
    clause = traced(written(text), worlds.bindings(), everything(document))
    found = ways(clause, wanted)
    for way in found:
        assert assumed(clause, way) is wanted
    if clause.verdict == TOLD[wanted]:
        assert changes_of(found[0]) == ()
    for way in found:
        assert bool(changes_of(way)) is (clause.verdict != TOLD[wanted]) or way is not found[0]


def test_the_least_change_comes_first():
    text = "(resource.s == 'x' && resource.n == 1) || resource.n == 2"
    clause = traced(written(text), worlds.bindings(), everything({"s": "a", "n": 5}))
    assert [changes_of(way) for way in ways(clause, True)] == [
        ("resource.n == 2",),
        ("resource.s == 'x'", "resource.n == 1"),
    ]
    assert [changes_of(way) for way in ways(clause, False)] == [()] * 2


def test_no_way_wants_a_test_both_ways():
    clause = traced(written("resource.n == 1 && !(resource.n == 1)"), worlds.bindings(), everything({"n": 1}))
    assert ways(clause, True) == []


def test_the_wording_of_a_condition_means_the_same():
    for text in worlds.leaves():
        expression = parse(text)
        assert parse(wording(expression)) == expression
        assert written(wording(written(text))) == written(text)


@FEW
@given(worlds.expressions(), worlds.documents())
def test_the_wording_of_a_tree_means_the_same_and_its_opposite_the_opposite(text, document):
    expression, bindings = written(text), worlds.bindings()
    assert written(wording(expression)) == expression
    truth = verdict(bind(expression, bindings), document)
    other = verdict(bind(written(opposite(expression)), bindings), document)
    assert other is (None if truth is None else not truth)


def rules_with_fields():
    names = st.sets(st.sampled_from(["a", "b", "c", "owner"]), min_size=1)
    when = st.sampled_from(WHENS)
    gives = st.builds(lambda when, allow: a_rule(when=when, fields=some_fields(sorted(allow))), when, names)
    hides = st.builds(lambda when, hidden: a_rule(when=when, effect="deny", hidden=sorted(hidden)), when, names)
    return st.lists(st.one_of(gives, gives, hides), min_size=1, max_size=5)


@settings(FEW, max_examples=800)
@given(rules_with_fields(), some_documents(), some_documents())
def test_what_a_caller_is_certain_of_depends_on_nothing_that_it_does_not_read(rules, document, other):
    """Two rows that are seen and alike in what is told are told alike, and what is told is read."""
    mine = reach(a_policy(*rules), "user", n=1)
    if not mine.sees(document):
        return
    found = telling(mine, document)
    told = {name for name in ("a", "b", "c", "owner") if found.tells((name,))}
    twin = {name: (document if name in told else other).get(name) for name in {*document, *other}}
    twin = {name: value for name, value in twin.items() if name in (document if name in told else other)}
    for name in told:
        assert mine.raw_in(document)((name,))
    if mine.sees(twin):
        assert telling(mine, twin) == found
