"""What a name means at one point of a pipeline: a stored field, a field of joined rows, or what the pipeline made.

Only what is noted here is handed to the caller's stages: a reference overlooked leaks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from permission_mongo.documents.paths import ID, Path, any_above, is_position, touches
from permission_mongo.errors import InvalidRequest
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection

MOST_WEIGHT: Final = 20_000


@dataclass(slots=True)
class Joining:
    """A `$lookup` while its pipeline is read: `used` grows with every path that is named below its rows."""

    collection: Collection
    local: str
    foreign: str
    name: str
    used: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Asked:
    """What a pipeline has named and used so far. `fault` is its first wrong value, told after the paths are checked."""

    limits: Limits
    paths: set[str] = field(default_factory=set)
    fault: str | None = None
    clauses: int = 0
    stages: int = 0
    weight: int = 0

    def clause(self, place: str, more: int = 1) -> None:
        self.clauses += more
        if self.clauses > self.limits.max_filter_clauses:
            raise InvalidRequest(f"{place}: more than {self.limits.max_filter_clauses} conditions and operators")

    def stage(self, more: int) -> None:
        self.stages += more
        most = self.limits.max_aggregation_stages
        if self.stages > most:
            raise InvalidRequest(f"pipeline: more than {most} stages, nested ones counted", max_aggregation_stages=most)

    def weigh(self, place: str, more: int) -> None:
        """Count what one computed field holds. A field that doubles with each stage would soon outgrow any server."""
        self.weight += more
        if self.weight > MOST_WEIGHT:
            raise InvalidRequest(f"{place}: holds copies of copies; at most {MOST_WEIGHT} of the stored fields")

    def depth(self, place: str, depth: int) -> None:
        if depth > self.limits.max_filter_depth:
            raise InvalidRequest(f"{place}: nested deeper than {self.limits.max_filter_depth}")

    def items(self, place: str, count: int, weight: int = 1) -> None:
        self.weigh(place, count * weight)
        if count > self.limits.max_in_values:
            raise InvalidRequest(f"{place}: more than {self.limits.max_in_values} values")


_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scope:
    """`stored` are the stored paths that a projection left, None before any; `made` hides what is stored behind it.

    What is made has a weight: of how many stored fields it is made.
    """

    collection: Collection
    stored: frozenset[Path] | None = None
    made: Mapping[Path, int] = field(default_factory=lambda: _NONE)
    joined: Mapping[str, Joining] = field(default_factory=lambda: _NONE)

    @property
    def any_pattern(self) -> bool:
        return self.collection.any_pattern

    def note(self, dotted: str, asked: Asked) -> None:
        """Note what the path refers to beyond what the pipeline made itself."""
        path = _path(dotted)
        if any_above(path, self.made):
            return
        joining = self.joined.get(path[0])
        if joining is None:
            if self._is_stored(path):
                asked.paths.add(dotted)
        elif below := _below(path):
            joining.used.add(below)

    def weight_of(self, dotted: str) -> int:
        path = _path(dotted)
        return sum(weight for made, weight in self.made.items() if touches(path, (made,))) or 1

    def kind_of(self, dotted: str) -> str | None:
        """The declared scalar type at the path; None for what the pipeline made."""
        path = _path(dotted)
        if any_above(path, self.made):
            return None
        joining = self.joined.get(path[0])
        if joining is not None:
            return joining.collection.kind_of(_below(path)) if _below(path) else None
        return self.collection.kind_of(dotted) if self._is_stored(path) else None

    def is_vector(self, dotted: str) -> bool:
        """Whether it is a stored vector, here or of joined rows."""
        path = _path(dotted)
        if any_above(path, self.made):
            return False
        joining = self.joined.get(path[0])
        if joining is not None:
            return bool(_below(path)) and joining.collection.is_vector(_below(path))
        return self._is_stored(path) and self.collection.is_vector(dotted)

    def _is_stored(self, path: Path) -> bool:
        return self.stored is None or any_above(path, self.stored)

    def keeping(self, names: Iterable[str], *, with_id: bool) -> Scope:
        """After a projection that includes these names."""
        kept = frozenset(_path(name) for name in names) | ({ID} if with_id else frozenset())
        stored = kept
        if self.stored is not None:
            within = {path for path in kept if any_above(path, self.stored)}
            stored = frozenset(within | {path for path in self.stored if any_above(path, kept)})
        made = {path: weight for path, weight in self.made.items() if touches(path, kept)}
        heads = {path[0] for path in kept}
        joined = {name: one for name, one in self.joined.items() if name in heads}
        return Scope(self.collection, stored, made, joined)

    def making(self, weights: Mapping[str, int]) -> Scope:
        """After these names were made, over what they meant before."""
        made = {_path(name): weight for name, weight in weights.items()}
        joined = {name: one for name, one in self.joined.items() if (name,) not in made}
        left = {path: weight for path, weight in self.made.items() if not any_above(path, made)}
        return replace(self, made={**left, **made}, joined=joined)

    def joining(self, one: Joining) -> Scope:
        made = {path: weight for path, weight in self.made.items() if path[0] != one.name}
        return replace(self, made=made, joined={**self.joined, one.name: one})

    def only(self, weights: Mapping[str, int]) -> Scope:
        """After a stage that makes all anew: nothing but these names exists."""
        return Scope(self.collection, frozenset(), {(name,): weight for name, weight in weights.items()})


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _below(path: Path) -> str:
    """The path within joined rows, a position among them left out; empty for the rows whole."""
    rest = path[1:]
    while rest and is_position(rest[0]):
        rest = rest[1:]
    return ".".join(rest)
