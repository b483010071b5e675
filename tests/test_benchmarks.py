"""The benchmarks run, and the documentation shows what they found. No test here looks at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.lines import LINES
from benchmarks.report import PAGE, latest
from benchmarks.rows import Row, spread
from benchmarks.table import markdown_table, table_in

ROOT = Path(__file__).parent.parent


@pytest.mark.mongo
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
def test_a_short_run_keeps_a_ratio_and_what_it_was_measured_with(mongo_uri, tmp_path):
    command = ["-m", "benchmarks", "--quick", "--only", "get-16", "--rounds", "1", "--requests", "48", "--results"]
    subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "MONGODB_URI": mongo_uri},
        timeout=60,
        check=False,  # a busy machine may miss the must
        capture_output=True,
    )
    report = json.loads((tmp_path / "latest.json").read_text())
    assert {"python", "pymongo", "uvicorn", "starlette", "mongod"} <= set(report["versions"])
    assert report["cpus"] >= 1
    (row,) = report["rows"]
    assert row["name"] == "get-16"
    assert row["ratio"]["median"] > 0
    assert row["ours"]["min"] <= row["ours"]["median"] <= row["ours"]["max"]
    assert row["met"] in (True, False)


def test_every_line_is_measured_or_waits_for_its_first_full_run():
    """What the table lacks is a line that came after it: nothing measured is called otherwise."""
    assert {row["name"] for row in latest()["rows"]} <= set(LINES)
    assert {"batch-create", "batch-get", "batch-update", "filter-delete", "filter-memory", "filter-others"} <= set(
        LINES
    )


def test_the_table_in_the_documentation_is_the_latest_result():
    assert table_in(PAGE.read_text()) == markdown_table(latest())


def a_row(must, ratio, *, less_is_better=False):
    return Row("line", "a line", "ms", spread([1.0]), spread([1.0]), spread([ratio]), must, less_is_better)


@pytest.mark.parametrize(
    ("row", "met", "clearly_missed"),
    [
        (a_row(None, 0.1), None, False),
        (a_row(0.8, 0.8), True, False),
        (a_row(0.8, 0.7), False, False),
        (a_row(0.8, 0.59), False, True),
        (a_row(3.0, 3.0, less_is_better=True), True, False),
        (a_row(3.0, 3.6, less_is_better=True), False, False),
        (a_row(3.0, 3.8, less_is_better=True), False, True),
    ],
)
def test_only_a_miss_by_more_than_a_quarter_fails_a_run(row, met, clearly_missed):
    assert (row.met, row.is_clearly_missed) == (met, clearly_missed)
