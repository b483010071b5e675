"""Texts compared without regard to case: the pattern that a text is, whole and with nothing behind it."""

from __future__ import annotations

import re
from typing import Final

from bson.regex import Regex

LONGEST: Final = 1_000  # signs; MongoDB reads no pattern of very many
_MEANT: Final = re.compile(r"[\\^$.|?*+()\[\]{}]")


def literal(text: str) -> str:
    """The pattern that finds this text and no other: each sign that would mean something is escaped."""
    return _MEANT.sub(r"\\\g<0>", text)


def folded(text: str) -> Regex[str]:
    """Finds the text in capitals and small letters. `$` would also find it before a newline at the end."""
    return Regex(rf"^{literal(text)}\z", re.IGNORECASE)
