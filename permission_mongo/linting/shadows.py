"""Rules that others make idle. Only what is certain: see `policy.implication`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from permission_mongo.documents.paths import any_above
from permission_mongo.linting.subject import Subject, Told, fields_within, is_default
from permission_mongo.policy.implication import implies
from permission_mongo.policy.nodes import ALWAYS, negation
from permission_mongo.policy.rules import Action, Rule

# Above so many rules that speak for a role in one collection only conditions that are equal, or always hold, are
# compared: every pair would take minutes.
_MOST_COMPARED: Final = 50


def shadowed_rule(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        for other in () if is_default(rule) else _wider_ones(subject, rule):
            if _is_within(subject, rule, other) and _stays(subject, other, rule):
                gives = "denies" if rule.effect == "deny" else "gives"
                message = f"the rule at {other.place}{_by(rule, other)} {gives} all that this one {gives}"
                yield Told(subject.part(rule), message)
                break


def _by(rule: Rule, other: Rule) -> str:
    return "" if other.role == rule.role else f", which '{rule.role}' inherits from '{other.role}',"


def _wider_ones(subject: Subject, rule: Rule) -> Iterator[Rule]:
    """The rules that speak wherever this one does and might hold all of it."""
    lines = [subject.by_role.get((rule.collection, role), ()) for role in subject.line_of.get(rule.role, (rule.role,))]
    many = sum(map(len, lines)) > _MOST_COMPARED
    for others in lines:
        for other in others:
            if (
                other is rule
                or is_default(other)
                or other.effect != rule.effect
                or bool(other.hidden) is not bool(rule.hidden)
            ):
                continue
            if many and other.when not in (ALWAYS, rule.when):
                continue
            if set(rule.actions) <= set(other.actions):
                yield other


def _stays(subject: Subject, one: Rule, other: Rule) -> bool:
    """Whether of the two `one` stays: it has more, or, where both have the same, is inherited or written first."""
    if not _is_within(subject, one, other):
        return True
    if one.role != other.role:
        return one.role in subject.line_of.get(other.role, ())
    return (one.place.line, one.place.column, one.id) < (other.place.line, other.place.column, other.id)


def _is_within(subject: Subject, rule: Rule, other: Rule) -> bool:
    if rule.effect == "deny":
        # A deny applies unless its condition is false.
        hidden = all(any_above(path, other.hidden) for path in rule.hidden)
        return hidden and implies(negation(other.when), negation(rule.when))
    writing = not set(rule.actions) <= {"read", "delete", "aggregate", "purge"}
    if not fields_within(rule.fields, other.fields, writing=writing) or not subject.implies(rule, other):
        return False
    if not writing:
        return True
    return set(rule.stamps) <= set(other.stamps) and implies(rule.check or rule.when, other.check or other.when)


def denied_always(subject: Subject) -> Iterator[Told]:
    for (collection, role), rules in subject.by_role.items():
        denies = [one for one in subject.speaking(collection, role) if one.effect == "deny" and one.when == ALWAYS]
        for rule in rules if denies else ():
            deny = _denial_of(rule, denies)
            if deny is not None:
                yield Told(subject.part(rule), f"the deny at {deny.place} always applies: this rule gives nothing")


def _denial_of(rule: Rule, denies: Sequence[Rule]) -> Rule | None:
    """The deny that takes all of a rule, and is not that rule."""
    for deny in denies:
        if not deny.hidden and rule.effect == "allow" and set(rule.actions) <= set(deny.actions):
            return deny
    return None


def void_limit(subject: Subject) -> Iterator[Told]:
    """A limit that a rule sets, and another one that speaks in the same rows does not."""
    for rule in subject.rules:
        if rule.effect == "deny" or not (rule.fields.mask or rule.fields.deny_write):
            continue
        for other in subject.speaking(rule.collection, rule.role):
            if other is rule or other.effect == "deny":
                continue
            shared = set(rule.actions) & set(other.actions)
            void = _void_limits(rule, other, shared) if shared and implies(rule.when, other.when) else []
            if void:
                told = f"the rule at {other.place}{_by(rule, other)} holds wherever this does, and sets no such limit"
                yield Told(subject.part(rule, "fields"), f"{' and '.join(void)}: {told}")
                break


def _void_limits(rule: Rule, other: Rule, shared: set[Action]) -> list[str]:
    masks = [".".join(path) for path, _ in rule.fields.mask if other.fields.reads_raw(path)]
    bars = [".".join(path) for path in sorted(rule.fields.deny_write) if other.fields.writes(path)]
    found = []
    if masks and "read" in shared:
        found.append(f"'mask' of {', '.join(masks)} is void")
    if bars and shared & {"create", "update", "restore"}:
        found.append(f"'deny_write' of {', '.join(bars)} is void")
    return found
