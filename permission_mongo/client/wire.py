"""Between a step of a conversation and httpx: a request is made of it, and of what came back an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from permission_mongo.client.call import Answer
from permission_mongo.client.conversation import Send
from permission_mongo.client.retries import Lost

# Before these nothing was sent.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)
MOST_BYTES: Final = 2**28  # of an answer; a gateway's own are far below
FAILURES: Final = (httpx.TransportError, httpx.InvalidURL)


class TooSlow(Exception):
    """The time for the whole call was over in the middle of an answer."""


def request_of(step: Send, address: str) -> httpx.Request:
    """Made by itself: nothing of an httpx client's own (cookies, parameters, credentials) is put in."""
    given = step.timeouts
    timeout = httpx.Timeout(connect=given.connect, read=given.read, write=given.write, pool=given.pool)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in step.headers.items()]
    extensions = {"timeout": timeout.as_dict()}
    return httpx.Request(step.method, address + step.target, headers=headers, content=step.body, extensions=extensions)


class Incoming:
    """The body of an answer while it comes in; it is for nobody to say that it never ends."""

    def __init__(self, clock: Callable[[], float], until: float) -> None:
        self._clock, self._until = clock, until
        self._parts: list[bytes] = []
        self._length = 0

    def take(self, part: bytes) -> bool:
        """Whether more is wanted. TooSlow where the time is over."""
        if self._clock() >= self._until:
            raise TooSlow
        self._length += len(part)
        self._parts.append(part)
        return self._length <= MOST_BYTES

    def answer(self, response: httpx.Response) -> Answer:
        """Without its body where that is too long: it will not be understood, and is not asked for again."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = b"".join(self._parts) if self._length <= MOST_BYTES else b""
        return Answer(response.status_code, headers, body)


def lost(error: Exception) -> Lost:
    """Told by the kind of failure: its own text and its request may hold what is nobody's to read."""
    told = f"no answer: {_WHY.get(type(error), 'the connection was lost')} ({type(error).__name__})"
    return Lost(told, arrived=not isinstance(error, _NOT_SENT))


_WHY: Final[dict[type[Exception], str]] = {
    httpx.ConnectError: "nobody takes connections there",
    httpx.ConnectTimeout: "no connection in time",
    httpx.PoolTimeout: "no connection was free in time",
    httpx.ReadTimeout: "it took too long",
    httpx.WriteTimeout: "the request could not be sent in time",
    TooSlow: "the time for this call is over",
}
