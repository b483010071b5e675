"""Bodies of the Atlas Data API -> operations, by the functions that read our own routes' bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from permission_mongo.config.model import Config
from permission_mongo.documents.changes import Put
from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import (
    Aggregate,
    Alike,
    ByFilter,
    CreateMany,
    CreateOne,
    DeleteMany,
    ListMany,
    UpdateMany,
)
from permission_mongo.parsing.batches import read_create_many, read_delete_many, read_update_many, read_upsert_many
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.fields import boolean, fields_of, read_body, reason_of, require_known, whole_number
from permission_mongo.parsing.ids import Fresh
from permission_mongo.parsing.upserts import read_replacement_anew
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.query.filters import EVERYTHING, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.query.pipeline import read_pipeline
from permission_mongo.query.sorting import Sort, read_sort
from permission_mongo.schema.model import Collection
from permission_mongo.values import read_extended, write_json

_PLACE: Final = ("dataSource", "database", "collection")
_LIMIT: Final = 1_000  # as there, where a request names none
_MOST: Final = 50_000
_NUMBERS: Final = frozenset({"$numberInt", "$numberLong", "$numberDouble"})
_ID: Final = "_id"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action says besides where it is to be done."""

    database: str
    collection: str
    rest: Mapping[str, Any]

    def namespace(self, config: Config) -> str:
        """The one that is called so, or whose database is. Any other text is told like a namespace there is not."""
        names = (DEFAULT_NAMESPACE, *config.namespaces)
        if self.database in names:
            return self.database
        return next((name for name in names if config.database(name) == self.database), self.database)

    def required(self, key: str) -> Any:
        if key not in self.rest:
            raise InvalidRequest(f"{key}: is missing")
        return self.rest[key]


def read_asked(body: bytes, keys: tuple[str, ...]) -> Asked:
    found = read_body(body)
    require_known(found, (*_PLACE, *keys))
    for key in _PLACE:
        if not isinstance(found.get(key), str) or not found[key]:
            raise InvalidRequest(f"{key}: expected a name")
    return Asked(found["database"], found["collection"], {key: found[key] for key in keys if key in found})


# -- reads


def read_find_one(asked: Asked, collection: Collection, limits: Limits) -> ListMany:
    return _listed(asked, collection, limits, 1)


def read_find(asked: Asked, collection: Collection, limits: Limits) -> tuple[ListMany, int]:
    """The list, and how many documents are wanted: more than a list may have are not fewer wanted."""
    rest = {key: _number(asked.rest[key]) for key in ("limit", "skip") if key in asked.rest}
    wanted = whole_number(rest, "limit", 1, _MOST) or _LIMIT
    skip = whole_number(rest, "skip", 0, limits.max_result_size) or 0
    listed = _listed(asked, collection, limits, min(wanted, limits.max_result_size))
    return replace(listed, skip=skip, sort=_sort(asked.rest.get("sort"), collection)), wanted


def _listed(asked: Asked, collection: Collection, limits: Limits, limit: int) -> ListMany:
    query = read_filter(_counting(asked.rest["filter"]), collection, limits) if "filter" in asked.rest else EVERYTHING
    fields, without = _projection(asked.rest.get("projection"))
    return ListMany(collection, limit, query=query, fields=fields, without=without)


def _sort(sent: Any, collection: Collection) -> Sort | None:
    """`{"at": -1, "title": 1}`, in this order."""
    if sent is None or sent == {}:
        return None
    if not isinstance(sent, dict):
        raise InvalidRequest('sort: expected an object such as {"at": -1}')
    names = []
    for name, direction in sent.items():
        if _number(direction) not in (1, -1) or isinstance(direction, bool) or name.startswith("-"):
            raise InvalidRequest(f"sort.{name[:100]}: expected a field with 1 or -1")
        names.append(name if _number(direction) == 1 else f"-{name}")
    return read_sort(names, collection, "sort")


