"""A stored document and a revision -> what is to be written, or a refusal. Pure.

One rule must do it all: its rows hold on the stored document, its fields cover every path that is touched, and its
check holds on the new one. Whatever the change says, the paths in which both documents differ are judged as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from permission_mongo.documents.changes import Merge, Put, Step, Steps, Unfit, apply_steps
from permission_mongo.documents.differences import ABSENT, are_alike, are_same, differing_paths, values_at
from permission_mongo.documents.numbers import are_equal
from permission_mongo.documents.parts import (
    gone_from,
    is_plain,
    is_within,
    merged_into,
    only,
    value_at,
    without,
)
from permission_mongo.documents.paths import (
    ID,
    MADE,
    VERSION,
    Path,
    Touching,
    asked_path,
    canonical,
    is_position,
)
from permission_mongo.documents.sizes import encoded
from permission_mongo.errors import Forbidden, HookRejected, Refusal
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.prehooks import Pre
from permission_mongo.quick_rewrites import Unsure, rewrite_quickly
from permission_mongo.revisions import Revision, Rewrite, Sight, Writer, unwritable
from permission_mongo.schema.changes import below, is_object, leaves
from permission_mongo.schema.model import Collection, Field
from permission_mongo.schema.validate import FieldError, as_violation, broken_constraints
from permission_mongo.values import Document, read_json, write_json

_MARKS: Final = frozenset({*ID, *VERSION, MADE})


def rewrite(revision: Revision, stored: Document, before: int | None = None) -> Rewrite | None:
    """What to write; None where the change changes nothing. A Refusal where no rule of the caller's does it all.

    `stored` has `before` bytes, where they were counted.
    """
    writers = [writer for writer in revision.writers if holds(writer.rows, stored)]
    if not writers:
        raise _forbidden(revision, "no rule of your roles allows changing this document")
    sight = revision.sight(stored)
    try:
        return rewrite_quickly(revision, writers[0], sight, stored, before)
    except Unsure:
        return _rewrite_carefully(revision, writers, _Row(revision, stored, sight))


def writable_in(revision: Revision, stored: Document, paths: Iterable[Path]) -> frozenset[Path]:
    """Those of the paths that one of the revision's rules lets be written in this document."""
    sight = revision.sight(stored)
    writers = [writer for writer in revision.writers if holds(writer.rows, stored)]
    return frozenset(path for path in paths if any(_may_write(writer, sight, path) for writer in writers))


def require_writable(revision: Revision, stored: Document) -> None:
    """A Refusal where no rule lets all that is named be written in this document, whatever its values will be."""
    writers = [writer for writer in revision.writers if holds(writer.rows, stored)]
    if not writers:
        raise _forbidden(revision, "no rule of your roles allows changing this document")
    sight = revision.sight(stored)
    if not any(all(_may_write(writer, sight, one.path) for one in revision.named) for writer in writers):
        raise unwritable((one.sent.partition(".")[0] for one in revision.named), revision.collection)


def _may_write(writer: Writer, sight: Sight, path: Path) -> bool:
    return writer.writes(path) and not sight.bars(path)


def _rewrite_carefully(revision: Revision, writers: list[Writer], row: _Row) -> Rewrite | None:
    row.require_asked()
    row.open_ways()
    first: Refusal | None = None
    for writer in writers:
        try:
            return _Attempt(revision, row, writer).outcome()
        except _Uncovered as refusal:
            first = first or refusal.refusal
    raise first or _forbidden(revision, "no rule of your roles allows changing this document")


