"""OpenTelemetry, the one module that knows it: it comes with the extra `tracing`, and is loaded where it is configured.

No span holds a path, a query, an id of a document, a statement or the text of an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import getrandbits
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from permission_mongo import __version__

_TRACES: Final = "/v1/traces"
_TIMEOUT: Final = 5.0  # seconds of one attempt to send
_PARENT: Final = TraceContextTextMapPropagator()


def spans_to(endpoint: str, ratio: float) -> OpenTelemetrySpans:
    """Spans of this part of the traces, sent there. OTEL_* variables of the environment tell headers and sizes."""
    # A caller that is sampled itself must not make us trace more than the ratio; one that is not is left out.
    by_ratio = TraceIdRatioBased(ratio)
    sampler = ParentBased(by_ratio, remote_parent_sampled=_ByDraw(ratio), remote_parent_not_sampled=ALWAYS_OFF)
    resource = Resource.create({"service.name": "permission-mongo", "service.version": __version__})
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=_address(endpoint), timeout=_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetrySpans(provider)


class _ByDraw(TraceIdRatioBased):
    """Of a trace whose id a caller chose: it decides nothing, or one id would have every request traced."""

    def should_sample(self, parent_context: Any, trace_id: int, *more: Any, **named: Any) -> SamplingResult:
        return super().should_sample(parent_context, getrandbits(64), *more, **named)


def _address(endpoint: str) -> str:
    """Of a collector the address of its traces; one with a path is taken as it is."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _TRACES


class _Span:
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def trace(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    def tell(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()


class OpenTelemetrySpans:
    """`Spans` as of OpenTelemetry's conventions for HTTP and databases."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("permission_mongo", __version__)

    @contextmanager
    def serving(self, method: str, route: str, parent: Mapping[str, str]) -> Iterator[_Span]:
        above = _PARENT.extract(parent, context.Context()) if parent else context.Context()
        about = {"http.request.method": method, "http.route": route}
        span = self._tracer.start_span(f"{method} {route}", above, SpanKind.SERVER, about)
        with _under_way(span):
            yield _Span(span)

    @contextmanager
    def calling(self, receiver: str) -> Iterator[_Span]:
        about = {"http.request.method": "POST", "permission_mongo.hook": receiver}
        span = self._tracer.start_span(f"hook {receiver}", kind=SpanKind.CLIENT, attributes=about)
        with _under_way(span):
            yield _Span(span)

    def commanding(self, command: str, collection: str | None) -> _Span | None:
        if not trace.get_current_span().is_recording():
            return None
        about = {"db.system.name": "mongodb", "db.operation.name": command}
        if collection is not None:
            about["db.collection.name"] = collection
        name = command if collection is None else f"{command} {collection}"
        return _Span(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=about))

    def close(self) -> None:
        self._provider.shutdown()


@contextmanager
def _under_way(span: trace.Span) -> Iterator[None]:
    """What is begun meanwhile in this task, and in those it makes, stands below. No error's text is kept of it."""
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield
