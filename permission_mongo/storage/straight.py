"""Commands to the primary by the shortest way: on a connection of the driver's pool, without what the driver does
around it for commands of every kind.

It is taken for what one primary is asked alone, and left out are a session, which reads alone need none of, the choice
among servers, and the second try, which is for the caller to make. Whatever is unusual goes the driver's way: a server
that is not known to be a primary, a router in front of shards, somebody who is told of each command.
"""

from __future__ import annotations

from typing import Any, Final, cast

from pymongo import AsyncMongoClient, message
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.asynchronous.server import Server
from pymongo.helpers_shared import _check_command_response, _check_write_command_response
from pymongo.server_type import SERVER_TYPE

from permission_mongo.storage.replies import REPLY, Reply
from permission_mongo.values import CODEC, Document

_DOCUMENT: Final = cast("Any", CODEC)


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
            if connection.listeners.enabled_for_commands:
                return await self._on(connection, command)
            connection.apply_timeout(command)  # that of the command before would stay
            request, packed, size, largest = message._op_msg(
                0, command, self._name, None, REPLY, connection.compression_context
            )
            if size > connection.max_bson_size:
                return await self._on(connection, command)
            await connection.send_message(packed, largest)
            reply = await connection.receive_message(request)
            answer: Reply = reply.unpack_response(codec_options=REPLY)[0]
            _check_command_response(answer, connection.max_wire_version)
            return answer

    async def _on(self, connection: Any, command: Document) -> Reply:
        answer: Reply = await connection.command(self._name, command, codec_options=REPLY, client=self._client)
        return answer

    async def within(self, session: AsyncClientSession, command: Document) -> Document:
        """What the primary answers within the session's transaction, asked once, as by the driver's own command."""
        server = self._primary()
        if server is None or not session.in_transaction:
            return await self._database.command(command, codec_options=_DOCUMENT, session=session)
        async with self._client._checkout(server, session) as connection:
            answer: Document = await connection.command(
                self._name, command, codec_options=_DOCUMENT, session=session, client=self._client
            )
        # As the driver notes it: from here on a transaction is not begun anew.
        session._transaction.has_completed_command = True
        return answer

    async def insert(self, session: AsyncClientSession, name: str, document: Any) -> None:
        """One document that has its id, in the session's transaction. DuplicateKeyError, WriteError as the driver."""
        _check_write_command_response(await self.within(session, {"insert": name, "documents": [document]}))

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
