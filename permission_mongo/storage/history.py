"""Old states of one document. Each is asked of the rules by its own content, behind the present one or the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

import pymongo
from bson import decode
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import VersionNotFound
from permission_mongo.outcomes import Entry, Found, History, State, States
from permission_mongo.pasts import AgainPlan, ComparePlan, Past, PastPlan, VersionPlan, VersionsPlan
from permission_mongo.storage.chains import WHOLE_EVERY, Chain, content_of
from permission_mongo.storage.computed import computed_of
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.layout import VERSIONS
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.turns import decoded
from permission_mongo.values import CODEC, Document
from permission_mongo.versions import number_of, tenant_of

Session = AsyncClientSession | None
_ABOUT: Final = {"version": 1, "tenant_id": 1, "mode": 1, "ended": 1, "data._made": 1}
_MOST: Final = 2**53  # no version has a higher number


async def read_past(plan: PastPlan, rooms: Rooms) -> History | State | States | Found:
    """DocumentNotFound where the present state is not visible, VersionNotFound where the one asked for is not."""
    with pymongo.timeout(rooms.timeout):
        now = await _present(plan.past, rooms)
        match plan:
            case VersionsPlan():
                return await _listed(plan, now, rooms)
            case VersionPlan():
                content = await state_of(plan.past, plan.version, now, rooms)
                computed = await computed_of(content, plan.computed, rooms) if plan.computed else content
                return _state(plan.version, computed)
            case ComparePlan():
                earlier = await state_of(plan.past, plan.earlier, now, rooms)
                later = await state_of(plan.past, plan.later, now, rooms)
                return States(_state(plan.earlier, earlier), _state(plan.later, later))
            case AgainPlan():
                return Found(await _again(plan, now, rooms))
            case _:
                assert_never(plan)


async def _again(plan: AgainPlan, now: tuple[Document, bool], rooms: Rooms) -> Document:
    if plan.version is not None:
        return await state_of(plan.past, plan.version, now, rooms)
    document, lives = now
    if not lives:
        raise not_found(plan.past.collection)
    return document


# -- all in order


async def _listed(plan: VersionsPlan, now: tuple[Document, bool], rooms: Rooms) -> History:
    """Each entry tells the write that made it; an entry whose state is not shown is left out."""
    document, lives = now
    entries = [_entry(number_of(document), document.get("_made"), "create")] if lives else []
    last: Document | None = None
    while not plan.past.states.is_empty and len(entries) <= plan.limit:
        rows = await _records(plan, last, rooms)
        entries += [entry for row in rows if row["mode"] == "full" for entry in _of_record(row, row["data"])]
        entries += await _of_differences(plan.past, [row for row in rows if row["mode"] != "full"], rooms)
        if len(rows) <= plan.limit:
            break
        last = rows[-1]
    shown = [one for one in entries if plan.before is None or one.version < plan.before]
    return History(tuple(sorted(shown, key=lambda one: -one.version)[: plan.limit]))


async def _records(plan: VersionsPlan, last: Document | None, rooms: Rooms) -> list[Document]:
    """The next ones behind `last`: of one number several tenants can have one, in the order of their ids."""
    most = _MOST if plan.before is None else plan.before - 1
    match = plan.past.states.listed.also(plan.past.numbered(0, most if last is None else last["version"]))
    if last is not None:
        match = {"$and": [match, {"$or": [{"version": {"$lt": last["version"]}}, {"_id": {"$lt": last["_id"]}}]}]}
    return await rooms.versions.find(match, _ABOUT, sort=plan.past.newest_first, limit=plan.limit + 1).to_list()


def _of_record(row: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Entry]:
    if row["ended"]["action"] == "delete":
        yield _entry(row["version"] + 1, row["ended"], "delete")
    yield _entry(row["version"], content.get("_made"), "create")


async def _of_differences(past: Past, rows: list[Document], rooms: Rooms) -> list[Entry]:
    """Of states that MongoDB could not be asked about: put together, and asked here."""
    if not rows:
        return []
    numbers = [row["version"] for row in rows]
    match = past.states.chain.also(past.numbered(min(numbers), max(numbers) + WHOLE_EVERY))
    chain, entries, wanted = Chain(), list[Entry](), [row["_id"] for row in rows]
    async for raw in rooms.raw(VERSIONS).find(match, sort=past.newest_first):
        found = chain.content(raw)
        if found is not None and decode(raw["_id"].raw, CODEC) in wanted:
            content = document_of(found)
            if past.states.admits(content):
                entries += _of_record(raw, content)
    return entries


def _state(number: int, content: Document) -> State:
    return State(_entry(number, content.get("_made"), "create"), content)


def _entry(version: int, mark: Any, otherwise: str) -> Entry:
    """A state from before the gateway has no mark: then its maker is not known."""
    if not isinstance(mark, dict):
        return Entry(version, otherwise, None, None)
    return Entry(
        version, mark.get("action", otherwise), mark.get("by"), mark.get("at"), mark.get("reason"), mark.get("batch")
    )


# -- one


async def _present(past: Past, rooms: Rooms) -> tuple[Document, bool]:
    """The document, or its last content, and whether it lives. DocumentNotFound where neither is visible.

    What an id has become in another tenant changes nothing here: a deleted document is told by its own record.
    """
    live = None if past.live.is_empty else await rooms.raw(past.collection).find_one(past.live.one(past.id))
    if live is not None:
        rooms.sizes[past.collection].saw(len(live.raw), 1)
        return document_of(live.raw), True
    last = await last_record(past, rooms)
    if last is None:
        raise not_found(past.collection)
    return last["data"], False


async def last_record(past: Past, rooms: Rooms, session: Session = None) -> Document | None:
    """The record that keeps the last content of a deleted document, if that is visible.

    It is the latest where several tenants deleted one id, and the caller crosses them.
    """
    if past.states.is_empty:
        return None
    match = past.states.chain.also({"gone": True})
    records = await decoded(await rooms.raw(VERSIONS).find(match, session=session).to_list())
    seen = [one for one in records if past.states.admits(one["data"])]
    return max(seen, key=lambda one: one["ended"]["at"], default=None)


async def state_of(
    past: Past, number: int, now: tuple[Document, bool], rooms: Rooms, session: Session = None
) -> Document:
    """The content of one version, which may be that of the live document. VersionNotFound if it is not visible.

    A version that never was, one that is no longer kept and one that is not visible are told alike.
    """
    document, lives = now
    if lives and number_of(document) == number:
        return document
    if not past.states.is_empty:
        match = past.states.chain.also(past.numbered(number, number))
        records = await decoded(await rooms.raw(VERSIONS).find(match, session=session).to_list())
        tenant = tenant_of(document, past.tenant_field)
        # One who crosses tenants means the document that they see at present.
        for record in sorted(records, key=lambda one: bool(one["tenant_id"] != tenant)):
            content = await content_of(rooms.raw(VERSIONS), record, session)
            if content is not None and past.states.admits(content):
                return content
    raise VersionNotFound("no such version of this document", collection=past.collection)
