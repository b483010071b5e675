"""Whether something became slower: a run's lines beside the committed ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.rows import Row

_NOISE: Final = 0.15  # a change below that is none
Verdict = Literal["ok", "missed", "worse", "FAILS", "-"]
_HEADINGS: Final = ["line", "committed", "now", "change", "must", "verdict"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A line of the gate. `committed` is None for a line that came after the committed run."""

    row: Row
    committed: float | None

    @property
    def change(self) -> float | None:
        """How much better than committed, as a part of it; below 0 it is worse."""
        if not self.committed or not self.row.judged:
            return None
        now, then = self.row.judged, self.committed
        return then / now - 1 if self.row.less_is_better else now / then - 1

    @property
    def verdict(self) -> Verdict:
        """It FAILS more than a quarter below must, and only there: `missed` and `worse` are told, and no more.

        Ratios of one run waver as well, and the run is short.
        """
        if self.row.is_clearly_missed:
            return "FAILS"
        if self.change is not None and self.change < -_NOISE:
            return "worse"
        if self.row.met is False:
            return "missed"
        return "-" if self.row.met is None else "ok"


def judged(rows: Sequence[Row], committed: Mapping[str, Any]) -> list[Judged]:
    """Each of this run's lines beside the one of its name."""
    before = {one["name"]: (one["ratio"] or one["ours"])["median"] for one in committed["rows"]}
    return [Judged(row, before.get(row.name)) for row in rows]


def failing(found: Sequence[Judged]) -> list[str]:
    """The names of the lines that fail."""
    return [one.row.name for one in found if one.verdict == "FAILS"]


def gate_text(found: Sequence[Judged], date: str) -> str:
    """For a terminal: every line, and what follows from them."""
    lines = [_HEADINGS, *(_cells(one) for one in found)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    names = failing(found)
    told = f"more than a quarter below must: {', '.join(names)}" if names else "no line is a quarter below its must"
    return "\n".join([*table, "", f"Committed on {date}. {told[0].upper()}{told[1:]}."])


def _cells(one: Judged) -> list[str]:
    sign = "x" if one.row.ratio else f" {one.row.unit}"
    bound = "at most" if one.row.less_is_better else "at least"
    return [
        one.row.name,
        "-" if one.committed is None else f"{one.committed:.2f}{sign}",
        f"{one.row.judged:.2f}{sign}",
        "-" if one.change is None else f"{one.change:+.0%}",
        "-" if one.row.must is None else f"{bound} {one.row.must:g}",
        one.verdict,
    ]
