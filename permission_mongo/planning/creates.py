"""Plans that store new documents: stamped, then typed and validated, then judged as they will be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload
from uuid import UUID

from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import Path, Touching, canonical, leaf_paths, touches
from permission_mongo.documents.sizes import encoded
from permission_mongo.errors import Forbidden, Refusal
from permission_mongo.operations import CreateMany, CreateOne, Sent
from permission_mongo.planning.callers import Asking, Callers, tenant_value
from permission_mongo.planning.hooks import pre_hooks
from permission_mongo.planning.references import references_of
from permission_mongo.planning.stamps import typed_stamp
from permission_mongo.planning.targets import target_of
from permission_mongo.plans import CreatePlan, Draft
from permission_mongo.policy.evaluate import Test, test_of, verdict
from permission_mongo.policy.grants import Lens, Reach
from permission_mongo.policy.nodes import Expression
from permission_mongo.prehooks import Pre
from permission_mongo.revisions import Reference
from permission_mongo.schema.defaults import Fill, made_by_gateway
from permission_mongo.schema.model import Collection
from permission_mongo.schema.quick import Doubt, plain_names
from permission_mongo.schema.validate import (
    MOST_TOLD,
    FieldError,
    Stamped,
    as_violation,
    broken_constraints,
    names_with_nothing_below,
    quick_reader,
    read_document,
    read_stamps,
    unfit_names,
    unknown_paths,
)
from permission_mongo.values import Document
from permission_mongo.versions import made

_NO_PATHS: Final = frozenset[Path]()
_MOST_REMEMBERED: Final = 512


def plan_create_one(operation: CreateOne, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]) -> CreatePlan:
    pre = pre_hooks(operation.collection, "create", asking, callers)
    creating = _Creating(operation.collection, asking, callers, new_uuid, (operation.reason, None), pre)
    drafts = () if asking.repeats else (creating.draft(0, operation.sent),)
    for draft in drafts:
        if draft.refusal is not None:
            raise draft.refusal
    return CreatePlan(
        target_of(operation.collection, callers.config),
        drafts,
        reading_lens(operation.collection, asking, callers),
        operation.sent.names_id,
        operation.reason,
        None,
        creating.references(drafts),
        operation.collection.computed,
        creating.access if creating.access.lasts else None,
    )


def plan_create_many(
    operation: CreateMany, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]
) -> CreatePlan:
    options = operation.options
    pre = pre_hooks(operation.collection, "create", asking, callers, rehearses=options.dry_run)
    creating = _Creating(operation.collection, asking, callers, new_uuid, (options.reason, options.id), pre)
    drafts = _Drafts(operation.sent, creating.draft)
    return CreatePlan(
        target_of(operation.collection, callers.config),
        drafts,
        None,
        any(sent.names_id for sent in operation.sent),
        options.reason,
        options,
        creating.references(drafts),
        ids=tuple(sent.id for sent in operation.sent),
    )


class _Drafts(Sequence[Draft]):
    """Those of a batch, each judged once, in their order, when it is first looked at.

    What is stored first need not wait until the last is judged.
    """

    def __init__(self, sent: Sequence[Sent], draft: Callable[[int, Sent], Draft]) -> None:
        self._sent = sent
        self._draft = draft
        self._judged: list[Draft] = []

    def __len__(self) -> int:
        return len(self._sent)

    @overload
    def __getitem__(self, place: int) -> Draft: ...
    @overload
    def __getitem__(self, place: slice) -> list[Draft]: ...
    def __getitem__(self, place: int | slice) -> Draft | list[Draft]:
        judged = self._judged
        if isinstance(place, slice):
            places = range(len(self._sent))[place]
            last = max(places, default=-1)
        else:
            last = place if 0 <= place < len(self._sent) else range(len(self._sent))[place]
        for n in range(len(judged), last + 1):
            judged.append(self._draft(n, self._sent[n]))
        return judged[place]


def reading_lens(collection: Collection, asking: Asking, callers: Callers) -> Lens | None:
    """How the caller sees this collection; None if it may not read here at all."""
    try:
        return callers.access(asking, collection, "read").lens
    except Forbidden:
        return None


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a reach says of whatever is created by it: the names that are stamped, those in which no other can be
    unknown, whether any grant writes all fields, whether paths are to be judged, each grant's fields and its test of
    the final document, and the names of which nothing is to be judged.
    """

    stamped: frozenset[str]
    surely_known: frozenset[str]
    writes_any: bool
    judges_paths: bool
    judges: tuple[tuple[FieldRules, bool, Expression, Test], ...]
    plain: frozenset[str]


_remembered: dict[int, tuple[Reach, Collection, bool, _Rules]] = {}


