"""How a client is set up: its address, its credential, and by what rules it goes. Shows no secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from permission_mongo.client.call import plain
from permission_mongo.client.conversation import Rules, Secret, Timeouts
from permission_mongo.client.errors import Unsendable
from permission_mongo.client.retries import Retries

# A token, or what yields one: it is asked when the first is needed, and once more where the gateway refused that one.
Token = str | Callable[[], str]
AsyncToken = str | Callable[[], str | Awaitable[str]]
_HEADER_OF_KEYS: Final = "x-api-key"


class ClientOptions(TypedDict, total=False):
    """Of both clients. `namespace` is that of every call that names no other."""

    api_key: str | None
    namespace: str | None
    timeouts: Timeouts
    retries: Retries
    user_agent: str


@dataclass(frozen=True, slots=True)
class Address:
    """Of a gateway: `http://localhost:8080`, with a path before all routes or none."""

    text: str

    @staticmethod
    def of(text: Any) -> Address:
        """Unsendable for another scheme, and for one with a credential in it: addresses are logged everywhere."""
        parts = urlsplit(text) if isinstance(text, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unsendable("expected an address such as http://localhost:8080")
        if parts.username is not None or parts.query or parts.fragment:
            raise Unsendable("an address has no user, no query and no fragment; a credential is token= or api_key=")
        return Address(text.rstrip("/"))

    def __str__(self) -> str:
        return self.text


def rules_of(options: ClientOptions, *, renews: bool) -> Rules:
    namespace = options.get("namespace")
    return Rules(
        options.get("timeouts", Timeouts()),
        options.get("retries", Retries()),
        None if namespace is None else plain(namespace, "namespace"),
        plain(options.get("user_agent", Rules().agent), "user_agent"),
        renews=renews,
    )


def key_of(options: ClientOptions, token: object) -> Secret | None:
    """The API key as a header. Unsendable where both are given: the gateway takes one credential."""
    if token is not None and not isinstance(token, str) and not callable(token):
        raise Unsendable("token: expected a text, or a function that yields one")
    key = options.get("api_key")
    if key is not None and token is not None:
        raise Unsendable("expected a token or an API key, not both")
    return None if key is None else (_HEADER_OF_KEYS, _fit(key, "api_key"))


def bearer(token: str) -> Secret:
    return "authorization", f"Bearer {_fit(token, 'token')}"


def _fit(secret: Any, name: str) -> str:
    """Unsendable, which does not show it, for what no header can hold: most likely a line's end from a file."""
    if not isinstance(secret, str) or not secret or not all("!" <= sign <= "~" for sign in secret):
        raise Unsendable(f"{name}: expected visible ASCII characters, and no line's end")
    return secret
