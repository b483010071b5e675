"""What a difference is told in: conditions in the language of rules, stamps and fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import is_prefix
from permission_mongo.policy.nodes import ALWAYS, Expression, Path, Value
from permission_mongo.policy.rules import Action
from permission_mongo.policy.wording import told_operand, wording

ANYTHING: Final = "*"  # the name of whatever no rule names
_MOST: Final = 12  # fields of one sentence


def where(expression: Expression) -> str:
    """` where ...`, or nothing for a condition that always holds."""
    return "" if expression == ALWAYS else f" where {wording(expression)}"


def stamp(value: Path | Value) -> str:
    return told_operand(value)


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
