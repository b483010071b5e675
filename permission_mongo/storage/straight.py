"""Commands to the primary by the shortest way: on a connection of the driver's pool, without what the driver does
around it for commands of every kind.

It is taken for what one primary is asked alone, and left out are a session, which reads alone need none of, the choice
among servers, and the second try, which is for the caller to make. Whatever is unusual goes the driver's way: a server
that is not known to be a primary, a router in front of shards, somebody who is told of each command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import pymongo
from pymongo import AsyncMongoClient, _csot, message
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.asynchronous.server import Server
from pymongo.client_session_shared import _UNKNOWN_COMMIT_ERROR_CODES, _TxnState
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from pymongo.helpers_shared import (
    _check_command_response,
    _check_write_command_response,
    _get_wce_doc,
    _raise_write_concern_error,
)
from pymongo.mongo_client_shared import _add_retryable_write_error
from pymongo.monitoring import ConnectionClosedReason
from pymongo.read_preferences import ReadPreference
from pymongo.server_selectors import writable_server_selector
from pymongo.server_type import SERVER_TYPE
from pymongo.write_concern import WriteConcern

from permission_mongo.storage.replies import REPLY, Reply
from permission_mongo.values import CODEC, Document

_NO_SUCH_TRANSACTION: Final = 251  # the server has ended it by itself
_MOST_UNDER_WAY: Final = 4  # writes that are sent and not yet answered: all are in memory
_MAJORITY: Final = WriteConcern("majority")
_DOCUMENT: Final = cast("Any", CODEC)
Taker = Callable[[Document], None]
require_written: Final[Taker] = _check_write_command_response  # DuplicateKeyError, WriteError as the driver


class Straight:
    """To one database."""

    def __init__(self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> None:
        self._client: Any = client
        self._database = database
        self._name = database.name
        self._seen: Any = None  # the driver's picture of the cluster, another one whenever something changes
        self._found: Server | None = None

    async def read(self, command: Document) -> Reply:
        """What the primary answers. AutoReconnect where the connection was lost: it is not asked again."""
        server = self._primary()
        if server is None:
            return await self._database.command(command, codec_options=REPLY)
        async with self._client._checkout(server, None) as connection:
            answer: Reply = await self._sent(connection, command, REPLY)
            return answer

    async def _sent(
        self,
        connection: Any,
        command: Document,
        codec: Any,
        session: AsyncClientSession | None = None,
        write_concern: WriteConcern | None = None,
    ) -> Any:
        """As the driver's `AsyncConnection.command`, in one step in place of five. A write outside a transaction is one
        that may be sent again.
        """
        if _is_unusual(connection):
            return await connection.command(
                self._name,
                command,
                codec_options=codec,
                write_concern=write_concern,
                session=session,
                client=self._client,
                retryable_write=write_concern is not None,
            )
        request = await self._handed(connection, command, codec, session, write_concern)
        return await self._answered(connection, request, codec, session)

    async def _handed(
        self,
        connection: Any,
        command: Document,
        codec: Any,
        session: AsyncClientSession | None,
        write_concern: WriteConcern | None = None,
    ) -> int:
        """The number under which its answer will come."""
        if session is not None:
            session._apply_to(command, write_concern is not None, ReadPreference.PRIMARY, connection)
            connection.send_cluster_time(command, session, self._client)
        connection.apply_timeout(command)  # that of the command before would stay
        _csot.apply_write_concern(command, write_concern)
        request, packed, size, largest = message._op_msg(
            0, command, self._name, None, codec, connection.compression_context
        )
        if size > connection.max_bson_size + message._COMMAND_OVERHEAD:
            message._raise_document_too_large(next(iter(command)), size, connection.max_bson_size)
        if session is not None and session._starting_transaction:
            session._transaction.set_in_progress()
        await connection.send_message(packed, largest)
        return request

    async def _answered(self, connection: Any, request: int, codec: Any, session: AsyncClientSession | None) -> Any:
        answer = (await connection.receive_message(request)).unpack_response(codec_options=codec)[0]
        if session is not None:
            await self._client._process_response(answer, session)
        _check_command_response(answer, connection.max_wire_version)
        return answer

    async def within(self, session: AsyncClientSession, command: Document, connection: Any = None) -> Document:
        """What the primary answers within the session's transaction, asked once, as by the driver's own command."""
        if connection is None:
            server = self._primary()
            if server is None or not session.in_transaction:
                return await self._database.command(command, codec_options=_DOCUMENT, session=session)
            async with self._client._checkout(server, session) as own:
                return await self.within(session, command, own)
        answer: Document = await self._sent(connection, command, _DOCUMENT, session)
        # As the driver notes it: from here on a transaction is not begun anew.
        session._transaction.has_completed_command = True
        return answer

    @asynccontextmanager
    async def pipelined(self, session: AsyncClientSession) -> AsyncIterator[Pipeline]:
        """Meanwhile the session's transaction is written to through this; at the end all of it is answered.

        Nothing else is to be asked in the session until then. Whatever ends it early leaves no answer unread.
        """
        server = self._primary()
        if server is None or not session.in_transaction:
            yield Pipeline(self, session, None)
            return
        async with self._client._checkout(server, session) as connection:
            pipeline = Pipeline(self, session, connection)
            try:
                yield pipeline
                await pipeline.answered()
            except Exception:
                await pipeline.drain()
                raise
            except BaseException:
                await connection.close_conn(ConnectionClosedReason.ERROR)
                raise

    async def insert(self, session: AsyncClientSession, name: str, *documents: Any) -> None:
        """Documents that have their ids, in the session's transaction. DuplicateKeyError, WriteError as the driver."""
        _check_write_command_response(await self.within(session, {"insert": name, "documents": [*documents]}))

    async def insert_once(self, name: str, document: Any) -> None:
        """One document that has its id, waited for by a majority: sent again under the same number where it may have
        got lost, so that it takes effect once (MongoDB's retryable writes). Errors are those of the driver's insert.
        """
        await self._once({"insert": name, "ordered": True, "documents": [document]})

    async def insert_together(self, name: str, documents: list[Any]) -> list[PyMongoError | None]:
        """Several documents, each for itself, by one command as `insert_once`: of each its own error, None where it is
        on a majority. What is raised is of the whole command: some of them may be stored.
        """
        command = {"insert": name, "ordered": False, "documents": documents}
        return _errors_in(await self._once(command, _require_confirmed), len(documents))

    async def _once(
        self, command: Document, require: Callable[[Document], None] = _check_write_command_response
    ) -> Document:
        """The answer to a write that takes effect once; `require` raises what may be a reason to send it again."""
        server = self._primary() or await self._looked_for()
        session = self._client.start_session(causal_consistency=False)
        session._start_retryable_write()
        failed: PyMongoError | None = None
        try:
            while True:
                try:
                    if failed is not None:
                        server = await self._client._select_server(writable_server_selector, session, "insert")
                    return await self._written(server, session, command, require)
                except PyMongoError as error:
                    failed = self._may_go_again(error, failed)
        finally:
            await session.end_session()

    async def _looked_for(self) -> Server:
        """One that takes writes. Within a deadline the driver would look for all of it, and not as long as is set."""
        with pymongo.timeout(self._client.options.server_selection_timeout):
            found: Server = await self._client._select_server(writable_server_selector, None, "insert")
            return found

    async def _written(
        self,
        server: Server,
        session: AsyncClientSession,
        command: Document,
        require: Callable[[Document], None] = _check_write_command_response,
    ) -> Document:
        async with self._client._checkout(server, session) as connection:
            answer: Document = await self._sent(connection, dict(command), _DOCUMENT, session, _MAJORITY)
            require(answer)  # in here, where the driver learns of a primary that is none any more
            return answer

    def _may_go_again(self, error: PyMongoError, before: PyMongoError | None) -> PyMongoError:
        """The error to be told if nothing better comes. Raises what is no reason to go on, or comes too late."""
        _add_retryable_write_error(error)
        left = _csot.remaining()
        is_over = before is not None if left is None else left <= 0
        if is_over or not error.has_error_label("RetryableWriteError"):
            # Of this try nothing was written; of the one before it is not known.
            sent_nothing = isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError)
            nothing = sent_nothing or error.has_error_label("NoWritesPerformed")
            raise before if before is not None and nothing else error
        return error

    async def commit(self, session: AsyncClientSession) -> None:
        """As the driver's `commit_transaction`, which comes in where the first try does not tell."""
        server, transaction = self._primary(), session._transaction
        if server is None or transaction.state != _TxnState.IN_PROGRESS:
            await session.commit_transaction()
            return
        try:
            async with self._client._checkout(server, session) as connection:
                await session._finish_transaction(connection, "commitTransaction")
        except (ConnectionFailure, WriteConcernError):
            await session.commit_transaction()
        except OperationFailure as error:
            if error.has_error_label("RetryableWriteError") or error.code in _UNKNOWN_COMMIT_ERROR_CODES:
                await session.commit_transaction()
            else:
                transaction.state = _TxnState.COMMITTED  # sent and refused: as the driver notes it
                raise
        except BaseException:
            transaction.state = _TxnState.COMMITTED
            raise
        else:
            transaction.state = _TxnState.COMMITTED

    async def abort(self, session: AsyncClientSession) -> None:
        """As the driver's `abort_transaction`, but a PyMongoError where nobody heard it."""
        transaction = session._transaction
        if transaction.state != _TxnState.IN_PROGRESS:
            await session.abort_transaction()
            return
        try:
            await session._finish_transaction_with_retry("abortTransaction")
        except OperationFailure as error:
            if error.code != _NO_SUCH_TRANSACTION:
                raise
        finally:
            transaction.state = _TxnState.ABORTED
            await session._unpin()

    def _primary(self) -> Server | None:
        """The one that the driver knows just now; None where it knows none, or several servers to choose from."""
        topology = self._client._topology
        if topology is None:
            return None
        if topology.description is not self._seen:
            self._seen = topology.description
            primaries = [
                address
                for address, one in self._seen.server_descriptions().items()
                if one.server_type == SERVER_TYPE.RSPrimary
            ]
            self._found = topology.get_server_by_address(primaries[0]) if len(primaries) == 1 else None
        return self._found


