"""Expressions and fields as text: the language they were written in, whatever they were before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bson.objectid import ObjectId

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import is_prefix
from permission_mongo.policy.nodes import (
    ALWAYS,
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
from permission_mongo.policy.rules import Action
from permission_mongo.values import date_text, write_json

ANYTHING: Final = "*"  # the name of whatever no rule names
_MOST: Final = 12  # fields of one sentence


def where(expression: Expression) -> str:
    """` where ...`, or nothing for a condition that always holds."""
    return "" if expression == ALWAYS else f" where {written(expression)}"


def written(expression: Expression) -> str:
    """The expression in the language of `when`."""
    match expression:
        case Constant(truth):
            return {True: "true", False: "false", None: "unknown"}[truth]
        case And(parts):
            return " && ".join(_inner(part) for part in parts)
        case Or(parts):
            return " || ".join(_inner(part) for part in parts)
        case Not(part):
            return f"!({written(part)})"
        case Compare(op, left, right):
            return f"{_operand(left)} {op} {_operand(right)}"
        case Member(item, container):
            return f"{_operand(item)} in {_operand(container)}"
        case Has(path):
            return f"has({_operand(path)})"
        case StartsWith(path, prefix):
            return f"startsWith({_operand(path)}, {_operand(prefix)})"
        case Contains(quantifier, path, items):
            return f"contains{quantifier.title()}({_operand(path)}, {_operand(items)})"
        case AnyElement(path, test):
            return f"any({_operand(path)}, x => {written(test)})"


def _inner(part: Expression) -> str:
    return f"({written(part)})" if isinstance(part, And | Or) else written(part)


def _operand(operand: Operand) -> str:
    match operand:
        case Path(root="now"):
            return "now"
        case Path(root="element"):
            return ".".join(("x", *operand.segments))
        case Path():
            return f"{operand.root}.{operand.dotted}"
        case Items(items):
            return f"[{', '.join(_operand(item) for item in items)}]"
        case Value(value):
            return literal(value)


def literal(value: Any) -> str:
    match value:
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case datetime():
            return f"date('{date_text(value)}')"
        case ObjectId():
            return f"oid('{value}')"
        case UUID():
            return f"'{value}'"
        case _:
            return write_json(value).decode()


def stamp(value: Path | Value) -> str:
    return _operand(value)


def fields(paths: Iterable[FieldPath]) -> str:
    """Field names; of a field and what is below it the field alone."""
    found = sorted(paths)
    tops = [path for path in found if not any(other != path and is_prefix(other, path) for other in found)]
    named = [".".join(path) for path in tops if path[-1] != ANYTHING] or ["fields that no rule names"]
    more = len(named) - _MOST
    return ", ".join(named[:_MOST]) + (f" and {more} more" if more > 0 else "")


DOES: Final[dict[Action, str]] = {
    "create": "create",
    "read": "read",
    "update": "change",
    "delete": "delete",
    "restore": "restore",
    "aggregate": "aggregate",
    "purge": "purge",
}
