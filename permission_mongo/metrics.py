"""Observations folded into Prometheus metrics."""

from __future__ import annotations

import os
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from permission_mongo import __version__
from permission_mongo.observations import (
    AuditDropped,
    AuditSealed,
    ConfigRefused,
    ConfigTaken,
    Delivery,
    JobEnded,
    Observation,
    OutboxStands,
    Refused,
    SealingFailed,
    Served,
    TurnedAway,
    Wrote,
)
from permission_mongo.standing import SHARED_FOLDER

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One process's metrics; with several workers the text adds up all of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._served: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        labels = ["method", "route", "status"]
        self._requests = Counter("permission_mongo_http_requests", "Requests", labels, registry=self.registry)
        self._seconds = Histogram(
            "permission_mongo_http_request_duration_seconds",
            "Time to answer",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "permission_mongo_refusals", "Refusals by code", ["operation", "code"], registry=self.registry
        )
        self._turned_away = Counter(
            "permission_mongo_connections_turned_away",
            "Connections closed at the socket",
            ["reason"],
            registry=self.registry,
        )
        self._documents = Counter(
            "permission_mongo_documents_written", "Documents written", ["collection", "verb"], registry=self.registry
        )
        self._jobs = Counter("permission_mongo_jobs_ended", "Jobs ended", ["state"], registry=self.registry)
        self._measure_audit()
        self._measure_reloads()
        self._measure_hooks()
        build = Gauge(
            "permission_mongo_build",
            "1, labelled by version",
            ["version"],
            registry=self.registry,
            multiprocess_mode="max",
        )
        build.labels(__version__).set(1)

    def _measure_hooks(self) -> None:
        self._deliveries = Counter(
            "permission_mongo_hook_deliveries",
            "Attempts to tell receivers",
            ["hook", "outcome"],
            registry=self.registry,
        )
        self._outbox = Gauge(
            "permission_mongo_outbox_entries",
            "Entries of the outbox",
            ["state"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )

    def _measure_audit(self) -> None:
        self._dropped = Counter(
            "permission_mongo_audit_dropped", "Entries of refusals and reads lost", ["why"], registry=self.registry
        )
        self._sealed = Counter("permission_mongo_audit_sealed", "Audit entries sealed", registry=self.registry)
        self._unsealed = Counter(
            "permission_mongo_audit_sealing_failed", "Looks for entries to seal that failed", registry=self.registry
        )

    def _measure_reloads(self) -> None:
        self._reloads = Counter(
            "permission_mongo_config_reloads", "Edits of the configuration", ["outcome"], registry=self.registry
        )
        self._policy = ""
        # Of workers that live: one that died with an edit refused must not be counted for ever.
        self._failed = Gauge(
            "permission_mongo_config_reload_failed",
            "1 while the files say what was refused, and an earlier configuration serves",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._in_force = Gauge(
            "permission_mongo_config_in_force",
            "Workers that serve this schema and policy, by their digest",
            ["policy"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def observe(self, observation: Observation) -> None:
        match observation:
            case Served(method, route, status, seconds):
                count, duration = self._served.get((method, route, status)) or self._serving(method, route, status)
                count.inc()
                duration.observe(seconds)
            case Refused(operation, code):
                self._refusals.labels(operation, code).inc()
            case TurnedAway(reason):
                self._turned_away.labels(reason).inc()
            case Wrote(collection, verb, count):
                self._documents.labels(collection, verb).inc(count)
            case JobEnded(state):
                self._jobs.labels(state).inc()
            case AuditDropped(why, count):
                self._dropped.labels(why).inc(count)
            case AuditSealed(count):
                self._sealed.inc(count)
            case SealingFailed():
                self._unsealed.inc()
            case ConfigTaken(policy, reloaded):
                self._take(policy, reloaded=reloaded)
            case ConfigRefused():
                self._failed.set(1)
                self._reloads.labels("refused").inc()
            case Delivery(hook, outcome):
                self._deliveries.labels(hook, outcome).inc()
            case OutboxStands(pending, dead):
                self._outbox.labels("pending").set(pending)
                self._outbox.labels("dead").set(dead)
            case _:
                assert_never(observation)

    def _take(self, policy: str, *, reloaded: bool) -> None:
        if policy != self._policy and self._policy:
            self._in_force.labels(self._policy).set(0)
        self._policy = policy
        self._in_force.labels(policy).set(1)
        self._failed.set(0)
        if reloaded:
            self._reloads.labels("taken").inc()

    def _serving(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        found = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
        self._served[method, route, status] = found
        return found

    def text(self) -> bytes:
        """The exposition format, of all workers where there are several."""
        if os.environ.get(SHARED_FOLDER):
            return generate_latest(shared_registry())
        return generate_latest(self.registry)


def shared_registry() -> CollectorRegistry:
    """The metrics of all workers together, from the folder they share."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
