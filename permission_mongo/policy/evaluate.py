"""The second reading of a bound expression: its verdict on one document in memory.

An expression becomes functions once, and these are remembered as long as it is in use: it is asked of row after row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from bson.dbref import DBRef
from bson.objectid import ObjectId

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
from permission_mongo.policy.remembered import Remembered
from permission_mongo.policy.scalars import compare_values

Test = Callable[[Any], Truth]
_ABSENT: Final = object()
_MOST_COMPILED: Final = 4096
_FEW: Final = 8
_EXACT: Final = (str, ObjectId, UUID)  # equal within their type alone
# By identity, for to hash a tree costs as much as to read it. Each is held, so that no other can get its identity.
_compiled: Final[dict[int, tuple[Expression, Test]]] = {}


def holds(expression: Expression, document: Mapping[str, Any]) -> bool:
    """Whether a bound expression is *true* of `document`; unknown is not true."""
    return verdict(expression, document) is True


def verdict(expression: Expression, document: Any) -> Truth:
    """True, False or None (unknown), by Kleene's tables. `document` is the element inside any()."""
    known = _compiled.get(id(expression))
    return (test_of(expression) if known is None else known[1])(document)


def test_of(expression: Expression) -> Test:
    """The verdict as a function: for who asks it of many documents."""
    known = _compiled.get(id(expression))
    if known is None:
        if len(_compiled) >= _MOST_COMPILED:
            _compiled.clear()
        known = _compiled[id(expression)] = expression, _test_of(expression)
    return known[1]


def judged(expression: Expression, document: Any) -> Truth:
    """The same verdict by the same functions, and nothing remembered: for what is asked once."""
    return _test_of(expression)(document)


def _test_of(expression: Expression) -> Test:
    match expression:
        case Constant(truth):
            return lambda document: truth
        case Not(part):
            return _negated(_test_of(part))
        case And(parts):
            return _conjoined(tuple(map(_test_of, parts)))
        case Or(parts):
            tests = tuple(map(_test_of, parts))
            return lambda document: _any(test(document) for test in tests)
        case _:
            return _leaf(expression)


def _negated(test: Test) -> Test:
    def negated(document: Any) -> Truth:
        truth = test(document)
        return None if truth is None else not truth

    return negated


def _conjoined(tests: tuple[Test, ...]) -> Test:
    def conjoined(document: Any) -> Truth:
        unknown = False
        for test in tests:
            truth = test(document)
            if truth is False:
                return False
            unknown = unknown or truth is None
        return None if unknown else True

    return conjoined


def _leaf(test: Compare | Member | Has | StartsWith | Contains | AnyElement) -> Test:
    match test:
        case Compare("==", Path() as path, Value(value)) if type(value) is str:
            return _equal_text(path, value)
        case Compare(op, Path() as path, Value(value)):
            return _of_scalar(_at(path), lambda stored: compare_values(op, stored, value))
        case Member(Path() as path, Items(items)):
            return _of_scalar(_at(path), _membership(items))
        case Member(Value(value), Path() as path):
            return _of_array(_at(path), lambda stored: _contains(stored, value))
        case Has(path):
            at = _at(path)
            return lambda document: at(document) is not _ABSENT
        case StartsWith(path, Value(prefix)):
            return _begins(_at(path), prefix)
        case Contains(quantifier, path, Items(items)):
            return _of_array(_at(path), lambda stored: _covers(quantifier, stored, items))
        case AnyElement(path, inner, objects):
            of_one = _test_of(inner)
            return _of_array(_at(path), lambda stored: _any(_of_element(of_one, e, objects) for e in stored))
        case _:
            raise AssertionError(f"not bound: {test}")


def _at(path: Path) -> Callable[[Any], Any]:
    """The value at the path; absent if a hop is missing, no object, or an array."""
    segments = path.segments
    if len(segments) == 1:
        name = segments[0]
        return lambda document: document.get(name, _ABSENT) if type(document) is dict else _reach(segments, document)
    return lambda document: _reach(segments, document)


def _reach(segments: Iterable[str], document: Any) -> Any:
    value = document
    for segment in segments:
        value = value.as_doc() if isinstance(value, DBRef) else value
        if not isinstance(value, dict) or segment not in value:
            return _ABSENT
        value = value[segment]
    return value


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | DBRef)


def _equal_text(path: Path, text: str) -> Test:
    """What most rules ask: of a name at the top it is told without a further call."""
    at, name = _at(path), path.segments[0] if len(path.segments) == 1 else None

    def equal(document: Any) -> Truth:
        stored = document.get(name, _ABSENT) if name is not None and type(document) is dict else at(document)
        if type(stored) is str:
            return bool(stored == text)
        return None if stored is _ABSENT or _is_container(stored) else compare_values("==", stored, text)

    return equal


def _begins(at: Callable[[Any], Any], prefix: Any) -> Test:
    def begins(document: Any) -> Truth:
        stored = at(document)
        return stored.startswith(prefix) if type(stored) is str else None

    return begins


def _of_scalar(at: Callable[[Any], Any], test: Test) -> Test:
    def of_scalar(document: Any) -> Truth:
        value = at(document)
        return None if value is _ABSENT or _is_container(value) else test(value)

    return of_scalar


def _of_array(at: Callable[[Any], Any], test: Callable[[list[Any]], Truth]) -> Test:
    def of_array(document: Any) -> Truth:
        value = at(document)
        return test(value) if isinstance(value, list) else None

    return of_array


def _of_element(test: Test, element: Any, objects: bool) -> Truth:
    # A test on fields says nothing of an element that has none; a test on the element nothing of a container.
    fits = isinstance(element, dict | DBRef) if objects else not _is_container(element)
    return test(element) if fits else None


def _membership(items: tuple[Operand, ...]) -> Callable[[Any], bool]:
    """Whether a stored scalar is one of these: many texts and ids are looked up, not compared one by one."""
    known = None if len(items) < _FEW else _LOOKED_UP.of(items)
    if known is None:
        return lambda stored: _among(stored, items)
    return lambda stored: type(stored) in _EXACT and (type(stored), stored) in known


def _exactly(items: tuple[Operand, ...]) -> frozenset[tuple[type, Any]] | None:
    """Types and values; None where one is of a type whose values are equal to others of another type."""
    values = [item.value for item in items if isinstance(item, Value)]
    # The type is part of the key, for a Code is a str.
    return frozenset((type(one), one) for one in values) if all(type(one) in _EXACT for one in values) else None


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


_LOOKED_UP: Final = Remembered(_exactly)
