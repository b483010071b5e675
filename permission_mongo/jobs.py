"""A batch of several chunks on its way: whose turn it is, and what its chunks did together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from permission_mongo.batch import Bound
from permission_mongo.outcomes import BatchOutcome

MOST_LISTED: Final = 1000  # failures; the rest are counted


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a filter's work stands: the next chunk begins `behind` a bound; `before` is what the earlier ones did."""

    behind: Bound | None = None
    before: BatchOutcome | None = None


AT_FIRST: Final = Turn()


def added(before: BatchOutcome | None, chunk: BatchOutcome) -> BatchOutcome:
    """Both together. What was done is counted and not listed, for a filter can match any number."""
    if before is None:
        return chunk
    failed = before.failed + chunk.failed
    return replace(
        chunk,
        done=(),
        counted=before.count + chunk.count,
        unchanged=before.unchanged + chunk.unchanged,
        failed=failed[:MOST_LISTED],
        unlisted=before.unlisted + chunk.unlisted + len(failed[MOST_LISTED:]),
        batch=chunk.batch or before.batch,
    )
