"""The plan that finds a tenant's hierarchy anew: for the system right `admin`, within the caller's tenant."""

from __future__ import annotations

from permission_mongo.errors import CollectionNotFound, Forbidden
from permission_mongo.operations import SyncHierarchy
from permission_mongo.planning.callers import Asking, Callers, tenant_value
from permission_mongo.planning.targets import staff_of
from permission_mongo.schema.model import Collection
from permission_mongo.service import SyncPlan
from permission_mongo.values import read_scalar


def plan_sync(operation: SyncHierarchy, asking: Asking, callers: Callers) -> SyncPlan:
    """Forbidden without the right, or for a tenant other than the caller's, whose role with the right crosses none."""
    if not callers.has_system_right(asking, "admin"):
        raise Forbidden("this needs the system right 'admin'")
    collections = callers.config.collections
    found = next((one for one in collections.values() if one.hierarchy is not None), None)
    named = operation.collection
    staff = None if found is None else staff_of(found)
    if found is None or staff is None or named not in (None, found.name):
        raise CollectionNotFound(
            "no such collection of people", **({} if named is None else {"collection": named[:128]})
        )
    return SyncPlan(staff, _tenant(operation, found, asking, callers), callers.config.audit.enabled)


def _tenant(operation: SyncHierarchy, people: Collection, asking: Asking, callers: Callers) -> object:
    if people.tenant_field is None:
        return None
    own, named = asking.principal.tenant, operation.tenant
    if named not in (None, own) and not callers.crosses_with_right(asking, "admin"):
        raise Forbidden("no such tenant, or not yours")
    if named is None:
        tenant = tenant_value(people, asking)
        if tenant is None:
            raise Forbidden("name a tenant: your credential names none")
        return tenant
    try:
        return read_scalar(people.kind_of(people.tenant_field) or "any", named)
    except ValueError as error:
        raise Forbidden("no such tenant, or not yours") from error
