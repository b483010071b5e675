"""A computed field: an expression over fields of the same document, written anew in a form that never raises.

MongoDB ends a whole query at the first document on which an expression fails: one bad row would hide all others, and
tell that it is there. So each operator is guarded here by the types and values it takes, and is null for any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bson.int64 import Int64

from permission_mongo.documents.paths import Path, canonical
from permission_mongo.values import INT64_MAX

DEEPEST: Final = 12
MOST_NODES: Final = 200
LONGEST_TEXT: Final = 16_384  # bytes of a result
# With the results of all computed fields a document stays below MongoDB's 16 MB, or the query would fail.
LARGEST_DOCUMENT: Final = 15 * 2**20 + 2**18
MOST_COMPUTED: Final = 32
_SHOWN_TYPES: Final = ["double", "int", "long", "decimal", "bool", "date", "objectId"]
_FIRST_DAY, _LAST_DAY = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
_FORMAT_SIGNS: Final = frozenset("YmdHMSLjuwGVUz%")

Expr = Any
Vars = list[str]


class ComputedError(Exception):
    """What is wrong with an expression, and where in it: keys and positions from its top."""

    def __init__(self, message: str, place: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class Computed:
    """`expression` as MongoDB is asked; `inputs` are the fields it reads."""

    expression: Expr
    inputs: frozenset[Path]


def compile_computed(source: Any, fault_of: Callable[[str], str | None]) -> Computed:
    """The total form of an expression. `fault_of` says what is wrong with a field's path, if anything is."""
    compiler = _Compiler(fault_of)
    total = compiler.value(source, (), 1)
    return Computed(_shown(total), frozenset(compiler.inputs))


