"""One policy as it speaks for a set of roles by one action: its rules whole, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from permission_mongo.config.model import Config
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, touches
from permission_mongo.documents.reveal import View
from permission_mongo.impact.phrases import ANYTHING
from permission_mongo.planning.callers import tenancy
from permission_mongo.planning.revisions import kept_paths
from permission_mongo.policy.grants import Speaking
from permission_mongo.policy.nodes import ALWAYS, Expression, Value, conjunction
from permission_mongo.policy.nodes import Path as Read
from permission_mongo.policy.rules import Action, Rule
from permission_mongo.schema.defaults import Fill, made_by_gateway
from permission_mongo.schema.model import Collection, Field

Level = str  # "raw", "hidden" or a mask's name
_FILL: Final = Fill(datetime(1970, 1, 1), "", lambda: UUID(int=0))


@dataclass(frozen=True, slots=True)
class Given:
    """An allow rule whole. `barred`: what denies bar, they bar of the document as it will be, too.

    `rule` as it was written; `kept` are paths that it can't write whatever its `fields` say.
    """

    rule: Rule
    rows: Expression
    check: Expression
    barred: bool
    kept: frozenset[Path]

    @property
    def fields(self) -> FieldRules:
        return self.rule.fields

    def level(self, path: Path) -> Level:
        return View((self.fields,)).shown_at(path)

    def writes(self, path: Path) -> bool:
        return self.fields.writes(path) and not touches(path, self.kept)


@dataclass(frozen=True, slots=True)
class Side:
    """What the roles are given; `stamps` are written whatever they send."""

    grants: tuple[Given, ...] = ()
    denies: tuple[Rule, ...] = ()
    hides: tuple[Rule, ...] = ()
    stamps: tuple[tuple[str, Read | Value], ...] = ()

    @property
    def is_void(self) -> bool:
        """Whether nothing is allowed, whoever asks."""
        return Speaking(tuple(one.rule for one in self.grants), self.denies, ()).is_void

    def shape(self) -> tuple[object, ...]:
        """All that matters of it: sides of one shape give the same."""
        return (
            tuple((one.rows, one.check, one.barred, one.fields, one.kept) for one in self.grants),
            tuple(rule.when for rule in self.denies),
            tuple((rule.when, rule.hidden) for rule in self.hides),
            self.stamps,
        )

    def masks_at(self, path: Path) -> frozenset[Level]:
        """The masks that rules have for it: where several hold, the first decides."""
        return frozenset(level for one in self.grants if (level := one.level(path)) not in ("raw", "hidden"))


def side_of(config: Config, roles: frozenset[str], name: str, action: Action) -> Side:
    """Empty where the configuration has no such collection."""
    collection = config.collections.get(name)
    if collection is None:
        return Side()
    speaking = config.policy.speaking(roles, name, action)
    crossing = config.policy.crossing(roles)
    stamping = speaking.allows if action in ("create", "update") else ()
    stamps = {field: value for rule in stamping for field, value in rule.stamps}
    judging = config.policy.judging(roles, name)
    grants = []
    for rule in speaking.allows:
        within = ALWAYS if rule.role in crossing else tenancy(collection)
        rows = conjunction((within, rule.when))
        check = rows if rule.check is None else conjunction((within, rule.check))
        kept = _kept(rule, collection, action, judging[rule.id], stamps, crosses=bool(crossing))
        grants.append(Given(rule, rows, check, rule.check is None or action == "create", kept))
    return Side(tuple(grants), speaking.denies, speaking.hides, tuple(sorted(stamps.items(), key=lambda one: one[0])))


def _kept(
    rule: Rule,
    collection: Collection,
    action: Action,
    judged: frozenset[Path],
    stamps: Mapping[str, object],
    *,
    crosses: bool,
) -> frozenset[Path]:
    """What planning keeps out of the rule's reach, for each kind of write."""
    if action == "create":
        tenant = {collection.tenant_field} if crosses and collection.tenant_field else set()
        return frozenset((name,) for name in (collection.stamped - tenant) | stamps.keys())
    if action == "restore":
        guarded = {(name,) for name in (collection.tenant_field, collection.owner_field) if name}
        return kept_paths(rule.fields, {*judged, *guarded}, frozenset())
    made = made_by_gateway(collection.made, _FILL, created=False)
    stamped = frozenset({*made, *stamps, *(("updated_at", "updated_by") if collection.timestamps else ())})
    # A blob is written by routes of its own, which ask the same rules.
    theirs = collection.stamped - collection.blobs
    return kept_paths(rule.fields, {*judged, *((name,) for name in theirs)}, stamped)


def are_alike(one: Config, other: Config, name: str) -> bool:
    """Whether nothing that a side is made of differs, so that no roles need be asked about."""
    return _made_of(one, name) == _made_of(other, name)


def _made_of(config: Config, name: str) -> object:
    collection = config.collections.get(name)
    if collection is None:
        return None
    made = frozenset(made_by_gateway(collection.made, _FILL, created=False))
    keys = (tenancy(collection), collection.owner_field, collection.stamped, collection.timestamps, made)
    return keys, dict(config.policy.roles), [one for one in config.policy.rules.values() if one.collection == name]


# -- paths


def paths_between(one: Config, other: Config, name: str) -> tuple[Path, ...]:
    """Paths of a collection enough to tell rules on fields apart: each that either side names, and one below each.

    Rules judge a path by the named ones above and below it, so one that nobody names is judged as its neighbour is.
    """
    found: set[Path] = {(ANYTHING,)}
    for config in (one, other):
        if name in config.collections:
            found |= set(_declared(config.collections[name].fields.values(), ()))
        for rule in config.policy.rules.values():
            if rule.collection == name:
                found |= set(_named(rule))
    found.discard(())
    return tuple(sorted(found | {(*path, ANYTHING) for path in found if path[-1] != ANYTHING}))


def _declared(fields: Iterable[Field], above: Path) -> Iterator[Path]:
    for one in fields:
        yield (*above, one.name)
        inner = one
        while inner.items is not None:
            inner = inner.items
        yield from _declared((inner.properties or {}).values(), (*above, one.name))


def _named(rule: Rule) -> Iterator[Path]:
    fields = rule.fields
    yield from rule.hidden
    for paths in (fields.allow or (), fields.deny, fields.deny_write, fields.reassign):
        yield from paths
    yield from (path for path, _ in fields.mask)


def at_most(one: Level, other: Level, masks: frozenset[Level] = frozenset()) -> bool:
    """Whether `one` surely tells no more than `other`. `masks` are all that may stand in the place of `other`."""
    if one == "hidden" or other == "raw":
        return True
    if one == "raw" or other == "hidden":
        return False
    return one == "redact" or all(one == mask for mask in (other, *masks))
