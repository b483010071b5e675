"""Bytes on their way into a document: asked whether they may come, stored, and only then named.

So no document ever names bytes that are not there; and bytes that no document came to name are removed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from permission_mongo.blobs import Blob, Stored
from permission_mongo.consulting import planned
from permission_mongo.errors import DeadlineExceeded, Refusal, Unavailable
from permission_mongo.operations import UpdateOne
from permission_mongo.parsing.blobs import Upload
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.make import Planner
from permission_mongo.planning.showing import Shown, ShownDocument
from permission_mongo.plans import UpdatePlan
from permission_mongo.query.limits import Limits
from permission_mongo.storage.blobs import Owner
from permission_mongo.storage.store import Store

Writing = Callable[[UpdateOne, bytes], Awaitable[Shown]]


@dataclass(frozen=True, slots=True)
class Uploading:
    """One upload. `has_key`: it may be a write that was done before."""

    upload: Upload
    asking: Asking
    limits: Limits
    has_key: bool

    @property
    def most(self) -> int:
        """Bytes. Asked once it is admitted."""
        return self.upload.most(self.limits)

    async def admitted(self, planner: Planner, store: Store) -> Owner:
        """Whose bytes they will be. A Refusal where the document would not be changed, before any byte is taken."""
        plan, asking = await planned(planner, store, self.upload.operation(), self.asking)
        assert isinstance(plan, UpdatePlan)  # noqa: S101  (an UpdateOne leads to nothing else)
        tenant = await store.require_writable(plan, asking.actor(), conditionally=not self.has_key)
        self.upload.require_taken()
        return Owner(self.upload.collection.name, self.upload.id, self.upload.field, tenant)

    async def kept(self, owner: Owner, parts: AsyncIterator[bytes], store: Store) -> Stored:
        about = Blob(self.upload.filename, self.upload.content_type, 0, "")
        return await store.keep_bytes(owner, about, self.most, parts, self.asking.now)

    async def named(self, owner: Owner, stored: Stored, write: Writing, store: Store) -> Shown:
        """What is shown of the document that names them. Where it is not known whether it does, they stay for now."""
        blob = stored.blob
        operation = self.upload.operation(blob.size_bytes, blob.checksum)
        try:
            shown = await write(operation, bytes.fromhex(blob.checksum))
        except (Unavailable, DeadlineExceeded):
            raise
        except Refusal:
            await store.drop_bytes(stored)
            raise
        if isinstance(shown, ShownDocument) and shown.updated:
            await store.settle_bytes(stored)
        else:
            await store.spare_bytes(owner, stored)
        return shown
