"""One transaction with attempts, one deadline and a definite end.

PyMongo's own `with_transaction` is not used: the client's timeout does not bound its loop, and after a deadline it
sends no abort, so that the locks of an abandoned transaction would stay for a minute and more.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeVar

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    ConnectionFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from permission_mongo.observations import Observation, VersionsKept
from permission_mongo.storage.straight import Straight
from permission_mongo.values import Document

T = TypeVar("T")
Body = Callable[[AsyncClientSession], Awaitable[T]]

SNAPSHOT: Final = ReadConcern("snapshot")
MAJORITY: Final = WriteConcern(w="majority")
_NOTHING: Final[Document] = {"_id": {"$in": []}}
_LOG: Final = logging.getLogger("permission_mongo.storage")
_TO_END: Final = 2.0  # seconds for an abort, under a deadline of its own
_LAST_TRY: Final = 0.25
_AGAIN: Final = 0.5  # seconds between two attempts to end what a silent server may hold
_LIFETIME: Final = 90.0  # seconds after which a server ends it by itself
_SHORTEST: Final = 0.02  # of an attempt
TURN: Final = 1.0  # seconds that a request waits for its turn
# Within it one of the connections is the caller's; it is not had within so many seconds: NoConnectionFree.
TurnTaker = Callable[[float], AbstractAsyncContextManager[None]]


class Contended(Exception):
    """Others wrote the same rows until the attempts or the time ran out. Nothing of the transaction is left."""


class Late(TimeoutError):
    """A commit that did not take place before the deadline. Nothing of the transaction is left."""


class Lost(Exception):
    """A commit, or a write without a transaction, whose result can't be learned."""


def is_in_doubt(error: PyMongoError) -> bool:
    """Whether what was sent may have taken effect all the same. Where no server was found nothing was sent."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return False
    if error.has_error_label("RetryableWriteError"):
        return True  # the driver sent it twice, and this may be told of the second time only
    return bool(error.timeout) or isinstance(error, ConnectionFailure | WriteConcernError)


def _passes(error: PyMongoError) -> bool:
    """Whether another attempt may do better. Of this one nothing was committed: a commit in doubt is told otherwise."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return False  # the driver has waited long enough for a server or a connection already
    # A body also reads outside its transaction: cut there, it is not labelled.
    return error.has_error_label("TransientTransactionError") or isinstance(error, ConnectionFailure)


class Raced(Exception):
    """Raised by a body that saw another writer in between: the attempt is aborted and made again."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A record that the transaction writes: it tells of a commit without an answer."""

    collection: str
    match: Mapping[str, Any]


