"""A curve and how it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.rows import Spread, spread


@dataclass(frozen=True, slots=True)
class Point:
    at: float
    found: Spread


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a picture, its points from the left to the right."""

    label: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        places = [one.at for one in self.points]
        if places != sorted(set(places)):
            raise ValueError(f"{self.label}: points stand from the left to the right, each once")

    @property
    def growth(self) -> float:
        """The last point's median against the first's."""
        return round(self.points[-1].found.median / self.points[0].found.median, 2)


@dataclass(frozen=True, slots=True)
class Curve:
    """`x` says what grows, `unit` what is measured. `remark` what a reader of the picture must know, or nothing."""

    name: str
    what: str
    x: str
    unit: str
    series: tuple[Series, ...]
    remark: str = ""

    def as_entry(self) -> dict[str, Any]:
        growth = {one.label: one.growth for one in self.series}
        return {**asdict(self), "growth": growth}


def series_of(label: str, values: Mapping[float, Sequence[float]]) -> Series:
    """Of the values found at each place."""
    return Series(label, tuple(Point(at, spread(found)) for at, found in sorted(values.items())))


def text_of(curve: Mapping[str, Any]) -> str:
    """For a terminal: a line for each series, its medians by their places."""
    lines = [f"{curve['what']}, by {curve['x']} ({curve['unit']})"]
    for one in curve["series"]:
        told = "  ".join(f"{point['at']:,.0f}: {point['found']['median']:,.1f}" for point in one["points"])
        lines.append(f"  {one['label']:20} {told}  ({curve['growth'][one['label']]:g}x)")
    return "\n".join(lines)
