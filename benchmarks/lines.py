"""What is measured, by name. The first line is the memory, of processes that have done nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from benchmarks import filters
from benchmarks.access import judged, shown
from benchmarks.batches import created, gotten, updated
from benchmarks.deletes import deleted
from benchmarks.growth import beside_reload, reloaded, roles, rules, subordinates
from benchmarks.load import connected, request_bytes
from benchmarks.reads import by_workers, deep, get, health, listed
from benchmarks.rows import Row, spread
from benchmarks.samples import LARGE, SMALL
from benchmarks.world import Asked, Extent, Line, World
from benchmarks.writes import default, plain, sealed


async def _memory(world: World, extent: Extent, name: str) -> Row:
    """Of the process just started, after a few requests: it must be the first line of a run."""
    requests = [request_bytes("GET", f"/{SMALL}/{one}", world.token) for one in world.ids[SMALL][:20]]
    async with connected(world.gateway.port, 4, requests) as load:
        await load.run(5.0, 100)
    used = spread([world.gateway.resident_megabytes()])
    return Row(name, "memory of the idle gateway, RSS", "MB", used, must=90.0, less_is_better=True)


def _connections(count: int) -> str:
    return f"{count} connection{'s' if count > 1 else ''}"


def _get(name: str, collection: str, size: str, connections: int, must: float | None = None, callers: int = 1) -> Line:
    several = f", {callers} callers" if callers > 1 else ""
    what = f"GET by id, {size}, {_connections(connections)}{several}"
    return partial(get, asked=Asked(name, what, connections, must), collection=collection, callers=callers)


def _list(name: str, limit: int, connections: int, must: float | None = None, callers: int = 1) -> Line:
    what = f"list of {limit}, 300 B, {_connections(connections)}" + (f", {callers} callers" if callers > 1 else "")
    return partial(listed, asked=Asked(name, what, connections, must), limit=limit, callers=callers)


def _post(name: str, post: Callable[..., Coroutine[Any, Any, Row]], how: str, connections: int) -> Line:
    what = f"POST, 300 B, {how}, {_connections(connections)}"
    return partial(post, asked=Asked(name, what, connections, 0.95))


def _workers(name: str, asks: str, connections: int, paths: list[str] | None = None) -> Line:
    what = f"{asks}, 300 B, {_connections(connections)}, two workers"
    return partial(by_workers, asked=Asked(name, what, connections, 1.0), paths=paths, workers=2)


_HEALTH: Final = "health, the whole stack, against raw ASGI, 64 connections"
_PLAIN: Final = "no audit, no versions"
_AUDITED: Final = "with audit"
_SEALED: Final = "POST, 300 B, its audit sealed against not sealed, 64 connections"
_LINES: Final[tuple[tuple[str, Line], ...]] = (
    ("memory", partial(_memory, name="memory")),
    ("health", partial(health, asked=Asked("health", _HEALTH, 64, 0.5))),
    ("access", partial(judged, name="access")),
    ("access-shown", partial(shown, name="access-shown")),
    ("get-1", _get("get-1", SMALL, "300 B", 1, 0.85)),
    ("get-16", _get("get-16", SMALL, "300 B", 16, 1.0)),
    ("get-64", _get("get-64", SMALL, "300 B", 64, 1.0)),
    ("get-64-callers", _get("get-64-callers", SMALL, "300 B", 64, callers=64)),
    ("get-2kb-16", _get("get-2kb-16", LARGE, "2 KB", 16)),
    ("list-20-1", _list("list-20-1", 20, 1, 1.0)),
    ("list-20", _list("list-20", 20, 16, 1.0)),
    ("list-20-64", _list("list-20-64", 20, 64, 1.0)),
    ("list-20-callers", _list("list-20-callers", 20, 16, callers=16)),
    ("list-100-1", _list("list-100-1", 100, 1, 1.0)),
    ("list-100", _list("list-100", 100, 16, 1.0)),
    ("list-100-64", _list("list-100-64", 100, 64, 1.0)),
    ("list-100-callers", _list("list-100-callers", 100, 16, callers=16)),
    ("list-deep", partial(deep, name="list-deep")),
    ("post-plain-1", _post("post-plain-1", plain, _PLAIN, 1)),
    ("post-plain", _post("post-plain", plain, _PLAIN, 16)),
    ("post-plain-64", _post("post-plain-64", plain, _PLAIN, 64)),
    ("post-default-1", _post("post-default-1", default, _AUDITED, 1)),
    ("post-default", _post("post-default", default, _AUDITED, 16)),
    ("post-default-64", _post("post-default-64", default, _AUDITED, 64)),
    ("workers-get", _workers("workers-get", "GET by id", 64)),
    ("workers-list", _workers("workers-list", "list of 20", 16, [f"/{SMALL}?_limit=20"])),
    ("post-sealed", partial(sealed, asked=Asked("post-sealed", _SEALED, 64, 0.9))),
    ("delete-300b", partial(deleted, name="delete-300b", collection=SMALL, size="300 B", must=2.4)),
    ("delete-2kb", partial(deleted, name="delete-2kb", collection=LARGE, size="2 KB", must=3.5)),
    ("batch-create", partial(created, name="batch-create")),
    ("batch-get", partial(gotten, name="batch-get")),
    ("batch-update", partial(updated, name="batch-update")),
    ("filter-delete", partial(filters.deleted, name="filter-delete")),
    ("filter-memory", partial(filters.memory, name="filter-memory")),
    ("filter-others", partial(filters.others, name="filter-others")),
    ("rules-10000", partial(rules, name="rules-10000", few=10, many=10_000)),
    ("roles-20", partial(roles, name="roles-20", many=20)),
    ("subordinates-100", partial(subordinates, name="subordinates-100", many=100, dearer=1.1)),
    ("subordinates-1000", partial(subordinates, name="subordinates-1000", many=1000, dearer=1.5)),
    ("reload-5000", partial(reloaded, name="reload-5000", rules=5_000)),
    ("reload-others", partial(beside_reload, name="reload-others", rules=5_000)),
)
LINES: Final[Mapping[str, Line]] = dict(_LINES)
