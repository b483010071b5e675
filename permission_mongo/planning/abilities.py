"""What a caller may do with each declared field of a collection: reads it, sees a mask, writes it; in which rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from permission_mongo.documents.paths import Path, touches
from permission_mongo.errors import Refusal
from permission_mongo.explanations import Abilities
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.revisions import Reviser
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import ALWAYS, Expression
from permission_mongo.policy.rules import Action
from permission_mongo.policy.telling import Extent, Telling, telling
from permission_mongo.policy.tracing import Look, Told, told
from permission_mongo.schema.model import Collection, innermost

_NO_UUID: Final = UUID(int=0)  # nothing is stored of what is made with it
_LENT: Final[Mapping[Told, Extent]] = {"true": "always", "hidden": "some", "open": "some"}


def abilities_of(collection: Collection, asking: Asking, callers: Callers) -> Abilities:
    reviser = _reviser(collection, asking, callers)
    creating = reach_or_none(collection, asking, callers, "create")
    paths = tuple(innermost(collection.fields))
    return Abilities(
        collection=collection,
        reading=reach_or_none(collection, asking, callers, "read"),
        writers=() if reviser is None else reviser.writers,
        barring=() if reviser is None else reviser.updating.reach.hiding,
        writable=() if reviser is None else tuple(path for path in paths if reviser.may_write(path)),
        creating=creating,
        creatable=() if creating is None else _creatable(collection, creating, paths, asking, callers),
    )


def reach_or_none(collection: Collection, asking: Asking, callers: Callers, action: Action) -> Reach | None:
    try:
        return callers.access(asking, collection, action).reach
    except Refusal:
        return None


def _reviser(collection: Collection, asking: Asking, callers: Callers) -> Reviser | None:
    try:
        return Reviser.of(collection, asking, callers, lambda: _NO_UUID)
    except Refusal:
        return None


def _creatable(
    collection: Collection, creating: Reach, paths: Iterable[Path], asking: Asking, callers: Callers
) -> tuple[Path, ...]:
    stamped = collection.stamped | {name for grant in creating.grants for name, _ in grant.stamps}
    if collection.tenant_field and callers.crosses_tenants(asking):
        stamped -= {collection.tenant_field}
    barred = [one.paths for one in creating.hiding if one.when == ALWAYS]
    return tuple(
        path
        for path in paths
        if path[0] not in stamped
        and not any(touches(path, hidden) for hidden in barred)
        and any(grant.fields.writes(path) for grant in creating.grants)
    )


# -- told


def fields_told(abilities: Abilities, shown: Telling | None, look: Look) -> dict[str, Any]:
    """By the names of the fields. Without a document what is so in all rows the caller sees, then `in_some_rows`."""
    paths = tuple(innermost(abilities.collection.fields))
    found = {
        "readable": _by_extent(paths, lambda path: "never" if shown is None else shown.reads(path)),
        "masked": _by_extent(paths, lambda path: _masked(shown, path)),
        "writable": _by_extent(abilities.writable, lambda path: _written(abilities, path, look)),
        "writable_on_create": _by_extent(abilities.creatable, lambda path: _created(abilities, path)),
    }
    always = {kind: _named(kind, by["always"], shown) for kind, by in found.items()}
    some = {kind: _named(kind, by["some"], shown) for kind, by in found.items() if by["some"]}
    return {**always, **({"in_some_rows": some} if some else {})}


@dataclass(frozen=True, slots=True)
class Having:
    """The innermost fields that a caller has in some row at least: shown raw, shown as a mask, written, sent."""

    raw: frozenset[Path]
    masked: frozenset[tuple[Path, str]]
    writable: frozenset[Path]
    creatable: frozenset[Path]


def fields_had(abilities: Abilities) -> Having:
    shown, look = shown_anywhere(abilities), Look(None, lambda path: False)
    paths = tuple(innermost(abilities.collection.fields))
    masked = {path: shown.masks(path) for path in paths if shown is not None and _masked(shown, path) != "never"}
    return Having(
        frozenset(path for path in paths if shown is not None and shown.reads(path) != "never"),
        frozenset((path, " or ".join(kinds)) for path, kinds in masked.items()),
        frozenset(path for path in abilities.writable if _written(abilities, path, look) != "never"),
        frozenset(path for path in abilities.creatable if _created(abilities, path) != "never"),
    )


def shown_anywhere(abilities: Abilities) -> Telling | None:
    return None if abilities.reading is None else telling(abilities.reading, None)


def _by_extent(paths: Iterable[Path], extent: Callable[[Path], Extent]) -> dict[Extent, list[Path]]:
    found: dict[Extent, list[Path]] = {"always": [], "some": [], "never": []}
    for path in paths:
        found[extent(path)].append(path)
    return found


def _named(kind: str, paths: list[Path], shown: Telling | None) -> Any:
    if kind != "masked" or shown is None:
        return [".".join(path) for path in paths]
    return {".".join(path): " or ".join(shown.masks(path)) for path in paths}


def _masked(shown: Telling | None, path: Path) -> Extent:
    """Shown as a mask, where it is not shown raw."""
    if shown is None or not shown.masks(path) or shown.reads(path) == "always":
        return "never"
    return "some" if shown.reads(path) == "some" else shown.shows(path)


def _written(abilities: Abilities, path: Path, look: Look) -> Extent:
    bars = [told(one.when, look) for one in abilities.barring if touches(path, one.paths)]
    if any(one in ("true", "unknown") for one in bars):
        return "never"
    lent = [_in_rows(writer.rows, abilities.reading, look) for writer in abilities.writers if writer.writes(path)]
    if "always" in lent:
        return "some" if any(one != "false" for one in bars) else "always"
    return "some" if "some" in lent else "never"


def _created(abilities: Abilities, path: Path) -> Extent:
    creating = abilities.creating
    if creating is None:
        return "never"
    lent = [grant.rows for grant in creating.grants if grant.fields.writes(path)]
    barred = any(touches(path, one.paths) for one in creating.hiding)
    return "some" if barred or not any(rows in (ALWAYS, creating.within) for rows in lent) else "always"


def _in_rows(rows: Expression, reading: Reach | None, look: Look) -> Extent:
    if rows == ALWAYS or (reading is not None and rows == reading.within):
        return "always"
    return _LENT.get(told(rows, look), "never")
