"""What storage must know of a collection, and of what the caller last saw there."""

from __future__ import annotations

from permission_mongo.config.model import Config
from permission_mongo.documents.etags import Tags
from permission_mongo.planning.callers import Access
from permission_mongo.plans import Precondition, Target
from permission_mongo.schema.model import Collection


def target_of(collection: Collection, config: Config) -> Target:
    limits = config.limits
    return Target(
        collection.name,
        collection.tenant_field,
        collection.versioned,
        config.audit.enabled,
        limits.max_batch_size,
        limits.max_transaction_bytes,
        collection.keeping,
        config.audit.enabled and config.audit.include_changes,
    )


def precondition(wanted: Tags | None, reading: Access) -> Precondition | None:
    return None if wanted is None else Precondition(wanted, reading.lens)
