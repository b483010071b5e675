"""Connections on which an answer is waited for by one future and one timer.

The driver waits for each answer with two tasks, one that reads and one that looks twice a second whether the
connection was called off, and where there is a deadline it writes in a third: together a quarter of what a command
costs. What it does with a connection is left as it is; here is another way to wait, in a pool that the driver is told
to use (`_pool_class`, which it has for that).
"""

from __future__ import annotations

import asyncio
from os import getpid
from time import monotonic
from typing import Any, Final

from pymongo import _csot
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.errors import ProtocolError, _OperationCancelled
from pymongo.message import _UNPACK_REPLY
from pymongo.pool_shared import PoolState

_FRESH: Final = 1.0  # seconds; of a connection idle for longer the driver looks whether it was closed
_LOOK: Final = 0.5  # seconds between two looks whether a connection was called off, as the driver has it


class _Watch:
    """Ends a wait for an answer: when its deadline has passed, or when the connection is called off."""

    __slots__ = ("_connection", "_ends", "_loop", "_timer")

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        timeout = connection.conn.gettimeout
        if _csot.get_timeout():
            self._ends: float | None = _csot.get_deadline()
        else:
            self._ends = monotonic() + timeout if timeout else None
        self._timer = self._loop.call_later(self._wait(), self._look)

    def _wait(self) -> float:
        return _LOOK if self._ends is None else max(0.0, min(_LOOK, self._ends - monotonic()))

    def _look(self) -> None:
        protocol = self._connection.conn.get_conn
        if self._connection.cancel_context.cancelled:
            protocol.close(_OperationCancelled("operation cancelled"))
        elif self._ends is not None and monotonic() >= self._ends:
            protocol.close(TimeoutError("timed out"))
        else:
            self._timer = self._loop.call_later(self._wait(), self._look)

    def end(self) -> None:
        self._timer.cancel()


class QuickConnection(AsyncConnection):
    """One of a `QuickPool`, once the driver has greeted the server on it."""

    async def send_message(self, message: bytes, max_doc_size: int) -> None:
        """Hand it to the transport, which never waits. DocumentTooLarge and ConnectionFailure as the driver."""
        if max_doc_size > self.max_bson_size:  # as said by the server that was greeted
            await super().send_message(message, max_doc_size)
            return
        try:
            await self.conn.get_conn.write(message)
        except BaseException as error:  # a request that is cancelled closes its connection too
            await self._raise_connection_failure(error)

    async def receive_message(self, request_id: int | None) -> Any:
        """The answer to a request, whole. ConnectionFailure closes the connection, as does a cancellation."""
        watch = _Watch(self)
        try:
            data, op_code = await self.conn.get_conn.read(request_id, self.max_message_size)
            unpack = _UNPACK_REPLY.get(op_code)
            if unpack is None:
                raise ProtocolError(f"Got opcode {op_code!r} but expected {_UNPACK_REPLY.keys()!r}")
            return unpack(data)
        except BaseException as error:
            await self._raise_connection_failure(error)
        finally:
            watch.end()


class QuickPool(Pool):
    """The driver's pool. Those connections by which it watches the servers wait as they always did.

    The driver locks five times to hand out a connection and to take it back, for it has threads in mind. Where nobody
    waits and nothing is unusual that takes no lock here: between two awaits nobody else of one event loop runs.
    """

    async def connect(self, handler: Any = None) -> AsyncConnection:
        connection = await super().connect(handler)
        if not self.is_sdam:
            connection.__class__ = QuickConnection
        return connection

    async def _get_conn(self, checkout_started_time: float, handler: Any = None) -> AsyncConnection:
        if not self.conns or not self._is_calm() or self.requests >= self.max_pool_size:
            return await super()._get_conn(checkout_started_time, handler)
        connection = self.conns[0]
        if not self._is_fresh(connection):
            return await super()._get_conn(checkout_started_time, handler)
        self.conns.popleft()
        self.operation_count += 1
        self.requests += 1
        self.active_sockets += 1
        self.active_contexts.add(connection.cancel_context)
        connection.active = True
        return connection

    async def checkin(self, conn: AsyncConnection) -> None:
        is_usual = not (conn.closed or conn.pinned_txn or conn.pinned_cursor or conn in self._pinned_sockets)
        if not is_usual or not self._is_calm() or self.size_cond._waiters or self._max_connecting_cond._waiters:
            await super().checkin(conn)
            return
        if self.stale_generation(conn.generation, conn.service_id):
            await super().checkin(conn)
            return
        conn.active = False
        self._checkin_apply(conn, False, False, False)

    def _is_calm(self) -> bool:
        """Whether it is open, nobody is in the middle of a change, and the process is the one it was made in."""
        return self.state == PoolState.READY and not self.lock.locked() and self.pid == getpid()

    def _is_fresh(self, connection: AsyncConnection) -> bool:
        """Whether it was in use a moment ago, and by this generation: of another one the driver looks what it is."""
        idle = connection.idle_time_seconds()
        longest = self.opts.max_idle_time_seconds
        return (
            idle < _FRESH
            and (longest is None or idle < longest)
            and not self.stale_generation(connection.generation, connection.service_id)
        )