class Pipeline:
    """Writes of one transaction, sent one behind the other on one connection, on which MongoDB works them off in their
    order. Each answer is read later: what is wrong with one write ends the transaction, and those behind it with it.
    """

    def __init__(self, straight: Straight, session: AsyncClientSession, connection: Any) -> None:
        self._straight = straight
        self.session = session
        self._connection = connection
        self._waits = connection is None or _is_unusual(connection)
        self._under_way: deque[tuple[int, Taker]] = deque()

    async def send(self, command: Document, take: Taker = require_written) -> None:
        """`take` is told what the server answers, and raises what is wrong with it: here, at the next ones, or at the
        end.
        """
        if self._waits:
            take(await self._straight.within(self.session, command, self._connection))
            return
        if len(self._under_way) >= _MOST_UNDER_WAY:
            await self._take_one()
        request = await self._straight._handed(self._connection, command, _DOCUMENT, self.session)
        self._under_way.append((request, take))

    async def answered(self, left: int = 0) -> None:
        """Until the server has answered all of them but the last `left`."""
        while len(self._under_way) > left:
            await self._take_one()

    async def _take_one(self) -> None:
        request, take = self._under_way.popleft()
        answer = await self._straight._answered(self._connection, request, _DOCUMENT, self.session)
        self.session._transaction.has_completed_command = True
        take(answer)

    async def drain(self) -> None:
        """Read what is still to come, so that nobody else gets it on this connection. Nothing of it is of concern."""
        with suppress(PyMongoError):  # that closes the connection
            while self._under_way:
                request, _ = self._under_way.popleft()
                await self._connection.receive_message(request)


