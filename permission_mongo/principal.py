"""Who asks, and what is kept of a credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """A caller whose credential was verified. Two are one only if they are the same object: what is remembered for a
    principal can never serve another.

    `expires` is a POSIX time in seconds. `credential` names the token (`jti`) or the key (its prefix) in the audit.
    """

    subject: str
    tenant: str | None
    roles: frozenset[str]
    claims: Mapping[str, Any] = field(repr=False)
    kind: Literal["token", "key"]
    expires: float | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as stored: its secret only as SHA-256. Moments are naive UTC."""

    prefix: str
    secret_hash: bytes = field(repr=False)
    subject: str
    tenant: str | None
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class KeyStore(Protocol):
    """Where API keys are kept."""

    async def find_key(self, prefix: str) -> KeyRecord | None:
        """The record of a public prefix, revoked ones included."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """Tokens that are good no longer: by their `jti`, and of a subject all that were issued up to a POSIX time."""

    tokens: frozenset[str] = frozenset()
    subjects: Mapping[str, float] = field(default_factory=dict)

    def revoke(self, principal: Principal) -> bool:
        """Whether they speak of this token. One that does not say when it was issued counts as an old one."""
        token = principal.claims.get("jti")
        if isinstance(token, str) and token in self.tokens:
            return True
        until = self.subjects.get(principal.subject)
        if until is None:
            return False
        issued = principal.claims.get("iat")
        is_later = isinstance(issued, int | float) and not isinstance(issued, bool) and issued > until
        return not is_later


class RevocationStore(Protocol):
    """Where revocations are kept."""

    async def generation(self) -> int:
        """A number that grows with each revocation."""

    async def in_force(self) -> Revocations:
        """All of them."""
