"""A whole gateway in this process, on the run's MongoDB, with a database of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from starlette.applications import Starlette

from permission_mongo.api.app import build_app
from permission_mongo.assembly import CARRIERS, open_gateway
from permission_mongo.auth.development import make_token
from permission_mongo.config.load import digest_of, load_config
from permission_mongo.config.model import Config
from permission_mongo.gateway import Gateway
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.settings import COLLECTION as SETTINGS

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = f"auth: {{secret: '{SECRET}'}}\nmetrics: {{public: true}}\n"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, required: true, max_length: 50}
      status: {type: string, enum: [open, closed, locked], default: open}
      age: {type: integer, min: 0}
      pay: {type: object, properties: {month: {type: number}, bonus: {type: number}}}
      ssn: {type: string}
      tags: {type: array, items: {type: string}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, quantity: {type: integer}}}}
      at: {type: date}
      email: {type: string, format: email}
  plain:
    id_type: objectId
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string, required: true}, price: {type: decimal}}
"""
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}, root: {cross_tenant: true}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [create], when: "resource.status == 'open'", fields: {allow: [title, status]}}
    root: {actions: ["*"]}
  plain:
    boss: {actions: ["*"]}
"""


# Databases that were emptied and may serve again, by the configuration they were made for: to make one anew costs
# MongoDB more than most tests do. `_MADE` has the layout each of them must still have.
_SPARE: dict[str, list[str]] = {}
_MADE: dict[str, tuple[int, dict[str, Any]]] = {}
_LOADED: dict[str, Config] = {}  # by the digest: most tests are of the same few texts


def a_config(
    folder: Path, config: str = CONFIG, schema: str = SCHEMA, policy: str = POLICY, hooks: str | None = None
) -> Config:
    """The configuration of these texts, on a database of its own."""
    if hooks is not None:
        (folder / "hooks.yml").write_text(hooks)
    for name, text in (("config.yaml", config), ("schema.yml", schema), ("policy.yml", policy)):
        (folder / name).write_text(text)
    digest = digest_of(folder)
    # What else a folder has is not in its digest.
    alone = "_file:" not in config
    loaded = _LOADED.get(digest) if alone else None
    if loaded is None:
        loaded = load_config(folder, {})
        if alone:
            _LOADED[digest] = loaded
    loaded = replace(loaded, folder=folder)
    spare = _SPARE.get(loaded.digest)
    name = spare.pop() if spare else _new_name()
    return replace(loaded, mongodb=replace(loaded.mongodb, database=name, min_pool_size=0))


def _new_name() -> str:
    return f"test_{uuid4().hex[:12]}"


async def _layout(database: AsyncDatabase) -> tuple[int, dict[str, Any]]:
    """How many indexes there are, and the collections with their options; a collection made anew has another uuid."""
    found = {one["name"]: (one["options"], one["info"]["uuid"]) async for one in await database.list_collections()}
    return (await database.command("dbStats"))["indexes"], found


async def _filled(database: AsyncDatabase, names: Iterable[str]) -> list[str]:
    """Those of the collections that are not empty, asked at once."""
    first, *others = names

    def one_of(name: str) -> list[dict[str, Any]]:
        return [{"$limit": 1}, {"$project": {"_id": 0, "of": {"$literal": name}}}]

    beside = [{"$unionWith": {"coll": name, "pipeline": one_of(name)}} for name in others]
    return [row["of"] async for row in await database[first].aggregate([*one_of(first), *beside])]


async def _emptied(database: AsyncDatabase, *but: str) -> bool:
    """Whether the database is as it was made; then it is empty now, `but` for some collections."""
    layout = await _layout(database)
    if layout != _MADE.get(database.name):
        return False
    for name in await _filled(database, layout[1].keys() - {*but}):
        await database[name].delete_many({})
    return True


async def _give_back(database: AsyncDatabase, digest: str) -> None:
    """Empty the database for another test; a changed one is dropped."""
    spare = _SPARE.setdefault(digest, [])
    if database.name in spare or not await _emptied(database):
        await database.client.drop_database(database.name)
    else:
        spare.append(database.name)


def a_token(sub="alice", roles=("user",), tenant: str | None = "acme", **claims) -> str:
    if tenant is not None:
        claims["tenant_id"] = tenant
    return make_token(SECRET, "HS256", sub, roles, int(time.time()) + 7200, claims)


@dataclass
class World:
    """A gateway, a client that speaks HTTP to it, and its database, to look at what is stored."""

    client: httpx.AsyncClient
    database: AsyncDatabase
    gateway: Gateway
    app: Starlette

    async def ask(
        self, method: str, path: str, body=None, *, token: str | None = None, headers=None, **more
    ) -> httpx.Response:
        """One request as `token`'s caller; by default alice, a user of acme."""
        sent = {"authorization": f"Bearer {a_token() if token is None else token}", **(headers or {})}
        if body is not None:
            more["json"] = body
        return await self.client.request(method, path, headers=sent, **more)

    async def get(self, path: str, **more) -> httpx.Response:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body, **more) -> httpx.Response:
        return await self.ask("POST", path, body, **more)

    async def delete(self, path: str, body, **more) -> httpx.Response:
        return await self.ask("DELETE", path, body, **more)

    async def add(self, *ids: str, token: str | None = None, **fields) -> None:
        """Notes made through the gateway, called like their ids."""
        documents = [{"_id": one, "title": f"note {one}", **fields} for one in ids]
        answer = await self.post("/notes/batch", {"documents": documents}, token=token)
        assert answer.status_code == 201, answer.text

    async def stored(self, *ids: str) -> list[str]:
        """Which of the ids are stored, whatever anybody may see."""
        rows = await self.database["notes"].find({"_id": {"$in": list(ids)}}, {"_id": 1}).to_list()
        return sorted(row["_id"] for row in rows)


