"""The kinds of values that the readers' getters take (`config.section`), as JSON Schema.

A variable of the environment may stand for any of them, and a section may be left empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

Shape = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Final[Shape] = {"type": "string", "pattern": r"\$\{ENV\.[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def _described(shape: Shape, about: str, default: Any = None) -> Shape:
    return {**shape, **({"description": about} if about else {}), **({} if default is None else {"default": default})}


def _or_variable(shape: Shape) -> Shape:
    return {"anyOf": [shape, _VARIABLE]}


def text(about: str = "", default: str | None = None, *, empty: bool = False) -> Shape:
    return _described({"type": "string", **({} if empty else {"minLength": 1})}, about, default)


def boolean(about: str = "", default: bool | None = None) -> Shape:
    return _described(_or_variable({"type": "boolean"}), about, default)


def integer(about: str, default: int | None, least: int, most: int) -> Shape:
    return _described(_or_variable({"type": "integer", "minimum": least, "maximum": most}), about, default)


def number(about: str = "") -> Shape:
    return _described(_or_variable({"type": "number"}), about)


def duration(about: str, default: str | None = None) -> Shape:
    shape = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"}
    return _described(_or_variable(shape), f"{about} Such as 500ms, 30s, 5m or 1h.", default)


def rate(about: str) -> Shape:
    shape = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*/\s*(s|m|h)$"}
    return _described(_or_variable(shape), f"{about} Such as 100/s, 600/m or 1000/h.")


def size(about: str, default: str | None = None) -> Shape:
    texts = {"type": "string", "pattern": r"^[1-9]\d*\s*(B|KiB|MiB|GiB)?$"}
    return _described(
        {"anyOf": [{"type": "integer", "minimum": 1}, texts, _VARIABLE]}, f"{about} Such as 65536 or 16MiB.", default
    )


def choice(words: Iterable[str], about: str = "", default: str | None = None) -> Shape:
    return _described(_or_variable({"enum": list(words)}), about, default)


def texts(about: str = "", of: Shape | None = None) -> Shape:
    """A list of texts, or a single one."""
    one = of or {"type": "string", "minLength": 1}
    return _described({"anyOf": [one, {"type": "array", "items": one}]}, about)


def section(about: str, keys: Mapping[str, Shape], **more: Any) -> Shape:
    """Keys and values, these keys alone."""
    shape = {"type": ["object", "null"], "properties": dict(keys), "additionalProperties": False, **more}
    return _described(shape, about)


def entries(about: str, one: Shape, **more: Any) -> Shape:
    """Keys of the writer's choice, each with a value of one kind."""
    return _described({"type": ["object", "null"], "additionalProperties": one, **more}, about)


def ignored(about: str) -> Shape:
    """A key of the Go gateway that does nothing here."""
    return {"description": f"Taken and ignored: {about}.", "deprecated": True}


def whole(title: str, keys: Mapping[str, Shape], defs: Mapping[str, Shape] | None = None) -> Shape:
    """The schema of a file."""
    shape = {"$schema": DIALECT, "title": title, **section("", keys)}
    return {**shape, "$defs": dict(defs)} if defs else shape
