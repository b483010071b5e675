"""References of documents about to be stored: asked in their own transaction, by one find a referenced collection."""

from __future__ import annotations

from collections.abc import Iterable

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import SchemaViolation
from permission_mongo.plans import Reference, Wanted
from permission_mongo.storage.rooms import Rooms


class Dangling(Exception):
    """References that find nothing; raised by a transaction's body, so that nothing of it is stored."""

    def __init__(self, missing: tuple[Wanted, ...]) -> None:
        super().__init__()
        self.missing = missing


async def require_targets(session: AsyncClientSession, references: Iterable[Reference], rooms: Rooms) -> None:
    """Dangling, if a reference finds no document that its writer may point at: absent and invisible ones alike."""
    missing = await dangling(session, references, rooms)
    if missing:
        raise Dangling(missing)


async def dangling(session: AsyncClientSession, references: Iterable[Reference], rooms: Rooms) -> tuple[Wanted, ...]:
    missing: list[Wanted] = []
    for reference in references:
        ids = {one.id for one in reference.wanted}
        found = set()
        if ids and not reference.match.is_empty:
            rows = rooms.live(reference.collection).find(reference.match.among(ids), {"_id": 1}, session=session)
            found = {row["_id"] for row in await rows.to_list()}
        missing += [one for one in reference.wanted if one.id not in found]
    return tuple(missing)


def violation(missing: Iterable[Wanted]) -> SchemaViolation:
    """What the writer of one document is told of its references."""
    errors = [
        {"field": one.field, "code": "ref", "message": f"there is no such document in {one.collection}"}
        for one in missing
    ]
    count = len(errors)
    message = f"the document breaks its schema in {count} place{'s' if count > 1 else ''}"
    return SchemaViolation(message, errors=errors[:100])
