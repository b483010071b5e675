"""Two gateways on two databases, with one clock, one supply of fresh ids and one secret: what differs is what is hidden."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
from bson.objectid import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.api.app import build_app
from permission_mongo.assembly import open_gateway
from permission_mongo.config.model import Config
from permission_mongo.gateway import Gateway
from permission_mongo.parsing.ids import Fresh
from permission_mongo.schema.model import Collection
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.layout import AUDIT, BATCHES, PARTS, VERSIONS
from permission_mongo.values import DocumentId
from tests.http.harness import SECRET, a_config, a_token
from tests.laws.two_worlds.contents import DELETED_HIDDEN, KEPT_SINCE, MOVED_IDS, NOW, Contents, jobs, two_contents
from tests.laws.two_worlds.rules import COLLECTIONS, CONFIG, CREW, DEPT, ME, POLICY, SCHEMA, TENANT, hidden_places

TOKENS = {role: a_token(ME, [role], TENANT, dept=DEPT) for role in ("viewer", "user", "manager", "boss")}
KEEPER = f"Bearer {a_token(ME, ['keeper'], TENANT)}"
_UNTOLD = {"date", "x-process-time"}


@dataclass
class Supply:
    """A clock and ids that tell nothing: the next of each is the last plus one."""

    now: datetime = NOW
    number: int = 0

    def clock(self) -> datetime:
        return self.now

    def next(self) -> int:
        self.number += 1
        return self.number


@dataclass(frozen=True, slots=True)
class Counted(Fresh):
    """Fresh ids in an order that repeats."""

    supply: Supply = field(default_factory=Supply)

    def document_id(self, collection: Collection) -> DocumentId:
        number = self.supply.next()
        if collection.id_type == "objectId":
            return ObjectId(f"{0x66000000 + number:08x}{'0' * 16}")
        return UUID(int=number) if collection.id_type == "uuid" else f"{number:032x}"

    def document_ids(self, collection: Collection, count: int) -> list[DocumentId]:
        return [self.document_id(collection) for _ in range(count)]

    def batch_id(self) -> str:
        return f"{0xABC00000 + self.supply.next():032x}"

    def uuid(self) -> UUID:
        return UUID(int=self.supply.next())


@dataclass
class World:
    """One of the two."""

    client: httpx.AsyncClient
    database: AsyncDatabase
    gateway: Gateway
    supply: Supply

    async def fill(self, contents: Contents) -> None:
        """Nothing but these contents."""
        await self.gateway.trail.settled()  # what was noted before belongs to the contents before
        for name in (*COLLECTIONS, VERSIONS, BATCHES, PARTS, AUDIT):
            await self.database[name].delete_many({})
        stored = {**contents.live, VERSIONS: contents.versions, PARTS: contents.parts, BATCHES: jobs(contents)}
        for name, rows in stored.items():
            if rows:
                await self.database[name].insert_many(rows)
        await self._put_blobs([row["_id"] for row in contents.live["staff"] if row.get("tenant_id") != TENANT][:9])

    async def _put_blobs(self, ids: list) -> None:
        """Bytes of documents that the caller does not see."""
        of_blobs = ("_pm_blob_keys", "_pm_blobs.files", "_pm_blobs.chunks")
        for name in of_blobs:
            await self.database[name].delete_many({})
        if not ids:
            return
        photo = {"filename": "x", "content_type": "text/plain", "size_bytes": 1, "checksum": "0" * 64}
        await self.database["staff"].update_many({"_id": {"$in": ids}}, {"$set": {"photo": photo}})
        place = {"collection": "staff", "field": "photo", "checksum": "0" * 64, "at": NOW, "settled": True}
        rows = (
            [{"_id": one, "doc": one, **place} for one in ids],
            [{"_id": one, "length": 1, "chunkSize": 1024, "uploadDate": NOW} for one in ids],
            [{"_id": one, "files_id": one, "n": 0, "data": b"x"} for one in ids],
        )
        for name, some in zip(of_blobs, rows, strict=True):
            await self.database[name].insert_many(some)

    async def rows(self, name: str) -> dict:
        """All that is stored in one collection, by id; the id of a record is told by its values."""
        found = self.database[name].find({})
        return {tuple(row["_id"].values()) if name == VERSIONS else row["_id"]: row async for row in found}


def a_crew(rnd: Random) -> list[dict]:
    """Alike in the caller's tenant, and by chance in others, where people have the same names."""
    crew = [{"_id": f"{TENANT}-{name}", "tenant_id": TENANT, "name": name, "lead": lead} for name, lead in CREW]
    for tenant in ("evil", "Acme"):
        names = [ME, *rnd.sample(("bob", "carol", "dave", "erin"), rnd.randrange(1, 5))]
        crew += [{"_id": f"{tenant}-{n}", "tenant_id": tenant, "name": n, "lead": ME} for n in names[1:]]
        crew.append({"_id": f"{tenant}-{ME}", "tenant_id": tenant, "name": ME})
    return crew


