"""What storage must know of a collection, and of what the caller last saw there."""

from __future__ import annotations

from typing import cast

from permission_mongo.config.model import Config
from permission_mongo.documents.etags import Tags
from permission_mongo.hierarchy import Staff
from permission_mongo.hooks import MOST_ASKED
from permission_mongo.planning.callers import Access
from permission_mongo.plans import Precondition, Target
from permission_mongo.schema.model import Collection


def target_of(collection: Collection, config: Config) -> Target:
    """Made once for each collection of a configuration, which keeps it: what is remembered ends with it."""
    known = config.remembered.get(collection.name)
    if known is not None and known[0] is collection:
        return cast("Target", known[1])
    made = _made(collection, config)
    config.remembered[collection.name] = collection, made
    return made


def _made(collection: Collection, config: Config) -> Target:
    limits, hooks = config.limits, config.hooks_of(collection.name)
    return Target(
        collection.name,
        collection.tenant_field,
        collection.versioned,
        config.audit.enabled,
        min(limits.max_batch_size, MOST_ASKED) if hooks.calls else limits.max_batch_size,
        limits.max_transaction_bytes,
        collection.keeping,
        staff=staff_of(collection),
        posts=hooks.posts,
        names_paths=config.audit.enabled and config.audit.include_changes,
    )


def staff_of(collection: Collection) -> Staff | None:
    """The people of the collection, if it declares a hierarchy of them."""
    found = collection.hierarchy
    if found is None:
        return None
    return Staff(collection.name, collection.tenant_field, found.user_id_field, found.manager_field)


def precondition(wanted: Tags | None, reading: Access) -> Precondition | None:
    return None if wanted is None else Precondition(wanted, reading.lens)
