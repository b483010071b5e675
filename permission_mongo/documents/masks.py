"""What stands for a masked value. Its shape is constant: it tells nothing beyond what the mask is for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, Final

from permission_mongo.documents.fields import MaskKind
from permission_mongo.values import write_json

REDACTED: Final = "***"


def masked(value: Any, kind: MaskKind, key: bytes) -> Any:
    """`value` as the mask shows it; each element of an array by itself, an object as a whole. None stays None.

    `key` (32 bytes, the gateway's own) makes `hash` comparable within one deployment and useless outside it.
    """
    if value is None:
        return None
    if isinstance(value, list):
        return [masked(element, kind, key) for element in value]
    if kind == "hash":
        return _hashed(value, key)
    return text_mask(kind, key)(value) if isinstance(value, str) else REDACTED


def text_mask(kind: MaskKind, key: bytes) -> Callable[[str], str]:
    """How the mask shows a text."""
    if kind == "hash":
        return partial(_hashed, key=key)
    return _email if kind == "email" else partial(_by_its_ends, kind=kind)


def _hashed(value: Any, key: bytes) -> str:
    return blake2b(write_json(value), key=key, digest_size=16).hexdigest()


def _email(text: str) -> str:
    """The first sign and the domain of what reads like an address: two parts around one @, and no space."""
    name, _, domain = text.partition("@")
    if name and domain and "@" not in domain and " " not in text and text.isprintable():
        return f"{name[0]}***@{domain}"
    return REDACTED


def _by_its_ends(text: str, kind: MaskKind) -> str:
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
