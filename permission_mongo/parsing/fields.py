"""Typed reading of one JSON object: wrong types and unknown keys are told with what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from permission_mongo.errors import InvalidRequest
from permission_mongo.values import read_json

LONGEST_REASON = 1000
MOST_VALUES = 100_000
MOST_FIELDS = 200


def is_empty(body: bytes) -> bool:
    """Whether nothing but white space was sent, as JSON knows it (RFC 8259, section 2)."""
    return not body.strip(b" \t\r\n")


def read_body(body: bytes) -> Mapping[str, Any]:
    """A JSON object. InvalidRequest says where it is none."""
    if is_empty(body):
        raise InvalidRequest("the body is empty; expected a JSON object")
    try:
        found = read_json(body)
    except ValueError as error:
        raise InvalidRequest(f"the body is {error}") from error
    if not isinstance(found, dict):
        raise InvalidRequest("the body must be a JSON object")
    if body.count(b",") >= MOST_VALUES and _values_in(found) > MOST_VALUES:
        raise InvalidRequest(f"the body holds more than {MOST_VALUES} values")
    return found


def _values_in(found: Any) -> int:
    """How many values there are, counted no further than needed. Each costs time that other callers wait for."""
    waiting, count = [found], 0
    while waiting and count <= MOST_VALUES:
        inner = waiting.pop()
        values = inner.values() if isinstance(inner, dict) else inner
        count += len(values)
        waiting += [value for value in values if isinstance(value, dict | list)]
    return count


@contextmanager
def placed(place: str) -> Iterator[None]:
    """What is refused inside is told with its place."""
    try:
        yield
    except InvalidRequest as error:
        raise at(place, error) from error


def at(place: str, error: InvalidRequest) -> InvalidRequest:
    """The same refusal with its place."""
    return InvalidRequest(f"{place}: {error.message}", **error.details)


def require_known(found: Iterable[str], known: Iterable[str], what: str = "key") -> None:
    """InvalidRequest for the first that is not known, with the nearest that is."""
    names = list(known)
    for key in found:
        if key not in names:
            near = get_close_matches(key, names, 1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(names)}"
            raise InvalidRequest(f"unknown {what} '{key[:100]}'{hint}")


def boolean(found: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = found.get(key, default)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key}: expected true or false")
    return value


def whole_number(found: Mapping[str, Any], key: str, least: int, most: int) -> int | None:
    value = found.get(key)
    if value is None and key not in found:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or not least <= value <= most:
        raise InvalidRequest(f"{key}: expected a whole number from {least} to {most}")
    return int(value)  # 5.0 is 5, as in documents


def names_in(value: Any, place: str) -> list[Any]:
    """A list of names, or the same as one text with commas."""
    if isinstance(value, str):
        return [*value.split(",")]
    if not isinstance(value, list):
        raise InvalidRequest(f"{place}: expected a list of fields, or a text such as 'status,address.city'")
    return value


def fields_of(names: list[Any], place: str) -> tuple[str, ...]:
    """Names to show, and nothing else: no expression, no alias."""
    if not 0 < len(names) <= MOST_FIELDS:
        raise InvalidRequest(f"{place}: expected 1 to {MOST_FIELDS} fields")
    for n, name in enumerate(names):
        if not isinstance(name, str) or not name or "$" in name or "\x00" in name or "" in name.split("."):
            raise InvalidRequest(f"{place}[{n}]: expected a field such as 'status' or 'address.city'")
    return tuple(names)


def reason_of(value: Any, place: str) -> str | None:
    """Why a write is made, as history keeps it."""
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_REASON or "\x00" in value:
        raise InvalidRequest(f"{place}: expected a text of 1 to {LONGEST_REASON} characters")
    return value


def items_of(found: Mapping[str, Any], key: str, most: int) -> list[Any]:
    """A list of 1 to `most` items."""
    value = found.get(key)
    if not isinstance(value, list):
        raise InvalidRequest(f"{key}: expected a list")
    if not value:
        raise InvalidRequest(f"{key}: expected at least one")
    if len(value) > most:
        raise InvalidRequest(f"{key}: at most {most} in one batch", max_batch_size=most, requested=len(value))
    return value
