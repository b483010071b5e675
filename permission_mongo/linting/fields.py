"""Fields that are shown, masked or written otherwise than their rule reads like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import any_above, canonical, touches
from permission_mongo.linting.subject import Subject, Told, document_paths, fields_within
from permission_mongo.policy.implication import implies
from permission_mongo.policy.nodes import Expression
from permission_mongo.policy.rules import Rule
from permission_mongo.schema.model import Collection

_MOST_RULES: Final = 30
_OF_TEXT: Final = ("email", "phone", "partial", "last4")


def mask_on_denied(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        for path, _ in rule.fields.mask:
            name = ".".join(path)
            if any_above(path, rule.fields.deny):
                message = f"'{name}' is denied by this rule as well: it is hidden, and the mask does nothing"
            elif not (rule.fields.covers(path) or rule.fields.covers_below(path)):
                message = f"'{name}' is not among the fields that this rule allows: the mask does nothing"
            else:
                continue
            yield Told(subject.part(rule, "fields", "mask", name), message)


def idle_mask(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        for path, kind in rule.fields.mask:
            one = subject.collections[rule.collection].declared(path)
            if kind in _OF_TEXT and one is not None and one.type not in ("string", "any", "array"):
                name = ".".join(path)
                message = (
                    f"'{kind}' masks texts; '{name}' is of type {one.type}, and shows as '***': say redact or hash"
                )
                yield Told(subject.part(rule, "fields", "mask", name), message)


# -- fields that a caller is judged by


def judged_field_writable(subject: Subject) -> Iterator[Told]:
    yield from _reassigned(subject)
    told: set[tuple[str, str, FieldPath]] = set()
    for collection in subject.collections.values():
        for role in subject.roles:
            rules = [rule for rule in subject.speaking(collection.name, role) if rule.effect == "allow"]
            # Each pair is held against each third rule: of many rules that takes longer than anybody waits.
            writers = [rule for rule in rules if "update" in rule.actions] if len(rules) <= _MOST_RULES else []
            for judged in rules if writers and len({rule.role for rule in rules}) > 1 else ():
                for writer, path in _ways_into(judged, writers, rules, subject):
                    if (writer.id, judged.id, path) not in told:
                        told.add((writer.id, judged.id, path))
                        yield Told(subject.part(judged, "when"), _told_of(role, writer, judged, path))


def _told_of(role: str, writer: Rule, judged: Rule, path: FieldPath) -> str:
    return (
        f"the rule at {writer.place} lets '{role}' write '{'.'.join(path)}', by which this rule chooses its rows: what "
        f"is brought there is within the reach of '{judged.role}', who may do more with it; `deny_write` it there"
    )


def _reassigned(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        for path in sorted(rule.fields.reassign):
            own = subject.by_role[rule.collection, rule.role]
            judged = any(touches(path, _paths(one.when)) for one in own)
            if judged and rule.check is not None and not touches(path, _paths(rule.check)):
                message = (
                    f"'{rule.role}' is judged by '{'.'.join(path)}' and may reassign it to anything: 'check' does not "
                    "speak of it"
                )
                yield Told(subject.part(rule, "fields", "reassign"), message)


def _ways_into(
    judged: Rule, writers: list[Rule], rules: list[Rule], subject: Subject
) -> Iterator[tuple[Rule, FieldPath]]:
    """The rules of other roles that write a field by which this one chooses, where it gives what they don't."""
    for path in sorted(_paths(judged.when)):
        for writer in writers:
            if writer.role == judged.role or not _writes(subject, writer, path):
                continue
            same_rows = [one for one in rules if one is writer or implies(writer.when, one.when)]
            if not _is_given(judged, [one for one in same_rows if one is not judged]):
                yield writer, path


def _writes(subject: Subject, rule: Rule, path: FieldPath) -> bool:
    collection: Collection = subject.collections[rule.collection]
    one = collection.declared(path)
    if path[0] in collection.stamped or path in collection.immutable() or (one is not None and one.immutable):
        return False
    own = (other for other in subject.by_role[rule.collection, rule.role] if other.effect == "allow")
    judged = {way for other in own for way in _paths(other.when)}
    return rule.fields.writes(path) and not touches(path, judged) and path != ("_id",)


def _is_given(rule: Rule, others: list[Rule]) -> bool:
    """Whether the others together let do all that a rule lets do, with as many fields."""
    return all(
        any(action in other.actions and _shows(other, rule, writing=action == "update") for other in others)
        for action in rule.actions
        if action not in ("create", "aggregate")
    )


def _shows(other: Rule, rule: Rule, *, writing: bool) -> bool:
    return fields_within(rule.fields, other.fields, writing=writing)


def _paths(expression: Expression) -> set[FieldPath]:
    return {canonical(path.dotted) for path in document_paths(expression)}
