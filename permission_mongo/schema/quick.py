"""The quick reading: a document in which nothing is wrong, typed without noting places.

It never judges: whatever it is not sure of raises `Doubt`, and the careful reading (`schema.validate`) begins anew and
tells. Readers are compiled once a collection. That both readings agree is a law test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final, Protocol

from bson.decimal128 import Decimal128

from permission_mongo.documents.paths import is_position
from permission_mongo.schema.defaults import Fill, default_of
from permission_mongo.schema.formats import has_format
from permission_mongo.schema.model import Field
from permission_mongo.schema.vectors import plain_vector
from permission_mongo.values import (
    INT64_MAX,
    MAX_DEPTH,
    SCALAR_READERS,
    Document,
    decimal_of,
    exact_decimal,
    read_plain_date,
)

Read = Callable[[Any, Fill], Any]
Check = Callable[[Any], bool]
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class Doubt(Exception):
    """Not surely right: to be read carefully."""


def names_are_surely_fit(value: Any, known: frozenset[str], depth: int = 0) -> bool:
    """Whether every name is one of the schema's own or plainly fit, at a depth that can be answered."""
    if depth >= MAX_DEPTH:  # what is inside would be a level deeper
        return False
    if type(value) is list:
        for one in value:  # noqa: SIM110  (a generator costs more than the looking)
            if type(one) not in _PLAIN and not names_are_surely_fit(one, known, depth + 1):
                return False
        return True
    if type(value) is not dict:
        return False
    for name, inner in value.items():
        if name not in known and (not name.isidentifier() or is_position(name)):
            return False
        if type(inner) not in _PLAIN and not names_are_surely_fit(inner, known, depth + 1):
            return False
    return True


class ReadDocument(Protocol):
    """Reads an object by its fields. `ready` are values of it that were read before: they stand behind the others."""

    def __call__(self, value: Any, fill: Fill, ready: Document | None = None, /) -> Document: ...


def document_reader(
    fields: Mapping[str, Field], open_value: Callable[[Any], Any], *, fills: bool = True
) -> ReadDocument:
    """A reader of objects with these fields. `open_value` reads what the schema leaves open, or raises Doubt.

    It `fills` in what is absent, and doubts where it can't.
    """
    readers = {name: _reader(one, open_value) for name, one in fields.items()}
    texts = frozenset(name for name, reader in readers.items() if reader in _TEXTS)
    absent = [one for one in fields.values() if one.default is not None or (one.required and not one.auto)]
    absent = absent if fills else []

    def read(value: Any, fill: Fill, ready: Document | None = None, /) -> Document:
        found: Document = {}
        for name, inner in value.items():
            if type(inner) is str and name in texts and "\x00" not in inner:
                found[name] = inner  # what these would say, without a call
                continue
            reader = readers.get(name)
            found[name] = open_value(inner) if reader is None else reader(inner, fill)
        if ready:
            found.update(ready)
        for one in absent:
            if one.name not in found:
                if one.default is None:
                    raise Doubt
                found[one.name] = default_of(one, fill)
        return found

    return read


def plain_names(fields: Iterable[Field]) -> frozenset[str]:
    """Of the fields whose values are scalars or vectors, or arrays of some: what is read of them has no names in it."""
    return frozenset(
        one.name
        for one in fields
        if _is_plain(one) or (one.type == "array" and one.items is not None and _is_plain(one.items))
    )


def _is_plain(one: Field) -> bool:
    return one.type == "vector" or (one.type in SCALAR_READERS and one.type != "any")


def plain_reader(one: Field) -> Read | None:
    """A reader of a scalar field's value by its type and constraints; None for any other field, or one set once."""
    if one.type not in SCALAR_READERS or one.type == "any" or one.computed is not None or one.immutable:
        return None
    return _scalar_reader(one)


def _reader(one: Field, open_value: Callable[[Any], Any]) -> Read:
    if one.type == "string" and not _checks(one):
        return _required_text if one.required else _plain_text
    if one.type in SCALAR_READERS and one.type != "any":
        reader = _scalar_reader(one)
    elif one.type == "array":
        reader = _array_reader(one, open_value)
    elif one.type in ("object", "blob") and one.properties is not None:
        reader = _object_reader(one, open_value)
    elif one.type in ("object", "blob"):
        reader = _open_reader(dict, open_value)
    elif one.type == "vector":
        reader = _vector_reader(one)
    else:
        reader = _open_reader(None, open_value)
    return _required(reader) if one.required else reader


def _required_text(value: Any, fill: Fill) -> Any:
    """Most fields are texts without constraints: these are read by one call."""
    if type(value) is str and "\x00" not in value:
        return value
    raise Doubt


