"""One write of one document: its transaction, the state it ends, and what is kept of it.

The row is read inside the transaction. Its snapshot is what is judged, kept and changed: a writer in between is a
conflict, and the whole runs again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.errors import Conflict, Forbidden, PayloadTooLarge, PreconditionFailed
from permission_mongo.events import State
from permission_mongo.outcomes import Deleted, Outcome, Purged, Updated
from permission_mongo.plans import Actor, Precondition, Target
from permission_mongo.policy.rules import Action
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.hierarchy import Misplaced
from permission_mongo.storage.layout import PROOFS, VERSIONS
from permission_mongo.storage.ledger import Ledger, Traces
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.rooms import NumberTaken, Rooms
from permission_mongo.storage.transactions import Body as Attempt
from permission_mongo.storage.transactions import Proof
from permission_mongo.values import Document, DocumentId, MongoFilter
from permission_mongo.versions import LARGEST, began, made, moment_after, number_of, record

T = TypeVar("T", bound=Updated | Deleted | Purged)
Body = Callable[[AsyncClientSession, bool], Awaitable[T]]

# Only read beside the bytes that are kept: text that another driver stored badly must not stop a write.
_TRIES: Final = 10_000  # the deadline ends it


class Single:
    """A write on its way. `renumber`, handed to its body: a number was taken, as by a writer beside the gateway."""

    def __init__(self, target: Target, one: DocumentId, actor: Actor, rooms: Rooms) -> None:
        self.target = target
        self.id = one
        self.actor = actor
        self.rooms = rooms
        self._part = ObjectId()
        self._kept: MongoFilter = {"part": self._part}
        self._made: int | None = None
        self._ledger = Ledger(rooms, actor, target, None)

    def proof(self) -> Proof:
        """How to tell whether it was committed: by its audit entry or its version, else by a record of its own."""
        if self.target.audited:
            return self._ledger.proof(self._part)
        return Proof(VERSIONS, self._kept) if self.target.versioned else Proof(PROOFS, {"_id": self._part})

    async def run(self, body: Body[T], proof: Proof) -> T:
        """What `body` returns, committed. A taken number is tried once more behind the highest kept."""
        deadline = self.rooms.deadline()
        for renumber in (False, True):
            try:
                attempt: Attempt[T] = lambda session, n=renumber: body(session, n)  # type: ignore[misc]  # noqa: E731
                return await self.rooms.transactor.run(
                    self._ledger.once(attempt, _told),
                    deadline=deadline,
                    proof=proof,
                    attempts=_TRIES,
                )
            except NumberTaken:
                pass
            except Misplaced as error:
                raise error.failed[self.id] from error
        raise Conflict("others changed the same document at the same time; try again")

    def named(self) -> MongoFilter:
        return {"_id": {"$eq": self.id}}

    def unchanged(self, stored: Document) -> MongoFilter:
        """The row as long as it has the version that was read."""
        version: Document = {"$eq": stored["_version"]} if "_version" in stored else {"$exists": False}
        return {**self.named(), "_version": version}

    def ending(self, stored: Document, action: str, reason: str | None) -> Document:
        """The write that ends this state and makes the next one: at least a moment after it began."""
        return made(action, self.actor.subject, moment_after(self.actor.now, began(stored)), reason, None)

    async def seen(
        self, session: AsyncClientSession, visible: MongoFilter | None, precondition: Precondition | None
    ) -> tuple[RawBSONDocument, Document]:
        """The bytes and the document. DocumentNotFound if it is not visible, PreconditionFailed if it was changed."""
        rows = self.rooms.raw(self.target.collection)
        raw = None if visible is None else await rows.find_one(visible, session=session)
        if raw is None:
            raise not_found(self.target.collection)
        stored = document_of(raw.raw)
        require_accepted(precondition, stored)
        return raw, stored

    async def keep(
        self,
        session: AsyncClientSession,
        raw: RawBSONDocument,
        stored: Document,
        ended: Mapping[str, Any],
        renumber: bool,
    ) -> Document:
        """Keep the state that ends; the record of it. PayloadTooLarge if a record can't hold it."""
        if len(raw.raw) > LARGEST:
            raise PayloadTooLarge("the document is too large to be kept with its versions")
        target = (self.target.collection, self.target.tenant_field)
        kept = record(raw, stored, target, number_of(stored), ended)
        if renumber or kept["version"] == 0:
            [kept] = await self.rooms.renumbered(session, self.target.collection, [kept], self.target.keeping)
        if not self.target.audited:
            # Another write may come to have this number; this one is told by its mark.
            kept["part"] = self._part
            self._kept["_id"] = kept["_id"]
        await self.rooms.keep(session, [kept], self.target.keeping)
        self._made = kept["version"] + 1
        return kept

    async def revive(self, session: AsyncClientSession, kept: Document) -> None:
        """What the record holds is no longer a deleted document's last content: the document lives again."""
        self._kept["_id"] = kept["_id"]
        part = None if self.target.audited else self._part
        await self.rooms.revive(session, {"_id": kept["_id"]}, self.target.keeping, part)

    async def note(
        self,
        session: AsyncClientSession,
        action: str,
        state: State,
        reason: str | None = None,
        paths: Sequence[str] | None = None,
    ) -> None:
        """`state` is the document before and after."""
        traces = Traces(reason=reason, version=self._made, paths=paths, states=[state])
        await self._ledger.note(session, self._part, action, [self.id], traces)
        if not (self.target.audited or self.target.versioned):
            # What is stored tells nothing: another writer may have left the same, or removed it.
            await self.rooms.insert(session, PROOFS, [{"_id": self._part, "at": self.actor.now}])

    def forbidden(self, action: Action, verb: str) -> Forbidden:
        message = f"no rule of your roles allows {verb} this document"
        return Forbidden(message, action=action, collection=self.target.collection)


def _told(outcome: Updated | Deleted | Purged) -> Outcome:
    return outcome


def require_accepted(precondition: Precondition | None, stored: Document) -> None:
    if precondition is not None and not precondition.accepts(stored):
        raise PreconditionFailed("the document is not the one that If-Match names; read it again")
