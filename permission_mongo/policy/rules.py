"""A rule as written in policy.yml, checked and typed, before anybody asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from permission_mongo.documents.fields import EVERYTHING, FieldRules
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.policy.nodes import ALWAYS, Expression, Path, Value

RuleId = str
Action = Literal["create", "read", "update", "delete", "restore", "aggregate", "purge"]
Effect = Literal["allow", "deny"]

ACTIONS: tuple[Action, ...] = ("create", "read", "update", "delete", "restore", "aggregate", "purge")
EVERY_ACTION: tuple[Action, ...] = tuple(action for action in ACTIONS if action != "purge")  # what `*` means


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands; lines and columns count from 1."""

    file: str = "policy.yml"
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Rule:
    """`effect` for `role` on `collection`. A deny with `hidden` fields hides those fields and no rows."""

    id: RuleId
    role: str
    collection: str
    actions: tuple[Action, ...]
    effect: Effect = "allow"
    when: Expression = ALWAYS
    check: Expression | None = None
    fields: FieldRules = EVERYTHING
    hidden: frozenset[FieldPath] = frozenset()
    stamps: tuple[tuple[str, Path | Value], ...] = ()
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class Role:
    """`cross_tenant` is the only way past the tenant filter; `inherits` brings the rules of other roles along."""

    name: str
    inherits: tuple[str, ...] = ()
    cross_tenant: bool = False
    system: frozenset[str] = frozenset()
