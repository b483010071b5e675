"""Observations folded into Prometheus metrics. docs/observability.md has the table of them."""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from permission_mongo import __version__
from permission_mongo.observations import (
    AuditDropped,
    AuditSealed,
    Batched,
    BlobMoved,
    BlobsSwept,
    Called,
    Commanded,
    ConfigRefused,
    ConfigTaken,
    Delivery,
    JobCarried,
    JobEnded,
    LinesDropped,
    LoopLag,
    NoConnection,
    Observation,
    OfAudit,
    OfHooks,
    OfProcess,
    OfWrites,
    OutboxStands,
    PoolStands,
    Refused,
    Remembering,
    SealingFailed,
    Served,
    TurnedAway,
    VersionsKept,
    Wrote,
    outcome_of,
)
from permission_mongo.standing import SHARED_FOLDER

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SECONDS_OF_COMMANDS: Final = (0.0005, *_SECONDS)
_SECONDS_OF_CALLS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_AT_ONCE: Final = 64  # observations that are folded in together
_WITH_EACH: Final = (Served, Wrote, Commanded)  # what comes with each request
_ITEMS: Final = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000)


class _Family:
    """Metrics of one registry. Every name begins alike."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"permission_mongo_{name}", about, labels, registry=self._registry)

    def _gauge(self, name: str, about: str, labels: Sequence[str] = (), *, of_several: str = "livesum") -> Gauge:
        """`of_several`: what is made of the numbers of several workers; those of dead ones no longer count."""
        return Gauge(
            f"permission_mongo_{name}",
            about,
            labels,
            registry=self._registry,
            multiprocess_mode=of_several,  # type: ignore[arg-type]
        )

    def _histogram(self, name: str, about: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(f"permission_mongo_{name}", about, labels, registry=self._registry, buckets=buckets)


class _Requests(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._served: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._count = self._counter("http_requests", "Requests answered", ["method", "route", "status"])
        self._seconds = self._histogram(
            "http_request_duration_seconds", "Time to answer", ["method", "route", "outcome"], _SECONDS
        )
        self._refusals = self._counter("refusals", "Requests refused, by code", ["action", "code"])
        self._turned_away = self._counter("connections_turned_away", "Connections closed at the socket", ["reason"])

    def serve(self, seen: Served) -> None:
        key = (seen.method, seen.route, seen.status)
        count, seconds = self._served.get(key) or self._serving(key)
        count.inc()
        seconds.observe(seen.seconds)

    def refuse(self, seen: Refused) -> None:
        self._refusals.labels(seen.action, seen.code).inc()

    def _serving(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        method, route, status = key
        found = self._count.labels(method, route, str(status)), self._seconds.labels(method, route, outcome_of(status))
        self._served[key] = found
        return found

    def turn_away(self, seen: TurnedAway) -> None:
        self._turned_away.labels(seen.reason).inc()


class _Writes(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._documents = self._counter("documents_written", "Documents written", ["collection", "verb"])
        self._written: dict[tuple[str, str], Counter] = {}
        self._versions = self._counter("versions_written", "States kept", ["collection"])
        self._batches = self._counter("batches", "Batches answered", ["verb", "outcome"])
        self._sizes = self._histogram("batch_size", "Items asked for in a batch", ["verb"], _ITEMS)
        self._items = self._counter("batch_items", "Items of batches", ["verb", "outcome"])
        self._running = self._gauge("jobs_running", "Jobs that are carried just now")
        self._ended = self._counter("jobs_ended", "Jobs ended", ["state"])
        self._blob_bytes = self._counter("blob_bytes", "Bytes of blobs", ["way"])
        self._swept = self._counter("blobs_swept", "Blobs removed that nothing named")

    def observe(self, seen: OfWrites) -> None:
        match seen:
            case Wrote(collection, verb, count):
                self._wrote(collection, verb).inc(count)
            case Batched():
                self._batch(seen)
            case VersionsKept(collection, count):
                self._versions.labels(collection).inc(count)
            case BlobMoved(way, size):
                self._blob_bytes.labels(way).inc(size)
            case BlobsSwept(count):
                self._swept.inc(count)
            case JobCarried(change):
                self._running.inc(change)
            case JobEnded(state):
                self._ended.labels(state).inc()
            case _:
                assert_never(seen)

    def _wrote(self, collection: str, verb: str) -> Counter:
        found = self._written.get((collection, verb))
        if found is None:
            found = self._written[collection, verb] = self._documents.labels(collection, verb)
        return found

    def _batch(self, seen: Batched) -> None:
        self._batches.labels(seen.verb, seen.outcome).inc()
        self._sizes.labels(seen.verb).observe(seen.asked)
        for outcome, count in (("done", seen.done), ("missing", seen.missing), ("failed", seen.failed)):
            if count and seen.outcome != "dry_run":
                self._items.labels(seen.verb, outcome).inc(count)


class _Audit(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._dropped = self._counter("audit_dropped", "Entries of refusals and reads lost", ["why"])
        self._sealed = self._counter("audit_sealed", "Audit entries sealed")
        self._unsealed = self._counter("audit_sealing_failed", "Looks for entries to seal that failed")

    def observe(self, seen: OfAudit) -> None:
        match seen:
            case AuditDropped(why, count):
                self._dropped.labels(why).inc(count)
            case AuditSealed(count):
                self._sealed.inc(count)
            case SealingFailed():
                self._unsealed.inc()
            case _:
                assert_never(seen)


class _Hooks(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._calls = self._histogram(
            "hook_call_duration_seconds", "Time of a call to a receiver", ["hook", "outcome"], _SECONDS_OF_CALLS
        )
        self._deliveries = self._counter("hook_deliveries", "Attempts to tell receivers", ["hook", "outcome"])
        # Each gateway counts the entries of all of them.
        self._outbox = self._gauge("outbox_entries", "Entries of the outbox", ["state"], of_several="mostrecent")

    def observe(self, seen: OfHooks) -> None:
        match seen:
            case Called(hook, outcome, seconds):
                self._calls.labels(hook, outcome).observe(seconds)
            case Delivery(hook, outcome):
                self._deliveries.labels(hook, outcome).inc()
            case OutboxStands(pending, dead):
                self._outbox.labels("pending").set(pending)
                self._outbox.labels("dead").set(dead)
            case _:
                assert_never(seen)


class _Config(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._reloads = self._counter("config_reloads", "Edits of the configuration", ["outcome"])
        self._policy = ""
        # Of workers that live: one that died with an edit refused must not be counted for ever.
        self._failed = self._gauge(
            "config_reload_failed",
            "1 while the files say what was refused, and an earlier configuration serves",
            of_several="livemax",
        )
        self._in_force = self._gauge(
            "config_in_force", "Workers that serve this schema and policy, by their digest", ["policy"]
        )

    def observe(self, seen: ConfigTaken | ConfigRefused) -> None:
        match seen:
            case ConfigTaken(policy, reloaded):
                self._take(policy, reloaded=reloaded)
            case ConfigRefused():
                self._failed.set(1)
                self._reloads.labels("refused").inc()

    def _take(self, policy: str, *, reloaded: bool) -> None:
        if policy != self._policy and self._policy:
            self._in_force.labels(self._policy).set(0)
        self._policy = policy
        self._in_force.labels(policy).set(1)
        self._failed.set(0)
        if reloaded:
            self._reloads.labels("taken").inc()


class _Process(_Family):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._commands = self._histogram(
            "mongodb_command_duration_seconds", "Time of a command", ["command", "outcome"], _SECONDS_OF_COMMANDS
        )
        self._of_command: dict[tuple[str, str], Histogram] = {}
        self._pool = self._gauge("mongodb_pool_connections", "Connections to MongoDB", ["state"])
        self._waiting = self._gauge("mongodb_pool_waiting", "Operations that wait for a connection")
        self._no_connection = self._counter("mongodb_checkout_timeouts", "Operations that got no connection in time")
        self._remembering = self._counter("remembered", "What was looked for among what is known", ["kind", "outcome"])
        self._lag = self._gauge("event_loop_lag_seconds", "How late a process comes to its work", of_several="livemax")
        self._lines = self._counter("log_lines_dropped", "Lines about requests that were left out of the log")
        self._gauge("build_info", "1, labelled by versions", ["version", "python"], of_several="max").labels(
            __version__, platform.python_version()
        ).set(1)

    def command(self, seen: Commanded) -> None:
        found = self._of_command.get((seen.command, seen.outcome))
        if found is None:
            found = self._commands.labels(seen.command, seen.outcome)
            self._of_command[seen.command, seen.outcome] = found
        found.observe(seen.seconds)

    def observe(self, seen: OfProcess) -> None:
        match seen:
            case Commanded():
                self.command(seen)
            case PoolStands(in_use, idle, waiting):
                self._pool.labels("in_use").set(in_use)
                self._pool.labels("idle").set(idle)
                self._waiting.set(waiting)
            case NoConnection():
                self._no_connection.inc()
            case Remembering(kind, found, made):
                self._remembering.labels(kind, "found").inc(found)
                self._remembering.labels(kind, "made").inc(made)
            case LoopLag(seconds):
                self._lag.set(seconds)
            case LinesDropped(count):
                self._lines.inc(count)
            case _:
                assert_never(seen)


class _Registry(CollectorRegistry):
    """Whoever collects from it finds all that was observed."""

    def __init__(self, fold: Callable[[], None]) -> None:
        super().__init__()
        self._fold = fold

    def collect(self) -> Iterable[Metric]:
        self._fold()
        return super().collect()


class Metrics:
    """One process's metrics; with several workers the text adds up all of them.

    What comes with each request waits for its like: one by one it takes ten times as long as many of them together.
    It is folded in when somebody collects, and at the latest with what is sampled each second.
    """

    def __init__(self) -> None:
        self._waiting: deque[Observation] = deque()
        self.registry = _Registry(self._fold)
        self._requests = _Requests(self.registry)
        self._writes = _Writes(self.registry)
        self._audit = _Audit(self.registry)
        self._config = _Config(self.registry)
        self._hooks = _Hooks(self.registry)
        self._process = _Process(self.registry)

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, _WITH_EACH):
            self._waiting.append(observation)
            if len(self._waiting) >= _AT_ONCE:
                self._fold()
        else:
            self._fold()
            self._take(observation)

    def _fold(self) -> None:
        """From any thread: whoever takes one out has it alone."""
        while self._waiting:
            try:
                observation = self._waiting.popleft()
            except IndexError:
                return
            self._take(observation)

    def _take(self, observation: Observation) -> None:
        match observation:
            case Served():
                self._requests.serve(observation)
            case Refused():
                self._requests.refuse(observation)
            case TurnedAway():
                self._requests.turn_away(observation)
            case ConfigTaken() | ConfigRefused():
                self._config.observe(observation)
            case Wrote() | Batched() | VersionsKept() | BlobMoved() | BlobsSwept() | JobCarried() | JobEnded():
                self._writes.observe(observation)
            case AuditDropped() | AuditSealed() | SealingFailed():
                self._audit.observe(observation)
            case Called() | Delivery() | OutboxStands():
                self._hooks.observe(observation)
            case _:
                self._process.observe(observation)

    def text(self) -> bytes:
        """The exposition format, of all workers where there are several."""
        if os.environ.get(SHARED_FOLDER):
            self._fold()
            return generate_latest(shared_registry())
        return generate_latest(self.registry)


def shared_registry() -> CollectorRegistry:
    """The metrics of all workers together, from the folder they share."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
