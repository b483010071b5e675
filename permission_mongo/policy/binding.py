"""Free names -> values: an expression typed by the schema once, then bound to a caller and folded.

A user attribute that is missing, null, of the wrong type or no plain scalar makes its comparison unknown: an allow rule
does not apply, a deny rule does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from permission_mongo.policy.construction import RELATIONS, reads_document
from permission_mongo.policy.kin import NOBODY, Kin
from permission_mongo.policy.nodes import (
    UNKNOWN,
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
    RuleError,
    StartsWith,
    Value,
    conjunction,
    disjunction,
    negation,
)
from permission_mongo.policy.scalars import GROUP_OF_KIND, ORDERED, compare_values, group_of, is_safe_claim
from permission_mongo.values import read_scalar

KindOf = Callable[[str], str | None]
_CONVERTED: Final = ("objectId", "uuid", "date")
_LONGEST_PREFIX: Final = 1000


@dataclass(frozen=True, slots=True)
class Bindings:
    """What the free names stand for in one request. `claims` never overrides id, tenant_id and roles."""

    user_id: str
    tenant_id: str | None
    roles: tuple[str, ...]
    claims: Mapping[str, Any]
    request: Mapping[str, Any]
    now: datetime
    kin: Kin = NOBODY

    def lookup(self, path: Path) -> Any:
        """The value of a user, request or now path; None if there is none."""
        match path.root, path.segments:
            case "user", (name, *_) if name in RELATIONS:
                return self.kin.lists.get(name)  # whatever the credential claims under that name
            case "now", _:
                return self.now
            case "request", (name,):
                return self.now if name == "time" else self.request.get(name)
            case "user", ("id",):
                return self.user_id
            case "user", ("tenant_id",):
                return self.tenant_id
            case "user", ("roles",):
                return list(self.roles)
            case "user", ("claims", *segments):
                return _descend(self.claims, segments)
            case _:
                return _descend(self.claims, path.segments)


def _descend(value: Any, segments: tuple[str, ...] | list[str]) -> Any:
    for segment in segments:
        if not isinstance(value, Mapping):
            return None
        value = value.get(segment)
    return value


# -- typing, once at load


def typed(expression: Expression, kind_of: KindOf) -> Expression:
    """The expression with each document path carrying its scalar type. RuleError where a literal can't be of it.

    `kind_of` answers the scalar type at a dotted path (of an array: of its elements), None where it is open.
    """
    return _typed(expression, lambda path: kind_of(path.dotted))


def _typed(expression: Expression, kind_at: Callable[[Path], str | None]) -> Expression:
    def at(operand: Operand) -> Operand:
        if isinstance(operand, Path) and reads_document(operand):
            return replace(operand, kind=kind_at(operand))
        return operand

    match expression:
        case Constant() | Has():
            return expression
        case And(parts):
            return And(tuple(_typed(part, kind_at) for part in parts))
        case Or(parts):
            return Or(tuple(_typed(part, kind_at) for part in parts))
        case Not(part):
            return Not(_typed(part, kind_at))
        case Compare(op, left, right):
            left = at(left)
            if op not in ("==", "!=") and isinstance(left, Path) and _is_unordered(left):
                raise RuleError(f"'{op}' can't order a {left.kind}", left.offset)
            return Compare(op, left, _literal(left, right))
        case Member(item, container):
            item, container = at(item), at(container)
            return Member(_literal(container, item), _literal(item, container))
        case StartsWith(path, prefix):
            path = replace(path, kind=kind_at(path))
            return StartsWith(path, _literal(path, prefix))
        case Contains(quantifier, path, items):
            path = replace(path, kind=kind_at(path))
            return Contains(quantifier, path, _literal(path, items))
        case AnyElement(path, test, objects):
            outer = path

            def within(inner: Path) -> str | None:
                return kind_at(replace(outer, segments=outer.segments + inner.segments))

            return AnyElement(path, _typed(test, within), objects)


def _is_unordered(path: Path) -> bool:
    return path.kind is not None and GROUP_OF_KIND.get(path.kind, "string") not in ORDERED


def _literal(path: Operand, operand: Operand) -> Operand:
    """A literal as the path's type. RuleError if it can't be."""
    if not isinstance(path, Path) or path.kind is None or path.kind not in GROUP_OF_KIND:
        return operand
    match operand:
        case Value(None) | Path():
            return operand
        case Value(value):
            try:
                return Value(read_scalar("number" if GROUP_OF_KIND[path.kind] == "number" else path.kind, value))
            except ValueError as error:
                raise RuleError(
                    f"'{path.dotted}' is of type {path.kind}; {value!r} is not {error}", path.offset
                ) from error
        case Items(items):
            return Items(
                tuple(item for item in (_literal(path, item) for item in items) if not isinstance(item, Items))
            )


# -- binding, once per caller


def bind(expression: Expression, bindings: Bindings) -> Expression:
    """The expression with nothing open but the document, folded."""
    match expression:
        case Constant() | Has():
            return expression
        case And(parts):
            return conjunction(bind(part, bindings) for part in parts)
        case Or(parts):
            return disjunction(bind(part, bindings) for part in parts)
        case Not(part):
            return negation(bind(part, bindings))
        case Compare():
            return _bind_compare(expression, bindings)
        case Member(item, container):
            return _bind_member(item, container, bindings)
        case StartsWith(path, prefix):
            value = _scalar(prefix, path.kind, bindings)
            usable = value is not None and isinstance(value.value, str) and len(value.value) <= _LONGEST_PREFIX
            return StartsWith(path, value) if usable and value is not None else UNKNOWN
        case Contains(quantifier, path, items):
            return _bind_contains(expression, quantifier == "any", path, items, bindings)
        case AnyElement(path, test, objects):
            return _bind_any(path, bind(test, bindings), objects)


def _bind_compare(test: Compare, bindings: Bindings) -> Expression:
    kind = test.left.kind if isinstance(test.left, Path) and reads_document(test.left) else None
    right = _scalar(test.right, kind, bindings)
    if right is None:
        return UNKNOWN
    if not reads_document(test.left):
        left = _scalar(test.left, None, bindings)
        return UNKNOWN if left is None else Constant(compare_values(test.op, left.value, right.value))
    if test.op not in ("==", "!=") and group_of(right.value) not in ORDERED:
        return UNKNOWN
    return Compare(test.op, test.left, right)


def _bind_member(item: Operand, container: Operand, bindings: Bindings) -> Expression:
    if isinstance(container, Path) and reads_document(container):
        value = _scalar(item, container.kind, bindings)
        return UNKNOWN if value is None else Member(value, container)
    kind = item.kind if isinstance(item, Path) and reads_document(item) else None
    found = _list(container, kind, bindings)
    if found is None:
        return UNKNOWN
    items, whole = found
    if reads_document(item):
        known: Expression = Member(item, Items(items))
    else:
        value = _scalar(item, None, bindings)
        if value is None:
            return UNKNOWN
        known = Constant(any(compare_values("==", value.value, other.value) for other in items))
    return known if whole else disjunction((known, UNKNOWN))


def _bind_contains(test: Contains, any_: bool, path: Path, items: Operand, bindings: Bindings) -> Expression:
    found = _list(items, path.kind, bindings)
    if found is None:
        return UNKNOWN
    known = replace(test, items=Items(found[0]))
    if found[1]:
        return known
    return disjunction((known, UNKNOWN)) if any_ else conjunction((known, UNKNOWN))


def _bind_any(path: Path, test: Expression, objects: bool) -> Expression:
    # Exact: any() is a Kleene OR over the elements, and OR distributes over OR.
    if isinstance(test, Or) and not objects:
        return disjunction(AnyElement(path, part, objects) for part in test.parts)
    return AnyElement(path, test, objects)


def _scalar(operand: Operand, kind: str | None, bindings: Bindings) -> Value | None:
    """A literal, or an attribute fit for a path of `kind`; None where it is unknown."""
    if isinstance(operand, Value):
        return operand
    if not isinstance(operand, Path):
        return None
    return _fit(bindings.lookup(operand), kind)


def _fit(value: Any, kind: str | None) -> Value | None:
    if not is_safe_claim(value):
        return None
    if kind in _CONVERTED:
        try:
            return Value(read_scalar(kind, value))
        except ValueError:
            return None
    if kind in GROUP_OF_KIND and group_of(value) != GROUP_OF_KIND[kind]:
        return None
    return Value(value)


def _list(operand: Operand, kind: str | None, bindings: Bindings) -> tuple[tuple[Value, ...], bool] | None:
    """The readable elements and whether those are all; None if it is no list."""
    if isinstance(operand, Items):
        read = [_scalar(item, kind, bindings) for item in operand.items]
    elif isinstance(operand, Path) and operand.root == "user" and operand.segments[0] in RELATIONS:
        return bindings.kin.read(operand.segments[0], kind, lambda text: _fit(text, kind))
    else:
        values = bindings.lookup(operand) if isinstance(operand, Path) else None
        if not isinstance(values, list | tuple):
            return None
        read = [_fit(value, kind) for value in values]
    return tuple(value for value in read if value is not None), all(value is not None for value in read)
