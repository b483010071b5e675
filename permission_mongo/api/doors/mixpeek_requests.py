"""Requests of the Mixpeek API -> operations, by the functions that read our own routes' requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from permission_mongo.api.doors.mixpeek_filters import ID, our_filter
from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import CreateOne, DeleteMany, GetMany, GetOne, ListMany, UpdateMany, UpdateOne
from permission_mongo.parsing.batches import read_delete_many
from permission_mongo.parsing.changes import change_of
from permission_mongo.parsing.conditions import Conditions
from permission_mongo.parsing.documents import read_create_one
from permission_mongo.parsing.fields import boolean, is_empty, items_of, read_body, reason_of, require_known
from permission_mongo.parsing.ids import Fresh, read_id
from permission_mongo.parsing.lists import Parameters, read_query
from permission_mongo.parsing.vectors import read_update_beside_vectors, with_vectors_fixed
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import DocumentId, read_json, write_json

COLLECTION: Final = "collection_id"
METADATA: Final = "metadata"
MOST: Final = 1_000  # documents of a request, as there
_LISTED: Final = 10  # as there, where a request says nothing
_MOST_PAGES: Final = 10**6
_WHERE: Final = "namespace"
_FLAGS: Final = ("return_presigned_urls", "return_vectors", "include_total")
_SIZES: Final = ("limit", "page_size", "offset", "page")
_OF_A_LIST: Final = ("filters", "sort", "select", "cursor", *_SIZES, *_FLAGS)
_CURSORS: Final = ("cursor", "next_cursor", "after")
# Taken where they say nothing, for the client may send them so.
_ELSEWHERE: Final = ("search", "group_by", "expand", "partition", "return_vector_names")


@dataclass(frozen=True, slots=True)
class Looks:
    """What of a document is shown beside its fields: where its bytes can be had, and its vectors."""

    urls: bool = False
    vectors: bool = False


def read_looks(parameters: Parameters) -> Looks:
    """Of the query string of one document."""
    parameters.require_known((_WHERE, "return_presigned_urls", "return_vectors"))
    return Looks(parameters.boolean("return_presigned_urls"), parameters.boolean("return_vectors"))


# -- single documents


def read_get(text: str, collection: Collection, looks: Looks) -> GetOne:
    return GetOne(collection, read_id(text, collection, ID), presign=looks.urls)


def read_creation(body: bytes, reason: str | None, collection: Collection, fresh: Fresh) -> CreateOne:
    return read_create_one(write_json(_named(read_body(body), collection)), reason, collection, fresh)


def read_change(text: str, body: bytes, conditions: Conditions, collection: Collection) -> UpdateOne:
    """Fields to set; of `metadata` those that are sent, and null takes one away."""
    found, change = _named(read_body(body), collection), dict[str, Any]()
    sets: dict[str, Any] = {}
    for name, value in found.items():
        if name != METADATA or not isinstance(value, dict):
            sets[name] = value
            continue
        sets |= {f"{METADATA}.{key}": one for key, one in value.items() if one is not None}
        gone = {f"{METADATA}.{key}": True for key, one in value.items() if one is None}
        change |= {"$unset": gone} if gone else {}
    change |= {"$set": sets} if sets else {}
    reason = reason_of(conditions.reason, "X-Change-Reason")
    own = with_vectors_fixed(collection)
    return UpdateOne(own, read_id(text, collection, ID), change_of(change), conditions.if_match, reason)


def _named(sent: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """The fields that are sent, the id under our name. InvalidRequest for another collection, or for operators."""
    found = dict(sent)
    for name in found:
        if name.startswith("$"):
            raise InvalidRequest(f"'{name[:100]}': operators are not taken here; send the fields to set")
    if COLLECTION in found and found.pop(COLLECTION) != collection.name:
        raise InvalidRequest(f"{COLLECTION}: is not the collection of the path")
    if ID in found:
        found["_id"] = found.pop(ID)
    return found


# -- batches


def read_deletion(body: bytes, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh) -> DeleteMany:
    """`{"document_ids": [...]}` or `{"filters": {...}}`, and a `reason`."""
    found = read_body(body)
    require_known(found, ("document_ids", "filters", "all", "reason"))
    _require_one_of(found, "document_ids", "filters")
    if "filters" in found:
        return read_delete_many(write_json(_chosen(found, reason)), collection, limits, fresh)
    if "all" in found:
        raise InvalidRequest("all: goes with 'filters'")
    asked = {"ids": _texts(found, "document_ids", limits), "results": True, **_why(found, reason)}
    return read_delete_many(write_json(asked), collection, limits, fresh)


def read_updates(body: bytes, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh) -> UpdateMany:
    """`{"updates": [{"document_id", "update_data"}]}`, or `{"filters", "update_data"}`."""
    found = read_body(body)
    require_known(found, ("updates", "filters", "update_data", "all", "reason"))
    _require_one_of(found, "updates", "filters")
    if "filters" in found:
        return _alike(found, reason, collection, limits, fresh)
    for key in ("update_data", "all"):
        if key in found:
            raise InvalidRequest(f"{key}: goes with 'filters'")
    items = items_of(found, "updates", min(MOST, limits.max_batch_size))
    updates = [_update(one, f"updates[{n}]", collection) for n, one in enumerate(items)]
    asked = {"updates": updates, "results": True, **_why(found, reason)}
    return read_update_beside_vectors(asked, collection, limits, fresh)


def read_update_of_all(
    body: bytes, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh
) -> UpdateMany:
    """`{"update_data", "filters"}`, or without filters `"all": true`: there nothing means everything."""
    found = {**read_body(body)}
    require_known(found, ("update_data", "filters", "all", "reason"))
    if "filters" not in found:
        if not boolean(found, "all"):
            raise InvalidRequest('filters: is missing; "all": true says that every document is meant')
        found["filters"] = {}
    return _alike(found, reason, collection, limits, fresh)


def _alike(
    found: Mapping[str, Any], reason: str | None, collection: Collection, limits: Limits, fresh: Fresh
) -> UpdateMany:
    asked = {**_chosen(found, reason), "update": _sets(found.get("update_data"), "update_data", collection)}
    return read_update_beside_vectors(asked, collection, limits, fresh)


def _update(item: Any, place: str, collection: Collection) -> dict[str, Any]:
    if not isinstance(item, dict) or item.keys() != {ID, "update_data"}:
        raise InvalidRequest(f"{place}: expected an object with '{ID}' and 'update_data', and nothing else")
    return {"id": _text(item[ID], f"{place}.{ID}"), "update": _sets(item["update_data"], place, collection)}


def _sets(sent: Any, place: str, collection: Collection) -> dict[str, Any]:
    if not isinstance(sent, dict) or not sent:
        raise InvalidRequest(f'{place}: expected fields to set, such as {{"status": "done"}}')
    return {"$set": _named(sent, collection)}


def _chosen(found: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    return {"filter": our_filter(found["filters"]), "all": boolean(found, "all"), **_why(found, reason)}


def _require_one_of(found: Mapping[str, Any], one: str, other: str) -> None:
    if (one in found) == (other in found):
        raise InvalidRequest(f"expected exactly one of '{one}' and '{other}'")


def _why(found: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    """The body's own reason, or that of the header."""
    told = found.get("reason") if "reason" in found else reason
    return {} if told is None else {"reason": told}