@asynccontextmanager
async def a_world(mongo_uri: str, config: Config, *, carriers: int = CARRIERS) -> AsyncIterator[World]:
    async with new_client(mongo_uri, config.mongodb) as look:
        async with _serving(mongo_uri, config, look, carriers) as world:
            yield world
        # At its end the gateway has stored what it had noted, so nothing of it comes into the next test.
        await _give_back(world.database, config.digest)


@asynccontextmanager
async def _serving(uri: str, config: Config, look: AsyncMongoClient, carriers: int = CARRIERS) -> AsyncIterator[World]:
    opened = open_gateway(config, uri, carriers=carriers)
    shown = {"public_metrics": config.metrics.public, "with_console": config.console.enabled}
    app = build_app(opened, doors=config.doors, **shown)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            database = look[config.mongodb.database]
            if database.name not in _MADE:
                _MADE[database.name] = await _layout(database)
            yield World(client, database, app.state.gateway, app)


# Worlds that are served on, with their server and configuration, the last used at the end; to begin and to end one
# costs more than most tests do. Few: each looks for work now and then.
_KEPT: list[tuple[tuple[str, str], World, AsyncExitStack]] = []
_MOST_KEPT = 3


@asynccontextmanager
async def a_kept_world(mongo_uri: str, config: Config) -> AsyncIterator[World]:
    """A world that other tests of the same configuration may have had before. It is emptied, and its gateway not new.

    For tests that look at answers and at what is stored. Where what a gateway remembers could show (counts, revoked
    tokens, jobs and deliveries under way, a clock or a constant of the test's own), it has to be `a_world`.
    """
    if config.mongodb.database in _MADE:
        _SPARE[config.digest].append(config.mongodb.database)
        config = replace(config, mongodb=replace(config.mongodb, database=_new_name()))
    key = (mongo_uri, config.digest)
    found = next((one for one in reversed(_KEPT) if one[0] == key), None)
    if found is not None:
        _KEPT.remove(found)
    _, world, stack = found or (key, *await _begun(mongo_uri, config))
    fit = False
    try:
        yield replace(world)
        await world.gateway.trail.settled()
        fit = world.app.state.gateway is world.gateway and await _emptied(world.database, SETTINGS)
    finally:
        if fit:
            _KEPT.append((key, world, stack))
        else:
            await stack.aclose()
    await end_kept_worlds(but=_MOST_KEPT)


async def _begun(uri: str, config: Config) -> tuple[World, AsyncExitStack]:
    stack = AsyncExitStack()
    look = await stack.enter_async_context(new_client(uri, config.mongodb))
    stack.push_async_callback(look.drop_database, config.mongodb.database)
    return await stack.enter_async_context(_serving(uri, config, look)), stack


async def end_kept_worlds(but: int = 0) -> None:
    """All `but` those that were used last."""
    while len(_KEPT) > but:
        await _KEPT.pop(0)[2].aclose()
