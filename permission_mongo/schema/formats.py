"""What `format` of a text field names."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from permission_mongo.values import read_date

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def has_format(text: str, form: str) -> bool:
    match form:
        case "email":
            return _EMAIL.fullmatch(text) is not None
        case "url":
            return _is_url(text)
        case "time":
            return _TIME.fullmatch(text) is not None
        case _:
            try:
                read_date(text)
            except ValueError:
                return False
            return ("T" in text or " " in text) == (form == "datetime")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text
