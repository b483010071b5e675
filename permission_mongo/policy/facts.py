"""What leaves that hold together say of each place they read: whether that can be, and what follows from it.

Sound and not complete: a document or a caller of which nothing is said here may be anything, and "no" means "not sure".
A place is read by its root and segments; two claims are never compared with each other, for any two may be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from permission_mongo.policy.nodes import (
    AnyElement,
    Contains,
    Expression,
    Has,
    Member,
    Operand,
    Path,
    StartsWith,
    Value,
)
from permission_mongo.policy.scalars import ORDERED, compare_values, group_of

Outcome = Literal["eq", "lt", "gt", "ne"]  # of a value against an operand; `ne`: unequal, and in no order
Place = tuple[str, tuple[str, ...]]

EVERY_OUTCOME: Final[frozenset[Outcome]] = frozenset({"eq", "lt", "gt", "ne"})
UNEQUAL: Final[frozenset[Outcome]] = frozenset({"lt", "gt", "ne"})
_IN_ORDER: Final[frozenset[Outcome]] = frozenset({"eq", "lt", "gt"})


@dataclass(frozen=True, slots=True)
class Present:
    """There is one plain value at the place."""

    place: Place


@dataclass(frozen=True, slots=True)
class Relation:
    """There is one, and it stands to the operand in one of these ways."""

    place: Place
    operand: Path | Value
    outcomes: frozenset[Outcome]


@dataclass(frozen=True, slots=True)
class Among:
    """There is one, and it equals one of the operands."""

    place: Place
    operands: tuple[Path | Value, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test that is looked at as a whole, and its truth."""

    test: Expression
    truth: bool


Claim = Present | Relation | Among | Leaf
# What is known of a plain value at a place of the document, and of one that is known to be in an order with others.
Given = Callable[[Place, bool], Iterable[Claim]]


def nothing_given(_place: Place, _ordered: bool) -> Iterable[Claim]:
    return ()


def place_of(path: Path) -> Place:
    return path.root, path.segments


