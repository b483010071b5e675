"""Cursors: where a page ended, signed for one caller and one question (BLAKE2b with a key, RFC 7693)."""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, Final

import bson
from bson.errors import BSONError

from permission_mongo.errors import InvalidRequest
from permission_mongo.values import CODEC, Document

GOOD_FOR: Final = 24 * 3600  # seconds
LONGEST: Final = 8192  # signs: more could stand in no URL
_TAG: Final = 16  # bytes
_REPLACED: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class CursorKey:
    """Signs cursors. `secret` is shared by all gateways of one database; the `former` ones only open."""

    secret: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(default=(), repr=False)

    def seal(self, last: Any, question: tuple[Any, ...], now: float) -> str:
        """A cursor behind `last`, for `question` alone: collection, route, filter, order, tenant, subject.

        InvalidRequest for a `last` that no cursor can hold.
        """
        if _REPLACED in repr(last):
            # It may stand for bytes that sort elsewhere: behind it rows would be left out, or come again for ever.
            raise InvalidRequest("the page ends in a text that is no UTF-8; ask for another order or limit")
        payload = bson.encode({"k": last, "e": int(now) + GOOD_FOR}, codec_options=CODEC)
        cursor = urlsafe_b64encode(_tag(self.secret, payload, question) + payload).decode().rstrip("=")
        if len(cursor) > LONGEST:
            raise InvalidRequest("sort: the values the page ends in are too long for a cursor; sort by fewer fields")
        return cursor

    def open(self, cursor: str, question: tuple[Any, ...], now: float) -> Any:
        """What was sealed. InvalidRequest for a forged, moved or expired cursor, told alike."""
        try:
            sealed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            tag, payload = sealed[:_TAG], sealed[_TAG:]
            # Decoding ignores stray bits of the last sign: one cursor must have one spelling.
            canonical = urlsafe_b64encode(sealed).decode().rstrip("=") == cursor
            if canonical and self._is_signed(tag, payload, question):
                found: Document = bson.decode(payload, CODEC)
                if now < found["e"]:
                    return found["k"]
        except (ValueError, binascii.Error, BSONError):
            pass
        raise InvalidRequest("the cursor is not valid here; begin again without one")

    def _is_signed(self, tag: bytes, payload: bytes, question: tuple[Any, ...]) -> bool:
        signed = (_tag(secret, payload, question) for secret in (self.secret, *self.former))
        return any(hmac.compare_digest(tag, one) for one in signed)


def _tag(secret: bytes, payload: bytes, question: tuple[Any, ...]) -> bytes:
    asked = bson.encode({"q": list(question)}, codec_options=CODEC)
    return blake2b(asked + payload, key=secret, digest_size=_TAG).digest()


def derived(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose (HKDF-Expand with one block, RFC 5869)."""
    return hmac.new(secret, purpose.encode() + b"\x01", sha256).digest()
