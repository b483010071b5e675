"""Plans of pipelines over the rows and fields that a caller reads raw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from permission_mongo.documents.paths import Path
from permission_mongo.policy.guard import Guarded


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The rows of `match` whose `foreign` is one of a row's `local`, as the list `name`: `fields` and the id.

    `partly` as in an AggregatePlan.
    """

    collection: str
    match: Guarded
    local: str
    foreign: str
    name: str
    fields: tuple[Path, ...]
    partly: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """The caller's `stages` over the rows of `match`, of which they see `fields` and the id. No more than `most_rows`.

    No field has another below it. `partly` are the names at the top of which the caller reads only what is below: what
    holds that is shown as far as there is something of it, and nothing tells of its shape.
    """

    collection: str
    match: Guarded
    fields: tuple[Path, ...]
    stages: tuple[dict[str, Any] | JoinPlan, ...]
    most_rows: int
    most_bytes: int
    partly: frozenset[str] = frozenset()
