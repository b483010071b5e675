"""What all connections of one process go by: their bounds, whether the gateway ends, and who is turned away."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import monotonic
from typing import Final

from permission_mongo.api.calls import fresh_request_id
from permission_mongo.api.render import complete, refuse
from permission_mongo.api.streams import Streams
from permission_mongo.config.model import Server
from permission_mongo.errors import Refusal
from permission_mongo.observations import Observation, TurnedAway

_LOG: Final = logging.getLogger("permission_mongo.socket")
_PAUSE: Final = 10.0  # seconds between two lines of the log about one reason: whoever floods does not fill the disk


class Door:
    """`bounds` are those of the configuration that the process began with."""

    def __init__(self, bounds: Server, observe: Callable[[Observation], None], streams: Streams) -> None:
        self.bounds = bounds
        self._observe = observe
        self._streams = streams
        self._untold: Counter[str] = Counter()
        self._silent_until: dict[str, float] = {}

    @property
    def is_closing(self) -> bool:
        """Whether the gateway was told to end."""
        return self._streams.are_closing

    def turned_away(self, reason: str, peer: str | None) -> None:
        """Counted each time, and told in the log together with those that were not told yet."""
        self._observe(TurnedAway(reason))
        self._untold[reason] += 1
        now = monotonic()
        if now >= self._silent_until.get(reason, 0.0):
            self._silent_until[reason] = now + _PAUSE
            _LOG.warning("turned away (%s): %d, the last from %s", reason, self._untold.pop(reason), peer)


def last_answer(refusal: Refusal, common: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A refusal as it goes over the wire, after which the connection is closed. `common` headers are the server's."""
    response = complete(refuse(refusal), fresh_request_id())
    status = HTTPStatus(response.status_code)
    lines = [name + b": " + value for name, value in (*common, *response.raw_headers, (b"connection", b"close"))]
    first = f"HTTP/1.1 {status.value} {status.phrase}".encode()
    return b"\r\n".join([first, *lines, b"", bytes(response.body)])
