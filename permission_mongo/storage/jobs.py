"""Jobs in `_pm_batches`: the batches of several transactions, each carried by who holds its lease.

A transaction of a job touches the record first. From then to its end nobody else can take the lease, and one whose
lease was taken before finds no record and does nothing: two gateways never both commit a chunk. All moments of a
lease are the server's, so that the clocks of the gateways need not agree.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final, Literal

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from permission_mongo.batch import Bound
from permission_mongo.errors import JobNotFound, Refusal
from permission_mongo.jobs import Lease, Origin, Overtaken, Taken, Unreadable, origin_of
from permission_mongo.outcomes import BatchOutcome, Job, JobState
from permission_mongo.replays import from_bson, to_bson, told
from permission_mongo.service import Whose
from permission_mongo.storage.layout import BATCHES
from permission_mongo.values import Document

_LOG: Final = logging.getLogger("permission_mongo.storage")
_SHOWN: Final = {"job.body": 0, "job.claims": 0}
# What another gateway needs to go on. `kind` stays: it tells whose the job was.
_OF_THE_CARRIER: Final = {
    f"job.{name}": "" for name in ("body", "claims", "request", "request_id", "roles", "credential", "until", "behind")
}


_RAN_OUT: Final = {"job.open": True, "$expr": {"$lte": ["$job.until", "$$NOW"]}}
_MOST_TRIED: Final = 100
_PATIENCE: Final = 0.5  # seconds for one record that may be held


class Jobs:
    """One database's jobs. `timeout` bounds each command, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float) -> None:
        self._batches = database[BATCHES]
        # What is told of a job must not be rolled back.
        self._durable = database.get_collection(BATCHES, read_concern=ReadConcern("majority"))
        self._timeout = timeout

    # -- within a transaction of the job

    async def begin(
        self, session: AsyncClientSession, lease: Lease, origin: Origin, first: Document, stands: Document
    ) -> None:
        """Make the batch a job; `first` is what its record has if there is none yet."""
        job = {**origin.to_bson(), "open": True, "state": "running", "fence": lease.fence, "holder": lease.holder}
        change = {"$setOnInsert": first, "$set": {"job": {**job, **stands}}}
        await self._batches.update_one({"_id": lease.job}, change, upsert=True, session=session)
        await self._prolong(session, lease)

    async def require(self, session: AsyncClientSession, lease: Lease) -> None:
        """Overtaken if the job is not this lease's to go on with. Else it is, until the transaction ends."""
        if not await self._prolong(session, lease):
            raise Overtaken

    async def note(self, session: AsyncClientSession, lease: Lease, stands: Document) -> None:
        """What the transaction leaves; the lease was seen at its beginning, and may have run out since."""
        change: Document = {f"job.{name}": {"$literal": value} for name, value in stands.items()}
        change["job.until"] = _longer(lease)
        await self._batches.update_one({"_id": lease.job}, [{"$set": change}], session=session)

    async def _prolong(self, session: AsyncClientSession | None, lease: Lease) -> bool:
        mine = {**_mine(lease), "job.state": "running"}
        result = await self._batches.update_one(mine, [{"$set": {"job.until": _longer(lease)}}], session=session)
        return result.matched_count == 1

    # -- between them

    async def renew(self, lease: Lease) -> None:
        with pymongo.timeout(self._timeout):
            await self._prolong(None, lease)

    async def release(self, lease: Lease) -> None:
        """Let anybody carry it on, at once."""
        with pymongo.timeout(self._timeout):
            await self._batches.update_one(_mine(lease), [{"$set": {"job.until": "$$NOW"}}])

    async def finish(self, lease: Lease, state: JobState, outcome: BatchOutcome) -> bool:
        """Close the record; False if it is not this lease's."""
        return await self._close(_mine(lease), state, {"job.outcome": to_bson(outcome)})

    async def stop(self, lease: Lease, state: JobState, why: Refusal) -> bool:
        """Close the record where it stands: each transaction has left the counts there.

        False if it is not this lease's, or was to be cancelled, and nobody has asked for that.
        """
        asked = {"job.state": "cancelling"} if state == "cancelled" else {}
        return await self._close({**_mine(lease), **asked}, state, {"job.outcome.stopped": told(why)})

    async def _close(self, match: Document, state: JobState, left: Document) -> bool:
        """What was asked, and by which right, is kept no longer."""
        with pymongo.timeout(self._timeout):
            ended = {"job.open": False, "job.state": state, **left}
            result = await self._batches.update_one(match, {"$set": ended, "$unset": _OF_THE_CARRIER})
        return result.matched_count == 1

    async def take(self, holder: str, seconds: float) -> Taken | Unreadable | None:
        """The job that has waited longest, now this holder's; None if no lease ran out.

        One whose record a transaction holds, as after a kill inside of one, is passed over: it can be for a minute.
        """
        with pymongo.timeout(self._timeout):
            waiting = self._batches.find(_RAN_OUT, {"_id": 1}, sort=[("job.until", 1)], limit=_MOST_TRIED)
            ids = [one["_id"] for one in await waiting.to_list()]
            for one in ids:
                found = await self._take(one, holder, seconds)
                if found is not None:
                    return _taken(found, Lease(one, holder, found["job"]["fence"], seconds))
        return None

    async def _take(self, job: str, holder: str, seconds: float) -> Document | None:
        """Its record; None if another has it. One that is taken without an answer waits for its lease to run out."""
        taking = {
            "job.fence": {"$add": ["$job.fence", 1]},
            "job.holder": {"$literal": holder},
            "job.until": _in(seconds),
        }
        try:
            with pymongo.timeout(_PATIENCE):
                return await self._batches.find_one_and_update(
                    {"_id": job, **_RAN_OUT}, [{"$set": taking}], return_document=pymongo.ReturnDocument.AFTER
                )
        except PyMongoError as error:
            if not error.timeout:
                raise
            return None

    # -- asked

    async def find(self, job: str, whose: Whose | None = None) -> Job:
        """JobNotFound if there is none, or it is not theirs to see."""
        with pymongo.timeout(self._timeout):
            found = await self._durable.find_one({"_id": {"$eq": job}, **_visible(whose)}, _SHOWN)
        if found is None:
            raise _no_such()
        return _job(found)

    async def recent(self, whose: Whose, limit: int) -> list[Job]:
        """Newest first."""
        newest = [("at", -1), ("_id", -1)]
        with pymongo.timeout(self._timeout):
            found = await self._durable.find(_visible(whose), _SHOWN, sort=newest, limit=limit).to_list()
        return [_job(one) for one in found]

    async def cancel(self, job: str, whose: Whose) -> Job:
        """No chunk is begun from now on. A job that ended stays as it is."""
        about = {"_id": {"$eq": job}, **_visible(whose)}
        with pymongo.timeout(self._timeout):
            running = {**about, "job.open": True, "job.state": "running"}
            await self._batches.update_one(running, {"$set": {"job.state": "cancelling"}})
        return await self.find(job, whose)