def outcome_of(value: Any, other: Any) -> Outcome:
    if compare_values("==", value, other):
        return "eq"
    return "lt" if compare_values("<", value, other) else "gt" if compare_values(">", value, other) else "ne"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What values in an order a place can have: those of one group, between two ends."""

    group: str
    lower: tuple[Any, bool] | None = None  # the end, and whether it is outside itself
    upper: tuple[Any, bool] | None = None

    def against(self, value: Any) -> frozenset[Outcome]:
        if group_of(value) != self.group:
            return frozenset({"ne"})
        possible = set(_IN_ORDER)
        if self.lower is not None:
            end, outside = self.lower
            against = outcome_of(end, value)
            possible -= {"lt", "eq"} if against == "gt" or (against == "eq" and outside) else set()
            possible -= {"lt"} if against == "eq" else set()
        if self.upper is not None:
            end, outside = self.upper
            against = outcome_of(end, value)
            possible -= {"gt", "eq"} if against == "lt" or (against == "eq" and outside) else set()
            possible -= {"gt"} if against == "eq" else set()
        return frozenset(possible)


class Facts:
    """Claims that hold together."""

    def __init__(self, claims: Iterable[Claim], given: Given = nothing_given) -> None:
        self._relations: dict[Place, dict[Path | Value, frozenset[Outcome]]] = {}
        self._among: dict[Place, list[tuple[Path | Value, ...]]] = {}
        self._leaves: list[Leaf] = []
        self._shapes: dict[Place, set[str]] = {}
        self._absent: set[Place] = set()
        for claim in claims:
            self._add(claim)
        for place in [place for place, shapes in self._shapes.items() if "scalar" in shapes]:
            for claim in given(place, self._is_ordered(place)):
                self._add(claim)
        self._left = {place: self._remaining(place) for place in self._among}
        self._bounds = {place: self._bounds_of(place) for place in self._relations}
        self.are_possible = self._are_possible()

    # -- what is claimed

    def _add(self, claim: Claim) -> None:
        match claim:
            case Present(place):
                self._shape(place, "scalar")
            case Relation(place, operand, outcomes):
                self._shape(place, "scalar")
                known = self._relations.setdefault(place, {})
                known[operand] = known.get(operand, EVERY_OUTCOME) & outcomes
            case Among(place, operands):
                self._shape(place, "scalar")
                self._among.setdefault(place, []).append(operands)
            case Leaf(test, truth):
                self._leaves.append(claim)
                self._add_shape(test, truth)

    def _add_shape(self, test: Expression, truth: bool) -> None:
        match test:
            case Has(path) if not truth:
                self._absent.add(place_of(path))
            case Has(path):
                self._shape(place_of(path), None)
            case StartsWith(path):
                self._shape(place_of(path), "scalar")
            case Contains(_, path) | AnyElement(path) | Member(_, Path(root="resource") as path):
                self._shape(place_of(path), "array")
            case Member(Path() as path):
                self._shape(place_of(path), "scalar")

    def _shape(self, place: Place, shape: str | None) -> None:
        """None: there is something at the place, whatever it is."""
        self._shapes.setdefault(place, set()).update({shape} if shape else ())
        root, segments = place
        if root == "resource":
            for n in range(1, len(segments)):
                self._shapes.setdefault((root, segments[:n]), set()).add("object")

    def _is_ordered(self, place: Place) -> bool:
        return any(
            isinstance(operand, Value) and outcomes <= _IN_ORDER
            for operand, outcomes in self._relations.get(place, {}).items()
        )

    # -- whether that can be

    def _are_possible(self) -> bool:
        if any(len(shapes) > 1 for shapes in self._shapes.values()):
            return False
        if any(_is_at_or_below(place, gone) for gone in self._absent for place in self._shapes):
            return False
        if any(Leaf(leaf.test, not leaf.truth) in self._leaves for leaf in self._leaves):
            return False
        if any(not outcomes for relations in self._relations.values() for outcomes in relations.values()):
            return False
        if any(bounds == "none" for bounds in self._bounds.values()):
            return False
        return all(choices for sets in self._left.values() for choices in sets)

    def _remaining(self, place: Place) -> list[tuple[Path | Value, ...]]:
        """Of each choice at the place, what the other claims leave of it."""
        sets = self._among[place]
        return [tuple(one for one in choices if self._may_equal(place, one, sets)) for choices in sets]

    def _may_equal(self, place: Place, one: Path | Value, sets: Iterable[tuple[Path | Value, ...]]) -> bool:
        relations = self._relations.get(place, {})
        if not isinstance(one, Value):
            return "eq" in relations.get(one, EVERY_OUTCOME)
        for operand, outcomes in relations.items():
            if isinstance(operand, Value) and outcome_of(one.value, operand.value) not in outcomes:
                return False
        if any(self._prefix_verdict(leaf, place, one.value) not in (None, leaf.truth) for leaf in self._leaves):
            return False
        return all(any(_may_be_equal(one, other) for other in choices) for choices in sets)

    def _prefix_verdict(self, leaf: Leaf, place: Place, value: Any) -> bool | str | None:
        """What a leaf on a prefix of this place says of the value; None where it is about something else."""
        match leaf.test:
            case StartsWith(path, Value(prefix)) if place_of(path) == place and type(prefix) is str:
                return value.startswith(prefix) if type(value) is str else "unknown"
            case _:
                return None

    def _bounds_of(self, place: Place) -> _Bounds | Literal["none"] | None:
        """None where no order is known, `none` where no value is in it."""
        found: _Bounds | None = None
        for operand, outcomes in self._relations[place].items():
            if not isinstance(operand, Value) or not outcomes <= _IN_ORDER or not outcomes:
                continue
            group = group_of(operand.value)
            if group not in ORDERED:
                continue
            if found is not None and found.group != group:
                return "none"
            found = _narrowed(found or _Bounds(group), operand.value, outcomes)
        if found is not None and found.lower is not None and found.upper is not None:
            (low, low_outside), (high, high_outside) = found.lower, found.upper
            order = outcome_of(low, high)
            if order == "gt" or (order == "eq" and (low_outside or high_outside)):
                return "none"
        return found

    # -- what follows

    def entail(self, claim: Claim) -> bool:
        if not self.are_possible:
            return True
        match claim:
            case Present(place):
                return "scalar" in self._shapes.get(place, ())
            case Relation(place, operand, outcomes):
                return self._relate(place, operand, outcomes)
            case Among(place, operands):
                return any(
                    all(any(_is_equal(one, other) for other in operands) for one in choices)
                    for choices in self._left.get(place, ())
                )
            case Leaf(Has(path), truth):
                return self._has(place_of(path)) if truth else self._has_not(place_of(path))
            case Leaf(StartsWith(path, Value(prefix)), truth) if type(prefix) is str:
                return claim in self._leaves or self._start(place_of(path), prefix, truth=truth)
            case Leaf():
                return claim in self._leaves

    def _relate(self, place: Place, operand: Path | Value, outcomes: frozenset[Outcome]) -> bool:
        known = self._relations.get(place, {}).get(operand)
        if known is not None and known <= outcomes:
            return True
        if any(all(_stands(one, operand, outcomes) for one in choices) for choices in self._left.get(place, ())):
            return True
        bounds = self._bounds.get(place)
        return isinstance(operand, Value) and isinstance(bounds, _Bounds) and bounds.against(operand.value) <= outcomes

    def _has(self, place: Place) -> bool:
        return place in self._shapes

    def _has_not(self, place: Place) -> bool:
        root, segments = place
        above: Iterator[Place] = ((root, segments[:n]) for n in range(1, len(segments)))
        broken = any(self._shapes.get(one, set()) & {"scalar", "array"} for one in above)
        return broken or any(_is_at_or_below(place, gone) for gone in self._absent)

    def _start(self, place: Place, prefix: str, *, truth: bool) -> bool:
        for choices in self._left.get(place, ()):
            values = [one.value for one in choices if isinstance(one, Value) and type(one.value) is str]
            if len(values) == len(choices) and all(value.startswith(prefix) is truth for value in values):
                return True
        return truth and any(
            leaf.truth
            and isinstance(leaf.test, StartsWith)
            and place_of(leaf.test.path) == place
            and isinstance(leaf.test.prefix, Value)
            and type(leaf.test.prefix.value) is str
            and leaf.test.prefix.value.startswith(prefix)
            for leaf in self._leaves
        )


def _narrowed(bounds: _Bounds, value: Any, outcomes: frozenset[Outcome]) -> _Bounds:
    lower, upper = bounds.lower, bounds.upper
    end = (value, "eq" not in outcomes)
    if "lt" not in outcomes and (lower is None or _is_tighter(outcome_of(value, lower[0]), "gt", end, lower)):
        lower = end
    if "gt" not in outcomes and (upper is None or _is_tighter(outcome_of(value, upper[0]), "lt", end, upper)):
        upper = end
    return _Bounds(bounds.group, lower, upper)


def _is_tighter(against: Outcome, inward: Outcome, end: tuple[Any, bool], known: tuple[Any, bool]) -> bool:
    return against == inward or (against == "eq" and end[1] and not known[1])


def _is_at_or_below(place: Place, above: Place) -> bool:
    return place[0] == above[0] and place[1][: len(above[1])] == above[1]


def _may_be_equal(one: Operand, other: Operand) -> bool:
    if isinstance(one, Value) and isinstance(other, Value):
        return bool(compare_values("==", one.value, other.value))
    return True


def _is_equal(one: Operand, other: Operand) -> bool:
    if isinstance(one, Value) and isinstance(other, Value):
        return bool(compare_values("==", one.value, other.value))
    return one == other


def _stands(one: Path | Value, operand: Path | Value, outcomes: frozenset[Outcome]) -> bool:
    if isinstance(one, Value) and isinstance(operand, Value):
        return outcome_of(one.value, operand.value) in outcomes
    return one == operand and "eq" in outcomes
