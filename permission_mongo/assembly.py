"""A configuration and an address -> a gateway, opened and closed as one."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.config.model import Config
from permission_mongo.gateway import Gateway
from permission_mongo.metrics import Metrics
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Callers
from permission_mongo.planning.make import Planner
from permission_mongo.query.cursors import CursorKey, derived
from permission_mongo.running import Running
from permission_mongo.storage.connection import Database, new_client, require_server
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.sealing import Sealer, latest_of
from permission_mongo.storage.settings import shared_secret, versioned_since
from permission_mongo.storage.starting import patiently
from permission_mongo.storage.store import Store
from permission_mongo.storage.trail import Trail
from permission_mongo.values import utc_now

CARRIERS: Final = 2  # jobs at once that no caller waits for


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
        store = Store(Rooms(client, config.mongodb.database, config.limits.query_timeout, slots))
        fresh = Fresh()
        callers, cursors = Callers(config, derived(secret, "masks")), CursorKey(derived(secret, "cursors"))
        planner = Planner(callers, cursors, fresh.uuid, since)
        known, metrics = Authenticator(tokens, keys), Metrics()
        running = Running(config, known, planner, store, fresh, utc_now, metrics.observe, fresh.batch_id(), Event())
        trail = Trail(database, metrics.observe)
        gateway = Gateway(config, known, planner, store, running, metrics, fresh, trail, utc_now)
        try:
            async with _sealing(config, database, running.holder, metrics), trail.at_work(), running.at_work(carriers):
                yield gateway
        finally:
            await store.close()


def _sealing(config: Config, database: Database, holder: str, metrics: Metrics) -> AbstractAsyncContextManager[None]:
    if not (config.audit.enabled and config.audit.seal):
        return nullcontext()
    latest = latest_of(config.limits.query_timeout)
    return Sealer(database, holder, latest, config.audit.ttl, metrics.observe).at_work()
