"""The order of a list: what a caller may sort by, and the index a page of that order can be read from.

A field that can't be sorted by is kept as a fault, and told only after the paths are known to be the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from permission_mongo.documents.paths import is_position
from permission_mongo.errors import InvalidRequest
from permission_mongo.schema.model import Collection, Field

Order = tuple[tuple[str, int], ...]  # a field and 1 or -1

MOST_FIELDS: Final = 8
_NAME: Final = re.compile(r"[^$.\x00]+(?:\.[^$.\x00]+)*")
_ID: Final = "_id"


@dataclass(frozen=True, slots=True)
class Sort:
    """The fields as asked, and what makes the order impossible, if anything."""

    fields: Order
    fault: str | None = None

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A whole order, `_id` last, and the declared index that holds it, forward or backward, if there is one."""

    order: Order
    index: Order | None = None


def read_sort(names: Iterable[Any], collection: Collection, place: str) -> Sort:
    """`status` upwards, `-at` downwards. InvalidRequest for what names no field, a field twice or too many."""
    fields: list[tuple[str, int]] = []
    for text in names:
        name = text.removeprefix("-") if isinstance(text, str) else ""
        if len(name) > 512 or not _NAME.fullmatch(name) or any(is_position(part) for part in name.split(".")):
            raise InvalidRequest(f"{place}: a field is named like 'status', 'address.city' or, downwards, '-status'")
        if any(name == known for known, _ in fields):
            raise InvalidRequest(f"{place}: '{name}' is named twice")
        fields.append((name, -1 if text.startswith("-") else 1))
    if not 0 < len(fields) <= MOST_FIELDS:
        raise InvalidRequest(f"{place}: expected 1 to {MOST_FIELDS} fields")
    return Sort(tuple(fields), _fault(fields, collection, place))


def _fault(fields: list[tuple[str, int]], collection: Collection, place: str) -> str | None:
    """An array counts by one of its elements, and only in one field: of two, or below one, no order is defined."""
    arrays: list[str] = [name for name, _ in fields if collection.is_computed(name)][:1]
    for name, _ in fields:
        above, leaf = _may_be_arrays(name, collection)
        if above:
            return f"{place}: '{name}' leads through a field that may be an array"
        if leaf and _nests(name, collection):
            return f"{place}: '{name}' is an array of arrays"
        if collection.is_vector(name):
            return f"{place}: '{name}' is a vector, and has no order"
        arrays += [name] if leaf else []
    if len(arrays) > 1 and collection.is_computed(arrays[0]):
        return f"{place}: '{arrays[0]}' is computed, and '{arrays[1]}' may be an array"
    return f"{place}: '{arrays[0]}' and '{arrays[1]}' may both be arrays" if len(arrays) > 1 else None


def _may_be_arrays(name: str, collection: Collection) -> tuple[bool, bool]:
    """Whether the schema lets something above the path be an array, and the path itself."""
    parts, found = name.split("."), list[bool]()
    fields: Mapping[str, Field] | None = collection.fields
    for part in parts:
        one = fields.get(part) if fields else None
        found.append(part not in (_ID, "_version") if one is None else one.type in ("array", "any"))
        fields = None if one is None or one.type != "object" else one.properties
    return any(found[:-1]), found[-1]


def _nests(name: str, collection: Collection) -> bool:
    one = collection.fields.get(name.split(".")[0])
    for part in name.split(".")[1:]:
        one = one.properties.get(part) if one is not None and one.properties else None
    return one is not None and one.items is not None and one.items.type == "array"


def ordered(sort: Sort, collection: Collection, prefix: Iterable[str]) -> Ordered:
    """The order with `_id` as tie-break: upwards, unless only downwards an index fits.

    Fields behind `_id` decide nothing. `prefix` are fields that are equal in every row: an index may begin with them.
    """
    names = [name for name, _ in sort.fields]
    if _ID in names:
        whole = [sort.fields[: names.index(_ID) + 1]]
    else:
        whole = [(*sort.fields, (_ID, direction)) for direction in (1, -1)]
    led = tuple(prefix)
    for lead in dict.fromkeys((led, ())):
        for order in whole:
            for index in _indexes(collection):
                if _fits(index, lead, order):
                    return Ordered(order, index)
    return Ordered(whole[0])


def _indexes(collection: Collection) -> Iterable[Order]:
    """Those that hold every row: the ones that are always there, and the declared ones that are not sparse."""
    yield ((_ID, 1),)
    if collection.tenant_field is not None:
        yield ((collection.tenant_field, 1), (_ID, 1))
    yield from (index.keys for index in collection.indexes if not index.sparse)


def _fits(index: Order, lead: tuple[str, ...], order: Order) -> bool:
    rest = index[len(lead) :]
    backward = tuple((name, -direction) for name, direction in order)
    return tuple(name for name, _ in index[: len(lead)]) == lead and rest in (order, backward)
