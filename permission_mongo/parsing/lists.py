"""Query strings -> operations on many documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import CountMany, ListAsOf, ListDeleted, ListMany
from permission_mongo.parsing.fields import (
    boolean,
    fields_of,
    is_empty,
    names_in,
    read_body,
    require_known,
    whole_number,
)
from permission_mongo.query.cursors import LONGEST
from permission_mongo.query.filters import EVERYTHING, Query, joined, read_equality, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.query.sorting import read_sort
from permission_mongo.schema.model import Collection
from permission_mongo.values import read_date, read_json

_SHORT: Final = 512  # bytes
_KNOWN: Final = ("_limit", "_cursor", "_filter", "_sort", "_fields", "_count", "_as_of", "_presign")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The pairs of a query string, in order; a repeated `_` parameter is refused, never overridden."""

    pairs: Sequence[tuple[str, str]]

    def require_known(self, known: Iterable[str], *, fields: bool = False) -> None:
        """Without `fields` every parameter must be known; with it, those that begin with `_`."""
        if not self.pairs:
            return
        names = [name for name, _ in self.pairs if not fields or (name.startswith("_") and name != "_id")]
        require_known(names, known, "parameter")
        for name in names:
            if names.count(name) > 1:
                raise InvalidRequest(f"{name}: given twice")

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.pairs if key == name), None)

    def whole_number(self, name: str, least: int, most: int) -> int | None:
        text = self.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= most:
            raise InvalidRequest(f"{name}: expected a whole number from {least} to {most}")
        return int(text)

    def boolean(self, name: str) -> bool:
        text = self.get(name)
        if text not in (None, "true", "false"):
            raise InvalidRequest(f"{name}: expected true or false")
        return text == "true"


