"""A change as sent -> a change of BSON values, by the schema; and the paths that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from permission_mongo.documents.changes import Change, Merge, Put, Step, Steps
from permission_mongo.documents.paths import Path, canonical, is_position
from permission_mongo.schema.model import Collection, Field
from permission_mongo.schema.validate import FieldError, read_value, unfit_names, unknown_paths
from permission_mongo.values import is_extended, read_scalar

_NUMERIC: Final = ("number", "integer", "decimal")


def is_object(one: Field | None) -> bool:
    """Whether a value is judged by its leaves: declared as an object, or open below one."""
    return one is None or one.type == "object"


def below(one: Field | None, name: str) -> Field | None:
    return one.properties.get(name) if one is not None and one.properties is not None else None


def leaves(value: Any, one: Field | None, path: Path) -> Iterator[Path]:
    """The paths of an object's leaves. An array and a field of type `any` are one leaf, and so is an empty object."""
    cut = not isinstance(value, dict) or not value or is_extended(value) or not is_object(one)
    # Below a name that looks like a position no rule tells of a field: the whole is what is written.
    if cut or any(canonical(name) != (name,) for name in value):
        yield path
        return
    for name, inner in value.items():
        yield from leaves(inner, below(one, name), (*path, name))


def sent_paths(change: Change, collection: Collection) -> Iterator[tuple[Path, str, bool]]:
    """Each path that is named, as rules read it and as it was sent, and whether its value is asked about."""
    match change:
        case Put(_, sent) | Merge(sent):
            for name, value in sent.items():
                if name != "_id":
                    found = leaves(value, top_field(collection, name), (name,))
                    yield from ((path, ".".join(path), False) for path in found)
        case Steps(steps):
            for step in steps:
                yield from _of_step(step, collection)
        case _:
            assert_never(change)


def top_field(collection: Collection, name: str) -> Field | None:
    """The field of that name; what is not declared is open, and one leaf."""
    return collection.fields.get(name, Field(name, "any"))


def _of_step(step: Step, collection: Collection) -> Iterator[tuple[Path, str, bool]]:
    # What becomes of a position tells whether there is an array, and how long it is.
    asked = step.operator not in ("$set", "$unset") or any(map(is_position, step.parts))
    path = canonical(step.path)
    if step.operator == "$set" and isinstance(step.operand, dict):
        one = _field_at(step.path, collection)
        for leaf in leaves(step.operand, one if one is not None else Field(step.path, "any"), ()):
            yield (*path, *leaf), ".".join((step.path, *leaf)), asked
        return
    yield path, step.path, asked
    if step.operator == "$rename":
        yield canonical(step.operand), step.operand, asked


def _field_at(path: str, collection: Collection) -> Field | None:
    try:
        return collection.at(path.split("."))
    except ValueError:
        return None


def unknown_in(change: Change, collection: Collection) -> Iterator[str]:
    """What the schema does not know, as it was sent, inside arrays as well."""
    match change:
        case Put(_, sent) | Merge(sent):
            document = {name: value for name, value in sent.items() if name not in ("_id", "_version")}
            yield from (".".join(path) for path in unknown_paths(document, collection))
        case Steps(steps):
            for step in steps:
                yield from (path for path in _paths_of(step) if not collection.knows(path))
                for value in _values_of(step):
                    yield from _unknown_inside(value, step, collection)


def _unknown_inside(value: Any, step: Step, collection: Collection) -> Iterator[str]:
    path = canonical(step.path)
    one = collection.declared(path)
    if one is None or one.properties is None:
        return
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, dict) and not is_extended(inner):
            yield from (".".join(unknown) for unknown in unknown_paths(inner, collection, path))


def _paths_of(step: Step) -> tuple[str, ...]:
    return (step.path, step.operand) if step.operator == "$rename" else (step.path,)


def _values_of(step: Step) -> tuple[Any, ...]:
    match step.operator:
        case "$set":
            return (step.operand,)
        case "$push" | "$addToSet" | "$pull":
            return tuple(step.operand)
        case _:
            return ()


def unfit_in(change: Change, collection: Collection) -> list[FieldError]:
    """Names inside the values that can't be stored."""
    match change:
        case Put(_, sent) | Merge(sent):
            return unfit_names(sent, collection)
        case Steps(steps):
            values = ((step.path, value) for step in steps for value in _values_of(step))
            return [error for path, value in values for error in unfit_names(value, collection, path)]


# -- typing


def typed_change(change: Change, collection: Collection) -> tuple[Change, tuple[FieldError, ...]]:
    """The change with BSON values, and the values of no fitting type. ValueError names a position that is none."""
    reader = _Typing(collection)
    match change:
        case Put(_, sent, replaces):
            fields = {name: reader.value(value, collection.fields.get(name), name) for name, value in sent.items()}
            return Put(fields, sent, replaces), tuple(reader.faults)
        case Merge(patch):
            return Merge(reader.patch(patch, collection.fields, "")), tuple(reader.faults)
        case Steps(steps):
            return Steps(tuple(reader.step(step) for step in steps)), tuple(reader.faults)


@dataclass(slots=True)
class _Typing:
    collection: Collection
    faults: list[FieldError] = field(default_factory=list)

    def value(self, value: Any, one: Field | None, place: str) -> Any:
        read, errors = read_value(value, one, self.collection, place)
        self.faults += errors
        return read

    def patch(self, patch: Mapping[str, Any], fields: Mapping[str, Field], prefix: str) -> dict[str, Any]:
        typed: dict[str, Any] = {}
        for name, value in patch.items():
            one, place = fields.get(name), f"{prefix}{name}"
            is_open = one is None or one.type in ("object", "any")
            if value is None:
                typed[name] = None
            elif isinstance(value, dict) and not is_extended(value) and is_open:
                inner = one.properties if one is not None and one.properties is not None else {}
                typed[name] = self.patch(value, inner, f"{place}.")
            else:
                typed[name] = self.value(value, one, place)
        return typed

    def step(self, step: Step) -> Step:
        one = self.collection.at(step.parts)
        match step.operator:
            case "$set":
                return replace(step, operand=self.value(step.operand, one, step.path))
            case "$inc" | "$mul":
                return replace(step, operand=self.number(step, one))
            case "$min" | "$max":
                if step.operand is None:
                    self.wrong(step, "expected a value")
                return replace(step, operand=self.value(step.operand, one, step.path))
            case "$push" | "$addToSet" | "$pull":
                return replace(step, operand=self.elements(step, one))
            case "$currentDate":
                if one is not None and one.type not in ("date", "any"):
                    self.wrong(step, "is no date")
                return step
            case _:
                return step

    def wrong(self, step: Step, message: str) -> None:
        self.faults.append(FieldError(step.path, "type", message))

    def number(self, step: Step, one: Field | None) -> Any:
        kind = "number" if one is None or one.type == "any" else one.type
        if kind not in _NUMERIC:
            self.wrong(step, "is no number")
            return 0
        try:
            return read_scalar(kind, step.operand)
        except ValueError as error:
            self.wrong(step, f"expected {error}")
            return 0

    def elements(self, step: Step, one: Field | None) -> tuple[Any, ...]:
        if one is not None and one.type not in ("array", "any"):
            self.wrong(step, "is no array")
            return ()
        items = None if one is None else one.items
        return tuple(self.value(value, items, step.path) for value in step.operand)
