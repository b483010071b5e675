"""What a larger policy costs each request: the same question to the same gateway with a small one and a large one."""

from __future__ import annotations

from typing import Final

from benchmarks.load import request_bytes
from benchmarks.processes import Served, served
from benchmarks.rows import Row
from benchmarks.samples import SMALL, caller_token, policy_of, write_config
from benchmarks.world import Asked, Extent, World, side_by_side

MUST: Final = round(1 / 1.1, 2)  # a request may cost a tenth more
_CONNECTIONS: Final = 16


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
