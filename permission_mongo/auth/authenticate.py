"""The one credential of a request -> its principal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.revocations import RevocationList
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.errors import Unauthenticated
from permission_mongo.principal import Principal

_KEY: Final = "pmk_"


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What credentials are taken. `keys` is None where API keys are switched off, `revoked` where nothing is kept."""

    tokens: TokenVerifier
    keys: KeyVerifier | None
    revoked: RevocationList | None = None

    async def authenticate(self, authorization: Sequence[str], api_key: Sequence[str]) -> Principal:
        """`authorization` and `api_key` are the values of all headers of those names. Unauthenticated otherwise."""
        if len(authorization) + len(api_key) > 1:
            raise Unauthenticated("more than one credential")
        if authorization:
            scheme, _, credential = authorization[0].partition(" ")
            if scheme.lower() != "bearer" or not credential.strip():
                raise Unauthenticated("expected 'Authorization: Bearer' and a token or API key")
            credential = credential.strip()
            return await (self._key(credential) if credential.startswith(_KEY) else self._token(credential))
        if api_key:
            return await self._key(api_key[0])
        raise Unauthenticated("no credential: send 'Authorization: Bearer' or 'X-API-Key'")

    async def require_in_force(self, principal: Principal) -> None:
        """Unauthenticated for what was revoked, and for an expired API key; a token was good when it was shown."""
        if self.revoked is not None:
            await self.revoked.require_good(principal)
        if principal.kind == "key" and (self.keys is None or not await self.keys.is_in_force(principal.credential)):
            raise Unauthenticated("the API key is not valid")

    async def _token(self, text: str) -> Principal:
        """What is remembered of a token says that its signature is good, and never that it was not revoked."""
        principal = self.tokens.verify(text)
        if self.revoked is not None:
            await self.revoked.require_good(principal)
        return principal

    async def _key(self, text: str) -> Principal:
        if self.keys is None:
            raise Unauthenticated("API keys are not taken here")
        return await self.keys.verify(text)
