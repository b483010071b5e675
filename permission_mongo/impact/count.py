"""What a change of the policy changes for certain principals on certain documents: counted, not proved.

Each document is judged in memory by both policies' own plans: the reading of a rule that agrees with its filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from permission_mongo.config.model import Config
from permission_mongo.documents.paths import Path
from permission_mongo.errors import Forbidden
from permission_mongo.impact.phrases import ANYTHING
from permission_mongo.impact.sides import Level, at_most, paths_between
from permission_mongo.impact.viewers import Viewer
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.kin import told_kin
from permission_mongo.policy.nodes import NEVER, Expression, conjunction, paths_of
from permission_mongo.policy.rules import ACTIONS, Action
from permission_mongo.values import Document

_KEY: Final = bytes(32)
_EXAMPLES: Final = 5
COUNTED: Final = tuple(action for action in ACTIONS if action != "create")  # a create is of no stored document
_REQUEST: Final = {"ip": "127.0.0.1", "method": "GET"}
_MARKS: Final = frozenset({"_id", "_version", "_made"})
_FieldChange = tuple[Path, Level, Level]


@dataclass(slots=True)
class Tally:
    """One principal, one action: rows gained and lost, and fields in rows that are visible under both policies.

    `fields` counts rows that hold a value at the path, by path, level before and level now.
    """

    viewer: Viewer
    collection: str
    action: Action
    before: Expression
    after: Expression
    lenses: _Lenses | None = None
    gained: int = 0
    lost: int = 0
    gained_ids: list[Any] = field(default_factory=list)
    lost_ids: list[Any] = field(default_factory=list)
    fields: dict[_FieldChange, int] = field(default_factory=dict)

    def note(self, document: Document) -> None:
        was, now = holds(self.before, document), holds(self.after, document)
        if was and now:
            for change in self.lenses.changes(document) if self.lenses else ():
                self.fields[change] = self.fields.get(change, 0) + 1
        elif now:
            self.gained += 1
            if len(self.gained_ids) < _EXAMPLES:
                self.gained_ids.append(document["_id"])
        elif was:
            self.lost += 1
            if len(self.lost_ids) < _EXAMPLES:
                self.lost_ids.append(document["_id"])

    @property
    def widens(self) -> bool:
        return bool(self.gained) or any(not at_most(after, before) for _, before, after in self.fields)

    @property
    def is_silent(self) -> bool:
        return not (self.gained or self.lost or self.fields)

    def reads(self) -> frozenset[str] | None:
        """The top-level fields it needs; None for all of them."""
        if self.lenses is not None:
            return None
        paths = (*paths_of(self.before), *paths_of(self.after))
        return frozenset(path.segments[0] for path in paths if path.root == "resource")


@dataclass(slots=True)
class _Lenses:
    """Two reaches to read, and the paths in which they may differ. Rows on which the same rules speak differ alike."""

    before: Reach
    after: Reach
    paths: tuple[Path, ...]
    _known: dict[object, tuple[_FieldChange, ...]] = field(default_factory=dict)

    def changes(self, document: Document) -> Iterator[_FieldChange]:
        speaking = (self.before.speaks_for(document), self.after.speaks_for(document))
        known = self._known.get(speaking)
        if known is None:
            one, other = self.before.view_of(speaking[0], _KEY), self.after.view_of(speaking[1], _KEY)
            levels = ((path, one.shown_at(path), other.shown_at(path)) for path in self.paths)
            known = self._known[speaking] = tuple(change for change in levels if change[1] != change[2])
        return (change for change in known if self._holds(document, change[0], 0))

    def _holds(self, value: Any, path: Path, depth: int) -> bool:
        """Whether there is a single value at the path; at ANYTHING, one that no path names."""
        if isinstance(value, list):
            return any(self._holds(one, path, depth) for one in value)
        if depth == len(path):
            return not isinstance(value, dict) or not value
        if not isinstance(value, dict):
            return False
        if path[depth] != ANYTHING:
            return path[depth] in value and self._holds(value[path[depth]], path, depth + 1)
        return any((*path[:depth], name) not in self.paths for name in value if name not in _MARKS)


def tallies(old: Config, new: Config, viewers: Iterable[Viewer], now: datetime) -> tuple[Tally, ...]:
    """One for each principal, collection and action in which the policies differ for it; none where they are alike."""
    before, after = Callers(old, _KEY), Callers(new, _KEY)
    names = tuple(dict.fromkeys((*new.collections, *old.collections)))
    paths = {name: paths_between(old, new, name) for name in names}
    found: list[Tally] = []
    for viewer in viewers:
        who = viewer.principal
        asking = Asking(who, now, _REQUEST, "policy diff", kin=told_kin(who.claims))
        for name in names:
            for action in COUNTED:
                tally = _tally(viewer, asking, (before, after), action, (name, paths[name]))
                if tally is not None:
                    found.append(tally)
    return tuple(found)


def _tally(
    viewer: Viewer, asking: Asking, callers: tuple[Callers, Callers], action: Action, at: tuple[str, tuple[Path, ...]]
) -> Tally | None:
    name, paths = at
    rows = [_rows(one, asking, name, action) for one in callers]
    lenses = None
    if action == "read":
        reaches = [_reach(one, asking, name, "read") for one in callers]
        before, after = reaches
        if before is not None and after is not None and _shape(before) != _shape(after):
            lenses = _Lenses(before, after, paths)
    if rows[0] == rows[1] and lenses is None:
        return None
    return Tally(viewer, name, action, rows[0], rows[1], lenses)


def _rows(callers: Callers, asking: Asking, name: str, action: Action) -> Expression:
    """The rows on which the action is permitted: visible ones, of its own rules."""
    reading, acting = _reach(callers, asking, name, "read"), _reach(callers, asking, name, action)
    if reading is None or acting is None:
        return NEVER
    if action == "restore" and not callers.config.collections[name].versioned:
        return NEVER
    return conjunction((reading.rows, acting.accepted_rows if action == "restore" else acting.rows))


def _reach(callers: Callers, asking: Asking, name: str, action: Action) -> Reach | None:
    collection = callers.config.collections.get(name)
    if collection is None:
        return None
    try:
        return callers.access(asking, collection, action).reach
    except Forbidden:
        return None


def _shape(reach: Reach) -> object:
    return tuple((grant.rows, grant.fields) for grant in reach.grants), reach.hiding


def by_collection(found: Iterable[Tally]) -> Mapping[str, tuple[Tally, ...]]:
    names: dict[str, list[Tally]] = {}
    for tally in found:
        names.setdefault(tally.collection, []).append(tally)
    return {name: tuple(ones) for name, ones in names.items()}


def projection(found: Iterable[Tally]) -> frozenset[str] | None:
    """The top-level fields that these need of a document; None for all."""
    names: set[str] = set()
    for tally in found:
        read = tally.reads()
        if read is None:
            return None
        names |= read
    return frozenset(names)
