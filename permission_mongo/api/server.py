"""The listening process: uvicorn with one worker or several, the embedded server watched beside it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Final

import uvicorn
from prometheus_client import start_http_server
from prometheus_client.multiprocess import mark_process_dead
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from permission_mongo.api.app import build_app
from permission_mongo.api.protocol import GuardedProtocol
from permission_mongo.api.streams import Streams
from permission_mongo.assembly import open_lasting
from permission_mongo.config.model import Config
from permission_mongo.errors import Misconfigured, StartupFailure
from permission_mongo.gateway import Gateway
from permission_mongo.reloading import Reloading, Source
from permission_mongo.watching import watched

resource: ModuleType | None
try:
    import resource
except ImportError:  # not a Unix
    resource = None

App = Starlette
Watch = Callable[[], None]
_LOG: Final = logging.getLogger("permission_mongo")
_HEALTHY_WITHIN: Final = 30  # seconds
_TO_ANSWER: Final = 0.8  # of the time to end
_WATCH_EVERY: Final = 0.5  # seconds
_OTHER_FILES: Final = 512  # MongoDB's, the log's, watched folders
_PR_SET_PDEATHSIG: Final = 1
_GC_THRESHOLD: Final = 50_000


@dataclass(frozen=True, slots=True)
class Listening:
    """What to serve and where. `watch`, if there is one, is called twice a second on the main thread.

    `source` is read again when it changes.
    """

    config: Config
    uri: str
    socket: socket.socket
    source: Source
    watch: Watch | None = None


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. StartupFailure if the port is taken or not ours to take."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise StartupFailure(f"can't listen on {host}:{port}: {error.strerror}; choose another with --port") from error
    found.listen(2048)  # who comes before the first answer waits instead of being turned away
    found.set_inheritable(True)
    return found


def make_room(connections: int) -> None:
    """As many open files as the connections of one process need, where the system lets them be had."""
    if resource is None:
        return
    least = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < least:
        soft = least if hard == resource.RLIM_INFINITY else min(least, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < least:
            _LOG.warning(
                "%d connections need %d open files; only %d are to be had: ulimit -n", connections, least, soft
            )


def _uvicorn_config(app: Starlette | str, config: Config, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=config.server.workers,
        loop="auto",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # On by default, and then any client on this machine could say where it comes from.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=config.server.keep_alive_timeout,  # type: ignore[arg-type]  # it takes parts of seconds
        # What is left is for the rest to end in. Then an answer is no longer waited for.
        timeout_graceful_shutdown=max(1, int(config.server.shutdown_timeout * _TO_ANSWER)),
        # Also how long a worker that follows another one may take to load thousands of rules.
        timeout_worker_healthcheck=_HEALTHY_WITHIN,
    )


def serve_here(listening: Listening) -> None:
    """Serve in this process until it is told to stop."""
    app = _app(listening)
    for stop in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn hears them itself while it serves, and raises them once more when it is done: by then they were
        # obeyed, and the embedded server is still to be stopped.
        signal.signal(stop, _was_obeyed)
    uvicorn.Server(_uvicorn_config(app, listening.config)).run(sockets=[listening.socket])


def _was_obeyed(number: int, frame: object) -> None:
    return None


def _app(listening: Listening) -> Starlette:
    streams = Streams()
    config = listening.config
    return build_app(
        _tended(listening, streams),
        public_metrics=config.metrics.public,
        with_console=config.console.enabled,
        doors=config.doors,
        streams=streams,
    )


def _when_told_to_stop(told: Callable[[], None]) -> None:
    """Beside what uvicorn does then, and before: it waits for every answer, and a stream has no end of its own."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM):
        of_uvicorn = signal.getsignal(stop)

        def heard(number: int, frame: FrameType | None, of_uvicorn: object = of_uvicorn) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(told)
            if callable(of_uvicorn):
                of_uvicorn(number, frame)

        signal.signal(stop, heard)  # uvicorn puts back what was there before it


@asynccontextmanager
async def _tended(listening: Listening, streams: Streams) -> AsyncIterator[Gateway]:
    async with open_lasting(listening.config, listening.uri) as (gateway, lasting):

        def end() -> None:
            streams.close()
            gateway.end()

        _when_told_to_stop(end)
        metrics, server = listening.config.metrics, listening.config.server
        if metrics.port is not None and server.workers == 1:
            start_http_server(metrics.port, server.host, gateway.metrics.registry)
        tending = asyncio.create_task(_tend(listening.watch)) if listening.watch else None
        settle_memory()
        try:
            async with watched(listening.source, Reloading(gateway, lasting, listening.source)):
                yield gateway
        finally:
            if tending is not None:
                tending.cancel()
                with suppress(asyncio.CancelledError):
                    await tending


async def _tend(watch: Watch) -> None:
    while True:
        await asyncio.sleep(_WATCH_EVERY)
        watch()


def settle_memory() -> None:
    """What was loaded stays: later collections need not look at it again, and come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)


class _Workers(Multiprocess):
    """Uvicorn's own supervisor, which also watches the embedded server between its rounds.

    It begins no worker with a broken configuration: those that live go on with the one they have.
    """

    watch: Watch | None = None
    source: Source
    _told = ""

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        if all(process.process.is_alive() for process in self.processes) or self._can_begin():
            super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # what its gauges said counts no longer
        if self.watch is not None and not self.should_exit.is_set():
            self.watch()

    def terminate_all(self) -> None:
        for one in self.sockets:
            one.close()  # or who connects now would wait for nobody until the last worker is gone
        super().terminate_all()

    def handle_hup(self) -> None:
        """Each worker is followed by a new one, which begins with what the files say now, one after the other."""
        self._told = ""
        if self._can_begin():
            _LOG.info("the workers are restarted one after the other")
            self.restart_all()

    def _can_begin(self) -> bool:
        try:
            self.source.load()
        except (Misconfigured, StartupFailure, OSError) as error:
            if str(error) != self._told:
                self._told = str(error)
                _LOG.error("no worker is begun with the configuration as it is: %s", error)
            return False
        return True


def serve_in_workers(listening: Listening, factory: str) -> None:
    """Serve in several processes. `factory` is the import path of a function that makes the app in each."""
    workers = _Workers(_uvicorn_config(factory, listening.config, factory=True), [listening.socket])
    workers.watch, workers.source = listening.watch, listening.source
    workers.run()


def follow_parent() -> None:
    """End with the parent: a worker whose parent was killed would go on answering with an old policy."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGTERM)


def worker_app(config: Config, uri: str, source: Source) -> Starlette:
    """The app of one worker."""
    follow_parent()
    listening = Listening(config, uri, socket.socket(), source)
    listening.socket.close()
    return _app(listening)


def address_of(bound: socket.socket, config: Config) -> str:
    """The URL that a person on this machine can open."""
    host, port = config.server.host, bound.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{shown}:{port}"
