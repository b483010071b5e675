"""Conditional headers -> the tags they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from permission_mongo.documents.etags import Tags
from permission_mongo.errors import InvalidRequest

_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_LONGEST: Final = 8192


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the headers of a single write say besides: the tags of `If-Match`, and the reason as it was sent."""

    if_match: Tags | None = None
    reason: str | None = None


def read_tags(values: Sequence[str], name: str) -> Tags | None:
    """The tags of a header, however often given; None where it is absent. InvalidRequest if it is no list of tags."""
    if not values:
        return None
    text = ",".join(values)
    if text.strip() == "*":
        return Tags(anything=True)
    strong: set[str] = set()
    weak: set[str] = set()
    for part in _parts(text):
        found = _TAG.fullmatch(part) if len(text) <= _LONGEST else None
        if found is None:
            raise InvalidRequest(f"{name}: expected '*' or tags such as \"abc\", with commas between them")
        (weak if found[1] else strong).add(found[2])
    return Tags(frozenset(strong), frozenset(weak))


def _parts(text: str) -> list[str]:
    """Cut at the commas that stand outside of quotes."""
    parts = [part.strip(" \t") for part in re.findall(r'(?:"[^"]*"|[^,"])+|"', text)]
    return [part for part in parts if part] or [""]
