"""What stands for a masked value. Its shape is constant: it tells nothing beyond what the mask is for."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

from permission_mongo.documents.fields import MaskKind
from permission_mongo.values import write_json

REDACTED: Final = "***"
_EMAIL: Final = re.compile(r"([^@\s])[^@\s]*@([^@\s]+)")


def masked(value: Any, kind: MaskKind, key: bytes) -> Any:
    """`value` as the mask shows it; each element of an array by itself, an object as a whole. None stays None.

    `key` (32 bytes, the gateway's own) makes `hash` comparable within one deployment and useless outside it.
    """
    if value is None:
        return None
    if isinstance(value, list):
        return [masked(element, kind, key) for element in value]
    if kind == "hash":
        return blake2b(write_json(value), key=key, digest_size=16).hexdigest()
    if not isinstance(value, str):
        return REDACTED
    return _of_text(value, kind)


def _of_text(text: str, kind: MaskKind) -> str:
    if kind == "email":
        found = _EMAIL.fullmatch(text)
        return f"{found[1]}***@{found[2]}" if found else REDACTED
    letters = [sign for sign in text if sign.isalnum()]
    if len(letters) < 8:  # a short text would be told whole by its ends
        return REDACTED
    match kind:
        case "phone" | "last4":
            return f"{REDACTED}{''.join(letters[-4:])}"
        case "partial":
            return f"{''.join(letters[:1])}{REDACTED}{letters[-1]}"
        case _:
            return REDACTED
