"""A client for the configured MongoDB."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError, ServerSelectionTimeoutError
from pymongo.monitoring import CommandListener

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.values import CODEC, Document

Database = AsyncDatabase[Document]


def new_client(uri: str, settings: MongoDB, listeners: Sequence[CommandListener] = ()) -> AsyncMongoClient[Document]:
    """A client that has not spoken to the server yet. Reads are from the primary, writes wait for a majority."""
    try:
        return AsyncMongoClient(
            uri,
            appname="permission-mongo",
            maxPoolSize=settings.max_pool_size,
            minPoolSize=settings.min_pool_size,
            serverSelectionTimeoutMS=int(settings.server_selection_timeout * 1000),
            connectTimeoutMS=int(settings.connect_timeout * 1000),
            # A request waits this long for a connection of the pool; then it is told to come back.
            waitQueueTimeoutMS=1000,
            readPreference="primary",
            w="majority",
            readConcernLevel="local",
            retryWrites=True,
            retryReads=True,
            tz_aware=CODEC.tz_aware,
            uuidRepresentation="standard",
            datetime_conversion="DATETIME_AUTO",
            event_listeners=listeners,
        )
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise StartupFailure(f"mongodb.uri can't be used: {error}") from error


async def require_server(client: AsyncMongoClient[Document]) -> str:
    """The server's version. StartupFailure, without the address, if none answers."""
    try:
        return str((await client.server_info())["version"])
    except ServerSelectionTimeoutError as error:
        raise StartupFailure(
            "MongoDB does not answer at mongodb.uri (MONGODB_URI); is it running, and may this machine reach it?"
        ) from error
    except PyMongoError as error:
        raise StartupFailure(f"MongoDB refused the connection: {type(error).__name__}") from error
