"""A configuration set up for its policy tests: who asks, what is permitted, and which rule says so. No database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from permission_mongo.config.cases import Case, PolicyTests
from permission_mongo.config.model import Config
from permission_mongo.errors import Forbidden
from permission_mongo.planning.callers import Access, Asking, Callers
from permission_mongo.planning.make import Planner
from permission_mongo.planning.reads import require_versions
from permission_mongo.policy.binding import bind
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.policy.kin import told_kin
from permission_mongo.policy.nodes import Truth
from permission_mongo.policy.rules import Action, Rule
from permission_mongo.query.cursors import CursorKey
from permission_mongo.schema.model import Collection
from permission_mongo.trials.coverage import Coverage
from permission_mongo.values import Document

MASK_KEY: Final = bytes(32)
_TOLD: Final = 6  # rules of one fault


@dataclass(frozen=True, slots=True)
class Bench:
    """`coverage` notes what each rule said; None where nobody asks for it."""

    config: Config
    tests: PolicyTests
    planner: Planner
    coverage: Coverage | None = field(default=None)

    @classmethod
    def of(cls, config: Config, tests: PolicyTests, coverage: Coverage | None = None) -> Bench:
        # Hooks may ask the outside, and what they stamp is not the policy's.
        callers = Callers(replace(config, hooks={}), MASK_KEY)
        return cls(config, tests, Planner(callers, CursorKey(MASK_KEY), _no_chance, {}), coverage)

    def at(self, case: Case) -> Judging:
        principal = self.tests.principals[case.principal]
        asking = Asking(principal, case.now, case.request, "policy test", kin=told_kin(principal.claims))
        return Judging(self, case, asking, self.config.collections[case.collection])


def _no_chance() -> UUID:
    return UUID(int=0)


@dataclass(slots=True)
class Judging:
    """One test's principal at one collection."""

    bench: Bench
    case: Case
    asking: Asking
    collection: Collection

    def access(self, action: Action) -> Access:
        """Forbidden as in a request."""
        return self.bench.planner.callers.access(self.asking, self.collection, action)

    def sees(self, document: Document) -> bool:
        """Whether the principal may read it."""
        return self.permits("read", document)

    def permits(self, action: Action, document: Document) -> bool:
        """Whether the action is permitted on the document: by its rules, and on what is visible alone."""
        actions: tuple[Action, ...] = ("read",) if action == "read" else ("read", action)
        for one in actions:
            self.note(one, document)
        try:
            return all(self._holds(one, document) for one in actions)
        except Forbidden:
            return False

    def _holds(self, action: Action, document: Document) -> bool:
        reach = self.access(action).reach
        if action == "restore":
            require_versions(self.collection)
            return holds(reach.accepted_rows, document)
        return reach.sees(document)

    # -- which rule

    def rules(self, action: Action, document: Document) -> Iterator[tuple[Rule, Truth]]:
        """What each rule that speaks for the principal says of the document by its own `when`."""
        policy = self.bench.config.policy
        roles = frozenset(role for role in self.asking.principal.roles if role in policy.roles)
        speaking = policy.speaking(roles, self.collection.name, action)
        bindings = self.asking.bindings()
        for rule in (*speaking.allows, *speaking.denies, *speaking.hides):
            yield rule, verdict(bind(rule.when, bindings), document)

    def note(self, action: Action, document: Document) -> None:
        if self.bench.coverage is not None:
            for rule, truth in self.rules(action, document):
                self.bench.coverage.note(rule, truth)

    def reasons(self, action: Action, document: Document) -> list[str]:
        """Why the action is permitted on the document, or why not: one line a rule."""
        lines = [_said(rule, truth) for rule, truth in self.rules(action, document) if not rule.hidden]
        lines = lines or [f"no rule of these roles has {action} in {self.collection.name}"]
        if len(lines) > _TOLD:
            lines = [*lines[:_TOLD], f"and {len(lines) - _TOLD} rules more"]
        return lines + self._outside(document)

    def _outside(self, document: Document) -> list[str]:
        name, tenant = self.collection.tenant_field, self.asking.principal.tenant
        if name is None or self.bench.planner.callers.crosses_tenants(self.asking) or document.get(name) == tenant:
            return []
        return [f"'{name}' of the document is {document.get(name)!r}, the principal's tenant is {tenant!r}"]


def _said(rule: Rule, truth: Truth) -> str:
    told = {True: "holds", False: "does not hold", None: "is unknown"}[truth]
    applies = ", and so denies" if rule.effect == "deny" and truth is not False else ""
    return f"{rule.place}: {rule.effect} of '{rule.role}' {told}{applies}"
