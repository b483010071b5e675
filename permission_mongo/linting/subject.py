"""What is looked at: a loaded configuration with the places of its parts, and what its schema makes sure of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from permission_mongo.config.load import Loaded
from permission_mongo.config.yaml import Map, Mark, Node, Scalar, Sequence
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import any_above
from permission_mongo.policy.facts import UNEQUAL, Among, Claim, Facts, Given, Place, Present, Relation
from permission_mongo.policy.implication import Formula, follows, formula_of, ways_of
from permission_mongo.policy.nodes import Expression, Path, Value, paths_of
from permission_mongo.policy.rules import Rule
from permission_mongo.schema.model import Collection, Field
from permission_mongo.values import SCALAR_TYPES


@dataclass(frozen=True, slots=True)
class Told:
    """What a lint has found, before it is given its code. `proposal` is to be put there as it stands."""

    mark: Mark
    message: str
    proposal: str = ""


class Subject:
    """A configuration that loads."""

    def __init__(self, loaded: Loaded) -> None:
        self.config = loaded.config
        self.rules = tuple(loaded.config.policy.rules.values())
        self.collections = loaded.config.collections
        self.roles = loaded.config.policy.roles
        self._trees = loaded.trees
        self._given: dict[str, Given] = {}
        self._ways: dict[str, tuple[Facts, ...] | None] = {}
        self._wanted: dict[str, Formula] = {}

    # -- places

    def mark(self, kind: str, *way: str | int) -> Mark:
        """The place of a part of a file: of its key where it has one; of the last part that is there on the way."""
        node: Node = self._trees[kind]
        mark = node.mark
        for step in way:
            if isinstance(node, Map) and isinstance(step, str) and step in node.entries:
                mark, node = node.keys[step], node.entries[step]
            elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                mark = node.mark
        return mark

    def node(self, kind: str, *way: str | int) -> Node | None:
        """A part of a file; None where it is not there."""
        node: Node | None = self._trees[kind]
        for step in way:
            if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                node = node.entries.get(step) if isinstance(node, Map) and isinstance(step, str) else None
        return node

    def entries(self, kind: str, *way: str) -> Mapping[str, Node]:
        """What stands under a key, where that is keys and values; nothing else."""
        node = self.node(kind, *way)
        return node.entries if isinstance(node, Map) else {}

    @cached_property
    def _rule_nodes(self) -> Mapping[tuple[int, int], Map]:
        return {(node.mark.line, node.mark.column): node for node in _maps_in(self._trees["policy"])}

    def part(self, rule: Rule, *way: str) -> Mark:
        """The place of a part of a rule, of its value where it has one; else that of the rule."""
        place = rule.place
        node: Node | None = self._rule_nodes.get((place.line, place.column))
        mark = Mark(place.file, place.line, place.column)
        for step in way:
            node = node.entries.get(step) if isinstance(node, Map) else None
            mark = node.mark if node is not None else mark
        return mark

    def sign(self, rule: Rule, key: str, path: Path) -> Mark:
        """The place of a path in one of the rule's expressions."""
        node = self._rule_nodes.get((rule.place.line, rule.place.column))
        text = node.entries.get(key) if node is not None else None
        return text.at(path.offset) if isinstance(text, Scalar) else self.part(rule, key)

    def says(self, rule: Rule, key: str) -> bool:
        node = self._rule_nodes.get((rule.place.line, rule.place.column))
        return node is not None and key in node.entries

    # -- rules

    @cached_property
    def by_role(self) -> Mapping[tuple[str, str], tuple[Rule, ...]]:
        """The rules of each collection and role, in the order written."""
        found: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.rules:
            found.setdefault((rule.collection, rule.role), []).append(rule)
        return {key: tuple(rules) for key, rules in found.items()}

    @cached_property
    def line_of(self) -> Mapping[str, tuple[str, ...]]:
        """Each role with all that it inherits, itself first."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.roles:
            line, waiting = [], [name]
            while waiting:
                role = waiting.pop(0)
                if role not in line and role in self.roles:
                    line.append(role)
                    waiting += self.roles[role].inherits
            found[name] = tuple(line)
        return found

    def speaking(self, collection: str, role: str) -> Iterator[Rule]:
        """The rules that speak in a collection for a role, inherited ones included."""
        for one in self.line_of.get(role, (role,)):
            yield from self.by_role.get((collection, one), ())

    def implies(self, rule: Rule, other: Rule) -> bool:
        """Whether the rows of `rule` are among those of `other`, for certain."""
        if rule.id not in self._ways:
            self._ways[rule.id] = ways_of(rule.when)
        if other.id not in self._wanted:
            self._wanted[other.id] = formula_of(other.when, True)
        return follows(self._ways[rule.id], self._wanted[other.id])

    # -- what the schema makes sure of

    def given(self, collection: Collection) -> Given:
        """What schema.yml says of a plain value, for documents that fit it."""
        if collection.name not in self._given:
            self._given[collection.name] = lambda place, ordered: tuple(_given(collection, place, ordered=ordered))
        return self._given[collection.name]

    def known(self, collection: Collection) -> tuple[Claim, ...]:
        """What schema.yml says of every document that fits it."""
        claims: list[Claim] = []
        for name, one in collection.fields.items():
            if one.required and one.type in SCALAR_TYPES:
                place: Place = ("resource", (name,))
                claims += [Present(place), Relation(place, Value(None), UNEQUAL)]
        return tuple(claims)


def _given(collection: Collection, place: Place, *, ordered: bool) -> Iterable[Claim]:
    root, segments = place
    one = collection.declared(segments) if root == "resource" else None
    if one is None:
        return
    if one.enum is not None:
        yield Among(place, (*map(Value, one.enum), *(() if one.required else (Value(None),))))
    if ordered or one.required:
        if one.min is not None:
            yield Relation(place, Value(one.min), frozenset({"eq", "gt"}))
        if one.max is not None:
            yield Relation(place, Value(one.max), frozenset({"eq", "lt"}))


def _maps_in(node: Node) -> Iterator[Map]:
    if isinstance(node, Map):
        yield node
    below = node.entries.values() if isinstance(node, Map) else node.items if isinstance(node, Sequence) else ()
    for one in below:
        yield from _maps_in(one)


def document_paths(expression: Expression) -> tuple[Path, ...]:
    """The paths of the document that an expression reads, each once, in the order written."""
    found = {path.segments: path for path in reversed(tuple(paths_of(expression))) if path.root == "resource"}
    return tuple(reversed(found.values()))


def missing_parts(collection: Collection, segments: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The parts of a path that a document may lack, the path itself among them."""
    if segments[0] in ("_id", "_version") or segments == (collection.tenant_field,):
        return
    for n in range(1, len(segments) + 1):
        one: Field | None = collection.declared(segments[:n])
        if one is None or not one.required:
            yield segments[:n]


def fields_within(one: FieldRules, other: FieldRules, *, writing: bool) -> bool:
    """Whether all that `one` shows is shown by `other` too, and, if `writing`, all that it lets be written."""
    if other.allow is not None and (one.allow is None or not all(any_above(path, other.allow) for path in one.allow)):
        return False
    shown = not any(_reaches(one, path) for path in other.deny)
    masked = all(one.mask_at(path) == kind or not _reaches(one, path) for path, kind in other.mask)
    if not shown or not masked or not writing:
        return shown and masked
    written = all(any_above(path, one.deny_write) or not _reaches(one, path) for path in other.deny_write)
    return written and all(any_above(path, other.reassign) for path in one.reassign)


def _reaches(fields: FieldRules, path: FieldPath) -> bool:
    """Whether something at the path or below it is shown."""
    return not any_above(path, fields.deny) and (fields.covers(path) or fields.covers_below(path))


def is_default(rule: Rule) -> bool:
    """Whether the rule was written once, for every role and collection, as `defaults.deny_fields`."""
    return rule.id.startswith(f"{rule.collection}/defaults:")
