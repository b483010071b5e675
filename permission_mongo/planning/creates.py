"""Plans that store new documents: stamped, then typed and validated, then judged as they will be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.documents.paths import Path, leaf_paths, touches
from permission_mongo.errors import Forbidden, PayloadTooLarge, Refusal, SchemaViolation
from permission_mongo.operations import CreateMany, CreateOne, Sent
from permission_mongo.planning.callers import Access, Asking, Callers, tenant_value
from permission_mongo.planning.references import references_of
from permission_mongo.planning.stamps import typed_stamp
from permission_mongo.planning.targets import target_of
from permission_mongo.plans import CreatePlan, Draft, Reference
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.policy.grants import Lens
from permission_mongo.schema.defaults import Fill, made_by_gateway
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import MOST_TOLD, as_violation, read_document, unfit_names, unknown_paths
from permission_mongo.values import CODEC, Document
from permission_mongo.versions import made


def plan_create_one(operation: CreateOne, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]) -> CreatePlan:
    creating = _Creating(operation.collection, asking, callers, new_uuid, operation.reason, None)
    draft = creating.draft(0, operation.sent)
    if draft.refusal is not None:
        raise draft.refusal
    return CreatePlan(
        target_of(operation.collection, callers.config),
        (draft,),
        reading_lens(operation.collection, asking, callers),
        operation.sent.names_id,
        operation.reason,
        None,
        creating.references((draft,)),
        operation.collection.computed,
    )


def plan_create_many(
    operation: CreateMany, asking: Asking, callers: Callers, new_uuid: Callable[[], UUID]
) -> CreatePlan:
    options = operation.options
    creating = _Creating(operation.collection, asking, callers, new_uuid, options.reason, options.id)
    drafts = tuple(creating.draft(n, sent) for n, sent in enumerate(operation.sent))
    return CreatePlan(
        target_of(operation.collection, callers.config),
        drafts,
        None,
        any(sent.names_id for sent in operation.sent),
        options.reason,
        options,
        creating.references(drafts),
    )


def reading_lens(collection: Collection, asking: Asking, callers: Callers) -> Lens | None:
    """How the caller sees this collection; None if it may not read here at all."""
    try:
        return callers.access(asking, collection, "read").lens
    except Forbidden:
        return None


class _Creating:
    """One caller creating in one collection. What is alike in every document is made once."""

    def __init__(
        self,
        collection: Collection,
        asking: Asking,
        callers: Callers,
        new_uuid: Callable[[], UUID],
        reason: str | None,
        batch: str | None,
    ) -> None:
        self.collection = collection
        self.asking = asking
        self.callers = callers
        self._access = callers.access(asking, collection, "create")
        self._fill = Fill(asking.now, asking.principal.subject, new_uuid)
        self._marks = self._made_marks(reason, batch)
        self._stamped = self._stamped_names()
        self._alike: Document | None = None
        grants = self._access.reach.grants
        # Every field may be written by every rule, and none is hidden: then nothing asks which are sent.
        self._asks_paths = bool(self._access.reach.hiding) or not all(grant.fields.writes_all for grant in grants)

    def draft(self, index: int, sent: Sent) -> Draft:
        try:
            document, encoded = self._document(sent, self._access)
            return Draft(index, sent.id, document, encoded=encoded)
        except Refusal as refusal:
            return Draft(index, sent.id, {}, refusal)

    def references(self, drafts: tuple[Draft, ...]) -> tuple[Reference, ...]:
        documents = ((draft.index, draft.document) for draft in drafts if draft.refusal is None)
        return references_of(documents, self.collection, self.asking, self.callers)

    def _document(self, sent: Sent, access: Access) -> tuple[Document, bytes]:
        """The document and its bytes."""
        wrong_names = unfit_names(sent.document, self.collection)
        if wrong_names:
            raise as_violation(wrong_names)
        paths = frozenset(path for path in leaf_paths(sent.document) if path) if self._asks_paths else frozenset[Path]()
        self._require_fields(sent, access, paths)
        if sent.fault is not None:
            raise sent.fault
        stamps = self._stamps(sent, access)
        read, errors = read_document({**sent.document, **stamps}, self.collection, self._fill)
        if errors:
            raise as_violation(errors)
        document: Document = {"_id": sent.id, **self._marks, **read}
        encoded = self._encoded(document)
        self._require_grant(access, paths, document)
        return document, encoded

    def _made_marks(self, reason: str | None, batch: str | None) -> Document:
        if not self.collection.versioned:
            return {}
        who = self.asking.principal.subject
        return {"_version": 1, "_made": made("create", who, self.asking.now, reason, batch)}

    def _require_fields(self, sent: Sent, access: Access, paths: frozenset[Path]) -> None:
        """Unknown, stamped and unwritable fields are told alike, before any value is looked at."""
        refused = [".".join(path) for path in unknown_paths(sent.document, self.collection)]
        refused += [name for name in sent.document if name in self._stamped]
        if len(refused) > MOST_TOLD:
            raise self._forbidden("unknown or not permitted field", sorted(refused))
        if sent.names_id and not self.collection.client_ids:
            refused.append("_id")
        grants = access.reach.grants
        if not any(grant.fields.writes_all for grant in grants):
            refused += [".".join(path) for path in paths if not any(grant.fields.writes(path) for grant in grants)]
        if refused:
            raise self._forbidden("unknown or not permitted field", sorted(set(refused)))

    def _stamped_names(self) -> frozenset[str]:
        stamped = self.collection.stamped
        if self.collection.tenant_field and self.callers.crosses_tenants(self.asking):
            stamped -= {self.collection.tenant_field}
        return stamped | {name for grant in self._access.reach.grants for name, _ in grant.stamps}

    def _stamps(self, sent: Sent, access: Access) -> Document:
        """What the gateway writes itself: tenant, owner, times, and what the rules set."""
        collection = self.collection
        typed = dict(self._alike) if self._alike is not None else self._typed_stamps(access)
        if collection.tenant_field is not None and collection.tenant_field not in sent.document:
            tenant = tenant_value(collection, self.asking)
            if tenant is None:
                # Without one it would belong to nobody, and be seen by nobody but cross-tenant roles.
                raise self._forbidden("a document needs a tenant, and your credential names none that fits", [])
            typed[collection.tenant_field] = tenant
        return typed

    def _typed_stamps(self, access: Access) -> Document:
        """Times, owner, `auto` fields and what the rules set; kept for the next document unless something is fresh."""
        who, now, collection = self.asking.principal, self.asking.now, self.collection
        stamps = made_by_gateway(collection.fields, self._fill, created=True)
        is_alike = all(value is now or value is who.subject for value in stamps.values())
        if collection.timestamps:
            stamps |= {"created_at": now, "updated_at": now, "created_by": who.subject, "updated_by": who.subject}
        if collection.owner_field is not None:
            stamps[collection.owner_field] = who.subject
        for grant in access.reach.grants:
            stamps |= dict(grant.stamps)
        typed = {name: typed_stamp(collection, name, value, "create") for name, value in stamps.items()}
        if is_alike:
            self._alike = dict(typed)
        return typed

    def _encoded(self, document: Document) -> bytes:
        """As it will be stored. SchemaViolation if it can't be, PayloadTooLarge above `limits.max_document_bytes`."""
        limit = self.callers.config.limits.max_document_bytes
        try:
            encoded = encode(document, codec_options=CODEC)
        except (InvalidDocument, OverflowError) as error:
            raise SchemaViolation("the document can't be stored") from error
        if len(encoded) > limit:
            message = f"the document has {len(encoded)} bytes; at most {limit}"
            raise PayloadTooLarge(message, max_document_bytes=limit)
        return encoded

    def _require_grant(self, access: Access, paths: frozenset[Path], document: Document) -> None:
        """One rule must do it all: reach the final document, accept it, and cover every field sent."""
        reach = access.reach
        barred = [one.paths for one in reach.hiding if verdict(one.when, document) is not False]
        refused = {".".join(path) for path in paths if any(touches(path, hidden) for hidden in barred)}
        if refused:
            raise self._forbidden("unknown or not permitted field", sorted(refused))
        for grant, final in zip(reach.grants, reach.finals, strict=True):
            covers = grant.fields.writes_all or all(grant.fields.writes(path) for path in paths)
            if covers and holds(final, document):
                return
        raise self._forbidden("no rule of your roles allows creating this document", [])

    def _forbidden(self, message: str, fields: list[str]) -> Forbidden:
        details: dict[str, Any] = {"action": "create", "collection": self.collection.name}
        return Forbidden(message, **details, **({"fields": fields[:MOST_TOLD]} if fields else {}))
