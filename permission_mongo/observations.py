"""What may be counted. Holds no value of a document, no id, no credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Served:
    """One request answered. `route` is the template, never the path; `seconds` from the first byte of its head."""

    method: str
    route: str
    status: int
    seconds: float


def outcome_of(status: int) -> Literal["ok", "refused", "failed"]:
    """Of a request: what is the caller's to mend is refused, what is ours or MongoDB's failed.

    501 says that a collection keeps no versions, to whoever asks for them.
    """
    return "ok" if status < 400 else "refused" if status < 500 or status == 501 else "failed"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was refused: what it was about to do, and the stable code."""

    action: str
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
class Batched:
    """A batch that was answered: how many items were asked for, and of these done, missing and failed.

    `outcome` is done, partial or dry_run. What is left of `asked` was as it was to be.
    """

    verb: str
    outcome: str
    asked: int
    done: int
    missing: int
    failed: int


@dataclass(frozen=True, slots=True)
class VersionsKept:
    """States that one committed transaction kept."""

    collection: str
    count: int


@dataclass(frozen=True, slots=True)
class JobCarried:
    """This process begins (1) or ceases (-1) to carry a job."""

    change: int


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
class BlobMoved:
    """Bytes of a blob went in or out."""

    way: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobsSwept:
    """Blobs were removed that nothing named."""

    count: int


@dataclass(frozen=True, slots=True)
class ConfigTaken:
    """A configuration came into force, at start or by a reload; `policy` is the digest of its schema and policy."""

    policy: str
    reloaded: bool = False


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """An edit was not taken: the configuration in force stays."""


@dataclass(frozen=True, slots=True)
class Called:
    """A receiver of a hook was called: answered or failed, in so many seconds."""

    hook: str
    outcome: str
    seconds: float


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


@dataclass(frozen=True, slots=True)
class Commanded:
    """MongoDB answered a command, ok or failed, in so many seconds."""

    command: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PoolStands:
    """Connections of this process to the servers of MongoDB: at work, kept open, and requests that wait for one."""

    in_use: int
    idle: int
    waiting: int


@dataclass(frozen=True, slots=True)
class NoConnection:
    """Within a second no connection to MongoDB came free."""


@dataclass(frozen=True, slots=True)
class Remembering:
    """How often something `kind` was looked for since the last look, by what came of it."""

    kind: str
    found: int
    made: int


@dataclass(frozen=True, slots=True)
class LoopLag:
    """How much later than asked this process came round to its work, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LinesDropped:
    """Lines of the log about requests that were left out: more came than are written in a second."""

    count: int


OfAudit = AuditDropped | AuditSealed | SealingFailed
OfRequests = Served | Refused | TurnedAway
OfHooks = Called | Delivery | OutboxStands
OfWrites = Wrote | Batched | VersionsKept | BlobMoved | BlobsSwept | JobCarried | JobEnded
OfProcess = Commanded | PoolStands | NoConnection | Remembering | LoopLag | LinesDropped
Observation = OfRequests | ConfigTaken | ConfigRefused | OfWrites | OfHooks | OfAudit | OfProcess