@asynccontextmanager
async def a_world(mongo_uri: str, config: Config) -> AsyncIterator[World]:
    supply = Supply()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Gateway]:
        async with open_gateway(config, mongo_uri) as gateway:
            fresh = Counted(supply)
            planner = replace(
                gateway.planner, new_uuid=fresh.uuid, since=dict.fromkeys(gateway.planner.since, KEPT_SINCE)
            )
            consulting = replace(gateway.consulting, planner=planner)
            running = replace(gateway.running, consulting=consulting, fresh=fresh, clock=supply.clock)
            gateway.trail.most_of_one = 10**9  # a clock of its own cuts floods
            yield replace(gateway, planner=planner, running=running, fresh=fresh, clock=supply.clock)

    app = build_app(opened(), public_metrics=False, doors=config.doors)
    async with AsyncExitStack() as stack:
        look = await stack.enter_async_context(new_client(mongo_uri, config.mongodb))
        await look[config.mongodb.database]["crew"].insert_many(a_crew(Random()))
        await stack.enter_async_context(app.router.lifespan_context(app))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            yield World(client, look[config.mongodb.database], app.state.gateway, supply)
        await app.state.gateway.trail.settled()
        await look.drop_database(config.mongodb.database)


@dataclass(frozen=True)
class Asked:
    """One request. A value that is a pair is each world's own, such as a cursor made by chance."""

    route: tuple[str, str]
    path: str
    params: tuple[tuple[str, object], ...] = ()
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.route[0]} {self.path} {dict(self.params)} {dict(self.headers)} {json.dumps(self.body, default=str)}"
        )


@dataclass(frozen=True)
class Told:
    """What the caller can see of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    own_cursor: str | None = None

    def json(self) -> object:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Leak(AssertionError):
    """The two worlds answered differently."""


@dataclass
class Pair:
    """The two worlds as one caller meets them."""

    worlds: tuple[World, World]
    role: str = "user"
    contents: tuple[Contents, Contents] = ()  # type: ignore[assignment]
    start: tuple[dict, ...] = ()
    asked: list[str] = field(default_factory=list)
    numbers: count = field(default_factory=count)

    async def begin(self, role: str, seed: int) -> None:
        self.role, self.asked, self.numbers = role, [f"{role}, seed {seed}"], count()
        self.contents = two_contents(role, seed)
        for world, contents in zip(self.worlds, self.contents, strict=True):
            world.supply.now, world.supply.number = NOW, 0
            await world.fill(contents)
        await self._audited(seed)
        self.start = tuple(
            [{name: await world.rows(name) for name in (*COLLECTIONS, VERSIONS)} for world in self.worlds]
        )

    async def _audited(self, seed: int) -> None:
        """Others were at work: in the caller's tenant alike but for hidden fields, in other tenants in one world alone."""
        rnd, ids = Random(seed), [ObjectId() for _ in range(12)]
        for n, one in enumerate(ids):
            kind = {} if n % 3 else {"kind": "refusal", "code": "forbidden"}
            about = {"user_id": "bob", "roles": ["user"], "credential": None, "request_id": f"r{n}", **kind}
            what = {"action": "update", "collection": "staff", "ids": [f"s{n:02}"], "count": 1, "at": NOW}
            shown, hidden = ["dept", "level"][: rnd.randrange(3)], ["salary", "pay.bonus", "pay"][: rnd.randrange(4)]
            entry = {"_id": one, "tenant_id": TENANT, **about, **what}
            if n % 4 == 1:
                await self.worlds[1].database[AUDIT].insert_one({**entry, "tenant_id": rnd.choice(("other", None))})
                continue
            await self.worlds[0].database[AUDIT].insert_one({**entry, "paths": shown})
            await self.worlds[1].database[AUDIT].insert_one({**entry, "paths": [*hidden, *shown]})

    async def ask(self, asked: Asked) -> tuple[Told, Told]:
        """The same request to both. Leak, with the whole sequence, where the answers differ."""
        number = next(self.numbers)
        self.asked.append(str(asked))
        first, second = [await self._told(n, asked, f"law-{number}") for n in (0, 1)]
        if asked.path == "/ready":
            return first, second  # pings within a second, which a busy machine may miss; it knows no caller
        if replace(first, own_cursor=None) != replace(second, own_cursor=None):
            raise Leak("\n".join([*self.asked[-12:], "was answered", str(first), "and", str(second)]))
        if first.status >= 500 and first.status not in (501,):
            raise AssertionError("\n".join([*self.asked[-12:], "was answered", str(first)]))
        return first, second

    async def _told(self, n: int, asked: Asked, request_id: str) -> Told:
        world = self.worlds[n]
        if asked.path == "/_pm/audit":
            await world.gateway.trail.settled()
        world.supply.now += timedelta(milliseconds=10)
        params = [(name, value[n] if isinstance(value, tuple) else value) for name, value in asked.params]
        sent = {"authorization": f"Bearer {TOKENS[self.role]}", "x-request-id": request_id, **dict(asked.headers)}
        body: dict = {} if asked.body is None else {"content": _bytes(asked.body)}
        if body:
            sent.setdefault("content-type", "application/json")
        answer = await world.client.request(asked.route[0], asked.path, params=params, headers=sent, **body)
        return _as_told(answer, asked)

    async def stir(self, choices: Random) -> None:
        """Others work in the second world: hidden documents go or change there between the caller's requests."""
        database, hidden = self.worlds[1].database, self.contents[1].hidden
        name = choices.choice(COLLECTIONS)
        for one in choices.sample(sorted(hidden[name]), min(len(hidden[name]), 5)):
            if choices.random() < 0.5:
                await database[name].delete_one({"_id": one})
                hidden[name].remove(one)
            else:
                await database[name].update_one({"_id": one}, {"$set": {"name": "stirred", "note": choices.random()}})
        self.start[1][name] |= {
            one: row for one, row in (await self.worlds[1].rows(name)).items() if one in hidden[name]
        }
        self.asked.append(f"others changed hidden {name} of the second world")

    async def require_untouched(self) -> None:
        """What the caller does not see has not changed: hidden rows, hidden versions, hidden fields of visible rows."""
        for n, world in enumerate(self.worlds):
            former = await self._former(world)
            for name in COLLECTIONS:
                now, before = await world.rows(name), self.start[n][name]
                for one in self.contents[n].hidden[name]:
                    self._require(_equal(now.get(one), before[one]), name, one)
                for one in set(now) & set(before) - self.contents[n].hidden[name]:
                    if self._sent_anew(one):
                        continue  # it may have been deleted, made again and changed
                    states = (before[one], *(former.get(one, ()) if name == "staff" else ()))
                    self._require(any(_kept(self.role, name, state, now[one]) for state in states), name, one)
            now, before = await world.rows(VERSIONS), self.start[n][VERSIONS]
            self._require(set(before) <= set(now) or self._purged(), VERSIONS, set(before) - set(now))
            for one, record in before.items():
                if record["doc_id"] in (*DELETED_HIDDEN, *MOVED_IDS):
                    self._require(_equal(now.get(one), record), VERSIONS, record["doc_id"])

    async def _former(self, world: World) -> dict[object, list[dict]]:
        """The states that a restore or an undo may have put back whole, with what of them is hidden."""
        if not any("/restore/" in one or "/undo" in one for one in self.asked):
            return {}
        found: dict[object, list[dict]] = {}
        for record in (await world.rows(VERSIONS)).values():
            if record["tenant_id"] == TENANT:
                found.setdefault(record["doc_id"], []).append(record["data"])
        return found

    def _sent_anew(self, one: object) -> bool:
        """Whether a document with this id was to be created."""
        sent = (f'"_id": "{one}"', f'"id": "{one}"', f'"document_id": "{one}"')
        ways = ("/insert", "/documents ", "/vectors ", '"upsert": true')
        made = [asked for asked in self.asked if asked.startswith("POST ") and any(way in asked for way in ways)]
        return any(text in asked for asked in made for text in sent)

    def _purged(self) -> bool:
        return any("/purge" in one for one in self.asked)

    def _require(self, holds: bool, name: str, one: object) -> None:
        if not holds:
            raise Leak("\n".join([*self.asked[-12:], f"changed what is hidden: {name} {one}"]))


