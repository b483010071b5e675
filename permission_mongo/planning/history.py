"""Plans that read old states, and the one that writes an old state again."""

from __future__ import annotations

from permission_mongo.operations import Compare, GetVersion, ListVersions, OfPast, ReadAgain, RestoreOne
from permission_mongo.pasts import AgainPlan, ComparePlan, Past, PastPlan, VersionPlan, VersionsPlan
from permission_mongo.planning.callers import Access, Asking, Callers, tenant_value
from permission_mongo.planning.reads import require_versions
from permission_mongo.planning.revisions import again_of
from permission_mongo.planning.targets import precondition, target_of
from permission_mongo.plans import RestorePlan
from permission_mongo.policy.guard import narrow, narrow_states
from permission_mongo.policy.nodes import conjunction
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId, MongoFilter
from permission_mongo.versions import life_of, lives_of


def plan_past(operation: OfPast, asking: Asking, callers: Callers) -> PastPlan:
    """By the rules of today, whatever was shown of a state when it was the present one."""
    collection = operation.collection
    if not isinstance(operation, ReadAgain):
        require_versions(collection)
    reading = callers.access(asking, collection, "read")
    past = past_of(collection, operation.id, reading, asking, callers)
    match operation:
        case ListVersions(limit=limit, before=before):
            return VersionsPlan(past, limit, before)
        case GetVersion(version=version):
            return VersionPlan(past, version, reading.lens, collection.computed)
        case Compare(earlier=earlier, later=later):
            return ComparePlan(past, earlier, later, reading.lens)
        case ReadAgain(version=number, created=created):
            return AgainPlan(past, number, reading.lens, created)


def plan_restore(operation: RestoreOne, asking: Asking, callers: Callers) -> RestorePlan:
    """The state that is replaced and the one that replaces it must both be within `read` AND within `restore`.

    Of the latter one rule must both reach it and accept it by its `check`, as it was and as it will be.
    """
    collection = operation.collection
    require_versions(collection)
    restoring = callers.access(asking, collection, "restore").reach
    reading = callers.access(asking, collection, "read")
    kept = _records(collection, operation.id, asking, callers)
    return RestorePlan(
        target=target_of(collection, callers.config),
        collection=collection,
        past=past_of(collection, operation.id, reading, asking, callers),
        version=operation.version,
        match=narrow({}, reading.reach, restoring),
        replaced=narrow_states(kept, conjunction((reading.reach.rows, restoring.rows))),
        restored=narrow_states(kept, conjunction((reading.reach.rows, restoring.accepted_rows))),
        lens=reading.lens,
        precondition=precondition(operation.if_match, reading),
        reason=operation.reason,
        again=again_of(collection, asking, callers),
    )


def past_of(collection: Collection, one: DocumentId, reading: Access, asking: Asking, callers: Callers) -> Past:
    """The document and its kept states, as the rules of today show them."""
    crosses, tenant = _whose(collection, asking, callers)
    states = narrow_states(_records(collection, one, asking, callers), reading.reach.rows)
    return Past(collection.name, collection.tenant_field, one, reading.rows, states, tenant, crosses)


def _records(collection: Collection, one: DocumentId, asking: Asking, callers: Callers) -> MongoFilter:
    """What is kept of a document, by the caller's own tenant; by any, for one who crosses tenants."""
    crosses, tenant = _whose(collection, asking, callers)
    return lives_of(collection.name, one) if crosses else life_of(collection.name, one, tenant)


def _whose(collection: Collection, asking: Asking, callers: Callers) -> tuple[bool, object]:
    crosses = collection.tenant_field is not None and callers.crosses_tenants(asking)
    return crosses, None if crosses else tenant_value(collection, asking)
