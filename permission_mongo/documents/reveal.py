"""A stored document as one caller may see it. Every answer that shows a document goes through here.

A field is raw in a row if some grant that holds there gives it raw, else masked if some gives it masked, else absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final, Literal

from permission_mongo.documents.fields import FieldRules, MaskKind
from permission_mongo.documents.masks import REDACTED, masked, text_mask
from permission_mongo.documents.paths import ALWAYS_SHOWN, MADE, Path, any_above, any_below, is_position
from permission_mongo.values import Document

_MOST_REMEMBERED: Final = 1_000  # shapes
_LONGEST: Final = 10_000  # characters of a shape that is remembered


class _Show(IntEnum):
    """From most to least shown."""

    RAW = 1
    INSIDE = 2
    MASKED = 3
    HIDDEN = 4


_MASKED: Final = (_Show.MASKED, _Show.MASKED)
_SETTLED: Final = ((_Show.RAW, _Show.RAW), (_Show.HIDDEN, _Show.HIDDEN), _MASKED)


@dataclass(frozen=True, slots=True)
class _Decision:
    leaf: _Show
    container: _Show
    mask: MaskKind


@dataclass(frozen=True, slots=True)
class _Shape:
    """What to do with an object of these names, in this order: what goes, what is masked whole, and what is looked
    at. The rest stays.
    """

    hidden: tuple[str, ...]
    masked: tuple[tuple[str, Callable[[str], str], _Decision], ...]
    judged: tuple[tuple[str, Path, _Decision], ...]


_BARE: Final = _Shape((), (), ())


@dataclass(frozen=True, slots=True)
class View:
    """What the grants that hold on a row show of it together: their `rules`, without the `hidden` paths.

    Documents of one collection have few shapes, so what was decided is remembered by shape.
    """

    rules: tuple[FieldRules, ...]
    hidden: frozenset[Path] = frozenset()
    mask_key: bytes = b""
    _shapes: dict[tuple[Path, tuple[str, ...]], _Shape] = field(default_factory=dict, compare=False, repr=False)

    _shows_all: bool = field(default=False, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shows_all", not self.hidden and any(rules.shows_all for rules in self.rules))

    def raw(self) -> View:
        """The same without what is masked: what remains may be compared, for a masked value tells of itself there."""
        rules = (replace(one, deny=one.deny | {path for path, _ in one.mask}, mask=()) for one in self.rules)
        return View(tuple(rules), self.hidden, self.mask_key)

    def shown_at(self, path: Path) -> Literal["raw", "hidden"] | MaskKind:
        """How a single value at the path is shown: as it is, not at all, or by a mask. An object's parts may differ."""
        decided = self._decided(path)
        match decided.leaf:
            case _Show.RAW:
                return "raw"
            case _Show.MASKED:
                return decided.mask
            case _:
                return "hidden"

    def reveal(self, stored: Document) -> Document:
        """A new document with what is shown; `_made` never is. The stored one stays as it was."""
        if self._shows_all:
            shown = stored.copy()
            shown.pop(MADE, None)
            return shown
        return self._object(stored, ())

    def reveal_all(self, stored: Iterable[Document]) -> list[Document]:
        """Each as `reveal` shows it. Neighbours mostly have one shape."""
        if self._shows_all:
            return [self.reveal(document) for document in stored]
        shown: list[Document] = []
        names: tuple[str, ...] = ()
        shape = _BARE
        for document in stored:
            own = tuple(document)
            if own != names:
                names, shape = own, self._shape((), own)
            # What `_shaped` does, without a call for each row where its shape settles it.
            if shape.judged:
                shown.append(self._shaped(document, shape))
                continue
            one = document.copy()
            for name in shape.hidden:
                del one[name]
            for name, mask, decision in shape.masked:
                inner = one[name]
                one[name] = mask(inner) if type(inner) is str else self._value(inner, (), decision)
            shown.append(one)
        return shown

    def reveal_own(self, rows: list[Document]) -> list[Document]:
        """The same of rows that nobody else holds: where all have the same names, they themselves are what is shown.

        What goes and what is masked is told name by name then, and not row by row.
        """
        shape = self._shape((), tuple(rows[0])) if rows else _BARE
        if shape.judged or not _are_alike(rows):
            return self.reveal_all(rows)
        for name in shape.hidden:
            for row in rows:
                del row[name]
        for name, mask, decision in shape.masked:
            for row in rows:
                inner = row[name]
                row[name] = mask(inner) if type(inner) is str else self._value(inner, (), decision)
        return rows

    def _object(self, value: Document, prefix: Path) -> Document:
        return self._shaped(value, self._shape(prefix, tuple(value)))

    def _shape(self, prefix: Path, names: tuple[str, ...]) -> _Shape:
        return self._shapes.get((prefix, names)) or self._learn(prefix, names)

    def _shaped(self, value: Document, shape: _Shape) -> Document:
        shown = value.copy()
        for name in shape.hidden:
            del shown[name]
        for name, mask, decision in shape.masked:
            inner = value[name]
            shown[name] = mask(inner) if type(inner) is str else self._value(inner, (), decision)
        for name, path, decision in shape.judged:
            inner = value[name]
            seen = self._value(inner, path, decision)
            if seen is _NOTHING:
                del shown[name]
            else:
                shown[name] = seen
        return shown

    def _value(self, value: Any, path: Path, decision: _Decision) -> Any:
        is_container = isinstance(value, dict | list)
        show = decision.container if is_container else decision.leaf
        if show is _Show.RAW:
            return value
        if show is _Show.HIDDEN:
            return _NOTHING
        if show is _Show.MASKED:
            return REDACTED if isinstance(value, dict) else masked(value, decision.mask, self.mask_key)
        inside = self._object(value, path) if isinstance(value, dict) else self._elements(value, path, decision)
        # An emptied container would tell that there was something.
        return inside if inside or decision.leaf is not _Show.HIDDEN else _NOTHING

    def _elements(self, values: list[Any], path: Path, decision: _Decision) -> list[Any]:
        return [seen for value in values if (seen := self._value(value, path, decision)) is not _NOTHING]

    def _learn(self, prefix: Path, names: tuple[str, ...]) -> _Shape:
        decided = [(name, *self._of_name(prefix, name)) for name in names]
        told = [(name, path, one, (one.leaf, one.container)) for name, path, one in decided]
        shape = _Shape(
            tuple(name for name, _, _, shows in told if shows == (_Show.HIDDEN, _Show.HIDDEN)),
            tuple((name, text_mask(one.mask, self.mask_key), one) for name, _, one, shows in told if shows == _MASKED),
            tuple((name, path, one) for name, path, one, shows in told if shows not in _SETTLED),
        )
        if sum(map(len, names)) <= _LONGEST:
            if len(self._shapes) >= _MOST_REMEMBERED:
                self._shapes.clear()
            self._shapes[prefix, names] = shape
        return shape

    def _of_name(self, prefix: Path, name: str) -> tuple[Path, _Decision]:
        # A stored name with dots is judged as the path it reads like.
        path = (*prefix, *name.split("."))
        plain = tuple(part for part in path if not is_position(part))
        # A name that looks like a position is no array's: it must be allowed as it is, and is denied as either.
        return path, self._decided(path) if plain == path else self._stricter(path, plain)

    def _stricter(self, path: Path, plain: Path) -> _Decision:
        one, other = self._decided(path), self._decided(plain)
        leaf, container = max(one.leaf, other.leaf), max(one.container, other.container)
        return _Decision(leaf, container, one.mask if one.leaf is _Show.MASKED else other.mask)

    def _decided(self, path: Path) -> _Decision:
        if path in ALWAYS_SHOWN:
            return _Decision(_Show.RAW, _Show.RAW, "redact")
        if path[:1] == (MADE,) or any_above(path, self.hidden):
            return _Decision(_Show.HIDDEN, _Show.HIDDEN, "redact")
        leaves, containers, masks = set(), set(), []
        for rules in self.rules:
            if not rules.covers(path):
                containers.add(_Show.INSIDE if rules.covers_below(path) else _Show.HIDDEN)
            elif kind := rules.mask_at(path):
                leaves.add(_Show.MASKED)
                containers.add(_Show.MASKED)
                masks.append(kind)
            else:
                leaves.add(_Show.RAW)
                containers.add(_Show.INSIDE if rules.is_cut_below(path) else _Show.RAW)
        if any_below(path, self.hidden) and _Show.RAW in containers:
            containers = (containers - {_Show.RAW}) | {_Show.INSIDE}
        return _Decision(_most(leaves), _most(containers), masks[0] if masks else "redact")


_NOTHING: Final = object()


def _are_alike(rows: Sequence[Document]) -> bool:
    """Whether all have the names of the first one; in which order does not matter, for each is judged by itself."""
    names = frozenset(rows[0]) if rows else frozenset[str]()
    return all(map(names.issuperset, rows)) and {*map(len, rows)} <= {len(names)}


def _most(shows: set[_Show]) -> _Show:
    return min(shows, default=_Show.HIDDEN)
