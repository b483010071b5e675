"""A change of one document, typed, and what it makes of a stored one. The operators mean what MongoDB's own mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, assert_never

from bson.dbref import DBRef

from permission_mongo.documents.equality import Values
from permission_mongo.documents.numbers import added, are_equal, is_below, is_number, multiplied
from permission_mongo.documents.paths import is_position
from permission_mongo.values import Document

Operator = Literal[
    "$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$pull", "$addToSet", "$rename", "$currentDate"
]
OPERATORS: Final[tuple[Operator, ...]] = (
    "$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$pull", "$addToSet", "$rename", "$currentDate",
)  # fmt: skip
_FURTHEST: Final = 1_000  # positions behind an array's end that a change may skip; they become null
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Step:
    """One operator at one dotted path. `operand` by operator: a value; the values of `$push` and `$addToSet`; the
    values of `$pull`, and in `among` whether they stood in a list; the other path of `$rename`.
    """

    operator: Operator
    path: str
    operand: Any = None
    among: bool = False

    @property
    def parts(self) -> list[str]:
        return self.path.split(".")


@dataclass(frozen=True, slots=True)
class Put:
    """Top-level fields, typed in `fields` and as they were `sent`; `replaces` makes those not sent go away."""

    fields: Mapping[str, Any]
    sent: Mapping[str, Any]
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """A JSON Merge Patch (RFC 7396), its leaves typed; None removes."""

    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Steps:
    steps: tuple[Step, ...]


Change = Put | Merge | Steps


class Unfit(Exception):
    """A step that the stored document does not bear. `code` as in the errors of a schema."""

    def __init__(self, place: str, code: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.code = code
        self.message = message


def apply_steps(stored: Document, steps: tuple[Step, ...], now: datetime) -> tuple[Document, list[Unfit]]:
    """A new document, and every step that could not be done. Fields at the top that no step names are the same."""
    tops = {part for step in steps for part in _tops(step)}
    new = {name: _copied(value) if name in tops else value for name, value in stored.items()}
    unfit: list[Unfit] = []
    for step in steps:
        try:
            _require_near(stored, step)
            _apply(new, step, now)
        except Unfit as error:
            unfit.append(error)
    return new, unfit


def merged(stored: Any, patch: Mapping[str, Any]) -> Document:
    """RFC 7396, section 2; what is no object becomes one."""
    result = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value) if isinstance(value, dict) else value
    return result


def _require_near(stored: Document, step: Step) -> None:
    """Unfit far behind the end of a stored array: so many steps, each from where the last one led, go no further."""
    if step.operator in ("$unset", "$pull"):
        return
    container: Any = stored
    for key in step.parts:
        if isinstance(container, list) and is_position(key) and int(key) >= len(container) + _FURTHEST:
            raise Unfit(step.path, "path", "the position is too far behind the end of the array")
        container = _child(container, key) if isinstance(container, dict | list) else _ABSENT


def _tops(step: Step) -> list[str]:
    return [step.parts[0], step.operand.split(".")[0]] if step.operator == "$rename" else [step.parts[0]]


def _copied(value: Any) -> Any:
    if isinstance(value, DBRef):
        value = dict(value.as_doc())
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _apply(new: Document, step: Step, now: datetime) -> None:
    match step.operator:
        case "$set":
            _made_at(new, step).put(step.operand)
        case "$currentDate":
            _made_at(new, step).put(now)
        case "$unset" | "$pull":
            _take_away(new, step)
        case "$inc" | "$mul":
            place = _made_at(new, step)
            place.put(_counted(step, place.value))
        case "$min" | "$max":
            place = _made_at(new, step)
            if place.value is _ABSENT or _goes_beyond(step, place.value):
                place.put(step.operand)
        case "$push" | "$addToSet":
            place = _made_at(new, step)
            place.put(_extended(step, place.value))
        case "$rename":
            _rename(new, step)
        case _:
            assert_never(step.operator)


@dataclass(frozen=True, slots=True)
class _Place:
    """A name in an object or a position in an array."""

    container: Any
    key: str
    path: str

    @property
    def value(self) -> Any:
        return _child(self.container, self.key)

    def put(self, value: Any) -> None:
        if isinstance(self.container, dict):
            self.container[self.key] = value
            return
        position = int(self.key)
        self.container.extend([None] * (position + 1 - len(self.container)))
        self.container[position] = value

    def remove(self) -> None:
        if isinstance(self.container, dict):
            self.container.pop(self.key, None)
        elif int(self.key) < len(self.container):
            self.container[int(self.key)] = None  # the others keep their positions


def _child(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key, _ABSENT)
    return container[int(key)] if is_position(key) and int(key) < len(container) else _ABSENT


def _made_at(new: Document, step: Step) -> _Place:
    """The step's place, with objects made on the way. Unfit where a scalar, or an array without a position, stands."""
    container: Any = new
    for key in step.parts[:-1]:
        _require_key(container, key, step)
        inner = _child(container, key)
        if inner is _ABSENT:
            inner = {}
            _Place(container, key, step.path).put(inner)
        elif not isinstance(inner, dict | list):
            raise Unfit(step.path, "path", f"'{key}' is no object, so nothing can be set below it")
        container = inner
    _require_key(container, step.parts[-1], step)
    return _Place(container, step.parts[-1], step.path)


