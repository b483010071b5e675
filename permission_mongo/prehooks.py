"""The hooks before a write, bound to who asks: what they make of a document, or a refusal. Pure.

What only the outside can tell, a number of a sequence or the answer of a receiver, is handed in; where it is wanting,
`Wanting` says what is to be fetched, and the write is planned again with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, assert_never

from bson import encode

from permission_mongo.documents.differences import ABSENT
from permission_mongo.documents.parts import value_at
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.errors import Conflict, HookRejected
from permission_mongo.hooks import NEW, OLD, Call, Drawn, Given, SetField, Step, Transform, Validate, ValidateRef
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.nodes import ALWAYS, Expression, Path
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, read_value, unfit_names
from permission_mongo.schema.wording import reworded
from permission_mongo.values import CODEC, Document, date_text

CHANGED: Final = "the document was changed while its hooks were asked; try again"
Outside = Mapping[int, Any]  # by the position of the hook: a number, or an Answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: a refusal's message, or what is to be set."""

    refused: str | None = None
    sets: tuple[tuple[FieldPath, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be fetched for the hook at this position: a number, or a receiver's answer on this document."""

    position: int
    step: SetField | Call
    old: Document | None
    new: Document | None

    @property
    def sequence(self) -> str | None:
        value = self.step.value if isinstance(self.step, SetField) else None
        return value.sequence if isinstance(value, Drawn) else None


class Wanting(Conflict):
    """The outside has not been asked of this document: once it is, the write is planned again.

    As a refusal it tells of a document that came, or became another one, after the outside was asked.
    """

    def __init__(self, wish: Wish) -> None:
        super().__init__(CHANGED)
        self.wish = wish


@dataclass(frozen=True, slots=True)
class Asked:
    """What the outside said of one document, and the mark of its content then."""

    mark: bytes
    outside: Outside


def mark_of(document: Document | None) -> bytes:
    return b"" if document is None else sha256(encode(document, codec_options=CODEC)).digest()


@dataclass(slots=True)
class Hooked:
    """A document as the hooks leave it, the paths they wrote, and the values that could not be typed."""

    document: Document
    touched: set[FieldPath] = field(default_factory=set)
    faults: list[FieldError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pre:
    """The hooks before one kind of write, bound to a caller. `rehearses`: nothing outside is asked.

    `asked` has what the outside said, by the id of the document, of a new one by its place among those sent.
    """

    collection: Collection
    steps: tuple[Step, ...] = ()
    rehearses: bool = False
    asked: Mapping[Any, Asked] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def refs(self) -> tuple[ValidateRef, ...]:
        return tuple(step for step in self.steps if isinstance(step, ValidateRef))

    @property
    def written(self) -> frozenset[FieldPath]:
        """The paths that may be written; what receivers set is not known beforehand."""
        return frozenset(step.field for step in self.steps if isinstance(step, SetField | Transform))

    @property
    def may_be_set(self) -> bool:
        """Whether a receiver may set what is not known beforehand."""
        return any(isinstance(step, Call) for step in self.steps)

    @property
    def asks_outside(self) -> bool:
        return not self.rehearses and any(isinstance(step, Call) for step in self.steps)

    def over(self, key: Any, old: Document | None, new: Document) -> Hooked:
        """The new document as the hooks leave it, each seeing what those before it did.

        HookRejected where one of them says no; Wanting where the outside is to be asked first.
        """
        hooked, outside = Hooked(new), self._outside(key, old)
        for position, step in enumerate(self.steps):
            self._take(position, step, old, hooked, outside)
        return hooked

    def foreseen(self, old: Document | None, new: Document) -> Document:
        """The new document with what this gateway itself writes, before anything may say no or is asked of it.

        A number that is yet to be drawn is 1.
        """
        writing = tuple(step for step in self.steps if isinstance(step, SetField | Transform))
        return replace(self, steps=writing, rehearses=True, asked={}).over(None, old, new).document

    def judge(self, key: Any, old: Document | None, new: Document | None) -> None:
        """What only may refuse: for a deletion, and for a state that comes back as it was. HookRejected, Wanting."""
        outside = self._outside(key, old)
        for position, step in enumerate(self.steps):
            match step:
                case Validate():
                    _validate(step, old, new)
                case Call():
                    answer = self._answer(position, step, old, new, outside)
                    if answer is not None and answer.sets:
                        raise HookRejected("a hook wants to change what is not its to change", hook=step.receiver.name)
                case SetField() | Transform() | ValidateRef():
                    pass
                case _:
                    assert_never(step)

    def _outside(self, key: Any, old: Document | None) -> Outside:
        """Conflict where the document is no longer the one that the outside was asked of."""
        known = self.asked.get(key)
        if known is None:
            return {}
        if known.mark != mark_of(old):
            raise Conflict(CHANGED)
        return known.outside

    def _take(self, position: int, step: Step, old: Document | None, hooked: Hooked, outside: Outside) -> None:
        match step:
            case SetField():
                if _is_true(step.condition, old, hooked.document):
                    value = self._value(position, step, old, hooked.document, outside)
                    _write(hooked, step.field, value, self.collection)
            case Transform():
                if _is_true(step.condition, old, hooked.document):
                    _transform(hooked, step, self.collection)
            case Validate():
                _validate(step, old, hooked.document)
            case Call():
                answer = self._answer(position, step, old, hooked.document, outside)
                for path, value in answer.sets if answer is not None else ():
                    _write(hooked, path, value, self.collection)
            case ValidateRef():
                pass  # asked in the transaction, where the other documents are
            case _:
                assert_never(step)

    def _value(self, position: int, step: SetField, old: Document | None, new: Document, outside: Outside) -> Any:
        match step.value:
            case Given(value):
                return value
            case Path(segments=segments):
                return value_at({OLD: old, NEW: new}, list(segments))
            case Drawn():
                if self.rehearses:
                    return 1
                if position not in outside:
                    raise Wanting(Wish(position, step, old, new))
                return outside[position]
            case _:
                assert_never(step.value)

    def _answer(
        self, position: int, step: Call, old: Document | None, new: Document | None, outside: Outside
    ) -> Answer | None:
        """None where it is not asked."""
        if self.rehearses or not _is_true(step.condition, old, new):
            return None
        if position not in outside:
            raise Wanting(Wish(position, step, old, new))
        answer: Answer = outside[position]
        if answer.refused is not None:
            raise HookRejected(answer.refused, hook=step.receiver.name)
        return answer


def bound(steps: tuple[Step, ...], bindings: Bindings) -> tuple[Step, ...]:
    """The hooks with nothing open but the documents."""
    return tuple(_bound(step, bindings) for step in steps)


def _bound(step: Step, bindings: Bindings) -> Step:
    match step:
        case SetField(value=Path() as path):
            given: Given | Path = path if path.root == "resource" else Given(bindings.lookup(path))
            return replace(step, value=given, condition=bind(step.condition, bindings))
        case SetField() | Transform() | Validate() | Call():
            return replace(step, condition=bind(step.condition, bindings))
        case ValidateRef():
            return step
        case _:
            assert_never(step)


def _is_true(condition: Expression, old: Document | None, new: Document | None) -> bool:
    return condition == ALWAYS or holds(condition, {OLD: old or {}, NEW: new or {}})


def _validate(step: Validate, old: Document | None, new: Document | None) -> None:
    if not _is_true(step.condition, old, new):
        raise HookRejected(step.message)


# -- writing


def _write(hooked: Hooked, path: FieldPath, value: Any, collection: Collection) -> None:
    """The value as the field's type. What a hook copies from a place where nothing is leaves the field as it is."""
    if value is ABSENT:
        return
    place = ".".join(path)
    one = collection.at(path)
    if isinstance(value, datetime) and one is not None and one.type == "string":
        value = date_text(value)
    typed, errors = read_value(value, one, collection, place)
    # A name that no caller may store would be out of reach of every path, or be read as an operator.
    errors = [*errors, *unfit_names(value, collection, place)]
    if errors:
        hooked.faults += errors
        return
    written = _with(hooked.document, path, typed)
    if written is None:
        hooked.faults.append(FieldError(place, "type", "stands below what is no object"))
        return
    hooked.document = written
    hooked.touched.add(path)


def _with(document: Document, path: FieldPath, value: Any) -> Document | None:
    """A new document with the value there; None where something else than an object is on the way."""
    name, *below = path
    if not below:
        return {**document, name: value}
    inner = document.get(name)
    if inner is not None and not isinstance(inner, dict):
        return None
    changed = _with(inner or {}, tuple(below), value)
    return None if changed is None else {**document, name: changed}


def _transform(hooked: Hooked, step: Transform, collection: Collection) -> None:
    old = value_at(hooked.document, list(step.field))
    new = reworded(old, step.how)
    if new is not old and new != old:
        _write(hooked, step.field, new, collection)


# -- references


def references_of_hooks(
    document: Mapping[str, Any], refs: tuple[ValidateRef, ...]
) -> Iterator[tuple[str, ValidateRef, Any]]:
    """What stands at the fields of the hooks: each reference with its dotted place. A null refers to nothing."""
    for ref in refs:
        found = value_at(dict(document), list(ref.field))
        place = ".".join(ref.field)
        if isinstance(found, list):
            yield from ((f"{place}.{n}", ref, one) for n, one in enumerate(found) if one is not None)
        elif found is not ABSENT and found is not None:
            yield place, ref, found