def _is_unusual(connection: Any) -> bool:
    """Whether somebody is told of each command, or the server may ask for another authentication in between."""
    credentials = connection.opts._credentials
    return connection.listeners.enabled_for_commands or (
        credentials is not None and credentials.mechanism == "MONGODB-OIDC"
    )


def _require_confirmed(answer: Document) -> None:
    """Raises where a majority did not confirm it and the server says that it may be asked again."""
    unconfirmed = _get_wce_doc(answer)
    if unconfirmed and "RetryableWriteError" in unconfirmed.get("errorLabels", []):
        _raise_write_concern_error(unconfirmed)


def _errors_in(answer: Document, count: int) -> list[PyMongoError | None]:
    """Of each of so many documents. What is neither told as stored nor as refused is raised of all."""
    errors: list[PyMongoError | None] = [None] * count
    refused = answer.get("writeErrors", [])
    for one in refused:
        errors[one["index"]] = _error_in({"writeErrors": [one]})
    if answer["n"] + len(refused) != count:
        raise AutoReconnect("the server did not say what became of each document")
    if _get_wce_doc(answer):
        unconfirmed = _error_in({**answer, "writeErrors": []})
        return [unconfirmed if one is None else one for one in errors]
    return errors


def _error_in(answer: Document) -> PyMongoError | None:
    try:
        _check_write_command_response(answer)
    except PyMongoError as error:
        return error
    return None
