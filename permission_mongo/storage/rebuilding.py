"""The hierarchy found anew from the documents of people: at the first start, and for writers beside the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.audit import entry
from permission_mongo.hierarchy import Chain, Person, Staff, Tenant, User, chains_of
from permission_mongo.outcomes import Synced
from permission_mongo.plans import Actor
from permission_mongo.service import SyncPlan
from permission_mongo.storage.hierarchy import in_pieces
from permission_mongo.storage.layout import AUDIT, HIERARCHY, PROOFS
from permission_mongo.storage.people import row_id
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.settings import COLLECTION as SETTINGS
from permission_mongo.storage.transactions import Proof
from permission_mongo.values import Document, DocumentId

LONGEST: Final = 50.0  # seconds: MongoDB ends a transaction after a minute
_TRIES: Final = 10_000  # the deadline ends it
_NONE: Final = Synced(0, 0, 0, 0)
_MARK: Final = {"_id": "hierarchy"}  # says of which fields the rows were built


async def sync(plan: SyncPlan, actor: Actor, rooms: Rooms) -> Synced:
    """The tenant's hierarchy as its documents say, in one transaction; audited as one without documents."""
    part = ObjectId()

    async def body(session: AsyncClientSession) -> Synced:
        done = await _synced(session, plan.staff, plan.tenant, rooms, seconds=LONGEST)
        if plan.audited:
            written = entry(actor, "sync", HIERARCHY, [])
            await rooms.audit.insert_one({**written, "_id": part}, session=session)
        else:
            await rooms.insert(session, PROOFS, [{"_id": part, "at": actor.now}])
        return done

    proof = Proof(AUDIT if plan.audited else PROOFS, {"_id": part})
    return await rooms.transactor.run(body, deadline=rooms.deadline(LONGEST), proof=proof, attempts=_TRIES)


async def sync_all(staff: Staff, rooms: Rooms, tenant: str | None = None, *, commit: bool = True) -> Synced:
    """The same of all tenants, or of one, each in its own transaction. Without `commit` only told."""
    total = _NONE
    for one in await _tenants(staff, rooms):
        if tenant is None or str(one) == tenant:
            total = total.and_(await _sync_one(staff, one, rooms, commit=commit))
    return total


async def _sync_one(staff: Staff, tenant: Tenant, rooms: Rooms, *, commit: bool) -> Synced:
    """Done twice it is done once, so of a commit without an answer nobody need know."""

    async def body(session: AsyncClientSession) -> Synced:
        return await _synced(session, staff, tenant, rooms, seconds=LONGEST)

    proof = Proof(PROOFS, {"_id": ObjectId()})
    return await rooms.transactor.run(
        body, deadline=rooms.deadline(LONGEST), proof=proof, attempts=_TRIES, commit=commit
    )


async def ensure_built(staff: Staff, rooms: Rooms) -> None:
    """Built where there is none of these very fields yet. The mark comes last: what was left off is begun again."""
    settings = rooms.live(SETTINGS)
    fields = {"collection": staff.collection, "tenant": staff.tenant_field}
    wanted = {**fields, "user": staff.user_id_field, "manager": staff.manager_field}
    found = await settings.find_one(_MARK, {"_id": 0})
    if found == wanted:
        return
    await sync_all(staff, rooms)
    await settings.replace_one(_MARK, wanted, upsert=True)


async def no_longer_kept(rooms: Rooms) -> None:
    """A gateway without a hierarchy writes people and keeps no rows of them: the next with one builds them anew."""
    await rooms.live(SETTINGS).delete_one(_MARK)


async def _tenants(staff: Staff, rooms: Rooms) -> list[Tenant]:
    """Those of documents, and those of rows whose last document is gone."""
    if staff.tenant_field is None:
        return [None]
    found: dict[Any, None] = {}
    for name, field in ((staff.collection, staff.tenant_field), (HIERARCHY, "t")):
        grouped = await rooms.live(name).aggregate([{"$group": {"_id": f"${field}"}}])
        found |= {one["_id"]: None async for one in grouped if not isinstance(one["_id"], dict | list | bool | None)}
    return list(found)


async def _synced(session: AsyncClientSession, staff: Staff, tenant: Tenant, rooms: Rooms, *, seconds: float) -> Synced:
    await rooms.people.stir(session, tenant, seconds)
    persons = await _persons(session, staff, tenant, rooms)
    found = chains_of({one.user: one.manager for one in persons.values()})
    rows = await rooms.people.rows.find({"t": tenant, "d": {"$exists": True}}, session=session).to_list()
    wanted = {one.user: _row(one, id, found.of[one.user]) for id, one in persons.items()}
    changed = await _replaced(session, rows, wanted.values(), rooms)
    return Synced(len(wanted), changed, len(found.loops), len(found.deep))


async def _persons(session: AsyncClientSession, staff: Staff, tenant: Tenant, rooms: Rooms) -> dict[DocumentId, Person]:
    """By the ids of their documents; of two documents of one person the first counts."""
    match: Document = {} if staff.tenant_field is None else {staff.tenant_field: {"$eq": tenant}}
    found: dict[DocumentId, Person] = {}
    known: set[User] = set()
    async for row in rooms.live(staff.collection).find(match, staff.fields, session=session):
        person = staff.person(row)
        if person is not None and person.user not in known:
            known.add(person.user)
            found[row["_id"]] = replace(person, tenant=tenant)
    return found


def _row(person: Person, id: DocumentId, chain: Chain) -> Document:
    about = {"_id": row_id(person.tenant, person.user), "t": person.tenant, "d": id}
    return {**about, "m": person.manager, "up": list(chain)}


async def _replaced(
    session: AsyncClientSession, rows: Iterable[Document], wanted: Iterable[Document], rooms: Rooms
) -> int:
    """How many rows were not as they are wanted."""
    before = {row["_id"]["u"]: row for row in rows}
    after = {row["_id"]["u"]: row for row in wanted}
    gone = [row["_id"] for user, row in before.items() if user not in after]
    made = [row for user, row in after.items() if user not in before]
    updates = [{"q": {"_id": one["_id"]}, "u": one} for u, one in after.items() if u in before and before[u] != one]
    for n in range(0, len(gone), 1000):
        await rooms.people.rows.delete_many({"_id": {"$in": gone[n : n + 1000]}}, session=session)
    for some in in_pieces(made):
        await rooms.insert(session, HIERARCHY, some)
    for some in in_pieces(updates):
        await rooms.change(session, HIERARCHY, some)
    return len(gone) + len(made) + len(updates)
