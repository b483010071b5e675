"""Nodes put together, and combinations refused that a Mongo filter can't mean exactly."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from permission_mongo.policy.nodes import (
    MIRRORED,
    Comparator,
    Compare,
    Expression,
    Items,
    Member,
    Not,
    Operand,
    Or,
    Path,
    RuleError,
    StartsWith,
    Value,
    paths_of,
)

RELATIONS: Final = ("$subordinates", "$directReports", "$ancestors")


def document_segments(segments: tuple[str, ...], offset: int) -> tuple[str, ...]:
    if any(segment.startswith("$") for segment in segments):
        raise RuleError("a field of a document can't start with '$'", offset)
    return segments


def user_segments(segments: tuple[str, ...], offset: int) -> tuple[str, ...]:
    if segments[0] in ("_id", "sub"):
        segments = ("id", *segments[1:])
    if segments[0].startswith("$") and segments[0] not in RELATIONS:
        near = get_close_matches(segments[0], RELATIONS, 1)
        raise RuleError(f"unknown relation 'user.{segments[0]}'; did you mean 'user.{(near or RELATIONS)[0]}'?", offset)
    if segments[0] in ("id", "tenant_id", "roles", *RELATIONS) and len(segments) > 1:
        raise RuleError(f"user.{segments[0]} has no fields", offset)
    if segments == ("claims",):
        raise RuleError("name a claim, such as user.claims.region", offset)
    if any(segment.startswith("$") for segment in segments[1:]):
        raise RuleError("a claim's name can't start with '$'", offset)
    return segments[1:] if segments[0] == "claims" and segments[1] not in ("id", "tenant_id", "roles") else segments


def reads_document(operand: Operand) -> bool:
    return isinstance(operand, Path) and operand.root in ("resource", "element")


def refuse_document(operand: Operand, offset: int) -> None:
    if reads_document(operand):
        raise RuleError("two fields of the document can't be compared with each other", offset)


def compare(op: Comparator, left: Operand, right: Operand, offset: int) -> Expression:
    if isinstance(left, Items) or isinstance(right, Items):
        raise RuleError(f"'{op}' compares single values; use 'in', containsAny or containsAll for lists", offset)
    if reads_document(right):
        if reads_document(left):
            raise RuleError("two fields of the document can't be compared with each other", offset)
        op, left, right = MIRRORED[op], right, left
    if op not in ("==", "!=") and isinstance(right, Value) and (right.value is None or isinstance(right.value, bool)):
        raise RuleError(f"'{op}' orders numbers, strings, dates and object ids; not {right.value!r}", offset)
    return Compare(op, left, right)


def member(item: Operand, container: Operand, offset: int) -> Expression:
    if isinstance(item, Items):
        raise RuleError("'in' looks for one value; use containsAny or containsAll for a list", offset)
    if isinstance(container, Value):
        raise RuleError("'in' needs a list on its right, such as ['a', 'b'] or resource.tags", offset)
    if reads_document(container) and reads_document(item):
        raise RuleError("two fields of the document can't be compared with each other", offset)
    return Member(item, container)


def reads_objects(test: Expression, offset: int) -> bool:
    """Whether a test of any() reads fields of its element. One that reads the element itself must be single tests."""
    read = {bool(path.segments) for path in paths_of(test) if path.root == "element"}
    if not read:
        raise RuleError("the test of any() must read its element", offset)
    if len(read) > 1:
        raise RuleError("the test of any() reads either the element or its fields, not both", offset)
    objects = read.pop()
    if not objects and not _is_choice_of_single_tests(test):
        raise RuleError(
            "a test on the element itself is one comparison, or several joined by '||'; '&&' needs fields", offset
        )
    return objects


def _is_choice_of_single_tests(test: Expression) -> bool:
    match test:
        case Or(parts):
            return all(_is_choice_of_single_tests(part) for part in parts)
        case Not(part):
            return isinstance(part, Compare | StartsWith) or (isinstance(part, Member) and reads_document(part.item))
        case Compare() | StartsWith():
            return True
        case Member(item):
            return reads_document(item)
        case _:
            return False