def _projection(sent: Any) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The fields to show, None for all, and those to leave away. Only the id may be left away from fields to show."""
    if sent is None or sent == {}:
        return None, ()
    if not isinstance(sent, dict):
        raise InvalidRequest('projection: expected an object such as {"title": 1}')
    shows = {name: _shows(name, flag) for name, flag in sent.items()}
    fields_of(list(shows), "projection")
    kept = tuple(name for name, shown in shows.items() if shown)
    without = tuple(name for name, shown in shows.items() if not shown)
    if kept and any(name != _ID for name in without):
        raise InvalidRequest("projection: name fields to show or fields to leave away, not both")
    return kept or None, without


def _shows(name: str, flag: Any) -> bool:
    flag = _number(flag)
    if not isinstance(flag, bool | int | float):
        raise InvalidRequest(f"projection.{name[:100]}: expected 1 or 0")
    return bool(flag)


def read_pipeline_of(
    asked: Asked, collection: Collection, others: Mapping[str, Collection], limits: Limits
) -> Aggregate:
    return Aggregate(collection, read_pipeline(_plain(asked.required("pipeline")), collection, others, limits))


def _number(value: Any) -> Any:
    """A number of Extended JSON as the number; anything else as it came."""
    if not (isinstance(value, dict) and len(value) == 1 and value.keys() <= _NUMBERS):
        return value
    try:
        return read_extended(value)
    except ValueError as error:
        raise InvalidRequest(f"expected {error}") from error


def _plain(value: Any) -> Any:
    """The same with numbers for numbers of Extended JSON: stages count by them."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    number = _number(value)
    if number is not value or not isinstance(value, dict):
        return number
    return {name: _plain(one) for name, one in value.items()}


def _counting(sent: Any) -> Any:
    """The same filter with a plain number for `$size`, which counts and has no type of a field."""
    if isinstance(sent, list):
        return [_counting(one) for one in sent]
    if not isinstance(sent, dict):
        return sent
    return {name: _number(one) if name == "$size" else _counting(one) for name, one in sent.items()}


# -- writes


def read_insertion(asked: Asked, reason: str | None, collection: Collection, fresh: Fresh) -> CreateOne:
    sent = read_sent(asked.required("document"), collection, fresh, "document")
    return CreateOne(collection, sent, reason_of(reason, "X-Change-Reason"))


def read_insertions(
    asked: Asked, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh
) -> CreateMany:
    body = write_json({"documents": asked.required("documents"), "atomic": True, **_why(reason)})
    return read_create_many(body, collection, limits, fresh)


def read_update(asked: Asked, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh) -> UpdateMany:
    """Operators alone, as there: fields without one would be a replacement to some and a patch to others."""
    update = asked.required("update")
    if not isinstance(update, dict) or not update or not all(key.startswith("$") for key in update):
        raise InvalidRequest('update: expected operators such as {"$set": {"status": "closed"}}')
    found = {"filter": _counting(asked.required("filter")), "all": True, "update": update, **_why(reason)}
    if boolean(asked.rest, "upsert"):
        return read_upsert_many(write_json({**found, "upsert": True}), collection, limits, fresh)
    return read_update_many(write_json(found), collection, limits, fresh)


def read_replacement(
    asked: Asked, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh
) -> UpdateMany:
    """For the first that matches alone: of several each would become the same."""
    replacement = asked.required("replacement")
    if not isinstance(replacement, dict) or any(key.startswith("$") for key in replacement):
        raise InvalidRequest("replacement: expected a document, without operators")
    if _ID in replacement and asked.rest.get("filter") == {_ID: replacement[_ID]}:
        replacement = {name: value for name, value in replacement.items() if name != _ID}
    chosen = read_deletion(asked, reason, collection, limits, fresh)
    assert isinstance(chosen.selection, ByFilter)  # noqa: S101  (it was read from a filter)
    anew = None
    if boolean(asked.rest, "upsert"):
        anew = read_replacement_anew(asked.required("filter"), replacement, collection, fresh)
    return UpdateMany(collection, Alike(chosen.selection, Put({}, replacement, True)), chosen.options, anew)


def read_deletion(asked: Asked, reason: str | None, collection: Collection, limits: Limits, fresh: Fresh) -> DeleteMany:
    """`{}` is all of them: a filter there has to be sent, and by that to be meant."""
    body = write_json({"filter": _counting(asked.required("filter")), "all": True, **_why(reason)})
    return read_delete_many(body, collection, limits, fresh)


def _why(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}
