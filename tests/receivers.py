"""A receiver of hooks on a real socket, which keeps what it was told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from permission_mongo.outgoing.signing import signature

SECRET = "a secret of a hook that nobody tells"
CANARY = "pmCanaryOfAHook0123456789abcdef"


@dataclass
class Heard:
    """One request, as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self):
        return json.loads(self.body)

    def is_signed(self, secret: str = SECRET) -> bool:
        message, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        return self.headers["webhook-signature"] == signature(secret.encode(), message, at, self.body)


@dataclass
class Receiver:
    """`answer` makes the status and the body; `pause` is what it takes over each, in seconds."""

    port: int = 0
    answer: Callable[[Heard], tuple[int, bytes]] = lambda heard: (200, b"")
    pause: float = 0.0
    heard: list[Heard] = field(default_factory=list)
    extra: str = ""
    _server: asyncio.Server | None = None
    _trusted: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._trusted else 'http'}://127.0.0.1:{self.port}/told"

    @property
    def told(self) -> list:
        return [one.said for one in self.heard]

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._trusted)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def until(self, count: int, seconds: float = 15.0) -> list:
        """What it was told, once that is so many."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.told

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            one = Heard(line, headers, body)
            status, answer = self.answer(one)
            await asyncio.sleep(self.pause)
            self.heard.append(one)
            text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n{self.extra}\r\n"
            writer.write(text.encode() + answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_receiver(**options) -> AsyncIterator[Receiver]:
    receiver = Receiver(**options)
    await receiver.open()
    try:
        yield receiver
    finally:
        await receiver.close()
