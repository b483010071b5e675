"""An explanation as it is told: no value of a document is in it, and no verdict on what the asker can't read.

Whatever it says of a document is made of the look, which knows what may be told; but for the one answer whether the
request itself would be refused, which the caller could as well try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from permission_mongo.explanations import Another, Considered, Examined, ExplainPlan, Needed
from permission_mongo.planning.abilities import fields_told, shown_anywhere
from permission_mongo.policy.binding import Bindings
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.kin import Kin
from permission_mongo.policy.nodes import ALWAYS, Path, conjunction
from permission_mongo.policy.rules import Action, Rule
from permission_mongo.policy.scalars import is_safe_claim
from permission_mongo.policy.telling import Telling, telling, whole
from permission_mongo.policy.to_mongo import MATCH_NONE
from permission_mongo.policy.tracing import (
    Clause,
    Look,
    Told,
    Way,
    all_told,
    any_told,
    changes_of,
    together,
    traced,
    ways,
)
from permission_mongo.values import Document

LONGEST_SET: Final = 20  # values that are shown of a set; a larger one is told by its size
_MOST_CHANGES: Final = 5


def explained(plan: ExplainPlan, found: Examined) -> dict[str, Any]:
    telling_, look = _looks(plan, found)
    judged = _Judged(plan, found, look)
    allowed, refusal = judged.answer()
    body: dict[str, Any] = {"action": plan.action, "collection": plan.collection.name}
    if plan.id is not None:
        body |= {"id": plan.id, "document": found.state}
    body |= {"caller": caller_told(plan), "allowed": allowed}
    if refusal is not None:
        body["refusal"] = refusal
    body |= {
        "decided_by": judged.decided_by(allowed),
        "needs": [_need_told(one, plan.bindings, look, plan) for one in plan.needs],
        "filter": None if plan.match is None else _cut(plan.match, plan.bindings.kin),
        "fields": fields_told(plan.abilities, telling_, look),
    }
    return body if allowed is True else {**body, "would_change": judged.changes()}


def caller_told(plan: ExplainPlan) -> dict[str, Any]:
    who = plan.principal
    return {
        "sub": who.subject,
        "tenant": who.tenant,
        "roles": plan.roles,
        "with_inherited": plan.inherited,
        "unknown_roles": unknown_roles(who.roles, plan.roles),
        "crosses_tenants": plan.crosses,
    }


def unknown_roles(claimed: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names in the credential that the policy does not know, as far as they can be shown."""
    fit = [role for role in sorted(set(claimed) - set(known)) if role.isprintable() and len(role) <= 128]
    return fit[:LONGEST_SET]


