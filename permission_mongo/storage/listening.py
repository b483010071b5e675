"""What the driver tells of itself: how long commands take, and how its connections stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from permission_mongo.observations import Commanded, Observation, PoolStands
from permission_mongo.spans import Span, Spans
from permission_mongo.values import Document

_MOST_UNDER_WAY: Final = 1000


class Timing(CommandListener):
    """Each command and how it ended. No part of a command or of an answer is looked at but its name.

    The driver makes events for it, which costs some 20 us of CPU a command.
    """

    def __init__(self, observe: Callable[[Observation], None]) -> None:
        self._observe = observe

    def started(self, event: CommandStartedEvent) -> None:
        return

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._observe(Commanded(event.command_name, "ok", event.duration_micros / 1e6))

    def failed(self, event: CommandFailedEvent) -> None:
        self._observe(Commanded(event.command_name, "failed", event.duration_micros / 1e6))


class Tracing(CommandListener):
    """A span for each command of a traced request: the command's name and its collection's."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._under_way: dict[tuple[int, object], Span] = {}

    def started(self, event: CommandStartedEvent) -> None:
        named = event.command.get("collection" if event.command_name == "getMore" else event.command_name)
        span = self._spans.commanding(event.command_name, named if isinstance(named, str) else None)
        if span is None:
            return
        if len(self._under_way) >= _MOST_UNDER_WAY:
            # The driver tells of no end where a request was cancelled in the middle.
            self._under_way.pop(next(iter(self._under_way))).end()
        self._under_way[event.request_id, event.connection_id] = span

    def succeeded(self, event: CommandSucceededEvent) -> None:
        span = self._under_way.pop((event.request_id, event.connection_id), None)
        if span is not None:
            span.end()

    def failed(self, event: CommandFailedEvent) -> None:
        span = self._under_way.pop((event.request_id, event.connection_id), None)
        if span is not None:
            code: Any = event.failure.get("code")  # its text may hold values and hosts
            span.fail(str(code) if isinstance(code, int) else "no answer")
            span.end()


def listeners(timed: bool, observe: Callable[[Observation], None], spans: Spans | None) -> Sequence[CommandListener]:
    """None at all is what costs nothing."""
    timing = [Timing(observe)] if timed else []
    return [*timing, *([] if spans is None else [Tracing(spans)])]


def pool_stands(client: AsyncMongoClient[Document]) -> PoolStands:
    """How the connections to all servers stand just now.

    The driver has no public word for it but events, four an operation, which cost a read more than a twentieth. So its
    pools are looked at; a driver whose pools look otherwise is told of as if it had none.
    """
    topology: Any = getattr(client, "_topology", None)
    servers = getattr(topology, "_servers", {})
    pools = [one.pool for one in list(servers.values()) if hasattr(one, "pool")]
    in_use = sum(getattr(one, "active_sockets", 0) for one in pools)
    waiting = sum(max(0, getattr(one, "operation_count", 0) - getattr(one, "active_sockets", 0)) for one in pools)
    return PoolStands(in_use, sum(len(getattr(one, "conns", ())) for one in pools), waiting)