def _rules_of(reach: Reach, collection: Collection, crosses: bool) -> _Rules:
    """Made once for a reach, which is that of one caller: who creates one document after the other has it ready."""
    known = _remembered.get(id(reach))
    if known is not None and known[0] is reach and known[1] is collection and known[2] == crosses:
        return known[3]
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    made_now = _read_rules(reach, collection, crosses)
    _remembered[id(reach)] = reach, collection, crosses, made_now
    return made_now


def _read_rules(reach: Reach, collection: Collection, crosses: bool) -> _Rules:
    stamped = collection.stamped
    if collection.tenant_field and crosses:
        stamped -= {collection.tenant_field}
    stamped |= {name for grant in reach.grants for name, _ in grant.stamps}
    surely_known = names_with_nothing_below(collection) - stamped
    judges_paths = bool(reach.hiding) or not all(grant.fields.writes_all for grant in reach.grants)
    return _Rules(
        stamped,
        surely_known,
        any(grant.fields.writes_all for grant in reach.grants),
        judges_paths,
        tuple(
            (grant.fields, grant.fields.writes_all, final, test_of(final))
            for grant, final in zip(reach.grants, reach.finals, strict=True)
        ),
        frozenset() if judges_paths else surely_known & plain_names(collection.fields.values()),
    )


