"""A filter narrowed to what a caller may touch. Only planning makes one; storage takes nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import conjunction
from permission_mongo.policy.to_mongo import MATCH_NONE, all_of, to_mongo
from permission_mongo.values import MongoFilter


@dataclass(frozen=True, slots=True)
class Guarded:
    """A filter already narrowed to what the caller may touch."""

    filter: MongoFilter

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match, so that no query need be sent."""
        return self.filter == MATCH_NONE


def narrow(asked: MongoFilter, *reaches: Reach) -> Guarded:
    """`{"$and": [policy, asked]}`: the rows that every reach holds, and that were asked for."""
    rows = conjunction(tuple(reach.rows for reach in reaches))
    return Guarded(all_of([to_mongo(rows), asked]))
