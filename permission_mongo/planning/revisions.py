"""Changes with all that judges them. What policy text alone decides is refused here, before any query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from permission_mongo.documents.changes import Change, Merge, Put
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import ID, MADE, VERSION, Path, canonical, touches
from permission_mongo.errors import InvalidRequest
from permission_mongo.planning.callers import Access, Asking, Callers, require_paths
from permission_mongo.planning.hooks import pre_hooks
from permission_mongo.planning.references import referable_from
from permission_mongo.planning.stamps import update_stamps
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.prehooks import Pre
from permission_mongo.query.filters import Query
from permission_mongo.revisions import Again, Holding, Named, Referable, Revision, Sight, Writer, unwritable
from permission_mongo.schema.changes import sent_paths, typed_change, unfit_in, unknown_in
from permission_mongo.schema.defaults import Fill
from permission_mongo.schema.model import OF_BLOBS, Collection
from permission_mongo.schema.quick import Doubt, Read, plain_reader
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.values import Document


@dataclass(frozen=True, slots=True)
class Reviser:
    """One caller changing documents of one collection: all that does not depend on the change, made once.

    `_known` remembers of each path whether it may be written at all, `_plain` of each name how it is read quickly.
    """

    collection: Collection
    asking: Asking
    callers: Callers
    updating: Access
    reading: Access
    fill: Fill
    stamps: Document
    writers: tuple[Writer, ...]
    referable: tuple[Referable, ...]
    sights: dict[Holding, Sight]
    pre: Pre
    _hidden: tuple[frozenset[Path], ...]
    _known: dict[tuple[Path, bool], bool] = field(default_factory=dict)
    _plain: dict[str, tuple[Read, Named] | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        collection: Collection,
        asking: Asking,
        callers: Callers,
        new_uuid: Callable[[], UUID],
        *,
        rehearses: bool = False,
        blob: str | None = None,
    ) -> Reviser:
        """Forbidden where no rule of the caller's roles has both `update` and `read` here.

        `blob` is the one that is put or removed: of every other write blobs are out of reach.
        """
        updating = callers.access(asking, collection, "update")
        reading = callers.access(asking, collection, "read")
        stamps = update_stamps(collection, asking, updating.reach, new_uuid)
        free = frozenset({blob} & collection.blobs)
        guarded = (collection.stamped - free) | collection.placing
        always = frozenset(stamps) | (collection.blobs - free)
        writers = tuple(_writers(collection, asking, callers, updating.reach, guarded, always))
        referable = referable_from(collection, asking, callers)
        hidden = tuple(rule.hidden for rule in updating.speaking.hides if rule.when == ALWAYS)
        fill = Fill(asking.now, asking.principal.subject, new_uuid)
        pre = pre_hooks(collection, "update", asking, callers, rehearses=rehearses)
        return cls(collection, asking, callers, updating, reading, fill, stamps, writers, referable, {}, pre, hidden)

    def revision(self, change: Change) -> Revision:
        """`change` names no id. A Refusal where no rule could allow it in any document, or no schema."""
        return self._plain_revision(change) or self._revision(change)

    def idle(self) -> Revision:
        """Of no change: what judges any."""
        return self._made(Merge({}), (), (), is_plain=False)

    def _plain_revision(self, change: Change) -> Revision | None:
        """Of a merge patch that sets declared scalar fields; None where one look does not tell that it is fine."""
        if not isinstance(change, Merge) or not change.patch:
            return None
        typed: Document = {}
        named: list[Named] = []
        for name, value in change.patch.items():
            known = self._plain[name] if name in self._plain else self._learnt(name)
            if known is None or value is None:
                return None
            try:
                typed[name] = known[0](value, self.fill)
            except (Doubt, ValueError):
                return None
            named.append(known[1])
        return self._made(Merge(typed), tuple(named), (), is_plain=True)

    def _learnt(self, name: str) -> tuple[Read, Named] | None:
        one = self.collection.fields.get(name)
        reader = None if one is None or canonical(name) != (name,) else plain_reader(one)
        fine = reader is not None and self._may((name,), False)
        found = self._plain[name] = (reader, Named((name,), name)) if reader is not None and fine else None
        return found

    def _revision(self, change: Change) -> Revision:
        collection = self.collection
        wrong_names = unfit_in(change, collection)
        if wrong_names:
            raise as_violation(wrong_names)
        named = tuple(Named(path, sent, asked) for path, sent, asked in sent_paths(change, collection))
        self._require_writable(change, named)
        typed, faults = _typed(change, collection)
        return self._made(typed, named, faults, is_plain=False)

    def _made(
        self, change: Change, named: tuple[Named, ...], faults: tuple[FieldError, ...], *, is_plain: bool
    ) -> Revision:
        return Revision(
            collection=self.collection,
            writers=self.writers,
            hiding=self.updating.reach.hiding,
            change=change,
            named=named,
            faults=faults,
            stamps=self.stamps,
            lens=self.reading.lens,
            now=self.asking.now,
            max_document_bytes=self.callers.config.limits.max_document_bytes,
            referable=self.referable,
            sights=self.sights,
            is_plain=is_plain and not self.pre,
            pre=self.pre,
        )

    def _require_writable(self, change: Change, named: tuple[Named, ...]) -> None:
        """Unknown, hidden, stamped and unwritable fields are told alike, before any value is looked at."""
        puts = isinstance(change, Put)
        refused = {*unknown_in(change, self.collection), *(one.sent for one in named if not self._may(one.path, puts))}
        if refused:
            raise unwritable(refused, self.collection)
        asked = frozenset(one.sent for one in named if one.asked)
        if asked:
            require_paths(self.reading, self.collection, "update", Query(paths=asked))

    def require_blob(self, name: str) -> None:
        """Forbidden for a field that is no blob, or not the caller's to write whole: told like an unknown one."""
        paths = [(name,), *((name, part) for part in OF_BLOBS)]
        if name not in self.collection.blobs or not all(self._may(path, False) for path in paths):
            raise unwritable({name}, self.collection)

    def may_write(self, path: Path) -> bool:
        """Whether some rule may write there, in some document."""
        return self._may(path, False)

    def _may(self, path: Path, puts: bool) -> bool:
        known = self._known.get((path, puts))
        if known is None:
            known = self._known[path, puts] = self._is_known(path) and self._may_be_written(path, puts)
        return known

    def _is_known(self, path: Path) -> bool:
        return bool(path) and self.collection.knows(".".join(path))

    def _may_be_written(self, path: Path, puts: bool) -> bool:
        readable = self.reading.speaking.lends((path,))
        if puts and readable:
            return True  # an equal value is no write, and whether it is equal is seen once it is read
        once = self.collection.immutable()
        if any(touches(path, paths) for paths in self._hidden) or (touches(path, once) and not readable):
            return False
        return any(writer.writes(path) for writer in self.writers)


