"""The second reading of a bound expression: its verdict on one document in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bson.dbref import DBRef

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
    Quantifier,
    StartsWith,
    Truth,
    Value,
)
from permission_mongo.policy.scalars import compare_values

_ABSENT: Final = object()


def holds(expression: Expression, document: Mapping[str, Any]) -> bool:
    """Whether a bound expression is *true* of `document`; unknown is not true."""
    return verdict(expression, document) is True


def verdict(expression: Expression, document: Any) -> Truth:
    """True, False or None (unknown), by Kleene's tables. `document` is the element inside any()."""
    if type(expression) is Compare:  # most of what is asked, and the last that the cases below would come to
        return _test(expression, document)
    match expression:
        case Constant(truth):
            return truth
        case Not(part):
            truth = verdict(part, document)
            return None if truth is None else not truth
        case And(parts):
            unknown = False
            for part in parts:
                truth = verdict(part, document)
                if truth is False:
                    return False
                unknown = unknown or truth is None
            return None if unknown else True
        case Or(parts):
            return _any(verdict(part, document) for part in parts)
        case _:
            return _test(expression, document)


def _test(
    test: Compare | Member | Has | StartsWith | Contains | AnyElement,
    document: Any,
) -> Truth:
    match test:
        case Compare(op, Path() as path, Value(value)):
            found = _reach(path, document)
            return None if found is _ABSENT or _is_container(found) else compare_values(op, found, value)
        case Member(Path() as path, Items(items)):
            return _of_scalar(_reach(path, document), lambda stored: _among(stored, items))
        case Member(Value(value), Path() as path):
            return _of_array(_reach(path, document), lambda stored: _contains(stored, value))
        case Has(path):
            return _reach(path, document) is not _ABSENT
        case StartsWith(path, Value(prefix)):
            stored = _reach(path, document)
            return stored.startswith(prefix) if type(stored) is str else None
        case Contains(quantifier, path, Items(items)):
            return _of_array(_reach(path, document), lambda stored: _covers(quantifier, stored, items))
        case AnyElement(path, inner, objects):
            return _of_array(
                _reach(path, document), lambda stored: _any(_of_element(inner, e, objects) for e in stored)
            )
        case _:
            raise AssertionError(f"not bound: {test}")


def _reach(path: Path, document: Any) -> Any:
    """The value at the path; absent if a hop is missing, no object, or an array."""
    value = document
    for segment in path.segments:
        value = value.as_doc() if isinstance(value, DBRef) else value
        if not isinstance(value, dict) or segment not in value:
            return _ABSENT
        value = value[segment]
    return value


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | DBRef)


def _of_scalar(value: Any, test: Callable[[Any], Truth]) -> Truth:
    return None if value is _ABSENT or _is_container(value) else test(value)


def _of_array(value: Any, test: Callable[[list[Any]], Truth]) -> Truth:
    return test(value) if isinstance(value, list) else None


def _of_element(test: Expression, element: Any, objects: bool) -> Truth:
    # A test on fields says nothing of an element that has none; a test on the element nothing of a container.
    fits = isinstance(element, dict | DBRef) if objects else not _is_container(element)
    return verdict(test, element) if fits else None


def _among(stored: Any, items: Iterable[Operand]) -> bool:
    return any(compare_values("==", stored, item.value) for item in items if isinstance(item, Value))


def _contains(stored: Iterable[Any], value: Any) -> bool:
    return any(compare_values("==", element, value) for element in stored)


def _covers(quantifier: Quantifier, stored: list[Any], items: Iterable[Operand]) -> bool:
    found = (_contains(stored, item.value) for item in items if isinstance(item, Value))
    return any(found) if quantifier == "any" else all(found)


def _any(truths: Iterable[Truth]) -> Truth:
    unknown = False
    for truth in truths:
        if truth is True:
            return True
        unknown = unknown or truth is None
    return None if unknown else False
