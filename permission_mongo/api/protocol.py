"""One connection: uvicorn's protocol with deadlines, bounds and one way to read a request.

A deadline is absolute: bytes that trickle in do not move it. Who is turned away is told why, behind the answers to
the requests before, and nothing that comes after is looked at.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from permission_mongo.api.door import Door, last_answer
from permission_mongo.api.errors import RequestTimeout
from permission_mongo.api.heads import Fault, fault_of_head, too_large
from permission_mongo.api.joining import Joined
from permission_mongo.errors import InvalidRequest, Unavailable

_SLICE: Final = 16 * 2**10  # bytes that the parser is given at once: a head without an end is met after so many
_LINGER: Final = 2.0  # seconds for a last answer to be taken
_IDLE: Final = 0.5  # seconds in which an idle connection may begin one more request when the gateway ends
_LITTLE: Final = 256 * 2**10  # bytes of a body that nobody wants, which are let pass by for the sake of the connection
_MOST_PIPELINED: Final = 64
_BEYOND: Final = 64  # connections that are still told that there are too many
# A chunk of one byte costs six. Beyond this it is extensions and trailers, which carry nothing.
_OVERHEAD: Final = 16 * 2**10
_OVERHEAD_A_BYTE: Final = 8


class _Stop(Exception):
    """Ends the parser's work: the connection was turned away."""


