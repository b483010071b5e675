"""What the driver tells of itself: how long commands take, and how its connections stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import AsyncMongoClient, monitoring

from permission_mongo.observations import Commanded, Observation, PoolStands
from permission_mongo.values import Document


class Commands(monitoring.CommandListener):
    """Each command and how it ended. No part of a command or of an answer is looked at but its name.

    The driver makes events for it, which costs some 20 us of CPU a command.
    """

    def __init__(self, observe: Callable[[Observation], None]) -> None:
        self._observe = observe

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        return

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._observe(Commanded(event.command_name, "ok", event.duration_micros / 1e6))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._observe(Commanded(event.command_name, "failed", event.duration_micros / 1e6))


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
