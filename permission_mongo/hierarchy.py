"""Who is above whom: chains of managers, computed from who names whom. Pure.

A person's chain begins with their manager and ends with who has none. It ends sooner where a manager's document is
gone, and where people are their own managers in a loop: none of those has anybody above. So an edge counts only between
two people who are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeGuard
from uuid import UUID

from bson.objectid import ObjectId

from permission_mongo.values import Document, DocumentId

DEEPEST: Final = 100  # people above one
_LONGEST: Final = 1024

User = ObjectId | str | UUID
Tenant = Any  # as the documents of people have it; None where they have none
Chain = tuple[User, ...]  # nearest first
Fault = Literal["absent", "loop", "deep"]


@dataclass(frozen=True, slots=True)
class Staff:
    """The collection of people, and the fields that tell who is above whom."""

    collection: str
    tenant_field: str | None
    user_id_field: str
    manager_field: str

    def person(self, document: Document) -> Person | None:
        """Who the document is of; None where that is not told, as by a writer beside the gateway."""
        tenant = None if self.tenant_field is None else document.get(self.tenant_field)
        user, manager = document.get(self.user_id_field), document.get(self.manager_field)
        if not _is_user(user) or (self.tenant_field is not None and not _is_tenant(tenant)):
            return None
        return Person(tenant, user, manager if _is_user(manager) else None)

    @property
    def fields(self) -> Document:
        """What is read of a document for it."""
        names = (self.tenant_field, self.user_id_field, self.manager_field)
        return {"_id": 1, **{name: 1 for name in names if name}}


def _is_user(value: Any) -> TypeGuard[User]:
    return (type(value) is str and len(value) <= _LONGEST) or isinstance(value, ObjectId | UUID)


def _is_tenant(value: Any) -> bool:
    return _is_user(value) or (isinstance(value, int | float) and not isinstance(value, bool))


@dataclass(frozen=True, slots=True)
class Person:
    tenant: Tenant
    user: User
    manager: User | None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the person whose document is `id`: `old` None where there was none, `new` where there is none."""

    id: DocumentId
    old: Person | None
    new: Person | None

    def in_tenant(self, tenant: Tenant) -> Change:
        """As far as it concerns one tenant."""

        def of(one: Person | None) -> Person | None:
            return one if one is not None and one.tenant == tenant else None

        return Change(self.id, of(self.old), of(self.new))

    @property
    def names_another(self) -> bool:
        """Whether the manager is one that was not named before."""
        return self.new is not None and (self.old is None or self.old.manager != self.new.manager)


@dataclass(slots=True)
class Chains:
    """The chain of each; who is in a loop, and whose chain is longer than it may be and cut."""

    of: dict[User, Chain] = field(default_factory=dict)
    loops: set[User] = field(default_factory=set)
    deep: set[User] = field(default_factory=set)


def chains_of(managers: Mapping[User, User | None], known: Mapping[User, Chain] | None = None) -> Chains:
    """Of all in `managers`. `known` are chains of others, which end theirs."""
    found, known = Chains(), known or {}
    for start in managers:
        path: dict[User, None] = {}
        one: User | None = start
        while one is not None and one in managers and one not in found.of and one not in path:
            path[one] = None
            one = managers[one]
        walked = list(path)
        if one is not None and one in path:
            loop = walked[walked.index(one) :]
            found.of |= dict.fromkeys(loop, ())
            found.loops.update(loop)
            walked = walked[: -len(loop)]
        for below in reversed(walked):
            _link(below, managers[below], found, known)
    return found


def _link(one: User, manager: User | None, found: Chains, known: Mapping[User, Chain]) -> None:
    above = None if manager is None else found.of.get(manager, known.get(manager))
    chain = () if manager is None or above is None else (manager, *above)
    if len(chain) > DEEPEST:
        found.deep.add(one)
    found.of[one] = chain[:DEEPEST]


@dataclass(frozen=True, slots=True)
class Placing:
    """The chains as they are to be, and what stands in the way, by the ids of documents."""

    chains: Mapping[User, Chain]
    faults: Mapping[DocumentId, Fault]


def placed(
    others: Mapping[User, User | None], changes: Sequence[Change], known: Mapping[User, Chain], *, may_lack: bool
) -> Placing:
    """The chains of those that change and of the `others` whose chains depend on them, all of one tenant.

    `may_lack`: a manager who is not there ends the chain; else to name one is a fault. A change with a fault is taken
    for one that does not happen, and so another that leans on it may have a fault as well.
    """
    faults: dict[DocumentId, Fault] = {}
    while True:
        sides = {one.id: one.old if one.id in faults else one.new for one in changes}
        managers = {**others, **{side.user: side.manager for side in sides.values() if side is not None}}
        found = chains_of(managers, known)
        left = [one for one in changes if one.id not in faults and one.new is not None]
        fresh = dict(_faults_of(left, managers, known, found, may_lack=may_lack))
        if not fresh:
            return Placing(found.of, faults)
        faults |= fresh


def _faults_of(
    changes: Sequence[Change],
    managers: Mapping[User, User | None],
    known: Mapping[User, Chain],
    found: Chains,
    *,
    may_lack: bool,
) -> Iterator[tuple[DocumentId, Fault]]:
    changed = {one.new.user: one.id for one in changes if one.new is not None}
    for user, id in changed.items():
        if user in found.loops:
            yield id, "loop"
    for user in found.deep:
        lowest: User | None = user
        while lowest is not None and lowest not in changed:
            lowest = managers.get(lowest)
        if lowest is not None:
            yield changed[lowest], "deep"
    if not may_lack:
        yield from ((id, "absent") for id in _lacking(changes, managers, known))


def _lacking(
    changes: Sequence[Change], managers: Mapping[User, User | None], known: Mapping[User, Chain]
) -> Iterator[DocumentId]:
    """Those who name a manager who is not there, and those who name one that is new and therefore not made."""
    naming: dict[User, list[Change]] = {}
    for one in changes:
        if one.names_another and one.new is not None and one.new.manager is not None:
            naming.setdefault(one.new.manager, []).append(one)
    absent = [user for user in naming if user not in managers and user not in known]
    while absent:
        for one in naming.pop(absent.pop(), ()):
            yield one.id
            if one.old is None and one.new is not None:
                absent.append(one.new.user)
