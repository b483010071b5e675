"""Plans that read what is kept of one document: by its number, by two of them, all in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from permission_mongo.policy.grants import Lens
from permission_mongo.policy.guard import Guarded, GuardedStates
from permission_mongo.schema.model import Computing
from permission_mongo.values import DocumentId, MongoFilter
from permission_mongo.versions import life_of


@dataclass(frozen=True, slots=True)
class Past:
    """One document and what is kept of it: `live` finds it if it lives, `states` are the kept ones that may be seen.

    They are of one `tenant`, or, for a caller who `crosses` them, of all that have had a document of this id.
    """

    collection: str
    tenant_field: str | None
    id: DocumentId
    live: Guarded
    states: GuardedStates
    tenant: Any
    crosses: bool

    def numbered(self, least: int, most: int) -> MongoFilter:
        """Records by their numbers, both included. Where the tenant is known their ids tell them."""
        if self.crosses:
            return {"version": {"$gte": least, "$lte": most}}
        return life_of(self.collection, self.id, self.tenant, least, most)

    @property
    def newest_first(self) -> list[tuple[str, int]]:
        return [("version", -1), ("_id", -1)] if self.crosses else [("_id", -1)]


@dataclass(frozen=True, slots=True)
class VersionsPlan:
    """The history, newest first, below version `before`."""

    past: Past
    limit: int
    before: int | None


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """One state, shown through `lens`, with the `computed` fields that are stored nowhere."""

    past: Past
    version: int
    lens: Lens
    computed: Computing


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """Two states, of which `lens` tells what may be compared."""

    past: Past
    earlier: int
    later: int
    lens: Lens


@dataclass(frozen=True, slots=True)
class AgainPlan:
    """The state of `version` (None: any) that an earlier write made."""

    past: Past
    version: int | None
    lens: Lens
    created: bool


PastPlan = VersionsPlan | VersionPlan | ComparePlan | AgainPlan
