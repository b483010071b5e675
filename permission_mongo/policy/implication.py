"""Whether one expression follows from another, for whatever caller and document: asked by lints and by `impact`.

An expression is *true* exactly where a formula of claims holds, in which no claim is negated (Kleene's tables are
monotone). The left side is spread into cases, the right side is looked for in each. Only what is certain is said;
tests/laws/test_implication.py holds it against the evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from permission_mongo.policy.facts import (
    EVERY_OUTCOME,
    UNEQUAL,
    Among,
    Claim,
    Facts,
    Given,
    Leaf,
    Outcome,
    Place,
    Present,
    Relation,
    nothing_given,
    place_of,
)
from permission_mongo.policy.nodes import (
    MIRRORED,
    OPPOSITE,
    And,
    Comparator,
    Compare,
    Constant,
    Expression,
    Has,
    Items,
    Member,
    Not,
    Operand,
    Or,
    Path,
    Value,
    negation,
)
from permission_mongo.policy.scalars import compare_values

_MOST_CASES = 128
_OUTCOMES: dict[Comparator, frozenset[Outcome]] = {
    "==": frozenset({"eq"}),
    "!=": UNEQUAL,
    "<": frozenset({"lt"}),
    "<=": frozenset({"lt", "eq"}),
    ">": frozenset({"gt"}),
    ">=": frozenset({"gt", "eq"}),
}


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Formula, ...]


Formula = Claim | All | Some
_HOLDS = All(())
_FAILS = Some(())


def is_never(expression: Expression, given: Given = nothing_given) -> bool:
    """Whether it is true of no document that keeps to what is given, whoever asks."""
    cases = cases_of(expression)
    return cases is not None and not any(Facts(case, given).are_possible for case in cases)


def is_always(expression: Expression, given: Given = nothing_given, known: Iterable[Claim] = ()) -> bool:
    """Whether it is true of every document of which `known` holds, whoever asks."""
    return _follows(Facts(known, given), formula_of(expression, True))


def implies(one: Expression, other: Expression, given: Given = nothing_given) -> bool:
    """Whether `other` is true wherever `one` is. Both are typed by one schema: a place is known by its name alone."""
    if one == other:
        return True
    if cases_of(one) is None:
        return _implies_by_parts(one, other, given)
    wanted = formula_of(other, True)
    return all(_follows(facts, wanted) for facts in _facts_of(one, given))


def _implies_by_parts(one: Expression, other: Expression, given: Given) -> bool:
    """Where there are too many cases to look at each: what each part of `one` says by itself."""
    match one, other:
        case _, And(wanted):
            return all(implies(one, part, given) for part in wanted)
        case Or(parts), _:
            return all(implies(part, other, given) for part in parts)
        case And(parts), _:
            return any(implies(part, other, given) for part in parts)
        case _:
            return False


def applies_within(one: Expression, other: Expression) -> bool:
    """`implies` of conditions of deny rules, which apply unless they are false: `other` is not where `one` is not."""
    return implies(negation(other), negation(one))


def ways_of(expression: Expression) -> tuple[Facts, ...] | None:
    """What holds in each case in which it is true, for who asks about many others; None where there are too many."""
    cases = cases_of(expression)
    return None if cases is None else tuple(Facts(case) for case in cases)


def follows(ways: tuple[Facts, ...] | None, formula: Formula) -> bool:
    """`implies`, with both sides made ready before."""
    return ways is not None and all(_follows(facts, formula) for facts in ways)


def excludes(one: Expression, other: Expression) -> bool:
    """Whether the two are true of no document together."""
    return is_never(And((one, other)))


# -- an expression as claims


@lru_cache(maxsize=16_384)
def formula_of(expression: Expression, truth: bool) -> Formula:
    """What holds exactly where the expression is `truth`."""
    match expression:
        case Constant(known):
            return _HOLDS if known is truth else _FAILS
        case Not(part):
            return formula_of(part, not truth)
        case And(parts) | Or(parts):
            formulas = tuple(formula_of(part, truth) for part in parts)
            return All(formulas) if isinstance(expression, And) is truth else _some(formulas)
        case Compare(op, left, right):
            return _comparison(op if truth else OPPOSITE[op], left, right)
        case Member(Path() as path, Items(items)):
            return _membership(place_of(path), items, truth)
        case Member(Value(value), Items(items)) if all(isinstance(item, Value) for item in items):
            found = any(isinstance(item, Value) and compare_values("==", value, item.value) for item in items)
            return _HOLDS if found is truth else _FAILS
        case _:
            return Leaf(expression, truth)


def _comparison(op: Comparator, left: Operand, right: Operand) -> Formula:
    if isinstance(left, Value) and isinstance(right, Value):
        return _HOLDS if compare_values(op, left.value, right.value) else _FAILS
    if isinstance(left, Value):
        op, left, right = MIRRORED[op], right, left
    if not isinstance(left, Path) or isinstance(right, Items):
        return Leaf(Compare(op, left, right), True)
    if op == "==":
        return Among(place_of(left), (right,))
    return Relation(place_of(left), right, _OUTCOMES[op])


def _membership(place: Place, items: tuple[Path | Value, ...], truth: bool) -> Formula:
    if truth:
        return Among(place, items) if items else _FAILS
    return All((Present(place), *(Relation(place, item, UNEQUAL) for item in items)))


def _some(formulas: tuple[Formula, ...]) -> Formula:
    """Choices at one place are one choice."""
    choices: dict[Place, tuple[Path | Value, ...]] = {}
    others: list[Formula] = []
    for one in formulas:
        for part in one.parts if isinstance(one, Some) else (one,):
            if isinstance(part, Among):
                choices[part.place] = choices.get(part.place, ()) + part.operands
            else:
                others.append(part)
    return Some((*(Among(place, operands) for place, operands in choices.items()), *others))


# -- cases


@lru_cache(maxsize=16_384)
def cases_of(expression: Expression) -> tuple[tuple[Claim, ...], ...] | None:
    """The claims of each way in which the expression can be true; None where there are too many."""
    return _cases(formula_of(expression, True))


@lru_cache(maxsize=16_384)
def _facts_of(expression: Expression, given: Given) -> tuple[Facts, ...]:
    return tuple(Facts(case, given) for case in cases_of(expression) or ())


def _cases(formula: Formula) -> tuple[tuple[Claim, ...], ...] | None:
    if not isinstance(formula, All | Some):
        return ((formula,),)
    found = [_cases(part) for part in formula.parts]
    known = [cases for cases in found if cases is not None]
    if len(known) < len(found):
        return None
    if isinstance(formula, Some):
        together = tuple(case for cases in known for case in cases)
        return together if len(together) <= _MOST_CASES else None
    count = 1
    for cases in known:
        count *= len(cases)
    if count > _MOST_CASES:
        return None
    return tuple(tuple(claim for case in chosen for claim in case) for chosen in product(*known))


# -- what follows


def _follows(facts: Facts, formula: Formula) -> bool:
    if not facts.are_possible:
        return True
    match formula:
        case All(parts):
            return all(_follows(facts, part) for part in parts)
        case Some(parts):
            return any(_follows(facts, part) for part in parts) or _is_complete(facts, parts)
        case _:
            return facts.entail(formula)


def _is_complete(facts: Facts, parts: tuple[Formula, ...]) -> bool:
    """Whether one of the parts holds because together they leave nothing out."""
    outcomes: dict[tuple[Place, Path | Value], frozenset[Outcome]] = {}
    for part in parts:
        match part:
            case Leaf(Has() as test, truth) if Leaf(test, not truth) in parts:
                return True
            case Relation(place, operand, some):
                outcomes[place, operand] = outcomes.get((place, operand), frozenset()) | some
            case Among(place, operands):
                for operand in operands:
                    outcomes[place, operand] = outcomes.get((place, operand), frozenset()) | {"eq"}
    # A claim may be missing or unfit, and then nothing stands to it in any way.
    return any(
        some == EVERY_OUTCOME and isinstance(operand, Value) and facts.entail(Present(place))
        for (place, operand), some in outcomes.items()
    )
