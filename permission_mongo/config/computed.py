"""`computed` of a field: compiled once all fields are known, and hidden by every rule that hides what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from permission_mongo.config.section import Section, plain, suggestion
from permission_mongo.config.yaml import Map, Node, Sequence
from permission_mongo.documents.paths import Path, touches
from permission_mongo.policy.rules import Rule
from permission_mongo.schema.computed import MOST_COMPUTED, Computed, ComputedError, compile_computed
from permission_mongo.schema.model import Collection


def with_computed(collection: Collection, section: Section) -> Collection:
    """The collection with its computed fields; `section` is its `fields`."""
    names = [
        name for name, node in section.node.entries.items() if isinstance(node, Map) and "computed" in node.entries
    ]
    if not names:
        return collection
    if len(names) > MOST_COMPUTED:
        section.wrong(names[MOST_COMPUTED], f"more than {MOST_COMPUTED} computed fields")

    def fault_of(dotted: str) -> str | None:
        if dotted.split(".")[0] in names:
            return f"'{dotted}' is itself computed; write its expression out here"
        if not collection.knows(dotted):
            return f"'{collection.name}' has no field '{dotted}'{suggestion(dotted, collection.fields)}"
        if collection.is_vector(dotted):
            return f"'{dotted}' is a vector, and nothing is computed of one"
        return None

    fields = dict(collection.fields)
    for name in names:
        if name in (collection.tenant_field, collection.owner_field) or fields[name].auto:
            section.wrong(name, f"'{name}' is written by the gateway, and so can't be computed")
        node = section.section(name).raw("computed")
        computed = None if node is None else _compiled(node, section, fault_of)
        fields[name] = replace(fields[name], computed=computed or Computed(None, frozenset()))
    return replace(collection, fields=fields)


def _compiled(node: Node, section: Section, fault_of: Callable[[str], str | None]) -> Computed | None:
    try:
        return compile_computed(plain(node), fault_of)
    except ComputedError as error:
        section.findings.append(_at(node, error.place).mark.finding(f"'computed': {error}", code="bad-expression"))
        return None


def _at(node: Node, place: Iterable[str | int]) -> Node:
    """The part of the tree at a place, or the last that is there on the way."""
    for step in place:
        if isinstance(node, Map) and isinstance(step, str) and step in node.entries:
            node = node.entries[step]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node


def shade_computed(rules: Iterable[Rule], collections: Mapping[str, Collection]) -> tuple[Rule, ...]:
    """Each rule, with the computed fields hidden that read what it does not show raw: they would tell of it."""
    return tuple(_shaded(rule, collections[rule.collection]) for rule in rules)


def _shaded(rule: Rule, collection: Collection) -> Rule:
    inputs: dict[Path, frozenset[Path]] = {
        (name,): one.computed.inputs for name, one in collection.fields.items() if one.computed is not None
    }
    if not inputs:
        return rule
    if rule.hidden:
        return replace(rule, hidden=rule.hidden | _touched(inputs, rule.hidden))
    hidden = {path for path, read in inputs.items() if not all(rule.fields.reads_raw(one) for one in read)}
    return replace(rule, fields=replace(rule.fields, deny=rule.fields.deny | hidden)) if hidden else rule


def _touched(inputs: Mapping[Path, frozenset[Path]], hidden: frozenset[Path]) -> frozenset[Path]:
    return frozenset(path for path, read in inputs.items() if any(touches(one, hidden) for one in read))