def _looks(plan: ExplainPlan, found: Examined) -> tuple[Telling | None, Look]:
    document, reading = found.document, plan.reading or plan.abilities.reading
    if document is None:
        without = "open" if plan.id is None else "hidden"
        return shown_anywhere(plan.abilities), Look(None, lambda path: False, without)  # type: ignore[arg-type]
    if plan.sees_all:
        return None if reading is None else whole(reading, document), Look(document, lambda path: True)
    assert reading is not None  # noqa: S101  (the document was looked for among the rows it sees)
    tenant = plan.collection.tenant_field
    known = frozenset[tuple[str, ...]]() if tenant is None or plan.crosses else frozenset({(tenant,)})
    certain = telling(reading, document, known)
    return certain, Look(document, certain.tells)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One question with the document, if there is one."""

    plan: ExplainPlan
    found: Examined
    look: Look

    # -- what the request would be told

    def answer(self) -> tuple[bool | str, dict[str, Any] | None]:
        """True, False, or for which rows where no document is named; and the refusal, as the route would give it."""
        plan, document = self.plan, self.found.document
        if plan.refusal is not None:
            return False, plan.refusal.as_entry()
        if plan.action == "create":
            return "for some documents", None
        if plan.id is None:
            return self._extent(), None
        if document is None or not self._holds("read", document):
            return False, {"code": "document_not_found", "message": f"no such document in {plan.collection.name}"}
        if self._permits(document):
            return True, None
        if plan.action == "aggregate":
            return False, None  # the row takes no part, and nobody is told
        return False, {"code": "forbidden", "message": f"no rule of the roles allows {plan.action} of this document"}

    def _extent(self) -> str | bool:
        if self.plan.match == MATCH_NONE:
            return False
        reaches = [one.reach for one in self.plan.needs if one.reach is not None]
        whole_ = all(reach.rows in (ALWAYS, reach.within) for reach in reaches)
        return "for all documents of the tenant" if whole_ and not self.plan.crosses else "for some documents"

    def _permits(self, document: Document) -> bool:
        if self.plan.action == "restore":
            reach = self._reach("restore")
            return reach is not None and holds(conjunction((reach.rows, reach.accepted_rows)), document)
        return self._holds(self.plan.action, document)

    def _holds(self, action: str, document: Document) -> bool:
        reach = self._reach(action)
        return reach is not None and reach.sees(document)

    def _reach(self, action: str) -> Reach | None:
        return next((one.reach for one in self.plan.needs if one.action == action), None)

    # -- which rules decide

    def decided_by(self, allowed: bool | str) -> list[str]:
        """The places of rules that decide it, as far as that can be told: those that hold, or the denials that do."""
        if self.plan.refusal is not None or self.plan.id is None:
            return []
        if allowed is True:
            return self._places(self.plan.action, "allow", ("true",))
        return [place for one in self.plan.needs for place in self._places(one.action, "deny", ("true", "unknown"))]

    def _places(self, action: str, effect: str, truths: tuple[Told, ...]) -> list[str]:
        rules = next(one.rules for one in self.plan.needs if one.action == action)
        return [
            str(one.rule.place)
            for one in rules
            if one.speaks
            and one.rule.effect == effect
            and not one.rule.hidden
            and traced(one.rule.when, self.plan.bindings, self.look).verdict in truths
        ]

    # -- what would change it

    def changes(self) -> dict[str, Any]:
        """Least sets of clauses that would have to be otherwise, and roles with which it would be allowed.

        Of a document that is not there nothing could be otherwise, for one from whom that is not kept.
        """
        missing = self.plan.refusal is not None or (self.plan.sees_all and self.found.state == "absent")
        found = [] if missing else together(self._ways_of(one) for one in self.plan.needs)
        sets = [one for one in dict.fromkeys(changes_of(way) for way in found) if one]
        least = [one for one in sets if not any(set(other) < set(one) for other in sets)]
        told = [list(one) for one in least[:_MOST_CHANGES]]
        roles = [] if self.plan.id is not None and self.found.document is None else list(self._roles())
        return {"clauses": told, "roles": roles}

    def _ways_of(self, need: Needed) -> list[Way]:
        speaking = [one.rule for one in need.rules if one.speaks and not one.rule.hidden]
        return together(self._demands(need.action, speaking))

    def _demands(self, action: Action, rules: Iterable[Rule]) -> Iterable[list[Way]]:
        allows = [rule for rule in rules if rule.effect == "allow"]
        yield [way for rule in allows for way in self._holding(action, rule)]
        for rule in rules:
            if rule.effect == "deny":
                yield ways(self._traced(rule), False)

    def _holding(self, action: Action, rule: Rule) -> list[Way]:
        rows = ways(self._traced(rule), True)
        if action != "restore" or rule.check is None:
            return rows
        return together((rows, ways(traced(rule.check, self.plan.bindings, self.look), True)))

    def _traced(self, rule: Rule) -> Clause:
        return traced(rule.when, self.plan.bindings, self.look)

    def _roles(self) -> Iterable[dict[str, str]]:
        for other in self.plan.others:
            verdict = all_told(_verdict(action, rules, other, self.look) for action, rules in other.rules.items())
            if verdict == "true":
                yield {"role": other.role}
            elif verdict == "open":
                yield {"role": other.role, "for": "some documents"}


def _verdict(action: Action, rules: Iterable[Rule], other: Another, look: Look) -> Told:
    """Whether some rule allows it and none denies it; what is restored must be accepted by the rule's `check` too."""

    def truth_of(rule: Rule) -> Told:
        asked = (rule.when,) if action != "restore" or rule.check is None else (rule.when, rule.check)
        return all_told(traced(one, other.bindings, look).verdict for one in asked)

    truths = [(rule.effect, truth_of(rule)) for rule in rules]
    denied = any_told(truth for effect, truth in truths if effect == "deny")
    if denied in ("true", "unknown"):
        return "false"
    return all_told((any_told(truth for effect, truth in truths if effect == "allow"), _not(denied)))


