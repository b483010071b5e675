"""A change of a document with all that it is judged by, and what comes of it. No document's id stands in it."""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bson import encode

from permission_mongo.documents.changes import Change
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import ALWAYS_SHOWN, Path, any_above, touches
from permission_mongo.errors import Forbidden
from permission_mongo.hooks import ValidateRef
from permission_mongo.policy.evaluate import verdict
from permission_mongo.policy.grants import Hiding, Lens
from permission_mongo.policy.guard import Guarded
from permission_mongo.policy.nodes import Expression
from permission_mongo.prehooks import Pre
from permission_mongo.schema.model import Collection, Ref
from permission_mongo.schema.validate import MOST_TOLD, FieldError
from permission_mongo.values import CODEC, Document, DocumentId


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference of the document `index`, at the dotted path `field`, to the document `id` of `collection`.

    `told` is what a hook says where there is no such document.
    """

    index: int
    field: str
    collection: str
    id: DocumentId
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """What is referred to in one collection; `match` are the rows that the writer may point at."""

    collection: str
    match: Guarded
    wanted: tuple[Wanted, ...]

    def of(self, indices: Several[int]) -> Reference:
        """Of these documents alone."""
        return replace(self, wanted=tuple(one for one in self.wanted if one.index in indices))


@dataclass(frozen=True, slots=True)
class Writer:
    """One update rule whole: the rows it holds on, the fields it writes, what the document must be afterwards.

    `kept` are paths out of its reach whatever `fields` says: stamped ones, and those its role is judged by.
    """

    rows: Expression
    check: Expression
    fields: FieldRules
    kept: frozenset[Path]
    _known: dict[Path, bool] = field(default_factory=dict, compare=False, repr=False)

    def writes(self, path: Path) -> bool:
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self.fields.writes(path) and not touches(path, self.kept)
        return known


@dataclass(frozen=True, slots=True)
class Named:
    """A path that a change names, `sent` as it was written; `asked` says that its value must be readable."""

    path: Path
    sent: str
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Referable:
    """The rows that a writer may point at by `ref`. `tenant_field` bounds them to the tenant of the document itself."""

    ref: Ref
    match: Guarded
    tenant_field: str | None

    def of(self, tenant: Any, wanted: tuple[Wanted, ...]) -> Reference:
        """What a document of that tenant refers to here."""
        within = self.match.further({self.tenant_field: {"$eq": tenant}}) if self.tenant_field else self.match
        return Reference(self.ref.collection, within, wanted)


@dataclass(frozen=True, slots=True)
class Again:
    """What judges old states that are stored again: the `restore` rules, each whole, and `hiding` from writers.

    They may refer to what is `referable`; `lens` shows them. The hooks `over` a live document and `anew` may refuse,
    and change nothing: what comes back went through them when it was first written.
    """

    collection: Collection
    writers: tuple[Writer, ...]
    hiding: tuple[Hiding, ...]
    referable: tuple[Referable, ...]
    lens: Lens
    max_document_bytes: int
    over: Pre | None = None
    anew: Pre | None = None

    @property
    def refs(self) -> tuple[ValidateRef, ...]:
        """What comes back must refer to what is there, whichever hooks say so."""
        every = (ref for pre in (self.over, self.anew) if pre for ref in pre.refs)
        return tuple(dict.fromkeys(every))

    def judge(self, one: DocumentId, present: Document | None, content: Document) -> None:
        """HookRejected where a hook does not let the state come back: over the present one, or as a new one."""
        pre = self.anew if present is None else self.over
        if pre:
            pre.judge(one, present, content)


def questions_of(referable: Iterable[Referable], found: Iterable[tuple[Any, Ref, Wanted]]) -> tuple[Reference, ...]:
    """What is referred to, each `found` with the tenant of its document: one entry a question to be asked."""
    wanted: dict[tuple[Ref, bytes], list[Wanted]] = {}
    tenants: dict[bytes, Any] = {}
    for tenant, ref, one in found:
        key = encode({"": tenant}, codec_options=CODEC)  # as values, 1 and true would be one tenant
        tenants[key] = tenant
        wanted.setdefault((ref, key), []).append(one)
    by_ref = {one.ref: one for one in referable}
    return tuple(by_ref[ref].of(tenants[key], tuple(asked)) for (ref, key), asked in wanted.items())


@dataclass(frozen=True, slots=True)
class Sight:
    """What the caller reads, and what no caller writes, of a document on which certain grants and hidings hold.

    `once` are the paths of fields that are set once.
    """

    rules: tuple[FieldRules, ...]
    hidden: frozenset[Path]
    unwritable: frozenset[Path]
    once: tuple[Path, ...]
    _read: dict[Path, bool] = field(default_factory=dict, compare=False, repr=False)
    _barred: dict[Path, bool] = field(default_factory=dict, compare=False, repr=False)

    def reads_raw(self, path: Path) -> bool:
        known = self._read.get(path)
        if known is None:
            readable = not touches(path, self.hidden) and any(one.reads_raw(path) for one in self.rules)
            known = self._read[path] = path in ALWAYS_SHOWN or readable
        return known

    def shows(self, path: Path) -> bool:
        """Whether something of the value is shown, raw or masked."""
        return not any_above(path, self.hidden) and any(
            one.covers(path) or one.covers_below(path) for one in self.rules
        )

    def shows_null(self, path: Path) -> bool:
        return not any_above(path, self.hidden) and any(one.covers(path) for one in self.rules)

    def masks(self, path: Path) -> bool:
        """Whether the value is shown as one mask, whatever it holds."""
        covering = [one for one in self.rules if one.covers(path)]
        return bool(covering) and all(one.mask_at(path) for one in covering)

    def bars(self, path: Path) -> bool:
        """Whether no rule may write here: hidden from writers, or set once and not theirs to compare."""
        known = self._barred.get(path)
        if known is None:
            set_once = touches(path, self.once) and not self.reads_raw(path)
            known = self._barred[path] = touches(path, self.unwritable) or set_once
        return known


# What holds on a document: grants to read, their hidings, and hidings from writers.
Holding = tuple[tuple[bool, ...], tuple[bool, ...], tuple[bool, ...]]


@dataclass(slots=True, kw_only=True)
class Revision:
    """One change, and what judges it in whatever document it is made.

    `faults` are values that could not be typed; `hiding` what no caller writes in some rows; `lens` shows the
    document before, to judge by, and after. `stamps` are typed. What the change refers to must be among `referable`.
    `sights` is shared by the revisions of one caller. `is_plain`: it sets declared scalar fields, each to a value that
    is typed and within its constraints already, and no hook is asked. Not frozen, for a batch makes
    many.
    """

    collection: Collection
    writers: tuple[Writer, ...]
    hiding: tuple[Hiding, ...]
    change: Change
    named: tuple[Named, ...]
    faults: tuple[FieldError, ...]
    stamps: Document
    lens: Lens
    now: datetime
    max_document_bytes: int
    referable: tuple[Referable, ...] = ()
    sights: dict[Holding, Sight] = field(default_factory=dict, compare=False, repr=False)
    is_plain: bool = False
    pre: Pre | None = None

    def sight(self, stored: Document) -> Sight:
        """Made once for all documents on which the same holds."""
        reading, hides = self.lens.reach.speaks_for(stored)
        barring = tuple(verdict(one.when, stored) is not False for one in self.hiding) if self.hiding else ()
        known = self.sights.get((reading, hides, barring))
        if known is None:
            known = self.sights[reading, hides, barring] = self._sight(reading, hides, barring)
        return known

    def _sight(self, reading: tuple[bool, ...], hides: tuple[bool, ...], barring: tuple[bool, ...]) -> Sight:
        reach = self.lens.reach
        rules = tuple(grant.fields for grant, holds in zip(reach.grants, reading, strict=True) if holds)
        hidden = (one.paths for one, holds in zip(reach.hiding, hides, strict=True) if holds)
        barred = (one.paths for one, holds in zip(self.hiding, barring, strict=True) if holds)
        nothing = frozenset[Path]()
        return Sight(rules, nothing.union(*hidden), nothing.union(*barred), self.collection.immutable())


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Top-level fields to write, and to take away. What is named in neither stays byte for byte.

    `size` is that of the document then, in bytes, or a little more. `blind` are places that were sent and that the
    caller does not read.
    """

    fields: Document
    gone: tuple[str, ...]
    size: int
    blind: frozenset[str] = frozenset()

    def as_update(self, marks: Document) -> Document:
        """As MongoDB is told, with the marks of the state that it makes; empty where nothing is left to write."""
        update = {"$set": {**self.fields, **marks}, "$unset": dict.fromkeys(self.gone, "")}
        return {operator: paths for operator, paths in update.items() if paths}


def unwritable(sent: Iterable[str], collection: Collection) -> Forbidden:
    """Unknown, hidden, stamped and unwritable fields are told alike, each as it was sent."""
    fields = sorted(set(sent))[:MOST_TOLD]
    return Forbidden("unknown or not permitted field", action="update", collection=collection.name, fields=fields)
