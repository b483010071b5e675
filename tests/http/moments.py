"""A gateway whose clock the test moves, so that there is a past to ask about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from permission_mongo.config.model import Config
from permission_mongo.values import date_text, utc_now
from tests.http.harness import World, a_world


@dataclass
class Clock:
    now: datetime

    def tick(self, seconds: float = 10) -> datetime:
        """The moment before the step; what was done until then is true at it."""
        before = self.now
        self.now += timedelta(seconds=seconds)
        return before


@dataclass
class Timed:
    """A world, its clock, and the moment since when it keeps versions."""

    world: World
    clock: Clock
    since: datetime

    async def list(self, moment: datetime | str, path: str = "/notes", token: str | None = None, **params):
        text = moment if isinstance(moment, str) else date_text(moment)
        return await self.world.get(path, token=token, params={"_as_of": text, **params})

    async def ids(self, moment: datetime, **more) -> list[str]:
        answer = await self.list(moment, **more)
        assert answer.status_code == 200, answer.text
        return [row["_id"] for row in answer.json()["data"]]

    async def one(self, moment: datetime, one: str = "a", token: str | None = None, **params):
        return await self.world.get(f"/notes/{one}", token=token, params={"_as_of": date_text(moment), **params})


@asynccontextmanager
async def a_timed_world(mongo_uri: str, config: Config) -> AsyncIterator[Timed]:
    async with a_world(mongo_uri, config) as world:
        clock = Clock(utc_now() + timedelta(seconds=60))
        gateway = replace(world.gateway, clock=lambda: clock.now)
        world.app.state.gateway = world.gateway = gateway
        yield Timed(world, clock, gateway.planner.since["notes"])
