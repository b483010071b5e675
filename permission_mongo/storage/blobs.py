"""Where the bytes of blobs are: a record of each, written before its first byte and gone after its last.

A document names bytes by what it is and by their checksum, never by their key; the record leads from there to the key.
The bytes themselves are in one of two stores, GridFS here, or S3 in `buckets`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol
from urllib.parse import quote

import pymongo
from gridfs import NoFile
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.blobs import Blob, Place, Stored
from permission_mongo.errors import PayloadTooLarge
from permission_mongo.storage.layout import BLOB_KEYS
from permission_mongo.values import Document, DocumentId

PREFIX: Final = "_pm_blobs"
_AT_ONCE: Final = 500  # places of one look
_PART: Final = 255 * 2**10  # bytes, as of GridFS


class Bytes(Protocol):
    """A store. Faults of its own are told as refusals."""

    async def put(self, key: str, parts: AsyncIterator[bytes], blob: Blob) -> None: ...
    def read(self, key: str, first: int, last: int) -> AsyncGenerator[bytes, None]:
        """From byte `first` to byte `last`, both included. FileNotFoundError where there are none."""
        ...

    async def drop(self, key: str) -> None:
        """Also where there are none."""


class GridFS:
    """Bytes in the namespace's own database. `seconds` bounds each step of a stream."""

    def __init__(self, database: AsyncDatabase[Document], seconds: float) -> None:
        self._bucket = AsyncGridFSBucket(database, PREFIX)
        self._seconds = seconds

    async def put(self, key: str, parts: AsyncIterator[bytes], blob: Blob) -> None:
        stream = self._bucket.open_upload_stream_with_id(key, key)
        try:
            async for part in parts:
                with pymongo.timeout(self._seconds):
                    await stream.write(part)
            with pymongo.timeout(self._seconds):
                await stream.close()
        except BaseException:
            with pymongo.timeout(self._seconds):
                await stream.abort()
            raise

    async def read(self, key: str, first: int, last: int) -> AsyncGenerator[bytes, None]:
        try:
            with pymongo.timeout(self._seconds):
                stream = await self._bucket.open_download_stream(key)
                await stream.seek(first)
            left = last - first + 1
            while left > 0:
                with pymongo.timeout(self._seconds):
                    part = await stream.read(min(left, _PART))
                if not part:
                    return
                left -= len(part)
                yield part
        except NoFile as error:
            raise FileNotFoundError(key) from error

    async def drop(self, key: str) -> None:
        try:
            with pymongo.timeout(self._seconds):
                await self._bucket.delete(key)
        except NoFile:
            # What was cut off before its end has parts, and no file.
            with pymongo.timeout(self._seconds):
                await self._bucket._chunks.delete_many({"files_id": key})


@dataclass(frozen=True, slots=True)
class Owner:
    """The field of a document that bytes are for; `tenant` is whose document it is."""

    collection: str
    id: DocumentId
    field: str
    tenant: Any

    def named(self, checksum: str | None = None) -> Document:
        found: Document = {"collection": self.collection, "doc": self.id, "field": self.field}
        return found if checksum is None else {**found, "checksum": checksum}


class Blobs:
    """The blobs of one namespace."""

    def __init__(self, database: AsyncDatabase[Document], store: Bytes, namespace: str, seconds: float) -> None:
        self._keys = database[BLOB_KEYS]
        self._store = store
        self._namespace = namespace
        self._seconds = seconds

    async def find(self, collection: str, places: Iterable[Place]) -> Mapping[Place, Stored]:
        """Those whose bytes are known. Of bytes that came twice those that a document named, for others may be on their
        way out; of these the later, which stay longer.
        """
        wanted = {(one.id, one.field, one.blob.checksum): one for one in places}
        found: dict[Place, Stored] = {}
        keys = list(wanted)
        for n in range(0, len(keys), _AT_ONCE):
            alike = [{"doc": one, "field": name, "checksum": of} for one, name, of in keys[n : n + _AT_ONCE]]
            match = {"collection": collection, "$or": alike}
            with pymongo.timeout(self._seconds):
                async for row in self._keys.find(match, sort=[("settled", 1), ("at", 1), ("_id", 1)]):
                    place = wanted.get((row["doc"], row["field"], row["checksum"]))
                    if place is not None:
                        found[place] = Stored(place.blob, row["_id"])
        return found

    async def keep(self, owner: Owner, blob: Blob, most: int, parts: AsyncIterator[bytes], now: datetime) -> Stored:
        """Store the bytes, which no document names yet. PayloadTooLarge above `most` of them; then none are kept."""
        key = self._fresh_key(owner)
        with pymongo.timeout(self._seconds):
            await self._keys.insert_one({"_id": key, "at": now, **owner.named()})
        counted = _Counted(parts, most)
        try:
            await self._store.put(key, counted.parts(), blob)
        except Exception:
            await self.drop(key)
            raise
        kept = Blob(blob.filename, blob.content_type, counted.size, counted.digest.hexdigest())
        with pymongo.timeout(self._seconds):
            await self._keys.update_one({"_id": key}, {"$set": {"checksum": kept.checksum}})
        return Stored(kept, key)

    async def settle(self, key: str) -> None:
        """A document names them now."""
        with pymongo.timeout(self._seconds):
            await self._keys.update_one({"_id": key}, {"$set": {"settled": True}})

    async def spare(self, owner: Owner, stored: Stored) -> None:
        """Nothing was changed, for the document named bytes like these. One of both is kept."""
        others = {**owner.named(stored.blob.checksum), "_id": {"$ne": stored.key}, "settled": True}
        with pymongo.timeout(self._seconds):
            other = await self._keys.find_one(others, {"_id": 1})
        if other is None:
            await self.settle(stored.key)
        else:
            await self.drop(stored.key)

    async def drop(self, key: str) -> None:
        """The record goes last: what is cut off in between is swept."""
        await self._store.drop(key)
        with pymongo.timeout(self._seconds):
            await self._keys.delete_one({"_id": key})

    async def open(self, stored: Stored, first: int, last: int) -> AsyncIterator[bytes] | None:
        """The first part is read before this returns; None where there are no bytes."""
        parts = self._store.read(stored.key, first, last)
        try:
            head = await anext(parts, b"")
        except FileNotFoundError:
            return None
        return _all(head, parts)

    def _fresh_key(self, owner: Owner) -> str:
        """Random, below namespace and tenant."""
        tenant = "-" if owner.tenant is None else sha256(repr(owner.tenant).encode()).hexdigest()[:16]
        return f"{quote(self._namespace, safe='')}/{tenant}/{secrets.token_hex(24)}"


async def _all(head: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield head
        async for part in rest:
            yield part


class _Counted:
    """Bytes on their way, with their number and their digest."""

    def __init__(self, parts: AsyncIterator[bytes], most: int) -> None:
        self._parts = parts
        self._most = most
        self.size = 0
        self.digest = sha256()

    async def parts(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            self.size += len(part)
            if self.size > self._most:
                raise PayloadTooLarge(f"the blob is larger than {self._most} bytes", max_bytes=self._most)
            self.digest.update(part)
            yield part
