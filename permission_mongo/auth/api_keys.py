"""API keys: `pmk_<prefix>_<secret>`. The prefix is public and finds the record; the secret is kept as SHA-256 only."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from permission_mongo.errors import Unauthenticated
from permission_mongo.principal import IN_DEFAULT, KeyRecord, KeyStore, Principal

_FORM: Final = re.compile(r"pmk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_EPOCH: Final = datetime(1970, 1, 1)
# A revoked key is refused within this time and the store's, on every worker; two seconds are promised.
REMEMBERED_FOR: Final = 1.0
MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as its holder gets it, once, and as it is stored."""

    text: str = field(repr=False)
    record: KeyRecord


def new_key(
    subject: str,
    tenant: str | None,
    roles: tuple[str, ...],
    now: datetime,
    lifetime: timedelta | None,
    namespaces: tuple[str, ...] = (),
) -> NewKey:
    """A key with 256 random bits. Without `namespaces` it is good in the default one."""
    prefix, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    expires = None if lifetime is None else now + lifetime
    record = KeyRecord(prefix, _hash(secret), subject, tenant, roles, now, expires, namespaces=namespaces)
    return NewKey(f"pmk_{prefix}_{secret}", record)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


class KeyVerifier:
    """Verifies API keys against a store, each record remembered for a second."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._remembered: dict[str, tuple[float, KeyRecord, Principal]] = {}

    async def verify(self, text: str) -> Principal:
        """The key's principal. Unknown, wrong, expired and revoked are told alike."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise Unauthenticated("the API key is not valid")
        known = await self._record(found[1])
        matches = compare_digest(known[1].secret_hash if known else bytes(32), _hash(found[2]))
        if known is None or not matches or not self._is_in_force(known[1]):
            raise Unauthenticated("the API key is not valid")
        return known[2]

    async def is_in_force(self, prefix: str | None) -> bool:
        """Whether a key that was verified once still is good."""
        known = None if prefix is None else await self._record(prefix)
        return known is not None and self._is_in_force(known[1])

    async def _record(self, prefix: str) -> tuple[float, KeyRecord, Principal] | None:
        now = self._clock()
        known = self._remembered.get(prefix)
        if known is not None and now - known[0] < REMEMBERED_FOR:
            return known
        record = await self._store.find_key(prefix)
        if record is None:
            self._remembered.pop(prefix, None)
            return None
        # An unchanged record keeps its principal, and with it what is remembered for that.
        principal = known[2] if known is not None and known[1] == record else _principal(record)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[prefix] = (now, record, principal)
        return self._remembered[prefix]

    def _is_in_force(self, record: KeyRecord) -> bool:
        if record.revoked_at is not None:
            return False
        return record.expires_at is None or self._clock() < (record.expires_at - _EPOCH).total_seconds()


def _principal(record: KeyRecord) -> Principal:
    expires = None if record.expires_at is None else (record.expires_at - _EPOCH).total_seconds()
    roles, namespaces = frozenset(record.roles), frozenset(record.namespaces) or IN_DEFAULT
    return Principal(record.subject, record.tenant, roles, {}, "key", expires, record.prefix, namespaces)
