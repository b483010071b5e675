"""A run's report: what was measured, with what, where it is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.curves.shape import Curve
from benchmarks.rows import Row
from benchmarks.table import markdown_table, with_pictures, with_table
from benchmarks.world import Extent

RESULTS: Final = Path(__file__).parent / "results"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
PICTURES: Final = Path(__file__).parent.parent / "docs" / "performance"
_PACKAGES: Final = ("pymongo", "uvicorn", "starlette", "httptools", "uvloop", "orjson")


def report_of(rows: Sequence[Row], mongod: str, rounds: int, beside: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`beside` has the versions of what was measured beside the gateway."""
    return {**_about(mongod, rounds, beside or {}), "rows": [row.as_entry() for row in rows]}


def curves_of(curves: Sequence[Curve], mongod: str, extent: Extent) -> dict[str, Any]:
    """`seconds`, of a round, tells a short run from a full one."""
    about = {**_about(mongod, extent.rounds, {}), "seconds": extent.seconds}
    return {**about, "curves": [one.as_entry() for one in curves]}


def _about(mongod: str, rounds: int, beside: Mapping[str, str]) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "mongod": mongod, **{one: version(one) for one in _PACKAGES}}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {**versions, **beside},
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "rounds": rounds,
    }


def keep(report: dict[str, Any], folder: Path) -> Path:
    """Write the report under its date and as the latest; the first of the two files."""
    dated = folder / f"{report['date']}.json"
    for path in (dated, folder / "latest.json"):
        _write(path, report)
    return dated


def keep_curves(report: dict[str, Any], folder: Path) -> Path:
    """Write the curves under their date."""
    dated = folder / f"curves-{report['date']}.json"
    _write(dated, report)
    return dated


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def latest_curves(folder: Path = RESULTS) -> dict[str, Any] | None:
    """None where none are kept."""
    dated = sorted(folder.glob("curves-*.json"))
    found: dict[str, Any] | None = orjson.loads(dated[-1].read_bytes()) if dated else None
    return found


def latest(folder: Path = RESULTS) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "latest.json").read_bytes())
    return found


def update_page() -> None:
    """Put the latest table and the pictures there are where the documentation shows them."""
    drawn = {path.stem for path in PICTURES.glob("*.png")}
    PAGE.write_text(with_pictures(with_table(PAGE.read_text(), markdown_table(latest())), drawn))
