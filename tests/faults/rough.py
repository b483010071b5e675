"""A path to a server that can be slow, or silent: nothing arrives and nothing is closed until it heals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tests.faults.lossy import at_work

_LOOK = 0.005  # seconds between two looks at whether it is silent still
Hole = Literal["held", "lost"]


class RoughPath:
    """Hands bytes on in both directions, each piece `delay` seconds late.

    While there is a hole none pass. Afterwards those that were "held" do, as where the network sends again; or the
    connections that met it are "lost", silent for ever, as behind a router that has forgotten them.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.delay = 0.0
        self._host, self._server_port = host, port
        self._hole: Hole | None = None

    @contextmanager
    def hole(self, kind: Hole) -> Iterator[None]:
        self._hole = kind
        try:
            yield
        finally:
            self._hole = None

    async def serve(self, ready: threading.Event, ending: asyncio.Event) -> None:
        async with await asyncio.start_server(self._connection, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await ending.wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_server, at_server = await asyncio.open_connection(self._host, self._server_port)
        except OSError:
            writer.close()
            return
        is_lost = asyncio.Event()
        ways = {
            asyncio.create_task(self._hand_on(reader, at_server, is_lost)),
            asyncio.create_task(self._hand_on(to_server, writer, is_lost)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            at_server.close()

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        """Until one end closes; what was lost is read on, so that this is seen."""
        while piece := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            while self._hole is not None:
                if self._hole == "lost":
                    is_lost.set()
                await asyncio.sleep(_LOOK)
            if not is_lost.is_set():
                writer.write(piece)
                await writer.drain()


@contextmanager
def a_rough_path(host: str, port: int) -> Iterator[RoughPath]:
    path = RoughPath(host, port)
    with at_work(path):
        yield path
