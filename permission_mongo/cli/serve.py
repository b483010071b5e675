"""`permission-mongo serve`: load, check, start what is needed, say what is served, serve."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from prometheus_client import start_http_server

from permission_mongo import __version__
from permission_mongo.api.server import (
    App,
    Listening,
    address_of,
    listen,
    make_room,
    serve_here,
    serve_in_workers,
    worker_app,
)
from permission_mongo.assembly import open_gateway
from permission_mongo.cli.credentials import with_secret
from permission_mongo.cli.options import Commands, add_config
from permission_mongo.config.load import folder_of, load_with_trees
from permission_mongo.config.model import Config
from permission_mongo.errors import StartupFailure
from permission_mongo.linting.table import lint
from permission_mongo.logs import log_to_stderr
from permission_mongo.metrics import shared_registry
from permission_mongo.reloading import Source
from permission_mongo.standing import SHARED_FOLDER
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.embedded import EmbeddedServer, running_uri, start_embedded
from permission_mongo.storage.mongod import find_mongod
from permission_mongo.trials.load import load_tested

_CONFIG: Final = "PERMISSION_MONGO_CONFIG"  # how a worker, which begins anew, finds its configuration
_WORKERS: Final = "PERMISSION_MONGO_WORKERS"
_LOG: Final = logging.getLogger("permission_mongo")


def add_serve(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="serve a configuration")
    add_config(serve)
    serve.add_argument("--host", help="default: server.host")
    serve.add_argument("--port", type=int, help="default: server.port; 0 takes a free one")
    serve.add_argument("--workers", type=int, help="processes; default: server.workers")
    serve.add_argument("--mongod", type=Path, metavar="PATH", help="the binary of the embedded server")
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    source = Source(folder_of(options.config), lambda: with_secret(_chosen(load_tested(options.config), options)))
    config = source.load()
    log_to_stderr(config.logging)
    for warning in (*config.warnings, *lint(load_with_trees(options.config), at_start=True)):
        _LOG.warning("%s", warning)
    bound = listen(config.server.host, config.server.port)
    make_room(config.server.max_connections)
    with _engine(config, options.mongod) as engine:
        version = asyncio.run(_rehearse(config, engine.uri))
        print("\n".join(_summary(config, engine, version, bound) + _to_try(config, options.config, bound)), flush=True)
        listening = Listening(config, engine.uri, bound, source, engine.watch if engine.embedded else None)
        if config.server.workers == 1:
            serve_here(listening)
        else:
            _serve_shared(listening, options.config)
    return 0


def _chosen(config: Config, options: argparse.Namespace) -> Config:
    given = {name: value for name in ("host", "port", "workers") if (value := getattr(options, name)) is not None}
    if not 1 <= given.get("workers", 1) <= 256 or not 0 <= given.get("port", 0) <= 65535:
        raise StartupFailure("--workers is a number from 1 to 256 and --port one from 0 to 65535")
    return replace(config, server=replace(config.server, **given))


@dataclass(frozen=True, slots=True)
class _Engine:
    uri: str
    embedded: EmbeddedServer | None = None

    def watch(self) -> None:
        """Bring a crashed embedded server back; when it crashes again and again, stop with its last words."""
        server = self.embedded
        if server is None:
            return
        try:
            if not server.is_running() and server.revive():
                _LOG.warning("the embedded MongoDB had stopped; it runs again, its data whole")
            server.trim_log()
        except StartupFailure as error:
            _LOG.error("%s", error)
            raise SystemExit(3) from error


@contextmanager
def _engine(config: Config, mongod: Path | None) -> Iterator[_Engine]:
    if not config.mongodb.is_embedded:
        yield _Engine(config.mongodb.uri)
        return
    server = start_embedded(config.mongodb.folder, find_mongod(mongod))
    try:
        yield _Engine(server.uri, server)
    finally:
        server.stop()


async def _rehearse(config: Config, uri: str) -> str:
    """Open and close everything once, so that what is wrong is told in a sentence before anything is served."""
    async with open_gateway(config, uri), new_client(uri, config.mongodb) as client:
        return await require_server(client)


def _serve_shared(listening: Listening, config: Path) -> None:
    os.environ[_CONFIG] = str(config.absolute())  # as it was named: a link may come to lead elsewhere
    os.environ[_WORKERS] = str(listening.config.server.workers)
    os.environ[SHARED_FOLDER] = tempfile.mkdtemp(prefix="permission-mongo-metrics-")
    try:
        if listening.config.metrics.port is not None:
            start_http_server(listening.config.metrics.port, listening.config.server.host, shared_registry())
        serve_in_workers(listening, "permission_mongo.cli.serve:make_worker")
    finally:
        shutil.rmtree(os.environ[SHARED_FOLDER], ignore_errors=True)


def make_worker() -> App:
    """The app of a worker, which finds its configuration and the embedded server's address by itself."""
    source = Source(folder_of(Path(os.environ[_CONFIG])), _config_of_worker)
    config = source.load()
    log_to_stderr(config.logging)
    uri = running_uri(config.mongodb.folder) if config.mongodb.is_embedded else config.mongodb.uri
    if uri is None:
        raise StartupFailure("the embedded MongoDB does not run")
    return worker_app(config, uri, source)


def _config_of_worker() -> Config:
    config = with_secret(load_tested(Path(os.environ[_CONFIG])))
    return replace(config, server=replace(config.server, workers=int(os.environ[_WORKERS])))


def _summary(config: Config, engine: _Engine, version: str, bound: socket.socket) -> list[str]:
    lines = [
        f"permission-mongo {__version__}",
        f"  serving  {', '.join(config.collections)}",
        f"  at       {address_of(bound, config)}",
    ]
    if engine.embedded is None:
        return [*lines, f"  MongoDB  {version}, database {config.mongodb.database}"]
    folder = config.mongodb.folder.resolve()
    lines.append(f"  MongoDB  {version}, embedded, for evaluation; its data is in {folder}")
    return [*lines, "           your own: mongodb.uri in config.yaml, or MONGODB_URI"]


def _to_try(config: Config, place: Path, bound: socket.socket) -> list[str]:
    """A token and a request, where this configuration lets this machine make tokens."""
    if config.auth.family != "HMAC" or not config.policy.roles:
        return []
    at = "" if place == Path("config") else f" --config {place}"
    role, collection = list(config.policy.roles)[-1], next(iter(config.collections))
    return [
        f"  try      TOKEN=$(permission-mongo token{at} --sub alice --roles {role} --tenant acme)",
        f'           curl -H "Authorization: Bearer $TOKEN" {address_of(bound, config)}/{collection}',
    ]