class _Creating:
    """One caller creating in one collection: what does not depend on the document is made once."""

    def __init__(
        self,
        collection: Collection,
        asking: Asking,
        callers: Callers,
        new_uuid: Callable[[], UUID],
        made_for: tuple[str | None, str | None],
        pre: Pre,
    ) -> None:
        """`made_for` are the reason and the batch."""
        self._pre = pre
        self.collection = collection
        self.asking = asking
        self.callers = callers
        self.access = callers.access(asking, collection, "create")
        self._new_uuid = new_uuid
        self._draws = False  # whether what is stamped is drawn anew for each document
        self._fill = Fill(asking.now, asking.principal.subject, self._drawn)
        self._limit = callers.config.limits.max_document_bytes
        self._rules = rules = _rules_of(self.access.reach, collection, callers.crosses_tenants(asking))
        began = made("create", self._fill.user_id, asking.now, *made_for)
        self._marks: Document = {"_version": 1, "_made": began} if collection.versioned else {}
        # Of names in it nothing is to be judged: none has others below it, and every rule may write each.
        self._plain = frozenset[str]() if pre else rules.plain
        self._read = quick_reader(collection)
        self._stamps_of_all: tuple[Document, Document] | None = None
        self._with_tenant: tuple[Document, Stamped] | None = None
        self._without: tuple[Document, Stamped] | None = None

    def draft(self, index: int, sent: Sent) -> Draft:
        try:
            document = self._plainly(sent) or self._document(index, sent)
            return Draft(index, sent.id, document, encoded(document, self._limit))
        except Refusal as refusal:
            return Draft(index, sent.id, {}, refusal=refusal)

    def references(self, drafts: Sequence[Draft]) -> tuple[Reference, ...]:
        documents = ((draft.index, draft.document) for draft in drafts if draft.refusal is None)
        return references_of(documents, self.collection, self.asking, self.callers, self._pre.refs)

    def _plainly(self, sent: Sent) -> Document | None:
        """The document where all that is sent is plain, right and permitted. None where anything is to be told of it,
        or to be looked at once more: what is refused first is not decided here.
        """
        if sent.names_id or sent.fault is not None or not sent.document.keys() <= self._plain:
            return None
        stamped, others = self._stamps(sent)
        if stamped.ready is None:
            return None
        try:
            read = self._read(sent.document, self._fill, stamped.ready)
        except (Doubt, ValueError):
            return None
        document: Document = {"_id": sent.id, **self._marks, **read, **others}
        for _, _, _, test in self._rules.judges:
            if test(document) is True:
                return document
        return None

    def _document(self, index: int, sent: Sent) -> Document:
        wrong_names = unfit_names(sent.document, self.collection)
        if wrong_names:
            raise as_violation(wrong_names)
        paths = frozenset(path for path in leaf_paths(sent.document) if path) if self._rules.judges_paths else _NO_PATHS
        self._require_fields(sent, paths)
        if sent.fault is not None:
            raise sent.fault
        stamped, others = self._stamps(sent)
        read, errors = read_document(sent.document, self.collection, self._fill, stamped)
        document: Document = {"_id": sent.id, **self._marks, **read, **others}
        if self._pre:
            document = self._hooked(index, document, errors, paths)
        elif errors:
            raise as_violation(errors)
        self._require_grant(paths, document)
        return document

    def _hooked(self, index: int, document: Document, errors: list[FieldError], paths: frozenset[Path]) -> Document:
        """The document as the hooks leave it; what they may write is judged behind them, and not before.

        A required field may be theirs to fill in, and a text theirs to bring into its form.
        """
        theirs = Touching(self._pre.written)
        early = [one for one in errors if one.code == "type" or canonical(one.field or "") not in theirs]
        if early:
            raise as_violation(early)
        # A hook is asked, and a number drawn, of nothing that no rule allows. What a receiver may set is not known yet.
        self._require_grant(paths, self._pre.foreseen(None, document), unknown=self._pre.may_be_set)
        hooked = self._pre.over(index, None, document)
        names = {path[0] for path in (*hooked.touched, *self._pre.written)}
        told = {fault.field for fault in hooked.faults}
        broken = [one for one in broken_constraints(hooked.document, names, self.collection) if one.field not in told]
        if hooked.faults or broken:
            raise as_violation([*hooked.faults, *broken])
        return hooked.document

    def _require_fields(self, sent: Sent, paths: frozenset[Path]) -> None:
        """Unknown, stamped and unwritable fields are told alike, before any value is looked at."""
        refused = [] if sent.document.keys() <= self._rules.surely_known else self._unknown(sent.document)
        if len(refused) > MOST_TOLD:
            raise self._forbidden("unknown or not permitted field", sorted(refused))
        if sent.names_id and not self.collection.client_ids:
            refused.append("_id")
        if not self._rules.writes_any:
            grants = self.access.reach.grants
            refused += [".".join(path) for path in paths if not any(grant.fields.writes(path) for grant in grants)]
        if refused:
            raise self._forbidden("unknown or not permitted field", sorted(set(refused)))

    def _unknown(self, document: Mapping[str, Any]) -> list[str]:
        unknown = [".".join(path) for path in unknown_paths(document, self.collection)]
        return unknown + [name for name in document if name in self._rules.stamped]

    def _stamps(self, sent: Sent) -> tuple[Stamped, Document]:
        """What the gateway writes itself: tenant, owner, times, and what the rules set.

        First the fields that the schema declares, which are read by it like those that were sent; then the others.
        """
        if self._stamps_of_all is None or self._draws:
            self._stamps_of_all = self._own_stamps()
        declared, others = self._stamps_of_all
        collection = self.collection
        if collection.tenant_field is None or collection.tenant_field in sent.document:
            if self._without is None or self._without[0] is not declared:
                self._without = declared, read_stamps(declared, collection, self._fill)
            return self._without[1], others
        if self._with_tenant is None or self._with_tenant[0] is not declared:
            both = {**declared, collection.tenant_field: self._own_tenant()}
            self._with_tenant = declared, read_stamps(both, collection, self._fill)
        return self._with_tenant[1], others

    def _own_tenant(self) -> Any:
        tenant = tenant_value(self.collection, self.asking)
        if tenant is None:
            # Without one it would belong to nobody, and be seen by nobody but cross-tenant roles.
            raise self._forbidden("a document needs a tenant, and your credential names none that fits", [])
        return tenant

    def _drawn(self) -> UUID:
        self._draws = True
        return self._new_uuid()

    def _own_stamps(self) -> tuple[Document, Document]:
        who, now, collection = self._fill.user_id, self._fill.now, self.collection
        stamps = made_by_gateway(collection.made, self._fill, created=True)
        if collection.timestamps:
            stamps |= {"created_at": now, "updated_at": now, "created_by": who, "updated_by": who}
        if collection.owner_field is not None:
            stamps[collection.owner_field] = who
        for grant in self.access.reach.grants:
            stamps |= dict(grant.stamps)
        declared: Document = {}
        others: Document = {}
        for name, value in stamps.items():
            typed = typed_stamp(collection, name, value, "create")
            (declared if name in collection.fields else others)[name] = typed
        return declared, others

    def _require_grant(self, paths: frozenset[Path], document: Document, *, unknown: bool = False) -> None:
        """One rule must do it all: reach the final document, accept it, and cover every field sent.

        `unknown`: the document is not final, and what can't be told of it stands in no way.
        """
        reach = self.access.reach
        if reach.hiding and not unknown:
            self._require_unhidden(paths, document)
        for fields, writes_all, final, test in self._rules.judges:
            covers = writes_all or all(fields.writes(path) for path in paths)
            if covers and (verdict(final, document) is not False if unknown else test(document) is True):
                return
        raise self._forbidden("no rule of your roles allows creating this document", [])

    def _require_unhidden(self, paths: frozenset[Path], document: Document) -> None:
        barred = [one.paths for one in self.access.reach.hiding if verdict(one.when, document) is not False]
        refused = {".".join(path) for path in paths if any(touches(path, hidden) for hidden in barred)}
        if refused:
            raise self._forbidden("unknown or not permitted field", sorted(refused))

    def _forbidden(self, message: str, fields: list[str]) -> Forbidden:
        details: dict[str, Any] = {"action": "create", "collection": self.collection.name}
        return Forbidden(message, **details, **({"fields": fields[:MOST_TOLD]} if fields else {}))
