"""Conditions that say nothing, or something else than they read like."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from permission_mongo.linting.subject import Subject, Told, document_paths, missing_parts
from permission_mongo.policy.implication import is_always, is_never
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
    Or,
    Path,
    Truth,
    Value,
    paths_of,
)
from permission_mongo.policy.rules import Rule
from permission_mongo.policy.scalars import compare_values


def never_applies(subject: Subject) -> Iterator[Told]:
    for rule, key, expression in _written(subject):
        collection = subject.collections[rule.collection]
        if is_never(expression):
            yield Told(subject.part(rule, key), f"'{key}' never holds, whatever the document and whoever asks")
        elif is_never(expression, subject.given(collection)):
            message = f"'{key}' holds for no document of '{rule.collection}' that fits schema.yml"
            yield Told(subject.part(rule, key), message)


def always_applies(subject: Subject) -> Iterator[Told]:
    for rule, key, expression in _written(subject):
        collection = subject.collections[rule.collection]
        if is_always(expression):
            yield Told(subject.part(rule, key), f"'{key}' always holds: leave it out")
        elif is_always(expression, subject.given(collection), subject.known(collection)):
            message = f"'{key}' holds for every document of '{rule.collection}' that fits schema.yml"
            yield Told(subject.part(rule, key), message)


def _written(subject: Subject) -> Iterator[tuple[Rule, str, Expression]]:
    for rule in subject.rules:
        if subject.says(rule, "when"):
            yield rule, "when", rule.when
        if rule.check is not None:
            yield rule, "check", rule.check


# -- values that a field never has


def judged_vector(subject: Subject) -> Iterator[Told]:
    """An array holds a comparison by any one of its numbers: of a vector that is true, or false, of nearly all."""
    for rule, key, expression in _written(subject):
        collection = subject.collections[rule.collection]
        for path in dict.fromkeys(_looked_into(expression)):
            if collection.is_vector(path.dotted):
                message = f"'{path.dotted}' is a vector: its numbers say nothing by themselves; has() asks for it"
                yield Told(subject.sign(rule, key, path), message)


def _looked_into(expression: Expression) -> Iterator[Path]:
    """The paths of the document of which more is asked than whether they are there."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _looked_into(part)
        case Not(part):
            yield from _looked_into(part)
        case Has() | Compare(right=Value(None)):
            return
        case _:
            yield from (path for path in paths_of(expression) if path.root == "resource")


def not_in_enum(subject: Subject) -> Iterator[Told]:
    for rule, key, expression in _written(subject):
        collection = subject.collections[rule.collection]
        for path, value in _compared(expression):
            one = collection.declared(path.segments)
            if one is None or one.enum is None or value is None:
                continue
            if not any(compare_values("==", value, known) for known in one.enum):
                texts = [str(known) for known in one.enum]
                near = get_close_matches(str(value), texts, 1, 0.6)
                meant = f"; did you mean '{near[0]}'?" if near else ""
                message = f"'{path.dotted}' is one of {', '.join(texts)}, never {value!r}{meant}"
                yield Told(subject.sign(rule, key, path), message)


def _compared(expression: Expression) -> Iterator[tuple[Path, object]]:
    """Each path of the document with each literal that it is compared with."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _compared(part)
        case Not(part):
            yield from _compared(part)
        case Compare("==" | "!=", Path(root="resource") as path, Value(value)):
            yield path, value
        case Member(Path(root="resource") as path, Items(items)) | Contains(_, path, Items(items)):
            yield from ((path, item.value) for item in items if isinstance(item, Value))
        case Member(Value(value), Path(root="resource") as path):
            yield path, value
        case _:
            return


# -- what is unknown of a document that lacks a field


def unsure_deny(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        if rule.effect == "deny":
            for path, part in _unsure(subject, rule, rule.when):
                message = (
                    f"this deny applies as well where '{part}' is absent, for unknown denies: say "
                    f"`has(resource.{part}) && ...` if it is to speak of the others alone, or `required: true` of "
                    f"'{part}' in schema.yml"
                )
                yield Told(subject.sign(rule, "when", path), message)


def unsure_check(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        for path, part in _unsure(subject, rule, rule.check) if rule.check is not None else ():
            message = (
                f"this check refuses a document in which '{part}' is absent: say `!has(resource.{part}) || ...` if "
                f"that is to be stored, or `required: true` of '{part}' in schema.yml"
            )
            yield Told(subject.sign(rule, "check", path), message)


def _unsure(subject: Subject, rule: Rule, expression: Expression) -> Iterator[tuple[Path, str]]:
    """Each path whose absence alone can make the expression unknown, with the part of it that may be absent."""
    for path in document_paths(expression):
        parts = missing_parts(subject.collections[rule.collection], path.segments)
        part = next((one for one in parts if None in _truths(expression, one)), None)
        if part is not None:
            yield path, ".".join(part)


def _truths(expression: Expression, absent: tuple[str, ...]) -> frozenset[Truth]:
    """What the expression can be of a document that lacks a part and is otherwise whole."""
    match expression:
        case Constant(truth):
            return frozenset({truth})
        case Not(part):
            return frozenset(None if truth is None else not truth for truth in _truths(part, absent))
        case And(parts) | Or(parts):
            deciding = isinstance(expression, Or)
            found = _truths(parts[0], absent)
            for part in parts[1:]:
                found = frozenset(_joined(a, b, deciding) for a in found for b in _truths(part, absent))
            return found
        case _ if not any(path.segments[: len(absent)] == absent for path in _read(expression)):
            return frozenset({True, False})
        case Has():
            return frozenset({False})
        case _:
            return frozenset({None})


def _joined(one: Truth, other: Truth, deciding: bool) -> Truth:
    if deciding in (one, other):
        return deciding
    return None if None in (one, other) else not deciding


def _read(expression: Expression) -> Iterator[Path]:
    """The paths whose absence makes a leaf unknown: of any(), that of its array."""
    if isinstance(expression, AnyElement):
        yield expression.path
    else:
        yield from (path for path in paths_of(expression) if path.root == "resource")
