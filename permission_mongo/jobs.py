"""A batch of several transactions on its way: who carries it, where it stands, what it has done so far. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from permission_mongo.batch import Bound
from permission_mongo.errors import InvalidRequest
from permission_mongo.outcomes import BatchOutcome, Job
from permission_mongo.principal import Principal
from permission_mongo.values import Document

MOST_LISTED: Final = 1000  # failures; the rest are counted
Asked = Literal["delete", "update"]  # what a job can be of


class Overtaken(Exception):
    """The job is not this lease's any more: another gateway carries it, or it is to end.

    The transaction did nothing; `done` items were done by the chunk's earlier ones.
    """

    def __init__(self, done: int = 0) -> None:
        super().__init__()
        self.done = done


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry the job on for some `seconds` from each sign of life.

    Who takes it next gets a higher `fence`, and from then on nothing is committed under this one.
    """

    job: str
    holder: str
    fence: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Origin:
    """What was asked, as it was sent, and who asked: all that another gateway needs. No credential is in it."""

    asked: Asked
    body: str = field(repr=False)
    principal: Principal
    request: Mapping[str, Any]
    request_id: str

    def to_bson(self) -> Document:
        """InvalidRequest for claims that can't be kept."""
        who = self.principal
        try:
            claims = json.dumps(dict(who.claims))
        except RecursionError as error:
            raise InvalidRequest("the claims of your token are nested too deeply for this") from error
        kept = {"asked": self.asked, "body": self.body, "claims": claims, "request": dict(self.request)}
        about = {"kind": who.kind, "credential": who.credential, "roles": sorted(who.roles)}
        return {**kept, **about, "request_id": self.request_id}


def origin_of(record: Document) -> Origin:
    """From the record of a batch that is a job and has not ended."""
    job = record["job"]
    claims, roles = json.loads(job["claims"]), frozenset(job["roles"])
    who = Principal(record["by"], record["tenant_id"], roles, claims, job["kind"], None, job["credential"])
    return Origin(job["asked"], job["body"], who, job["request"], job["request_id"])


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a filter's work stands: the next chunk begins `behind` a bound; `before` is what the earlier ones did.

    Under a `lease` what is done is noted in the job's record, in the transaction that does it. With `origin` there is
    no record yet: the first transaction that is not all of it makes one.
    """

    behind: Bound | None = None
    before: BatchOutcome | None = None
    lease: Lease | None = None
    origin: Origin | None = None


AT_FIRST: Final = Turn()


@dataclass(frozen=True, slots=True)
class Taken:
    """A job whose lease ran out, now this gateway's."""

    lease: Lease
    job: Job
    behind: Bound
    origin: Origin


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A job now this gateway's whose record says too little to go on with it; `left` is what can be told of it."""

    lease: Lease
    left: BatchOutcome


def added(before: BatchOutcome | None, chunk: BatchOutcome) -> BatchOutcome:
    """Both together. What was done is counted and not listed, for a filter can match any number."""
    if before is None:
        return chunk
    failed = before.failed + chunk.failed
    return replace(
        chunk,
        done=(),
        counted=before.count + chunk.count,
        unchanged=before.unchanged + chunk.unchanged,
        failed=failed[:MOST_LISTED],
        unlisted=before.unlisted + chunk.unlisted + len(failed[MOST_LISTED:]),
        batch=chunk.batch or before.batch,
        is_job=before.is_job or chunk.is_job,
    )


def told(outcome: BatchOutcome) -> BatchOutcome:
    """What the asker of a job is told of its end, at once and under its key: the refusal, where it ended all of it."""
    if outcome.stopped is not None and not (outcome.count or outcome.failed):
        raise outcome.stopped
    return outcome