class Transactor:
    """Runs transactions on one client and sees each to its end, also when the request that asked is gone."""

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        database: str,
        observe: Callable[[Observation], None] = lambda _: None,
        turn: TurnTaker = lambda _: nullcontext(),
    ) -> None:
        self._client = client
        self._turn = turn
        self._database = database
        self._straight = Straight(client, client.get_database(database))
        self._writable: Any = None  # the driver's picture of the cluster in which a primary was seen
        self._ending: set[asyncio.Task[None]] = set()
        self._insisting: set[asyncio.Task[None]] = set()
        self._kept: dict[AsyncClientSession, VersionsKept] = {}
        self.observe = observe

    def note_kept(self, session: AsyncClientSession, collection: str, count: int) -> None:
        """States that the transaction keeps; observed once it is committed."""
        before = self._kept.get(session)
        self._kept[session] = VersionsKept(collection, count + (before.count if before else 0))

    async def run(
        self,
        body: Body[T],
        *,
        deadline: float,
        proof: Proof,
        attempts: int = 8,
        commit: bool = True,
        patience: float = TURN,
    ) -> T:
        """What `body` returns, committed on a majority; or aborted after it, where `commit` is False.

        `deadline` is a `time.monotonic()` moment. `body` may run several times: it reads no clock and counts nothing.
        Contended when the attempts or the time are used up, Late when only the commit was wanting, Lost when nobody
        knows, else what PyMongo raised. Each attempt waits for a turn, the first for `patience` seconds: who pauses
        between two holds no connection.
        """
        for attempt in range(1, attempts + 1):
            try:
                async with self._turn(patience if attempt == 1 else max(deadline - monotonic(), _SHORTEST)):
                    return await self._attempt(body, deadline, proof, commit)
            except (PyMongoError, Raced) as error:
                if isinstance(error, PyMongoError) and not _passes(error):
                    raise
                pause = random.random() * min(0.005 * 1.5 ** min(attempt, 12), 0.5)  # noqa: S311  (jitter, no secret)
                # An attempt begun with no time left would tell of the deadline, and not of what stood in the way.
                if attempt == attempts or monotonic() + pause + _SHORTEST > deadline:
                    if isinstance(error, ConnectionFailure):
                        raise  # nobody wrote the same rows: the server is away
                    raise Contended from error
            await asyncio.sleep(pause)
        raise Contended

    async def _attempt(self, body: Body[T], deadline: float, proof: Proof, commit: bool) -> T:
        await self._require_primary(deadline)
        session = self._client.start_session()
        committing = committed = in_doubt = False
        try:
            await session.start_transaction(read_concern=SNAPSHOT, write_concern=MAJORITY)
            with pymongo.timeout(max(deadline - monotonic(), 0.001)):
                result = await body(session)
            if commit:
                committing = True
                await self._commit(session, deadline, proof)
                committed = True
            return result
        except (asyncio.CancelledError, Lost):
            in_doubt = True
            raise
        except PyMongoError as error:
            # PyMongo aborts nothing once a commit was sent, whatever became of it.
            in_doubt = committing or is_in_doubt(error)
            raise
        finally:
            if committed:
                await session.end_session()  # nothing is left to be sent
                if session in self._kept:
                    self.observe(self._kept.pop(session))
            else:
                # A task of its own: a cancelled request or a passed deadline must not leave locks behind. Whoever asked
                # is not kept waiting for a server that is silent.
                ending = self._keep(asyncio.create_task(self._end(session, proof, in_doubt)))
                await asyncio.wait({ending}, timeout=max(deadline - monotonic(), _LAST_TRY))

    async def _require_primary(self, deadline: float) -> None:
        """ServerSelectionTimeoutError after the time set for that: within a deadline PyMongo looks for all of it."""
        description = self._client.topology_description
        if description is self._writable:
            return
        if description.has_writable_server():
            self._writable = description
        else:
            longest = min(self._client.options.server_selection_timeout, max(deadline - monotonic(), 0.001))
            with pymongo.timeout(longest):
                await self._client.admin.command("ping")

    async def _commit(self, session: AsyncClientSession, deadline: float, proof: Proof) -> None:
        while True:
            try:
                with pymongo.timeout(max(deadline - monotonic(), _LAST_TRY)):
                    await self._straight.commit(session)
                return
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if deadline - monotonic() > 0.05:
                    continue
                if await self._happened(session, proof):
                    return
                raise Late from error

    async def _happened(self, session: AsyncClientSession, proof: Proof) -> bool:
        """Whether a commit with a lost answer took place. The session is killed first, so that it no longer can.

        Linearizable: a majority confirms what is read. What a majority has not yet taken over may still come to be,
        and of a primary that nobody follows any more nobody knows: both are Lost, and not absence.
        """
        try:
            with pymongo.timeout(_TO_END):
                await self._kill(session, proof)
                found = self._client[self._database].get_collection(
                    proof.collection, read_concern=ReadConcern("linearizable")
                )
                return await found.find_one(proof.match, {"_id": 1}) is not None
        except PyMongoError as error:
            raise Lost from error

    async def _end(self, session: AsyncClientSession, proof: Proof, in_doubt: bool) -> None:
        """Of a transaction that was not committed, as far as is known."""
        is_heard = True
        try:
            if session.in_transaction and not await self._is_aborted(session):
                in_doubt = True
            if in_doubt:
                await self._kill(session, proof)
        except PyMongoError as error:
            _LOG.warning("a transaction could not be aborted yet: %s", type(error).__name__)
            is_heard = False
        finally:
            self._kept.pop(session, None)
            if is_heard:
                await session.end_session()
            else:
                insisting = asyncio.create_task(self._insist(session, proof))
                self._insisting.add(insisting)
                insisting.add_done_callback(self._insisting.discard)

    async def _is_aborted(self, session: AsyncClientSession) -> bool:
        try:
            with pymongo.timeout(_TO_END):
                await self._straight.abort(session)
        except PyMongoError:
            return False
        return True

    async def _insist(self, session: AsyncClientSession, proof: Proof) -> None:
        """Until the server hears it: for a minute it would hold the rows, and with them the key to ask again with."""
        until = monotonic() + _LIFETIME
        try:
            while monotonic() < until:
                await asyncio.sleep(_AGAIN)
                with suppress(PyMongoError):
                    await self._kill(session, proof)
                    return
        finally:
            await session.end_session()

    async def _kill(self, session: AsyncClientSession, proof: Proof) -> None:
        """End what the server may still hold. PyMongo keeps the failure of an abort to itself, and takes a commit in
        which it was cancelled for done: in doubt, the locks would stay for a minute.

        A first statement that arrives only now would begin the transaction behind its end. A write of a higher number
        (one that matches nothing) was in the session before it then, and the server refuses it: TransactionTooOld.
        """
        barred = self._client[self._database].get_collection(proof.collection, write_concern=WriteConcern(w=1))
        for last in (False, True):
            try:
                with pymongo.timeout(_TO_END):
                    await self._client.admin.command("killSessions", [session.session_id])
                    await barred.delete_one(_NOTHING, session=session)
                return
            except PyMongoError:
                if last:
                    raise

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def close(self) -> None:
        """Wait for every abort under way; call it before the client is closed."""
        for one in self._insisting:
            one.cancel()
        if self._ending:
            await asyncio.wait(self._ending, timeout=_TO_END)
