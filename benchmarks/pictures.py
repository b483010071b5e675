"""The pictures of docs/performance.md, drawn from what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from PIL import Image

_GATEWAY: Final = "#1f6f8b"
_FLOOR: Final = "#c7843b"
_INK: Final = "#2b2b2b"
_DPI: Final = 100
_COLOURS: Final = 64
_STYLE: Final = {
    "font.size": 9,
    "axes.edgecolor": "#9a9a9a",
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
# Lines whose floor is another program, the same question asked of both. Peers have a picture of their own.
_OF_FLOORS: Final = ("health", "get-", "list-20", "list-100", "post-plain", "post-default", "workers-")
_OF_PEERS: Final = ("eve-", "parse-")
_WHOLE: Final = 1.0  # seconds: a round of a full run


def draw(lines: Mapping[str, Any] | None, curves: Mapping[str, Any] | None, folder: Path) -> list[Path]:
    """Each picture that there is something for; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Path] = []
    with mpl.rc_context(_STYLE):
        for name, figure in _figures(lines, curves):
            path = folder / f"{name}.png"
            _save(figure, path)
            found.append(path)
    return found


def _save(figure: Figure, path: Path) -> None:
    """Few colours are enough, and make a third of the bytes."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=_DPI, facecolor="white")
    Image.open(drawn).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _figures(lines: Mapping[str, Any] | None, curves: Mapping[str, Any] | None) -> Iterator[tuple[str, Figure]]:
    if lines is not None:
        for name, beginnings, other in (("throughput", _OF_FLOORS, "the floor"), ("peers", _OF_PEERS, "the peer")):
            rows = [row for row in lines["rows"] if row["name"].startswith(beginnings)]
            if rows:
                yield name, _bars(rows, lines, other)
    if curves is not None:
        known = {one["name"]: one for one in curves["curves"]}
        for name, members in _PANELS.items():
            chosen = [known[one] for one in members if one in known]
            if chosen:
                yield name, _panels(chosen, curves)


_PANELS: Final[Mapping[str, tuple[str, ...]]] = {
    "latency": ("latency-get", "latency-list", "latency-post"),
    "policy": ("rules", "roles", "subordinates"),
    "stored": ("documents", "depth", "sizes", "batches"),
}


def _when(report: Mapping[str, Any]) -> str:
    short = ", a short run" if report.get("seconds", _WHOLE) < _WHOLE else ""
    return f"{report['date']}, {report['cpus']} CPUs, {report['rounds']} rounds{short}"


# -- bars


def _bars(rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any], other: str) -> Figure:
    """A bar for each line: how many times as many requests a second; its range, its must, the two numbers."""
    figure = Figure(figsize=(9, 0.9 + 0.29 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    ratios = [row["ratio"]["median"] for row in rows]
    ends = [
        [row["ratio"]["median"] - row["ratio"]["min"] for row in rows],
        [row["ratio"]["max"] - row["ratio"]["median"] for row in rows],
    ]
    axes.barh(places, ratios, height=0.62, color=_GATEWAY, xerr=ends, ecolor="#8fb7c5", error_kw={"lw": 1.2})
    axes.axvline(1.0, color=_FLOOR, lw=1.2)
    for place, row in zip(places, rows, strict=True):
        if row["must"] is not None:
            axes.plot([row["must"]] * 2, [place - 0.4, place + 0.4], color="#c0392b", lw=2)
    most = max(row["ratio"]["max"] for row in rows)
    for place, row in zip(places, rows, strict=True):
        told = f"{row['ours']['median']:,.0f} : {row['floor']['median']:,.0f}"
        axes.text(most * 1.03, place, told, va="center", fontsize=8)
    axes.set_yticks(places, [row["what"] for row in rows], fontsize=8)
    axes.set_xlim(0, most * 1.22)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    told = f"times the requests a second of {other}; red: must; thin: range of the rounds; right: gateway : {other}"
    figure.supxlabel(told, fontsize=8)
    axes.set_title(_when(report), loc="right", fontsize=8, color="#6a6a6a")
    return figure


# -- curves


def _panels(curves: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> Figure:
    columns = 3 if len(curves) == 3 else min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.2 * columns if columns == 3 else 4.6 * columns, 3.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, curve in zip(panels, curves, strict=False):
        _panel(axes, curve)
    figure.suptitle(_when(report), x=0.995, ha="right", fontsize=8, color="#6a6a6a")
    return figure


def _panel(axes: Axes, curve: Mapping[str, Any]) -> None:
    """The medians as a line, the range of the rounds as a shade."""
    for one in curve["series"]:
        at = [max(point["at"], 1) for point in one["points"]]
        found = [point["found"] for point in one["points"]]
        colour, dashes = _look(one["label"])
        axes.plot(at, [it["median"] for it in found], dashes, marker="o", ms=3, color=colour, label=one["label"])
        axes.fill_between(at, [it["min"] for it in found], [it["max"] for it in found], color=colour, alpha=0.12, lw=0)
    axes.set_xscale("log")
    ends = [point["found"]["median"] for one in curve["series"] for point in one["points"]]
    if max(ends) > 8 * min(ends):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0)
    _label(axes, curve)


def _look(label: str) -> tuple[str, str]:
    """One colour for what is measured, dashes for its p99 or its CPU."""
    dashes = "--" if label.endswith(("p99", "CPU", "CPU of the gateway")) else "-"
    return (_FLOOR if label.startswith(("floor", "bare", "list")) else _GATEWAY), dashes


def _label(axes: Axes, curve: Mapping[str, Any]) -> None:
    places = sorted({max(point["at"], 1) for one in curve["series"] for point in one["points"]})
    begins_at_none = any(point["at"] == 0 for one in curve["series"] for point in one["points"])
    axes.set_xticks(places, ["0" if one == 1 and begins_at_none else _short(one) for one in places])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)
    axes.grid(visible=True, which="major")
    axes.set_title(curve["what"], loc="left")
    axes.set_xlabel(curve["x"])
    axes.set_ylabel(curve["unit"])
    axes.legend(fontsize=7, frameon=False, handlelength=3.2)


def _short(count: float) -> str:
    for size, sign in ((1_000_000, "M"), (1_000, "k")):
        if count >= 0.99 * size:  # a page's rows before it are a page less than all
            return f"{round(count / size, 1):g}{sign}"
    return f"{count:g}"
