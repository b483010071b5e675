"""References of documents about to be stored: asked in their own transaction, by one find a referenced collection."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.documents.paths import canonical
from permission_mongo.errors import HookRejected, Refusal
from permission_mongo.old_states import all_references
from permission_mongo.policy.grants import Lens
from permission_mongo.revisions import Again, Reference, Wanted
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.storage.rooms import Rooms
from permission_mongo.values import Document, DocumentId

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
        missing += [one for one in reference.wanted if not (_may_be_id(one.id) and one.id in found)]
    return tuple(missing)


async def _found(session: AsyncClientSession, reference: Reference, rooms: Rooms) -> set[DocumentId]:
    ids = list({one.id for one in reference.wanted if _may_be_id(one.id)})
    found: set[DocumentId] = set()
    for n in range(0, len(ids), _AT_ONCE):
        match = reference.match.among(ids[n : n + _AT_ONCE])
        rows = rooms.live(reference.collection).find(match, {"_id": 1}, session=session, batch_size=_AT_ONCE + 1)
        found |= {row["_id"] for row in await rows.to_list()}
    return found


def _may_be_id(value: Any) -> bool:
    """What another writer left in place of a reference may be an object, which is looked for nowhere.

    Nor is a text longer than any id: many of them would be more than one query can hold.
    """
    return isinstance(value, Hashable) and (not isinstance(value, str) or len(value) <= _LONGEST_ID)


def violation(missing: Iterable[Wanted]) -> Refusal:
    """What the writer of one document is told of its references; first what the schema says."""
    wanted = tuple(missing)
    broken = [_error(one) for one in wanted if one.told is None]
    return as_violation(broken) if broken else HookRejected(str(next(one.told for one in wanted)))


def violations(missing: Iterable[Wanted]) -> dict[int, Refusal]:
    """The same of several documents, by their index."""
    return {index: violation(wanted) for index, wanted in _by_index(missing).items()}


async def refused_again(
    session: AsyncClientSession, documents: Sequence[Document], again: Again, rooms: Rooms
) -> dict[int, Refusal]:
    """The refusals of old states that refer to what is not there, by their places among the documents.

    What the caller is not shown of a state is not named.
    """
    missing = await dangling(session, all_references(documents, again), rooms)
    return {n: _as_shown(documents[n], wanted, again.lens) for n, wanted in _by_index(missing).items()}


def _as_shown(document: Document, missing: Sequence[Wanted], lens: Lens) -> Refusal:
    is_raw = lens.reach.raw_in(document)
    shown = [one for one in missing if is_raw(canonical(one.field))]
    if len(shown) == len(missing):
        return violation(missing)
    hidden = FieldError(None, "hidden", "a field that you can't read breaks the schema")
    return as_violation([*map(_error, shown), hidden])


def _error(one: Wanted) -> FieldError:
    return FieldError(one.field, "ref", f"there is no such document in {one.collection}")


def _by_index(missing: Iterable[Wanted]) -> dict[int, list[Wanted]]:
    told: dict[int, list[Wanted]] = {}
    for one in sorted(missing, key=lambda one: one.field):
        told.setdefault(one.index, []).append(one)
    return told