def stands(outcome: BatchOutcome, behind: Bound) -> Document:
    """How far a job came: what is known of its outcome, and where it goes on."""
    return {"outcome": to_bson(outcome), "behind": behind.id}


def _mine(lease: Lease) -> Document:
    return {"_id": lease.job, "job.open": True, "job.fence": lease.fence, "job.holder": lease.holder}


def _in(seconds: float) -> Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _longer(lease: Lease) -> Document:
    """Never shorter: a renewal that waited for a transaction counts from when it was sent."""
    return {"$max": ["$job.until", _in(lease.seconds)]}


def _visible(whose: Whose | None) -> Document:
    """The creator's own, or all of the tenant for one who may look after them."""
    if whose is None:
        return {"job": {"$exists": True}}
    match: Document = {"tenant_id": {"$eq": whose.tenant}, "job.open": {"$exists": True}}
    return match if whose.all_of_tenant else {**match, "by": {"$eq": whose.subject}, "job.kind": whose.kind}


def _no_such() -> JobNotFound:
    return JobNotFound("no such job")


def _taken(found: Document, lease: Lease) -> Taken | Unreadable:
    try:
        return Taken(lease, _job(found), Bound(found["job"]["behind"]), origin_of(found))
    except Exception as error:
        # Whatever is wrong with it, it must end: its key and those who wait for it hang on its end.
        _LOG.error("the record of a job could not be read: %s", type(error).__name__)
        return Unreadable(lease, _left_of(found))


def _left_of(found: Document) -> BatchOutcome:
    """What a record tells that can't be read as a whole."""
    why = Refusal("something went wrong here")
    try:
        return replace(_job(found).outcome, stopped=why)
    except Exception:
        # The counts are kept by every batch, job or not.
        counts = found.get("counts", {})
        verb: Literal["deleted", "updated"] = "deleted" if "delete" in counts else "updated"
        done = sum(one for one in counts.values() if isinstance(one, int))
        return BatchOutcome(verb, (), counted=done, batch=found["_id"] if done else None, stopped=why)


def _job(found: Document) -> Job:
    job: dict[str, Any] = found["job"]
    outcome = from_bson(job["outcome"])
    assert isinstance(outcome, BatchOutcome)  # noqa: S101  (nothing else is kept there)
    return Job(found["_id"], job["state"], found["collection"], job["asked"], found["at"], outcome)
