"""A secret and tokens for a first run: made by the gateway itself, beside the embedded server's data."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt


def development_secret(folder: Path) -> str:
    """The folder's own secret, made at first use (256 random bits, mode 0600)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "auth-secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = secrets.token_urlsafe(32)
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return secret


def make_token(
    secret: str, algorithm: str, subject: str, roles: Iterable[str], expires: int, claims: Mapping[str, Any]
) -> str:
    """A signed token. `expires` is a POSIX time in seconds; `claims` are added as they are."""
    payload = {**claims, "sub": subject, "roles": sorted(roles), "exp": expires}
    return jwt.encode(payload, secret, algorithm=algorithm)
