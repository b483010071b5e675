"""A run: a MongoDB, the floor and the gateways started, each line or curve measured in turn, all of it ended."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from asyncio import Runner
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import uvloop

from benchmarks.processes import served
from benchmarks.samples import caller_token, write_config
from benchmarks.world import Extent, World, fill, new_bare_client
from permission_mongo.storage.embedded import start_embedded
from permission_mongo.storage.mongod import find_mongod

Found = TypeVar("Found")


def measured(
    asked: Mapping[str, Callable[[World, Extent], Coroutine[Any, Any, Found]]], extent: Extent
) -> tuple[list[Found], str]:
    """What each found, in order, and the version of the MongoDB."""
    with _world() as world, Runner(loop_factory=uvloop.new_event_loop) as runner:
        mongod = str(world.database.client.server_info()["version"])
        found: list[Found] = []
        for done, (name, one) in enumerate(asked.items(), 1):
            print(f"{done} of {len(asked)}: {name}", file=sys.stderr, flush=True)
            found.append(runner.run(one(world, extent)))
        return found, mongod


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
