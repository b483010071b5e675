"""One document changed: read, judged and written in one transaction, the state it ends kept."""

from __future__ import annotations

from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.audit import changed_paths
from permission_mongo.documents.changes import Put
from permission_mongo.outcomes import Updated
from permission_mongo.plans import Actor, UpdatePlan
from permission_mongo.referrals import new_references
from permission_mongo.rewrites import require_writable as writable
from permission_mongo.rewrites import rewrite
from permission_mongo.storage.computed import read_again
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.references import dangling, violation
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.singles import Single, require_accepted
from permission_mongo.storage.transactions import Raced
from permission_mongo.values import Document
from permission_mongo.versions import marks_after, tenant_of


async def update_one(plan: UpdatePlan, actor: Actor, rooms: Rooms) -> Updated:
    """DocumentNotFound if it is not visible; what is refused of it, `rewrites` says."""
    single = Single(plan.target, plan.id, actor, rooms)

    async def body(session: AsyncClientSession, renumber: bool) -> Updated:
        visible = None if plan.visible.is_empty else plan.visible.also(single.named())
        raw, stored = await single.seen(session, visible, plan.precondition)
        change = rewrite(plan.revision, await _as_judged(session, plan, stored, rooms))
        if change is None:
            return Updated(await _as_told(session, plan, stored, rooms), changed=False)
        missing = await dangling(session, new_references(plan.revision, {0: (stored, change)}), rooms)
        if missing:
            raise violation(missing)
        marks = await _ended(session, single, plan, (raw, stored), renumber)
        document = await _written(session, single, plan, stored, change.as_update(marks))
        paths = changed_paths(plan.revision.collection, [(stored, change)]) if plan.target.names_paths else None
        await single.note(session, "update", (stored, document), paths=paths)
        return Updated(await _as_told(session, plan, document, rooms), changed=True)

    return await single.run(body, single.proof())


async def require_writable(plan: UpdatePlan, actor: Actor, rooms: Rooms, *, conditionally: bool) -> Any:
    """The tenant of the document. What the plan's write would be refused for before its values are looked at."""
    single = Single(plan.target, plan.id, actor, rooms)
    raw = None
    if not plan.visible.is_empty:
        async with rooms.turn():
            raw = await rooms.raw(plan.target.collection).find_one(
                plan.visible.also(single.named()), max_time_ms=rooms.max_time_ms
            )
    if raw is None:
        raise not_found(plan.target.collection)
    stored = document_of(raw.raw)
    if conditionally:
        require_accepted(plan.precondition, stored)
    writable(plan.revision, stored)
    return tenant_of(stored, plan.target.tenant_field)


async def _as_judged(session: AsyncClientSession, plan: UpdatePlan, stored: Document, rooms: Rooms) -> Document:
    """With the computed fields that a PUT names: to put back what was read is no change."""
    names = plan.revision.change.fields if isinstance(plan.revision.change, Put) else {}
    if not any(plan.revision.collection.is_computed(name) for name in names):
        return stored
    return {**stored, **await _computed(session, plan, rooms)}


async def _as_told(session: AsyncClientSession, plan: UpdatePlan, document: Document, rooms: Rooms) -> Document:
    return await _computed(session, plan, rooms) if plan.revision.collection.computed else document


async def _computed(session: AsyncClientSession, plan: UpdatePlan, rooms: Rooms) -> Document:
    return await read_again(session, plan.target.collection, plan.id, plan.revision.collection.computed, rooms)


async def _ended(
    session: AsyncClientSession,
    single: Single,
    plan: UpdatePlan,
    state: tuple[RawBSONDocument, Document],
    renumber: bool,
) -> Document:
    """Keep the state that ends; the marks of the one that begins."""
    if not plan.target.versioned:
        return {}
    raw, stored = state
    ended = single.ending(stored, "update", plan.reason)
    return marks_after(await single.keep(session, raw, stored, ended, renumber))


async def _written(
    session: AsyncClientSession, single: Single, plan: UpdatePlan, stored: Document, update: Document
) -> Document:
    """The document as MongoDB has it now. The guard and the version that was judged stand in the command itself."""
    if not update:
        return stored
    match = plan.match.also(single.unchanged(stored))
    live = single.rooms.live(plan.target.collection)
    found = await live.find_one_and_update(match, update, return_document=ReturnDocument.AFTER, session=session)
    if found is None:
        raise Raced
    return found
