"""A caller's aggregation expression -> one written by us; the paths it refers to are noted in the scope it stands in.

Operators come from allow-lists. None runs code, draws lots, reads a whole document or a name that is computed, and none
multiplies its input: a `$reduce` or one iteration inside another would let a short text cost the server for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.filters import is_field_path
from permission_mongo.query.scope import Asked, Scope
from permission_mongo.values import MAX_DEPTH, is_extended, read_scalar

_ANY: Final = 1_000
# Operators with a list of arguments: how many at least and at most.
_LISTED: Final[Mapping[str, tuple[int, int]]] = {
    **dict.fromkeys(("$abs", "$ceil", "$exp", "$floor", "$ln", "$log10", "$sqrt"), (1, 1)),
    **dict.fromkeys(("$divide", "$log", "$mod", "$pow", "$subtract"), (2, 2)),
    **dict.fromkeys(("$round", "$trunc"), (1, 2)),
    **dict.fromkeys(("$add", "$multiply", "$and", "$or", "$concat", "$mergeObjects"), (1, _ANY)),
    **dict.fromkeys(("$avg", "$max", "$min", "$stdDevPop", "$stdDevSamp", "$sum"), (1, _ANY)),
    **dict.fromkeys(("$cmp", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$strcasecmp", "$split"), (2, 2)),
    **dict.fromkeys(("$not", "$toLower", "$toUpper", "$strLenCP", "$isNumber", "$type", "$isArray"), (1, 1)),
    **dict.fromkeys(("$size", "$first", "$last", "$reverseArray", "$anyElementTrue", "$allElementsTrue"), (1, 1)),
    **dict.fromkeys(("$arrayElemAt", "$setDifference", "$setIsSubset"), (2, 2)),
    **dict.fromkeys(("$setEquals", "$setIntersection", "$setUnion", "$ifNull"), (2, _ANY)),
    **dict.fromkeys(("$indexOfArray", "$indexOfCP"), (2, 4)),
    "$slice": (2, 3),
    "$substrCP": (3, 3),
}
_DATE_PARTS: Final = (
    *("$year", "$month", "$week", "$dayOfYear", "$dayOfMonth", "$dayOfWeek", "$hour", "$minute", "$second"),
    *("$millisecond", "$isoWeekYear", "$isoWeek", "$isoDayOfWeek"),
)
# Operators with named arguments: those that must be there and those that may.
_NAMED: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    **dict.fromkeys(_DATE_PARTS, (("date",), ("timezone",))),
    **dict.fromkeys(("$trim", "$ltrim", "$rtrim"), (("input",), ("chars",))),
    **dict.fromkeys(("$dateAdd", "$dateSubtract"), (("startDate", "unit", "amount"), ("timezone",))),
    "$dateDiff": (("startDate", "endDate", "unit"), ("timezone", "startOfWeek")),
    "$dateToString": (("date",), ("format", "timezone", "onNull")),
    "$dateTrunc": (("date", "unit"), ("binSize", "timezone", "startOfWeek")),
}
_SPECIAL: Final = ("$cond", "$switch", "$let", "$filter", "$map", "$convert", "$literal")
EXPRESSIONS: Final = frozenset({*_LISTED, *_NAMED, *_SPECIAL})
_TYPES: Final = ("string", "int", "long", "double", "decimal", "bool", "date", "objectId")
_VARIABLE: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,63}")
# What a part of an iteration weighs that is not the element's own: it is held, or gone through, for each element.
_REPEATED: Final = {"$map": 200, "$filter": 10}


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable: its path, if it is nothing but a path; its weight; whether it changes while iterating."""

    path: str | None
    weight: int
    iterated: bool


