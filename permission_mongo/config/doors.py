"""Other APIs whose callers are let in, and the first segments of their paths, which no collection can have then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from permission_mongo.config.section import Section, suggestion

SEGMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "atlas_data_api": ("app",),
    "mixpeek": ("v1",),
    "moorcheh": ("namespaces", "search", "answer", "v1"),
}


def read_doors(root: Section) -> tuple[str, ...]:
    """Each once. A finding for a name that is not a door of this version."""
    names: list[str] = []
    for name, mark in root.texts("doors"):
        if name in SEGMENTS:
            names.append(name)
            continue
        known = suggestion(name, SEGMENTS) or f"; there is {', '.join(SEGMENTS)}"
        root.findings.append(mark.finding(f"'{name}' is no door of this version{known}", code="not-one-of"))
    return tuple(dict.fromkeys(names))


def check_segments(doors: Iterable[str], collections: Section) -> None:
    """A finding for each collection whose name the paths of a door begin with."""
    taken = {segment: door for door in doors for segment in SEGMENTS[door]}
    for name, mark in collections.node.keys.items():
        if name in taken:
            told = f"the collection name '{name}' is taken by the door '{taken[name]}', whose paths begin with it"
            collections.findings.append(mark.finding(told))
