"""What of a changed configuration is taken while it runs, and what waits for a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from permission_mongo.config.model import Config
from permission_mongo.query.limits import Limits

# Sockets, connections, routes and handlers are made once.
_AT_START = ("server", "mongodb", "metrics", "logging", "tracing")
_OF_AUDIT = ("enabled", "ttl", "seal", "receiver")  # who seals, up to which age, and who is told is settled then
_OF_LIMITS = ("query_timeout", "max_bytes_in_flight")
# The same, by the names of their keys.
_WHOLE = {"allowed": "hooks.allow_addresses", "namespaces": "namespaces", "doors": "doors"}


def taken(running: Config, read: Config) -> Config:
    """What was read, with what only a restart can change as it is."""
    # Storage was built with these.
    limits = replace(read.limits, **{key: getattr(running.limits, key) for key in _OF_LIMITS})
    kept = {name: getattr(running, name) for name in (*_AT_START, *_WHOLE)}
    audit = replace(read.audit, **{key: getattr(running.audit, key) for key in _OF_AUDIT})
    console = replace(read.console, enabled=running.console.enabled)
    return replace(read, **kept, limits=limits, audit=audit, console=console)


def waiting(former: Config, read: Config) -> list[str]:
    """The keys whose change needs a restart, by their dotted names."""
    whole = [key for name, key in _WHOLE.items() if getattr(former, name) != getattr(read, name)]
    return [*_changed(former, read), *_changed_limits(former.limits, read.limits), *whole]


def _changed(former: Config, read: Config) -> Iterator[str]:
    for section in _AT_START:
        before, after = getattr(former, section), getattr(read, section)
        for key in fields(before):
            if getattr(before, key.name) != getattr(after, key.name):
                yield f"{section}.{key.name}"
    for name in _OF_AUDIT:
        if getattr(former.audit, name) != getattr(read.audit, name):
            yield f"audit.{name}"
    if former.console.enabled != read.console.enabled:
        yield "console.enabled"


def _changed_limits(former: Limits, read: Limits) -> Iterator[str]:
    for name in _OF_LIMITS:
        if getattr(former, name) != getattr(read, name):
            yield f"limits.{name}"
