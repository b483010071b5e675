"""`python -m benchmarks`: measure the gateway against the floors, tell and keep the result."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.curves.shape import text_of
from benchmarks.curves.table import CURVES
from benchmarks.gate import failing, gate_text, judged
from benchmarks.lines import LINES
from benchmarks.peers.installed import Missing, installed
from benchmarks.peers.lines import MUSTS, lines_against
from benchmarks.report import (
    PAGE,
    PICTURES,
    RESULTS,
    curves_of,
    keep,
    keep_curves,
    latest,
    latest_curves,
    report_of,
    update_page,
)
from benchmarks.rows import Row
from benchmarks.running import measured
from benchmarks.table import markdown_table, text_table
from benchmarks.world import Extent, Line

_FULL: Final = Extent(rounds=7, seconds=2.0, requests=100_000, documents=1_000_000)
_QUICK: Final = Extent(rounds=3, seconds=0.4, requests=2_000, documents=20_000)
_GATE: Final = Extent(rounds=3, seconds=1.0, requests=100_000, documents=100_000)
_CURVES: Final = Extent(rounds=5, seconds=1.0, requests=100_000, documents=1_000_000)
Named = TypeVar("Named")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--all", action="store_true", help="the lines, the peers, the curves and the pictures")
    parser.add_argument("--peers", action="store_true", help="also Eve and Parse Server, installed into .venv-peers")
    parser.add_argument("--curves", action="store_true", help="the curves and the pictures in place of the lines")
    parser.add_argument("--gate", action="store_true", help="short, beside the committed result; keeps nothing")
    parser.add_argument("--pictures", action="store_true", help="measure nothing; draw what is kept")
    parser.add_argument("--table", action="store_true", help="measure nothing; print the latest result as Markdown")
    parser.add_argument("--quick", action="store_true", help="three short rounds: to see that it works")
    parser.add_argument("--only", action="append", metavar="NAME", help="repeatable: what is called so or begins so")
    parser.add_argument("--rounds", type=int, help="rounds of each line; batches take four times as many")
    parser.add_argument("--requests", type=int, help="at most so many requests a round")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep all that is found here, of a short run too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 if a line is more than a quarter below its must."""
    options = _options(arguments)
    if options.table:
        print(markdown_table(latest()), end="")
        return 0
    if options.pictures:
        _draw(options.results or RESULTS, options.results or PICTURES)
        return 0
    if sys.platform != "linux":
        sys.exit("the benchmarks read CPU time and memory from /proc, so they need Linux")
    if options.gate:
        return _gate(options)
    clearly_missed = False if options.curves else _lines(options)
    if options.curves or options.all:
        _curves(options)
    return 1 if clearly_missed else 0


def _extent(options: argparse.Namespace, full: Extent) -> Extent:
    chosen = _QUICK if options.quick else full
    return replace(chosen, rounds=options.rounds or chosen.rounds, requests=options.requests or chosen.requests)


def _chosen(among: Mapping[str, Named], options: argparse.Namespace) -> dict[str, Named]:
    """Those that are asked for; none where `--only` names others."""
    return {name: one for name, one in among.items() if options.only is None or name.startswith(tuple(options.only))}


def _require(chosen: Mapping[str, Any], among: Mapping[str, Any]) -> None:
    if not chosen:
        sys.exit(f"nothing is called so; there are {', '.join(among)}")


# -- lines


def _lines(options: argparse.Namespace) -> bool:
    """Measured, told and kept; whether one is clearly missed."""
    peers, versions = _peers(options)
    among = {**LINES, **peers}
    chosen, extent = _chosen(among, options), _extent(options, _FULL)
    _require(chosen, among)
    rows, mongod = measured(chosen, extent)
    report = report_of(rows, mongod, extent.rounds, versions)
    print(text_table(report["rows"]))
    _keep(report, options)
    return any(row.is_clearly_missed for row in rows)


def _peers(options: argparse.Namespace) -> tuple[dict[str, Line], dict[str, str]]:
    """The lines of each peer that is asked for and can be had, and the peers' versions."""
    lines: dict[str, Line] = {}
    versions: dict[str, str] = {}
    for name, kinds in MUSTS.items() if options.peers or options.all else ():
        if not _chosen({f"{name}-{kind}": None for kind in kinds}, options):
            continue
        found = installed(name)
        if isinstance(found, Missing):
            print(found.why, file=sys.stderr)
        else:
            lines |= lines_against(found)
            versions |= found.versions
    return lines, versions


def _keep(report: dict[str, Any], options: argparse.Namespace) -> None:
    """A short or partial run is not the project's result: it is kept only where the caller says."""
    if options.results is not None:
        print(f"kept in {keep(report, options.results)}")
    elif not (options.quick or options.only):
        keep(report, RESULTS)
        update_page()
        print(f"kept in {RESULTS.name}/{report['date']}.json, and in {PAGE.name}")


# -- curves


def _curves(options: argparse.Namespace) -> None:
    """Measured, told, kept and drawn."""
    chosen, extent = _chosen(CURVES, options), _extent(options, _CURVES)
    if options.all and not chosen:
        return
    _require(chosen, CURVES)
    curves, mongod = measured(chosen, extent)
    report = curves_of(curves, mongod, extent)
    for one in report["curves"]:
        print(text_of(one))
    if options.results is not None:
        print(f"kept in {keep_curves(report, options.results)}")
        _draw(options.results, options.results)
    elif not (options.quick or options.only):
        print(f"kept in {keep_curves(report, RESULTS)}")
        _draw(RESULTS, PICTURES)


def _draw(results: Path, folder: Path) -> None:
    """The pictures of the latest lines and curves there are."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no pictures are drawn: they need matplotlib, pip install 'permission-mongo[bench]'", file=sys.stderr)
        return
    # Loaded here, for nothing else needs what it needs.
    pictures = importlib.import_module("benchmarks.pictures")
    lines = latest(results) if (results / "latest.json").exists() else None
    for path in pictures.draw(lines, latest_curves(results), folder):
        print(f"drawn: {path}")
    if folder == PICTURES:
        update_page()


# -- the gate


def _gate(options: argparse.Namespace) -> int:
    """Whoever seems to fail is measured once more, for longer: a short round is easily disturbed."""
    chosen = _chosen(LINES, options)
    _require(chosen, LINES)
    committed = latest()
    rows = measured(chosen, _extent(options, _GATE))[0]
    names = failing(judged(rows, committed))
    if names:
        print(f"once more: {', '.join(names)}", file=sys.stderr)
        again = measured({name: chosen[name] for name in names}, _extent(options, replace(_FULL, rounds=5)))[0]
        rows = _replaced(rows, again)
    found = judged(rows, committed)
    print(gate_text(found, committed["date"]))
    return 1 if failing(found) else 0


def _replaced(rows: list[Row], again: list[Row]) -> list[Row]:
    anew = {row.name: row for row in again}
    return [anew.get(row.name, row) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
