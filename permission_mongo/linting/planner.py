"""What is asked of MongoDB's planner about each rule, and what is told of its answer. Sends nothing itself.

The filter is the one that a list by this rule alone would send. Claims are taken from a stored document, so that the
planner sees values as they are; where there is none they are made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from permission_mongo.errors import Finding
from permission_mongo.linting.subject import Subject
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.nodes import (
    ALWAYS,
    And,
    Compare,
    Contains,
    Expression,
    Items,
    Member,
    Not,
    Operand,
    Or,
    Path,
    Value,
    conjunction,
)
from permission_mongo.policy.rules import Rule
from permission_mongo.policy.to_mongo import to_mongo
from permission_mongo.schema.model import Collection
from permission_mongo.values import Document, MongoFilter

CODE: Final = "planner-scan"
_ON_ROWS: Final = frozenset({"read", "update", "delete", "restore", "aggregate"})
_MANY: Final = 10  # times as many looked at as found
_FEW: Final = 100
_MADE_UP: Final[Mapping[str | None, Any]] = {
    "number": 1,
    "integer": 1,
    "decimal": 1,
    "boolean": True,
    "date": "2026-01-01T00:00:00Z",
    "objectId": "0" * 24,
    "uuid": "00000000-0000-0000-0000-000000000000",
}


@dataclass(frozen=True, slots=True)
class IndexUse:
    """How MongoDB looked for rows: whether through the whole collection, how many documents, and how many it found."""

    whole: bool
    examined: int
    found: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One rule whose rows are looked for. `likes` are fields that the sample should have."""

    rule: Rule
    collection: Collection
    likes: tuple[str, ...]

    def filter(self, sample: Document) -> MongoFilter:
        bindings = _bindings(self.rule.when, self.collection, sample)
        tenant = self.collection.tenant_field
        within: Expression = ALWAYS
        if tenant is not None:
            own = sample.get(tenant, _MADE_UP.get(self.collection.kind_of(tenant), "sample"))
            within = Compare("==", Path("resource", (tenant,), self.collection.kind_of(tenant)), Value(own))
        return to_mongo(conjunction((within, bind(self.rule.when, bindings))))


def probes(subject: Subject) -> Iterator[Probe]:
    for rule in subject.rules:
        collection = subject.collections[rule.collection]
        if rule.effect == "allow" and _ON_ROWS & set(rule.actions) and rule.when != ALWAYS:
            likes = {path.dotted for path, _ in _pairs(rule.when)}
            yield Probe(rule, collection, tuple(sorted(likes | {collection.tenant_field or "_id"})))


def told_of(subject: Subject, probe: Probe, use: IndexUse) -> Finding | None:
    if not use.whole and use.examined <= use.found * _MANY + _FEW:
        return None
    way = "reads the whole collection" if use.whole else "finds no index that fits"
    message = f"MongoDB {way} for this rule: {use.examined} documents looked at, {use.found} found"
    mark = subject.part(probe.rule, "when")
    return Finding(mark.file, mark.line, mark.column, message, warning=True, code=CODE)


def _bindings(when: Expression, collection: Collection, sample: Document) -> Bindings:
    claims: dict[str, Any] = {}
    user, roles = "sample", ("sample",)
    for path, claim in _pairs(when):
        value = _at(sample, path.segments)
        if value is None:
            value = _MADE_UP.get(collection.kind_of(path.dotted), "sample")
        plain = value if isinstance(value, str | int | float | bool | list) else str(value)
        if isinstance(value, datetime):
            plain = value.isoformat() + "Z"
        if claim.segments == ("id",):
            user = str(plain)
        elif claim.segments == ("roles",):
            roles = (str(plain),)
        else:
            _put(claims, claim.segments, plain)
    tenant = sample.get(collection.tenant_field) if collection.tenant_field else None
    return Bindings(
        user, str(tenant or "sample"), roles, claims, {"method": "GET", "ip": "127.0.0.1"}, datetime(2026, 1, 1)
    )


def _put(claims: dict[str, Any], segments: tuple[str, ...], value: Any) -> None:
    inner = claims
    for one in segments[:-1]:
        below = inner.setdefault(one, {})
        inner = below if isinstance(below, dict) else {}
    inner[segments[-1]] = value


def _at(document: Document, segments: tuple[str, ...]) -> Any:
    value: Any = document
    for one in segments:
        value = value.get(one) if isinstance(value, dict) else None
    return value


def _pairs(expression: Expression) -> Iterator[tuple[Path, Path]]:
    """Each path of the document with each claim that it is compared with; of a list of claims, a list is made up."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _pairs(part)
        case Not(part):
            yield from _pairs(part)
        case Compare(_, Path(root="resource") as path, other) | Contains(_, path, other):
            yield from ((path, one) for one in _claims(other))
        case Member(Path(root="resource") as path, other) | Member(other, Path(root="resource") as path):
            yield from ((path, one) for one in _claims(other))
        case _:
            return


def _claims(operand: Operand) -> Iterator[Path]:
    for one in operand.items if isinstance(operand, Items) else (operand,):
        if isinstance(one, Path) and one.root == "user" and one.segments != ("tenant_id",):
            yield one
