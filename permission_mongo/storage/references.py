"""References of documents about to be stored: asked in their own transaction, by one find a referenced collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import SchemaViolation
from permission_mongo.revisions import Reference, Wanted
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import DocumentId

_LONGEST_ID: Final = 1024
_AT_ONCE: Final = 1000


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
        found = set() if reference.match.is_empty else await _found(session, reference, rooms)
        missing += [one for one in reference.wanted if one.id not in found]
    return tuple(missing)


async def _found(session: AsyncClientSession, reference: Reference, rooms: Rooms) -> set[DocumentId]:
    # A text longer than any id is looked for nowhere: many of them would be more than one query can hold.
    ids = list({one.id for one in reference.wanted if not isinstance(one.id, str) or len(one.id) <= _LONGEST_ID})
    found: set[DocumentId] = set()
    for n in range(0, len(ids), _AT_ONCE):
        match = reference.match.among(ids[n : n + _AT_ONCE])
        rows = rooms.live(reference.collection).find(match, {"_id": 1}, session=session, batch_size=_AT_ONCE + 1)
        found |= {row["_id"] for row in await rows.to_list()}
    return found


def violation(missing: Iterable[Wanted]) -> SchemaViolation:
    """What the writer of one document is told of its references."""
    return as_violation(
        [FieldError(one.field, "ref", f"there is no such document in {one.collection}") for one in missing]
    )
