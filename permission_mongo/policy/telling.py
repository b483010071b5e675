"""What a caller is certain of in a row that it sees: which of its grants hold there, by fields that it reads raw.

What depends on a field that it does not read may go either way for it. Told the truth of such a grant, by which fields
an explanation calls readable or by which clauses it answers, a caller would learn that field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from permission_mongo.documents.fields import FieldRules, MaskKind
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import touches
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.policy.tracing import Look, told
from permission_mongo.values import Document

Extent = Literal["always", "some", "never"]


@dataclass(frozen=True, slots=True)
class Telling:
    """Fields of the grants that hold for certain, of all that may hold, and what may and what does hide fields.

    One of `possible` holds: ask only of rows that the caller sees.
    """

    certain: tuple[FieldRules, ...]
    possible: tuple[FieldRules, ...]
    bars: tuple[frozenset[FieldPath], ...]
    hides: tuple[frozenset[FieldPath], ...]
    known: frozenset[FieldPath] = frozenset()

    def tells(self, path: FieldPath) -> bool:
        """Whether the caller reads the whole value there, for certain."""
        return bool(path) and (path in self.known or self.reads(path) == "always")

    def reads(self, path: FieldPath) -> Extent:
        """Whether the value is shown raw."""
        return self._extent(path, lambda fields: fields.reads_raw(path))

    def shows(self, path: FieldPath) -> Extent:
        """Whether the value is shown, raw or as a mask."""
        return self._extent(path, lambda fields: fields.covers(path))

    def masks(self, path: FieldPath) -> tuple[MaskKind, ...]:
        """The masks that grants give which show the value so."""
        kinds = (fields.mask_at(path) for fields in self.possible if fields.covers(path))
        return tuple(dict.fromkeys(kind for kind in kinds if kind is not None))

    def _extent(self, path: FieldPath, gives: Callable[[FieldRules], bool]) -> Extent:
        if any(touches(path, paths) for paths in self.hides) or not any(map(gives, self.possible)):
            return "never"
        sure = any(map(gives, self.certain)) or all(map(gives, self.possible))
        return "always" if sure and not any(touches(path, paths) for paths in self.bars) else "some"


def telling(reach: Reach, document: Document | None, known: frozenset[FieldPath] = frozenset()) -> Telling:
    """Of a document that the reach sees, or of any such (None). `known` are paths of which the caller knows the value.

    Each step asks only fields that the step before made certain, so that nothing it answers depends on another.
    """
    found = _step(reach, Look(None, lambda path: False), known)
    if document is None:
        return found
    for _ in range(len(reach.grants) + len(reach.hiding) + 1):
        further = _step(reach, Look(document, found.tells), known)
        if further == found:
            break
        found = further
    return found


def whole(reach: Reach, document: Document) -> Telling:
    """Of a document, for one from whom nothing is kept."""
    return _step(reach, Look(document, lambda path: True), frozenset())


def _step(reach: Reach, look: Look, known: frozenset[FieldPath]) -> Telling:
    # A row that is seen is within the tenant already.
    surely = (ALWAYS, reach.within)
    rows = [(grant.fields, "true" if grant.rows in surely else told(grant.rows, look)) for grant in reach.grants]
    hiding = [(one.paths, told(one.when, look)) for one in reach.hiding]
    return Telling(
        tuple(fields for fields, holds in rows if holds == "true"),
        tuple(fields for fields, holds in rows if holds not in ("false", "unknown")),
        tuple(paths for paths, holds in hiding if holds != "false"),
        tuple(paths for paths, holds in hiding if holds in ("true", "unknown")),
        known,
    )
