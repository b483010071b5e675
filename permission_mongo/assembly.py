"""A configuration and an address -> a gateway, opened and closed as one; and what takes its place at a reload."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from permission_mongo.auth.api_keys import KeyVerifier
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.revocations import RevocationList
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.blobs import Links, Sealing
from permission_mongo.config.model import Config
from permission_mongo.consulting import Consulting, planned
from permission_mongo.delivering import Delivering
from permission_mongo.errors import Refusal
from permission_mongo.gateway import Gateway, InForce
from permission_mongo.logs import RequestLog
from permission_mongo.metrics import Metrics
from permission_mongo.observations import ConfigTaken, LinesDropped, Remembering
from permission_mongo.operations import Explain
from permission_mongo.outgoing.calls import Caller
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.make import Planner
from permission_mongo.planning.showing import ShownTold, show
from permission_mongo.planning.targets import staff_of
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.query.cursors import CursorKey, derived
from permission_mongo.rates import Rates
from permission_mongo.running import Running
from permission_mongo.sampling import Sampling
from permission_mongo.service import Engine
from permission_mongo.shares import Budget
from permission_mongo.spans import sent_to
from permission_mongo.standing import Standing
from permission_mongo.storage.blobs import Blobs, GridFS
from permission_mongo.storage.buckets import Bucket
from permission_mongo.storage.connection import Database, new_client, require_server
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.listening import listeners, pool_stands
from permission_mongo.storage.revocations import MongoRevocations
from permission_mongo.storage.rooms import Rooms
from permission_mongo.storage.sealing import Sealer, latest_of
from permission_mongo.storage.settings import shared_secret, versioned_since
from permission_mongo.storage.starting import patiently
from permission_mongo.storage.store import Store
from permission_mongo.storage.sweeping import Sweeper
from permission_mongo.storage.trail import Trail
from permission_mongo.values import utc_now

CARRIERS: Final = 2  # jobs at once that no caller waits for
DELIVERERS: Final = 8  # entries of the outbox at once
# Until all workers have taken a configuration some keep no versions yet of what it begins to keep them of.
_TAKEN_BY_ALL: Final = timedelta(seconds=10)


# What the database is prepared for. Two readings of one schema differ as objects, and its digest stands for it.
_OF_THE_DATABASE: Final = ("schema_digest", "audit")


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a reload and what all namespaces share: the connections, the secret, who is known.

    Keys, revocations and the secret are of the default namespace's database.
    """

    client: Any  # of MongoDB: it is handed on to storage, and asked for nothing here
    secret: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(repr=False)  # secrets: what was signed by them still counts
    fresh: Fresh
    keys: KeyVerifier
    revoked: RevocationList
    engine: Engine
    caller: Caller
    metrics: Metrics
    standing: Standing
    budget: Budget
    rates: Rates = field(default_factory=Rates)

    def database(self, config: Config, namespace: str) -> Any:
        return self.client[config.database(namespace)]

    async def planner(self, config: Config, namespace: str, now: datetime) -> Planner:
        database, collections = self.database(config, namespace), config.collections.values()
        since = await patiently(lambda: versioned_since(database, collections, now))
        return self._judging(config, namespace, since)

    def _judging(self, config: Config, namespace: str, since: Mapping[str, datetime]) -> Planner:
        callers = Callers(config, *self._keys("masks"))
        # A cursor is good in its namespace alone.
        cursors = "cursors" if namespace == DEFAULT_NAMESPACE else f"cursors of {namespace}"
        return Planner(
            callers,
            CursorKey(*self._keys(cursors)),
            self.fresh.uuid,
            since,
            replace(self.engine, namespace=namespace),
        )

    def _keys(self, purpose: str) -> tuple[bytes, tuple[bytes, ...]]:
        """The key that signs for this purpose, and those that did."""
        return derived(self.secret, purpose), tuple(derived(one, purpose) for one in self.former)

    def links(self, config: Config, namespace: str) -> Links:
        return Links(Sealing(*self._keys("blobs")), namespace, config.blobs.url_ttl)

    def known_by(self, config: Config, tokens: TokenVerifier) -> Authenticator:
        return Authenticator(tokens, self.keys if config.auth.api_keys else None, self.revoked)

    async def successor(self, gateway: Gateway, config: Config) -> Gateway:
        """What takes this gateway's place with another configuration. StartupFailure where it can't work."""
        known = gateway.authenticator
        # Callers whose tokens are verified need not be verified again where nothing of that has changed.
        tokens = known.tokens if config.auth == gateway.config.auth else TokenVerifier(config.auth)
        known = self.known_by(config, tokens)
        beside = {name: await self._succeeding(one, name, config, known) for name, one in gateway.beside.items()}
        return replace(await self._succeeding(gateway, DEFAULT_NAMESPACE, config, known), beside=beside)

    async def _succeeding(self, gateway: Gateway, namespace: str, config: Config, known: Authenticator) -> Gateway:
        if all(getattr(config, name) == getattr(gateway.config, name) for name in _OF_THE_DATABASE):
            planner = self._judging(config, namespace, gateway.planner.since)
        else:
            await patiently(lambda: prepare(self.database(config, namespace), config))
            await _ensure_hierarchy(gateway.store, config)
            planner = await self.planner(config, namespace, utc_now() + _TAKEN_BY_ALL)
        return gateway.succeeded_by(config, known, planner)


