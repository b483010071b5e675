"""What it costs to know the caller and what the caller may do, warm: CPU of those calls alone, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import thread_time
from typing import Final

from benchmarks.rows import Row, spread
from benchmarks.samples import SMALL, write_config
from benchmarks.world import Extent, World, tell_one
from permission_mongo.assembly import open_gateway
from permission_mongo.config.load import load_config
from permission_mongo.gateway import Gateway
from permission_mongo.operations import GetOne
from permission_mongo.parsing.documents import read_get_one
from permission_mongo.parsing.lists import parameters_of
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.showing import show
from permission_mongo.principal import DEFAULT_NAMESPACE

_CALLS: Final = 20_000  # a round, at most
_ABOUT: Final = {"method": "GET", "ip": "127.0.0.1"}


async def judged(world: World, extent: Extent, name: str) -> Row:
    """A token seen before becomes its principal, and a GET of a document the plan with its guard."""
    async with _gateway(world, name) as gateway:
        operation, authorization = _operation(world, gateway), [f"Bearer {world.token}"]

        async def once() -> None:
            gateway.planner.plan(operation, await _asking(gateway, authorization))

        what = "knowing the caller and planning a GET by id, warm, those calls alone"
        return Row(name, what, "CPU us", spread(await _rounds(name, extent, once)), less_is_better=True)


async def shown(world: World, extent: Extent, name: str) -> Row:
    """The same, and what was read of the document shown through the rules of its fields, as the answer's JSON."""
    async with _gateway(world, name) as gateway:
        operation, authorization = _operation(world, gateway), [f"Bearer {world.token}"]
        _, outcome = await gateway.running.run(operation, await _asking(gateway, authorization))

        async def once() -> None:
            asking = await _asking(gateway, authorization)
            plan = gateway.planner.plan(operation, asking)
            show(plan, outcome, gateway.planner.cursors, asking.posix())

        what = "auth and policy, warm: the same and 300 B shown through the rules of the fields"
        return Row(name, what, "CPU us", spread(await _rounds(name, extent, once)), must=15.0, less_is_better=True)


@asynccontextmanager
async def _gateway(world: World, name: str) -> AsyncIterator[Gateway]:
    folder = write_config(world.folder / name, world.database.name)
    async with open_gateway(load_config(folder), world.uri, carriers=0) as gateway:
        yield gateway


def _operation(world: World, gateway: Gateway) -> GetOne:
    collection = gateway.config.collections[SMALL]
    operation = read_get_one(str(world.ids[SMALL][0]), parameters_of(b""), collection)
    assert isinstance(operation, GetOne)
    return operation


async def _asking(gateway: Gateway, authorization: list[str]) -> Asking:
    """As the gateway makes it of a request's headers."""
    principal = await gateway.authenticator.authenticate(authorization, [])
    gateway.within(DEFAULT_NAMESPACE, principal)
    return Asking(principal, gateway.clock(), _ABOUT, "0")


async def _nothing() -> None:
    return None


async def _rounds(name: str, extent: Extent, once: Callable[[], Awaitable[None]]) -> list[float]:
    """CPU microseconds of one call, less those of one that does nothing, of each round."""
    found: list[float] = []
    count = min(_CALLS, extent.requests)
    await _spent(once, count)
    for done in range(extent.rounds):
        nothing, spent = await _spent(_nothing, count), await _spent(once, count)
        found.append((spent - nothing) / count * 1e6)
        tell_one(name, done, extent.rounds, found[-1], "CPU us")
    return found


async def _spent(once: Callable[[], Awaitable[None]], count: int) -> float:
    started = thread_time()
    for _ in range(count):
        await once()
    return thread_time() - started