@dataclass(slots=True)
class _Compiler:
    fault_of: Callable[[str], str | None]
    inputs: set[Path] = field(default_factory=set)
    count: int = 0

    def value(self, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
        self.count += 1
        if depth > DEEPEST or self.count > MOST_NODES:
            raise ComputedError(f"more than {DEEPEST} deep or {MOST_NODES} parts", place)
        if isinstance(source, str) and source.startswith("$"):
            return self._field(source, place)
        if isinstance(source, list):
            return [self.value(one, (*place, n), depth + 1) for n, one in enumerate(source)]
        if isinstance(source, Mapping):
            return self._operator(source, place, depth)
        if isinstance(source, int) and not -INT64_MAX - 1 <= source <= INT64_MAX:
            raise ComputedError("an integer has at most 64 bits", place)
        return {"$literal": source}

    def _field(self, source: str, place: tuple[str | int, ...]) -> Expr:
        dotted = source.removeprefix("$")
        if dotted.startswith("$"):
            raise ComputedError(f"'{source}' is not taken here; a field is written '$name'", place)
        if not dotted or canonical(dotted) != tuple(dotted.split(".")):
            raise ComputedError(f"'{source}': a field's path has no positions and no '$'", place)
        fault = self.fault_of(dotted)
        if fault is not None:
            raise ComputedError(fault, place)
        self.inputs.add(canonical(dotted))
        return {"$ifNull": [source, None]}

    def _operator(self, source: Mapping[str, Any], place: tuple[str | int, ...], depth: int) -> Expr:
        name = next(iter(source), "")
        if len(source) != 1 or not name.startswith("$"):
            raise ComputedError("expected one operator, such as `{$add: [$net, $tax]}`", place)
        rule, inside = OPERATORS.get(name), (*place, name)
        if rule is None:
            raise ComputedError(f"the operator '{name}' is not taken here; known: {', '.join(OPERATORS)}", place)
        return rule(self, name, source[name], inside, depth + 1)

    def arguments(
        self, source: Any, place: tuple[str | int, ...], depth: int, least: int, most: int | None
    ) -> list[Expr]:
        """The operands; a single one may stand without its list."""
        listed = source if isinstance(source, list) else [source]
        if len(listed) < least or (most is not None and len(listed) > most):
            count = str(least) if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            raise ComputedError(f"'{place[-1]}' takes {count} operands", place)
        if not isinstance(source, list):
            return [self.value(source, place, depth)]
        return [self.value(one, (*place, n), depth) for n, one in enumerate(source)]

    def keyed(
        self, source: Any, place: tuple[str | int, ...], needed: Sequence[str], optional: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        """An operand that is an object with these keys."""
        if not isinstance(source, Mapping) or not set(needed) <= source.keys() <= {*needed, *optional}:
            raise ComputedError(f"'{place[-1]}' takes the keys {', '.join((*needed, *optional))}", place)
        return source


Rule = Callable[[_Compiler, str, Any, tuple[str | int, ...], int], Expr]


def _guarded(operands: Sequence[Expr], test: Callable[[Vars], Expr], result: Callable[[Vars], Expr]) -> Expr:
    """`result` where `test` holds of the operands, each computed once; null elsewhere."""
    names = [f"v{n}" for n in range(len(operands))]
    seen = [f"$${name}" for name in names]
    return {
        "$let": {
            "vars": dict(zip(names, operands, strict=True)),
            "in": {"$cond": [test(seen), result(seen), None]},
        }
    }


def _all(tests: list[Expr]) -> Expr:
    return tests[0] if len(tests) == 1 else {"$and": tests}


def _numbers(seen: Vars) -> list[Expr]:
    return [{"$isNumber": one} for one in seen]


def _is_text(one: str) -> Expr:
    return {"$eq": [{"$type": one}, "string"]}


def _arithmetic(least: int, most: int | None, *, divides: bool = False) -> Rule:
    def rule(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
        operands = compiler.arguments(source, place, depth, least, most)

        def test(seen: Vars) -> Expr:
            return _all([*_numbers(seen), *([{"$ne": [seen[1], 0]}] if divides else [])])

        return _guarded(operands, test, lambda seen: {name: seen})

    return rule


def _of_number(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, 1)
    # The least 64-bit integer has no absolute value.
    smallest = [{"$ne": ["$$v0", Int64(-INT64_MAX - 1)]}] if name == "$abs" else []
    return _guarded(operands, lambda seen: _all([*_numbers(seen), *smallest]), lambda seen: {name: seen[0]})


def _rounding(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    listed = source if isinstance(source, list) else [source]
    digits = listed[1] if len(listed) == 2 else 0
    if not 1 <= len(listed) <= 2 or isinstance(digits, bool) or not isinstance(digits, int) or not -18 <= digits <= 18:
        raise ComputedError(f"'{name}' takes a number and, if need be, a constant from -18 to 18", place)
    operand = compiler.value(listed[0], (*place, 0) if isinstance(source, list) else place, depth)

    def test(seen: Vars) -> Expr:
        # Near its ends a 64-bit integer can't be rounded to tens.
        bounds = [{"$lt": [seen[0], 9e18]}, {"$gt": [seen[0], -9e18]}] if digits < 0 else []
        return _all([*_numbers(seen), *bounds])

    return _guarded([operand], test, lambda seen: {name: [seen[0], digits]})


def _concat(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, None)

    def test(seen: Vars) -> Expr:
        length = {"$add": [{"$strLenBytes": one} for one in seen]}
        # `$and` stops at the first that is false: lengths are asked of texts only.
        return {"$and": [*map(_is_text, seen), {"$lte": [length, LONGEST_TEXT]}]}

    return _guarded(operands, test, lambda seen: {name: seen})


def _of_text(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, 1)
    return _guarded(operands, lambda seen: _is_text(seen[0]), lambda seen: {name: seen[0]})


def _trim(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    found = compiler.keyed(source, place, ("input",), ("chars",))
    chars = found.get("chars", " ")
    if not isinstance(chars, str) or not 0 < len(chars) <= 64 or chars.startswith("$"):
        raise ComputedError("'chars' is a constant text of 1 to 64 characters", (*place, "chars"))
    operand = compiler.value(found["input"], (*place, "input"), depth)
    more = {"chars": {"$literal": chars}} if "chars" in found else {}
    return _guarded([operand], lambda seen: _is_text(seen[0]), lambda seen: {name: {"input": seen[0], **more}})


def _cond(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    if isinstance(source, list):
        return {name: compiler.arguments(source, place, depth, 3, 3)}
    found = compiler.keyed(source, place, ("if", "then", "else"))
    return {name: [compiler.value(found[key], (*place, key), depth) for key in ("if", "then", "else")]}


def _switch(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    found = compiler.keyed(source, place, ("branches",), ("default",))
    listed = found["branches"]
    if not isinstance(listed, list) or not listed:
        raise ComputedError("'branches' is a list of {case, then}", (*place, "branches"))
    branches = []
    for n, one in enumerate(listed):
        at = (*place, "branches", n)
        branch = compiler.keyed(one, at, ("case", "then"))
        branches.append({key: compiler.value(branch[key], (*at, key), depth + 1) for key in ("case", "then")})
    return {name: {"branches": branches, "default": compiler.value(found.get("default"), (*place, "default"), depth)}}


def _plain(least: int, most: int | None) -> Rule:
    """An operator that takes any value as it is."""

    def rule(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
        return {name: compiler.arguments(source, place, depth, least, most)}

    return rule


def _accumulated(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, None)
    return {name: operands if isinstance(source, list) else operands[0]}


def _of_array(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, 1)
    return _guarded(operands, lambda seen: {"$isArray": [seen[0]]}, lambda seen: {name: seen[0]})


def _element(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    if not isinstance(source, list) or len(source) != 2 or isinstance(source[1], bool):
        raise ComputedError(f"'{name}' takes an array and a constant position", place)
    if not isinstance(source[1], int) or not -(2**31) <= source[1] < 2**31:
        raise ComputedError(f"'{name}' takes a constant position", (*place, 1))
    operand = compiler.value(source[0], (*place, 0), depth)
    return _guarded([operand], lambda seen: {"$isArray": [seen[0]]}, lambda seen: {name: [seen[0], source[1]]})


def _member(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 2, 2)
    return _guarded(operands, lambda seen: {"$isArray": [seen[1]]}, lambda seen: {name: seen})


def _is_moment(one: str) -> Expr:
    return _all([{"$eq": [{"$type": one}, "date"]}, {"$gte": [one, _FIRST_DAY]}, {"$lte": [one, _LAST_DAY]}])


def _of_date(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    operands = compiler.arguments(source, place, depth, 1, 1)
    return _guarded(operands, lambda seen: _is_moment(seen[0]), lambda seen: {name: seen[0]})


def _date_text(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    found = compiler.keyed(source, place, ("date", "format"))
    form = found["format"]
    pieces = form.replace("%%", "").split("%") if isinstance(form, str) else ["", ""]
    if not isinstance(form, str) or "$" in form or any(one[:1] not in _FORMAT_SIGNS for one in pieces[1:]):
        raise ComputedError("'format' is a constant text such as '%Y-%m-%d'", (*place, "format"))
    operand = compiler.value(found["date"], (*place, "date"), depth)
    return _guarded([operand], lambda seen: _is_moment(seen[0]), lambda seen: {name: {"date": seen[0], "format": form}})


def _literal(compiler: _Compiler, name: str, source: Any, place: tuple[str | int, ...], depth: int) -> Expr:
    if isinstance(source, Mapping | list):
        raise ComputedError("'$literal' takes a text, a number, true, false or null", place)
    return {name: source} if isinstance(source, str) else compiler.value(source, place, depth)


OPERATORS: Final[Mapping[str, Rule]] = {
    "$add": _arithmetic(1, None),
    "$subtract": _arithmetic(2, 2),
    "$multiply": _arithmetic(1, None),
    "$divide": _arithmetic(2, 2, divides=True),
    "$mod": _arithmetic(2, 2, divides=True),
    **dict.fromkeys(("$abs", "$ceil", "$floor"), _of_number),
    **dict.fromkeys(("$round", "$trunc"), _rounding),
    "$concat": _concat,
    **dict.fromkeys(("$toLower", "$toUpper", "$strLenCP"), _of_text),
    "$trim": _trim,
    "$cond": _cond,
    "$ifNull": _plain(2, None),
    "$switch": _switch,
    **dict.fromkeys(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"), _plain(2, 2)),
    **dict.fromkeys(("$and", "$or"), _plain(1, None)),
    "$not": _plain(1, 1),
    **dict.fromkeys(("$sum", "$avg", "$min", "$max"), _accumulated),
    **dict.fromkeys(("$size", "$first", "$last"), _of_array),
    "$arrayElemAt": _element,
    "$in": _member,
    **dict.fromkeys(("$year", "$month", "$dayOfMonth"), _of_date),
    "$dateToString": _date_text,
    "$literal": _literal,
}


def _shown(total: Expr) -> Expr:
    """Scalars of a bounded size; null for anything else, and in a document too large to take more."""

    def test(seen: Vars) -> Expr:
        sized = {"$in": [{"$type": seen[0]}, ["string", "binData"]]}
        short = {"$and": [sized, {"$lte": [{"$binarySize": seen[0]}, LONGEST_TEXT]}]}
        kinds = {"$in": [{"$type": seen[0]}, _SHOWN_TYPES]}
        return {"$and": [{"$lte": [{"$bsonSize": "$$ROOT"}, LARGEST_DOCUMENT]}, {"$or": [kinds, short]}]}

    return _guarded([total], test, lambda seen: seen[0])
