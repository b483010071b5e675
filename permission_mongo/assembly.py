"""A configuration and an address -> a gateway, opened and closed as one; and what takes its place at a reload."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.revocations import RevocationList
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.config.model import Config
from permission_mongo.consulting import Consulting, planned
from permission_mongo.delivering import Delivering
from permission_mongo.errors import Refusal
from permission_mongo.gateway import Gateway, InForce
from permission_mongo.metrics import Metrics
from permission_mongo.observations import ConfigTaken
from permission_mongo.operations import Explain
from permission_mongo.outgoing.calls import Caller
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.make import Planner
from permission_mongo.planning.showing import ShownTold, show
from permission_mongo.planning.targets import staff_of
from permission_mongo.query.cursors import CursorKey, derived
from permission_mongo.running import Running
from permission_mongo.service import Engine
from permission_mongo.standing import Standing
from permission_mongo.storage.connection import Database, new_client, require_server
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.revocations import MongoRevocations
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.sealing import Sealer, latest_of
from permission_mongo.storage.settings import shared_secret, versioned_since
from permission_mongo.storage.starting import patiently
from permission_mongo.storage.store import Store
from permission_mongo.storage.trail import Trail
from permission_mongo.values import utc_now

CARRIERS: Final = 2  # jobs at once that no caller waits for
DELIVERERS: Final = 8  # entries of the outbox at once
# Until all workers have taken a configuration some keep no versions yet of what it begins to keep them of.
_TAKEN_BY_ALL: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a reload, and what a further configuration needs: its database, the shared secret."""

    database: Any  # of MongoDB: it is handed on to storage, and asked for nothing here
    secret: bytes = field(repr=False)
    fresh: Fresh
    keys: KeyVerifier
    revoked: RevocationList
    engine: Engine

    async def planner(self, config: Config, now: datetime) -> Planner:
        since = await patiently(lambda: versioned_since(self.database, config.collections.values(), now))
        callers = Callers(config, derived(self.secret, "masks"))
        return Planner(callers, CursorKey(derived(self.secret, "cursors")), self.fresh.uuid, since, self.engine)

    def known_by(self, config: Config, tokens: TokenVerifier) -> Authenticator:
        return Authenticator(tokens, self.keys if config.auth.api_keys else None, self.revoked)

    async def successor(self, gateway: Gateway, config: Config) -> Gateway:
        """What takes this gateway's place with another configuration. StartupFailure where it can't work."""
        known = gateway.authenticator
        # Callers whose tokens are verified need not be verified again where nothing of that has changed.
        tokens = known.tokens if config.auth == gateway.config.auth else TokenVerifier(config.auth)
        await patiently(lambda: prepare(self.database, config))
        await _ensure_hierarchy(gateway.store, config)
        planner = await self.planner(config, utc_now() + _TAKEN_BY_ALL)
        return gateway.succeeded_by(config, self.known_by(config, tokens), planner)


async def _ensure_hierarchy(store: Store, config: Config) -> None:
    staff = next(filter(None, map(staff_of, config.collections.values())), None)
    await patiently(lambda: store.ensure_hierarchy(staff))


@asynccontextmanager
async def open_lasting(config: Config, uri: str, carriers: int = CARRIERS) -> AsyncIterator[tuple[Gateway, Lasting]]:
    """A gateway on the MongoDB at `uri`, with what others can succeed it by. StartupFailure where it can't work there.

    Without `carriers` it begins jobs and leaves those that nobody waits for to other gateways.
    """
    embedded = config.mongodb.is_embedded
    tokens = TokenVerifier(config.auth)  # first: a wrong key needs no database to be told
    async with new_client(uri, config.mongodb) as client:
        engine = Engine(await require_server(client), str(config.mongodb.folder.resolve()) if embedded else None)
        database = client[config.mongodb.database]
        await patiently(lambda: prepare(database, config))
        own = config.server.secret
        secret = own.encode() if own else await patiently(lambda: shared_secret(database))
        revoked, fresh = RevocationList(MongoRevocations(database)), Fresh()
        lasting = Lasting(database, secret, fresh, KeyVerifier(MongoKeyStore(database)), revoked, engine)
        with suppress(Refusal):
            await revoked.refresh()  # or the first request does
        metrics, in_force = Metrics(), InForce(Standing(config.digest))
        metrics.observe(ConfigTaken(config.policy_digest))
        try:
            async with Caller(config.allowed) as caller:
                place = _Place(client, database, caller, metrics, in_force)
                async with _serving(config, lasting, tokens, place, carriers) as gateway:
                    yield gateway, lasting
        finally:
            in_force.standing.leave()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a gateway works, and by what it reaches the world."""

    client: Any  # of MongoDB, as the database
    database: Any
    caller: Caller
    metrics: Metrics
    in_force: InForce


@asynccontextmanager
async def _serving(
    config: Config, lasting: Lasting, tokens: TokenVerifier, place: _Place, carriers: int
) -> AsyncIterator[Gateway]:
    """A gateway on one database, with all that works behind its requests."""
    known, planner = lasting.known_by(config, tokens), await lasting.planner(config, utc_now())
    # Some connections are left to writes, so that reads alone never fill the pool.
    slots = max(1, config.mongodb.max_pool_size - 4)
    rooms = Rooms(place.client, place.database.name, config.limits.query_timeout, slots)
    store, fresh, observe = Store(rooms), lasting.fresh, place.metrics.observe
    await _ensure_hierarchy(store, config)
    trail, holder, waiting = Trail(place.database, observe), fresh.batch_id(), Event()
    asks = Consulting(config, planner, store, rooms.sequences, place.caller)
    running = Running(config, known, asks, store, fresh, utc_now, observe, holder, waiting, place.in_force)
    gateway = Gateway(config, known, planner, store, running, place.metrics, fresh, trail, utc_now, place.in_force)
    told = Delivering(rooms.outbox, lambda: gateway.current.config.receivers(), place.caller, observe, holder)
    sealing = _sealing(config, place.database, holder, place.metrics)
    try:
        async with sealing, trail.at_work(), told.at_work(DELIVERERS if carriers else 0), running.at_work(carriers):
            yield gateway
    finally:
        await store.close()


def _sealing(config: Config, database: Database, holder: str, metrics: Metrics) -> AbstractAsyncContextManager[None]:
    if not (config.audit.enabled and config.audit.seal):
        return nullcontext()
    latest = latest_of(config.limits.query_timeout)
    return Sealer(database, holder, latest, config.audit.ttl, metrics.observe).at_work()


@asynccontextmanager
async def open_gateway(config: Config, uri: str, *, carriers: int = CARRIERS) -> AsyncIterator[Gateway]:
    """The same for who reloads nothing."""
    async with open_lasting(config, uri, carriers) as (gateway, _):
        yield gateway


async def explained_here(config: Config, uri: str, operation: Explain, asking: Asking) -> Mapping[str, Any]:
    """An explanation without a gateway: nothing is made in the database but the audit's entry."""
    async with new_client(uri, config.mongodb) as client:
        await require_server(client)
        store = Store(Rooms(client, config.mongodb.database, config.limits.query_timeout, 1))
        planner = Planner(Callers(config, bytes(32)), CursorKey(bytes(32)), Fresh().uuid, {})
        plan, asking = await planned(planner, store, operation, asking)
        try:
            shown = show(plan, await store.execute(plan, asking.actor()), planner.cursors, asking.posix())
        finally:
            await store.close()
        assert isinstance(shown, ShownTold)  # noqa: S101  (an Explain leads to nothing else)
        return shown.told
