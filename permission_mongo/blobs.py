"""What a document says of a blob, and addresses that give its bytes for a time to whoever holds them. Pure."""

from __future__ import annotations

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import bson
from bson.errors import BSONError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from permission_mongo.values import CODEC, Document, DocumentId

DOWNLOADS: Final = "/_pm/blobs/"
LONGEST: Final = 8192  # signs of a token: more could stand in no URL
_NONCE: Final = 12  # bytes, as of NIST SP 800-38D
_FOR: Final = b"permission-mongo blob"


@dataclass(frozen=True, slots=True)
class Blob:
    """`checksum` is the SHA-256 of the bytes in small hexadecimal digits."""

    filename: str
    content_type: str
    size_bytes: int
    checksum: str

    def as_document(self) -> Document:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, value: Any) -> Blob | None:
        """What a document says; None where that is no blob, as after a writer beside the gateway."""
        if not isinstance(value, Mapping):
            return None
        filename, kind, size, checksum = (value.get(name) for name in cls.__slots__)
        if not (isinstance(filename, str) and isinstance(kind, str) and isinstance(checksum, str)):
            return None
        return cls(filename, kind, size, checksum) if isinstance(size, int) and size >= 0 else None


@dataclass(frozen=True, slots=True)
class Place:
    """Which blob of which document: by this its bytes are found, and by nothing that a document could say beside it."""

    id: DocumentId
    field: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob and where its bytes are. The key is shown to nobody."""

    blob: Blob
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealing:
    """Makes tokens of what they give, which nobody else can read or make (AES-GCM, NIST SP 800-38D).

    `secret` has 32 bytes and is shared by all gateways of one database; the `former` ones only open.
    """

    secret: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(default=(), repr=False)

    def seal(self, stored: Stored, namespace: str, until: float) -> str:
        """Good before the moment `until`, in seconds since 1970, in this namespace alone."""
        payload = bson.encode(
            {"n": namespace, "k": stored.key, "b": stored.blob.as_document(), "e": until}, codec_options=CODEC
        )
        nonce = os.urandom(_NONCE)
        return urlsafe_b64encode(nonce + AESGCM(self.secret).encrypt(nonce, payload, _FOR)).decode().rstrip("=")

    def open(self, token: str, now: float) -> tuple[str, Stored] | None:
        """The namespace and what is there; None for a token that is forged, broken or too old."""
        if len(token) > LONGEST:
            return None
        try:
            sealed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        opened = (_opened(one, sealed) for one in (self.secret, *self.former))
        found = next((one for one in opened if one is not None), None)
        blob = None if found is None else Blob.of(found["b"])
        if found is None or blob is None or not now < found["e"]:
            return None
        return found["n"], Stored(blob, found["k"])


def _opened(secret: bytes, sealed: bytes) -> Document | None:
    try:
        return bson.decode(AESGCM(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], _FOR), CODEC)
    except (InvalidTag, ValueError, BSONError):
        return None


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the addresses of one namespace. `seconds` is how long each is good.

    `of_store` is the store's own signer, None where the gateway serves the bytes.
    """

    sealing: Sealing
    namespace: str
    seconds: float
    of_store: Callable[[str, float], str] | None = None

    def url(self, stored: Stored, base: str, now: float) -> str:
        """`base` is the address that the gateway was asked at, `now` in seconds since 1970."""
        if self.of_store is not None:
            return self.of_store(stored.key, self.seconds)
        return f"{base}{DOWNLOADS}{self.sealing.seal(stored, self.namespace, now + self.seconds)}"
