"""A configuration and an address -> a gateway, opened and closed as one."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.config.model import Config
from permission_mongo.consulting import Consulting
from permission_mongo.delivering import Delivering
from permission_mongo.gateway import Gateway
from permission_mongo.metrics import Metrics
from permission_mongo.outgoing.calls import Caller
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Callers
from permission_mongo.planning.make import Planner
from permission_mongo.query.cursors import CursorKey, derived
from permission_mongo.running import Running
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.settings import shared_secret, versioned_since
from permission_mongo.storage.starting import patiently
from permission_mongo.storage.store import Store
from permission_mongo.values import utc_now

CARRIERS: Final = 2  # jobs at once that no caller waits for
DELIVERERS: Final = 8  # entries of the outbox at once


@asynccontextmanager
async def open_gateway(config: Config, uri: str, *, carriers: int = CARRIERS) -> AsyncIterator[Gateway]:
    """A gateway on the MongoDB at `uri`. StartupFailure where it can't work there.

    Without `carriers` it begins jobs and leaves those that nobody waits for to other gateways.
    """
    tokens = TokenVerifier(config.auth)  # first: a wrong key needs no database to be told
    async with new_client(uri, config.mongodb) as client:
        await require_server(client)
        database = client[config.mongodb.database]
        await patiently(lambda: prepare(database, config))
        since = await patiently(lambda: versioned_since(database, config.collections.values(), utc_now()))
        own = config.server.secret
        secret = own.encode() if own else await patiently(lambda: shared_secret(database))
        keys = KeyVerifier(MongoKeyStore(database)) if config.auth.api_keys else None
        # Some connections are left to writes, so that reads alone never fill the pool.
        slots = max(1, config.mongodb.max_pool_size - 4)
        rooms = Rooms(client, config.mongodb.database, config.limits.query_timeout, slots)
        store = Store(rooms)
        fresh = Fresh()
        callers, cursors = Callers(config, derived(secret, "masks")), CursorKey(derived(secret, "cursors"))
        planner = Planner(callers, cursors, fresh.uuid, since)
        known, metrics = Authenticator(tokens, keys), Metrics()
        holder = fresh.batch_id()
        try:
            async with Caller(config.allowed) as caller:
                consulting = Consulting(config, planner, store, rooms.sequences, caller)
                running = Running(config, known, consulting, store, fresh, utc_now, metrics.observe, holder, Event())
                delivering = Delivering(rooms.outbox, config.receivers(), caller, metrics.observe, holder)
                gateway = Gateway(config, known, planner, store, running, metrics, fresh, utc_now)
                async with running.at_work(carriers), delivering.at_work(DELIVERERS):
                    yield gateway
        finally:
            await store.close()
