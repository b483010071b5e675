"""A path to a server on which answers can get lost: the server has done what it was asked, and nobody is told. And on
which it can be asked late, when nobody waits any more.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import bson

_HEAD = struct.Struct("<iiii")  # length, request, request answered, kind of message
_OP_MSG = 2013


class LossyPath:
    """Hands messages on in both directions; `lose` says whose answers cost the connection instead."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.lost = 0
        self._host, self._server_port = host, port
        self._losing: frozenset[str] = frozenset()
        self._times = 0
        self._holding: frozenset[str] = frozenset()
        self._seconds = 0.0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, *commands: str, seconds: float) -> None:
        """The next of these commands in a transaction arrives so much later. What a gateway does by itself is in none."""
        self._holding, self._seconds = frozenset(commands), seconds

    def lose(self, *commands: str, times: int = 1) -> None:
        """The next so many answers to these commands."""
        self._losing, self._times = frozenset(commands), times

    async def serve(self, ready: threading.Event, ending: asyncio.Event) -> None:
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await ending.wait()
        for writer in self._writers:
            writer.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Kept, for a task that ends before its first step closes nothing."""
        self._writers.append(writer)
        task = asyncio.create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_server, at_server = await asyncio.open_connection(self._host, self._server_port)
        except OSError:
            writer.close()
            return
        self._writers.append(at_server)
        doomed: set[int] = set()
        there = asyncio.create_task(self._there(reader, at_server, doomed))
        back = asyncio.create_task(self._back(to_server, writer, doomed))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            writer.close()
            at_server.close()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: set[int]) -> None:
        while True:
            head, rest = await _message(reader)
            _, request, _, kind = head
            if self._times > 0 and kind == _OP_MSG and next(iter(_command(rest)), "") in self._losing:
                self._times -= 1
                doomed.add(request)
            if kind == _OP_MSG and self._holding and _is_one_of(self._holding, rest):
                self._holding = frozenset()
                await asyncio.sleep(self._seconds)
            writer.write(_HEAD.pack(*head) + rest)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: set[int]) -> None:
        while True:
            head, rest = await _message(reader)
            if head[2] in doomed:
                self.lost += 1
                return
            writer.write(_HEAD.pack(*head) + rest)
            await writer.drain()


async def _message(reader: asyncio.StreamReader) -> tuple[tuple[int, int, int, int], bytes]:
    head = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    return head, await reader.readexactly(head[0] - _HEAD.size)


def _command(rest: bytes) -> dict[str, object]:
    """The section that holds the command: flags, the section's kind, a document."""
    size = int.from_bytes(rest[5:9], "little")
    return bson.decode(rest[5 : 5 + size]) if rest[4] == 0 else {}


def _is_one_of(names: frozenset[str], rest: bytes) -> bool:
    """Whether it is a command of such a name, in a transaction."""
    command = _command(rest)
    return next(iter(command), "") in names and "autocommit" in command


class Path(Protocol):
    """Takes connections on a port of its own until it is told to end."""

    async def serve(self, ready: threading.Event, ending: asyncio.Event) -> None: ...


@contextmanager
def a_lossy_path(host: str, port: int) -> Iterator[LossyPath]:
    path = LossyPath(host, port)
    with at_work(path):
        yield path


@contextmanager
def at_work(path: Path) -> Iterator[None]:
    """In a thread with a loop of its own."""
    ready, ending = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve_until_the_end() -> None:
        await path.serve(ready, ending)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(3):  # what was closed is let go of in the loop's next rounds
            await asyncio.sleep(0)

    def run() -> None:
        with closing(loop):
            loop.run_until_complete(serve_until_the_end())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
