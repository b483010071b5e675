"""The signature of the Standard Webhooks: https://www.standardwebhooks.com, symmetric, version 1."""

from __future__ import annotations

import base64
import hmac


def signature(secret: bytes, message: str, at: int, body: bytes) -> str:
    """The value of `webhook-signature`; `at` in POSIX seconds."""
    signed = b".".join((message.encode(), str(at).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"
