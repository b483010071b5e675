"""The ASGI application: from a request to its endpoint, and what every request has in common."""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from permission_mongo.api.calls import Call, request_id_of
from permission_mongo.api.door import Door
from permission_mongo.api.doors import DOORS
from permission_mongo.api.errors import MethodNotAllowed, unforeseen
from permission_mongo.api.large import deliver
from permission_mongo.api.manners import OWN, Manner
from permission_mongo.api.refused import action_of, note_refusal
from permission_mongo.api.render import complete, refuse
from permission_mongo.api.routes import CONSOLE, METRICS, ROUTES, Endpoint
from permission_mongo.api.streams import Streams
from permission_mongo.api.telling import line_of, traced, writes
from permission_mongo.errors import CollectionNotFound, NoConnectionFree, Refusal, Unavailable
from permission_mongo.gateway import Gateway
from permission_mongo.observations import NoConnection, Refused, Served

_SMALL: Final = 64 * 2**10  # bytes of an answer that is taken at once as a rule
_SHORT: Final = 256 * 2**10  # and of its request
# Two readers of such a path see two paths: one where it is encoded, and one where it divides or ends it.
_AMBIGUOUS: Final = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)
# What a request without a route is counted as, else by another word: a caller may send any method.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


def build_app(
    opened: AbstractAsyncContextManager[Gateway],
    *,
    public_metrics: bool,
    with_console: bool = False,
    doors: Iterable[str] = (),
    streams: Streams | None = None,
) -> Starlette:
    """The ASGI application around a gateway that is opened when it starts and closed when it ends.

    Who knows sooner that it ends closes the `streams`: a server waits for each answer before it tells the application.
    Of other APIs' routes there are those of the `doors` that are named, and no others.
    """
    streams = streams or Streams()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Door]]:
        async with opened as gateway:
            app.state.gateway, app.state.streams = gateway, streams
            try:
                yield {"door": Door(gateway.config.server, gateway.observe, streams)}
            finally:
                streams.close()

    table = (*((METRICS,) if public_metrics else ()), *ROUTES, *(CONSOLE if with_console else ()))
    # They stand first, for ours would take some of them; no collection is called as they begin.
    routes = [one for door in map(DOORS.__getitem__, doors) for one in _routes(door.routes, door.manner)]
    routes += _routes(table)
    app = _Application(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _unrouted, Exception: _unforeseen},
    )
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True, slots=True)
class _Answers:
    """The ASGI application of one path. It lets no exception out, so it needs none of Starlette's own wrapping."""

    path: str
    by_method: dict[str, Endpoint]
    manner: Manner = OWN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        request = Request(scope, receive)
        opened: Gateway = scope["app"].state.gateway
        gateway = opened.current  # looked at once: the whole request is judged by one configuration
        request_id = request_id_of(request)
        call = Call(request, gateway, request_id, manner=self.manner)
        endpoint = self.by_method[scope["method"]]
        answering = _answered(endpoint, call)
        spans = gateway.spans
        try:
            response = await (answering if spans is None else traced(spans, call, self.path, answering))
            complete(response, request_id)
            seconds = perf_counter() - started
            if isinstance(response, StreamingResponse):
                self._tell(call, response, endpoint, seconds)  # it may go on for long
                await deliver(response, call, send)
            else:
                await self._deliver(call, response, endpoint, seconds, send)
        finally:
            if call.share is not None:
                call.share.leave()

    async def _deliver(self, call: Call, response: Response, endpoint: Endpoint, seconds: float, send: Send) -> None:
        """Nobody waits for the line that tells of a request: it comes behind the answer, whatever becomes of that."""
        is_large = call.share is not None or len(response.body) > _SMALL or len(call.received) > _SHORT
        if call.asked is not None and is_large:
            call.asked.spent.clear()  # who reads slowly holds no more of it than must be
        try:
            await deliver(response, call, send)
        finally:
            self._tell(call, response, endpoint, seconds)

    def _tell(self, call: Call, response: Response, endpoint: Endpoint, seconds: float) -> None:
        gateway, method = call.gateway, call.request.scope["method"]
        status, action = response.status_code, action_of(endpoint.__name__)
        gateway.observe(Served(method, self.path, status, seconds))
        if gateway.lines.wants(status, seconds, writes=writes(action)):
            gateway.lines.tell(line_of(call, action, self.path, status, seconds))


