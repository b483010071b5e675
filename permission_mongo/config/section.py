"""Typed reading of one mapping: each getter notes its key, each mistake its place, and what is left over is unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from permission_mongo.config.yaml import Map, Mark, Node, Scalar, Sequence
from permission_mongo.errors import Finding

T = TypeVar("T")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)")
_MOST_OFTEN: Final = 1_000_000.0
_SIZE: Final = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
# Words of old YAML, which are texts here.
_TRUTHS: Final = {"no": "false", "off": "false", "false": "false", "yes": "true", "on": "true", "true": "true"}
_BYTES: Final = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def suggestion(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


class Section:
    """One mapping of a configuration file. `done()` reports the keys nobody asked for."""

    def __init__(self, node: Map, findings: list[Finding], name: str = "") -> None:
        self.node = node
        self.findings = findings
        self.name = name
        self._known: list[str] = []

    # -- what is wrong

    def wrong(self, key: str, message: str, *, warning: bool = False, code: str = "invalid") -> None:
        self.findings.append(self.mark(key).finding(message, warning=warning, code=code))

    def mark(self, key: str) -> Mark:
        """The place of the key's value, else of the key, else of the section."""
        value = self.node.entries.get(key)
        return value.mark if value is not None else self.node.keys.get(key, self.node.mark)

    def _path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def done(self, also: Iterable[str] = ()) -> None:
        known = list(dict.fromkeys([*self._known, *also]))
        for key, mark in self.node.keys.items():
            if key not in known:
                known_ones = suggestion(key, known) or f"; known here: {', '.join(known)}"
                self.findings.append(mark.finding(f"unknown key '{key}'{known_ones}", code="unknown-key"))

    def unavailable(self, *keys: str) -> None:
        """Keys of the configuration language whose feature is not in this version: refused, never ignored."""
        for key in keys:
            self._known.append(key)
            if key in self.node.entries:
                message = f"'{self._path(key)}' is not available in this version; remove it"
                self.findings.append(self.node.keys[key].finding(message, code="not-available"))

    def _mistyped(self, node: Node, key: str, expected: str) -> None:
        self.findings.append(node.mark.finding(f"'{self._path(key)}' expects {expected}", code="wrong-type"))

    # -- getters

    def has(self, key: str) -> bool:
        return key in self.node.entries

    def raw(self, key: str) -> Node | None:
        self._known.append(key)
        node = self.node.entries.get(key)
        return None if isinstance(node, Scalar) and node.lacking else node

    def _scalar(self, key: str, default: T, expected: str, accept: Callable[[Any], T | None]) -> T:
        node = self.raw(key)
        if node is None:
            return default
        value = accept(node.value) if isinstance(node, Scalar) else None
        if value is None:
            self._mistyped(node, key, expected)
            return default
        return value

    def text(self, key: str, default: str = "") -> str:
        return self._scalar(key, default, "text", lambda v: v if isinstance(v, str) and "\x00" not in v else None)

    def optional_text(self, key: str) -> str | None:
        return self._scalar(key, None, "text", lambda v: v if isinstance(v, str) and v else None)

    def name_or_null(self, key: str, default: str | None) -> str | None:
        """A name; an explicit null is None and an absent key the default."""
        node = self.raw(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return default if node is None else None
        return self.optional_text(key)

    def boolean(self, key: str, default: bool) -> bool:
        node = self.node.entries.get(key)
        meant = _TRUTHS.get(str(node.value).lower()) if isinstance(node, Scalar) else None
        expected = "true or false" + (f"; did you mean '{meant}'?" if meant else "")
        return self._scalar(key, default, expected, lambda v: v if isinstance(v, bool) else None)

    def integer(self, key: str, default: int, least: int = 0, most: int = 2**31) -> int:
        return self._scalar(key, default, f"a whole number from {least} to {most}", lambda v: _within(v, least, most))

    def optional_integer(self, key: str, least: int = 0, most: int = 2**53) -> int | None:
        return self._scalar(key, None, f"a whole number from {least} to {most}", lambda v: _within(v, least, most))

    def optional_number(self, key: str) -> int | float | None:
        return self._scalar(
            key, None, "a number", lambda v: v if isinstance(v, int | float) and not isinstance(v, bool) else None
        )

    def seconds(self, key: str, default: float) -> float:
        return self._scalar(key, default, "a duration such as 500ms, 30s, 5m or 1h", read_duration)

    def optional_seconds(self, key: str) -> float | None:
        return self._scalar(key, None, "a duration such as 500ms, 30s, 5m or 1h", read_duration)

    def optional_rate(self, key: str) -> float | None:
        return self._scalar(key, None, "a rate such as 100/s, 600/m or 1000/h, at most 1000000/s", read_rate)

    def bytes(self, key: str, default: int) -> int:
        return self._scalar(key, default, "a size such as 65536, 512KiB or 16MiB", _size)

    def choice(self, key: str, default: str, allowed: Iterable[str]) -> str:
        choices = list(allowed)
        node = self.raw(key)
        if node is None:
            return default
        if isinstance(node, Scalar) and node.value in choices:
            return str(node.value)
        given = str(node.value) if isinstance(node, Scalar) else ""
        message = f"'{self._path(key)}' is one of {', '.join(choices)}{suggestion(given, choices)}"
        self.findings.append(node.mark.finding(message, code="not-one-of"))
        return default

    def texts(self, key: str) -> list[tuple[str, Mark]]:
        """A list of texts with their places; a single text counts as a list of one."""
        node = self.raw(key)
        if node is None:
            return []
        found: list[tuple[str, Mark]] = []
        for item in node.items if isinstance(node, Sequence) else (node,):
            if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
                found.append((item.value, item.mark))
            else:
                self._mistyped(item, key, "a list of texts")
        return found

    def section(self, key: str) -> Section:
        """A mapping below this one; an absent one is empty."""
        node = self.raw(key)
        if isinstance(node, Map):
            return Section(node, self.findings, self._path(key))
        if node is not None and not (isinstance(node, Scalar) and node.value is None):
            self._mistyped(node, key, "keys and values")
        return Section(Map({}, {}, self.mark(key)), self.findings, self._path(key))

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Every entry as a mapping of its own, by name."""
        for key in self.node.entries:
            yield key, self.section(key)

    def list_of_sections(self, key: str) -> list[Section]:
        node = self.raw(key)
        if node is None:
            return []
        found: list[Section] = []
        for n, item in enumerate(node.items if isinstance(node, Sequence) else (node,)):
            if isinstance(item, Map):
                found.append(Section(item, self.findings, f"{self._path(key)}[{n}]"))
            else:
                self._mistyped(item, key, "a list of keys and values")
        return found


def _within(value: Any, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def read_duration(value: Any) -> float | None:
    """Seconds in a text such as 500ms, 30s, 5m, 1h or 30d; None if it is none."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _SECONDS[found[2]] if found else None


def read_rate(value: Any) -> float | None:
    """How many a second a text such as 100/s, 600/m or 1000/h says; None if it is none."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    rate = float(found[1]) / _SECONDS[found[2]] if found else 0.0
    return rate if 0.0 < rate <= _MOST_OFTEN else None


def _size(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value > 0 else None
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) * _BYTES[found[2]] if found else None


def plain(node: Node) -> Any:
    """A node as plain Python values, places dropped."""
    match node:
        case Scalar(value):
            return value
        case Sequence(items):
            return [plain(item) for item in items]
        case Map(entries):
            return {key: plain(value) for key, value in entries.items()}
