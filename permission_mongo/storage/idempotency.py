"""The answers kept under idempotency keys.

A write claims its key in its own transaction, before anything else, and leaves there what it did: both are committed
or neither. Of a batch of several transactions each leaves how far it came.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Final

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from permission_mongo.errors import Conflict, StillRunning
from permission_mongo.jobs import told
from permission_mongo.outcomes import BatchOutcome, Kept
from permission_mongo.plans import Once
from permission_mongo.replays import count_of, from_bson, interrupted, to_bson
from permission_mongo.storage.jobs import Jobs
from permission_mongo.storage.layout import IDEMPOTENCY
from permission_mongo.values import Document

_LOG: Final = logging.getLogger("permission_mongo.storage")
_WRITE_CONFLICT: Final = 112
# A batch that left no sign for this long has ended: ten times what one transaction may take, or a minute.
_TRANSACTIONS_OF_SILENCE: Final = 10
_LEAST_SILENCE: Final = 60.0


class Taken(Exception):
    """Another request holds the key. Not tried again: what is to be told is that request's answer."""


class Answers:
    """One database's kept answers. `timeout` bounds each command and each transaction, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], jobs: Jobs, timeout: float) -> None:
        self._kept = database[IDEMPOTENCY]
        # To repeat an answer is to promise it again: it must not be rolled back.
        self._durable = database.get_collection(IDEMPOTENCY, read_concern=ReadConcern("majority"))
        self._timeout = timeout
        self._jobs = jobs
        self._patience = max(_TRANSACTIONS_OF_SILENCE * timeout, _LEAST_SILENCE) * 1000

    async def find(self, once: Once) -> Kept | None:
        """The answer that another request has left under the key; None if the key is free, or this very run's.

        Conflict if it was another request, StillRunning while it is on its way.
        """
        # Both moments are the server's: the clocks of two gateways need not agree.
        silent = {"$subtract": ["$$NOW", "$moved"]}
        about = {"fingerprint": 1, "running": 1, "outcome": 1, "job": 1, "silent": silent}
        with pymongo.timeout(self._timeout):
            found = await self._durable.find_one(_key(once), about)
        if found is None or found["_id"] == once.run:
            return None
        if found["fingerprint"] != once.fingerprint:
            raise Conflict("this Idempotency-Key came with another request")
        if not found["running"]:
            return from_bson(found["outcome"])
        if found.get("job") is not None:
            return await self._of_job(found["job"])
        if found["silent"] < self._patience:
            raise still_running()
        return interrupted(from_bson(found["outcome"]))

    async def _of_job(self, job: str) -> Kept:
        """Whichever gateway ended it, its record tells; the Refusal, if that was its whole answer."""
        found = await self._jobs.find(job)
        if found.is_over:
            return told(found.outcome)
        running = still_running()
        running.job = job
        raise running

    async def claim(self, session: AsyncClientSession, once: Once, now: datetime) -> None:
        """Make the key this run's, if it is not already. Taken if it is another's."""
        begun = {"running": True, "done": 0}
        await self._put(session, once, {"$setOnInsert": {**_first(once, now), **begun}})

    async def keep(
        self, session: AsyncClientSession, once: Once, kept: Kept, *, running: bool, job: str | None = None
    ) -> None:
        """What was done under a claimed key; `running` if there is more to come, by a `job` or by this request."""
        if running and isinstance(kept, BatchOutcome):
            kept = replace(kept, results=None)
        left = {**_left(kept, running=running), "job": job}
        await self._kept.update_one({"_id": once.run}, {"$set": left}, session=session)

    async def settle(self, once: Once, kept: Kept, now: datetime) -> None:
        """The answer of a batch as it is given. Taken if another request came first, and this one did nothing.

        Without an answer from MongoDB the batch stays done, and its record says how far it is known to have come.
        """
        try:
            with pymongo.timeout(self._timeout):
                left = _left(kept, running=False)
                await self._put(None, once, {"$setOnInsert": _first(once, now), "$set": left})
        except PyMongoError as error:
            _LOG.warning("an answer could not be kept under its key: %s", type(error).__name__)

    async def _put(self, session: AsyncClientSession | None, once: Once, change: Document) -> None:
        """Write this run's record. Another run's does not match, and the unique key keeps a second one out."""
        mine = {"_id": once.run, **_key(once)}
        try:
            moved = {**change, "$currentDate": {"moved": True}}
            await self._kept.update_one(mine, moved, upsert=True, session=session)
        except DuplicateKeyError as error:
            raise Taken from error
        except OperationFailure as error:
            if error.code == _WRITE_CONFLICT:
                raise Taken from error
            raise

    async def forget(self, once: Once) -> None:
        """Free the key of a run that was refused. What has taken effect keeps its record."""
        try:
            with pymongo.timeout(self._timeout):
                await self._kept.delete_one({"_id": once.run, "running": True, "done": 0})
        except PyMongoError as error:
            _LOG.warning("a key could not be freed: %s", type(error).__name__)


def still_running() -> StillRunning:
    return StillRunning("a request with this Idempotency-Key is on its way; ask again in a moment")


def _first(once: Once, now: datetime) -> Document:
    return {"fingerprint": once.fingerprint, "at": now}


def _left(kept: Kept, *, running: bool) -> Document:
    return {"running": running, "done": count_of(kept), "outcome": to_bson(kept)}


def _key(once: Once) -> Document:
    return {
        "namespace": once.namespace,
        "tenant_id": once.tenant,
        "kind": once.kind,
        "subject": once.subject,
        "key": once.key,
    }
