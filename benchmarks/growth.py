"""What a larger policy costs each request: the same question to the same gateway with a small one and a large one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Final

import orjson

from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.processes import Served, served
from benchmarks.rows import Row, paired, spread
from benchmarks.samples import (
    BOSSES,
    PEOPLE,
    POLICY_OF_PEOPLE,
    SCHEMA_OF_PEOPLE,
    SMALL,
    caller_token,
    people,
    policy_of,
    write_config,
)
from benchmarks.world import Asked, Extent, World, side_by_side, tell, tell_one

MUST: Final = round(1 / 1.1, 2)  # a request may cost a tenth more
_CONNECTIONS: Final = 16
_LOOK: Final = 0.02  # seconds between two looks at what is in force


def _requests(world: World, roles: tuple[str, ...]) -> list[bytes]:
    token = caller_token(roles=roles)
    return [request_bytes("GET", f"/{SMALL}/{one}", token) for one in world.ids[SMALL]]


def _serve(world: World, name: str, rules: int) -> list[str]:
    config = write_config(world.folder / name, world.database.name, policy=policy_of(rules))
    return ["permission_mongo", "serve", "--config", str(config), "--port", "0"]


async def rules(world: World, extent: Extent, name: str, few: int, many: int) -> Row:
    """GET by id of one caller, under a policy of `few` and one of `many` rules."""
    asked = Asked(name, f"GET by id, {many:,} rules against {few}, {_CONNECTIONS} connections", _CONNECTIONS, MUST)
    requests = _requests(world, ("clerk",))
    with (
        served(f"{name}-few", _serve(world, f"{name}-few", few), world.uri, world.folder) as small,
        served(f"{name}-many", _serve(world, f"{name}-many", many), world.uri, world.folder) as large,
    ):
        return await side_by_side(asked, extent, (small, requests), (large, requests))


async def roles(world: World, extent: Extent, name: str, many: int) -> Row:
    """GET by id of a caller with one role, and of one with `many`, each of which lends the same rows."""
    asked = Asked(name, f"GET by id, {many} roles against one, {_CONNECTIONS} connections", _CONNECTIONS, MUST)
    having = ("clerk", *(f"clerk{n}" for n in range(1, many)))
    with served(name, _serve(world, name, many), world.uri, world.folder) as one:
        same: Served = one
        return await side_by_side(asked, extent, (same, _requests(world, ("clerk",))), (same, _requests(world, having)))


async def subordinates(world: World, extent: Extent, name: str, many: int, dearer: float) -> Row:
    """GET by id of somebody with ten people below, and of one with `many`, who may cost `dearer` times as much."""
    what = f"GET by id, {many:,} subordinates against 10, {_CONNECTIONS} connections"
    asked = Asked(name, what, _CONNECTIONS, round(1 / dearer, 2))
    world.database.drop_collection(PEOPLE)
    world.database[PEOPLE].insert_many(people())
    folder = world.folder / name
    write_config(folder, world.database.name, policy=POLICY_OF_PEOPLE, schema=SCHEMA_OF_PEOPLE)
    serve = ["permission_mongo", "serve", "--config", str(folder), "--port", "0"]

    def requests(count: int) -> list[bytes]:
        token = caller_token(roles=("chief",), who=BOSSES[count])
        return [request_bytes("GET", f"/{SMALL}/{one}", token) for one in world.ids[SMALL]]

    with served(name, serve, world.uri, world.folder) as one:
        return await side_by_side(asked, extent, (one, requests(10)), (one, requests(many)))


# -- a reload


async def reloaded(world: World, extent: Extent, name: str, rules: int) -> Row:
    """From the edit of a policy to its being in force, settling time included."""
    took: list[float] = []
    with served(name, _serve(world, name, rules), world.uri, world.folder) as one:
        for done in range(extent.rounds):
            took.append(await _edited(one, world.folder / name, done))
            tell_one(name, done, extent.rounds, took[-1], "s")
    what = f"edit of a policy of {rules:,} rules until it is in force"
    return Row(name, what, "s", spread(took), must=1.0, less_is_better=True)


async def beside_reload(world: World, extent: Extent, name: str, rules: int) -> Row:
    """The 99th percentile of GETs, one after the other, while such an edit is taken, and with nothing beside them."""
    quiet: list[float] = []
    beside: list[float] = []
    asked = _requests(world, ("clerk",))
    with served(name, _serve(world, name, rules), world.uri, world.folder) as one:
        async with connected(one.port, 1, []) as load:
            for done in range(extent.rounds):
                quiet.append(_percentile([await _one(load, asked, n) for n in range(2_000)]))
                edit = asyncio.create_task(_edited(one, world.folder / name, done))
                times: list[float] = []
                while not edit.done():
                    times.append(await _one(load, asked, len(times)))
                await edit
                beside.append(_percentile(times))
                tell(name, done, extent.rounds, quiet[-1], beside[-1], "ms")
    what = f"p99 of GETs while a policy of {rules:,} rules is reloaded, against none"
    return Row(name, what, "ms", *paired(beside, quiet), must=2.0, less_is_better=True)


async def _edited(one: Served, folder: Path, done: int) -> float:
    """Seconds until another policy is in force."""
    async with connected(one.port, 1, []) as load:
        before = await _policy(load)
        started = perf_counter()
        with (folder / "policy.yml").open("a") as policy:
            policy.write(f"# {done} {started}\n")
        while True:
            if await _policy(load) != before:
                return perf_counter() - started
            await asyncio.sleep(_LOOK)


async def _policy(load: Load) -> str:
    status, body = await load.ask(b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    if status != 200:
        raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
    return str(orjson.loads(body))


async def _one(load: Load, requests: list[bytes], n: int) -> float:
    started = perf_counter()
    status, body = await load.ask(requests[n % len(requests)])
    if status != 200:
        raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
    return (perf_counter() - started) * 1000


def _percentile(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