def _texts(found: Mapping[str, Any], key: str, limits: Limits) -> list[str]:
    items = items_of(found, key, min(MOST, limits.max_batch_size))
    return [_text(one, f"{key}[{n}]") for n, one in enumerate(items)]


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{place}: expected a text")
    return value


# -- reads of many


def read_named(body: bytes, limits: Limits) -> tuple[tuple[str, ...], Looks]:
    """`{"document_ids": [...], "return_presigned_urls": false}`: each id once, as it was sent."""
    found = read_body(body)
    require_known(found, ("document_ids", "return_presigned_urls"))
    ids = tuple(dict.fromkeys(_texts(found, "document_ids", limits)))
    return ids, Looks(boolean(found, "return_presigned_urls"))


def reading_of(
    named: tuple[str, ...], collection: Collection, looks: Looks
) -> tuple[GetMany, Mapping[DocumentId, list[str]]]:
    """Those that can be ids in the collection, and how each was written."""
    written: dict[DocumentId, list[str]] = {}
    for text in named:
        try:
            written.setdefault(read_id(text, collection, ID), []).append(text)
        except InvalidRequest:
            continue  # told as one that is not found
    return GetMany(collection, tuple(written), presign=looks.urls), written


def read_listing(body: bytes, parameters: Parameters, collection: Collection, limits: Limits) -> tuple[ListMany, Looks]:
    """The list of a body and a query string; what the body says goes before."""
    parameters.require_known((_WHERE, *_OF_A_LIST, *_CURSORS[1:], *_ELSEWHERE))
    found = {**_of_query_string(parameters), **({} if is_empty(body) else read_body(body))}
    require_known(found, (*_OF_A_LIST, *_CURSORS[1:], *_ELSEWHERE))
    found = {key: value for key, value in found.items() if value is not None}
    for key in _ELSEWHERE:
        if key in found:
            raise InvalidRequest(f"{key}: is not taken here")
    asked: dict[str, Any] = {**_paged(found), "count": boolean(found, "include_total")}
    if "filters" in found:
        asked["filter"] = our_filter(found["filters"])
    if "sort" in found:
        asked["sort"] = _sort(found["sort"])
    if "select" in found:
        asked["fields"] = _selected(found["select"])
    looks = Looks(boolean(found, "return_presigned_urls"), boolean(found, "return_vectors"))
    return replace(read_query(write_json(asked), collection, limits), presign=looks.urls), looks


