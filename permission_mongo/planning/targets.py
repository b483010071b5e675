"""What storage must know of a collection and of a batch's options."""

from __future__ import annotations

from permission_mongo.config.model import Config
from permission_mongo.operations import Options
from permission_mongo.plans import Batch, Target
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


def batch_of(options: Options) -> Batch:
    return Batch(options.batch, options.atomic, options.dry_run, options.max_affected, options.results, options.reason)
