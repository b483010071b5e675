"""Who did what: one entry a transaction, committed with it. Holds ids and no values."""

from __future__ import annotations

from collections.abc import Sequence

from bson.objectid import ObjectId

from permission_mongo.plans import Actor
from permission_mongo.values import Document, DocumentId


def entry(
    actor: Actor,
    action: str,
    collection: str,
    ids: Sequence[DocumentId],
    batch: str | None = None,
    reason: str | None = None,
) -> Document:
    """The audit entry of one transaction. A `reason` stands here where no version is left to hold it."""
    kept: Document = {
        "_id": ObjectId(),
        "at": actor.now,
        "tenant_id": actor.tenant,
        "user_id": actor.subject,
        "credential": actor.credential,
        "roles": list(actor.roles),
        "request_id": actor.request_id,
        "action": action,
        "collection": collection,
        "ids": list(ids),
        "count": len(ids),
    }
    if batch is not None:
        kept["batch"] = batch
    if reason is not None:
        kept["reason"] = reason
    return kept
