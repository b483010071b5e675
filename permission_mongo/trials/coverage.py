"""Which rules the policy tests touched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from permission_mongo.policy.nodes import ALWAYS, Truth
from permission_mongo.policy.rules import Place, Rule

_Key = tuple[str, Place]


@dataclass(frozen=True, slots=True)
class Touched:
    """A rule as written: of `defaults` one entry stands for all roles. `held`: it applied to some document; `spared`:
    it did not apply to some other.
    """

    rule: Rule
    held: bool
    spared: bool

    @property
    def never_refused(self) -> bool:
        """Whether it has a condition, and no test shows a document of which it is not true."""
        return self.held and not self.spared and self.rule.when != ALWAYS


@dataclass(slots=True)
class Coverage:
    """What rules said in the tests that were run."""

    _held: set[_Key] = field(default_factory=set)
    _spared: set[_Key] = field(default_factory=set)

    def note(self, rule: Rule, truth: Truth) -> None:
        """Of a deny unknown counts as applied, for so it does."""
        applies = truth is True if rule.effect == "allow" else truth is not False
        (self._held if applies else self._spared).add(_key(rule))

    def of(self, rules: Iterable[Rule]) -> tuple[Touched, ...]:
        """In the order of their places."""
        known = {_key(rule): rule for rule in rules}
        found = [Touched(rule, key in self._held, key in self._spared) for key, rule in known.items()]
        return tuple(sorted(found, key=lambda one: (one.rule.place.line, one.rule.place.column, one.rule.collection)))


def share(touched: Iterable[Touched]) -> float:
    """Per cent of the rules that held at least once; 100 where there is none."""
    all_ = tuple(touched)
    return 100 * sum(one.held for one in all_) / len(all_) if all_ else 100.0


def _key(rule: Rule) -> _Key:
    return rule.collection, rule.place
