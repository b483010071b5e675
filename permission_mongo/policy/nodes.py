"""The tree of a `when` expression, written (free names) and bound (only the document is left open).

Truth is three-valued (Kleene): True, False, None for unknown. A row is granted only on True.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Truth = bool | None
Comparator = Literal["==", "!=", "<", "<=", ">", ">="]
Quantifier = Literal["any", "all"]
Root = Literal["resource", "user", "request", "now", "element"]

OPPOSITE: dict[Comparator, Comparator] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
MIRRORED: dict[Comparator, Comparator] = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


class RuleError(ValueError):
    """A `when` text that means nothing; `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Path:
    """A place to read. `kind` is the schema's scalar type where the place is a document's and declared."""

    root: Root
    segments: tuple[str, ...]
    kind: str | None = None
    offset: int = field(default=0, compare=False)

    @property
    def dotted(self) -> str:
        return ".".join(self.segments)


@dataclass(frozen=True, slots=True)
class Value:
    """A literal, or a claim once bound: str, int, float, bool, None, datetime, ObjectId or UUID.

    Equal to one of the same type alone: to Python 1 is True, and what compares with one must not stand for the other.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and type(self.value) is type(other.value) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Items:
    """A list literal; its elements never read the document."""

    items: tuple[Path | Value, ...]


Operand = Path | Value | Items


@dataclass(frozen=True, slots=True)
class Constant:
    truth: Truth


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; a document's path, if there is one, stands on the left."""

    op: Comparator
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Member:
    """`item in container`: a scalar path in a list, or a value in an array field."""

    item: Operand
    container: Operand


@dataclass(frozen=True, slots=True)
class Has:
    path: Path


@dataclass(frozen=True, slots=True)
class StartsWith:
    path: Path
    prefix: Operand


@dataclass(frozen=True, slots=True)
class Contains:
    """`containsAny(path, items)` and `containsAll(path, items)`."""

    quantifier: Quantifier
    path: Path
    items: Operand


@dataclass(frozen=True, slots=True)
class AnyElement:
    """`any(path, x => test)`. `objects` tells whether the test reads fields of the element or the element itself."""

    path: Path
    test: Expression
    objects: bool


Expression = Constant | And | Or | Not | Compare | Member | Has | StartsWith | Contains | AnyElement

ALWAYS = Constant(True)
NEVER = Constant(False)
UNKNOWN = Constant(None)


def conjunction(parts: Iterator[Expression] | tuple[Expression, ...]) -> Expression:
    """Kleene AND, folded: one False decides, True drops out, and what stands in one of its parts stands once."""
    kept: list[Expression] = []
    for part in parts:
        for one in part.parts if isinstance(part, And) else (part,):
            if one == NEVER:
                return NEVER
            if one != ALWAYS and one not in kept:
                kept.append(one)
    return ALWAYS if not kept else kept[0] if len(kept) == 1 else And(tuple(kept))


def disjunction(parts: Iterator[Expression] | tuple[Expression, ...]) -> Expression:
    """Kleene OR, folded: one True decides, False drops out. Of nothing: NEVER."""
    kept: list[Expression] = []
    for part in parts:
        if part == ALWAYS:
            return ALWAYS
        if part != NEVER and part not in kept:
            kept.append(part)
    return NEVER if not kept else kept[0] if len(kept) == 1 else Or(tuple(kept))


def either(parts: tuple[Expression, ...]) -> Expression:
    """Kleene OR with what stands in every part said once: `a && b || a && c` as `a && (b || c)`.

    Kleene's AND and OR are a minimum and a maximum of three values, so they distribute as in two.
    """
    split = [part.parts if isinstance(part, And) else (part,) for part in parts if part != NEVER]
    common = tuple(one for one in split[0] if all(one in others for others in split[1:])) if split else ()
    rest = disjunction(tuple(conjunction(tuple(one for one in some if one not in common)) for some in split))
    return conjunction((*common, rest))


def negation(part: Expression) -> Expression:
    match part:
        case Constant(truth):
            return Constant(None if truth is None else not truth)
        case Not(inner):
            return inner
        case _:
            return Not(part)


def paths_of(expression: Expression) -> list[Path]:
    """Every path the expression reads, the tests of `any` included."""
    found: list[Path] = []
    _add_paths(expression, found)
    return found


def _add_paths(expression: Expression, found: list[Path]) -> None:
    """Into one list: it is asked of each of thousands of rules."""
    match expression:
        case Compare(_, left, right) | Member(left, right):
            found += _paths_in(left)
            found += _paths_in(right)
        case And(parts) | Or(parts):
            for part in parts:
                _add_paths(part, found)
        case Not(part):
            _add_paths(part, found)
        case Constant():
            return
        case Has(path):
            found.append(path)
        case StartsWith(path, other) | Contains(_, path, other):
            found += [path, *_paths_in(other)]
        case AnyElement(path, test):
            found.append(path)
            found += [
                replace(inner, root=path.root, segments=path.segments + inner.segments)
                if inner.root == "element"
                else inner
                for inner in paths_of(test)
            ]


def _paths_in(operand: Operand) -> Sequence[Path]:
    match operand:
        case Path():
            return (operand,)
        case Items(items):
            return [item for item in items if isinstance(item, Path)]
        case Value():
            return ()


def within(expression: Expression, parent: str) -> Expression:
    """The expression read of the object at `parent` instead of the document itself."""

    def below(operand: Operand) -> Operand:
        if isinstance(operand, Path) and operand.root == "resource":
            return replace(operand, segments=(parent, *operand.segments))
        return operand

    def moved(path: Path) -> Path:
        return replace(path, segments=(parent, *path.segments)) if path.root == "resource" else path

    match expression:
        case Constant():
            return expression
        case And(parts):
            return And(tuple(within(part, parent) for part in parts))
        case Or(parts):
            return Or(tuple(within(part, parent) for part in parts))
        case Not(part):
            return Not(within(part, parent))
        case Compare(op, left, right):
            return Compare(op, below(left), below(right))
        case Member(item, container):
            return Member(below(item), below(container))
        case Has(path):
            return Has(moved(path))
        case StartsWith(path, prefix):
            return StartsWith(moved(path), prefix)
        case Contains(quantifier, path, items):
            return Contains(quantifier, moved(path), items)
        case AnyElement(path, test, objects):
            return AnyElement(moved(path), test, objects)
