"""What more policy costs: rules, roles of the caller, people below the caller."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from benchmarks.curves.measured import ONE_AT_A_TIME, Question, costs
from benchmarks.curves.shape import Curve
from benchmarks.load import request_bytes
from benchmarks.processes import Served, served
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
from benchmarks.world import Extent, World

_RULES: Final = (10, 100, 1_000, 10_000)
_ROLES: Final = (1, 2, 5, 10, 20)
_UNIT: Final = "us a request"


def _gets(world: World, token: str) -> list[bytes]:
    return [request_bytes("GET", f"/{SMALL}/{one}", token) for one in world.ids[SMALL]]


def _serve(stack: ExitStack, world: World, name: str, policy: str, schema: str | None = None) -> Served:
    asked = {"policy": policy} if schema is None else {"policy": policy, "schema": schema}
    config = write_config(world.folder / name, world.database.name, **asked)
    command = ["permission_mongo", "serve", "--config", str(config), "--port", "0"]
    return stack.enter_context(served(name, command, world.uri, world.folder))


async def rules(world: World, extent: Extent, name: str) -> Curve:
    """A gateway for each policy."""
    requests = _gets(world, caller_token())
    with ExitStack() as stack:
        servers = {count: _serve(stack, world, f"{name}-{count}", policy_of(count)) for count in _RULES}
        asked = {float(count): Question(one, requests) for count, one in servers.items()}
        found = await costs(name, extent, asked)
    return Curve(name, "GET by id", "rules of the policy", _UNIT, found, ONE_AT_A_TIME)


async def roles(world: World, extent: Extent, name: str) -> Curve:
    """Callers of one gateway, each role with a rule of its own that lends the same rows."""
    with ExitStack() as stack:
        one = _serve(stack, world, name, policy_of(max(_ROLES)))
        having = {count: ("clerk", *(f"clerk{n}" for n in range(1, count))) for count in _ROLES}
        asked = {float(count): Question(one, _gets(world, caller_token(roles=of))) for count, of in having.items()}
        found = await costs(name, extent, asked)
    return Curve(name, "GET by id", "roles of the caller", _UNIT, found, ONE_AT_A_TIME)


async def subordinates(world: World, extent: Extent, name: str) -> Curve:
    """Callers of one gateway, each with so many people below, whose rows they read."""
    world.database.drop_collection(PEOPLE)
    world.database[PEOPLE].insert_many(people())
    with ExitStack() as stack:
        one = _serve(stack, world, name, POLICY_OF_PEOPLE, SCHEMA_OF_PEOPLE)
        bosses = {count: caller_token(roles=("chief",), who=who) for count, who in BOSSES.items()}
        asked = {float(count): Question(one, _gets(world, token)) for count, token in bosses.items()}
        found = await costs(name, extent, asked)
    return Curve(name, "GET by id", "people below the caller", _UNIT, found, ONE_AT_A_TIME)
