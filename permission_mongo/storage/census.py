"""Documents read for a count, by an operator's own address: nothing of it serves a request, and nothing is written.

All reads are of one snapshot, in whose session the server takes no write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.values import CODEC, Document

_PATIENCE: Final = 10 * 60_000  # milliseconds of one query
_AT_A_TIME: Final = 1_000
_TOO_OLD: Final = (239, 246)  # SnapshotTooOld, SnapshotUnavailable
# Below this share MongoDB picks documents one by one; above it, it would sort all of them.
_SPARSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Census:
    """One database, read only."""

    database: AsyncDatabase[Document]
    session: AsyncClientSession

    async def size(self, name: str) -> int:
        """About how many documents there are."""
        return await self._collection(name).estimated_document_count(maxTimeMS=_PATIENCE)

    async def edges(self, name: str, count: int) -> tuple[Document, ...]:
        """The first documents and the last, by id: always the same ones."""
        found: dict[str, Document] = {}
        for way in (1, -1):
            cursor = self._collection(name).find({}, session=self.session, max_time_ms=_PATIENCE)
            async for document in cursor.sort("_id", way).limit(count):
                found[repr(document["_id"])] = document
        return tuple(found.values())

    async def documents(self, name: str, size: int, most: int, fields: Iterable[str] | None) -> AsyncIterator[Document]:
        """All of them, or, of more than `most`, about so many by chance; of each the top-level `fields`, or all."""
        stages: list[dict[str, Any]] = []
        if size > most:
            share = most / size
            stages.append({"$sample": {"size": most}} if share < _SPARSE else {"$match": {"$sampleRate": share}})
        if fields is not None:
            stages.append({"$project": {"_id": 1, **dict.fromkeys(sorted(fields), 1)}})
        cursor = await self._collection(name).aggregate(
            stages, session=self.session, batchSize=_AT_A_TIME, maxTimeMS=_PATIENCE, allowDiskUse=True
        )
        async with cursor:
            async for document in cursor:
                yield document

    def _collection(self, name: str) -> AsyncCollection[Document]:
        return self.database[name]


@asynccontextmanager
async def open_census(uri: str, settings: MongoDB, *, secondary: bool = False) -> AsyncIterator[Census]:
    """The database that the address names, else the configured one. StartupFailure, without the address, on faults."""
    try:
        async with new_client(uri, settings) as client:
            await require_server(client)
            database = client.get_database(
                _name_of(client, settings),
                codec_options=CODEC,
                read_preference=ReadPreference.SECONDARY_PREFERRED if secondary else ReadPreference.PRIMARY,
            )
            async with client.start_session(snapshot=True) as session:
                yield Census(database, session)
    except OperationFailure as error:
        told = "the snapshot is too old by now; try a smaller --sample" if error.code in _TOO_OLD else _told(error)
        raise StartupFailure(f"MongoDB could not be read: {told}") from error
    except PyMongoError as error:
        raise StartupFailure(f"MongoDB could not be read: {type(error).__name__}") from error


def _told(error: OperationFailure) -> str:
    """By its code alone: a text of the server may hold values."""
    return f"it answers with code {error.code}"


def _name_of(client: AsyncMongoClient[Document], settings: MongoDB) -> str:
    try:
        return client.get_default_database().name
    except (ConfigurationError, InvalidURI):
        return settings.database