def _equal(now: object, before: object) -> bool:
    """Compared as text, for NaN equals nothing."""
    return repr(now) == repr(before)


def _kept(role: str, collection: str, before: dict, now: dict) -> bool:
    """Whether hidden fields are as they were, unless the caller deleted the row and made it again."""
    made = now.get("_made")
    if isinstance(made, dict) and made.get("action") == "create" and now["_version"] != before["_version"]:
        return True
    hidden = hidden_places(role, collection, before)
    names = {place for place in hidden if "." not in place}
    if "pay.bonus" in hidden and not _equal(_bonus(now), _bonus(before)):
        return False
    return all(_equal(now.get(name), before.get(name)) for name in names)


def _bonus(row: dict) -> object:
    return row["pay"].get("bonus") if isinstance(row.get("pay"), dict) else None


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _as_told(answer: httpx.Response, asked: Asked) -> Told:
    """Status, headers and bytes. A cursor of deleted documents or of the audit holds an id that is chance: its shape counts."""
    headers = tuple(sorted((name, value) for name, value in answer.headers.items() if name not in _UNTOLD))
    body, own = answer.content, None
    if asked.route[1].endswith(("/deleted", "/_pm/audit")) and answer.status_code == 200:
        own = answer.json()["pagination"]["cursor"]
        if own is not None:
            body = body.replace(own.encode(), b"*" * len(own))
    return Told(answer.status_code, headers, body, own)


async def open_pair(stack: AsyncExitStack, mongo_uri: str, folder: Path) -> Pair:
    """Both worlds, closed with the stack."""
    text = CONFIG.format(secret=SECRET)
    configs = [a_config(folder, text, SCHEMA, POLICY) for _ in range(2)]
    worlds = [await stack.enter_async_context(a_world(mongo_uri, config)) for config in configs]
    return Pair((worlds[0], worlds[1]))
