"""Plans that change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.documents.paths import Path
from permission_mongo.errors import InvalidRequest, VersioningNotEnabled
from permission_mongo.operations import CountMany, GetMany, GetOne, ListDeleted, ListMany
from permission_mongo.planning.callers import Access, Asking, Callers, require_paths, tenant_value
from permission_mongo.planning.planned import Planned
from permission_mongo.plans import CountPlan, DeletedPlan, GetManyPlan, ListPlan, ReadPlan
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.guard import narrow_content
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.filters import Query
from permission_mongo.query.sorting import Ordered, Sort, ordered
from permission_mongo.schema.model import Collection
from permission_mongo.values import CODEC, MongoFilter


def plan_get(operation: GetOne, asking: Asking, callers: Callers) -> ReadPlan:
    collection = operation.collection
    access = callers.access(asking, collection, "read")
    fields = None if operation.fields is None else shown_fields(operation.fields, access, collection)
    return ReadPlan(collection.name, operation.id, access.rows, access.lens, fields, collection.computed)


def plan_get_many(operation: GetMany, asking: Asking, callers: Callers) -> GetManyPlan:
    collection = operation.collection
    access = callers.access(asking, collection, "read")
    match = access.rows.further({"_id": {"$in": list(operation.ids)}})
    fields = None if operation.fields is None else shown_fields(operation.fields, access, collection)
    most = callers.config.limits.max_result_bytes
    return GetManyPlan(collection.name, operation.ids, match, access.lens, fields, most, collection.computed)


def shown_fields(fields: Iterable[str], access: Access, collection: Collection) -> frozenset[Path]:
    """Refused where no rule reads them; in each row the lens shows what that row's own rules show."""
    return frozenset(require_paths(access, collection, "read", Query(paths=frozenset(fields))))


def plan_list(operation: ListMany, asking: Asking, callers: Callers, cursors: CursorKey, planned: Planned) -> ListPlan:
    access = callers.access(asking, operation.collection, "read")
    known = planned.find(access, operation)
    if known is not None:
        return known
    plan = _planned(operation, access, asking, callers, cursors)
    planned.keep(access, operation, plan)
    return plan


def _planned(operation: ListMany, access: Access, asking: Asking, callers: Callers, cursors: CursorKey) -> ListPlan:
    """Made of nothing but these: of the request itself it takes its caller, and the moment if there is a cursor."""
    collection, query, sort = operation.collection, operation.query, operation.sort
    fields = None if operation.fields is None else shown_fields(operation.fields, access, collection)
    without = shown_fields(operation.without, access, collection)
    # An order tells values as a filter does: the rows are those whose rules read the paths of both.
    asked = query if sort is None else _sorted(query, sort)
    reach = asked_reach(access, collection, asked, takes_computed=True)
    prefix = tenant_prefix(collection, asking, callers)
    by = None if sort is None else ordered(sort, collection, (name for name, _ in prefix))
    question = question_of("list", collection, asking, query.match, by)
    behind = _asks_computed(query, collection)
    return ListPlan(
        collection.name,
        access.matching({} if behind else query.match, reach),
        operation.limit,
        place_behind(operation.cursor, question, asking, cursors),
        prefix,
        access.lens,
        question,
        callers.config.limits.max_result_bytes,
        by,
        fields,
        operation.count or collection.counts_lists,
        operation.skip,
        collection.computed,
        query.match if behind else {},
        without,
        operation.presign,
    )


def _asks_computed(query: Query, collection: Collection) -> bool:
    """Whether it asks of computed fields: that can be asked only once they are there, behind the guard."""
    return any(collection.is_computed(path) for path in query.paths)


def plan_count(operation: CountMany, asking: Asking, callers: Callers) -> CountPlan:
    """Counts the very rows that a list with this filter has."""
    collection, query = operation.collection, operation.query
    access = callers.access(asking, collection, "read")
    reach = asked_reach(access, collection, query, takes_computed=True)
    behind = _asks_computed(query, collection)
    match = access.matching({} if behind else query.match, reach)
    return CountPlan(collection.name, match, collection.computed, query.match if behind else {})


def _sorted(query: Query, sort: Sort) -> Query:
    return replace(query, paths=query.paths | sort.paths, fault=query.fault or sort.fault)


def asked_reach(access: Access, collection: Collection, query: Query, *, takes_computed: bool = False) -> Reach:
    """The rows that may answer a query, its paths having been checked before its values."""
    reach = access.lending(require_paths(access, collection, "read", query))
    if not takes_computed:
        require_stored(query.paths, collection)
    if query.fault is not None:
        raise InvalidRequest(query.fault)
    return reach


def require_stored(paths: Iterable[str], collection: Collection) -> None:
    """A computed field is stored nowhere: a question that does not compute it first would find it absent."""
    computed = sorted(path for path in paths if collection.is_computed(path))
    if computed:
        raise InvalidRequest(f"{computed[0]}: a computed field can't be asked about here", fields=computed)


def plan_deleted(operation: ListDeleted, asking: Asking, callers: Callers, cursors: CursorKey) -> DeletedPlan:
    collection = operation.collection
    require_versions(collection)
    read = callers.access(asking, collection, "read")
    restore = callers.access(asking, collection, "restore")
    question = question_of("deleted", collection, asking, {})
    # What is seen is decided by the content of each record; its tenant only leads the index.
    prefix = (("collection", collection.name), *prefix_of_records(collection, asking, callers), ("gone", True))
    return DeletedPlan(
        collection.name,
        narrow_content(dict(prefix), read.reach, restore.reach),
        prefix,
        operation.limit,
        place_behind(operation.cursor, question, asking, cursors),
        read.lens,
        question,
        callers.config.limits.max_result_bytes,
        collection.computed,
    )


def require_versions(collection: Collection) -> None:
    if not collection.versioned:
        raise VersioningNotEnabled(f"{collection.name} keeps no versions", collection=collection.name)


def question_of(
    route: str, collection: Collection, asking: Asking, match: MongoFilter, by: Ordered | None = None
) -> tuple[object, ...]:
    """What a cursor is bound to. The order is part of it, down to the direction of its tie-break."""
    who = asking.principal
    try:
        asked = encode({"f": match} if by is None else {"f": match, "s": by.order}, codec_options=CODEC)
    except (InvalidDocument, OverflowError) as error:
        raise InvalidRequest("the filter holds a value that can't be stored") from error
    return (route, collection.name, asked, who.kind, who.tenant, who.subject)


def place_behind(cursor: str | None, question: tuple[object, ...], asking: Asking, cursors: CursorKey) -> object | None:
    return None if cursor is None else cursors.open(cursor, question, asking.posix())


def tenant_prefix(collection: Collection, asking: Asking, callers: Callers) -> tuple[tuple[str, object], ...]:
    """The tenant, where the page is read from the tenant's part of an index."""
    if collection.tenant_field is None or callers.crosses_tenants(asking):
        return ()
    return ((collection.tenant_field, tenant_value(collection, asking)),)


def prefix_of_records(collection: Collection, asking: Asking, callers: Callers) -> tuple[tuple[str, object], ...]:
    """The tenant whose records are read; none for a caller who crosses tenants where there are any."""
    if collection.tenant_field is not None and callers.crosses_tenants(asking):
        return ()
    return (("tenant_id", tenant_value(collection, asking)),)
