"""The benchmarks run, and the documentation shows what they found. No test here looks at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.curves.shape import Curve, Series, series_of, text_of
from benchmarks.curves.table import CURVES
from benchmarks.gate import failing, gate_text, judged
from benchmarks.lines import LINES
from benchmarks.load import Round
from benchmarks.peers import installed as peers
from benchmarks.peers.lines import MUSTS, lines_against
from benchmarks.report import PAGE, PICTURES, curves_of, keep_curves, latest, latest_curves
from benchmarks.rows import Row, spread
from benchmarks.table import markdown_table, pictures_in, table_in, with_pictures
from benchmarks.world import Extent

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
    of_peers = {f"{peer}-{kind}" for peer, kinds in MUSTS.items() for kind in kinds}
    assert {row["name"] for row in latest()["rows"]} <= {*LINES, *of_peers}
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


# -- the gate


def named(name, must, ratio, *, less_is_better=False):
    return Row(name, name, "ms", spread([1.0]), spread([1.0]), spread([ratio]), must, less_is_better)


def committed(**ratios):
    rows = [{"name": name, "ratio": {"median": ratio}, "ours": {"median": 1.0}} for name, ratio in ratios.items()]
    return {"date": "2026-01-31", "rows": rows}


@pytest.mark.parametrize(
    ("row", "before", "verdict"),
    [
        (named("line", 1.0, 1.3), 1.3, "ok"),
        (named("line", 1.0, 1.0), 2.0, "worse"),
        (named("line", 1.0, 0.9), 0.9, "missed"),
        (named("line", 1.0, 0.74), 0.74, "FAILS"),
        (named("line", 2.4, 3.1, less_is_better=True), 3.0, "FAILS"),
        (named("line", 2.4, 2.0, less_is_better=True), 1.2, "worse"),
        (named("line", 2.4, 1.0, less_is_better=True), 2.0, "ok"),
        (named("line", None, 0.1), 0.1, "-"),
        (named("line", None, 0.1), 1.0, "worse"),
    ],
)
def test_the_gate_fails_a_quarter_below_must_and_tells_what_became_worse(row, before, verdict):
    found = judged([row], committed(line=before))
    assert [one.verdict for one in found] == [verdict]
    assert failing(found) == (["line"] if verdict == "FAILS" else [])


def test_a_line_that_came_after_the_committed_run_is_judged_by_its_must_alone():
    found = judged([named("new", 1.0, 0.8), named("newer", 1.0, 0.5)], committed(line=1.0))
    assert [(one.committed, one.change, one.verdict) for one in found] == [
        (None, None, "missed"),
        (None, None, "FAILS"),
    ]
    text = gate_text(found, "2026-01-31")
    assert "More than a quarter below must: newer." in text


def test_a_line_without_a_floor_is_held_against_what_it_was_itself():
    row = Row("memory", "memory", "MB", spread([80.0]), must=90.0, less_is_better=True)
    before = {"date": "2026-01-31", "rows": [{"name": "memory", "ratio": None, "ours": {"median": 64.0}}]}
    (found,) = judged([row], before)
    assert (found.committed, found.change, found.verdict) == (64.0, pytest.approx(-0.2), "worse")


# -- curves and pictures


def a_curve():
    series = series_of("elapsed", {100.0: [3.0, 4.0, 5.0], 10.0: [2.0, 1.0, 3.0]})
    return Curve("rules", "GET by id", "rules of the policy", "us a request", (series,))


def test_a_curve_is_kept_under_its_date_with_its_points_and_its_growth(tmp_path):
    report = curves_of([a_curve()], "6.0.5", Extent(3, 0.4, 100, 1000))
    kept = keep_curves(report, tmp_path)
    assert kept.name == f"curves-{report['date']}.json"
    assert latest_curves(tmp_path) == json.loads(kept.read_text())
    (curve,) = json.loads(kept.read_text())["curves"]
    assert [point["at"] for point in curve["series"][0]["points"]] == [10.0, 100.0]
    assert curve["series"][0]["points"][1]["found"] == {"median": 4.0, "min": 3.0, "max": 5.0}
    assert curve["growth"] == {"elapsed": 2.0}
    assert "10: 2.0  100: 4.0  (2x)" in text_of(curve)
    assert report["seconds"] == 0.4
    assert {"python", "mongod"} <= set(report["versions"])


def test_the_newest_curves_are_those_of_the_last_day(tmp_path):
    assert latest_curves(tmp_path) is None
    for day in ("2026-01-31", "2026-02-01"):
        (tmp_path / f"curves-{day}.json").write_text(json.dumps({"date": day}))
    assert latest_curves(tmp_path) == {"date": "2026-02-01"}


def test_a_series_stands_from_the_left_to_the_right():
    points = series_of("elapsed", {1.0: [1.0], 2.0: [1.0]}).points
    with pytest.raises(ValueError, match="left to the right"):
        Series("elapsed", points[::-1])


def test_every_kept_curve_is_one_that_is_measured():
    kept = latest_curves()
    assert kept is None or {one["name"] for one in kept["curves"]} <= set(CURVES)


def test_the_page_shows_the_pictures_there_are_and_no_other():
    page = PAGE.read_text()
    drawn = {path.stem for path in PICTURES.glob("*.png")}
    assert with_pictures(page, drawn) == page
    assert pictures_in(with_pictures(page, ["latency"])).count("](performance/") == 1
    assert pictures_in(with_pictures(page, [])) == ""


def test_pictures_are_small():
    assert [path.name for path in PICTURES.glob("*.png") if path.stat().st_size > 60_000] == []


def test_the_99th_percentile_is_what_all_but_one_in_a_hundred_came_within():
    found = Round(100, 1.0, [n / 1000 for n in range(1, 101)])
    assert (found.milliseconds(0.5), found.milliseconds(0.99)) == (51.0, 100.0)
    assert Round(1, 1.0, [0.004]).milliseconds(0.99) == 4.0


# -- peers


def test_a_peer_that_can_not_be_had_is_left_out_with_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = peers.installed("parse")
    assert isinstance(found, peers.Missing)
    assert "Parse Server is left out" in found.why


def test_half_an_install_is_made_again_and_a_whole_one_is_not(tmp_path):
    fails = [[sys.executable, "-c", "import sys; sys.exit('no such package')"]]
    found = peers._made("Eve", tmp_path, {"eve": "1"}, fails)
    assert found is not None
    assert "no such package" in found.why
    assert peers._made("Eve", tmp_path, {"eve": "1"}, [[sys.executable, "-c", ""]]) is None
    assert peers._made("Eve", tmp_path, {"eve": "1"}, fails) is None
    assert peers._made("Eve", tmp_path, {"eve": "2"}, fails) is not None


def test_each_peer_is_asked_for_a_document_a_list_and_a_new_document(tmp_path):
    for name in MUSTS:
        lines = lines_against(peers.Peer(name, tmp_path, {}))
        assert list(lines) == [f"{name}-{kind}" for kind in ("get", "list", "post", "post-audit")]
        assert set(lines).isdisjoint(LINES)