class GuardedProtocol(HttpToolsProtocol):
    """Between requests, in a head or in a body; `_due` answers are still owed."""

    _joined: Joined

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._door: Door = self.app_state["door"]
        self._bounds = self._door.bounds
        self._part = "between"
        self._due = 0
        self._head = self._fed = self._content = 0  # bytes of the head, of the body with its framing, of the body
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._began = self._is_deaf = False
        self._last: Fault | None = None

    # -- what comes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._joined = Joined(transport, self.loop)
        beyond = len(self.connections) - self._bounds.max_connections
        if beyond > _BEYOND:
            self._door.turned_away("connections", self._peer)
            transport.abort()
        elif beyond > 0:
            self._turn_away(("connections", Unavailable("too many connections")))
        else:
            self._arm(self._bounds.header_timeout)  # from here on: silence is closed too
            if self._door.is_closing:
                self.shutdown()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        try:
            for start in range(0, len(data), _SLICE):
                self._feed(data[start : start + _SLICE] if len(data) > _SLICE else data)
        except httptools.HttpParserUpgrade:
            # The request is answered as any other; what comes behind it would be of another protocol.
            self._hear_no_more()
        except httptools.HttpParserError:
            # The parser's word for whatever was raised inside it, too.
            self._turn_away(("malformed", InvalidRequest("this is no HTTP request")))
        except _Stop:
            pass
        self._watch()

    def _feed(self, data: bytes) -> None:
        before, self._began = self._part, False
        self.parser.feed_data(data)
        if self._part == "head" == before and not self._began:
            self._head += len(data)
            if self._head > self._bounds.max_header_bytes:
                self._stop(too_large(self._bounds.max_header_bytes))
        elif self._part == "body" == before and not self._began:
            self._fed += len(data)
            if self._fed - self._content > _OVERHEAD + _OVERHEAD_A_BYTE * self._content:
                self._stop(("framing", InvalidRequest("the body is more framing than content")))

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._stop(("pipeline", InvalidRequest(f"at most {_MOST_PIPELINED} requests ahead of their answers")))
        self._part, self._began, self._head = "head", True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        fault = fault_of_head(method, self.url, version, self.headers, self._bounds.max_header_bytes)
        if fault is not None:
            self._stop(fault)
        super().on_headers_complete()
        self.cycle.transport = self._joined  # type: ignore[assignment]
        self.headers = []  # what comes behind the body is no header of the request, whatever it is called
        self._disarm()
        self._part, self._fed, self._content = "body", 0, 0
        self._due += 1
        if self._door.is_closing:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.headers:
            self._stop(("framing", InvalidRequest("trailers are not taken")))
        self._disarm()
        self._part = "between"
        super().on_message_complete()
        if self.cycle.response_complete:
            self._await_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_deaf = True
        self._disarm()
        self._stop_writing_watch()
        super().connection_lost(exc)

    # -- what goes

    def on_response_complete(self) -> None:
        self._joined.flush()
        self._due -= 1
        left_over = self._part == "body" and self.cycle.response_complete and not self._is_little()
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()  # what nobody takes would keep it open
            return
        if left_over:
            self._hear_no_more()  # of a body that was refused; it may be of any length
        if self._is_deaf:
            self._unset_keepalive_if_required()
            if not self._due:
                self._leave()
        elif self._part != "between":
            self._unset_keepalive_if_required()
            self._watch()

    def _is_little(self) -> bool:
        """Whether what is left of a body is small and sure to come."""
        lengths = [value for name, value in self.scope["headers"] if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) <= _LITTLE and not self.expect_100_continue

    def _await_next(self) -> None:
        after = self.timeout_keep_alive
        self.timeout_keep_alive_task = self.loop.call_later(after, self.timeout_keep_alive_handler)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing_watch()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def shutdown(self) -> None:
        """The gateway ends. Who is owed an answer gets it, and who is idle a moment for a request on its way."""
        if self._due:
            self.cycle.keep_alive = False
        elif not self._is_deaf:
            self._arm(_IDLE)

    # -- being turned away

    @property
    def _peer(self) -> str | None:
        return self.client[0] if self.client else None

    def _stop(self, fault: Fault) -> None:
        """From inside the parser."""
        self._turn_away(fault)
        raise _Stop

    def _turn_away(self, fault: Fault) -> None:
        if self._is_deaf:
            return
        self._door.turned_away(fault[0], self._peer)
        self._last = fault
        if self._part == "body":
            self._give_up_body()
        self._hear_no_more()

    def _give_up_body(self) -> None:
        """The request whose body fails is answered by that alone, unless its own answer has begun."""
        cycle = self.cycle
        if cycle.response_started:
            self._last = None
            if not cycle.response_complete:
                self.transport.abort()
            return
        self._due -= 1
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        cycle.disconnected = True
        cycle.message_event.set()

    def _hear_no_more(self) -> None:
        self._is_deaf = True
        self._disarm()
        if not self._due:
            self._leave()

    def _leave(self) -> None:
        """Say the last word and close, but not in its midst: with bytes unread, a close would take back the answer."""
        if self.transport.is_closing():
            return
        if self._last is not None:
            self.transport.write(last_answer(self._last[1], self.server_state.default_headers))
        self.flow.resume_reading()
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER, self.transport.abort)

    # -- time

    def _watch(self) -> None:
        """Bytes that came and are no whole request yet have a deadline. An answer has none here."""
        if self._timer is not None or self._is_deaf:
            return
        if self._part == "body":
            self._arm(self._bounds.body_timeout)
        elif self._part == "head" or not (self._due or self.timeout_keep_alive_task):
            self._arm(self._bounds.header_timeout)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._expired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            self._watch()  # it is the gateway that does not read
        elif self._part == "body":
            self._turn_away(("body_time", RequestTimeout("the body did not arrive in time")))
        elif self._door.is_closing:
            self._end_idle()
        elif self._part == "head":
            self._turn_away(("head_time", RequestTimeout("the head did not arrive in time")))
        else:
            self._door.turned_away("head_time", self._peer)
            self.transport.close()

    def _end_idle(self) -> None:
        if self._part == "head":
            self._turn_away(("ending", Unavailable("the gateway ends")))
        elif not self._due:
            self.transport.close()

    def _watch_writing(self) -> None:
        if self._writing is None and self.transport.get_write_buffer_size():
            self._writing = self.loop.call_later(self._bounds.write_timeout, self._unread)

    def _stop_writing_watch(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _unread(self) -> None:
        self._writing = None
        self._door.turned_away("write_time", self._peer)
        self.transport.abort()
