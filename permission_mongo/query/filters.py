"""A caller's filter -> a Mongo filter written by us, the paths it refers to, and what is wrong with its values.

Nothing of what was sent is passed on: operators come from the allow-list, values are read by the schema's type. A wrong
value is kept as a fault and told only after the paths are known to be the caller's: else 400 against 403 would tell a
hidden field from an unknown one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.folding import LONGEST, folded
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import CODEC, MongoFilter, is_extended, read_scalar, read_text

_COMPARISONS: Final = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
_LISTS: Final = ("$in", "$nin", "$all")
_LOGIC: Final = ("$and", "$or", "$nor")
_FOLDING: Final = ("$eq", "$ne", "$in", "$nin", "$regex")  # take `$options` beside them
OPERATORS: Final = frozenset({*_COMPARISONS, *_LISTS, *_LOGIC, "$not", "$exists", "$regex", "$elemMatch", "$size"})
# Literal signs and escaped punctuation, anchored or not: nothing that can backtrack.
_ANY_PATTERN: Final = re.compile(r"[^\x00]*")
_ANCHORED: Final = ", after '^' or before '$' if anchored, with punctuation escaped by '\\'"
_PLAIN_PATTERN: Final = re.compile(r"\^?(?:[^\\^$.|?*+()\[\]{}\x00]|\\[^A-Za-z0-9\x00])*(?:\$|\\z)?")
MOST_BYTES: Final = 4 * 2**20
_SOME_VALUE: Final[MongoFilter] = {"$exists": True, "$not": {"$type": "null"}}
_OF_VECTORS: Final = "is a vector; it is asked by $exists and compared with null alone"
_SEGMENT: Final = re.compile(r"[^$.\x00][^.\x00]*")


@dataclass(frozen=True, slots=True)
class Query:
    """A filter, every path it refers to as the caller wrote it, the first wrong value, if any, and its conditions."""

    match: MongoFilter = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    fault: str | None = None
    clauses: int = 0


EVERYTHING: Final = Query()


class Kinds(Protocol):
    """Knows the scalar type at a dotted path (None where it is open), what is a vector, and what `$regex` takes."""

    @property
    def any_pattern(self) -> bool: ...

    def kind_of(self, dotted: str) -> str | None: ...

    def is_vector(self, dotted: str) -> bool: ...


def is_field_path(dotted: str) -> bool:
    """Whether the text names a field like 'status' or 'address.city'."""
    return len(dotted) <= 512 and all(_SEGMENT.fullmatch(part) for part in dotted.split("."))


def read_filter(asked: Any, collection: Kinds, limits: Limits) -> Query:
    """The query of a JSON filter. InvalidRequest names the operator or place that is not taken."""
    reader = _Reader(collection, limits)
    match = reader.filter(asked, "filter", 1)
    try:
        size = len(encode(match, codec_options=CODEC))
    except (InvalidDocument, OverflowError) as error:
        raise InvalidRequest("filter: holds a value that can't be stored") from error
    if size > MOST_BYTES:
        raise InvalidRequest(f"filter: {size} bytes; at most {MOST_BYTES}")
    return Query(match, frozenset(reader.paths), reader.fault, reader.clauses)


def read_equality(name: str, text: str, collection: Collection) -> Query:
    """`field=value` of a URL, the value read by the schema's type."""
    reader = _Reader(collection, Limits())
    reader.path(name, name)
    if collection.is_vector(name):
        return Query({}, frozenset({name}), f"{name}: {_OF_VECTORS}", 1)
    try:
        kind = collection.kind_of(name)
        value = read_text(kind or "string", text)
    except ValueError as error:
        return Query({}, frozenset({name}), f"{name}: expected {error}", 1)
    return Query({name: {"$eq": value}}, frozenset({name}), clauses=1)


def joined(queries: list[Query]) -> Query:
    """All of them, ANDed."""
    matches = [query.match for query in queries if query.match]
    faults = [query.fault for query in queries if query.fault is not None]
    match = {} if not matches else matches[0] if len(matches) == 1 else {"$and": matches}
    paths = frozenset[str]().union(*(query.paths for query in queries))
    return Query(match, paths, faults[0] if faults else None, sum(query.clauses for query in queries))


def below(match: MongoFilter, parent: str) -> MongoFilter:
    """The same asked of the object at `parent` instead of the document itself."""
    found: MongoFilter = {}
    for key, value in match.items():
        if key in _LOGIC:
            found[key] = [below(one, parent) for one in value]
        else:
            found[f"{parent}.{key}"] = value
    return found


