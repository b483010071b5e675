"""A closed loop of HTTP/1.1 requests on kept connections: as little client as there can be, so that it measures little.

Each connection sends its next request when its last answer is complete. Answers must carry a content length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter
from typing import Any, Final

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "  # our own servers write it in small letters
_PATIENCE: Final = 60.0  # seconds, beyond the time a round is given


class Unexpected(Exception):
    """An answer that is not the one measured."""


def request_bytes(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    return request_with(method, path, {"authorization": f"Bearer {token}"}, body)


def request_with(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The same for who is told otherwise who asks, or not at all."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request under way."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, chunk: bytes) -> None:
        self._received = received = self._received + chunk if self._received else chunk
        end = received.find(_HEAD_END)
        if end < 0 or self._answered is None:
            return
        at = received.find(_LENGTH)
        at = (received[:end].lower().index(_LENGTH) if at < 0 else at) + len(_LENGTH)
        length = int(received[at : received.index(b"\r", at)])
        if len(received) >= end + 4 + length:
            self._received = b""
            self._answered.set_result((int(received[9:12]), received[end + 4 :]))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        self._transport.close()


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. `seconds` from the first request to the last answer, `times` those of each answer, sorted."""

    answers: int
    seconds: float
    times: list[float]

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds

    def milliseconds(self, part: float) -> float:
        """What so large a part of the answers came within: 0.5 is the median."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * part))] * 1000


class Load:
    """Some connections to one server and the requests they send in turn."""

    def __init__(self, connections: list[_Connection], requests: list[bytes]) -> None:
        self._connections = connections
        self._requests: Iterator[bytes] = cycle(requests)

    async def run(self, seconds: float, most: int) -> Round:
        """A round of at most so many seconds and so many requests. Unexpected for any answer but 200 and 201."""
        started = perf_counter()
        ends, left, times = started + seconds, most, list[float]()

        async def keep_asking(connection: _Connection) -> None:
            nonlocal left
            now = perf_counter()
            while left > 0 and now < ends:
                left -= 1
                status, body = await connection.ask(next(self._requests))
                if status not in (200, 201):
                    raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
                asked, now = now, perf_counter()
                times.append(now - asked)

        async with asyncio.timeout(seconds + _PATIENCE):
            await asyncio.gather(*(keep_asking(one) for one in self._connections))
        return Round(len(times), perf_counter() - started, sorted(times))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """One request by itself: its status and body."""
        async with asyncio.timeout(_PATIENCE):
            return await self._connections[0].ask(request)


@asynccontextmanager
async def connected(port: int, connections: int, requests: list[bytes]) -> AsyncIterator[Load]:
    """A Load on so many connections, closed at the end."""
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(connections)]
    try:
        yield Load(opened, requests)
    finally:
        for one in opened:
            one.close()
