"""The audit's entries as they are written: with one for its receiver in the outbox, where there is one."""

from __future__ import annotations

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.events import told_of_audit
from permission_mongo.hooks import Receiver
from permission_mongo.storage.layout import AUDIT
from permission_mongo.storage.outbox import Outbox
from permission_mongo.storage.straight import Pipeline, Straight
from permission_mongo.values import Document


class AuditEntries:
    """`stored` to be read; whoever writes one writes it here, so that none is left out of the outbox."""

    def __init__(
        self, database: AsyncDatabase[Document], straight: Straight, outbox: Outbox, receiver: Receiver | None
    ) -> None:
        self.stored: AsyncCollection[Document] = database[AUDIT]
        self._straight = straight
        self._outbox = outbox
        self._receiver = receiver

    async def insert_one(self, entry: Document, session: AsyncClientSession | None = None) -> None:
        if session is None:
            await self.stored.insert_one(entry)
        else:
            await self._straight.insert(session, AUDIT, entry)
        await self.tell([entry], session)

    async def send(self, pipeline: Pipeline, *entries: Document) -> None:
        """Without a word to the receiver: `tell` is for who sends them, when the pipeline is answered."""
        await pipeline.send({"insert": AUDIT, "documents": [*entries]})

    @property
    def is_told(self) -> bool:
        """Whether somebody outside is told of each entry."""
        return self._receiver is not None

    async def mend(self, entry: Document, session: AsyncClientSession) -> None:
        """Put it in place of one that the session's own transaction wrote. Nobody has seen that, nor was told of it."""
        assert not self.is_told  # noqa: S101  (what is told is not written ahead)
        await self.stored.replace_one({"_id": entry["_id"]}, entry, session=session)

    async def tell(self, entries: list[Document], session: AsyncClientSession | None = None) -> None:
        """Entries that are stored, to the receiver: committed with them where a session is given."""
        if self._receiver is not None:
            told = [told_of_audit(self._receiver, one) for one in entries]
            await self._outbox.add(session, told, entries[0]["at"])
