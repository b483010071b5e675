"""The first reading of a bound expression: a Mongo filter that matches exactly the documents of which it is true.

Negation is pushed to the leaves first, and each leaf carries its guards in both polarities: a guarded leaf inside
`$nor` would turn "unknown" into "true". The table of leaves stands in docs/policy-language.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bson import encode
from bson.raw_bson import RawBSONDocument

from permission_mongo.policy.nodes import (
    OPPOSITE,
    And,
    AnyElement,
    Compare,
    Constant,
    Contains,
    Expression,
    Has,
    Items,
    Member,
    Not,
    Operand,
    Or,
    Path,
    StartsWith,
    Value,
)
from permission_mongo.policy.remembered import LONG, Remembered
from permission_mongo.values import CODEC, MongoFilter

MATCH_ALL: Final[MongoFilter] = {}
MATCH_NONE: Final[MongoFilter] = {"_id": {"$in": []}}

_OPERATOR: Final = {"==": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
# `$type: "object"` alone also matches an array that holds an object.
_HOP: Final[MongoFilter] = {"$type": "object", "$not": {"$type": "array"}}
_NO_CONTAINER: Final[MongoFilter] = {"$not": {"$type": ["array", "object"]}}
_NO_ARRAY: Final[MongoFilter] = {"$not": {"$type": "array"}}
_EXISTS: Final[MongoFilter] = {"$exists": True}
_OF_ONE_KIND: Final = {"$eq", "$lt", "$lte", "$gt", "$gte"}
# No pattern matches text that is no UTF-8, as another writer may store it: how it begins is unknown, and not false.
_LEGIBLE: Final[MongoFilter] = {"$regex": ""}

_AND: Final = {"$and": None}.keys()

Operators = dict[str, Any]


def to_mongo(expression: Expression) -> MongoFilter:
    """The filter of a bound expression. An expression that is never true gives MATCH_NONE: better not to ask at all."""
    return _filter(expression, True)


def all_of(filters: list[MongoFilter]) -> MongoFilter:
    """`$and` by joining whole filters, never their keys."""
    if MATCH_NONE in filters:
        return MATCH_NONE
    kept: list[MongoFilter] = []
    for filter_ in filters:
        kept += filter_["$and"] if filter_.keys() == _AND else [filter_] if filter_ else []
    return MATCH_ALL if not kept else kept[0] if len(kept) == 1 else {"$and": kept}


def one_of(filters: list[MongoFilter]) -> MongoFilter:
    """`$or`; of nothing it is MATCH_NONE, for the server refuses an empty `$or`."""
    if MATCH_ALL in filters:
        return MATCH_ALL
    kept = [filter_ for filter_ in filters if filter_ != MATCH_NONE]
    return MATCH_NONE if not kept else kept[0] if len(kept) == 1 else {"$or": kept}


def _filter(expression: Expression, positive: bool) -> MongoFilter:
    """Documents of which `expression` is true (positive) or false (not positive); never the unknown ones."""
    match expression:
        case Constant(truth):
            return MATCH_ALL if truth is positive else MATCH_NONE
        case Not(part):
            return _filter(part, not positive)
        case And(parts) | Or(parts):
            if isinstance(expression, And) is positive:
                return all_of([_filter(part, positive) for part in parts])
            return one_of(_alternatives(parts, positive))
        case Has(path):
            return _place(path, _EXISTS) if positive else _absent(path)
        case AnyElement(path, test, objects):
            return _any(path, test, objects, positive)
        case _:
            return _leaf(expression, positive)


def _alternatives(parts: tuple[Expression, ...], positive: bool) -> list[MongoFilter]:
    """The filters of the parts. What several ask of one place is one filter: each branch of an `$or` is planned.

    All have the same guards, so what is left is equal to any of some values, or unequal to any of them. A set stays by
    itself: it may be of people, whom an explanation does not name.
    """
    gathered: dict[tuple[Path, str], list[tuple[Expression, Any]]] = {}
    filters: list[MongoFilter] = []
    for part in parts:
        found = _equality(part, positive)
        if found is None:
            filters.append(_filter(part, positive))
        else:
            path, operator, value = found
            gathered.setdefault((path, operator), []).append((part, value))
    for (path, operator), those in gathered.items():
        joined = [value for _, value in those]
        if len(those) == 1:
            filters.append(_filter(those[0][0], positive))
        elif operator == "$in":
            among = {"$in": joined}
            filters.append(_place(path, {**_guards(among), **among}))
        else:
            known = _place(path, {**_EXISTS, **_NO_CONTAINER})
            filters.append(all_of([known, {path.dotted: {"$not": {"$all": joined}}}]))
    return filters


def _equality(part: Expression, positive: bool) -> tuple[Path, str, Any] | None:
    """The place, and whether a scalar there must equal the value (`$in`) or differ from it (`$ne`)."""
    match part:
        case Not(inner):
            return _equality(inner, not positive)
        case Compare("==" | "!=" as op, Path() as path, Value(value)):
            return path, "$in" if (op == "==") is positive else "$ne", value
        case _:
            return None


def _leaf(test: Compare | Member | StartsWith | Contains, positive: bool) -> MongoFilter:
    match test:
        case Member(Value(value), Path() as path):
            return _place(path, _of_array({"$elemMatch": {"$eq": value}}, positive))
        case Contains(quantifier, path, Items(items)):
            return _contains(path, quantifier == "any", _values(items), positive)
        case StartsWith(path):
            guarded = _place(path, {**_EXISTS, **_NO_CONTAINER, "$type": "string"})
            return all_of([guarded, {path.dotted: _wanted(test, positive)}])
        case Member(Path() as path, Items(items)) if len(items) >= LONG:
            return _place(path, (_ENCODED_IN if positive else _ENCODED_NOT_IN).of(items))
        case Compare(_, Path() as path) | Member(Path() as path):
            wanted = _wanted(test, positive)
            return MATCH_NONE if wanted is None else _place(path, {**_guards(wanted), **wanted})
        case _:
            raise AssertionError(f"not bound: {test}")


def _guards(wanted: Operators) -> Operators:
    """What keeps arrays, objects and absent values out. What asks for a value of one kind, and not for null, is met by
    no object, and by nothing that is not there: MongoDB looks at each guard of each row, a microsecond for the two.
    """
    found: list[Any] = [None]
    if len(wanted) == 1:
        [(operator, value)] = wanted.items()
        found = value if operator == "$in" else [value] if operator in _OF_ONE_KIND else found
    return {**_EXISTS, **_NO_CONTAINER} if None in found else {**_NO_ARRAY}


def _wanted(test: Expression, positive: bool) -> Operators | None:
    """What a scalar must satisfy beside its guards, so that `test` is true (or false) of it; None if nothing does."""
    match test:
        case Not(part):
            return _wanted(part, not positive)
        case Compare(op, _, Value(value)):
            return {_OPERATOR[op if positive else OPPOSITE[op]]: value}
        case Member(_, Items(items)):
            if not items:
                return None if positive else {}
            return {"$in" if positive else "$nin": _values(items)}
        case StartsWith(_, Value(prefix)):
            pattern = {"$regex": "^" + re.escape(prefix)}
            return pattern if positive else {**_LEGIBLE, "$not": pattern}
        case Constant(truth):
            return {} if truth is positive else None
        case _:
            raise AssertionError(f"not a test of one scalar: {test}")


def _encoded(operator: str, items: tuple[Operand, ...]) -> RawBSONDocument:
    """As bytes: a filter of some thousand values is made anew for each request, and they are the same."""
    wanted = {operator: _values(items)}
    return RawBSONDocument(encode({**_guards(wanted), **wanted}, codec_options=CODEC))


_ENCODED_IN: Final = Remembered(lambda items: _encoded("$in", items))
_ENCODED_NOT_IN: Final = Remembered(lambda items: _encoded("$nin", items))


def _place(path: Path, operators: Mapping[str, Any] | None) -> MongoFilter:
    """The operators at the path, with every hop on the way an object and no array."""
    hops = (".".join(path.segments[:n]) for n in range(1, len(path.segments)))
    return {**{hop: dict(_HOP) for hop in hops}, path.dotted: operators}


def _absent(path: Path) -> MongoFilter:
    broken: list[MongoFilter] = []
    for n in range(1, len(path.segments)):
        hop = ".".join(path.segments[:n])
        broken += [{hop: {"$not": {"$type": "object"}}}, {hop: {"$type": "array"}}]
    return one_of([*broken, {path.dotted: {"$exists": False}}])


def _of_array(match: Operators, positive: bool) -> Operators:
    return match if positive else {"$type": "array", "$not": match}


def _values(items: tuple[Operand, ...]) -> list[Any]:
    return [item.value for item in items if isinstance(item, Value)]


def _contains(path: Path, any_: bool, values: list[Any], positive: bool) -> MongoFilter:
    array = _place(path, {"$type": "array"})
    if any_:
        return all_of([array, _place(path, _of_array({"$elemMatch": {"$in": values}}, positive))])
    tests = [_place(path, _of_array({"$elemMatch": {"$eq": value}}, positive)) for value in values]
    return all_of([array, *tests]) if positive else one_of(tests)


def _any(path: Path, test: Expression, objects: bool, positive: bool) -> MongoFilter:
    """Some element true (positive), or every element false: an array in which no element is anything else."""
    if positive:
        found = _some_object(test) if objects else _some_scalar(test)
        return MATCH_NONE if found is None else _place(path, {"$elemMatch": found})
    others = _no_false_object(test) if objects else _no_false_scalar(test)
    return all_of([_place(path, {"$type": "array"}), *({path.dotted: {"$not": {"$elemMatch": o}}} for o in others)])


def _some_object(test: Expression) -> Operators | None:
    found = _filter(test, True)
    return None if found == MATCH_NONE else {"$type": "object"} if found == MATCH_ALL else found


def _some_scalar(test: Expression) -> Operators | None:
    wanted = _wanted(test, True)
    if wanted is None:
        return None
    return {"$type": "string", **wanted} if _is_about_text(test) else {**_NO_CONTAINER, **wanted}


def _no_false_object(test: Expression) -> list[Operators]:
    """What an element may not match if every element is to be an object of which the test is false."""
    return [{"$not": {"$type": "object"}}, {"$nor": [_filter(test, False)]}]


def _no_false_scalar(test: Expression) -> list[Operators]:
    wanted = _wanted(test, False)
    unfit: list[Operators] = [{"$type": ["array", "object"]}]
    if _is_about_text(test):
        unfit = [{"$not": {"$type": "string"}}, {"$not": _LEGIBLE}]
    if wanted is None:
        return [*unfit, dict(_NO_CONTAINER)]
    return [*unfit, wanted.get("$not", {"$not": wanted})] if wanted else unfit


def _is_about_text(test: Expression) -> bool:
    return isinstance(test.part if isinstance(test, Not) else test, StartsWith)
