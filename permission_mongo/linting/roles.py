"""Roles, templates and collections that nobody uses, and what reaches past a tenant."""

from __future__ import annotations

from collections.abc import Iterator

from permission_mongo.config.yaml import Map, Mark, Node, Scalar, Sequence
from permission_mongo.linting.subject import Subject, Told
from permission_mongo.policy.rules import Action
from permission_mongo.schema.model import Collection


def unmentioned_role(subject: Subject) -> Iterator[Told]:
    inherited = {parent for role in subject.roles.values() for parent in role.inherits}
    ruled = {role for _, role in subject.by_role}
    for name, role in subject.roles.items():
        if name not in ruled | inherited and not (role.inherits or role.system):
            yield Told(subject.mark("policy", "roles", name), f"no rule speaks for the role '{name}': it gives nothing")


def cross_tenant(subject: Subject) -> Iterator[Told]:
    for name, role in subject.roles.items():
        if role.cross_tenant:
            lines = [one for one in subject.line_of[name] if one != name]
            inherited = f", and by what it inherits from {', '.join(lines)}" if lines else ""
            message = f"'{name}' reaches past the tenant by its own rules{inherited}"
            yield Told(subject.mark("policy", "roles", name, "cross_tenant"), message)


def unused_template(subject: Subject) -> Iterator[Told]:
    used = {name for section in subject.entries("policy", "policies").values() for name in _texts(section, "use")}
    for name in subject.entries("policy", "templates"):
        if name not in used:
            yield Told(subject.mark("policy", "templates", name), f"no collection uses the template '{name}'")


def _texts(section: Node, key: str) -> Iterator[str]:
    node = section.entries.get(key) if isinstance(section, Map) else None
    for one in node.items if isinstance(node, Sequence) else (node,):
        if isinstance(one, Scalar):
            yield str(one.value)


def unread_collection(subject: Subject) -> Iterator[Told]:
    for collection in subject.collections.values():
        if "read" not in _given(subject, collection):
            message = f"no role may read '{collection.name}'"
            yield Told(_mark_of(subject, collection), message)


def unused_action(subject: Subject) -> Iterator[Told]:
    wanted: tuple[Action, ...] = ("create", "update", "delete")
    for collection in subject.collections.values():
        given = _given(subject, collection)
        missing = [one for one in (*wanted, *(("restore",) if collection.versioned else ())) if one not in given]
        if given and missing:
            message = f"no role may {', '.join(missing)} in '{collection.name}'"
            yield Told(_mark_of(subject, collection), message)


def _given(subject: Subject, collection: Collection) -> set[Action]:
    rules = (rule for role in subject.roles for rule in subject.by_role.get((collection.name, role), ()))
    return {action for rule in rules if rule.effect == "allow" for action in rule.actions}


def _mark_of(subject: Subject, collection: Collection) -> Mark:
    """Where its rules stand, else where it is declared."""
    if collection.name in subject.entries("policy", "policies"):
        return subject.mark("policy", "policies", collection.name)
    return subject.mark("schema", "collections", collection.name)
