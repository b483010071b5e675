"""One call to a receiver: signed, within its time, to a permitted address, and its answer read up to a bound.

Redirects are not followed, and proxies of the environment not used: both would lead elsewhere than what was checked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Final

import httpcore

from permission_mongo import __version__
from permission_mongo.addresses import Network
from permission_mongo.hooks import Receiver
from permission_mongo.observations import Called, Observation
from permission_mongo.outgoing.connecting import Barred, GuardedBackend
from permission_mongo.outgoing.signing import signature
from permission_mongo.spans import Spans

MOST_READ: Final = 64 * 1024  # bytes of an answer
_MOST_CONNECTIONS: Final = 32
_KEPT: Final = 8
_KEPT_FOR: Final = 10.0  # seconds


class CallFailed(Exception):
    """No answer that counts. `reason` is one of a few words, and tells nothing of the address or the receiver."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer."""

    status: int
    body: bytes = field(repr=False)


@cache
def _trusted_here() -> ssl.SSLContext:
    """What this machine trusts. To read it takes some 40 ms, and only who calls somebody needs it."""
    return ssl.create_default_context()


class Caller:
    """Calls receivers. Open as long as the gateway is."""

    def __init__(
        self,
        allowed: tuple[Network, ...],
        trusted: ssl.SSLContext | None = None,
        observe: Callable[[Observation], None] = lambda _: None,
        spans: Spans | None = None,
    ) -> None:
        self._allowed, self._trusted = allowed, trusted
        self._observe = observe
        self._spans = spans
        self._opened: httpcore.AsyncConnectionPool | None = None

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        if self._opened is None:
            self._opened = httpcore.AsyncConnectionPool(
                ssl_context=self._trusted or _trusted_here(),
                max_connections=_MOST_CONNECTIONS,
                max_keepalive_connections=_KEPT,
                keepalive_expiry=_KEPT_FOR,
                network_backend=GuardedBackend(self._allowed),
            )
        return self._opened

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def call(self, receiver: Receiver, message: str, at: int, body: bytes) -> Reply:
        """Tell the receiver `body` at the POSIX second `at`. CallFailed for anything but a 2xx answer in time."""
        started, outcome = perf_counter(), "failed"
        try:
            reply = await self._traced(receiver, message, at, body)
            outcome = "answered"
            return reply
        finally:
            self._observe(Called(receiver.name, outcome, perf_counter() - started))

    async def _traced(self, receiver: Receiver, message: str, at: int, body: bytes) -> Reply:
        if self._spans is None:
            return await self._bounded(receiver, message, at, body)
        with self._spans.calling(receiver.name) as span:
            try:
                reply = await self._bounded(receiver, message, at, body)
                span.tell("http.response.status_code", reply.status)
                return reply
            except CallFailed as failure:
                span.fail(failure.reason)
                raise

    async def _bounded(self, receiver: Receiver, message: str, at: int, body: bytes) -> Reply:
        try:
            async with asyncio.timeout(receiver.timeout):
                return await self._called(receiver, message, at, body)
        except TimeoutError as error:
            raise CallFailed("no answer in time") from error
        except Barred as error:
            raise CallFailed("the address may not be called") from error
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            reason = "the certificate is not trusted" if _is_of_tls(error) else "no connection"
            raise CallFailed(reason) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise CallFailed("the connection broke") from error

    async def _called(self, receiver: Receiver, message: str, at: int, body: bytes) -> Reply:
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("user-agent", f"permission-mongo/{__version__}"),
            ("accept-encoding", "identity"),
            ("webhook-id", message),
            ("webhook-timestamp", str(at)),
            ("webhook-signature", signature(receiver.secret, message, at, body)),
            *receiver.headers,
        ]
        async with self._pool.stream(receiver.method, receiver.url, headers=headers, content=body) as response:
            if not 200 <= response.status < 300:
                raise CallFailed(f"status {response.status}")
            return Reply(response.status, await _read(response))


async def _read(response: httpcore.Response) -> bytes:
    read = bytearray()
    async for piece in response.aiter_stream():
        read += piece
        if len(read) > MOST_READ:
            raise CallFailed("the answer is too long")
    return bytes(read)


def _is_of_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
