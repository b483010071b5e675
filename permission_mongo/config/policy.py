"""policy.yml: roles, templates and the rules of each collection, checked against the schema."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from permission_mongo.config.section import Section, suggestion
from permission_mongo.config.yaml import Mark, Scalar
from permission_mongo.documents.fields import MASK_KINDS, FieldRules, MaskKind
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import canonical
from permission_mongo.errors import Finding
from permission_mongo.policy.binding import typed
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.nodes import (
    ALWAYS,
    UNKNOWN,
    Compare,
    Expression,
    Path,
    RuleError,
    Value,
    paths_of,
)
from permission_mongo.policy.parser import parse
from permission_mongo.policy.roles import inheritance_faults
from permission_mongo.policy.rules import ACTIONS, EVERY_ACTION, Action, Place, Role, Rule
from permission_mongo.schema.model import Collection

_LOOKS_LIKE_PATH = re.compile(r"now$|[A-Za-z_]+\.[A-Za-z_$]")
SYSTEM_RIGHTS = ("explain", "audit", "admin", "policy_write")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """What policy.yml says."""

    rules: tuple[Rule, ...]
    roles: Mapping[str, Role]


def read_policy(root: Section, collections: Mapping[str, Collection]) -> PolicyText:
    root.text("version")
    roles = _roles(root.section("roles"))
    templates = dict(root.section("templates").sections())
    rules: list[Rule] = []
    has_hierarchy = any(one.hierarchy is not None for one in collections.values())
    used: set[str] = set()
    policies = root.section("policies")
    for name, section in policies.sections():
        used.update(template for template, _ in section.texts("use"))
        if name in collections:
            rules += _rules(collections[name], section, roles, templates, has_hierarchy=has_hierarchy)
            continue
        message = f"unknown collection '{name}'{suggestion(name, collections)}"
        root.findings.append(policies.node.keys[name].finding(message, code="unknown-collection"))
        # Its other mistakes are told all the same.
        list(_rules(open_collection(name), section, roles, templates, has_hierarchy=has_hierarchy))
    for name in templates.keys() - used:
        list(_rules_of(templates[name], open_collection(name), roles, ""))
    rules += _default_denials(root.section("defaults"), roles, collections)
    root.done()
    _check_pairs(rules, roles, root.findings)
    return PolicyText(tuple(rules), roles)


def open_collection(name: str) -> Collection:
    """One of which nothing is known: a rule of it is looked at for what is wrong whatever its fields are."""
    return Collection(name, keeps_additional=True)


def _roles(section: Section) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for name, one in section.sections():
        one.text("description")
        for text, mark in one.texts("system"):
            if text not in SYSTEM_RIGHTS:
                message = f"unknown right '{text}'{suggestion(text, SYSTEM_RIGHTS)}"
                one.findings.append(mark.finding(message, code="not-one-of"))
        for parent, mark in one.texts("inherits"):
            if parent not in section.node.entries:
                known = suggestion(parent, section.node.entries)
                one.findings.append(mark.finding(f"unknown role '{parent}'{known}", code="unknown-role"))
        roles[name] = Role(
            name,
            tuple(parent for parent, _ in one.texts("inherits")),
            one.boolean("cross_tenant", False),
            frozenset(text for text, _ in one.texts("system")),
        )
        one.done()
        if not name.replace("_", "").replace("-", "").isalnum():
            one.findings.append(
                section.node.keys[name].finding(f"the role name '{name}' has letters, digits, _ and - only")
            )
    for name, fault in inheritance_faults({role.name: role.inherits for role in roles.values()}).items():
        if name in roles:
            section.findings.append(section.node.keys[name].finding(f"role '{name}' {fault}", code="role-cycle"))
    return roles


def _rules(
    collection: Collection,
    section: Section,
    roles: Mapping[str, Role],
    templates: Mapping[str, Section],
    *,
    has_hierarchy: bool,
) -> Iterator[Rule]:
    sources = [(section, "")]
    for name, mark in section.texts("use"):
        if name in templates:
            sources.append((templates[name], f"{name}:"))
        else:
            message = f"unknown template '{name}'{suggestion(name, templates)}"
            section.findings.append(mark.finding(message, code="unknown-template"))
    for source, prefix in sources:
        yield from _rules_of(source, collection, roles, prefix, has_hierarchy=has_hierarchy)


def _rules_of(
    source: Section, collection: Collection, roles: Mapping[str, Role], prefix: str, *, has_hierarchy: bool = True
) -> Iterator[Rule]:
    for role, mark in source.node.keys.items():
        if role == "use":
            continue
        if role not in roles:
            message = f"unknown role '{role}'{suggestion(role, roles)}"
            source.findings.append(mark.finding(message, code="unknown-role"))
        for n, one in enumerate(source.list_of_sections(role)):
            reader = _RuleReader(one, collection, has_hierarchy=has_hierarchy)
            yield reader.rule(f"{collection.name}/{prefix}{role}/{n}", role)


class _RuleReader:
    """One rule of one collection."""

    def __init__(self, section: Section, collection: Collection, *, has_hierarchy: bool) -> None:
        self._section = section
        self._collection = collection
        self._has_hierarchy = has_hierarchy

    def rule(self, rule_id: str, role: str) -> Rule:
        section = self._section
        effect = section.choice("effect", "allow", ["allow", "deny"])
        mark = section.node.mark
        when = self._expression("when") or ALWAYS
        rule = Rule(
            rule_id,
            role,
            self._collection.name,
            self._actions(),
            "deny" if effect == "deny" else "allow",
            when,
            place=Place(mark.file, mark.line, mark.column),
        )
        if rule.effect == "deny":
            for key in ("check", "set"):
                if section.has(key):
                    section.wrong(key, f"a deny rule has no '{key}'")
            rule = replace(rule, hidden=frozenset(self._paths(section, "fields")))
        else:
            rule = replace(rule, check=self._expression("check"), fields=self._fields(), stamps=self._stamps())
            if rule.fields.reassign and rule.check is None:
                # By its `when` alone a rule would let a document be moved to anywhere that the rule reaches.
                fields = section.section("fields")
                fields.wrong("reassign", "'reassign' needs a 'check': what the document must be afterwards")
        section.done(["check", "set", "fields"])
        return rule

    def _actions(self) -> tuple[Action, ...]:
        found: list[Action] = []
        for text, mark in self._section.texts("actions"):
            named = EVERY_ACTION if text == "*" else tuple(action for action in ACTIONS if action == text)
            if not named:
                known = suggestion(text, ACTIONS) or f"; known: {', '.join(ACTIONS)}, *"
                self._section.findings.append(mark.finding(f"unknown action '{text}'{known}", code="unknown-action"))
            found += [action for action in named if action not in found]
        if not self._section.has("actions") and not suggestion("actions", self._section.node.entries):
            self._section.wrong("actions", "a rule names its actions, such as `actions: [read]`")
        return tuple(found)

    def _expression(self, key: str) -> Expression | None:
        text = self._section.optional_text(key)
        if text is None:
            return None
        code = "bad-expression"
        try:
            written = parse(text)
            code = "type-clash"
            for path in paths_of(written):
                self._check_path(key, path)
            return typed(written, self._collection.kind_of)
        except RuleError as error:
            self._section.findings.append(self._place(key, error.offset).finding(str(error), code=code))
            return UNKNOWN

    def _check_path(self, key: str, path: Path) -> None:
        fault, code = None, "unknown-field"
        if path.root == "resource" and not self._collection.knows(path.dotted):
            near = suggestion(path.segments[0], [*self._collection.fields, "_id"])
            fault = f"'{self._collection.name}' has no field '{path.dotted}'{near}"
        elif path.root == "resource" and self._collection.is_computed(path.dotted):
            fault, code = f"'{path.dotted}' is computed; a condition names the fields it is made of", "bad-expression"
        elif path.root == "user" and path.segments[0] in RELATIONS and not self._has_hierarchy:
            fault = f"'user.{path.segments[0]}' needs a hierarchy: declare one on the collection of users"
            code = "no-hierarchy"
        if fault is not None:
            self._section.findings.append(self._place(key, path.offset).finding(fault, code=code))

    def _place(self, key: str, offset: int) -> Mark:
        """The place of a sign of an expression."""
        node = self._section.node.entries[key]
        return node.at(offset) if isinstance(node, Scalar) else node.mark

    def _fields(self) -> FieldRules:
        section = self._section.section("fields")
        allowed = self._paths(section, "allow")
        masks = section.section("mask")
        fields = FieldRules(
            None if not allowed or () in allowed else frozenset(allowed),
            frozenset(self._paths(section, "deny")),
            frozenset(self._paths(section, "deny_write")),
            tuple(
                (path, _mask(masks, name))
                for name in masks.node.entries
                for path in self._known_path(name, masks.node.keys[name])
            ),
            frozenset(self._paths(section, "reassign")),
        )
        section.done()
        return fields

    def _paths(self, section: Section, key: str) -> list[FieldPath]:
        found = section.texts(key)
        if section.has(key) and not found:
            section.wrong(key, f"'{key}' names at least one field; leave it out if it is to say nothing")
        return [path for text, mark in found for path in self._known_path(text, mark)]

    def _known_path(self, text: str, mark: Mark) -> list[FieldPath]:
        if text == "*":
            return [()]
        if canonical(text) != tuple(text.split(".")):
            self._section.findings.append(mark.finding(f"'{text}': a field's path has no positions and no '$'"))
            return []
        if not self._collection.knows(text):
            near = suggestion(text, self._collection.fields)
            message = f"'{self._collection.name}' has no field '{text}'{near}"
            self._section.findings.append(mark.finding(message, code="unknown-field"))
            return []
        return [canonical(text)]

    def _stamps(self) -> tuple[tuple[str, Path | Value], ...]:
        section = self._section.section("set")
        stamps: list[tuple[str, Path | Value]] = []
        for name in section.node.entries:
            if "." in name:
                section.wrong(name, f"'{name}': a stamp names a top-level field")
            if self._collection.is_computed(name):
                section.wrong(name, f"'{name}' is computed, and so can't be set")
            if name in self._collection.blobs:
                section.wrong(name, f"'{name}' is a blob, which is put by its own route, and so can't be set")
            value = self._stamp(section, name)
            if value is not None and self._known_path(name, section.node.keys[name]):
                stamps.append((name, value))
        return tuple(stamps)

    def _stamp(self, section: Section, name: str) -> Path | Value | None:
        node = section.raw(name)
        if not isinstance(node, Scalar):
            section.wrong(name, "a stamp is a value, 'now' or a path such as user.id")
            return None
        text = node.value.strip().removeprefix("$") if isinstance(node.value, str) else ""
        if not _LOOKS_LIKE_PATH.match(text):
            return Value(node.value)
        try:
            # `x == value` is the smallest text in which a value stands.
            expression = parse(f"doc.x == {node.value}")  # the text as written: ' $user.id' is refused
            found = expression.right if isinstance(expression, Compare) else None
            if isinstance(found, Path) and found.root == "user" and found.segments[0] in RELATIONS:
                section.wrong(name, f"'user.{found.segments[0]}' is a list of people; a stamp is one value")
                return None
            return found if isinstance(found, Path) else None
        except RuleError as error:
            section.wrong(name, str(error), code="bad-expression")
            return None


def _mask(masks: Section, name: str) -> MaskKind:
    chosen = masks.choice(name, "redact", MASK_KINDS)
    return next(kind for kind in MASK_KINDS if kind == chosen)


def _default_denials(section: Section, roles: Mapping[str, Role], collections: Mapping[str, Collection]) -> list[Rule]:
    """`defaults.deny_fields`: hidden from every role, in each collection that has the field."""
    rules: list[Rule] = []
    for n, (text, mark) in enumerate(section.texts("deny_fields")):
        holders = [collection for collection in collections.values() if collection.knows(text)]
        if not holders:
            known = suggestion(text, {name for collection in collections.values() for name in collection.fields})
            section.findings.append(mark.finding(f"no collection has a field '{text}'{known}", code="unknown-field"))
        rules += [
            Rule(
                f"{collection.name}/defaults:{role}/{n}",
                role,
                collection.name,
                ACTIONS,
                "deny",
                hidden=frozenset({canonical(text)}),
                place=Place(mark.file, mark.line, mark.column),
            )
            for collection in holders
            for role in roles
        ]
    section.done()
    return rules


def _check_pairs(rules: list[Rule], roles: Mapping[str, Role], findings: list[Finding]) -> None:
    """What two rules of one caller can't both mean: a denial that the other voids, two stamps for one field."""
    allows: defaultdict[tuple[str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        if rule.effect == "allow":
            allows[rule.collection, rule.role].append(rule)
    for rule in rules:
        if rule.effect == "deny" or not (rule.fields.deny or rule.stamps):
            continue
        for role in sorted({rule.role} | _ancestors(rule.role, roles)):
            for other in allows[rule.collection, role]:
                shared = set(rule.actions) & set(other.actions)
                if other is rule or not shared:
                    continue
                if "read" in shared and other.role != rule.role:
                    findings += _void_denials(rule, other)
                findings += _two_stamps(rule, other)


def _ancestors(role: str, roles: Mapping[str, Role], seen: frozenset[str] = frozenset()) -> frozenset[str]:
    for parent in roles[role].inherits if role in roles else ():
        if parent not in seen:
            seen = _ancestors(parent, roles, seen | {parent})
    return seen


def _void_denials(rule: Rule, other: Rule) -> list[Finding]:
    void = sorted(".".join(path) for path in rule.fields.deny if other.fields.reads_raw(path))
    message = (
        f"'fields.deny' of {', '.join(void)} is void: the rule at {other.place}, which '{rule.role}' inherits from "
        f"'{other.role}', gives it; use a deny rule with `fields`"
    )
    return [_at(rule, message, code="void-deny")] if void else []


def _two_stamps(rule: Rule, other: Rule) -> list[Finding]:
    stamps = dict(other.stamps)
    clashing = sorted(name for name, value in rule.stamps if name in stamps and stamps[name] != value)
    message = f"'set' of {', '.join(clashing)} has another value in the rule at {other.place}, which speaks as well"
    return [_at(rule, message, code="two-stamps")] if clashing else []


def _at(rule: Rule, message: str, *, code: str) -> Finding:
    return Finding(rule.place.file, rule.place.line, rule.place.column, message, code=code)
