"""The points of a curve, measured in turn: round by round, and every other round from the right to the left."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.curves.shape import Series, series_of
from benchmarks.load import connected
from benchmarks.processes import Served
from benchmarks.world import Extent

ONE_AT_A_TIME = "one request at a time"
ELAPSED = "elapsed"
CPU = "CPU of the gateway"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at one point, and of whom."""

    server: Served
    requests: Sequence[bytes]


@dataclass(slots=True)
class Costs:
    """Microseconds a request, of each round at each point."""

    elapsed: dict[float, list[float]] = field(default_factory=dict)
    cpu: dict[float, list[float]] = field(default_factory=dict)

    async def add(self, at: float, asked: Question, extent: Extent) -> float:
        async with connected(asked.server.port, 1, list(asked.requests)) as load:
            before = asked.server.cpu_seconds()
            found = await load.run(extent.seconds, extent.requests)
        spent = (asked.server.cpu_seconds() - before) / len(found.times)
        self.elapsed.setdefault(at, []).append(found.milliseconds(0.5) * 1000)
        self.cpu.setdefault(at, []).append(spent * 1e6)
        return self.elapsed[at][-1]


async def in_rounds(
    name: str, extent: Extent, places: Sequence[float], measure: Callable[[float], Awaitable[float]]
) -> None:
    """Measure at each place, `extent.rounds` times; what is told of each is what `measure` yields."""
    for done in range(extent.rounds):
        for at in places if done % 2 == 0 else reversed(places):
            told = await measure(at)
            print(f"{name:14} round {done + 1} of {extent.rounds}  {at:,.0f}: {told:,.1f}", file=sys.stderr, flush=True)


async def costs(name: str, extent: Extent, questions: Mapping[float, Question]) -> tuple[Series, ...]:
    """The median time of an answer and the gateway's CPU, of one request after the other."""
    found = await _costs(name, extent, {"": questions})
    return series_of(ELAPSED, found[""].elapsed), series_of(CPU, found[""].cpu)


async def costs_of_each(name: str, extent: Extent, kinds: Mapping[str, Mapping[float, Question]]) -> tuple[Series, ...]:
    """The same of several kinds of questions, by their labels, at the same places: in turn at each of them."""
    found = await _costs(name, extent, kinds)
    both = ((ELAPSED, "elapsed"), ("CPU", "cpu"))
    return tuple(
        series_of(f"{label}, {told}", getattr(one, part)) for label, one in found.items() for told, part in both
    )


async def _costs(name: str, extent: Extent, kinds: Mapping[str, Mapping[float, Question]]) -> dict[str, Costs]:
    found = {label: Costs() for label in kinds}
    for questions in kinds.values():
        warming = Costs()
        for at, asked in questions.items():
            await warming.add(at, asked, extent)

    async def measure(at: float) -> float:
        told = [await found[label].add(at, questions[at], extent) for label, questions in kinds.items()]
        return told[0]

    await in_rounds(name, extent, sorted(next(iter(kinds.values()))), measure)
    return found
