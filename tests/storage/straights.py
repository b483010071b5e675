"""Commands by the shortest way to a server that can be made to fail."""

from contextlib import asynccontextmanager

import pymongo
from pymongo import AsyncMongoClient

from permission_mongo.storage.quick_pool import QuickPool
from permission_mongo.storage.straight import Straight

NAME = "straight_test"
SLOW = 400  # milliseconds


@asynccontextmanager
async def straight_to(uri: str, most: int = 16, **options):
    async with AsyncMongoClient(
        uri, appname=NAME, maxPoolSize=most, w="majority", _pool_class=QuickPool, **options
    ) as client:
        yield Straight(client, client[NAME])


@asynccontextmanager
async def slow_finds(client, milliseconds: int = SLOW):
    hit = {"appName": NAME, "failCommands": ["find"], "blockConnection": True, "blockTimeMS": milliseconds}
    await client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=hit)
    try:
        yield
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")


def asked(one: int) -> dict:
    return {"find": "rows", "filter": {"_id": one}, "limit": 1}


async def ids(straight, one: int) -> list[int]:
    answer = await straight.read(asked(one))
    return [row["_id"] for row in answer.read()["cursor"]["firstBatch"]]


def pool_of(straight):
    (server,) = straight._client._topology._servers.values()
    return server.pool


class Listening(pymongo.monitoring.CommandListener):
    def __init__(self):
        self.told = []

    def started(self, event):
        self.told.append(event.command_name)

    def succeeded(self, event):
        pass

    failed = succeeded


@asynccontextmanager
async def failing(client, mode, **what):
    hit = {"appName": NAME, **what}
    await client.admin.command("configureFailPoint", "failCommand", mode=mode, data=hit)
    try:
        yield
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")
