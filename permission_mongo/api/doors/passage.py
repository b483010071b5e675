"""What the requests of every door have in common behind their words: what is shown, and what of a batch is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from permission_mongo.api.calls import Call
from permission_mongo.api.endpoints import answered
from permission_mongo.errors import Refusal, Unavailable
from permission_mongo.operations import Operation
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import Shown, ShownAgain

_REPLAYED: Final = {"idempotency-replayed": "true"}


async def shown_to(call: Call, operation: Operation, asking: Asking) -> tuple[Shown, Mapping[str, str]]:
    """What is shown, and the headers that tell whether it is of an earlier request."""
    shown = await answered(call, operation, asking)
    return (shown.shown, _REPLAYED) if isinstance(shown, ShownAgain) else (shown, {})


async def batch_shown_to(call: Call, operation: Operation, asking: Asking) -> tuple[BatchOutcome, Mapping[str, str]]:
    """What a batch did; its id is a header, for who would undo it."""
    shown, headers = await shown_to(call, operation, asking)
    assert isinstance(shown, BatchOutcome)  # noqa: S101  (who waits is told of no job)
    return shown, headers if shown.batch is None else {**headers, "x-batch": shown.batch}


def first_reason(outcome: BatchOutcome) -> Refusal:
    """Why not all of it was done, as the first item tells it."""
    first = outcome.stopped or (outcome.failed[0].refusal if outcome.failed else None)
    return first or Unavailable("the gateway ended before all was done, and the rest was not tried")


def partly(outcome: BatchOutcome) -> Refusal:
    """The first reason why not all was done, and what was: for an API that has no answer for some."""
    failed, first = len(outcome.failed) + outcome.unlisted, first_reason(outcome)
    if not outcome.count and failed <= 1:
        return first
    details: dict[str, Any] = {**first.details, outcome.verb: outcome.count, "failed": failed}
    if outcome.batch is not None:
        details["batch"] = outcome.batch
    return type(first)(f"{outcome.count} {outcome.verb}, {failed} could not be: {first.message}", **details)
