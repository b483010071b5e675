"""Who is above whom, kept as the documents of people say, in the very transaction that writes them.

A row of `_pm_hierarchy` is a person: `d` is their document, `m` the manager it names, `up` everybody above, nearest
first. What a transaction did is seen from the documents as they are in it, by their ids: so no kind of write is told
apart, and none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import Refusal
from permission_mongo.hierarchy import DEEPEST, Chain, Change, Fault, Person, Staff, Tenant, User, placed
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.storage.layout import HIERARCHY
from permission_mongo.storage.parts import Unfit
from permission_mongo.storage.people import row_id
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, DocumentId

_AT_ONCE: Final = 5000
# What is put back finds its manager gone as it finds other things: the chain ends there.
_MAY_LACK: Final = ("restore", "delete", "purge")
_LOOP: Final = "nobody can be above themselves"
_DEEP: Final = f"at most {DEEPEST} people are above one"


class Misplaced(Unfit):
    """Documents, by their ids, that would put somebody where nobody can be."""


async def keep_placed(
    session: AsyncClientSession, ids: Sequence[DocumentId], action: str, staff: Staff, rooms: Rooms
) -> None:
    """Make the rows what the documents with these ids say now. Misplaced where that can't be."""
    rows = {row["d"]: row for row in await _few(session, {"d": {"$in": list(ids)}}, rooms)}
    changes = [
        Change(one, _person(rows.get(one)), new) for one, new in (await _now(session, ids, staff, rooms)).items()
    ]
    changes = [one for one in changes if one.old != one.new]
    tenants = {side.tenant for one in changes for side in (one.old, one.new) if side is not None}
    for tenant in sorted(tenants, key=repr):  # in one order, so that two transactions never wait for each other
        await rooms.people.stir(session, tenant, rooms.timeout)
    faults: dict[DocumentId, Fault] = {}
    for tenant in tenants:
        of_tenant = [narrowed for one in changes if (narrowed := one.in_tenant(tenant)).old != narrowed.new]
        faults |= await _place(session, tenant, of_tenant, rooms, may_lack=action in _MAY_LACK)
    if faults:
        field = None if action == "restore" else staff.manager_field
        raise Misplaced({one: _refusal(fault, field, staff) for one, fault in faults.items()})


def _refusal(fault: Fault, field: str | None, staff: Staff) -> Refusal:
    """A manager of another tenant is told like one who is nowhere."""
    match fault:
        case "absent":
            return as_violation([FieldError(field, "ref", f"there is no such document in {staff.collection}")])
        case "loop":
            return as_violation([FieldError(field, "hierarchy", _LOOP)])
        case "deep":
            return as_violation([FieldError(field, "hierarchy", _DEEP)])


def _person(row: Document | None) -> Person | None:
    return None if row is None else Person(row["t"], row["_id"]["u"], row["m"])


async def _now(
    session: AsyncClientSession, ids: Sequence[DocumentId], staff: Staff, rooms: Rooms
) -> dict[DocumentId, Person | None]:
    found: dict[DocumentId, Person | None] = dict.fromkeys(ids)
    live = rooms.live(staff.collection)
    for n in range(0, len(ids), _AT_ONCE):
        some = list(ids[n : n + _AT_ONCE])
        rows = live.find({"_id": {"$in": some}}, staff.fields, batch_size=len(some) + 1, session=session)
        found |= {row["_id"]: staff.person(row) for row in await rows.to_list()}
    return found


async def _place(
    session: AsyncClientSession, tenant: Tenant, changes: Sequence[Change], rooms: Rooms, *, may_lack: bool
) -> Mapping[DocumentId, Fault]:
    """The rows of one tenant as they are to be, written; or what stands in the way."""
    touched = {side.user for one in changes for side in (one.old, one.new) if side is not None}
    rows = await _depending(session, tenant, touched, rooms)
    before = {row["_id"]["u"]: row for row in rows}
    others = {user: row["m"] for user, row in before.items() if user not in touched}
    known = await _chains_above(session, tenant, changes, {*others, *touched}, rooms)
    placing = placed(others, changes, known, may_lack=may_lack)
    if not placing.faults:
        await _write(session, tenant, changes, placing.chains, before, rooms)
    return placing.faults


async def _depending(
    session: AsyncClientSession, tenant: Tenant, users: Collection[User], rooms: Rooms
) -> list[Document]:
    """The rows of these users, of all below them, and of those who name one of them though their chain ends before.

    A chain ends before a manager who was not there, or in a loop; who is below such a one is found by it.
    """
    found: dict[User, Document] = {}
    frontier = list(users)
    while frontier:
        wanted = {"$in": frontier}
        own = {"_id": {"$in": [row_id(tenant, one) for one in frontier]}}
        rows = await _few(session, {"$or": [own, {"t": tenant, "up": wanted}, {"t": tenant, "m": wanted}]}, rooms)
        fresh = {row["_id"]["u"]: row for row in rows if row["_id"]["u"] not in found}
        found |= fresh
        frontier = [user for user, row in fresh.items() if not row["up"] and row["m"] is not None]
    return list(found.values())


async def _chains_above(
    session: AsyncClientSession, tenant: Tenant, changes: Sequence[Change], loaded: set[User], rooms: Rooms
) -> dict[User, Chain]:
    """The chains of managers whom no change of these concerns."""
    named = {one.new.manager for one in changes if one.new is not None and one.new.manager is not None}
    ids = [row_id(tenant, one) for one in named - loaded]
    rows = await _few(session, {"_id": {"$in": ids}}, rooms) if ids else []
    return {row["_id"]["u"]: tuple(row["up"]) for row in rows}


async def _few(session: AsyncClientSession, match: Document, rooms: Rooms) -> list[Document]:
    return await rooms.people.rows.find(match, batch_size=_AT_ONCE, session=session).to_list()


async def _write(
    session: AsyncClientSession,
    tenant: Tenant,
    changes: Sequence[Change],
    chains: Mapping[User, Chain],
    before: Mapping[User, Document],
    rooms: Rooms,
) -> None:
    documents = {one.new.user: one for one in changes if one.new is not None}
    gone = [one.old.user for one in changes if one.old is not None and one.old.user not in documents]
    if gone:
        ids = [row_id(tenant, one) for one in gone]
        await rooms.people.rows.delete_many({"_id": {"$in": ids}}, session=session)
    made: list[Document] = []
    updates: list[Document] = []
    for user, chain in chains.items():
        row, change = before.get(user), documents.get(user)
        if change is not None and change.new is not None:
            fields: dict[str, Any] = {"d": change.id, "m": change.new.manager, "up": list(chain)}
        elif row is not None and row["up"] != list(chain):
            fields = {"up": list(chain)}
        else:
            continue
        if row is None:
            made.append({"_id": row_id(tenant, user), "t": tenant, **fields})
        else:
            updates.append({"q": {"_id": row_id(tenant, user)}, "u": {"$set": fields}})
    for some in in_pieces(made):
        await rooms.insert(session, HIERARCHY, some)
    for some in in_pieces(updates):
        await rooms.change(session, HIERARCHY, some)


def in_pieces(documents: Sequence[Document]) -> Iterable[list[Document]]:
    """What goes into one command each."""
    return (list(documents[n : n + _AT_ONCE]) for n in range(0, len(documents), _AT_ONCE))