class _Uncovered(Exception):
    """This rule does not do it; another one may."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


@dataclass(slots=True)
class _Row:
    """One stored document, and what the caller reads and no caller writes of it."""

    revision: Revision
    stored: Document
    sight: Sight

    def open_ways(self) -> None:
        """A null that is not shown, above a path of the change, counts as absent: a refusal below it would tell."""
        for one in self.revision.named:
            for n in range(1, len(one.path)):
                above = one.path[:n]
                if value_at(self.stored, list(above)) is None and not self.sight.shows_null(above):
                    self.stored = gone_from(self.stored, above)

    def require_asked(self) -> None:
        """An operator that asks about a value is for those who read it, in this row."""
        refused = [
            one.sent for one in self.revision.named if one.asked and not self.sight.reads_raw(asked_path(one.sent))
        ]
        if refused:
            raise unwritable(refused, self.revision.collection)


@dataclass(slots=True)
class _Attempt:
    """One rule trying to do it all. `touched` are the paths it writes, each as it was sent."""

    revision: Revision
    row: _Row
    writer: Writer
    touched: dict[Path, str] = field(default_factory=dict)
    faults: list[FieldError] = field(default_factory=list)
    unchanged: set[str] = field(default_factory=set)  # places of sent values that are the stored ones
    obstructed: set[Path] = field(default_factory=set)  # by what the caller is not shown, and so not told

    def outcome(self) -> Rewrite | None:
        stored = self.row.stored
        self.faults = list(self.revision.faults)
        new = self._changed()
        names = set(_changed_names(stored, new))
        differing = set(differing_paths(only(stored, names), only(new, names), ()))
        self._require_covered(differing)
        # To write what the caller can't read always counts as a change: else an equal guess would tell.
        blind = self.obstructed | {path for path in self.touched if not self.row.sight.reads_raw(path)}
        if not names and not blind and not self.faults:
            return None
        new, hooked = self._hooked(new)
        names |= {path[0] for path in (*blind, *hooked)}
        self._require_valid(new, names, {*differing, *self.touched, *hooked})
        final = {**new, **self.revision.stamps}
        if not holds(self.writer.check, final):
            raise _Uncovered(_forbidden(self.revision, "no rule of your roles allows the document as it would be"))
        size = len(encoded(final, self.revision.max_document_bytes))
        names |= self.revision.stamps.keys()
        written = {name: final[name] for name in sorted(names) if name in final}
        gone = tuple(sorted(name for name in names if name not in final))
        return Rewrite(written, gone, size, self._blind_places())

    def _hooked(self, new: Document) -> tuple[Document, set[Path]]:
        """The new document as the hooks leave it, and what they wrote: that is not judged by `fields`.

        Asked once the caller may do what it asks for, of a change whose values are of their types.
        """
        pre = self.revision.pre
        if not pre or self.faults:
            return new, set()
        self._require_foreseen(pre, new)
        try:
            hooked = pre.over(self.row.stored.get("_id"), self.row.stored, new)
        except HookRejected as refusal:
            raise _Uncovered(refusal) from refusal
        self.faults += hooked.faults
        return hooked.document, hooked.touched

    def _require_foreseen(self, pre: Pre, new: Document) -> None:
        """What the check does not take is refused before a hook is asked of it: its words are for who may write."""
        found = verdict(self.writer.check, {**pre.foreseen(self.row.stored, new), **self.revision.stamps})
        if found is False or (found is None and not pre.may_be_set):
            raise _Uncovered(_forbidden(self.revision, "no rule of your roles allows the document as it would be"))

    def _blind_places(self) -> frozenset[str]:
        sent = [(one.sent, one.path) for one in self.revision.named]
        if isinstance(self.revision.change, Put):
            sent = [(place, path) for path, place in self.touched.items()]
        return frozenset(place for place, path in sent if path in self.obstructed or not self.row.sight.reads_raw(path))

    # -- the new document

    def _changed(self) -> Document:
        change = self.revision.change
        match change:
            case Put():
                return self._put(change)
            case Merge(patch):
                self._touch_named()
                return {**without(self.row.stored, patch), **merged_into(self.row.stored, patch)}
            case Steps(steps):
                self._touch_named()
                whole = tuple(self._whole(step) for step in steps)
                self.faults += self._taken_away(steps)
                new, unfit = apply_steps(self.row.stored, whole, self.revision.now)
                told = {fault.field for fault in self.faults}
                self.obstructed = {canonical(one.place) for one in unfit if not self._may_be_told(one)}
                shown = [one for one in unfit if one.place not in told and canonical(one.place) not in self.obstructed]
                self.faults += [FieldError(one.place, one.code, one.message) for one in shown]
                return new
            case _:
                assert_never(change)

    def _may_be_told(self, unfit: Unfit) -> bool:
        """Whether the caller is shown what stands in the way of a step. Else the step does nothing and counts as a
        change, as it would where nothing stood there: a refusal would tell of the shape of what is hidden.
        """
        path = canonical(unfit.place)
        if unfit.code == "path":
            return all(self.row.sight.shows_null(path[:n]) for n in range(1, len(path)))
        return self.row.sight.reads_raw(path)

    def _taken_away(self, steps: Iterable[Step]) -> Iterator[FieldError]:
        """What is needed and not read: a refusal where it is, and none where it is not, would tell which."""
        for step in steps:
            one = self.revision.collection.at(step.parts)
            needed = step.operator == "$unset" and one is not None and one.required
            if needed and not self.row.sight.reads_raw(canonical(step.path)):
                yield FieldError(step.path, "required", "is required")

    def _touch_named(self) -> None:
        self.touched = {one.path: one.sent for one in self.revision.named}

    def _put(self, change: Put) -> Document:
        stored, new = self.row.stored, dict(self.row.stored)
        for name, typed in change.fields.items():
            one = self.revision.collection.fields.get(name, Field(name, "any"))
            new[name] = self._over(stored.get(name, ABSENT), _Sent(typed, change.sent[name], name), one, (name,))
        self.faults = [fault for fault in self.faults if not is_within(fault.field or "", self.unchanged)]
        if change.replaces:
            for name in [name for name in stored if name not in change.fields and name not in _MARKS]:
                kept = self._kept(stored[name], self.revision.collection.fields.get(name, Field(name, "any")), (name,))
                if kept is ABSENT:
                    del new[name]
                else:
                    new[name] = kept
        return new

    def _over(self, old: Any, sent: _Sent, one: Field | None, path: Path) -> Any:
        """A sent value in the place of a stored one; of an object, what the rule can't write is carried over."""
        typed = sent.typed
        if isinstance(old, dict) and isinstance(typed, dict) and typed and is_object(one) and is_plain(typed):
            result: Document = {}
            for name, inner in old.items():
                if name in typed:
                    result[name] = self._over(inner, sent.below(name), below(one, name), (*path, name))
                elif (kept := self._kept(inner, below(one, name), (*path, name))) is not ABSENT:
                    result[name] = kept
            for name in typed:
                if name not in old:
                    result[name] = self._over(ABSENT, sent.below(name), below(one, name), (*path, name))
            return result
        if old is not ABSENT and self.row.sight.reads_raw(canonical(".".join(path))) and sent.equals(old):
            self.unchanged.add(sent.place)
            return old
        for leaf in leaves(typed, one, path):
            self.touched[leaf] = ".".join(leaf)
        return typed

    def _kept(self, old: Any, one: Field | None, path: Path) -> Any:
        """What stays of a stored value that was not sent: what this rule can't write, or the caller is not shown."""
        plain = canonical(".".join(path))
        if isinstance(old, dict) and is_object(one) and is_plain(old) and not self.row.sight.masks(plain):
            inner = {name: self._kept(value, below(one, name), (*path, name)) for name, value in old.items()}
            inner = {name: value for name, value in inner.items() if value is not ABSENT}
            # Where something below may be hidden, an object that goes with its last field would tell that none was.
            return ABSENT if not inner and self.row.sight.reads_raw(plain) and (old or self._may(plain)) else inner
        return ABSENT if self._may(plain) and self.row.sight.shows(plain) else old

    def _whole(self, step: Step) -> Step:
        """An object that is set keeps what the rule can't write of the one it replaces."""
        if step.operator != "$set" or not isinstance(step.operand, dict):
            return step
        one = self.revision.collection.at(step.parts)
        old = value_at(self.row.stored, step.parts)
        if one is None or not isinstance(old, dict) or not is_object(one):
            return step
        operand = _Attempt(self.revision, self.row, self.writer)._over(
            old, _Sent(step.operand, _NEVER_EQUAL, step.path), one, canonical(step.path)
        )
        return replace(step, operand=operand)

    # -- what the rule must cover

    def _may(self, path: Path) -> bool:
        return _may_write(self.writer, self.row.sight, path)

    def _require_covered(self, differing: Iterable[Path]) -> None:
        refused = [sent for path, sent in self.touched.items() if not self._may(path)]
        beside = [path for path in differing if not self._may(path)]
        if refused or beside:
            raise _Uncovered(unwritable([*refused, *self._as_sent(beside)], self.revision.collection))

    def _as_sent(self, paths: Iterable[Path]) -> Iterator[str]:
        """Of each path what was sent there, above it or below it."""
        sent = dict(self.touched)
        for named, place in self.touched.items():
            for n in range(1, len(named)):
                sent.setdefault(named[:n], place)
        for path in paths:
            above = (path[:n] for n in range(len(path), 0, -1))
            yield next((sent[one] for one in above if one in sent), path[0])

    def _require_valid(self, new: Document, names: set[str], touched: Iterable[Path]) -> None:
        """Every error in what is touched at once; those in what the caller can't read are one, without a place."""
        within = Touching(touched)
        broken = broken_constraints(new, sorted(names), self.revision.collection)
        untyped = {fault.field for fault in self.faults}
        broken = [error for error in broken if error.field not in untyped and _path_of(error) in within]
        errors = [*self.faults, *broken, *_set_twice(self.row.stored, new, names, self.revision.collection)]
        told = [error for error in errors if self.row.sight.reads_raw(_path_of(error))]
        if len(told) < len(errors):
            told.append(FieldError(None, "hidden", "a field that you can't read breaks the schema"))
        if told:
            raise as_violation(told)


