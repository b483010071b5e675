"""Two policies compared by their rules: what each role, alone or beside others, gains and loses.

Whatever can't be shown to be no gain counts as one: a condition that is not proved to hold within an old one, for
instance. So "nothing gained" is a proof, and "gained" an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from permission_mongo.config.model import Config
from permission_mongo.impact.facets import facet_changes, right_changes
from permission_mongo.impact.kinds import Change, Kind
from permission_mongo.impact.phrases import fields, stamp, where
from permission_mongo.impact.proofs import applies_within, implies
from permission_mongo.impact.sides import Given, Side, are_alike, at_most, paths_between, side_of
from permission_mongo.impact.wholes import Whole
from permission_mongo.policy.rules import ACTIONS, Action, Place, Rule
from permission_mongo.policy.wording import wording

_READING = ("read", "aggregate")
_WRITING = ("create", "update", "restore")


def compare(old: Config, new: Config, beside: Iterable[tuple[str, ...]] = ()) -> tuple[Change, ...]:
    """For each role, and for the sets `beside`, each collection and action. Equal policies say nothing."""
    names = dict.fromkeys((*new.policy.roles, *old.policy.roles))
    sets = [(name,) for name in names] + [tuple(dict.fromkeys(one)) for one in beside if len(set(one)) > 1]
    changes = [*right_changes(old, new), *facet_changes(old, new)]
    for collection in dict.fromkeys((*new.collections, *old.collections)):
        if are_alike(old, new, collection):
            continue
        whole = Whole(old, new, collection, paths_between(old, new, collection))
        for roles in sets:
            for action in ACTIONS:
                changes += _Comparison.of(whole, roles, action).changes()
    return tuple(dict.fromkeys(changes))


@dataclass(frozen=True, slots=True)
class _Comparison:
    whole: Whole
    roles: tuple[str, ...]
    action: Action
    old: Side
    new: Side

    @classmethod
    def of(cls, whole: Whole, roles: tuple[str, ...], action: Action) -> _Comparison:
        known = frozenset(roles)
        sides = (side_of(config, known, whole.collection, action) for config in (whole.old, whole.new))
        return cls(whole, roles, action, *sides)

    def changes(self) -> Iterator[Change]:
        if self.old.shape() == self.new.shape():
            return
        yield from _Excess(self, "gained", self.old, self.new).changes()
        yield from _Excess(self, "lost", self.new, self.old).changes()


@dataclass(frozen=True, slots=True)
class _Excess:
    """What `more` gives beyond `base`: the new beyond the old is gained, the old beyond the new is lost."""

    comparison: _Comparison
    kind: Kind
    base: Side
    more: Side

    @property
    def gains(self) -> bool:
        return self.kind == "gained"

    def changes(self) -> Iterator[Change]:
        if not self.more.is_void:
            for grant in self.more.grants:
                if self.base.is_void or not any(self._within(grant, one) for one in self.base.grants):
                    yield from self._of_grant(grant)
            yield from self._stamps()
        if self.gains or not self._appears(self.comparison.whole.old):
            yield from self._denies()
            yield from self._hides()

    def _appears(self, config: Config) -> bool:
        """Whether one of the roles is not known there at all: what bars a role that is new takes nothing from it."""
        return not all(role in config.policy.roles for role in self.comparison.roles)

    def _change(self, text: str, given: Rule | None, other: Rule | None = None, *, unsure: bool = False) -> Change:
        places: tuple[Place | None, ...] = tuple(None if rule is None else rule.place for rule in (other, given))
        before, after = places if self.gains else places[::-1]
        comparison = self.comparison
        kind: Kind = "unsure" if unsure else self.kind
        return Change(kind, comparison.roles, comparison.whole.collection, comparison.action, text, before, after)

    # -- grants

    def _within(self, one: Given, other: Given) -> bool:
        return implies(one.rows, other.rows) and not any(self._aspects(one, other))

    def _of_grant(self, grant: Given) -> Iterator[Change]:
        partner = None if self.base.is_void else self._partner(grant)
        may = "may now" if self.gains else "may no longer"
        told = f"{may} {{does}} {self.comparison.whole.collection}{where(grant.rule.when)}"
        if partner is None:
            yield self._change(told + self._extent(grant), grant.rule)
            return
        if not implies(grant.rows, partner.rows):
            widens = implies(partner.rows, grant.rows)
            if not widens and not self.gains:
                return  # told already, as what the new rule may
            yield self._change(self._moved(grant, partner, told), grant.rule, partner.rule, unsure=not widens)
            if grant.rule.check is None and partner.rule.check is None:
                # By default a document stays within the rows, and of these it is told already.
                partner = replace(partner, check=grant.check, barred=grant.barred)
        yield from self._aspects(grant, partner)

    def _partner(self, grant: Given) -> Given | None:
        """The rule of the other side to compare it with: the same rows, else more, else fewer, else the same place."""
        tests = (
            lambda one: implies(grant.rows, one.rows) and implies(one.rows, grant.rows),
            lambda one: implies(grant.rows, one.rows),
            lambda one: implies(one.rows, grant.rows),
            lambda one: one.rule.id == grant.rule.id,
        )
        return next((one for test in tests for one in self.base.grants if test(one)), None)

    def _moved(self, grant: Given, partner: Given, told: str) -> str:
        if grant.rule.when == partner.rule.when:
            return f"{told}, of every tenant"
        return f"{told} ({'before' if self.gains else 'now'}:{where(partner.rule.when) or ' all'})"

    def _extent(self, grant: Given) -> str:
        """Which fields, where it is not all of them."""
        if self.comparison.action not in _READING or grant.fields.shows_all:
            return ""
        levels = [(path, grant.level(path)) for path in self.comparison.whole.paths]
        raw = [path for path, level in levels if level == "raw"]
        masks = [path for path, level in levels if level not in ("raw", "hidden")]
        told = [f"its {fields(raw)}"] if raw else []
        return f": {', and '.join([*told, *([f'{fields(masks)} masked'] if masks else [])])}" if raw or masks else ""

    def _aspects(self, one: Given, other: Given) -> Iterator[Change]:
        """What `one` gives in its rows beyond `other`."""
        action = self.comparison.action
        if action in _READING:
            yield from self._shown(one, other)
        elif action in _WRITING:
            yield from self._wording(one, other)
            yield from self._checked(one, other)

    def _shown(self, one: Given, other: Given) -> Iterator[Change]:
        found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        for path in self.comparison.whole.paths:
            more, less = one.level(path), other.level(path)
            # The first rule that holds decides by which mask: any of these may have stood there.
            if not at_most(more, less, self.base.masks_at(path) if more not in ("raw", "hidden") else frozenset()):
                found.setdefault((more, less), []).append(path)
        for (more, less), paths in found.items():
            unsure = "hidden" not in (more, less) and "raw" not in (more, less)
            if unsure and not self.gains:
                continue
            text = f"{_reads(fields(paths), more, less, gains=self.gains)}{self._in(one)}"
            yield self._change(text, one.rule, other.rule, unsure=unsure)

    def _wording(self, one: Given, other: Given) -> Iterator[Change]:
        paths = [path for path in self.comparison.whole.paths if one.writes(path) and not other.writes(path)]
        if paths:
            may = "may now" if self.gains else "may no longer"
            yield self._change(f"{may} write {fields(paths)} ({{does}}){self._in(one)}", one.rule, other.rule)

    def _checked(self, one: Given, other: Given) -> Iterator[Change]:
        surely = implies(one.check, other.check) and (one.barred or not other.barred or not self.base.denies)
        if surely:
            return
        unsure = not implies(other.check, one.check)
        if unsure and not self.gains:
            return
        now, before = (one.check, other.check) if self.gains else (other.check, one.check)
        told = f"what it may {{does}} in {self.comparison.whole.collection} must then be: {wording(now)}"
        loosened = "" if now != before else "; deny rules are asked before the write alone, or no longer so"
        text = f"{told} (before: {wording(before)}){loosened}"
        yield self._change(text, one.rule, other.rule, unsure=unsure)

    def _in(self, grant: Given) -> str:
        return f" in {self.comparison.whole.collection}{where(grant.rule.when)}"

    def _stamps(self) -> Iterator[Change]:
        if self.base.is_void or not self.gains:
            return
        before, now = dict(self.base.stamps), dict(self.more.stamps)
        for name in sorted(before.keys() - now.keys()):
            yield self._change(f"the gateway no longer writes {name} = {stamp(before[name])} ({{does}})", None)
        for name, value in now.items():
            if before.get(name) != value:
                yield self._change(f"the gateway now writes {name} = {stamp(value)} ({{does}})", None, unsure=True)

    # -- denies: those of `base` that `more` no longer has

    def _denies(self) -> Iterator[Change]:
        verb = "is no longer denied to" if self.gains else "is now denied to"
        for rule in self.base.denies:
            if not self._is_kept(rule, "denies"):
                text = f"{verb} {{does}} {self.comparison.whole.collection}{where(rule.when)}"
                yield self._change(text + self._beside(), None, rule)

    def _hides(self) -> Iterator[Change]:
        verb = "no longer has" if self.gains else "now has"
        for rule in self.base.hides:
            single = [(path, replace(rule, hidden=frozenset({path}))) for path in sorted(rule.hidden)]
            bare = [path for path, one in single if not self._is_kept(one, "hides")]
            if bare:
                told = f"{verb} {fields(bare)} hidden from {{does}} in {self.comparison.whole.collection}"
                yield self._change(f"{told}{where(rule.when)}{self._beside()}", None, rule)

    def _is_kept(self, rule: Rule, which: str) -> bool:
        """Whether a rule there applies wherever this one does; of roles that are gone, whether each role has one."""
        whole, action = self.comparison.whole, self.comparison.action
        if self.gains and self._appears(whole.new):
            sides = [side_of(whole.new, frozenset({role}), whole.collection, action) for role in whole.new.policy.roles]
        else:
            sides = [self.more]
        return all(any(_covers(one, rule) for one in _barring(side, which)) for side in sides)

    def _beside(self) -> str:
        """A denial also takes from what other roles give."""
        return " (beside other roles)" if self.more.is_void and self.gains else ""


def _barring(side: Side, which: str) -> tuple[Rule, ...]:
    return side.denies if which == "denies" else side.hides


def _covers(one: Rule, rule: Rule) -> bool:
    hides = all(any(path[: len(above)] == above for above in one.hidden) for path in rule.hidden)
    return hides and applies_within(rule.when, one.when)


def _reads(named: str, more: str, less: str, *, gains: bool) -> str:
    """One side reads it as `more` and the other as `less`."""
    now, before = (more, less) if gains else (less, more)
    if now == "raw":
        return f"now reads {named}" + ("" if before == "hidden" else f" raw (was masked by {before})")
    if now == "hidden":
        return f"no longer reads {named}"
    return f"now reads {named} masked by {now} ({'hidden before' if before == 'hidden' else f'before: {_as(before)}'})"


def _as(level: str) -> str:
    return level if level == "raw" else f"masked by {level}"
