"""Bodies of the batch routes -> operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Change
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import BatchNotFound, InvalidRequest, PayloadTooLarge
from permission_mongo.operations import (
    Alike,
    ByFilter,
    ByIds,
    ByTags,
    CreateMany,
    DeleteMany,
    Each,
    GetMany,
    Revised,
    Sent,
    Undo,
    UpdateMany,
)
from permission_mongo.parsing.changes import change_of, read_upsert
from permission_mongo.parsing.conditions import read_tags
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.fields import (
    MOST_FIELDS,
    at,
    boolean,
    fields_of,
    is_empty,
    items_of,
    placed,
    read_body,
    reason_of,
    require_known,
    whole_number,
)
from permission_mongo.parsing.ids import Fresh, read_batch_id, read_id, read_ids
from permission_mongo.parsing.upserts import read_anew
from permission_mongo.query.filters import Query, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId

_OPTIONS: Final = ("atomic", "dry_run", "max_affected", "results", "reason")
_OF_A_CHANGE: Final = frozenset({"id", "update", "if_match"})
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
    """`{"ids": [...]}`, `{"items": [...]}` or `{"filter": {...}}`; an empty filter only with `"all": true`."""
    found = read_body(body)
    if "items" in found:
        require_known(found, ("items", *_OPTIONS))
        return DeleteMany(collection, _tagged(found, collection, limits), _options(found, fresh))
    require_known(found, ("ids", "items", "filter", "all", *_OPTIONS))
    return DeleteMany(collection, _selection(found, body, collection, limits), _options(found, fresh))


def _tagged(found: Mapping[str, Any], collection: Collection, limits: Limits) -> ByTags:
    items = [
        _tagged_one(one, f"items[{n}]", collection)
        for n, one in enumerate(items_of(found, "items", limits.max_batch_size))
    ]
    _require_once([one for one, _ in items], "items")
    return ByTags(dict(items))


def _tagged_one(item: Any, place: str, collection: Collection) -> tuple[DocumentId, Tags | None]:
    if not isinstance(item, dict):
        raise InvalidRequest(f"{place}: expected an object with 'id'")
    with placed(place):
        require_known(item, ("id", "if_match"))
    return read_id(item.get("id"), collection, f"{place}.id"), _if_match(item, place)


def read_update_many(body: bytes, collection: Collection, limits: Limits, fresh: Fresh) -> UpdateMany:
    """`{"ids": [...], "update": {...}}`, the same with a filter, or `{"updates": [...]}`."""
    found = read_body(body)
    if "updates" in found:
        require_known(found, ("updates", *_OPTIONS))
        items = items_of(found, "updates", limits.max_batch_size)
        revised = tuple(_revised(one, f"updates[{n}]", collection) for n, one in enumerate(items))
        _require_once([one.id for one in revised], "updates")
        return UpdateMany(collection, Each(revised), _options(found, fresh))
    require_known(found, ("ids", "filter", "all", "updates", "update", *_OPTIONS))
    selection = _selection(found, body, collection, limits)
    return UpdateMany(collection, Alike(selection, _change(found, "update")), _options(found, fresh))


def read_upsert_many(body: bytes, collection: Collection, limits: Limits, fresh: Fresh) -> UpdateMany:
    """`{"filter": {...}, "all": true, "update": {"$set": {...}}, "upsert": true}`: no route of ours takes it.

    `$setOnInsert` may be the only operator: then nothing is changed, and a document created where none matches.
    """
    found = read_body(body)
    require_known(found, ("filter", "all", "update", "upsert", "reason"))
    selection = _selection(found, body, collection, limits)
    with placed("update"):
        change, only = read_upsert(found["update"])
    anew = read_anew(found["filter"], only, collection, fresh)
    return UpdateMany(collection, Alike(selection, change), _options(found, fresh), anew)


def _revised(item: Any, place: str, collection: Collection) -> Revised:
    if not isinstance(item, dict):
        raise InvalidRequest(f"{place}: expected an object with 'id' and 'update'")
    try:  # twice in each of many items: `placed` takes longer than what is in it
        if not item.keys() <= _OF_A_CHANGE:
            require_known(item, ("id", "update", "if_match"))
        change = _change(item, "update")
    except InvalidRequest as error:
        raise at(place, error) from error
    return Revised(read_id(item.get("id"), collection, f"{place}.id"), change, _if_match(item, place))


def _change(found: Mapping[str, Any], key: str) -> Change:
    value = found.get(key)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{key}: expected what a PATCH takes, an object")
    try:
        return change_of(value)
    except InvalidRequest as error:
        raise at(key, error) from error


def _if_match(item: Mapping[str, Any], place: str) -> Tags | None:
    if "if_match" not in item:
        return None
    if not isinstance(item["if_match"], str):
        raise InvalidRequest(f'{place}.if_match: expected a tag as in the header, such as "\\"abc\\""')
    return read_tags([item["if_match"]], f"{place}.if_match")


def _require_once(ids: Sequence[DocumentId], key: str) -> None:
    """What is to become of a document that is named twice would depend on their order."""
    seen: set[DocumentId] = set()
    for n, one in enumerate(ids):
        if one in seen:
            raise InvalidRequest(f"{key}[{n}].id: names a document for the second time")
        seen.add(one)


def _selection(found: Mapping[str, Any], body: bytes, collection: Collection, limits: Limits) -> ByIds | ByFilter:
    if ("ids" in found) == ("filter" in found):
        raise InvalidRequest("expected either 'ids' or 'filter'" + (", not both" if "ids" in found else ""))
    everything = boolean(found, "all")
    if "ids" in found:
        if "all" in found:
            raise InvalidRequest("all: goes with 'filter'")
        return ByIds(read_ids(items_of(found, "ids", limits.max_batch_size), collection, "ids"))
    query = read_filter(found["filter"], collection, limits)
    if not query.paths and not everything:
        raise InvalidRequest('filter: an empty filter matches everything; say so with "all": true')
    return _by_filter(query, body)


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
    return CreateMany(collection, _all_sent(documents, collection, fresh), options)


def _all_sent(documents: list[Any], collection: Collection, fresh: Fresh) -> tuple[Sent, ...]:
    """As `read_sent` reads each; those that name no id get theirs together."""
    ids = fresh.document_ids(collection, len(documents))
    return tuple(
        Sent(ids[n], one)
        if type(one) is dict and "_id" not in one
        else read_sent(one, collection, fresh, f"documents[{n}]")
        for n, one in enumerate(documents)
    )


def read_get_many(body: bytes, collection: Collection, limits: Limits) -> GetMany:
    """`{"ids": [...], "fields"?: [...], "presign"?: false}`."""
    found = read_body(body)
    require_known(found, ("ids", "fields", "presign"))
    ids = read_ids(items_of(found, "ids", limits.max_batch_size), collection, "ids")
    if "fields" not in found:
        return GetMany(collection, ids, None, boolean(found, "presign"))
    fields = items_of(found, "fields", MOST_FIELDS)
    return GetMany(collection, ids, fields_of(fields, "fields"), boolean(found, "presign"))


def read_undo(body: bytes, batch: str, collection: Collection, fresh: Fresh) -> Undo:
    """`{}`, with the options of every batch."""
    found = {} if is_empty(body) else read_body(body)
    require_known(found, _OPTIONS)
    undone = read_batch_id(batch)
    if undone is None:
        raise BatchNotFound(f"no such batch in {collection.name}", collection=collection.name)
    return Undo(collection, undone, _options(found, fresh))
