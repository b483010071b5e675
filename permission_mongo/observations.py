"""What may be logged or counted. Holds no value of a document, no id, no credential."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """One request answered. `route` is the template, never the path; `seconds` from the first byte of its head."""

    method: str
    route: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Something was refused, by its stable code."""

    operation: str
    code: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A connection that was closed before its request reached the application, or with its answer unread."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """Documents that one operation created, deleted or restored."""

    collection: str
    verb: str
    count: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job came to its end: done, cancelled or failed."""

    state: str


@dataclass(frozen=True, slots=True)
class AuditDropped:
    """Entries of refusals or reads that are lost: `why` is full, flood or failed."""

    why: str
    count: int


@dataclass(frozen=True, slots=True)
class AuditSealed:
    """Entries that a seal took in."""

    count: int


@dataclass(frozen=True, slots=True)
class SealingFailed:
    """A look for entries to seal came to nothing. The next one makes up for it."""


@dataclass(frozen=True, slots=True)
class ConfigTaken:
    """A configuration came into force, at start or by a reload; `policy` is the digest of its schema and policy."""

    policy: str
    reloaded: bool = False


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """An edit was not taken: the configuration in force stays."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to tell the receiver of a hook something: delivered, failed, or dead, after which none follows."""

    hook: str
    outcome: str


@dataclass(frozen=True, slots=True)
class OutboxStands:
    """Entries that wait to be told, and entries that were given up, of all gateways together."""

    pending: int
    dead: int


OfAudit = AuditDropped | AuditSealed | SealingFailed
OfRequests = Served | Refused | TurnedAway
Observation = OfRequests | Wrote | JobEnded | ConfigTaken | ConfigRefused | Delivery | OutboxStands | OfAudit
