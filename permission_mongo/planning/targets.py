"""What storage must know of a collection."""

from __future__ import annotations

from permission_mongo.config.model import Config
from permission_mongo.plans import Target
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
    )
