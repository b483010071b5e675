"""Bodies of PUT and PATCH -> changes. What no operator means is refused; values are typed by planning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final

from permission_mongo.documents.changes import OPERATORS, Change, Merge, Operator, Put, Step, Steps
from permission_mongo.documents.paths import is_position
from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.fields import read_body
from permission_mongo.values import is_extended

_NAME: Final = re.compile(r"[^$.\x00][^.\x00]*")
_POSITION: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_LONGEST: Final = 512
_DEEPEST: Final = 32
_MOST: Final = 1_000  # paths of one change
_ON_INSERT: Final = "$setOnInsert"


def read_put(body: bytes, replaces: bool) -> Put:
    """Top-level fields to set, or the whole document."""
    found = read_body(body)
    if not found and not replaces:
        raise InvalidRequest("the body names no field")
    return Put({}, found, replaces)


def read_patch(body: bytes) -> Change:
    """A JSON Merge Patch (RFC 7396), or update operators where every key begins with `$`."""
    return change_of(read_body(body))


def change_of(found: Mapping[str, Any]) -> Change:
    """The same of an object already read."""
    if not found:
        raise InvalidRequest("the change names no field")
    operators = [key for key in found if key.startswith("$")]
    if not operators:
        return Merge(found)
    if len(operators) < len(found):
        raise InvalidRequest("operators and fields can't be mixed; put the fields into '$set'")
    steps = tuple(step for key in operators for step in _steps(key, found[key]))
    _require_apart(steps)
    return Steps(steps)


def read_upsert(found: Mapping[str, Any]) -> tuple[Steps, tuple[Step, ...]]:
    """Update operators, and what `$setOnInsert` sets where a document is created."""
    steps = tuple(step for key in found if key != _ON_INSERT for step in _steps(key, found[key]))
    only = tuple(_steps_of("$set", _ON_INSERT, found[_ON_INSERT])) if _ON_INSERT in found else ()
    _require_apart((*steps, *only))
    return Steps(steps), only


def _steps(key: str, paths: Any) -> list[Step]:
    operator = next((known for known in OPERATORS if known == key), None)
    if operator is None:
        near = get_close_matches(key, OPERATORS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(OPERATORS)}"
        raise InvalidRequest(f"the operator '{key[:100]}' is not taken here{hint}", operator=key[:100])
    return _steps_of(operator, key, paths)


def _steps_of(operator: Operator, key: str, paths: Any) -> list[Step]:
    """`key` is how the operator was called."""
    if not isinstance(paths, dict) or not paths:
        raise InvalidRequest(f'{key}: expected an object such as {{"status": ...}}')
    if len(paths) > _MOST:
        raise InvalidRequest(f"{key}: more than {_MOST} paths")
    return [_step(operator, path, operand, f"{key}.{path[:100]}") for path, operand in paths.items()]


def _step(operator: Operator, path: str, operand: Any, place: str) -> Step:
    _require_path(path, place)
    match operator:
        case "$push" | "$addToSet":
            return Step(operator, path, _each(operand, place))
        case "$pull":
            return _pull(path, operand, place)
        case "$rename":
            if not isinstance(operand, str):
                raise InvalidRequest(f"{place}: expected the new name")
            _require_path(operand, place)
            if any(map(is_position, (*path.split("."), *operand.split(".")))):
                raise InvalidRequest(f"{place}: an element of an array can't be renamed")
            return Step(operator, path, operand)
        case "$currentDate":
            if operand is not True and operand != {"$type": "date"}:
                raise InvalidRequest(f'{place}: expected true or {{"$type": "date"}}')
            return Step(operator, path)
        case "$unset":
            if isinstance(operand, dict | list):
                raise InvalidRequest(f'{place}: expected "" or true')
            return Step(operator, path)
        case "$min" | "$max" | "$inc" | "$mul":
            if isinstance(operand, dict | list) and not is_extended(operand):
                raise InvalidRequest(f"{place}: expected a single value")
            return Step(operator, path, operand)
        case "$set":
            return Step(operator, path, operand)


def _each(operand: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(operand, dict) or is_extended(operand) or not any(key.startswith("$") for key in operand):
        return (operand,)
    _require_only(operand, "$each", place)
    values = operand["$each"]
    if not isinstance(values, list):
        raise InvalidRequest(f"{place}.$each: expected a list")
    return tuple(values)


def _pull(path: str, operand: Any, place: str) -> Step:
    if isinstance(operand, dict) and not is_extended(operand):
        _require_only(operand, "$in", place)
        if not isinstance(operand["$in"], list):
            raise InvalidRequest(f"{place}.$in: expected a list")
        return Step("$pull", path, tuple(operand["$in"]), among=True)
    if isinstance(operand, list):
        raise InvalidRequest(f'{place}: expected a single value or {{"$in": [...]}}')
    return Step("$pull", path, (operand,))


def _require_only(operand: Mapping[str, Any], modifier: str, place: str) -> None:
    others = [key for key in operand if key != modifier]
    if others or modifier not in operand:
        named = others[0] if others else ""
        raise InvalidRequest(f"{place}: '{named[:100]}' is not taken here; known: {modifier}", operator=named[:100])


def _require_path(path: str, place: str) -> None:
    parts = path.split(".")
    if any(part.startswith("$") for part in parts):
        raise InvalidRequest(f"{place}: positional operators are not taken; name a position, such as 'lines.0.sku'")
    if len(path) > _LONGEST or len(parts) > _DEEPEST or not all(map(_NAME.fullmatch, parts)):
        raise InvalidRequest(f"{place}: a field is named like 'status' or 'address.city'")
    if not all(_POSITION.fullmatch(part) for part in parts if is_position(part)):
        raise InvalidRequest(f"{place}: a position has up to 6 digits and no leading zero")


def _require_apart(steps: tuple[Step, ...]) -> None:
    """No path twice, and none above another: what both mean would depend on their order."""
    paths = [step.path for step in steps] + [step.operand for step in steps if step.operator == "$rename"]
    if len(paths) > _MOST:
        raise InvalidRequest(f"more than {_MOST} paths")
    in_order = sorted(path.split(".") for path in paths)
    for one, following in pairwise(in_order):
        if following[: len(one)] == one:
            raise InvalidRequest(f"'{'.'.join(one)[:100]}' and '{'.'.join(following)[:100]}' can't both be changed")
