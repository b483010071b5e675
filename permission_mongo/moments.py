"""Plans that read the past: a collection as it was at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from permission_mongo.documents.paths import Path
from permission_mongo.policy.grants import Lens
from permission_mongo.policy.guard import Guarded
from permission_mongo.schema.model import Computing


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOfPlan:
    """A page, in `_id` order behind `after`, of a collection as it was at `moment`.

    `live` are the rows that were asked for as they are, `records` the kept states that had not ended by then. A kept
    state is shown where the caller sees today's document too: among `present`, or, deleted, with the `last` content.
    `prefix` are the equal values that lead the index that `live` is read from; `led` says that `records` name what
    leads theirs.
    """

    collection: str
    tenant_field: str | None
    moment: datetime
    live: Guarded
    records: Guarded
    present: Guarded
    last: Guarded
    limit: int
    after: Any | None
    prefix: tuple[tuple[str, Any], ...]
    led: bool
    lens: Lens
    question: tuple[Any, ...]
    max_bytes: int
    fields: frozenset[Path] | None = None
    computed: Computing = ()


@dataclass(frozen=True, slots=True)
class AsOfOnePlan:
    """The one document that `page` can hold."""

    page: AsOfPlan


AsOf = AsOfPlan | AsOfOnePlan
