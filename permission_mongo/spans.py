"""What the rooms tell a trace. Where tracing is off there are no `Spans` at all, and nothing is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Final, Protocol

from permission_mongo.errors import StartupFailure

_TO_SEND: Final = 3.0  # seconds that the end waits for a collector


class Span(Protocol):
    """A piece of work with a beginning and an end. It is told names, numbers and codes, and no value of a document."""

    @property
    def trace(self) -> str:
        """The id of the trace, 32 hex digits."""

    def tell(self, name: str, value: str | int) -> None: ...

    def fail(self, kind: str) -> None:
        """It failed, in a word."""

    def end(self) -> None: ...


class Spans(Protocol):
    """Makes spans, each below the one that is under way in the same task."""

    def serving(self, method: str, route: str, parent: Mapping[str, str]) -> AbstractContextManager[Span]:
        """A request, below the caller's own span if `parent` has the headers of W3C Trace Context that name it."""

    def calling(self, receiver: str) -> AbstractContextManager[Span]:
        """A call to the receiver of a hook."""

    def commanding(self, command: str, collection: str | None) -> Span | None:
        """A command to MongoDB, to be ended by the caller; None outside of a request that is traced."""

    def close(self) -> None:
        """Send what waits. It blocks, for some seconds at most."""


@asynccontextmanager
async def sent_to(endpoint: str | None, ratio: float) -> AsyncIterator[Spans | None]:
    """Spans of this part of the requests, sent to the collector there; None without an endpoint.

    StartupFailure where traces are wanted and nothing is installed that makes them.
    """
    if endpoint is None:
        yield None
        return
    try:
        tracing = import_module("permission_mongo.tracing")
    except ModuleNotFoundError as error:
        raise StartupFailure(
            "tracing.otlp_endpoint needs OpenTelemetry: pip install 'permission-mongo[tracing]'"
        ) from error
    spans: Spans = tracing.spans_to(endpoint, ratio)
    try:
        yield spans
    finally:
        await _closed(spans)


async def _closed(spans: Spans) -> None:
    """In a thread that nobody waits for longer: a collector that is away takes its time."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        spans.close()
        with suppress(RuntimeError):  # the loop may have ended before
            loop.call_soon_threadsafe(over.set)

    Thread(target=close, daemon=True, name="traces").start()
    with suppress(TimeoutError):
        async with asyncio.timeout(_TO_SEND):
            await over.wait()
