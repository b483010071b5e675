"""Batch delete: the write first, then the rows read outside the transaction, then their versions, then the commit.

What the transaction has removed nobody else can commit to, so the last committed state, read outside it, is exactly
what was removed; as many rows as removals means that they are the same. Reading first and deleting second would lose
what a writer changes in between.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, cast

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.batch import without
from permission_mongo.errors import Forbidden, PreconditionFailed, Refusal
from permission_mongo.jobs import AT_FIRST, Turn
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.plans import Actor, DeletePlan
from permission_mongo.storage.decoding import document_of
from permission_mongo.storage.parts import Ids, Progress, TooMuch
from permission_mongo.storage.replies import Stored
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.storage.singles import require_accepted
from permission_mongo.storage.straight import Pipeline, require_written
from permission_mongo.storage.transactions import Raced
from permission_mongo.storage.turns import ahead, documents_in
from permission_mongo.storage.works import Attempted, Share, Work
from permission_mongo.values import Document, DocumentId
from permission_mongo.versions import LARGEST, Ending, number_of

_PIECE: Final = 500  # rows read ahead: the half of a batch of a thousand
_PIECE_BYTES: Final = 8 * 2**20  # of them, as far as their sizes are known
_WORTH_HALVING: Final = 500  # rows
_BESIDE_OTHERS: Final = 100  # rows removed by one command of a filter's work


async def delete_many(
    plan: DeletePlan, actor: Actor, rooms: Rooms, turn: Turn = AT_FIRST, share: Share | None = None
) -> BatchOutcome:
    """Remove the plan's rows: those it names, chunk by chunk, or of a filter's one chunk, as it is its `turn`.

    What one transaction did stays done if a later one fails.
    """
    return await _Deletion(plan, actor, rooms, turn, share).done()


class _Deletion(Work):
    """One batch on its way."""

    action = "delete"
    verb = "deleted"

    def __init__(self, plan: DeletePlan, actor: Actor, rooms: Rooms, turn: Turn, share: Share | None) -> None:
        super().__init__(plan, actor, rooms, turn, share)
        self._plan = plan

    def _live(self) -> AsyncCollection[Document]:
        return self._rooms.live(self._plan.target.collection)

    async def attempt(self, session: AsyncClientSession, ids: Ids, renumber: bool) -> Attempted:
        failed = await self._unaccepted(session, ids)
        stored = await self._looked_at(session, without(ids, failed))
        failed |= self._refused(stored)
        left = without(ids, failed)
        removed, records = await self._remove(session, left, renumber)
        rest = without(left, removed) if len(removed) < len(left) else ()
        if rest and self._plan.expected is not None and not self._plan.visible.is_empty:
            found = self._live().find(self._plan.visible.among(rest), {"_id": 1}, session=session)
            failed |= {row["_id"]: self._forbidden() for row in await found.to_list()}
        told = removed if self._plan.target.posts.delete else []
        return Attempted(Progress(removed, failed=failed), records, [(stored[one], None) for one in told])

    async def _looked_at(self, session: AsyncClientSession, ids: Ids) -> dict[DocumentId, Document]:
        """The rows that may be removed, where a hook asks of them or a receiver is told of them.

        In the snapshot in which they are removed: a writer in between is a conflict with it.
        """
        if not (self._plan.pre or self._plan.target.posts.delete):
            return {}
        rows = await self._read(session, ids, matching=True)
        return {stored["_id"]: stored for _, stored in rows}

    def _refused(self, rows: Mapping[DocumentId, Document]) -> dict[DocumentId, Refusal]:
        """Those that a hook does not let go."""
        refused: dict[DocumentId, Refusal] = {}
        pre = self._plan.pre
        if not pre:
            return refused
        for one, stored in rows.items():
            try:
                pre.judge(one, stored, None)
            except Refusal as refusal:
                refused[one] = refusal
        return refused

    def _forbidden(self) -> Refusal:
        name = self._plan.target.collection
        return Forbidden("no rule of your roles allows deleting this document", action="delete", collection=name)

    async def _unaccepted(self, session: AsyncClientSession, ids: Ids) -> dict[DocumentId, Refusal]:
        """What is not as its caller last saw it. Judged in the snapshot in which it is removed or not."""
        plan = self._plan
        conditional = [one for one in ids if one in plan.preconditions]
        if not conditional or plan.visible.is_empty:
            return {}
        failed: dict[DocumentId, Refusal] = {}
        rows = self._rooms.raw(plan.target.collection).find(plan.visible.among(conditional), session=session)
        async for row in rows:
            stored = document_of(row.raw)
            try:
                require_accepted(plan.preconditions[stored["_id"]], stored)
            except PreconditionFailed as refusal:
                failed[stored["_id"]] = refusal
        return failed

    async def _remove(
        self, session: AsyncClientSession, ids: Ids, renumber: bool
    ) -> tuple[list[DocumentId], list[Document]]:
        """The ids of the rows removed, and of the versions that keep them."""
        if self._plan.match.is_empty:
            return [], []
        match = self._plan.match.among(ids)
        if not self._plan.target.versioned:
            return await self._remove_unversioned(session, match), []
        kept: list[Document] = []
        counts: list[int] = []
        size = 0
        async with AsyncExitStack() as reading, self._rooms.straight.pipelined(session) as pipeline:

            async def keep(pieces: AsyncGenerator[_Piece, None]) -> None:
                nonlocal size
                async for piece in pieces:
                    size = self._require_room(piece.sizes, size)
                    kept.extend(await self._keep(pipeline, piece, renumber))

            # The rows of a group are read, and their records made, while the next one is removed.
            groups = self._groups(ids)
            behind: AsyncGenerator[_Piece, None] | None = None
            for n, group in enumerate(groups):
                for sent in groups[n + 1 : n + 2] if n else groups[:2]:
                    await self._delete(pipeline, sent, counts)
                await pipeline.answered(left=1 if n + 1 < len(groups) else 0)
                pieces = await reading.enter_async_context(ahead(self._pieces(group, renumber)))
                if behind is not None:
                    await keep(behind)
                behind = pieces
            if behind is not None:
                await keep(behind)
        if len(kept) != sum(counts):
            raise Raced
        return [one["d"] for one in kept], kept

    def _groups(self, ids: Ids) -> list[Ids]:
        """Two halves where a caller named them. Of a filter's work, beside which others ask, small ones: what MongoDB
        and this process do at a stretch is what everybody waits for.
        """
        if self._plan.expected is None:
            size = _BESIDE_OTHERS
        else:
            size = len(ids) if len(ids) < _WORTH_HALVING else -(-len(ids) // 2)
        return [ids[n : n + size] for n in range(0, len(ids), size or 1)]

    async def _delete(self, pipeline: Pipeline, ids: Ids, counts: list[int]) -> None:
        """`counts` takes how many it has removed, when it is answered."""

        def take(answer: Document) -> None:
            require_written(answer)
            counts.append(answer["n"])

        removal = {"q": self._plan.match.among(ids), "limit": 0, "hint": {"_id": 1}}
        await pipeline.send({"delete": self._plan.target.collection, "deletes": [removal]}, take)

    async def _keep(self, pipeline: Pipeline, piece: _Piece, renumber: bool) -> list[Document]:
        """The ids of the versions that are stored then."""
        target = self._plan.target
        if piece.records is not None:
            records = [Stored(one) for _, one in piece.records]
            await self._rooms.keep_whole(pipeline, target.collection, records)
            return [one for one, _ in piece.records]
        await pipeline.answered()
        states = [(RawBSONDocument(raw), stored) for raw, stored in piece.states]
        kept = await self._records(pipeline.session, states, renumber)
        await self._rooms.keep(pipeline.session, kept, target.keeping)
        return [one["_id"] for one in kept]

    async def _pieces(self, ids: Ids, renumber: bool) -> AsyncGenerator[_Piece, None]:
        """The rows just removed. A piece is one answer of MongoDB, which puts no more than 16 MiB into one.

        Outside the transaction, on the primary: what was committed last is what was removed.
        """
        stored = self._rooms.raw(self._plan.target.collection)
        ending = self._ending(renumber)
        seen = self._rooms.sizes[self._plan.target.collection]
        begin = 0
        while begin < len(ids):
            rows = max(1, min(_PIECE, int(_PIECE_BYTES // max(seen.expected(1), 1))))
            match, begin = self._plan.match.among(ids[begin : begin + rows]), begin + rows
            async with stored.find_raw_batches(match, hint=BY_ID, batch_size=rows + 1) as found:
                async for answered in found:
                    if answered:
                        piece = await _piece(cast("bytes", answered), ending)
                        seen.saw(sum(piece.sizes), len(piece.sizes))
                        del answered  # as large as the piece itself, which waits to be taken
                        yield piece

    async def _remove_unversioned(self, session: AsyncClientSession, match: Document) -> list[DocumentId]:
        rows = await self._live().find(match, {"_id": 1}, session=session).to_list()
        result = await self._live().delete_many(match, session=session)
        if result.deleted_count != len(rows):
            raise Raced
        return [row["_id"] for row in rows]

    def _require_room(self, sizes: list[int], before: int) -> int:
        """The bytes of one transaction so far."""
        total = before + sum(sizes)
        if (total > self._plan.target.max_bytes and (before or len(sizes) > 1)) or max(sizes, default=0) > LARGEST:
            raise TooMuch
        return total


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows that were removed: their records with the ids of these, or, where more is to be known for that, the rows."""

    sizes: list[int]
    states: list[tuple[bytes, Document]]
    records: list[tuple[Document, bytes]] | None


async def _piece(stored: bytes, ending: Ending | None) -> _Piece:
    sizes: list[int] = []
    records: list[tuple[Document, bytes]] = []
    async for raw, one in documents_in(stored):
        number = number_of(one)
        if ending is None or not number:
            # A document that was there before the gateway may have a history all the same.
            states = [state async for state in documents_in(stored)]
            return _Piece([len(raw) for raw, _ in states], states, None)
        sizes.append(len(raw))
        records.append(ending.record(raw, one, number))
    return _Piece(sizes, [], records)
