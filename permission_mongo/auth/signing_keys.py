"""The keys that verify tokens: a shared secret, one public key, or a JWKS file watched for rotation (RFC 7517)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jiter
import jwt

from permission_mongo.config.model import Auth
from permission_mongo.errors import StartupFailure

_LOG: Final = logging.getLogger("permission_mongo.auth")
_ALGORITHMS: Final = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_LOOK_EVERY: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key and the algorithms it serves: one family, and never a public key as a shared secret."""

    key: Any = field(repr=False)
    algorithms: frozenset[str]
    kid: str | None = None


class KeySet:
    """The keys in force. `generation` grows whenever they change, so that nothing verified by a removed key is kept."""

    def __init__(self, auth: Auth, clock: Callable[[], float]) -> None:
        self.generation = 0
        self._clock = clock
        self._file = auth.jwks_file
        self._accepted = frozenset(auth.algorithms)
        self._looked = clock()
        self._stamp: tuple[int, int] | None = None
        if self._file is not None:
            self._stamp = _stamp(self._file)
            self._keys = _read_jwks(self._file)
        else:
            self._keys = (_single_key(auth),)

    def find(self, algorithm: str, kid: str | None) -> SigningKey | None:
        """The one key for a token's header; None if no key fits exactly."""
        if algorithm not in self._accepted:
            return None
        fitting = [key for key in self._keys if algorithm in key.algorithms and (key.kid is None or key.kid == kid)]
        if not fitting and kid is None:
            fitting = [key for key in self._keys if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    def refresh(self) -> None:
        """Look at the JWKS file again if a second has passed. A broken file leaves the keys in force, and says so."""
        now = self._clock()
        if self._file is None or now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        try:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return
            keys = _read_jwks(self._file)
        except (StartupFailure, OSError) as error:
            _LOG.error("the keys in force stay: %s", error)
            return
        self._stamp, self._keys = stamp, keys
        self.generation += 1


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_ino


def _single_key(auth: Auth) -> SigningKey:
    if auth.family == "HMAC":
        if not auth.secret:
            raise StartupFailure(
                "auth.secret is not set: tokens can't be verified. Set it in config.yaml (32 bytes or more)."
            )
        return SigningKey(auth.secret, frozenset(auth.algorithms))
    try:
        # PyJWT refuses a PEM of another type than the algorithm's.
        key = jwt.get_algorithm_by_name(auth.algorithms[0]).prepare_key(auth.public_key or "")
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise StartupFailure(f"auth.public_key is no {auth.family} public key in PEM: {error}") from error
    return SigningKey(key, frozenset(auth.algorithms))


def _read_jwks(file: Path) -> tuple[SigningKey, ...]:
    try:
        listed = jiter.from_json(file.read_bytes())["keys"]
        keys = tuple(_from_jwk(one) for one in listed if one.get("use", "sig") == "sig")
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise StartupFailure(f"{file.name} is no JWK set of RSA, P-256 or Ed25519 keys: {error}") from error
    kids = [key.kid for key in keys]
    if len(set(kids)) != len(kids) or (None in kids and len(kids) > 1):
        raise StartupFailure(f"{file.name}: each key needs a 'kid' of its own")
    return keys


def _from_jwk(jwk: dict[str, Any]) -> SigningKey:
    algorithms = _ALGORITHMS.get((jwk["kty"], jwk.get("crv", "")))
    if algorithms is None:
        raise ValueError(f"a key of type {jwk['kty']} {jwk.get('crv', '')}")
    if "d" in jwk:
        raise ValueError("a private key; only public keys belong here")
    if "alg" in jwk:
        algorithms &= {jwk["alg"]}
    return SigningKey(jwt.PyJWK(jwk, sorted(algorithms)[0] if algorithms else None).key, algorithms, jwk.get("kid"))
