"""Filters of the Mixpeek API -> filters as our own routes take them, to be read and judged like any other.

Depends on what was sent and on nothing else: by a schema it would tell of hidden fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.fields import boolean, placed, require_known
from permission_mongo.query.folding import literal

ID: Final = "document_id"
_OURS: Final = "_id"
# The second three are of the store below that API, and some of its pages show them.
_LOGIC: Final[Mapping[str, str]] = {
    "AND": "$and",
    "OR": "$or",
    "NOT": "$nor",
    "must": "$and",
    "should": "$or",
    "must_not": "$nor",
}
_COMPARISONS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_FOLDING: Final = ("eq", "ne", "in", "nin")
_OF_TEXT: Final = ("starts_with", "ends_with", "regex", "text")
OPERATORS: Final = (*_COMPARISONS, "contains", *_OF_TEXT, "exists", "is_null")
_OF_A_CONDITION: Final = ("operator", "value", "case_sensitive")


def our_filter(sent: Any, place: str = "filters", *, exact: bool = False) -> dict[str, Any]:
    """`{"AND": [...], "status": "open"}` or `{"field", "operator", "value"}`. `exact`: letters are told apart.

    InvalidRequest with the place. What is told apart in a filter is so in all that it holds: the client writes
    `case_sensitive: false` into each of its parts.
    """
    if not isinstance(sent, dict):
        raise InvalidRequest(f'{place}: expected an object such as {{"AND": [{{"field": "status", "value": "open"}}]}}')
    with placed(place):
        exact = boolean(sent, "case_sensitive") or exact
    if "field" in sent or "key" in sent:
        return _condition(sent, place, exact=exact)
    found: dict[str, Any] = {}
    for key, value in sent.items():
        if key == "case_sensitive":
            continue
        if key in _LOGIC:
            _put(found, _LOGIC[key], _branches(value, f"{place}.{key}", exact=exact), place)
        else:
            _put(found, *_on_field(key, "eq", value, f"{place}.{key}", exact=exact), place)
    return found


def _branches(value: Any, place: str, *, exact: bool) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{place}: expected a list of at least one filter")
    found = [our_filter(one, f"{place}[{n}]", exact=exact) for n, one in enumerate(value)]
    for n, one in enumerate(found):
        if not one:
            # The client makes this of a condition that it does not understand; it would match everything.
            raise InvalidRequest(f"{place}[{n}]: names no condition")
    return found


def _condition(sent: Mapping[str, Any], place: str, *, exact: bool) -> dict[str, Any]:
    key = "field" if "field" in sent else "key"
    with placed(place):
        require_known(sent, (key, *_OF_A_CONDITION))
    name, operator = sent[key], sent.get("operator")
    if not isinstance(name, str):
        raise InvalidRequest(f"{place}.{key}: expected a field such as 'status' or 'address.city'")
    if operator is None:
        operator = "eq"
    if not isinstance(operator, str) or operator not in OPERATORS:
        told = f"'{operator[:100]}'" if isinstance(operator, str) else "this"
        raise InvalidRequest(f"{place}.operator: {told} is not taken here; known here: {', '.join(OPERATORS)}")
    if "value" not in sent and operator not in ("exists", "is_null"):
        raise InvalidRequest(f"{place}.value: is missing")
    ours, condition = _on_field(name, operator, sent.get("value"), f"{place}.{key}", exact=exact)
    return {ours: condition}


def _on_field(name: str, operator: str, value: Any, place: str, *, exact: bool) -> tuple[str, dict[str, Any]]:
    if name.startswith("$"):
        raise InvalidRequest(f"{place}: a field is named like 'status' or 'address.city'")
    ours = _OURS if name == ID else name
    # An id is one text and no other.
    return ours, _compared(operator, value, place, exact=exact or ours == _OURS)


def _compared(operator: str, value: Any, place: str, *, exact: bool) -> dict[str, Any]:
    match operator:
        case "exists" | "is_null":
            wanted = True if value is None else value
            if not isinstance(wanted, bool):
                raise InvalidRequest(f"{place}: {operator} expects true or false")
            return {"$exists": wanted} if operator == "exists" else {"$eq" if wanted else "$ne": None}
        case "contains" if not isinstance(value, str):
            if value is None or isinstance(value, list):
                raise InvalidRequest(f"{place}: contains expects a text, or one element")
            return {"$eq": value}
        case "contains" | "starts_with" | "ends_with" | "regex" | "text":
            return _found_in(operator, value, place, exact=exact and operator != "text")
        case _:
            folds = operator in _FOLDING and not exact and _holds_text(value)
            return {f"${operator}": value, **({"$options": "i"} if folds else {})}


def _found_in(operator: str, value: Any, place: str, *, exact: bool) -> dict[str, Any]:
    if not isinstance(value, str):
        raise InvalidRequest(f"{place}: {operator} expects a text")
    before, behind = "^" if operator == "starts_with" else "", r"\z" if operator == "ends_with" else ""
    pattern = value if operator == "regex" else f"{before}{literal(value)}{behind}"
    return {"$regex": pattern, **({} if exact else {"$options": "i"})}


def _holds_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(isinstance(one, str) for one in value))


def _put(found: dict[str, Any], key: str, value: Any, place: str) -> None:
    if key in found:
        raise InvalidRequest(f"{place}: '{key.removeprefix('$')[:100]}' is given twice")
    found[key] = value