_UNBOUND: Final[Mapping[str, Bound]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Here:
    """Where an expression stands, and which variables are bound there."""

    place: str
    depth: int = 1
    variables: Mapping[str, Bound] = field(default_factory=lambda: _UNBOUND)
    repeated: int = 1

    @property
    def iterates(self) -> bool:
        return self.repeated > 1

    def below(self, part: str) -> Here:
        return replace(self, place=f"{self.place}.{part}", depth=self.depth + 1)

    def item(self, number: int) -> Here:
        return replace(self, place=f"{self.place}[{number}]", depth=self.depth + 1)

    def binding(self, variables: Mapping[str, Bound]) -> Here:
        return replace(self, variables={**self.variables, **variables})


def is_name(text: Any) -> bool:
    """Whether the text can name one field: no path, no operator."""
    return isinstance(text, str) and "." not in text and is_field_path(text)


def only_key(sent: Mapping[str, Any], place: str) -> str:
    """The operator of `{"$operator": ...}`, which must stand alone."""
    if len(sent) != 1:
        raise InvalidRequest(f"{place}: an operator stands alone in its object")
    return next(iter(sent))


def as_arguments(sent: Any) -> list[Any]:
    return sent if isinstance(sent, list) else [sent]


def require_keys(sent: Any, required: tuple[str, ...], optional: tuple[str, ...], place: str) -> Mapping[str, Any]:
    if not isinstance(sent, dict) or not set(required) <= set(sent) <= {*required, *optional}:
        extra = f" and may have {', '.join(optional)}" if optional else ""
        raise InvalidRequest(f"{place}: expected an object with {', '.join(required)}{extra}")
    return sent


def scalar(sent: Any, place: str) -> Any:
    """A single value; Extended JSON such as `{"$date": "..."}` is read."""
    try:
        return read_scalar("any", sent)
    except ValueError as error:
        raise InvalidRequest(f"{place}: expected {error}") from error


@dataclass(frozen=True, slots=True)
class Expressions:
    """Reads expressions in one scope."""

    scope: Scope
    asked: Asked

    def measured(self, sent: Any, here: Here) -> tuple[Any, int]:
        """The expression, and how many stored fields it holds."""
        before, self.asked.weight = self.asked.weight, 0
        written = self.read(sent, here)
        weight = max(1, self.asked.weight)
        self.asked.weight = before
        return written, weight

    def read(self, sent: Any, here: Here) -> Any:
        """The expression as MongoDB gets it. InvalidRequest names the operator or place that is not taken."""
        self.asked.depth(here.place, here.depth)
        if isinstance(sent, str) and sent.startswith("$"):
            return self._reference(sent, here)
        if isinstance(sent, list):
            self.asked.items(here.place, len(sent), here.repeated)
            return [self.read(one, here.item(n)) for n, one in enumerate(sent)]
        if not isinstance(sent, dict) or is_extended(sent):
            return scalar(sent, here.place)
        if any(key.startswith("$") for key in sent):
            return self._operator(only_key(sent, here.place), sent, here)
        return self._object(sent, here)

    def _object(self, sent: Mapping[str, Any], here: Here) -> dict[str, Any]:
        for key in sent:
            if not is_name(key):
                raise InvalidRequest(f"{here.place}: an object's fields are named like 'status'")
        self.asked.clause(here.place, len(sent))
        return {key: self.read(one, here.below(key)) for key, one in sent.items()} or {"$literal": {}}

    def path(self, sent: Any, here: Here) -> str:
        """A reference to a field and to nothing else, such as `$lines`."""
        if not isinstance(sent, str) or not sent.startswith("$") or sent.startswith("$$"):
            raise InvalidRequest(f"{here.place}: expected a field such as '$status'")
        return self._reference(sent, here)

    def _reference(self, sent: str, here: Here) -> str:
        self.asked.clause(here.place)
        if sent == "$$NOW":
            return sent
        if sent.startswith("$$"):
            self._variable(sent, here)
            return sent
        if not is_field_path(sent[1:]):
            raise InvalidRequest(
                f"{here.place}: a field is named like '$status' or '$address.city'; "
                'a text that begins with $ is written {"$literal": "..."}'
            )
        self.scope.note(sent[1:], self.asked)
        self.asked.weigh(here.place, self.scope.weight_of(sent[1:]) * here.repeated)
        return sent

    def _variable(self, sent: str, here: Here) -> None:
        name, dot, rest = sent[2:].partition(".")
        bound = here.variables.get(name)
        if bound is None or (dot and not is_field_path(rest)):
            raise InvalidRequest(
                f"{here.place}: the variable '$${name[:100]}' is not bound here", operator=f"$${name[:100]}"
            )
        self.asked.weigh(here.place, bound.weight * (1 if bound.iterated else here.repeated))
        if dot and bound.path is not None:
            self.scope.note(f"{bound.path}.{rest}", self.asked)

    def _operator(self, operator: str, sent: Mapping[str, Any], here: Here) -> dict[str, Any]:
        if operator not in EXPRESSIONS:
            raise InvalidRequest(
                f"{here.place}: the operator '{operator[:100]}' is not taken here", operator=operator[:100]
            )
        self.asked.clause(here.place)
        inner, operand = here.below(operator), sent[operator]
        match operator:
            case "$literal":
                return {operator: self._literal(operand, inner)}
            case "$cond":
                return {operator: self._cond(operand, inner)}
            case "$switch":
                return {operator: self._switch(operand, inner)}
            case "$let":
                return {operator: self._let(operand, inner)}
            case "$filter" | "$map":
                return {operator: self._iteration(operator, operand, inner)}
            case "$convert":
                return {operator: self._convert(operand, inner)}
            case _ if operator in _NAMED:
                return {operator: self._named(operator, operand, inner)}
            case _:
                return {operator: self._listed(operator, operand, inner)}

    def _listed(self, operator: str, operand: Any, here: Here) -> list[Any]:
        least, most = _LISTED[operator]
        arguments = as_arguments(operand)
        if not least <= len(arguments) <= most:
            count = f"{least}" if least == most else f"{least} to {most}" if most != _ANY else f"{least} or more"
            raise InvalidRequest(f"{here.place}: expected {count} argument{'' if count == '1' else 's'}")
        return [self.read(one, replace(here, place=f"{here.place}[{n}]")) for n, one in enumerate(arguments)]

    def _named(self, operator: str, operand: Any, here: Here) -> dict[str, Any]:
        required, optional = _NAMED[operator]
        short = operator in _DATE_PARTS and not (isinstance(operand, dict) and "date" in operand)
        # `{"$year": "$at"}` and `{"$year": ["$at"]}` are short for the form with names.
        if short and isinstance(operand, list) and len(operand) == 1:
            operand = operand[0]
        arguments = require_keys({"date": operand} if short else operand, required, optional, here.place)
        return {name: self.read(one, replace(here, place=f"{here.place}.{name}")) for name, one in arguments.items()}

    def _cond(self, operand: Any, here: Here) -> Any:
        if isinstance(operand, list) and len(operand) == 3:
            operand = dict(zip(("if", "then", "else"), operand, strict=True))
        arguments = require_keys(operand, ("if", "then", "else"), (), here.place)
        return {name: self.read(one, replace(here, place=f"{here.place}.{name}")) for name, one in arguments.items()}

    def _switch(self, operand: Any, here: Here) -> dict[str, Any]:
        arguments = require_keys(operand, ("branches",), ("default",), here.place)
        branches = arguments["branches"]
        if not isinstance(branches, list) or not branches:
            raise InvalidRequest(f"{here.place}.branches: expected a list of at least one branch")
        written: dict[str, Any] = {"branches": []}
        for n, branch in enumerate(branches):
            at = replace(here, place=f"{here.place}.branches[{n}]")
            parts = require_keys(branch, ("case", "then"), (), at.place)
            written["branches"].append({name: self.read(one, at) for name, one in parts.items()})
        if "default" in arguments:
            written["default"] = self.read(arguments["default"], here)
        return written

    def _let(self, operand: Any, here: Here) -> dict[str, Any]:
        arguments = require_keys(operand, ("vars", "in"), (), here.place)
        if not isinstance(arguments["vars"], dict):
            raise InvalidRequest(f"{here.place}.vars: expected an object of variables")
        written, variables = {}, {}
        for name, one in arguments["vars"].items():
            written[self._new_variable(name, here)], weight = self.measured(one, here)
            variables[name] = Bound(_path_of(one, here), weight, here.iterates)
        return {"vars": written, "in": self.read(arguments["in"], here.binding(variables))}

    def _iteration(self, operator: str, operand: Any, here: Here) -> dict[str, Any]:
        body = "in" if operator == "$map" else "cond"
        arguments = require_keys(operand, ("input", body), ("as",), here.place)
        if here.iterates:
            # Nested, the work is the product of the lengths, and the server looks at the clock only between rows.
            raise InvalidRequest(f"{here.place}: one $map or $filter can't stand inside another")
        name = self._new_variable(arguments.get("as", "this"), here)
        source, weight = self.measured(arguments["input"], replace(here, place=f"{here.place}.input"))
        self.asked.weigh(here.place, weight)
        inside = here.binding({name: Bound(_path_of(arguments["input"], here), weight, iterated=True)})
        inside = replace(inside, place=f"{here.place}.{body}", repeated=_REPEATED[operator])
        return {"input": source, "as": name, body: self.read(arguments[body], inside)}

    def _new_variable(self, name: Any, here: Here) -> str:
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise InvalidRequest(f"{here.place}: a variable is named like 'line'")
        return name

    def _convert(self, operand: Any, here: Here) -> dict[str, Any]:
        """What can't be converted is null: an error would hold the value in its text."""
        arguments = require_keys(operand, ("input", "to"), (), here.place)
        if arguments["to"] not in _TYPES:
            raise InvalidRequest(f"{here.place}.to: expected one of {', '.join(_TYPES)}")
        return {"input": self.read(arguments["input"], here), "to": arguments["to"], "onError": None, "onNull": None}

    def _literal(self, sent: Any, here: Here) -> Any:
        """A constant as it stands; only here may a text begin with `$`."""
        if here.depth > MAX_DEPTH:
            raise InvalidRequest(f"{here.place}: nested deeper than {MAX_DEPTH}")
        if isinstance(sent, list):
            self.asked.items(here.place, len(sent), here.repeated)
            return [self._literal(one, replace(here, depth=here.depth + 1)) for one in sent]
        if isinstance(sent, dict) and not is_extended(sent):
            self.asked.items(here.place, len(sent), here.repeated)
            for key in sent:
                if not is_name(key):
                    raise InvalidRequest(f"{here.place}: an object's fields are named like 'status'")
            return {key: self._literal(one, replace(here, depth=here.depth + 1)) for key, one in sent.items()}
        return scalar(sent, here.place)


def _path_of(sent: Any, here: Here) -> str | None:
    """The path that a bound expression is, if it is nothing but one."""
    if not isinstance(sent, str) or not sent.startswith("$") or sent == "$$NOW":
        return None
    if not sent.startswith("$$"):
        return sent[1:]
    name, dot, rest = sent[2:].partition(".")
    path = here.variables[name].path
    return path if path is None else f"{path}{dot}{rest}"