def _of_query_string(parameters: Parameters) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in parameters.pairs:
        if key in _SIZES:
            found[key] = parameters.whole_number(key, 0, _MOST_PAGES)
        elif key in _FLAGS:
            found[key] = parameters.boolean(key)
        elif key == "filters":
            found[key] = _json(text, key)
        elif key == "select":
            found[key] = text.split(",")
        elif key != _WHERE:
            found[key] = text
    return found


def _json(text: str, place: str) -> Any:
    try:
        return read_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InvalidRequest(f"{place}: {error}") from error


def _paged(found: Mapping[str, Any]) -> dict[str, Any]:
    """How many, and from where on. `page` and `page_size` are other words for the same."""
    limit = _either(found, ("limit", "page_size"), _LISTED, 1, MOST)
    cursors = {found[key] for key in _CURSORS if isinstance(found.get(key), str)}
    if len(cursors) > 1 or any(key in found and not isinstance(found[key], str) for key in _CURSORS):
        raise InvalidRequest("cursor: expected the one of an earlier answer")
    offset = _either(found, ("offset",), 0, 0, _MOST_PAGES)
    page = _either(found, ("page",), 1, 1, _MOST_PAGES)
    if offset and page > 1:
        raise InvalidRequest("page: goes without 'offset'")
    asked = {"limit": limit, "skip": offset or (page - 1) * limit}
    return {**asked, "cursor": cursors.pop()} if cursors else asked


def _either(found: Mapping[str, Any], keys: tuple[str, ...], default: int, least: int, most: int) -> int:
    """The whole number under one of the keys: one that is sent twice has to be the same."""
    given = {key: found[key] for key in keys if key in found}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidRequest(f"{key}: expected a whole number from {least} to {most}")
    if len({*given.values()}) > 1:
        raise InvalidRequest(f"expected one of {' and '.join(map(repr, keys))}")
    return next(iter(given.values()), default)


def _sort(sent: Any) -> list[str]:
    """`{"field", "direction"}`, a list of those, or `field:direction`."""
    if isinstance(sent, str) and sent.startswith(("{", "[")):
        sent = _json(sent, "sort")
    names = []
    for one in sent if isinstance(sent, list) else [sent]:
        if isinstance(one, str):
            name, _, direction = one.rpartition(":") if ":" in one else (one, "", "asc")
            one = {"field": name, "direction": direction}
        if not isinstance(one, dict) or not isinstance(one.get("field"), str) or one["field"].startswith("-"):
            raise InvalidRequest('sort: expected a field such as {"field": "age", "direction": "desc"}')
        require_known(one, ("field", "direction"))
        direction = one.get("direction") or "asc"
        if direction not in ("asc", "desc"):
            raise InvalidRequest("sort.direction: expected 'asc' or 'desc'")
        names.append(f"{'-' if direction == 'desc' else ''}{'_id' if one['field'] == ID else one['field']}")
    return names


def _selected(sent: Any) -> list[Any]:
    """The fields to show; what a document is called, and where it is, is always shown."""
    if not isinstance(sent, list):
        raise InvalidRequest("select: expected a list of fields")
    return [name for name in sent if name not in (ID, COLLECTION)] or ["_id"]