def _typed(change: Change, collection: Collection) -> tuple[Change, tuple[FieldError, ...]]:
    try:
        return typed_change(change, collection)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


# -- old states


def again_of(collection: Collection, asking: Asking, callers: Callers, *, rehearses: bool = False) -> Again:
    """What judges old states that are stored again. Forbidden where no rule has both `restore` and `read` here."""
    restoring = callers.access(asking, collection, "restore").reach
    reading = callers.access(asking, collection, "read")
    # What tells of the write alone comes back as it was: who restored, and when, is in the history.
    guarded = frozenset(name for name in (collection.tenant_field, collection.owner_field) if name)
    guarded |= collection.placing
    writers = tuple(_writers(collection, asking, callers, restoring, guarded, frozenset()))
    referable = referable_from(collection, asking, callers)
    most = callers.config.limits.max_document_bytes
    over = pre_hooks(collection, "update", asking, callers, rehearses=rehearses)
    anew = pre_hooks(collection, "create", asking, callers, rehearses=rehearses)
    return Again(collection, writers, restoring.hiding, referable, reading.lens, most, over, anew)


# -- the rules


def _writers(
    collection: Collection,
    asking: Asking,
    callers: Callers,
    reach: Reach,
    guarded: frozenset[str],
    stamped: frozenset[str],
) -> Iterable[Writer]:
    """The rules of the reach, each with what its role may not write: it would choose by what it is judged.

    `guarded` fields are out of reach as well, where a rule does not name them in `reassign`; `stamped` ones always.
    """
    judging = callers.judging(asking, collection)
    for grant, changing in zip(reach.grants, reach.changing, strict=True):
        yield Writer(
            changing.rows,
            # A check of its own says all; by default the document stays one that the rule, and no deny, reaches.
            changing.own if callers.has_own_check(grant.rule_id) else changing.default,
            grant.fields,
            kept_paths(grant.fields, {*judging[grant.rule_id], *((name,) for name in guarded)}, stamped),
        )


def kept_paths(fields: FieldRules, guarded: set[Path], stamped: frozenset[str]) -> frozenset[Path]:
    """What a rule with these `fields` can't write: `guarded` paths that it does not reassign, and what is stamped."""
    reassigned = fields.reassign
    lifted = {path for path in guarded if any(path[: len(above)] == above for above in reassigned)}
    return frozenset({*(guarded - lifted), *((name,) for name in stamped), ID, VERSION, (MADE,)})
