"""Query strings -> operations on many documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import ListDeleted, ListMany
from permission_mongo.parsing.fields import require_known
from permission_mongo.query.filters import Query, joined, read_equality, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import read_json

_LONGEST_CURSOR: Final = 4096


@dataclass(frozen=True, slots=True)
class Parameters:
    """The pairs of a query string, in order; a repeated `_` parameter is refused, never overridden."""

    pairs: Sequence[tuple[str, str]]

    def require_known(self, known: Iterable[str], *, fields: bool = False) -> None:
        """Without `fields` every parameter must be known; with it, those that begin with `_`."""
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


def read_list(parameters: Parameters, collection: Collection, limits: Limits) -> ListMany:
    """`_limit`, `_cursor`, `_filter`, and `field=value` or `field={"$gt": 18}`, all ANDed."""
    parameters.require_known(("_limit", "_cursor", "_filter"), fields=True)
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
    return ListMany(collection, _limit(parameters, collection, limits), _cursor(parameters), query)


def read_list_deleted(parameters: Parameters, collection: Collection, limits: Limits) -> ListDeleted:
    parameters.require_known(("_limit", "_cursor"))
    return ListDeleted(collection, _limit(parameters, collection, limits), _cursor(parameters))


def _limit(parameters: Parameters, collection: Collection, limits: Limits) -> int:
    """The rows of a page; more than `limits.max_result_size` is capped."""
    asked = parameters.whole_number("_limit", 1, 2**31)
    return min(collection.default_limit if asked is None else asked, limits.max_result_size)


def _cursor(parameters: Parameters) -> str | None:
    cursor = parameters.get("_cursor")
    if cursor is not None and not 0 < len(cursor) <= _LONGEST_CURSOR:
        raise InvalidRequest("the cursor is not valid here; begin again without one")
    return cursor


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
        raise InvalidRequest(f"{place}: not JSON: {error}") from error
    return found
