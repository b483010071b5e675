"""A report as a table, for the terminal and for docs/performance.md, and what stands there of its pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

_HEADINGS: Final = [
    "line",
    "unit",
    "floor",
    "gateway",
    "range",
    "ratio",
    "ratio's range",
    "CPU us, floor / gateway",
    "must",
    "met",
]
_BEGIN: Final = "<!-- table: python -m benchmarks --table -->\n"
_END: Final = "<!-- end of table -->"
_PICTURES_BEGIN: Final = "<!-- pictures: python -m benchmarks --pictures -->\n"
_PICTURES_END: Final = "<!-- end of pictures -->"
PICTURES: Final[Mapping[str, str]] = {
    "throughput": "Requests a second against the floors",
    "peers": "Requests a second against other gateways",
    "latency": "How long answers take when more ask at once: p50 and p99",
    "policy": "What more policy costs a request",
    "stored": "What more, deeper, larger and more at once cost",
}
_VERDICTS: Final = {True: "yes", False: "**no**", None: "-"}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _middle(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else _number(found["median"])


def _span(found: Mapping[str, float] | None, form: str = "") -> str:
    if found is None:
        return "-"
    least, most = (f"{found[end]:{form}}" if form else _number(found[end]) for end in ("min", "max"))
    return f"{least} to {most}"


def _must(row: Mapping[str, Any]) -> str:
    if row["must"] is None:
        return "-"
    sign = "at most" if row["less_is_better"] else "at least"
    return f"{sign} {row['must']:g}" + ("x" if row["ratio"] else "")


def _cpu(row: Mapping[str, Any]) -> str:
    if row["cpu_ours"] is None:
        return "-"
    floor, ours = row["cpu_floor"], row["cpu_ours"]
    return f"{floor:.0f} / {ours:.0f} ({floor / ours:.2f}x)"


def _cells(row: Mapping[str, Any]) -> list[str]:
    ratio = row["ratio"]
    return [
        row["what"],
        row["unit"],
        _middle(row["floor"]),
        _middle(row["ours"]),
        _span(row["ours"]),
        "-" if ratio is None else f"{ratio['median']:.2f}x",
        _span(ratio, ".2f"),
        _cpu(row),
        _must(row),
        _VERDICTS[row["met"]],
    ]


def text_table(rows: list[Mapping[str, Any]]) -> str:
    """Columns by width, for a terminal."""
    lines = [_HEADINGS, *([cell.replace("**", "") for cell in _cells(row)] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADINGS))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def markdown_table(report: Mapping[str, Any]) -> str:
    """The table of a report, with the line that tells where and when it was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *(_cells(row) for row in report["rows"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nMeasured on {report['date']}, {report['cpus']} CPUs, {report['system']}: {versions}.\n"


def table_in(page: str) -> str:
    """What stands between the markers of a page. ValueError if they are missing."""
    return _between(page, _BEGIN, _END)


def with_table(page: str, table: str) -> str:
    """The page with this table between its markers."""
    return page.replace(_BEGIN + table_in(page) + _END, _BEGIN + table + _END)


def pictures_in(page: str) -> str:
    return _between(page, _PICTURES_BEGIN, _PICTURES_END)


def with_pictures(page: str, names: Collection[str]) -> str:
    """The page with those pictures, each below what it shows. A picture that was never drawn is not linked."""
    shown = [f"{told}:\n\n![{told}](performance/{name}.png)\n" for name, told in PICTURES.items() if name in names]
    begin, end = _PICTURES_BEGIN, _PICTURES_END
    return page.replace(begin + pictures_in(page) + end, begin + "\n".join(shown) + end)


def _between(page: str, begin: str, end: str) -> str:
    return page[page.index(begin) + len(begin) : page.index(end)]
