"""A rule's condition of no caller yet -> the filter it becomes, with `<user.id>` and the like where values will stand.

For people to read: no query is ever made of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from permission_mongo.policy.construction import reads_document
from permission_mongo.policy.nodes import (
    And,
    AnyElement,
    Compare,
    Constant,
    Contains,
    Expression,
    Has,
    Items,
    Member,
    Not,
    Operand,
    Or,
    Path,
    StartsWith,
    Value,
)
from permission_mongo.policy.to_mongo import all_of, one_of, to_mongo
from permission_mongo.policy.wording import told_operand, wording
from permission_mongo.values import MongoFilter

# What is decided before MongoDB is asked: the filter is then as if it were not there, or matches nothing.
OF_THE_CALLER: Final = "$of_the_caller"


def sketched(expression: Expression) -> MongoFilter:
    return _sketched(expression, True)


def _sketched(expression: Expression, positive: bool) -> MongoFilter:
    match expression:
        case Not(part):
            return _sketched(part, not positive)
        case And(parts) | Or(parts):
            filters = [_sketched(part, positive) for part in parts]
            return all_of(filters) if isinstance(expression, And) is positive else one_of(filters)
        case _:
            if not _reads_document(expression):
                text = wording(expression if positive else Not(expression))
                return {OF_THE_CALLER: text}
            filled = _filled(expression)
            return to_mongo(filled if positive else Not(filled))


def _reads_document(test: Expression) -> bool:
    match test:
        case Compare(_, left, _):
            return reads_document(left)
        case Member(item, container):
            return reads_document(item) or reads_document(container)
        case _:
            return True


def _filled(test: Expression) -> Expression:
    """With a text in the place of each value that only a caller brings."""
    match test:
        case Compare(op, left, right):
            return Compare(op, left, _value(right))
        case Member(item, container):
            if reads_document(item):
                return Member(item, _values(container))
            return Member(_value(item), container)
        case StartsWith(path, prefix):
            return StartsWith(path, _value(prefix))
        case Contains(_, _, items):
            return replace(test, items=_values(items))
        case AnyElement(path, inner, objects):
            return _any(path, _within(inner), objects)
        case Constant() | Has() | And() | Or() | Not():
            return test


def _any(path: Path, test: Expression, objects: bool) -> Expression:
    """As it is bound: a filter on an array of single values takes one test at a time."""
    if isinstance(test, Or) and not objects:
        return Or(tuple(AnyElement(path, part, objects) for part in test.parts))
    return AnyElement(path, test, objects)


def _within(inner: Expression) -> Expression:
    """Of an element's test; what it asks of the caller alone is taken as true."""
    match inner:
        case And(parts):
            return And(tuple(_within(part) for part in parts))
        case Or(parts):
            return Or(tuple(_within(part) for part in parts))
        case Not(part):
            return Not(_within(part))
        case _:
            return _filled(inner) if _reads_document(inner) else Constant(True)


def _value(operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else Value(_named(operand))


def _values(operand: Operand) -> Items:
    if isinstance(operand, Items):
        return Items(tuple(_value(item) for item in operand.items))
    return Items((Value(f"{_named(operand)}..."),))


def _named(operand: Any) -> str:
    return f"<{told_operand(operand)}>" if isinstance(operand, Path) else str(operand)
