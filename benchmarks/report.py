"""A run's report: what was measured, with what, where it is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.rows import Row
from benchmarks.table import markdown_table, with_table

RESULTS: Final = Path(__file__).parent / "results"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
_PACKAGES: Final = ("pymongo", "uvicorn", "starlette", "httptools", "uvloop", "orjson")


def report_of(rows: Sequence[Row], mongod: str, rounds: int) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), "mongod": mongod, **{one: version(one) for one in _PACKAGES}},
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "rounds": rounds,
        "rows": [row.as_entry() for row in rows],
    }


def keep(report: dict[str, Any], folder: Path) -> Path:
    """Write the report under its date and as the latest; the first of the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    text = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    dated = folder / f"{report['date']}.json"
    for path in (dated, folder / "latest.json"):
        path.write_bytes(text)
    return dated


def latest(folder: Path = RESULTS) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "latest.json").read_bytes())
    return found


def update_page() -> None:
    """Put the latest table where the documentation shows it."""
    PAGE.write_text(with_table(PAGE.read_text(), markdown_table(latest())))
