"""What documents about to be stored refer to, each reference with the rows its writer may point at."""

from __future__ import annotations

from collections.abc import Iterable

from permission_mongo.documents.fields import EVERYTHING
from permission_mongo.errors import Forbidden
from permission_mongo.hooks import ValidateRef
from permission_mongo.planning.callers import Asking, Callers, tenant_is
from permission_mongo.policy.grants import Grant, Reach
from permission_mongo.policy.guard import Guarded, narrow
from permission_mongo.policy.nodes import ALWAYS, NEVER
from permission_mongo.prehooks import references_of_hooks
from permission_mongo.revisions import Referable, Reference, Wanted
from permission_mongo.schema.model import Collection, Ref
from permission_mongo.schema.references import references_in, refs_of
from permission_mongo.values import Document


def references_of(
    documents: Iterable[tuple[int, Document]],
    collection: Collection,
    asking: Asking,
    callers: Callers,
    hooks: tuple[ValidateRef, ...] = (),
) -> tuple[Reference, ...]:
    """The references of typed documents, each document with its index; one entry a question to be asked.

    A target is of the document's own tenant, where both collections have tenants, also for a caller who crosses them.
    """
    if not hooks and not refs_of(collection):
        return ()
    asked: dict[tuple[Ref, object], list[Wanted]] = {}
    for index, document in documents:
        tenant = document.get(collection.tenant_field) if collection.tenant_field is not None else None
        for place, ref, one in references_in(document, collection):
            asked.setdefault((ref, tenant), []).append(Wanted(index, place, ref.collection, one))
        for place, hook, one in references_of_hooks(document, hooks):
            wanted = Wanted(index, place, hook.collection, one, hook.message)
            asked.setdefault((Ref(hook.collection), tenant), []).append(wanted)
    return tuple(
        Reference(ref.collection, _targets(ref, tenant, asking, callers), tuple(wanted))
        for (ref, tenant), wanted in asked.items()
    )


def referable_from(collection: Collection, asking: Asking, callers: Callers) -> tuple[Referable, ...]:
    """What a document of the collection may be changed to refer to; its own tenant is known once it is read."""

    def tenant_of(ref: Ref) -> str | None:
        return None if collection.tenant_field is None else callers.config.collections[ref.collection].tenant_field

    hooks = (step for steps in callers.config.hooks_of(collection.name).pre.values() for step in steps)
    of_hooks = (Ref(step.collection) for step in hooks if isinstance(step, ValidateRef))
    refs = dict.fromkeys((*refs_of(collection), *of_hooks))
    return tuple(Referable(ref, _targets(ref, None, asking, callers), tenant_of(ref)) for ref in refs)


def _targets(ref: Ref, tenant: object, asking: Asking, callers: Callers) -> Guarded:
    collection = callers.config.collections[ref.collection]
    beside = ALWAYS if tenant is None or collection.tenant_field is None else tenant_is(collection, tenant)
    within = Reach(beside, (_ANY_ROW,), NEVER)
    if ref.widely:
        return narrow({}, within, Reach(callers.tenant_bound(asking, collection), (_ANY_ROW,), NEVER))
    try:
        return narrow({}, within, callers.access(asking, collection, "read").reach)
    except Forbidden:
        return narrow({}, _NOTHING)


_ANY_ROW = Grant("", ALWAYS, EVERYTHING, ALWAYS)
_NOTHING = Reach(ALWAYS, (), NEVER)
