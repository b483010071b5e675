"""The floor of everything: an ASGI application of a few lines, as a process of its own, under the same uvicorn."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.floor import serve
from permission_mongo.api.server import listen

_BODY: Final = b'{"status":"ok"}'
_HEADERS: Final = [(b"content-length", str(len(_BODY)).encode()), (b"content-type", b"application/json")]


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """Says to whatever is asked what the gateway says at /health."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    serve(raw, listen("127.0.0.1", 0), lifespan="off")
