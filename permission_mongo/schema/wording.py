"""Texts written otherwise, as hooks ask for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from unicodedata import normalize

How = Literal["lower", "upper", "trim", "slug"]
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """Small letters and digits with single hyphens between; letters of other kinds fall to their base or away."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _BETWEEN.sub("-", plain).strip("-")


WORDINGS: Final[Mapping[How, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "slug": slug,
}


def reworded(value: Any, how: How) -> Any:
    """A text, or the texts of a list, written so; anything else as it is."""
    if isinstance(value, str):
        return WORDINGS[how](value)
    if isinstance(value, list):
        return [WORDINGS[how](one) if isinstance(one, str) else one for one in value]
    return value
