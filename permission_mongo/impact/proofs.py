"""Whether a condition of one configuration follows from one of another: a proof or none.

True is never wrong, False means that it can't be told here. A field may be of another type there, and then what is said
of it means something else: such conditions are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator

from permission_mongo.policy import implication
from permission_mongo.policy.nodes import And, AnyElement, Expression, Has, Not, Or, Path, paths_of


def implies(one: Expression, other: Expression) -> bool:
    """Whether `other` is surely true of each document of which `one` is, for every caller."""
    return _are_of_one_type(one, other) and implication.implies(one, other)


def applies_within(one: Expression, other: Expression) -> bool:
    """The same of conditions of deny rules, which apply unless they are false."""
    return _are_of_one_type(one, other) and implication.applies_within(one, other)


def _are_of_one_type(one: Expression, other: Expression) -> bool:
    kinds = {(path.root, path.segments): path.kind for path in _compared(one)}
    return all(kinds.get((path.root, path.segments), path.kind) == path.kind for path in _compared(other))


def _compared(expression: Expression) -> Iterator[Path]:
    """The paths that are read by their type. Whether something is there at all, or a list, is asked of any type."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _compared(part)
        case Not(part):
            yield from _compared(part)
        case Has():
            return
        case AnyElement():
            _, *inner = paths_of(expression)
            yield from inner
        case _:
            yield from paths_of(expression)
