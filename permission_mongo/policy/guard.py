"""A filter narrowed to what a caller may touch. Only planning makes one; storage takes nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from bson import encode
from bson.raw_bson import RawBSONDocument

from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import Expression, conjunction, within
from permission_mongo.policy.to_mongo import MATCH_ALL, MATCH_NONE, all_of, to_mongo
from permission_mongo.values import CODEC, Document, DocumentId, MongoFilter

CONTENT = "data"  # where a record keeps its document
WHOLE = "full"  # the mode of a record that does


@dataclass(frozen=True, slots=True)
class Guarded:
    """A filter already narrowed to what the caller may touch."""

    filter: MongoFilter
    _encoded: RawBSONDocument | None = field(default=None, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match, so that no query need be sent."""
        return self.filter == MATCH_NONE

    def further(self, asked: MongoFilter) -> Guarded:
        """Narrowed to what was asked for: joined by `$and`, so that nothing asked can widen it."""
        return Guarded(all_of([self.filter, asked]))

    def also(self, condition: MongoFilter) -> MongoFilter:
        """The filter narrowed further: joined by `$and`, so that no condition can widen it."""
        return all_of([self.filter, condition])

    @property
    def encoded(self) -> RawBSONDocument:
        """The filter as BSON, made once."""
        if self._encoded is None:
            object.__setattr__(self, "_encoded", RawBSONDocument(encode(self.filter, codec_options=CODEC)))
        return cast("RawBSONDocument", self._encoded)

    def asks_as(self, other: Guarded) -> bool:
        """Whether it is the very same filter, byte for byte: to Python `1`, `1.0` and `True` would be one."""
        return bool(self.encoded.raw == other.encoded.raw)

    def one(self, id: DocumentId) -> MongoFilter:
        """The filter at one id."""
        return self._at(id)

    def among(self, ids: Iterable[DocumentId]) -> MongoFilter:
        return self._at({"$in": list(ids)})

    def _at(self, ids: Any) -> MongoFilter:
        return {"_id": ids, "$and": [self.encoded]} if self.filter else {"_id": ids}


@dataclass(frozen=True, slots=True)
class GuardedStates:
    """Kept states narrowed to what the caller may touch, however their contents are put together.

    `chain` finds the records that contents are made of, and asks nothing of these: a content is the caller's only if
    `admits` says so. `listed` are those of them whose whole content MongoDB finds to be the caller's, and those without
    one. The two readings of a rule agree, so that it is the same whether MongoDB or this one is asked.
    """

    chain: Guarded
    listed: Guarded
    _rows: Expression = field(repr=False)

    @property
    def is_empty(self) -> bool:
        return self.chain.is_empty

    def admits(self, content: Document) -> bool:
        return holds(self._rows, content)


def narrow(asked: MongoFilter, *reaches: Reach) -> Guarded:
    """`{"$and": [policy, asked]}`: the rows that every reach holds, and that were asked for."""
    rows = conjunction(tuple(reach.rows for reach in reaches))
    return Guarded(all_of([to_mongo(rows), asked]))


def narrow_content(asked: MongoFilter, *reaches: Reach) -> Guarded:
    """The same for kept versions: the rules are asked of the content of a record (`data`), not of the record."""
    rows = conjunction(tuple(within(reach.rows, CONTENT) for reach in reaches))
    return Guarded(all_of([to_mongo(rows), asked]))


def narrow_bound(bound: Expression, asked: MongoFilter = MATCH_ALL, *, content: bool = False) -> Guarded:
    """All rows of a tenant, or records by their content: for who looks after the tenant, and is shown none of them."""
    return Guarded(all_of([to_mongo(within(bound, CONTENT) if content else bound), asked]))


def narrow_whole(asked: MongoFilter, visible: Reach, writing: Reach, *, content: bool) -> Guarded:
    """Rows the caller sees and that one rule of `writing` lets be written and accepts as they will be."""
    rows = conjunction((visible.rows, writing.accepted_rows))
    return Guarded(all_of([to_mongo(within(rows, CONTENT) if content else rows), asked]))


def narrow_states(asked: MongoFilter, rows: Expression) -> GuardedStates:
    """Those of the records asked for in whose contents the bound `rows` hold. `asked` names the tenant as well."""
    judged = to_mongo(within(rows, CONTENT))
    if judged == MATCH_NONE:
        return GuardedStates(Guarded(judged), Guarded(judged), rows)
    whole = {"$or": [{"mode": {"$ne": WHOLE}}, judged]} if judged else {}
    return GuardedStates(Guarded(asked), Guarded(all_of([asked, whole])), rows)
