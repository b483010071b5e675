"""What a gateway does with its database at start, tried again while the servers change their places."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from pymongo.errors import OperationFailure, PyMongoError

from permission_mongo.errors import StartupFailure, Unavailable
from permission_mongo.storage.faults import refusal_of

T = TypeVar("T")
PATIENCE: Final = 15.0  # seconds: an election takes some
_PAUSE: Final = 0.25
_MADE_BY_ANOTHER: Final = 48  # NamespaceExists: another gateway that starts as well made the collection first


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` yields, which is begun anew each time. StartupFailure where it can't be done, or not for long."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return await work()
        except PyMongoError as error:
            if not passes(error):
                raise StartupFailure(f"MongoDB refused what the gateway needs at start: {_name(error)}") from error
            if monotonic() > until:
                raise StartupFailure(
                    "MongoDB has no primary that serves, or changes its primary; start the gateway again in a moment"
                ) from error
        await asyncio.sleep(_PAUSE)


def passes(error: PyMongoError) -> bool:
    """Whether it is one of a server that starts, ends or changes its place."""
    made = isinstance(error, OperationFailure) and error.code == _MADE_BY_ANOTHER
    return made or isinstance(refusal_of(error), Unavailable)


def _name(error: PyMongoError) -> str:
    """Without the server's text, which holds hosts and values."""
    told = (error.details or {}).get("codeName") if isinstance(error, OperationFailure) else None
    return str(told or type(error).__name__)