async def _ensure_hierarchy(store: Store, config: Config) -> None:
    found = [staff for staff in map(staff_of, config.collections.values()) if staff is not None]
    if not found:
        await patiently(store.forget_hierarchy)
    for staff in found:
        await patiently(lambda staff=staff: store.ensure_hierarchy(staff))  # type: ignore[misc]


@asynccontextmanager
async def open_lasting(config: Config, uri: str, carriers: int = CARRIERS) -> AsyncIterator[tuple[Gateway, Lasting]]:
    """A gateway on the MongoDB at `uri`, with what others can succeed it by. StartupFailure where it can't work there.

    Without `carriers` it begins jobs and leaves those that nobody waits for to other gateways.
    """
    embedded = config.mongodb.is_embedded
    tokens = TokenVerifier(config.auth)  # first: a wrong key needs no database to be told
    metrics, lines = Metrics(), RequestLog(config.logging)
    async with (
        sent_to(config.tracing.otlp_endpoint, config.tracing.sample_ratio) as spans,
        new_client(uri, config.mongodb, listeners(config.metrics.times_commands, metrics.observe, spans)) as client,
        AsyncExitStack() as stack,
    ):
        engine = Engine(await require_server(client), str(config.mongodb.folder.resolve()) if embedded else None)
        database = client[config.mongodb.database]
        await patiently(lambda: prepare(database, config))
        own = config.server.secret
        secret = own.encode() if own else await patiently(lambda: shared_secret(database))
        former = tuple(one.encode() for one in config.server.previous_secrets)
        patience = config.limits.query_timeout  # who asks is told no later than what is asked
        keys, revoked = await _known_at(database, patience)
        standing, budget = Standing(config.digest), Budget(config.limits.max_bytes_in_flight, patience)
        stack.callback(standing.leave)
        metrics.observe(ConfigTaken(config.policy_digest))
        caller = await stack.enter_async_context(Caller(config.allowed, observe=metrics.observe, spans=spans))
        lasting = Lasting(client, secret, former, Fresh(), keys, revoked, engine, caller, metrics, standing, budget)
        known = lasting.known_by(config, tokens)
        beside: dict[str, Gateway] = {}
        for name in config.namespaces:
            beside[name] = await stack.enter_async_context(_serving(config, name, lasting, known, carriers))
        gateway = await stack.enter_async_context(_serving(config, DEFAULT_NAMESPACE, lasting, known, carriers))
        beside = {name: replace(one, lines=lines, spans=spans) for name, one in beside.items()}
        gateway = replace(gateway, beside=beside, lines=lines, spans=spans)
        looks = (lambda: _remembering(gateway), lambda: [pool_stands(client)], lambda: _dropped(lines))
        await stack.enter_async_context(Sampling(metrics.observe, looks).at_work())
        yield gateway, lasting


