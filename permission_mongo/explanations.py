"""The plan of an explanation: what is asked of the rules, and where the document may be looked at that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.errors import Refusal
from permission_mongo.policy.binding import Bindings
from permission_mongo.policy.grants import Hiding, Reach
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.rules import Action, Rule
from permission_mongo.principal import Principal
from permission_mongo.revisions import Writer
from permission_mongo.schema.model import Collection
from permission_mongo.values import Document, DocumentId, MongoFilter


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule of the collection. It speaks if it has the action and the caller its role, `through` roles of its own."""

    rule: Rule
    through: tuple[str, ...]
    has_action: bool
    crosses: bool = False

    @property
    def speaks(self) -> bool:
        return self.has_action and bool(self.through)


@dataclass(frozen=True, slots=True)
class Needed:
    """An action that the request needs. `refusal`: no rule of the caller's has it, by roles and policy text alone."""

    action: Action
    rules: tuple[Considered, ...]
    reach: Reach | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Another:
    """A role that the caller does not have: the rules that would speak for each needed action if it had it as well."""

    role: str
    bindings: Bindings
    rules: Mapping[Action, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What decides which fields of a collection a caller reads, writes, and may send with a new document.

    `writable` and `creatable` are the paths that policy text and schema do not take from it in every row.
    """

    collection: Collection
    reading: Reach | None
    writers: tuple[Writer, ...]
    barring: tuple[Hiding, ...]
    writable: tuple[FieldPath, ...]
    creating: Reach | None
    creatable: tuple[FieldPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainPlan:
    """Tell how the rules judge `action` for the caller of `bindings`.

    `live` are the rows in which the document `id` may be looked at, `ended` the records of deleted ones; None for none.
    `sees_all`: nothing of a document that is found so is kept from the asker. Else the asker is the caller, and learns
    of a row what it reads there. `match` is the filter that the request itself would send, and `refusal` what it would
    be told before that. `noted` is what the audit keeps of the question.
    """

    collection: Collection
    action: Action
    id: DocumentId | None
    principal: Principal
    bindings: Bindings
    roles: tuple[str, ...]
    inherited: tuple[str, ...]
    crosses: bool
    needs: tuple[Needed, ...]
    others: tuple[Another, ...]
    match: MongoFilter | None
    refusal: Refusal | None
    sees_all: bool
    live: Guarded | None
    ended: Guarded | None
    abilities: Abilities
    noted: Mapping[str, Any]
    audited: bool

    @property
    def reading(self) -> Reach | None:
        return next((one.reach for one in self.needs if one.action == "read"), None)


@dataclass(frozen=True, slots=True)
class SurveyPlan:
    """Count what a change of the policy means among these `rows`, by collection; the audit is told before, if it is."""

    rows: Mapping[str, Guarded]
    audited: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """The document as stored, or its last content; None where none may be looked at."""

    document: Document | None
    state: Literal["live", "deleted", "absent", "unnamed"]
