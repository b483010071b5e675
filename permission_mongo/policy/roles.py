"""Which rules speak for a set of roles: Casbin, asked once per plan. The one file that imports it.

Rules go in as `p` lines whose condition is a rule id, never text: Casbin would splice it into its own expression.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import casbin
from casbin.persist import load_policy_line

from permission_mongo.policy.nodes import Truth
from permission_mongo.policy.rules import Action, Rule, RuleId

MAX_DEPTH: Final = 8  # Casbin's own walk stops at 10 without a word
MODEL: Final = """
[request_definition]
r = sub, dom, obj, act, ctx
[policy_definition]
p = sub, dom, obj, act, cond, eft
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.obj == p.obj && r.act == p.act && anyrole(r.sub, p.sub, r.dom) && applies(r.ctx, p.cond, p.eft)
"""
_DOMAIN: Final = "gateway"
# A rule that hides fields is no verdict on rows: it stands under an action of its own, which no request can name.
_FIELDS_OF: Final = "#fields"

logging.getLogger("casbin").setLevel(logging.ERROR)  # it logs each request with its subject


@dataclass(frozen=True, slots=True)
class _Plan:
    """Plan mode: note every rule that speaks and decide nothing, for a verdict would end Casbin's loop early."""

    noted: list[RuleId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Check:
    """Check mode: each rule's condition has a verdict on one document."""

    verdict: Callable[[RuleId], Truth]


class RoleEngine:
    """Rules and roles of one policy. Immutable but for what it remembers, so any thread may ask.

    Casbin walks all the lines that it was given at every question, so each collection and action has an enforcer of
    its own, with the lines that can match there and no others: the matcher wants both to be equal.
    """

    def __init__(self, rules: Iterable[Rule], inherits: Mapping[str, Sequence[str]]) -> None:
        self._inherits = inherits
        self._lines: dict[tuple[str, str], list[_Line]] = {}
        for rule in rules:
            for action in rule.actions:
                act = action + _FIELDS_OF if rule.hidden else action
                self._lines.setdefault((rule.collection, act), []).append(_line(rule, act))
        self._roles = _enforcer([], inherits)
        self._enforcers: dict[tuple[str, str], Any] = {}

    def _at(self, collection: str, act: str) -> Any:
        known = self._enforcers.get((collection, act))
        if known is None:
            # Two threads may both make it; they make the same.
            lines = self._lines.get((collection, act), [])
            known = self._enforcers[collection, act] = _enforcer(lines, self._inherits) if lines else self._roles
        return known

    def roles_of(self, roles: Iterable[str]) -> frozenset[str]:
        """The roles and all they inherit, by Casbin's own role manager."""
        manager = self._roles.get_role_manager()
        found: set[str] = set()
        waiting = [_subject(role) for role in roles]
        while waiting:
            subject = waiting.pop()
            if subject not in found:
                found.add(subject)
                waiting.extend(manager.get_roles(subject, _DOMAIN))
        return frozenset(subject.removeprefix("role:") for subject in found)

    def speaking(self, roles: frozenset[str], collection: str, action: Action) -> tuple[RuleId, ...]:
        """The rules on rows that speak for the roles, allow and deny, in the order written."""
        return self._noted(roles, collection, action)

    def hiding(self, roles: frozenset[str], collection: str, action: Action) -> tuple[RuleId, ...]:
        """The rules that hide fields from the roles."""
        return self._noted(roles, collection, action + _FIELDS_OF)

    def permits(
        self, roles: frozenset[str], collection: str, action: Action, verdict: Callable[[RuleId], Truth]
    ) -> bool:
        """Whether the action is permitted on one document, by Casbin alone: the oracle for plans in tests."""
        if not self.speaking(roles, collection, action):
            return False
        subjects = self._subjects(roles)
        enforcer = self._at(collection, action)
        return bool(enforcer.enforce(subjects, _DOMAIN, collection, action, _Check(verdict)))

    def _noted(self, roles: frozenset[str], collection: str, act: str) -> tuple[RuleId, ...]:
        plan = _Plan()
        self._at(collection, act).enforce(self._subjects(roles), _DOMAIN, collection, act, plan)
        # With no rule at all Casbin evaluates the matcher once with empty names.
        return tuple(rule_id for rule_id in plan.noted if rule_id)

    def _subjects(self, roles: frozenset[str]) -> frozenset[str]:
        return frozenset(_subject(role) for role in self.roles_of(roles))


_Line = str  # as Casbin reads it


def _line(rule: Rule, act: str) -> _Line:
    return ", ".join(["p", _subject(rule.role), _DOMAIN, rule.collection, act, rule.id, rule.effect])


def _enforcer(lines: list[_Line], inherits: Mapping[str, Sequence[str]]) -> Any:
    # Without an adapter, which would have it copy its whole model first.
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    _load(enforcer.model, lines, inherits)
    enforcer.build_role_links()
    enforcer.add_function("anyrole", _anyrole)
    enforcer.add_function("applies", _applies)
    return enforcer


def _subject(role: str) -> str:
    # Prefixed, so that no name of a person or service is ever one of a role.
    return f"role:{role}"


def _anyrole(subjects: frozenset[str], subject: str, domain: str) -> bool:
    return domain == _DOMAIN and subject in subjects


def _applies(context: _Plan | _Check, rule_id: RuleId, effect: str) -> bool:
    if isinstance(context, _Plan):
        context.noted.append(rule_id)
        return False
    truth = context.verdict(rule_id)
    return truth is True if effect == "allow" else truth is not False


def _load(model: Any, lines: list[_Line], inherits: Mapping[str, Sequence[str]]) -> None:
    """Straight into the model: adding lines one by one costs quadratic time."""
    for line in lines:
        load_policy_line(line, model)
    for role, parents in inherits.items():
        for parent in parents:
            load_policy_line(f"g, {_subject(role)}, {_subject(parent)}, {_DOMAIN}", model)


def inheritance_faults(inherits: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Role -> what is wrong with its ancestry: a cycle, or more than MAX_DEPTH levels."""
    faults: dict[str, str] = {}
    depths: dict[str, int] = {}

    def depth(role: str, above: tuple[str, ...]) -> int:
        if role in above:
            loop = [*above[above.index(role) :], role]
            for member in loop:
                faults.setdefault(member, f"inherits itself: {' -> '.join(loop)}")
            return 0
        if role not in depths:
            depths[role] = max((1 + depth(parent, (*above, role)) for parent in inherits.get(role, ())), default=0)
        return depths[role]

    for role in inherits:
        if depth(role, ()) > MAX_DEPTH and role not in faults:
            faults[role] = f"inherits through {depths[role]} levels; at most {MAX_DEPTH} are followed"
    return faults