def _require_key(container: Any, key: str, step: Step) -> None:
    if isinstance(container, list) and not is_position(key):
        raise Unfit(step.path, "path", f"'{key}' is no position in the array")


def _found_at(new: Document, path: str) -> _Place | None:
    """The place at a path; None if the way there does not exist."""
    *above, last = path.split(".")
    container: Any = new
    for key in above:
        container = _child(container, key)
        if not isinstance(container, dict | list):
            return None
    if isinstance(container, list) and not is_position(last):
        return None
    return _Place(container, last, path)


def _take_away(new: Document, step: Step) -> None:
    if step.operator == "$pull":
        _require_way(new, step)
    place = _found_at(new, step.path)
    if place is None or place.value is _ABSENT:
        return
    if step.operator == "$unset":
        place.remove()
        return
    values = place.value
    if not isinstance(values, list):
        raise Unfit(step.path, "type", "is no array")
    wanted = Values(step.operand)
    place.put([value for value in values if not _is_pulled(value, wanted, step.among)])


def _require_way(new: Document, step: Step) -> None:
    """Unfit where a scalar, or an array without a position, stands on the way; what is absent is fine."""
    container: Any = new
    for n, key in enumerate(step.parts):
        if container is _ABSENT:
            return
        if not isinstance(container, dict | list):
            raise Unfit(step.path, "path", f"'{step.parts[n - 1]}' is no object, so nothing stands below it")
        _require_key(container, key, step)
        container = _child(container, key)


def _is_pulled(value: Any, wanted: Values, among: bool) -> bool:
    # A list of values is a condition, and a condition on an array holds if it holds of one of its elements.
    inner = value if among and isinstance(value, list) else []
    return any(map(wanted.has, (value, *inner)))


def _counted(step: Step, value: Any) -> Any:
    if value is _ABSENT:
        return step.operand if step.operator == "$inc" else multiplied(0, step.operand)
    if not is_number(value):
        raise Unfit(step.path, "type", "is no number")
    try:
        result = added(value, step.operand) if step.operator == "$inc" else multiplied(value, step.operand)
        # MongoDB leaves an equal number as it is: minus zero stays.
        return value if type(result) is type(value) and are_equal(result, value) else result
    except OverflowError as error:
        raise Unfit(step.path, "overflow", "the result has more than 64 bits") from error


def _goes_beyond(step: Step, value: Any) -> bool:
    return is_below(step.operand, value) if step.operator == "$min" else is_below(value, step.operand)


def _extended(step: Step, values: Any) -> list[Any]:
    if values is _ABSENT:
        values = []
    if not isinstance(values, list):
        raise Unfit(step.path, "type", "is no array")
    if step.operator == "$push":
        return [*values, *step.operand]
    known = Values(values)
    return [*values, *(value for value in step.operand if known.add(value))]


def _rename(new: Document, step: Step) -> None:
    _require_way(new, step)
    source = _found_at(new, step.path)
    if source is None or source.value is _ABSENT:
        return
    if _meets_array(new, step.path):
        raise Unfit(step.path, "path", "an element of an array can't be renamed")
    target = Step("$set", step.operand)
    if _meets_array(new, step.operand):
        raise Unfit(step.operand, "path", "an element of an array can't be a new name")
    value = source.value
    place = _made_at(new, target)
    source.remove()
    place.put(value)


def _meets_array(new: Document, path: str) -> bool:
    container: Any = new
    for key in path.split(".")[:-1]:
        container = _child(container, key)
        if isinstance(container, list):
            return True
        if not isinstance(container, dict):
            return False
    return False
