"""An operation -> its outcome: planned and executed; of a filter's work chunk after chunk, each planned anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from permission_mongo.errors import Refusal
from permission_mongo.jobs import Turn, added
from permission_mongo.operations import Operation
from permission_mongo.outcomes import BatchOutcome, Outcome
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.make import Planner
from permission_mongo.plans import Plan
from permission_mongo.storage.store import Store


@dataclass(frozen=True, slots=True)
class Running:
    """The planner and the store at work. `clock` tells each later chunk its own moment."""

    planner: Planner
    store: Store
    clock: Callable[[], datetime]

    async def run(self, operation: Operation, asking: Asking) -> tuple[Plan, Outcome]:
        """The plan and what happened; a Refusal before any query runs, or where nothing was done."""
        plan = self.planner.plan(operation, asking)
        outcome = await self.store.execute(plan, asking.actor())
        if isinstance(outcome, BatchOutcome) and outcome.more is not None:
            return plan, await self._rest(operation, asking, outcome)
        return plan, outcome

    async def _rest(self, operation: Operation, asking: Asking, done: BatchOutcome) -> BatchOutcome:
        """The chunks behind the first. What was done stays done if a later one fails."""
        while done.more is not None and done.stopped is None:
            asking = replace(asking, now=self.clock())
            try:
                done = await self._chunk(operation, asking, Turn(done.more, done))
            except Refusal as refusal:
                if not done.count:
                    raise
                done = replace(done, stopped=refusal, more=None)
                if asking.once is not None:
                    await self.store.settle(asking.once, done, asking.actor())
        return done

    async def _chunk(self, operation: Operation, asking: Asking, turn: Turn) -> BatchOutcome:
        outcome = await self.store.execute(self.planner.plan(operation, asking), asking.actor(), turn)
        assert isinstance(outcome, BatchOutcome)  # noqa: S101  (a later chunk is never a replay)
        return added(turn.before, outcome)
