"""What each clause of a rule says of one document, told as far as somebody may learn of that document.

It decides nothing. A clause whose fields can't be told is `hidden`, and so is what depends on one; whatever is not
hidden is what `evaluate` says, of whose verdicts it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import asked_path
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.evaluate import judged
from permission_mongo.policy.nodes import And, Constant, Expression, Not, Or, Path, Truth, paths_of
from permission_mongo.policy.wording import opposite, wording
from permission_mongo.values import Document

Told = Literal["true", "false", "unknown", "hidden", "open"]
_TOLD: Final[dict[Truth, Told]] = {True: "true", False: "false", None: "unknown"}
_REVERSED: Final[dict[Told, Told]] = {
    "true": "false",
    "false": "true",
    "unknown": "unknown",
    "hidden": "hidden",
    "open": "open",
}
_MOST_WAYS: Final = 8


@dataclass(frozen=True, slots=True)
class Look:
    """One document, as far as somebody may learn of it: the paths that it `tells`.

    Without a document every clause about one is `without`: open where none was named, hidden where there is none.
    """

    document: Document | None
    tells: Callable[[FieldPath], bool] = field(repr=False)
    without: Literal["hidden", "open"] = "open"


@dataclass(frozen=True, slots=True)
class Clause:
    """One node of a condition. `otherwise` is the text of its opposite, `reads` what it reads of the caller."""

    kind: Literal["all", "any", "not", "test"]
    text: str
    verdict: Told
    parts: tuple[Clause, ...] = ()
    otherwise: str = ""
    reads: tuple[Path, ...] = ()
    is_constant: bool = False


def traced(expression: Expression, bindings: Bindings, look: Look) -> Clause:
    """The tree of a condition as it is written, `bindings` put in at its tests."""
    text = wording(expression)
    match expression:
        case And(parts):
            inner = tuple(traced(part, bindings, look) for part in parts)
            return Clause("all", text, all_told(one.verdict for one in inner), inner)
        case Or(parts):
            inner = tuple(traced(part, bindings, look) for part in parts)
            return Clause("any", text, any_told(one.verdict for one in inner), inner)
        case Not(part):
            one = traced(part, bindings, look)
            return Clause("not", text, _REVERSED[one.verdict], (one,))
        case _:
            reads = tuple(path for path in paths_of(expression) if path.root in ("user", "request", "now"))
            verdict = told(bind(expression, bindings), look)
            constant = isinstance(expression, Constant)
            return Clause("test", text, verdict, (), opposite(expression), reads, constant)


def told(bound: Expression, look: Look) -> Told:
    """What may be told of a bound expression."""
    match bound:
        case Constant(truth):
            return _TOLD[truth]
        case And(parts):
            return all_told(told(part, look) for part in parts)
        case Or(parts):
            return any_told(told(part, look) for part in parts)
        case Not(part):
            return _REVERSED[told(part, look)]
        case _:
            if look.document is None:
                return look.without
            if not all(look.tells(asked_path(path.dotted)) for path in paths_of(bound) if path.root == "resource"):
                return "hidden"
            return _TOLD[judged(bound, look.document)]


def all_told(parts: Iterable[Told]) -> Told:
    """Kleene AND: one false decides, whatever can't be told of the others."""
    return _decided(list(parts), "false", "true")


def any_told(parts: Iterable[Told]) -> Told:
    return _decided(list(parts), "true", "false")


def _decided(parts: list[Told], decisive: Told, otherwise: Told) -> Told:
    return next((one for one in (decisive, "hidden", "open", "unknown") if one in parts), otherwise)


# -- what would change it


@dataclass(frozen=True, slots=True)
class Need:
    """A test, and whether it must be true; `is_met` says that it is so already, or may be."""

    text: str
    wanted: bool
    said: str
    is_met: bool


Way = dict[str, Need]  # by the text of the test: none is wanted both ways


def ways(clause: Clause, wanted: bool) -> list[Way]:
    """Sets of tests that together make the clause true, or false; those that change least come first."""
    if clause.kind == "test":
        if clause.is_constant:
            return [{}] if clause.verdict == _TOLD[wanted] else []
        met = clause.verdict in (_TOLD[wanted], "open")
        return [{clause.text: Need(clause.text, wanted, clause.text if wanted else clause.otherwise, met)}]
    if clause.kind == "not":
        return ways(clause.parts[0], not wanted)
    choices = [ways(part, wanted) for part in clause.parts]
    if (clause.kind == "all") is wanted:
        return together(choices)
    return _least([way for choice in choices for way in choice])


def together(choices: Iterable[list[Way]]) -> list[Way]:
    """One way of each, where no test is wanted both ways."""
    found: list[Way] = [{}]
    for choice in choices:
        found = _least([{**one, **other} for one in found for other in choice if _agree(one, other)])
    return found


def changes_of(way: Way) -> tuple[str, ...]:
    """What would have to be otherwise."""
    return tuple(need.said for need in way.values() if not need.is_met)


def _agree(one: Way, other: Way) -> bool:
    return all(one[text].wanted is other[text].wanted for text in one.keys() & other.keys())


def _least(found: list[Way]) -> list[Way]:
    return sorted(found, key=lambda way: len(changes_of(way)))[:_MOST_WAYS]
