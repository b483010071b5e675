"""One measured line and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

_TOLERATED: Final = 0.25  # machines differ and shared ones waver: only a clear miss fails the run


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    min: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(*(round(one, 3) for one in (median(values), min(values), max(values))))


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is ours / floor, of the pairs of one round each; CPU in microseconds a request.

    `must` bounds the median of the ratio, or of `ours` where there is no floor; from above if `less_is_better`.
    """

    name: str
    what: str
    unit: str
    ours: Spread
    floor: Spread | None = None
    ratio: Spread | None = None
    must: float | None = None
    less_is_better: bool = False
    cpu_ours: float | None = None
    cpu_floor: float | None = None

    @property
    def judged(self) -> float:
        return (self.ratio or self.ours).median

    @property
    def met(self) -> bool | None:
        """None where nothing is demanded."""
        if self.must is None:
            return None
        return self.judged <= self.must if self.less_is_better else self.judged >= self.must

    @property
    def is_clearly_missed(self) -> bool:
        if self.must is None:
            return False
        if self.less_is_better:
            return self.judged > self.must * (1 + _TOLERATED)
        return self.judged < self.must * (1 - _TOLERATED)

    def as_entry(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def paired(ours: Sequence[float], floor: Sequence[float]) -> tuple[Spread, Spread, Spread]:
    """The spreads of both and of their ratio round by round: what slows a whole round slows both."""
    ratios = [one / other for one, other in zip(ours, floor, strict=True)]
    return spread(ours), spread(floor), spread(ratios)