async def _known_at(database: Database, patience: float) -> tuple[KeyVerifier, RevocationList]:
    revoked = RevocationList(MongoRevocations(database, patience))
    with suppress(Refusal):
        await revoked.refresh()  # or the first request does
    return KeyVerifier(MongoKeyStore(database, patience)), revoked


def _dropped(lines: RequestLog) -> Iterator[LinesDropped]:
    count = lines.tally()
    if count:
        yield LinesDropped(count)


def _remembering(opened: Gateway) -> Iterator[Remembering]:
    """What spared work since the last look, in whatever is in force."""
    gateway = opened.current
    yield Remembering("token", *gateway.authenticator.tokens.tally())
    for one in (gateway, *gateway.beside.values()):
        yield Remembering("grants", *one.planner.callers.tally())


@asynccontextmanager
async def _serving(
    config: Config, namespace: str, lasting: Lasting, known: Authenticator, carriers: int
) -> AsyncIterator[Gateway]:
    """A gateway on the database of one namespace, with all that works behind its requests."""
    database = lasting.database(config, namespace)
    if namespace != DEFAULT_NAMESPACE:
        await patiently(lambda: prepare(database, config))
    planner = await lasting.planner(config, namespace, utc_now())
    told_of_audit = config.audit.receiver if config.audit.enabled else None
    observe = lasting.metrics.observe
    seconds, connections = config.limits.query_timeout, config.mongodb.max_pool_size
    rooms = Rooms(lasting.client, database.name, seconds, connections, told_of_audit, observe=observe)
    bucket = None if config.blobs.s3 is None else Bucket(config.blobs.s3, seconds)
    blobs = Blobs(rooms.database, bucket or GridFS(rooms.database, seconds), namespace, seconds)
    sweeper = Sweeper(rooms, blobs, config.blobs.grace, observe)
    store, fresh, in_force = Store(rooms, blobs, sweeper), lasting.fresh, InForce(lasting.standing)
    await _ensure_hierarchy(store, config)
    trail, holder, waiting = Trail(rooms.audit, observe), fresh.batch_id(), Event()
    asks = Consulting(config, planner, store, rooms.sequences, lasting.caller)
    running = Running(config, known, asks, store, fresh, utc_now, observe, holder, waiting, in_force)
    kept = (fresh, trail, utc_now, in_force)
    shared = Gateway(config, known, planner, store, running, lasting.metrics, *kept, rates=lasting.rates)
    links = replace(lasting.links(config, namespace), of_store=None if bucket is None else bucket.url)
    gateway = replace(shared, budget=lasting.budget, sizes=rooms.sizes, links=links)
    told = Delivering(rooms.outbox, lambda: gateway.current.config.receivers(), lasting.caller, observe, holder)
    sealing = _sealing(config, database, holder, lasting.metrics)
    keeps = carriers and any(one.blobs for one in config.collections.values())
    sweeping = sweeper.at_work(utc_now) if keeps else nullcontext()
    try:
        async with (
            sweeping,
            sealing,
            trail.at_work(),
            told.at_work(DELIVERERS if carriers else 0),
            running.at_work(carriers),
        ):
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
        store = Store(Rooms(client, config.mongodb.database, config.limits.query_timeout, 1, config.audit.receiver))
        planner = Planner(Callers(config, bytes(32)), CursorKey(bytes(32)), Fresh().uuid, {})
        plan, asking = await planned(planner, store, operation, asking)
        try:
            shown = show(plan, await store.execute(plan, asking.actor()), planner.cursors, asking.posix())
        finally:
            await store.close()
        assert isinstance(shown, ShownTold)  # noqa: S101  (an Explain leads to nothing else)
        return shown.told
