"""Requests about one document -> operations."""

from __future__ import annotations

import re
from typing import Any, Final

from permission_mongo.documents.changes import Change
from permission_mongo.errors import InvalidRequest, SchemaViolation
from permission_mongo.operations import (
    Compare,
    CreateOne,
    DeleteOne,
    GetAsOf,
    GetOne,
    GetVersion,
    ListVersions,
    PurgeOne,
    RestoreOne,
    Sent,
    UpdateOne,
)
from permission_mongo.parsing.changes import read_patch, read_put
from permission_mongo.parsing.conditions import Conditions
from permission_mongo.parsing.fields import is_empty, read_body, reason_of, require_known
from permission_mongo.parsing.ids import Fresh, read_id, read_new_id
from permission_mongo.parsing.lists import Parameters, read_as_of, read_fields, read_presign
from permission_mongo.schema.model import Collection

_MOST_VERSIONS: Final = 100
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,14}")


def read_sent(document: Any, collection: Collection, fresh: Fresh, place: str) -> Sent:
    """A document to create. Its `_id`, if it names one, is read here; everything else is planning's."""
    if not isinstance(document, dict):
        raise InvalidRequest(f"{place}: expected a JSON object")
    if "_id" not in document:
        return Sent(fresh.document_id(collection), document)
    rest = {name: value for name, value in document.items() if name != "_id"}
    if not collection.client_ids:
        # Refused by planning, which tells it like any field that is not the caller's.
        return Sent(fresh.document_id(collection), rest, names_id=True)
    try:
        return Sent(read_new_id(document["_id"], collection), rest, names_id=True)
    except SchemaViolation as fault:
        return Sent(fresh.document_id(collection), rest, names_id=True, fault=fault)


def read_create_one(body: bytes, reason: str | None, collection: Collection, fresh: Fresh) -> CreateOne:
    sent = read_sent(dict(read_body(body)), collection, fresh, "the body")
    return CreateOne(collection, sent, reason_of(reason, "X-Change-Reason"))


def read_get_one(text: str, parameters: Parameters, collection: Collection) -> GetOne | GetAsOf:
    parameters.require_known(("_fields", "_as_of", "_presign"))
    found, fields, moment = read_id(text, collection, "id"), read_fields(parameters), read_as_of(parameters)
    presign = read_presign(parameters)
    if moment is None:
        return GetOne(collection, found, fields, presign)
    return GetAsOf(collection, found, moment, fields)


def read_put_one(
    text: str, body: bytes, parameters: Parameters, conditions: Conditions, collection: Collection
) -> UpdateOne:
    """Top-level fields to set; with `_replace=true` the whole document."""
    parameters.require_known(("_replace",))
    replaces = parameters.get("_replace") or "false"
    if replaces not in ("true", "false"):
        raise InvalidRequest("_replace: expected true or false")
    return _update(text, read_put(body, replaces == "true"), conditions, collection)


def read_patch_one(text: str, body: bytes, conditions: Conditions, collection: Collection) -> UpdateOne:
    return _update(text, read_patch(body), conditions, collection)


def _update(text: str, change: Change, conditions: Conditions, collection: Collection) -> UpdateOne:
    reason = reason_of(conditions.reason, "X-Change-Reason")
    return UpdateOne(collection, read_id(text, collection, "id"), change, conditions.if_match, reason)


def read_delete_one(text: str, body: bytes, conditions: Conditions, collection: Collection) -> DeleteOne:
    if not is_empty(body):
        raise InvalidRequest("a DELETE of one document takes no body; the id stands in the path")
    found = read_id(text, collection, "id")
    return DeleteOne(collection, found, conditions.if_match, reason_of(conditions.reason, "X-Change-Reason"))


def read_purge_one(text: str, body: bytes, conditions: Conditions, collection: Collection) -> PurgeOne:
    """`{"reason": "..."}`: it is all that will be left."""
    found = read_body(body)
    require_known(found, ("reason",))
    reason = reason_of(found.get("reason"), "reason")
    if reason is None:
        raise InvalidRequest("reason: a purge needs one; it is all that will be left")
    return PurgeOne(collection, read_id(text, collection, "id"), reason, conditions.if_match)


def read_list_versions(text: str, parameters: Parameters, collection: Collection) -> ListVersions:
    parameters.require_known(("_limit", "_before"))
    limit = parameters.whole_number("_limit", 1, _MOST_VERSIONS) or _MOST_VERSIONS
    return ListVersions(
        collection, read_id(text, collection, "id"), limit, parameters.whole_number("_before", 1, 2**53)
    )


def read_get_version(text: str, version: str, collection: Collection) -> GetVersion:
    return GetVersion(collection, read_id(text, collection, "id"), _version(version))


def read_compare(text: str, earlier: str, later: str, collection: Collection) -> Compare:
    return Compare(collection, read_id(text, collection, "id"), _version(earlier), _version(later))


def read_restore_one(
    text: str, version: str, body: bytes, conditions: Conditions, collection: Collection
) -> RestoreOne:
    """An empty body, or `{}`: the headers say the rest."""
    if not is_empty(body):
        require_known(read_body(body), ())
    found, reason = read_id(text, collection, "id"), reason_of(conditions.reason, "X-Change-Reason")
    return RestoreOne(collection, found, _version(version), conditions.if_match, reason)


def _version(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest("version: expected a whole number such as 3")
    return int(text)
