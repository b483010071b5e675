"""A filter narrowed to what a caller may touch. Only planning makes one; storage takes nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import conjunction, within
from permission_mongo.policy.to_mongo import MATCH_NONE, all_of, to_mongo
from permission_mongo.values import DocumentId, MongoFilter

CONTENT = "data"  # where a record keeps its document


@dataclass(frozen=True, slots=True)
class Guarded:
    """A filter already narrowed to what the caller may touch."""

    filter: MongoFilter

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

    def among(self, ids: Iterable[DocumentId]) -> MongoFilter:
        return self.also({"_id": {"$in": list(ids)}})


def narrow(asked: MongoFilter, *reaches: Reach) -> Guarded:
    """`{"$and": [policy, asked]}`: the rows that every reach holds, and that were asked for."""
    rows = conjunction(tuple(reach.rows for reach in reaches))
    return Guarded(all_of([to_mongo(rows), asked]))


def narrow_content(asked: MongoFilter, *reaches: Reach) -> Guarded:
    """The same for kept versions: the rules are asked of the content of a record (`data`), not of the record."""
    rows = conjunction(tuple(within(reach.rows, CONTENT) for reach in reaches))
    return Guarded(all_of([to_mongo(rows), asked]))


def narrow_whole(asked: MongoFilter, visible: Reach, writing: Reach, *, content: bool) -> Guarded:
    """Rows the caller sees and that one rule of `writing` lets be written and accepts as they will be."""
    rows = conjunction((visible.rows, writing.accepted_rows))
    return Guarded(all_of([to_mongo(within(rows, CONTENT) if content else rows), asked]))