class _Application(Starlette):
    """A request with a route goes to it at once; Starlette's own wrapping is left for the others."""

    def build_middleware_stack(self) -> ASGIApp:
        return _Front(self.routes, super().build_middleware_stack())


class _Front:
    """Looks among the routes with as many slashes, for no parameter holds one. Else it is for the `rest` to answer.

    A route without parameters is found by its path: it stands before those that would take it for their own.
    """

    def __init__(self, routes: Iterable[BaseRoute], rest: ASGIApp) -> None:
        self._rest = rest
        self._by_slashes: dict[int, list[Route]] = {}
        self._by_path: dict[str, Route] = {}
        for one in routes:
            if isinstance(one, Route) and "{" not in one.path:
                self._by_path[one.path] = one
            elif isinstance(one, Route):
                self._by_slashes.setdefault(one.path.count("/"), []).append(one)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw = scope.get("raw_path", b"")
            if b"%" in raw and _AMBIGUOUS.search(raw):
                return await _no_route(Request(scope))(scope, receive, send)
            path: str = scope["path"]
            routes: Sequence[Route] = self._by_slashes.get(path.count("/"), ())
            if path in self._by_path:
                routes = (self._by_path[path], *routes)
            for route in routes:
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    return await route.app(scope, receive, send)
        return await self._rest(scope, receive, send)


def _routes(table: Sequence[tuple[str, str, Endpoint]], manner: Manner = OWN) -> list[Route]:
    paths = dict.fromkeys(path for _, path, _ in table)
    return [_route(path, {method: one for method, at, one in table if at == path}, manner) for path in paths]


def _route(path: str, by_method: dict[str, Endpoint], manner: Manner = OWN) -> Route:
    answers = _Answers(path, by_method, manner)
    typed = path.replace("{id}", "{id:document}").replace("{collection}", "{collection:collection}")
    route = Route(typed, answers, methods=list(by_method))
    route.methods = set(by_method)  # a HEAD that the table does not name is not answered like a GET
    return route


async def _answered(endpoint: Endpoint, call: Call) -> Response:
    try:
        return await endpoint(call)
    except Refusal as refusal:
        action = action_of(endpoint.__name__)
        note_refusal(call, action, refusal)
        return _refused(call, action, refusal)
    except CancelledError:
        if not call.streams.are_closing:
            raise
        # The time to end is over. The last word is an answer all the same, and true of reads and of writes.
        ended = Unavailable("the gateway ended before this was done; whether it took effect is not known")
        return _refused(call, action_of(endpoint.__name__), ended)
    except Exception as error:
        return _refused(call, action_of(endpoint.__name__), unforeseen(error, call.request_id))


def _refused(call: Call, action: str, refusal: Refusal) -> Response:
    call.refused = refusal.code
    call.gateway.observe(Refused(action, refusal.code))
    if isinstance(refusal, NoConnectionFree):
        call.gateway.observe(NoConnection())
    return call.manner.refuse(refusal)


async def _unrouted(request: Request, error: Exception) -> Response:
    """No route, or none for this method: the same shape as every refusal."""
    if not (isinstance(error, HTTPException) and error.status_code == 405):
        return _no_route(request)
    response = _unnamed(request, refuse(MethodNotAllowed(f"{request.method} is not taken here")))
    response.headers["allow"] = (error.headers or {}).get("Allow", "")
    return response


def _no_route(request: Request) -> Response:
    return _unnamed(request, refuse(CollectionNotFound("no such route")))


def _unnamed(request: Request, response: Response) -> Response:
    """Counted without its path, which a caller chooses."""
    method = request.method if request.method in _METHODS else "other"
    request.app.state.gateway.observe(Served(method, "none", response.status_code, 0.0))
    return complete(response, request_id_of(request))


async def _unforeseen(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request)
    return complete(refuse(unforeseen(error, request_id)), request_id)
