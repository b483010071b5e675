"""JSON Web Tokens (RFC 7519): verified once, then remembered by hash until they expire."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import jwt

from permission_mongo.auth.signing_keys import KeySet
from permission_mongo.config.model import Auth
from permission_mongo.errors import Unauthenticated
from permission_mongo.principal import LONGEST_NAME, Principal, claimed_principal

MOST_REMEMBERED: Final = 10_000
LONGEST_TOKEN: Final = 8192
_LATEST: Final = 2**40  # seconds


class TokenVerifier:
    """Verifies tokens with the keys in force."""

    def __init__(self, auth: Auth, clock: Callable[[], float] = time.time) -> None:
        self._auth = auth
        self._clock = clock
        self._keys = KeySet(auth, clock)
        self._remembered: dict[bytes, Principal] = {}
        self._generation = 0
        self._found = self._made = 0

    def tally(self) -> tuple[int, int]:
        """How many tokens were remembered, and how many were verified or refused, since this was asked last."""
        counted = self._found, self._made
        self._found = self._made = 0
        return counted

    def verify(self, token: str) -> Principal:
        """The token's principal. Unauthenticated says in a word why not, and nothing of the keys."""
        self._keys.refresh()
        if self._keys.generation != self._generation:
            self._remembered.clear()
            self._generation = self._keys.generation
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known is not None and known.expires is not None and self._clock() < known.expires:
            self._found += 1
            return known
        self._made += 1
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
        auth = self._auth
        try:
            named = claimed_principal(
                claims, auth.user_claim, auth.tenant_claim, auth.roles_claim, auth.namespaces_claim
            )
        except ValueError as error:
            raise Unauthenticated(f"the token's {error}") from error
        jti = claims.get("jti")
        credential = jti[:LONGEST_NAME] if isinstance(jti, str) else None
        return replace(named, expires=float(expires) + self._auth.leeway, credential=credential)
