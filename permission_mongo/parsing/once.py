"""`Idempotency-Key` and the request that came with it -> `Once`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import Fresh
from permission_mongo.plans import Once
from permission_mongo.principal import Principal

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
# A token's own times and number (RFC 7519, section 4.1): another with a renewed token the caller stays the same.
_OF_THE_TOKEN: Final = frozenset({"exp", "iat", "nbf", "jti"})


def read_once(values: Sequence[bytes], principal: Principal, request: Sequence[bytes], fresh: Fresh) -> Once:
    """`values` are all headers of that name; `request` is what makes two requests the same, in a fixed order."""
    if len(values) > 1:
        raise InvalidRequest(f"{HEADER}: given twice")
    if not _KEY.fullmatch(values[0]):
        raise InvalidRequest(f"{HEADER}: expected 1 to 255 visible ASCII characters")
    key = values[0].decode("ascii")
    fingerprint = _digest((*request, *_identity(principal)))
    return Once("default", principal.tenant, principal.kind, principal.subject, key, fingerprint, fresh.run())


def _identity(principal: Principal) -> tuple[bytes, bytes]:
    claims = {name: value for name, value in principal.claims.items() if name not in _OF_THE_TOKEN}
    try:
        return json.dumps(sorted(principal.roles)).encode(), json.dumps(claims, sort_keys=True).encode()
    except RecursionError as error:
        raise InvalidRequest(f"{HEADER}: the claims of your token are nested too deeply for it") from error


def _digest(parts: Sequence[bytes]) -> bytes:
    """Each part with its length, so that no two lists of parts are told as one."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