@dataclass(slots=True)
class _Reader:
    collection: Kinds
    limits: Limits
    paths: set[str] = field(default_factory=set)
    fault: str | None = None
    clauses: int = 0
    folds: int = 0

    def filter(self, asked: Any, place: str, depth: int, prefix: str = "") -> MongoFilter:
        """One level: fields and `$and`, `$or`, `$nor`. `prefix` is the array's path inside `$elemMatch`."""
        if not isinstance(asked, dict):
            raise InvalidRequest(f'{place}: expected an object such as {{"status": "open"}}')
        if depth > self.limits.max_filter_depth:
            raise InvalidRequest(f"{place}: nested deeper than {self.limits.max_filter_depth}")
        parts: list[MongoFilter] = []
        for key, value in asked.items():
            at = f"{place}.{key}"
            if key in _LOGIC:
                parts.append({key: self._branches(value, at, depth, prefix)})
            elif key.startswith("$"):
                raise InvalidRequest(f"{at}: the operator '{key}' is not taken here", operator=key)
            else:
                self._count(at)
                self.path(prefix + key, at)
                parts.append({key: self._field(value, prefix + key, at, depth)})
        return {} if not parts else parts[0] if len(parts) == 1 else {"$and": parts}

    def _branches(self, value: Any, place: str, depth: int, prefix: str) -> list[MongoFilter]:
        if not isinstance(value, list) or not value:
            raise InvalidRequest(f"{place}: expected a list of at least one filter")
        self._count(place, len(value))
        return [self.filter(one, f"{place}[{n}]", depth + 1, prefix) for n, one in enumerate(value)]

    def path(self, dotted: str, place: str) -> None:
        if not is_field_path(dotted):
            raise InvalidRequest(f"{place}: a field is named like 'status' or 'address.city'")
        self.paths.add(dotted)

    def _count(self, place: str, more: int = 1) -> None:
        self.clauses += more
        if self.clauses > self.limits.max_filter_clauses:
            raise InvalidRequest(f"{place}: more than {self.limits.max_filter_clauses} conditions")

    def _field(self, value: Any, path: str, place: str, depth: int) -> dict[str, Any]:
        if self.collection.is_vector(path):
            self._require_of_presence(value, place)
        if not isinstance(value, dict) or is_extended(value):
            return self._of_values({"$eq": self._equal_to(value, path, place)}, path, place)
        if not value:
            raise InvalidRequest(f'{place}: expected a value or operators such as {{"$gt": 18}}')
        if "$options" in value:
            return self._of_values(self._regardless(value, path, place, depth), path, place)
        read = {
            operator: self._operand(operator, operand, path, f"{place}.{operator}", depth)
            for operator, operand in value.items()
        }
        return self._of_values(read, path, place)

    def _regardless(self, value: dict[str, Any], path: str, place: str, depth: int) -> dict[str, Any]:
        """One operator by which capitals and small letters are the same; what is no text is compared as ever."""
        operator = next((one for one in value if one != "$options"), "")
        if value["$options"] != "i" or len(value) > 2 or operator not in _FOLDING:
            told = f'{place}.$options: expected "i", beside one of {", ".join(_FOLDING)}'
            raise InvalidRequest(told, operator="$options")
        operand = self._operand(operator, value[operator], path, f"{place}.{operator}", depth)
        if operator == "$regex":
            return {"$regex": operand, "$options": "i"}
        if operator in ("$eq", "$ne") and isinstance(operand, list):
            return {operator: operand}
        among = operand if isinstance(operand, list) else [operand]
        found = [self._folded(one, place) if isinstance(one, str) else one for one in among]
        return {"$in" if operator in ("$eq", "$in") else "$nin": found}

    def _folded(self, text: str, place: str) -> Any:
        """Each costs a pattern in each row. That there are too many is told late: it depends on the field's type."""
        self.folds += 1
        most = self.limits.max_filter_clauses
        if self.fault is None and (self.folds > most or len(text) > LONGEST):
            told = f"more than {most} texts" if self.folds > most else f"a text of more than {LONGEST} signs"
            self.fault = f"{place}: {told} can't be compared without regard to case; compare them as they are"
        return text if self.fault else folded(text)

    def _require_of_presence(self, value: Any, place: str) -> None:
        """Of a vector: whether there is one. One by one its numbers mean nothing, and to be near is no condition."""
        asked = value if isinstance(value, dict) else {"$eq": value}
        for operator, operand in asked.items():
            is_taken = operator in ("$exists", "$not") or (operator in ("$eq", "$ne") and operand is None)
            if operator in OPERATORS and not is_taken and self.fault is None:
                self.fault = f"{place}: {_OF_VECTORS}"

    def _of_values(self, operators: dict[str, Any], path: str, place: str) -> dict[str, Any]:
        """Null below a container, asked of the values at the path alone.

        MongoDB's own answer also tells of what holds the path: an element that has no such field, an array where an
        object should be. Those may be hidden, though the path is not.
        """
        if "." not in path or not any(_is_of_null(*one) for one in operators.items()):
            return operators
        if len(operators) > 1:
            self.fault = (
                self.fault or f"{place}: below '{path}' a comparison with null stands alone; join others by $and"
            )
            return {}
        operator, operand = next(iter(operators.items()))
        others = [one for one in operand if one is not None] if isinstance(operand, list) else []
        match operator:
            case "$ne" | "$nin":
                return {**_SOME_VALUE, **({"$nin": others} if others else {})}
            case "$all":
                return {"$not": _SOME_VALUE, **({"$all": others} if others else {})}
            case _:
                return {"$not": {**_SOME_VALUE, **({"$nin": others} if others else {})}}

    def _operand(self, operator: str, operand: Any, path: str, place: str, depth: int) -> Any:
        if operator not in OPERATORS or operator in _LOGIC:
            what = "operator" if operator.startswith("$") else "key"
            hint = "" if operator.startswith("$") else "; name a field of an object by its path, such as 'address.city'"
            raise InvalidRequest(f"{place}: the {what} '{operator}' is not taken here{hint}", operator=operator)
        if depth > self.limits.max_filter_depth:
            raise InvalidRequest(f"{place}: nested deeper than {self.limits.max_filter_depth}")
        match operator:
            case "$eq" | "$ne":
                return self._equal_to(operand, path, place)
            case "$gt" | "$gte" | "$lt" | "$lte":
                return self._scalar(operand, path, place)
            case "$in" | "$nin" | "$all":
                return self._list(operand, path, place)
            case "$not":
                return self._negated(operand, path, place, depth)
            case "$exists":
                return self._exists(operand, place)
            case "$regex":
                return self._pattern(operand, place)
            case "$size":
                return self._size(operand, place)
            case _:
                return self._element(operand, path, place, depth)

    def _equal_to(self, value: Any, path: str, place: str) -> Any:
        if isinstance(value, list):
            return self._list(value, path, place)
        return self._scalar(value, path, place)

    def _scalar(self, value: Any, path: str, place: str) -> Any:
        if isinstance(value, dict | list) and not is_extended(value):
            raise InvalidRequest(f"{place}: expected a single value")
        if value is None:
            return None
        try:
            return read_scalar(self.collection.kind_of(path) or "any", value)
        except ValueError as error:
            if self.fault is None:
                self.fault = f"{place}: expected {error}"
            return None

    def _list(self, value: Any, path: str, place: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidRequest(f"{place}: expected a list")
        if len(value) > self.limits.max_in_values:
            raise InvalidRequest(f"{place}: more than {self.limits.max_in_values} values")
        return [self._scalar(one, path, f"{place}[{n}]") for n, one in enumerate(value)]

    def _negated(self, value: Any, path: str, place: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict) or is_extended(value):
            raise InvalidRequest(f'{place}: expected operators such as {{"$gt": 18}}')
        return self._field({**value}, path, place, depth + 1) if value else self._field(value, path, place, depth)

    def _exists(self, value: Any, place: str) -> bool:
        if not isinstance(value, bool):
            raise InvalidRequest(f"{place}: expected true or false")
        return value

    def _pattern(self, value: Any, place: str) -> str:
        longest = self.limits.max_regex_length
        # Where any pattern is taken it is MongoDB that reads it, within the time limit: never this process.
        taken = _ANY_PATTERN if self.collection.any_pattern else _PLAIN_PATTERN
        if not isinstance(value, str) or len(value) > longest or not taken.fullmatch(value):
            what = "a pattern" if self.collection.any_pattern else "literal text"
            rest = "" if self.collection.any_pattern else _ANCHORED
            raise InvalidRequest(f"{place}: expected {what} of at most {longest} signs{rest}")
        return value

    def _size(self, value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or not 0 <= value < 2**31:
            raise InvalidRequest(f"{place}: expected a whole number")
        return int(value)  # 5.0 is 5, as in documents

    def _element(self, value: Any, path: str, place: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict) or not value or is_extended(value):
            raise InvalidRequest(f"{place}: expected conditions on one element")
        if all(key.startswith("$") and key not in _LOGIC for key in value):
            self._count(place)
            return self._field(value, path, place, depth + 1)
        return self.filter(value, place, depth + 1, f"{path}.")


def _is_of_null(operator: str, operand: Any) -> bool:
    """Whether an absent field satisfies the condition, or breaks it, for being absent."""
    if operator in ("$in", "$nin", "$all"):
        return None in operand
    return operator in ("$eq", "$ne", "$gte", "$lte") and operand is None
