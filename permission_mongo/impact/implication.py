"""Whether one condition holds only where another one does, told by their texts.

A proof or none: True is never wrong, False means that it can't be told here. Both are free of any caller: a claim that
stands in both stands for the same value.
"""

from __future__ import annotations

from typing import Final

from permission_mongo.policy.nodes import (
    NEVER,
    OPPOSITE,
    And,
    AnyElement,
    Comparator,
    Compare,
    Constant,
    Contains,
    Expression,
    Has,
    Items,
    Member,
    Not,
    Or,
    Path,
    StartsWith,
    Value,
    conjunction,
    disjunction,
    negation,
)
from permission_mongo.policy.scalars import compare_values

_DEEPEST: Final = 40
# `x op v` tells of `x other w`, if v and w compare so.
_ORDERS: Final[dict[tuple[Comparator, Comparator], Comparator]] = {
    ("<", "<"): "<=",
    ("<", "<="): "<=",
    ("<=", "<="): "<=",
    ("<=", "<"): "<",
    (">", ">"): ">=",
    (">", ">="): ">=",
    (">=", ">="): ">=",
    (">=", ">"): ">",
    ("<", "!="): "<=",
    ("<=", "!="): "<",
    (">", "!="): ">=",
    (">=", "!="): ">",
}


def implies(one: Expression, other: Expression) -> bool:
    """Whether `other` is surely true of each document of which `one` is, for every caller."""
    return _implies(normal(one), normal(other), 0)


def applies_within(one: Expression, other: Expression) -> bool:
    """The same of conditions of deny rules, which apply unless they are false."""
    return _implies(normal(negation(other)), normal(negation(one)), 0)


def normal(expression: Expression, positive: bool = True) -> Expression:
    """The expression, or its negation, with `Not` at single tests alone, and `in` a list as a choice of `==`."""
    match expression:
        case Constant(truth):
            return expression if positive or truth is None else Constant(not truth)
        case Not(part):
            return normal(part, not positive)
        case And(parts) | Or(parts):
            inner = tuple(normal(part, positive) for part in parts)
            return conjunction(inner) if isinstance(expression, And) is positive else disjunction(inner)
        case Compare(op, left, right):
            return expression if positive else Compare(OPPOSITE[op], left, right)
        case Member(Path(root="resource") as path, Items(items)) if items:
            tests = tuple(Compare("==" if positive else "!=", path, item) for item in items)
            return disjunction(tests) if positive else conjunction(tests)
        case _:
            return expression if positive else Not(expression)


def _implies(one: Expression, other: Expression, depth: int) -> bool:
    if one in (other, NEVER) or other == Constant(True):
        return True
    if depth > _DEEPEST:
        return False
    match one, other:
        case Or(parts), _:
            return all(_implies(part, other, depth + 1) for part in parts)
        case _, And(parts):
            return all(_implies(one, part, depth + 1) for part in parts)
        case And(parts), Or(choices):
            return any(_implies(one, choice, depth + 1) for choice in choices) or any(
                _implies(part, other, depth + 1) for part in parts
            )
        case And(parts), _:
            return any(_implies(part, other, depth + 1) for part in parts)
        case _, Or(choices):
            return any(_implies(one, choice, depth + 1) for choice in choices)
        case Compare(), Compare():
            return _compares_within(one, other)
        case _, Has(path):
            return path == _read(one)
        case _:
            return False


def _compares_within(one: Compare, other: Compare) -> bool:
    if one.left != other.left or not isinstance(one.right, Value) or not isinstance(other.right, Value):
        return False
    if one.op == "==":
        return compare_values(other.op, one.right.value, other.right.value) is True
    order = _ORDERS.get((one.op, other.op))
    return order is not None and compare_values(order, one.right.value, other.right.value) is True


def _read(test: Expression) -> Path | None:
    """A path of the document that must be there for the test to be true."""
    match test:
        case Compare(_, Path(root="resource") as path) | StartsWith(Path(root="resource") as path):
            return path
        case Contains(_, Path(root="resource") as path) | AnyElement(Path(root="resource") as path):
            return path
        case _:
            return None
