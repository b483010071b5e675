"""Reads: one document, lists, and a page at any depth."""

from __future__ import annotations

from time import perf_counter
from urllib.parse import quote

import orjson

from benchmarks.load import Load, Unexpected, connected, request_bytes, request_with
from benchmarks.processes import served, settle
from benchmarks.rows import Row, paired
from benchmarks.samples import DEEP, SMALL, caller_token, deep_documents, write_config
from benchmarks.world import Asked, Extent, World, side_by_side, tell

_STEP = 10_000  # rows a page on the way to the last


async def get(world: World, extent: Extent, asked: Asked, collection: str, callers: int = 1) -> Row:
    """By id. With several `callers` each connection's requests carry another credential, so that nothing is shared."""
    paths = [f"/{collection}/{one}" for one in world.ids[collection]]
    tokens = [world.token] if callers == 1 else [caller_token(n) for n in range(callers)]
    requests = [request_bytes("GET", path, tokens[n % len(tokens)]) for n, path in enumerate(paths)]
    return await side_by_side(asked, extent, (world.floor, requests), (world.gateway, requests))


async def listed(world: World, extent: Extent, asked: Asked, limit: int, callers: int = 1) -> Row:
    """The first page. With several `callers` each one's requests carry another credential, as of `get`."""
    tokens = [world.token] if callers == 1 else [caller_token(n) for n in range(callers)]
    requests = [request_bytes("GET", f"/{SMALL}?_limit={limit}", token) for token in tokens]
    return await side_by_side(asked, extent, (world.floor, requests), (world.gateway, requests))


async def health(world: World, extent: Extent, asked: Asked) -> Row:
    """The whole stack and nothing behind it: no caller, no MongoDB."""
    requests = [request_with("GET", "/health", {})]
    with served("raw", ["benchmarks.raw"], world.uri, world.folder) as raw:
        return await side_by_side(asked, extent, (raw, requests), (world.gateway, requests))


async def by_workers(world: World, extent: Extent, asked: Asked, paths: list[str] | None, workers: int) -> Row:
    """GETs of documents, or of these paths, of a gateway and a floor with so many workers each."""
    some = paths or [f"/{SMALL}/{one}" for one in world.ids[SMALL]]
    requests = [request_bytes("GET", path, world.token) for path in some]
    name, several = asked.name, ["--workers", str(workers)]
    config = write_config(world.folder / name, world.database.name)
    serve = ["permission_mongo", "serve", "--config", str(config), "--port", "0", *several]
    bare = ["benchmarks.floor", world.database.name, *several]
    with (
        served(f"{name}-gateway", serve, world.uri, world.folder) as ours,
        served(f"{name}-floor", bare, world.uri, world.folder) as floor,
    ):
        for one in (ours, floor):
            settle(one, workers)
        return await side_by_side(asked, extent, (floor, requests), (ours, requests))


async def deep(world: World, extent: Extent, name: str) -> Row:
    """The last page of a long sorted list against its first. The way there goes by the cursors of larger pages."""
    for some in deep_documents(extent.documents):
        world.database[DEEP].insert_many(some, ordered=False)
    first = f"/{DEEP}?_sort=at&_limit=20"
    async with connected(world.gateway.port, 1, []) as load:
        # A cursor is not bound to the size of a page.
        last = f"{first}&_cursor={quote(await _last_cursor(load, world, extent.documents))}"
        times: dict[str, list[float]] = {first: [], last: []}
        for done in range(-1, extent.rounds):
            for path in (first, last) if done % 2 else (last, first):
                times[path].append(await _milliseconds(load, request_bytes("GET", path, world.token)))
            if done < 0:  # the first is for warming up
                for kept in times.values():
                    kept.clear()
                continue
            tell(name, done, extent.rounds, times[first][-1], times[last][-1], "ms")
    what = f"last page of {extent.documents:,} against the first, sorted, 20 rows"
    return Row(name, what, "ms", *paired(times[last], times[first]), must=2.0, less_is_better=True)


async def _last_cursor(load: Load, world: World, documents: int) -> str:
    step = min(_STEP, documents // 2)
    path, cursor = f"/{DEEP}?_sort=at&_limit={step}", ""
    for _ in range(documents // step - 1):
        status, body = await load.ask(
            request_bytes("GET", path + (f"&_cursor={quote(cursor)}" if cursor else ""), world.token)
        )
        if status != 200:
            raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
        cursor = orjson.loads(body)["pagination"]["cursor"]
    return cursor


async def _milliseconds(load: Load, request: bytes) -> float:
    """Milliseconds of one request, the median of fifty."""
    times: list[float] = []
    for _ in range(50):
        started = perf_counter()
        status, body = await load.ask(request)
        times.append((perf_counter() - started) * 1000)
        if status != 200 or len(orjson.loads(body)["data"]) != 20:
            raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
    return sorted(times)[len(times) // 2]
