"""An expression -> text in the rule language: what `parser` reads as the same expression."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, assert_never

from bson.datetime_ms import DatetimeMS
from bson.objectid import ObjectId

from permission_mongo.policy.nodes import (
    OPPOSITE,
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
from permission_mongo.values import write_json

_VARIABLES: Final = "xyzuvw"
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_TRUTHS: Final = {True: "true", False: "false", None: "unknown"}


def wording(expression: Expression, depth: int = 0) -> str:
    """`depth` counts the any() around it."""
    match expression:
        case Constant(truth):
            return _TRUTHS[truth]
        case And(parts):
            return " && ".join(_inner(part, depth) for part in parts)
        case Or(parts):
            return " || ".join(_inner(part, depth) for part in parts)
        case Not(part):
            return f"!({wording(part, depth)})"
        case Compare(op, left, right):
            return f"{_operand(left, depth)} {op} {_operand(right, depth)}"
        case Member(item, container):
            return f"{_operand(item, depth)} in {_operand(container, depth)}"
        case Has(path):
            return f"has({_operand(path, depth)})"
        case StartsWith(path, prefix):
            return f"startsWith({_operand(path, depth)}, {_operand(prefix, depth)})"
        case Contains(quantifier, path, items):
            return f"contains{quantifier.capitalize()}({_operand(path, depth)}, {_operand(items, depth)})"
        case AnyElement(path, test):
            return f"any({_operand(path, depth)}, {_variable(depth + 1)} => {wording(test, depth + 1)})"
        case _:
            assert_never(expression)


def opposite(expression: Expression) -> str:
    """What says that the expression is false."""
    match expression:
        case Compare(op, left, right):
            return wording(Compare(OPPOSITE[op], left, right))
        case Not(part):
            return wording(part)
        case _:
            return f"!({wording(expression)})"


def told_operand(operand: Operand) -> str:
    """A path or a value by itself."""
    return _operand(operand, 0)


def _inner(part: Expression, depth: int) -> str:
    text = wording(part, depth)
    return f"({text})" if isinstance(part, And | Or) else text


def _variable(depth: int) -> str:
    return _VARIABLES[depth - 1] if depth <= len(_VARIABLES) else f"x{depth}"


def _operand(operand: Operand, depth: int) -> str:
    match operand:
        case Path("now"):
            return "now"
        case Path("element", segments):
            return ".".join((_variable(depth), *segments))
        case Path(root, segments):
            return ".".join((root, *segments))
        case Items(items):
            return f"[{', '.join(_operand(item, depth) for item in items)}]"
        case Value(value):
            return _literal(value)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return _TRUTHS[value]
        case datetime() | DatetimeMS():
            return f"date({write_json(value).decode()})"
        case ObjectId():
            return f"oid('{value}')"
        case int() | float():
            return repr(float(value) if isinstance(value, float) else int(value))
        case _:
            return "'" + str(value).translate(_ESCAPED) + "'"
