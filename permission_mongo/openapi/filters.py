"""A collection's filters: what may be asked of the fields that somebody reads raw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from permission_mongo.documents.paths import Path
from permission_mongo.openapi.audience import Seen
from permission_mongo.openapi.words import (
    NULL,
    Shape,
    a_list,
    an_object,
    in_url,
    or_null,
    ref,
    sent,
    text,
    whole,
)
from permission_mongo.values import SCALAR_TYPES

_LITERAL: Final = r"^\^?([^\\^$.|?*+()\[\]{}\x00]|\\[^A-Za-z0-9\x00])*\$?$"
_MOST_SIZE: Final = 2**31 - 1
_BELOW: Final = "below.it"  # any path below a field that the schema leaves open


def filter_name(seen: Seen, *, stored: bool = False) -> str:
    """Its name among the components; `stored`: without computed fields, as batches take it."""
    name = "Any" if seen.is_any else seen.collection.name
    return f"{name}.StoredFilter" if stored and _has_computed(seen) else f"{name}.Filter"


def _has_computed(seen: Seen) -> bool:
    return any(seen.collection.is_computed(".".join(path)) for path in seen.raw)


def filters(seen: Seen, regex_length: int) -> Iterator[tuple[str, Shape]]:
    """The components: filters, and the conditions on one field that they refer to."""
    for stored in dict.fromkeys((False, _has_computed(seen))):
        name = filter_name(seen, stored=stored)
        yield name, _filter(seen, name, stored=stored)
    asked = [*_asked(seen), (_BELOW, "any")]
    for name, value in {_condition_name(path, kind, seen): (path, kind) for path, kind in asked}.items():
        yield name, _condition(*value, seen, regex_length)


def _filter(seen: Seen, name: str, *, stored: bool) -> Shape:
    branches = a_list(ref(name), minItems=1)
    fields = {
        **{
            path: ref(_condition_name(path, kind, seen))
            for path, kind in _asked(seen)
            if not (stored and seen.collection.is_computed(path))
        },
        "$and": branches,
        "$or": branches,
        "$nor": branches,
    }
    found = an_object(fields, description="Conditions on fields, ANDed; depth and number are bounded.")
    opened = _open_paths(seen)
    if seen.is_any:
        return {**found, "additionalProperties": True}
    if opened:
        below = ref(_condition_name(_BELOW, "any", seen))
        found["patternProperties"] = {rf"^({'|'.join(opened)})(\.[^$.\x00][^.\x00]*)+$": below}
    return found


def _asked(seen: Seen) -> Iterator[tuple[str, str]]:
    """Each path that may be asked about, and the type of its values."""
    collection = seen.collection
    if seen.is_any:
        return
    yield "_id", collection.id_type
    yield "_version", "integer"
    for path in sorted(seen.raw):
        dotted = ".".join(path)
        yield dotted, "vector" if collection.is_vector(dotted) else collection.kind_of(dotted) or "any"


def _condition_name(dotted: str, kind: str, seen: Seen) -> str:
    """Alike for all fields of which the same may be asked."""
    below = "Below" if "." in dotted else ""
    return f"Condition.{kind}{below}{'.Pattern' if seen.collection.any_pattern else ''}"


def _open_paths(seen: Seen) -> list[str]:
    """Patterns of the fields below which any name may be asked about."""
    declared = ((path, seen.collection.declared(path)) for path in sorted(seen.raw))
    return [
        r"\.".join(map(re.escape, path))
        for path, one in declared
        if one is not None and one.type not in (*SCALAR_TYPES, "vector")
    ]


def _condition(dotted: str, kind: str, seen: Seen, regex_length: int) -> Shape:
    """A value, or operators. Below an object a comparison with null stands alone."""
    if kind == "vector":
        return _presence(dotted)
    scalar = _scalar(kind)
    single = or_null(scalar)
    compared = scalar if "." in dotted else single
    either: Shape = {"anyOf": [compared, a_list(compared)]}
    operators = {
        **dict.fromkeys(("$eq", "$ne"), either),
        **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), compared),
        **dict.fromkeys(("$in", "$nin", "$all"), a_list(compared)),
        "$exists": {"type": "boolean"},
        "$regex": _pattern(seen, regex_length),
        "$size": whole(0, _MOST_SIZE),
    }
    plain = an_object(operators, minProperties=1)
    alone = [an_object(dict.fromkeys(("$eq", "$ne"), NULL), minProperties=1, maxProperties=1)] if "." in dotted else []
    negated = an_object({"$not": plain}, ["$not"])
    return {"anyOf": [single, a_list(compared), plain, negated, *alone]}


def _presence(dotted: str) -> Shape:
    """Whether there is a vector."""
    operators = {**dict.fromkeys(("$eq", "$ne"), NULL), "$exists": {"type": "boolean"}}
    # Below an object a comparison with null stands alone.
    asked = an_object(operators, minProperties=1, maxProperties=1 if "." in dotted else len(operators))
    return {"anyOf": [NULL, asked, an_object({"$not": asked}, ["$not"])]}


def _scalar(kind: str) -> Shape:
    """Comparisons take a single value, also where anything may be stored."""
    if kind == "any":
        return {"anyOf": [{"type": ["boolean", "number"]}, ref("SentString"), ref("Extended")]}
    return sent(kind)


def _pattern(seen: Seen, longest: int) -> Shape:
    taken = {} if seen.collection.any_pattern else {"pattern": _LITERAL}
    return text("Literal text, anchored or not." if taken else "Read by MongoDB.", maxLength=longest, **taken)


def equalities(seen: Seen) -> Iterator[tuple[str, Shape]]:
    """Fields that a query string may ask to be equal to a value."""
    if seen.is_any:
        return
    for path in sorted(seen.raw):
        dotted = ".".join(path)
        kind = seen.collection.kind_of(dotted)
        if kind is not None and not dotted.startswith("_") and "[" not in dotted and "$" not in dotted:
            yield dotted, in_url(kind)


def sorting(seen: Seen) -> list[str]:
    """What a list may be sorted by for certain: single values that lie below no array."""
    names = ["_id"]
    for path in sorted(seen.raw):
        along = [seen.collection.declared(path[:length]) for length in range(1, len(path) + 1)]
        if all(one is not None for one in along) and not _through_array(seen, path):
            names.append(".".join(path))
    return names


def _through_array(seen: Seen, path: Path) -> bool:
    fields = seen.collection.fields
    for part in path:
        one = fields.get(part)
        if one is None or one.type in ("array", "any", "vector"):
            return True
        fields = one.properties or {}
    return False
