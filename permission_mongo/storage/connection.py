"""A client for the configured MongoDB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError, ServerSelectionTimeoutError
from pymongo.monitoring import CommandListener

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.quick_pool import QuickPool
from permission_mongo.values import CODEC, Document

Database = AsyncDatabase[Document]
_QUOTED: Final = re.compile(r""""[^"]*"|'[^']*'""")
_WORDS: Final = re.compile(r"\w+")
_TELLING: Final = 5  # characters
_MALFORMED: Final = (
    "it is malformed; in its user and password '/', ':', '@' and '%' are written as %2F, %3A, %40 and %25"
)


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
            _pool_class=QuickPool,
        )
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise StartupFailure(f"mongodb.uri can't be used: {_without_parts(str(error), uri)}") from error
    except OSError as error:
        raise StartupFailure(f"mongodb.uri names a file that can't be read: {error.strerror}") from error


def _without_parts(told: str, uri: str) -> str:
    """What the driver says of an address, without what it quotes of it: that may be the end of a password."""
    told = _QUOTED.sub("...", told)
    words = {word for word in _WORDS.findall(uri.partition("://")[2]) if len(word) >= _TELLING}
    return _MALFORMED if any(word in told for word in words) else told


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