# -- equal values

_NEVER_EQUAL: Final = object()


@dataclass(frozen=True, slots=True)
class _Sent:
    """A value typed and as it was sent, and its place."""

    typed: Any
    raw: Any
    place: str

    def below(self, name: str) -> _Sent:
        raw = self.raw[name] if isinstance(self.raw, dict) else self.raw
        return _Sent(self.typed[name], raw, f"{self.place}.{name}")

    def equals(self, old: Any) -> bool:
        """Equal to the stored value as answers show it, or once it is read by its type."""
        if self.raw is _NEVER_EQUAL:
            return False
        return are_alike(self.raw, read_json(write_json(old))) or are_same(self.typed, old)


def _changed_names(stored: Document, new: Document) -> Iterator[str]:
    for name in {**stored, **new}:
        one, other = stored.get(name, ABSENT), new.get(name, ABSENT)
        if one is not other and not are_same(one, other):
            yield name


def _set_twice(stored: Document, new: Document, names: set[str], collection: Collection) -> Iterator[FieldError]:
    """Fields that may be set once and were: in objects by their path, in arrays by their position, vectors whole."""
    for path in collection.immutable():
        if path[0] not in names:
            continue
        after = dict(values_at(new, path, ""))
        places = [
            place
            for place, value in values_at(stored, path, "")
            if value is not None and not (place in after and are_equal(value, after[place]))
        ]
        if collection.is_vector(".".join(path)):
            places = [*dict.fromkeys(map(_without_position, places))]
        yield from (FieldError(place, "immutable", "can't be changed once it is set") for place in places)


def _without_position(place: str) -> str:
    above, _, last = place.rpartition(".")
    return above if is_position(last) else place


def _path_of(error: FieldError) -> Path:
    return canonical(error.field or "")


def _forbidden(revision: Revision, message: str) -> Forbidden:
    return Forbidden(message, action="update", collection=revision.collection.name)
