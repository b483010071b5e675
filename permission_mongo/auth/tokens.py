"""JSON Web Tokens (RFC 7519): verified once, then remembered by hash until they expire."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import jwt

from permission_mongo.auth.signing_keys import KeySet
from permission_mongo.config.model import Auth
from permission_mongo.errors import Unauthenticated
from permission_mongo.principal import IN_DEFAULT, Principal

MOST_REMEMBERED: Final = 10_000
LONGEST_TOKEN: Final = 8192
MOST_NAMES: Final = 256
_IDENTITY: Final = 256
_LATEST: Final = 2**40  # seconds


class TokenVerifier:
    """Verifies tokens with the keys in force."""

    def __init__(self, auth: Auth, clock: Callable[[], float] = time.time) -> None:
        self._auth = auth
        self._clock = clock
        self._keys = KeySet(auth, clock)
        self._remembered: dict[bytes, Principal] = {}
        self._generation = 0

    def verify(self, token: str) -> Principal:
        """The token's principal. Unauthenticated says in a word why not, and nothing of the keys."""
        self._keys.refresh()
        if self._keys.generation != self._generation:
            self._remembered.clear()
            self._generation = self._keys.generation
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known is not None and known.expires is not None and self._clock() < known.expires:
            return known
        principal = self._verified(token)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = principal
        return principal

    def _verified(self, token: str) -> Principal:
        if len(token) > LONGEST_TOKEN or token.count(".") != 2 or not token.isascii():
            raise Unauthenticated("the token is malformed")
        return self._principal(self._claims(token))

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            # RFC 7515, section 4.1.11: a critical extension we do not know must not be passed over.
            if "crit" in header or not isinstance(algorithm, str) or not isinstance(kid, str | None):
                raise Unauthenticated("the token is malformed")
            found = self._keys.find(algorithm, kid)
            if found is None:
                raise Unauthenticated("the token is not signed by a known key")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                found.key,
                algorithms=[algorithm],
                audience=self._auth.audience,
                issuer=self._auth.issuer,
                leeway=self._auth.leeway,
                options={"require": self._required(), "verify_aud": self._auth.audience is not None},
            )
            return claims
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated("the token is not valid") from error

    def _required(self) -> list[str]:
        checked = (("aud", self._auth.audience), ("iss", self._auth.issuer))
        return ["exp", *(name for name, value in checked if value is not None)]

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        expires = claims["exp"]
        # RFC 7519, section 4.1.4: a NumericDate. PyJWT also takes a text that reads like one.
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not 0 < expires < _LATEST:
            raise Unauthenticated("the token's 'exp' must be a number of seconds")
        subject = _at(claims, self._auth.user_claim)
        tenant = _at(claims, self._auth.tenant_claim)
        jti = claims.get("jti")
        return Principal(
            subject=_identity(subject, self._auth.user_claim),
            tenant=None if tenant is None else _identity(tenant, self._auth.tenant_claim),
            roles=_names(_at(claims, self._auth.roles_claim), self._auth.roles_claim),
            claims=claims,
            kind="token",
            expires=float(expires) + self._auth.leeway,
            credential=jti[:_IDENTITY] if isinstance(jti, str) else None,
            namespaces=_names(_at(claims, self._auth.namespaces_claim), self._auth.namespaces_claim) or IN_DEFAULT,
        )


def _at(claims: Mapping[str, Any], dotted: str) -> Any:
    if dotted in claims:  # a claim's name may be a URI, with dots
        return claims[dotted]
    value: Any = claims
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _identity(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _IDENTITY or not value.isprintable():
        raise Unauthenticated(f"the token's '{name}' must be a text of 1 to {_IDENTITY} printable characters")
    return value


def _names(value: Any, name: str) -> frozenset[str]:
    """Of roles, of namespaces."""
    if value is None:
        return frozenset()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > MOST_NAMES or not all(isinstance(one, str) for one in listed):
        raise Unauthenticated(f"the token's '{name}' must be a list of at most {MOST_NAMES} texts")
    return frozenset(listed)
