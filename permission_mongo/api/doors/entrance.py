"""What a door adds to the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from permission_mongo.api.calls import Call
from permission_mongo.api.manners import Manner


@dataclass(frozen=True, slots=True)
class Entrance:
    """Its routes (method, path, endpoint), and how their callers speak."""

    routes: tuple[tuple[str, str, Callable[[Call], Awaitable[Response]]], ...]
    manner: Manner
