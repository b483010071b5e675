"""YAML text -> a tree that remembers places. Safe types only, duplicate keys and exploding aliases refused.

Plain scalars are typed as YAML 1.2 does it: `no`, `on` and `1:30` are text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from permission_mongo.errors import Finding

MAX_BYTES: Final = 4 * 2**20
MAX_NODES: Final = 200_000
MAX_NESTING: Final = 40
_TOO_DEEP: Final = "too large once its aliases are followed, or nested too deep"
_VARIABLE: Final = re.compile(r"\$\{ENV\.([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, counted from 1."""

    file: str
    line: int
    column: int

    def finding(self, message: str, *, warning: bool = False, code: str = "invalid") -> Finding:
        return Finding(self.file, self.line, self.column, message, warning, code)


@dataclass(frozen=True, slots=True)
class Scalar:
    value: Any
    mark: Mark
    style: str | None = None  # None for plain, else ' " | >
    lacking: bool = False  # a variable of it is not in the environment, which has been told

    def at(self, offset: int) -> Mark:
        """The place of a sign of the text; of a folded text the place where it begins."""
        mark, text = self.mark, str(self.value)
        if self.style == "|":
            return Mark(mark.file, mark.line + 1 + text[:offset].count("\n"), 1)
        if self.style == ">" or "\n" in text:
            return mark
        return Mark(mark.file, mark.line, mark.column + offset + (1 if self.style in ("'", '"') else 0))


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Map:
    """Entries by key; `keys` keeps the place of each key."""

    entries: Mapping[str, Node]
    keys: Mapping[str, Mark]
    mark: Mark


Node = Scalar | Sequence | Map
_PLAIN_COLLECTIONS: Final = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class _Loader(yaml.CSafeLoader):
    """By libyaml, which every wheel of PyYAML holds: a tenth of the time of the loader in Python."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


class _Reader:
    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._environment = environment
        self._count = 0

    def require_shallow(self, text: str) -> None:
        """_Refused for nesting that libyaml, which makes its tree by recursion in C, could not bear."""
        depth = 0
        for event in yaml.parse(text, _Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_NESTING:
                raise _Refused(self._mark(event.start_mark).finding(_TOO_DEEP, code="not-yaml"))

    def convert(self, node: yaml.Node, depth: int = 0) -> Node:
        self._count += 1
        mark = self._mark(node.start_mark)
        if self._count > MAX_NODES or depth > MAX_NESTING:
            raise _Refused(mark.finding(_TOO_DEEP, code="not-yaml"))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_COLLECTIONS:
            self.findings.append(mark.finding(f"the tag '{node.tag}' is not taken here", code="not-yaml"))
        if isinstance(node, yaml.MappingNode):
            return self._map(node, mark, depth)
        if isinstance(node, yaml.SequenceNode):
            return Sequence(tuple(self.convert(item, depth + 1) for item in node.value), mark)
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101  (YAML has no fourth kind of node)
        before = len(self.findings)
        value = self._value(node, mark)
        lacking = any(one.code == "missing-variable" for one in self.findings[before:])
        return Scalar(value, mark, node.style or None, lacking)

    def _map(self, node: yaml.MappingNode, mark: Mark, depth: int) -> Map:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            key_mark = self._mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.findings.append(key_mark.finding("a key must be text", code="not-yaml"))
                continue
            key = str(key_node.value)
            if key in entries:
                message = f"'{key}' stands here twice; first at line {keys[key].line}"
                self.findings.append(key_mark.finding(message, code="duplicate-key"))
                continue
            keys[key] = key_mark
            entries[key] = self.convert(value_node, depth + 1)
        return Map(entries, keys, mark)

    def _value(self, node: yaml.ScalarNode, mark: Mark) -> Any:
        text = _VARIABLE.sub(lambda found: self._variable(found, mark), node.value)
        tag = node.tag
        if text != node.value and not node.style:
            tag = _Loader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        match tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "bool":
                return text == "true"
            case "null":
                return None
            case "int":
                return int(text)
            case "float":
                return float(text)
            case other:
                self.findings.append(mark.finding(f"the tag '{other}' is not taken here", code="not-yaml"))
                return None

    def _variable(self, found: re.Match[str], mark: Mark) -> str:
        name, default = str(found[1]), found[2]
        if name not in self._environment and not isinstance(default, str):
            message = f"the environment has no {name}; set it, or write ${{ENV.{name}:-default}}"
            self.findings.append(mark.finding(message, code="missing-variable"))
        return self._environment.get(name, default or "")

    def broken(self, error: yaml.MarkedYAMLError) -> Finding:
        """What is no YAML, where that was seen, and where what is being read began."""
        mark = self._mark(error.problem_mark) if error.problem_mark else Mark(self._file, 1, 1)
        began = error.context_mark
        inside = f" ({error.context} that begins at line {began.line + 1})" if error.context and began else ""
        return mark.finding(f"not YAML: {error.problem or error.context}{inside}", code="not-yaml")

    def _mark(self, mark: Any) -> Mark:
        return Mark(self._file, mark.line + 1, mark.column + 1)


class _Refused(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def read_yaml(text: str, file: str, environment: Mapping[str, str] | None = None) -> tuple[Map, list[Finding]]:
    """The tree of one file and what is wrong with it as YAML. An empty or broken file is an empty tree."""
    reader = _Reader(file, os.environ if environment is None else environment)
    empty = Map({}, {}, Mark(file, 1, 1))
    if len(text.encode()) > MAX_BYTES:
        return empty, [Finding(file, 0, 0, f"larger than {MAX_BYTES} bytes", code="file")]
    try:
        reader.require_shallow(text)
        node = yaml.compose(text, _Loader)
        root = empty if node is None else reader.convert(node)
    except yaml.MarkedYAMLError as error:
        return empty, [*reader.findings, reader.broken(error)]
    except yaml.YAMLError as error:
        return empty, [*reader.findings, Finding(file, 0, 0, f"not YAML: {error}", code="not-yaml")]
    except _Refused as refused:
        return empty, [*reader.findings, refused.finding]
    if not isinstance(root, Map):
        message = 'expected keys and values, such as `version: "1.0"`'
        return empty, [*reader.findings, root.mark.finding(message, code="wrong-type")]
    return root, reader.findings
