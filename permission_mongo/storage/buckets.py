"""Bytes in an S3-compatible store, by obstore: an optional part of the package, loaded by who is configured to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any, Final
from urllib.parse import quote

from permission_mongo.blobs import Blob
from permission_mongo.config.model import S3Store
from permission_mongo.errors import DeadlineExceeded, StartupFailure, Unavailable

_PART: Final = 2**20  # bytes
_TOLD: Final = "the store of blobs can't be reached just now"


class Bucket:
    """One bucket. `seconds` bounds each request to the store, of which a large blob takes several."""

    def __init__(self, settings: S3Store, seconds: float) -> None:
        try:
            self._s3: Any = import_module("obstore")
            made: Any = import_module("obstore.store").S3Store
            self._errors: Any = import_module("obstore.exceptions").BaseError
        except ImportError as error:
            raise StartupFailure("blobs.store is s3, and that needs: pip install 'permission-mongo[s3]'") from error
        own = {} if settings.endpoint is None else {"endpoint": settings.endpoint}
        self._store: Any = made(
            settings.bucket,
            region=settings.region,
            access_key_id=settings.access_key,
            secret_access_key=settings.secret_key,
            virtual_hosted_style_request=not settings.path_style,
            client_options={"allow_http": True, "timeout": timedelta(seconds=seconds)},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=seconds)},
            **own,
        )

    async def put(self, key: str, parts: AsyncIterator[bytes], blob: Blob) -> None:
        name = quote(blob.filename.encode(errors="replace"), safe="")
        # The store answers whoever holds an address with these: a file to keep, and no page.
        about = {"Content-Type": blob.content_type, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        async with self._telling():
            await self._s3.put_async(self._store, key, parts, attributes=about)

    async def read(self, key: str, first: int, last: int) -> AsyncGenerator[bytes, None]:
        async with self._telling():
            options = None if last < first else {"range": (first, last + 1)}
            found = await self._s3.get_async(self._store, key, options=options)
            async for part in found.stream(min_chunk_size=_PART):
                yield bytes(part)

    async def drop(self, key: str) -> None:
        async with self._telling():
            await self._s3.delete_async(self._store, key)

    def url(self, key: str, seconds: float) -> str:
        """The store's own address of the bytes, signed for so long. Nothing is asked of it."""
        return str(self._s3.sign(self._store, "GET", key, timedelta(seconds=seconds)))

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """What the store says stays here: it names its address, the key and the bucket."""
        try:
            yield
        except FileNotFoundError:
            raise
        except TimeoutError as error:
            raise DeadlineExceeded("the store of blobs did not answer in time") from error
        except (self._errors, OSError) as error:
            raise Unavailable(_TOLD) from error
