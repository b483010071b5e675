"""`python -m benchmarks`: start a MongoDB, the floor and the gateway, measure each line, tell and keep the result."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from asyncio import Runner
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import uvloop

from benchmarks.lines import LINES
from benchmarks.processes import served
from benchmarks.report import PAGE, RESULTS, keep, latest, report_of, update_page
from benchmarks.rows import Row
from benchmarks.samples import caller_token, write_config
from benchmarks.table import markdown_table, text_table
from benchmarks.world import Extent, World, fill, new_bare_client
from permission_mongo.storage.embedded import start_embedded
from permission_mongo.storage.mongod import find_mongod

_FULL = Extent(rounds=7, seconds=2.0, requests=100_000, documents=1_000_000)
_QUICK = Extent(rounds=3, seconds=0.4, requests=2_000, documents=20_000)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds: to see that it works")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"repeatable; of {', '.join(LINES)}; or 'get'")
    parser.add_argument("--rounds", type=int, help="rounds of each line; deletes take two more")
    parser.add_argument("--requests", type=int, help="at most so many requests a round")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep the report here, of a short run too")
    parser.add_argument("--table", action="store_true", help="measure nothing; print the latest result as Markdown")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 if a line is more than a quarter below its must."""
    options = _options(arguments)
    if options.table:
        print(markdown_table(latest()), end="")
        return 0
    if sys.platform != "linux":
        sys.exit("the benchmarks read CPU time and memory from /proc, so they need Linux")
    names = [name for name in LINES if options.only is None or name.startswith(tuple(options.only))]
    if not names:
        sys.exit(f"no line is called so; there are {', '.join(LINES)}")
    rows, mongod = _measured(names, _extent(options))
    report = report_of(rows, mongod, _extent(options).rounds)
    print(text_table(report["rows"]))
    _keep(report, options)
    return 1 if any(row.is_clearly_missed for row in rows) else 0


def _extent(options: argparse.Namespace) -> Extent:
    chosen = _QUICK if options.quick else _FULL
    return Extent(
        options.rounds or chosen.rounds, chosen.seconds, options.requests or chosen.requests, chosen.documents
    )


def _keep(report: dict[str, object], options: argparse.Namespace) -> None:
    """A short or partial run is not the project's result: it is kept only where the caller says."""
    if options.results is not None:
        print(f"kept in {keep(report, options.results)}")
    elif not (options.quick or options.only):
        keep(report, RESULTS)
        update_page()
        print(f"kept in {RESULTS.name}/{report['date']}.json, and in {PAGE.name}")


def _measured(names: list[str], extent: Extent) -> tuple[list[Row], str]:
    with _world() as world, Runner(loop_factory=uvloop.new_event_loop) as runner:
        mongod = str(world.database.client.server_info()["version"])
        return [runner.run(LINES[name](world, extent)) for name in names], mongod


@contextmanager
def _world() -> Iterator[World]:
    """Everything that is measured, in a temporary folder and a database of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    name = f"benchmarks_{uuid4().hex[:12]}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="permission-mongo-benchmarks-")))
        uri = stack.enter_context(_mongodb(folder))
        database = stack.enter_context(new_bare_client(uri))[name]
        stack.callback(database.client.drop_database, name)
        config = write_config(folder / "config", name)
        serve = ["permission_mongo", "serve", "--config", str(config), "--port", "0"]
        gateway = stack.enter_context(served("gateway", serve, uri, folder))
        silent = write_config(folder / "unaudited", name, audit=False)
        unaudited = stack.enter_context(served("unaudited", [*serve[:3], str(silent), *serve[4:]], uri, folder))
        open_ = write_config(folder / "unsealed", f"{name}_unsealed", seal=False)
        stack.callback(database.client.drop_database, f"{name}_unsealed")
        unsealed = stack.enter_context(served("unsealed", [*serve[:3], str(open_), *serve[4:]], uri, folder))
        floor = stack.enter_context(served("floor", ["benchmarks.floor", name], uri, folder))
        yield World(gateway, unaudited, unsealed, floor, database, caller_token(), fill(database), folder, uri)


@contextmanager
def _mongodb(folder: Path) -> Iterator[str]:
    """MONGODB_URI, or an embedded server of this run's own."""
    given = os.environ.get("MONGODB_URI")
    if given:
        yield given
        return
    server = start_embedded(folder / "mongod", find_mongod(None))
    try:
        yield server.uri
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