def parameters_of(sent: bytes) -> Parameters:
    """Of a query string. InvalidRequest for bytes that are no text: they must not become other signs."""
    if not sent:
        return Parameters(())
    try:
        return Parameters(parse_qsl(sent.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError as error:
        raise InvalidRequest("the query string is not UTF-8") from error


def read_list_of(sent: bytes, collection: Collection, limits: Limits) -> ListMany | ListAsOf:
    """The list that a query string asks for. Callers repeat themselves: what short ones mean is remembered."""
    if len(sent) <= _SHORT:
        return _remembered(sent, collection, limits)
    return read_list(parameters_of(sent), collection, limits)


@lru_cache(maxsize=1024)
def _remembered(sent: bytes, collection: Collection, limits: Limits) -> ListMany | ListAsOf:
    read = read_list(parameters_of(sent), collection, limits)
    return replace(read, recurs=True) if isinstance(read, ListMany) else read


def read_list(parameters: Parameters, collection: Collection, limits: Limits) -> ListMany | ListAsOf:
    """`_limit`, `_cursor`, `_sort`, `_fields`, `_count`; `_filter`, `field=value`, `field={"$gt": 18}`, all ANDed.

    With `_as_of` a page of the past, which has no other order than that of ids, and no total.
    """
    parameters.require_known(_KNOWN, fields=True)
    queries = [
        _condition(name, text, collection, limits)
        for name, text in parameters.pairs
        if not name.startswith("_") or name == "_id"
    ]
    asked = parameters.get("_filter")
    if asked is not None:
        queries.append(read_filter(_json(asked, "_filter"), collection, limits))
    query = joined(queries)
    if query.clauses > limits.max_filter_clauses:
        raise InvalidRequest(f"the parameters: more than {limits.max_filter_clauses} conditions")
    limit = _limit(parameters.whole_number("_limit", 1, 2**31), collection, limits)
    cursor, fields = read_cursor(parameters.get("_cursor")), read_fields(parameters)
    sort, count = parameters.get("_sort"), parameters.boolean("_count")
    moment, presign = read_as_of(parameters), read_presign(parameters)
    if moment is None:
        by = None if sort is None else read_sort(sort.split(","), collection, "_sort")
        return ListMany(collection, limit, cursor, query, by, fields, count, presign=presign)
    if sort not in (None, "_id"):
        raise InvalidRequest("_sort: a list with _as_of is in the order of _id and no other")
    if count:
        raise InvalidRequest("_count: a list with _as_of has no total")
    return ListAsOf(collection, limit, moment, cursor, query, fields)


def read_query(body: bytes, collection: Collection, limits: Limits) -> ListMany:
    """The list as a body: `{filter, sort, fields, limit, cursor, count, skip, presign}`, all of them optional."""
    found = read_body(body)
    require_known(found, ("filter", "sort", "fields", "limit", "cursor", "count", "skip", "presign"))
    skip = whole_number(found, "skip", 0, limits.max_result_size) or 0
    if skip and found.get("cursor") is not None:
        raise InvalidRequest("skip: a cursor says where to go on; send one of the two")
    query = read_filter(found["filter"], collection, limits) if "filter" in found else EVERYTHING
    return ListMany(
        collection,
        _limit(whole_number(found, "limit", 1, 2**31), collection, limits),
        read_cursor(found.get("cursor")),
        query,
        read_sort(names_in(found["sort"], "sort"), collection, "sort") if "sort" in found else None,
        fields_of(names_in(found["fields"], "fields"), "fields") if "fields" in found else None,
        boolean(found, "count"),
        skip,
        presign=boolean(found, "presign"),
    )


def read_count(body: bytes, collection: Collection, limits: Limits) -> CountMany:
    """`{"filter"?}`, or nothing."""
    found = {} if is_empty(body) else read_body(body)
    require_known(found, ("filter",))
    return CountMany(collection, read_filter(found["filter"], collection, limits) if "filter" in found else EVERYTHING)


def read_fields(parameters: Parameters) -> tuple[str, ...] | None:
    """`_fields=a,b.c`."""
    text = parameters.get("_fields")
    return None if text is None else fields_of(text.split(","), "_fields")


def read_presign(parameters: Parameters) -> bool:
    """`_presign=true`: with addresses of bytes, of which there are those of the present alone."""
    found = parameters.boolean("_presign")
    if found and parameters.get("_as_of") is not None:
        raise InvalidRequest("_presign: of the past no addresses are given")
    return found


def read_as_of(parameters: Parameters) -> datetime | None:
    """`_as_of=2026-01-31T12:00:00Z`: naive UTC, in milliseconds."""
    text = parameters.get("_as_of")
    if text is None:
        return None
    try:
        return read_date(text)
    except ValueError as error:
        raise InvalidRequest(f"_as_of: expected {error}") from error


def read_list_deleted(parameters: Parameters, collection: Collection, limits: Limits) -> ListDeleted:
    parameters.require_known(("_limit", "_cursor"))
    limit = _limit(parameters.whole_number("_limit", 1, 2**31), collection, limits)
    return ListDeleted(collection, limit, read_cursor(parameters.get("_cursor")))


def _limit(asked: int | None, collection: Collection, limits: Limits) -> int:
    """The rows of a page; more than `limits.max_result_size` is capped."""
    return min(collection.default_limit if asked is None else asked, limits.max_result_size)


def read_cursor(sent: Any) -> str | None:
    if sent is None:
        return None
    if not isinstance(sent, str) or not 0 < len(sent) <= LONGEST:
        raise InvalidRequest("the cursor is not valid here; begin again without one")
    return sent


def _condition(name: str, text: str, collection: Collection, limits: Limits) -> Query:
    if "[" in name or "$" in name:
        raise InvalidRequest(f'{name[:100]}: operators stand in the value, such as age={{"$gt": 18}}')
    if text.startswith("{"):
        return read_filter({name: _json(text, name)}, collection, limits)
    return read_equality(name, text, collection)


def _json(text: str, place: str) -> object:
    try:
        found: object = read_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InvalidRequest(f"{place}: {error}") from error
    return found
