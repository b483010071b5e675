"""An answer's head and the first part of its body, written together."""

from __future__ import annotations

import asyncio
from typing import Final

_HEAD: Final = b"HTTP/1.1 "
_TOGETHER: Final = 64 * 2**10  # bytes that are copied for the sake of one write


class Joined:
    """The transport as a request's cycle sees it: an answer's head goes with the first part of its body, and not before
    it. Two small writes wake whoever reads twice.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head and len(data) <= _TOGETHER:
            data, self._head = self._head + data, b""
        elif data[: len(_HEAD)] == _HEAD:
            self._head += data
            self._loop.call_soon(self.flush)  # a body that takes its time is not waited for
            return
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self.flush()
        self._transport.close()
