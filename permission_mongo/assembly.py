"""A configuration and an address -> a gateway, opened and closed as one; and what takes its place at a reload."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.revocations import RevocationList
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.config.model import Config
from permission_mongo.errors import Refusal
from permission_mongo.gateway import Gateway, InForce
from permission_mongo.metrics import Metrics
from permission_mongo.observations import ConfigTaken
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Callers
from permission_mongo.planning.make import Planner
from permission_mongo.query.cursors import CursorKey, derived
from permission_mongo.running import Running
from permission_mongo.standing import Standing
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.revocations import MongoRevocations
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.settings import shared_secret, versioned_since
from permission_mongo.storage.starting import patiently
from permission_mongo.storage.store import Store
from permission_mongo.values import utc_now

CARRIERS: Final = 2  # jobs at once that no caller waits for
# Until all workers have taken a configuration some keep no versions yet of what it begins to keep them of.
_TAKEN_BY_ALL: Final = timedelta(seconds=10)


# What the database is not asked about; two readings of one schema differ as objects, and its digest stands for it.
_OF_RULES: Final = ("collections", "policy", "warnings", "digest", "policy_digest")


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a reload, and what a further configuration needs: its database, the shared secret."""

    database: Any  # of MongoDB: it is handed on to storage, and asked for nothing here
    secret: bytes = field(repr=False)
    fresh: Fresh
    keys: KeyVerifier
    revoked: RevocationList

    async def planner(self, config: Config, now: datetime) -> Planner:
        since = await patiently(lambda: versioned_since(self.database, config.collections.values(), now))
        return self._judging(config, since)

    def _judging(self, config: Config, since: Mapping[str, datetime]) -> Planner:
        callers = Callers(config, derived(self.secret, "masks"))
        return Planner(callers, CursorKey(derived(self.secret, "cursors")), self.fresh.uuid, since)

    def known_by(self, config: Config, tokens: TokenVerifier) -> Authenticator:
        return Authenticator(tokens, self.keys if config.auth.api_keys else None, self.revoked)

    async def successor(self, gateway: Gateway, config: Config) -> Gateway:
        """What takes this gateway's place with another configuration. StartupFailure where it can't work."""
        known = gateway.authenticator
        # Callers whose tokens are verified need not be verified again where nothing of that has changed.
        tokens = known.tokens if config.auth == gateway.config.auth else TokenVerifier(config.auth)
        if _but_for_rules_alike(config, gateway.config):
            planner = self._judging(config, gateway.planner.since)
        else:
            await patiently(lambda: prepare(self.database, config))
            planner = await self.planner(config, utc_now() + _TAKEN_BY_ALL)
        return gateway.succeeded_by(config, self.known_by(config, tokens), planner)


def _but_for_rules_alike(one: Config, other: Config) -> bool:
    """Whether the database, which was prepared for the one, need not be asked for the other."""
    names = [field.name for field in fields(Config) if field.name not in _OF_RULES]
    return all(getattr(one, name) == getattr(other, name) for name in names)


@asynccontextmanager
async def open_lasting(config: Config, uri: str, carriers: int = CARRIERS) -> AsyncIterator[tuple[Gateway, Lasting]]:
    """A gateway on the MongoDB at `uri`, with what others can succeed it by. StartupFailure where it can't work there.

    Without `carriers` it begins jobs and leaves those that nobody waits for to other gateways.
    """
    tokens = TokenVerifier(config.auth)  # first: a wrong key needs no database to be told
    async with new_client(uri, config.mongodb) as client:
        await require_server(client)
        database = client[config.mongodb.database]
        await patiently(lambda: prepare(database, config))
        own = config.server.secret
        secret = own.encode() if own else await patiently(lambda: shared_secret(database))
        revoked, fresh = RevocationList(MongoRevocations(database)), Fresh()
        lasting = Lasting(database, secret, fresh, KeyVerifier(MongoKeyStore(database)), revoked)
        planner = await lasting.planner(config, utc_now())
        with suppress(Refusal):
            await revoked.refresh()  # or the first request does
        # Some connections are left to writes, so that reads alone never fill the pool.
        slots = max(1, config.mongodb.max_pool_size - 4)
        store = Store(Rooms(client, config.mongodb.database, config.limits.query_timeout, slots))
        known, metrics, in_force = lasting.known_by(config, tokens), Metrics(), InForce(Standing(config.digest))
        metrics.observe(ConfigTaken(config.policy_digest))
        holder, waiting = fresh.batch_id(), Event()
        running = Running(config, known, planner, store, fresh, utc_now, metrics.observe, holder, waiting, in_force)
        gateway = Gateway(config, known, planner, store, running, metrics, fresh, utc_now, in_force)
        try:
            async with running.at_work(carriers):
                yield gateway, lasting
        finally:
            in_force.standing.leave()
            await store.close()


@asynccontextmanager
async def open_gateway(config: Config, uri: str, *, carriers: int = CARRIERS) -> AsyncIterator[Gateway]:
    """The same for who reloads nothing."""
    async with open_lasting(config, uri, carriers) as (gateway, _):
        yield gateway
