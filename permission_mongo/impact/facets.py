"""What is not said by rules and yet says what callers may: rights of roles, and some keys of schema.yml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from permission_mongo.config.model import Config
from permission_mongo.documents.paths import any_above
from permission_mongo.impact.kinds import Change, Kind
from permission_mongo.impact.phrases import fields
from permission_mongo.schema.model import Collection

_SWITCHES: Final[tuple[tuple[str, Callable[[Collection], bool]], ...]] = (
    ("callers choose ids", lambda one: one.client_ids),
    ("fields that are not declared are taken", lambda one: one.keeps_additional),
    ("any pattern may be searched for", lambda one: one.any_pattern),
    ("versions are kept, and can be read and restored", lambda one: one.versioned),
)


def right_changes(old: Config, new: Config) -> Iterator[Change]:
    """Rights of `system`, by role; they are not inherited."""
    for name in dict.fromkeys((*new.policy.roles, *old.policy.roles)):
        before, after = (
            config.policy.roles[name].system if name in config.policy.roles else frozenset() for config in (old, new)
        )
        for right in sorted(before ^ after):
            kind: Kind = "gained" if right in after else "lost"
            verb = "now has" if right in after else "no longer has"
            yield Change(kind, (name,), "", "", f"{verb} the system right '{right}'")


def facet_changes(old: Config, new: Config) -> Iterator[Change]:
    """Of collections that both have; of one that is new the rules tell."""
    for name in new.collections.keys() & old.collections.keys():
        before, after = old.collections[name], new.collections[name]
        for told, says in _SWITCHES:
            if says(before) != says(after):
                kind: Kind = "gained" if says(after) else "lost"
                yield Change(kind, (), name, "", told if says(after) else f"no longer: {told}")
        yield from _once(before, after)
        yield from _references(before, after)


def _once(before: Collection, after: Collection) -> Iterator[Change]:
    loosened = [path for path in before.immutable() if not any_above(path, after.immutable())]
    fixed = [path for path in after.immutable() if not any_above(path, before.immutable())]
    if loosened:
        yield Change("gained", (), after.name, "", f"{fields(loosened)} may be changed once set")
    if fixed:
        yield Change("lost", (), after.name, "", f"{fields(fixed)} can't be changed once set")


def _references(before: Collection, after: Collection) -> Iterator[Change]:
    for name, one in before.fields.items():
        other = after.fields.get(name)
        if other is None or one.ref == other.ref:
            continue
        wider = one.ref is not None and (other.ref is None or other.ref.widely)
        kind: Kind = "gained" if wider else "lost" if one.ref is None else "unsure"
        yield Change(kind, (), after.name, "", f"'{name}' refers to other documents than before")