def _plain_text(value: Any, fill: Fill) -> Any:
    if type(value) is str and "\x00" not in value:
        return value
    if value is None:
        return None
    raise Doubt


def _required(reader: Read) -> Read:
    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            raise Doubt
        return reader(value, fill)

    return read


def _scalar_reader(one: Field) -> Read:
    typed, checks = _TYPED.get(one.type) or SCALAR_READERS[one.type], tuple(_checks(one))
    if one.type in _TYPED and not checks:
        return lambda value, fill: None if value is None else typed(value)
    if one.type == "decimal":
        typed = _decimal_reader(one)
    if one.type == "date":
        typed = _date

    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            return None
        if type(value) is dict:  # Extended JSON, perhaps
            raise Doubt
        try:
            found = typed(value)
        except ValueError as error:
            raise Doubt from error
        for check in checks:
            if not check(found):
                raise Doubt
        return found

    return read


def _open_reader(kind: type[dict[str, Any]] | None, open_value: Callable[[Any], Any]) -> Read:
    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            return None
        if kind is not None and (type(value) is not kind or any(name.startswith("$") for name in value)):
            raise Doubt
        return open_value(value)

    return read


def _array_reader(one: Field, open_value: Callable[[Any], Any]) -> Read:
    inner = None if one.items is None else _reader(one.items, open_value)
    least, most = one.min_length or 0, one.max_length

    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            return None
        if type(value) is not list or len(value) < least or (most is not None and len(value) > most):
            raise Doubt
        if inner in _TEXTS and _are_texts(value):
            return [*value]
        return [open_value(item) if inner is None else inner(item, fill) for item in value]

    return read


def _vector_reader(one: Field) -> Read:
    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            return None
        found = plain_vector(value, one.dimensions)
        if found is None:
            raise Doubt
        return found

    return read


def _object_reader(one: Field, open_value: Callable[[Any], Any]) -> Read:
    inside = document_reader(one.properties or {}, open_value)

    def read(value: Any, fill: Fill) -> Any:
        if value is None:
            return None
        if type(value) is not dict or any(name.startswith("$") for name in value):
            raise Doubt
        return inside(value, fill)

    return read


def _are_texts(values: list[Any]) -> bool:
    for one in values:  # noqa: SIM110  (a generator costs more than the looking)
        if type(one) is not str or "\x00" in one:
            return False
    return True


_TEXTS: Final[tuple[Any, ...]] = (_plain_text, _required_text)


def _date(value: Any) -> Any:
    if type(value) is datetime:  # of a stamp, and no text to be tried first
        return SCALAR_READERS["date"](value)
    try:
        return read_plain_date(value)
    except (ValueError, TypeError):
        return SCALAR_READERS["date"](value)


def _text(value: Any) -> Any:
    if type(value) is str and "\x00" not in value:
        return value
    raise Doubt


def _whole(value: Any) -> Any:
    if type(value) is int and -INT64_MAX - 1 <= value <= INT64_MAX:
        return value
    raise Doubt


def _number(value: Any) -> Any:
    if (type(value) is int and -INT64_MAX - 1 <= value <= INT64_MAX) or (type(value) is float and isfinite(value)):
        return value
    raise Doubt


def _truth(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise Doubt


_TYPED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _text,
    "integer": _whole,
    "number": _number,
    "boolean": _truth,
}


def _checks(one: Field) -> list[Check]:
    """What a value of the field's type must hold besides."""
    checks: list[Check] = []
    if (allowed := one.enum) is not None:
        checks.append(lambda value: value in allowed)
    if one.type == "string":
        checks += _checks_of_text(one)
    if one.type in ("integer", "number") and (one.min is not None or one.max is not None):
        least, most = one.min, one.max
        # Integers and floats compare exactly with each other.
        checks.append(lambda value: (least is None or value >= least) and (most is None or value <= most))
    return checks


def _checks_of_text(one: Field) -> list[Check]:
    checks: list[Check] = []
    least, most, pattern, form = one.min_length or 0, one.max_length, one.pattern, one.format
    if least or most is not None:
        checks.append(lambda value: least <= len(value) and (most is None or len(value) <= most))
    if pattern is not None:
        checks.append(lambda value: pattern.search(value) is not None)
    if form is not None:
        checks.append(lambda value: has_format(value, form))
    return checks


def _decimal_reader(one: Field) -> Callable[[Any], Decimal128]:
    """Compared before it is made: a Decimal128 takes as long to look into as to make."""
    least, most = (None if bound is None else decimal_of(bound) for bound in (one.min, one.max))

    def read(value: Any) -> Decimal128:
        number = exact_decimal(value)
        if (least is not None and number < least) or (most is not None and number > most):
            raise Doubt
        return Decimal128(number)

    return read
