"""Who asks, and what is kept of a credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol

DEFAULT_NAMESPACE: Final = "default"
IN_DEFAULT: Final = frozenset({DEFAULT_NAMESPACE})
MOST_NAMES: Final = 256
LONGEST_NAME: Final = 256
Whom = tuple[Literal["token", "key"], str | None, str]


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """A caller whose credential was verified. Two are one only if they are the same object: what is remembered for a
    principal can never serve another.

    `expires` is a POSIX time in seconds. `credential` names the token (`jti`) or the key (its prefix) in the audit.
    `namespaces` are those that the credential lists; one that lists none has the default one alone.
    """

    subject: str
    tenant: str | None
    roles: frozenset[str]
    claims: Mapping[str, Any] = field(repr=False)
    kind: Literal["token", "key"]
    expires: float | None = None
    credential: str | None = None
    namespaces: frozenset[str] = IN_DEFAULT

    @property
    def whom(self) -> Whom:
        """By what rates, shares and streams count: one and the same in all namespaces, by all credentials of a kind."""
        return self.kind, self.tenant, self.subject


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
    namespaces: tuple[str, ...] = ()


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


# -- claims


def claimed_principal(claims: Mapping[str, Any], user: str, tenant: str, roles: str, namespaces: str) -> Principal:
    """Who the claims of these names say the caller is. ValueError where they are no text, or no list of texts.

    Nothing is verified here, and neither `expires` nor `credential` is set.
    """
    found = claim_at(claims, tenant)
    return Principal(
        subject=_identity(claim_at(claims, user), user),
        tenant=None if found is None else _identity(found, tenant),
        roles=_names(claim_at(claims, roles), roles),
        claims=claims,
        kind="token",
        namespaces=_names(claim_at(claims, namespaces), namespaces) or IN_DEFAULT,
    )


def claim_at(claims: Mapping[str, Any], dotted: str) -> Any:
    if dotted in claims:  # a claim's name may be a URI, with dots
        return claims[dotted]
    value: Any = claims
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _identity(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise ValueError(f"'{name}' must be a text of 1 to {LONGEST_NAME} printable characters")
    return value


def _names(value: Any, name: str) -> frozenset[str]:
    """Of roles, of namespaces."""
    if value is None:
        return frozenset()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > MOST_NAMES or not all(isinstance(role, str) for role in listed):
        raise ValueError(f"'{name}' must be a list of at most {MOST_NAMES} texts")
    return frozenset(listed)