def _not(denied: Told) -> Told:
    return "true" if denied == "false" else denied


# -- rules and clauses


def _need_told(need: Needed, bindings: Bindings, look: Look, plan: ExplainPlan) -> dict[str, Any]:
    tenant = plan.collection.tenant_field
    within = None if tenant is None or plan.crosses else {"test": f"resource.{tenant} == user.tenant_id"}
    told = [_rule_told(one, bindings, look) for one in need.rules]
    return {"action": need.action, "tenant": within, "rules": told}


def _rule_told(one: Considered, bindings: Bindings, look: Look) -> dict[str, Any]:
    rule, place = one.rule, one.rule.place
    about: dict[str, Any] = {"file": place.file, "line": place.line, "role": rule.role, "effect": rule.effect}
    if not one.speaks:
        why = (
            "is not for this action" if not one.has_action else f"is for the role '{rule.role}', which the caller lacks"
        )
        return {**about, "speaks": False, "why": why}
    about |= {"speaks": True, "through": one.through}
    if one.crosses:
        about["crosses_tenants"] = True
    if rule.hidden:
        about["hides"] = sorted(".".join(path) for path in rule.hidden)
    when = traced(rule.when, bindings, look)
    about |= {"verdict": when.verdict, "when": _clause_told(when, bindings)}
    return (
        about if rule.check is None else {**about, "check": _clause_told(traced(rule.check, bindings, look), bindings)}
    )


def _clause_told(clause: Clause, bindings: Bindings) -> dict[str, Any]:
    if clause.parts:
        return {clause.kind: [_clause_told(part, bindings) for part in clause.parts], "verdict": clause.verdict}
    told: dict[str, Any] = {"test": clause.text, "verdict": clause.verdict}
    if clause.reads:
        told["values"] = {_name_of(path): _read_told(path, bindings) for path in clause.reads}
    return told


def _name_of(path: Path) -> str:
    return path.root if path.root == "now" else ".".join((path.root, *path.segments))


def _read_told(path: Path, bindings: Bindings) -> Any:
    """Of the hierarchy only how many: who is there stands in documents, and no value of one is told."""
    value = bindings.lookup(path)
    if path.root == "user" and path.segments[0] in RELATIONS and isinstance(value, list | tuple):
        return {"values": len(value)}
    return value_told(value)


def value_told(value: Any) -> Any:
    """A value of the caller's as it is compared; what no rule can compare is told by its kind."""
    if isinstance(value, list | tuple | set | frozenset):
        return {"values": len(value)} if len(value) > LONGEST_SET else [value_told(one) for one in value]
    if value is None or is_safe_claim(value):
        return value
    return {"unfit": type(value).__name__}


def _cut(filter_: Any, around: Kin) -> Any:
    """The filter with the sizes of large sets, and of those of people, in their place."""
    match filter_:
        case Mapping():
            return {name: _cut_at(name, one, around) for name, one in filter_.items()}
        case list() | tuple():
            return [_cut(one, around) for one in filter_]
        case _:
            return filter_


def _cut_at(name: str, value: Any, around: Kin) -> Any:
    people = [frozenset(some) for some in around.lists.values() if some]
    if name == "$elemMatch" and any(str(value.get("$eq")) in some for some in people):
        return {"values": 1}  # one of those that an array must contain
    if name not in ("$in", "$nin"):
        return _cut(value, around)
    # Not of some of them: by a set of one's own one could ask who is there.
    is_of_people = frozenset(map(str, value)) in people
    return {"values": len(value)} if is_of_people or len(value) > LONGEST_SET else _cut(value, around)
