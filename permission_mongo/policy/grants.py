"""The rules that speak for one caller, and what they give together.

A grant is one rule whole: its rows with their fields. Rows and fields are never united apart from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import cast

from permission_mongo.documents.etags import Tags, tag_of, tag_of_json
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import canonical, touches
from permission_mongo.documents.reveal import View
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.policy.nodes import ALWAYS, Expression, Path, conjunction, disjunction, either, negation, paths_of
from permission_mongo.policy.roles import RoleEngine
from permission_mongo.policy.rules import ACTIONS, Action, Role, Rule, RuleId
from permission_mongo.values import Document

_MOST_PLANS = 4096
_MOST_VIEWS = 256


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule whole, bound to a caller: which rows, which of their fields, how the row must be afterwards."""

    rule_id: RuleId
    rows: Expression
    fields: FieldRules
    check: Expression
    stamps: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Hiding:
    """Fields that are hidden in a row unless `when` is false of it."""

    when: Expression
    paths: frozenset[FieldPath]


@dataclass(frozen=True, slots=True)
class Changing:
    """Of a document before a change: `rows`. Of it afterwards: the rule's `own` check, or the one of who has none."""

    rows: Expression
    own: Expression
    default: Expression


@dataclass(frozen=True, slots=True)
class Reach:
    """What a caller may touch in one collection by one action. `within` is the tenant: no matter of policy text."""

    within: Expression
    grants: tuple[Grant, ...]
    denied: Expression
    hiding: tuple[Hiding, ...] = ()
    _rows: Expression | None = field(default=None, init=False, compare=False, repr=False)
    _finals: tuple[Expression, ...] | None = field(default=None, init=False, compare=False, repr=False)
    _changing: tuple[Changing, ...] | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def rows(self) -> Expression:
        """Rows = the tenant's AND some allow rule's AND NOT any deny rule's."""
        if self._rows is None:
            allowed = either(tuple(grant.rows for grant in self.grants))
            object.__setattr__(self, "_rows", conjunction((self.within, allowed, negation(self.denied))))
        return cast("Expression", self._rows)

    @property
    def finals(self) -> tuple[Expression, ...]:
        """For each grant, what must hold of a new document: reached, not denied, accepted by its `check`."""
        if self._finals is None:
            object.__setattr__(self, "_finals", tuple(self._final(grant) for grant in self.grants))
        return cast("tuple[Expression, ...]", self._finals)

    def _final(self, grant: Grant) -> Expression:
        # Each rule's rows are within the tenant already, unless it is one that crosses tenants.
        own = () if grant.check == grant.rows else (grant.check,)
        return conjunction((self.within, negation(self.denied), grant.rows, *own))

    @property
    def changing(self) -> tuple[Changing, ...]:
        """For each grant, what must hold of a document that is changed by it. Made once: conditions are compiled."""
        if self._changing is None:
            object.__setattr__(self, "_changing", tuple(self._changed_by(grant) for grant in self.grants))
        return cast("tuple[Changing, ...]", self._changing)

    def _changed_by(self, grant: Grant) -> Changing:
        free = negation(self.denied)
        return Changing(
            conjunction((self.within, free, grant.rows)),
            conjunction((self.within, grant.check)),
            conjunction((self.within, free, grant.check)),
        )

    @property
    def accepted_rows(self) -> Expression:
        """The rows that one rule both reaches and accepts by its `check`: what may be stored again unchanged."""
        allowed = either(tuple(conjunction((grant.rows, grant.check)) for grant in self.grants))
        return conjunction((self.within, allowed, negation(self.denied)))

    def lending(self, paths: Iterable[FieldPath]) -> Reach:
        """The reach of the grants that read every path raw: the only rows a request on those paths may see.

        Ask `Speaking.lends` first: whether any rule may lend is decided by policy text, not by this caller's claims.
        """
        wanted = tuple(paths)
        lenders = tuple(grant for grant in self.grants if all(grant.fields.reads_raw(path) for path in wanted))
        barred = tuple(hiding.when for hiding in self.hiding if any(touches(p, hiding.paths) for p in wanted))
        return replace(self, grants=lenders, denied=disjunction((self.denied, *barred)))

    def sees(self, document: Document) -> bool:
        return holds(self.rows, document)

    def speaks_for(self, document: Document) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Which grants hold on this document, and which hidings."""
        holding = tuple(holds(grant.rows, document) for grant in self.grants)
        return holding, tuple(verdict(hiding.when, document) is not False for hiding in self.hiding)

    def raw_in(self, document: Document) -> Callable[[FieldPath], bool]:
        """Of a path of this document, whether the whole value there is shown as it is."""
        holding, hides = self.speaks_for(document)
        hidden = [hiding.paths for hiding, holds_here in zip(self.hiding, hides, strict=True) if holds_here]
        rules = [grant.fields for grant, holds_here in zip(self.grants, holding, strict=True) if holds_here]
        return lambda path: (
            not any(touches(path, paths) for paths in hidden) and any(one.reads_raw(path) for one in rules)
        )

    def view_of(self, speaking: tuple[tuple[bool, ...], tuple[bool, ...]], mask_key: bytes) -> View:
        """What those grants show together. Ask only of a document that the caller sees."""
        rules = tuple(grant.fields for grant, holding in zip(self.grants, speaking[0], strict=True) if holding)
        hidden = (hiding.paths for hiding, hides in zip(self.hiding, speaking[1], strict=True) if hides)
        return View(rules, frozenset().union(*hidden), mask_key)

    def view(self, document: Document, mask_key: bytes) -> View:
        """What the grants that hold on this document show of it."""
        return self.view_of(self.speaks_for(document), mask_key)

    def uniform_view(self, mask_key: bytes) -> View | None:
        """The one view of every visible row, where it does not depend on the row; None where it does."""
        rules = {grant.fields for grant in self.grants}
        if len(rules) == 1 and all(hiding.when == ALWAYS for hiding in self.hiding):
            return View(tuple(rules), frozenset().union(*(hiding.paths for hiding in self.hiding)), mask_key)
        return None


@dataclass(frozen=True, slots=True)
class Lens:
    """Shows stored documents as the reach's caller may see them. `uniform` is the one view where rows do not matter.

    The `former` lenses are the same under keys of former secrets: their tags are still known, and nothing is shown
    through them.
    """

    reach: Reach
    mask_key: bytes = field(repr=False)
    uniform: View | None = None
    former: tuple[Lens, ...] = ()
    _views: dict[object, View] = field(default_factory=dict, compare=False, repr=False)

    def show(self, document: Document) -> Document:
        return (self.uniform or self._view(document)).reveal(document)

    def show_all(self, documents: Iterable[Document]) -> tuple[Document, ...]:
        if self.uniform is not None:
            return tuple(self.uniform.reveal_all(documents))
        return tuple([self.show(document) for document in documents])

    def show_own(self, rows: list[Document]) -> tuple[Document, ...]:
        """The same of rows that nobody else holds, now or later: they are changed."""
        return self.show_all(rows) if self.uniform is None else tuple(self.uniform.reveal_own(rows))

    def comparable(self, one: Document, other: Document) -> tuple[Document, Document]:
        """Of two states what both of them show raw: each is judged by the grants that hold on it."""
        views = [(self.uniform or self._view(state)).raw() for state in (one, other)]
        return views[1].reveal(views[0].reveal(one)), views[1].reveal(views[0].reveal(other))

    def tag(self, shown: Document) -> str:
        """The entity tag of what this lens shows of a document."""
        return tag_of(shown, self.mask_key)

    def tag_of_json(self, shown: bytes) -> str:
        """The same of what is written already."""
        return tag_of_json(shown, self.mask_key)

    def is_known(self, stored: Document, wanted: Tags) -> bool:
        """Whether what this lens shows of the document is among what was last seen (`If-Match`)."""
        return any(wanted.has_strong(one.tag(one.show(stored))) for one in (self, *self.former))

    def _view(self, document: Document) -> View:
        """Rows on which the same rules speak share one view, and what it remembers."""
        speaking = self.reach.speaks_for(document)
        known = self._views.get(speaking)
        if known is None:
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            known = self._views[speaking] = self.reach.view_of(speaking, self.mask_key)
        return known


@dataclass(frozen=True, slots=True)
class Speaking:
    """The rules that speak for a set of roles by one action; nothing bound yet."""

    allows: tuple[Rule, ...]
    denies: tuple[Rule, ...]
    hides: tuple[Rule, ...]

    @property
    def is_void(self) -> bool:
        """Whether roles and policy text alone decide that nothing is allowed."""
        return not self.allows or any(rule.when == ALWAYS for rule in self.denies)

    def lends(self, paths: Iterable[FieldPath]) -> bool:
        """Whether some rule reads every path raw and none hides one of them from every row: by policy text alone."""
        wanted = tuple(paths)
        hidden = [rule.hidden for rule in self.hides if rule.when == ALWAYS]
        return not any(touches(path, paths_) for path in wanted for paths_ in hidden) and any(
            all(rule.fields.reads_raw(path) for path in wanted) for rule in self.allows
        )

    @property
    def depends_on_request(self) -> bool:
        """Whether a rule reads the clock or the request, so that it must be bound anew each time."""
        rules = (*self.allows, *self.denies, *self.hides)
        stamps = [value for rule in rules for _, value in rule.stamps if isinstance(value, Path)]
        return any(path.root in ("request", "now") for path in (*_read_by(rules), *stamps))

    @property
    def relations(self) -> frozenset[str]:
        """The relations of the hierarchy that a rule reads."""
        return relations_in((*self.allows, *self.denies, *self.hides))

    def reach(self, bindings: Bindings, within: Expression, crossing: frozenset[str] = frozenset()) -> Reach:
        """`within` bounds the rules of every role that is not among the `crossing` ones."""
        crosses = any(rule.role in crossing for rule in self.allows)
        return Reach(
            ALWAYS if crosses else within,
            tuple(_grant(rule, bindings, ALWAYS if rule.role in crossing else within) for rule in self.allows),
            disjunction(tuple(bind(rule.when, bindings) for rule in self.denies)),
            tuple(Hiding(bind(rule.when, bindings), rule.hidden) for rule in self.hides),
        )


def _read_by(rules: Iterable[Rule]) -> Iterator[Path]:
    return (path for rule in rules for tree in _trees(rule) for path in paths_of(tree))


def _trees(rule: Rule) -> tuple[Expression, ...]:
    return (rule.when,) if rule.check is None else (rule.when, rule.check)


def relations_in(rules: Iterable[Rule]) -> frozenset[str]:
    """The relations of the hierarchy that these rules read, such as `$subordinates`."""
    read = (path for path in _read_by(rules) if path.root == "user")
    return frozenset(path.segments[0] for path in read if path.segments[0] in RELATIONS)


def _grant(rule: Rule, bindings: Bindings, within: Expression) -> Grant:
    rows = conjunction((within, bind(rule.when, bindings)))
    check = rows if rule.check is None else conjunction((within, bind(rule.check, bindings)))
    stamps = tuple(
        (name, bindings.lookup(value) if isinstance(value, Path) else value.value) for name, value in rule.stamps
    )
    return Grant(rule.id, rows, rule.fields, check, stamps)


class Policy:
    """One loaded policy: its rules, its roles, the engine, and the plans made so far. Immutable but for that memory."""

    def __init__(self, rules: Iterable[Rule], roles: Mapping[str, Role]) -> None:
        self.rules: Mapping[RuleId, Rule] = {rule.id: rule for rule in rules}
        self.roles: dict[str, Role] = dict(roles)
        self.engine = RoleEngine(self.rules.values(), {role.name: role.inherits for role in roles.values()})
        self.relations = relations_in(self.rules.values())
        self.speaking = lru_cache(maxsize=_MOST_PLANS)(self._speaking)
        self.crossing = lru_cache(maxsize=_MOST_PLANS)(self._crossing)
        self.judging = lru_cache(maxsize=_MOST_PLANS)(self._judging)

    def _speaking(self, roles: frozenset[str], collection: str, action: Action) -> Speaking:
        """Casbin's answer for the roles, remembered under the very tuple that was asked."""
        found = [self.rules[rule_id] for rule_id in self.engine.speaking(roles, collection, action)]
        return Speaking(
            tuple(rule for rule in found if rule.effect == "allow"),
            tuple(rule for rule in found if rule.effect == "deny"),
            tuple(self.rules[rule_id] for rule_id in self.engine.hiding(roles, collection, action)),
        )

    def _crossing(self, roles: frozenset[str]) -> frozenset[str]:
        """The roles whose rules reach past the tenant: the caller's own cross-tenant ones and what those inherit.

        The caller's other roles stay within: a right to cross belongs to its rules, as fields belong to theirs.
        """
        return self.engine.roles_of(role for role in roles if role in self.roles and self.roles[role].cross_tenant)

    def _judging(self, roles: frozenset[str], collection: str) -> dict[RuleId, frozenset[FieldPath]]:
        """For each allow rule that speaks for the roles: the paths its role is judged by in this collection.

        They are those that a `when` of the rule's own role reads, by any action, or a deny that speaks for the caller.
        """
        speaking = [self.speaking(roles, collection, action) for action in ACTIONS]
        denying = [rule for one in speaking for rule in (*one.denies, *one.hides)]
        of_role: dict[str, list[Rule]] = {}
        for rule in self.rules.values():
            if rule.collection == collection and rule.effect == "allow":
                of_role.setdefault(rule.role, []).append(rule)
        return {
            rule.id: frozenset(
                canonical(path.dotted)
                for judging in (*of_role[rule.role], *denying)
                for path in paths_of(judging.when)
                if path.root == "resource"
            )
            for one in speaking
            for rule in one.allows
        }

    def has_system_right(self, roles: frozenset[str], right: str) -> bool:
        """Whether one of these roles names the right itself: it is not inherited."""
        return any(right in self.roles[role].system for role in roles if role in self.roles)

    def is_cross_tenant(self, roles: frozenset[str]) -> bool:
        """Whether one of the caller's own roles, inherited ones not counted, reaches past its tenant."""
        return bool(self.crossing(roles))
