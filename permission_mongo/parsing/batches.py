"""Bodies of the batch routes -> operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from permission_mongo.batch import Batch
from permission_mongo.errors import BatchNotFound, InvalidRequest, PayloadTooLarge
from permission_mongo.operations import (
    ByFilter,
    ByIds,
    CreateMany,
    DeleteMany,
    GetMany,
    Undo,
)
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.fields import (
    MOST_FIELDS,
    boolean,
    fields_of,
    items_of,
    read_body,
    reason_of,
    require_known,
    whole_number,
)
from permission_mongo.parsing.ids import Fresh, read_batch_id, read_ids
from permission_mongo.query.filters import Query, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection

_OPTIONS: Final = ("atomic", "dry_run", "max_affected", "results", "reason")
_MOST_AFFECTED: Final = 10**9
_LONGEST_KEPT: Final = 8 * 2**20


def _options(found: Mapping[str, Any], fresh: Fresh) -> Batch:
    return Batch(
        fresh.batch_id(),
        boolean(found, "atomic"),
        boolean(found, "dry_run"),
        whole_number(found, "max_affected", 0, _MOST_AFFECTED),
        boolean(found, "results"),
        reason_of(found.get("reason"), "reason"),
    )


def read_delete_many(body: bytes, collection: Collection, limits: Limits, fresh: Fresh) -> DeleteMany:
    """`{"ids": [...]}` or `{"filter": {...}}`; an empty filter only with `"all": true`."""
    found = read_body(body)
    require_known(found, ("ids", "filter", "all", *_OPTIONS))
    if ("ids" in found) == ("filter" in found):
        raise InvalidRequest("expected either 'ids' or 'filter'" + (", not both" if "ids" in found else ""))
    options = _options(found, fresh)
    everything = boolean(found, "all")
    if "ids" in found:
        if "all" in found:
            raise InvalidRequest("all: goes with 'filter'")
        ids = read_ids(items_of(found, "ids", limits.max_batch_size), collection, "ids")
        return DeleteMany(collection, ByIds(ids), options)
    query = read_filter(found["filter"], collection, limits)
    if not query.paths and not everything:
        raise InvalidRequest('filter: an empty filter matches everything; say so with "all": true')
    return DeleteMany(collection, _by_filter(query, body), options)


def _by_filter(query: Query, body: bytes) -> ByFilter:
    """What may become a job is kept as it was sent. PayloadTooLarge where no record could hold it."""
    if len(body) > _LONGEST_KEPT:
        raise PayloadTooLarge(f"a body with a filter has at most {_LONGEST_KEPT} bytes", max_body_bytes=_LONGEST_KEPT)
    return ByFilter(query, body)


def read_create_many(body: bytes, collection: Collection, limits: Limits, fresh: Fresh) -> CreateMany:
    """`{"documents": [...]}`."""
    found = read_body(body)
    require_known(found, ("documents", *_OPTIONS))
    documents = items_of(found, "documents", limits.max_batch_size)
    options = _options(found, fresh)
    if options.max_affected is not None and len(documents) > options.max_affected:
        raise InvalidRequest("max_affected: more documents are sent", matched_at_least=options.max_affected + 1)
    sent = tuple(read_sent(one, collection, fresh, f"documents[{n}]") for n, one in enumerate(documents))
    return CreateMany(collection, sent, options)


def read_get_many(body: bytes, collection: Collection, limits: Limits) -> GetMany:
    """`{"ids": [...], "fields"?: [...]}`."""
    found = read_body(body)
    require_known(found, ("ids", "fields"))
    ids = read_ids(items_of(found, "ids", limits.max_batch_size), collection, "ids")
    if "fields" not in found:
        return GetMany(collection, ids)
    fields = items_of(found, "fields", MOST_FIELDS)
    return GetMany(collection, ids, fields_of(fields, "fields"))


def read_undo(body: bytes, batch: str, collection: Collection, fresh: Fresh) -> Undo:
    """`{}`, with the options of every batch."""
    found = read_body(body) if body.strip() else {}
    require_known(found, _OPTIONS)
    undone = read_batch_id(batch)
    if undone is None:
        raise BatchNotFound(f"no such batch in {collection.name}", collection=collection.name)
    return Undo(collection, undone, _options(found, fresh))
