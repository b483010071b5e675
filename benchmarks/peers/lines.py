"""The gateway against a peer: the same documents, stored by each in its own way, 16 connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from benchmarks.load import Load, Unexpected, connected, request_bytes, request_with
from benchmarks.peers.installed import Peer
from benchmarks.processes import Served, answering, free_port
from benchmarks.rows import Row
from benchmarks.samples import CALLER, SMALL, TENANT, caller_token, sent_document
from benchmarks.world import Asked, Extent, Line, World, side_by_side

_CONNECTIONS: Final = 16
_DOCUMENTS: Final = 1000
_PART: Final = 50  # documents a request while it is filled: as many as Parse Server takes
_TO_START: Final = 60.0  # seconds
_HERE: Final = Path(__file__).parent
_APP: Final = "benchmarks"  # Parse Server's name for itself


@dataclass(frozen=True, slots=True)
class Filled:
    """A peer at work with its documents: the paths of each, of a list of twenty and of new ones, and who asks."""

    server: Served
    headers: Mapping[str, str]
    documents: list[str]
    page: str
    created: tuple[str, dict[str, Any]]

    def requests(self, kind: str) -> list[bytes]:
        match kind:
            case "get":
                return [request_with("GET", path, self.headers) for path in self.documents]
            case "list":
                return [request_with("GET", self.page, self.headers)]
            case _:
                path, document = self.created
                return [request_with("POST", path, self.headers, orjson.dumps(document))]


def _ours(world: World, kind: str) -> tuple[Served, list[bytes]]:
    """Each connection's reads carry another credential: a peer knows no reads that go together."""
    tokens = [caller_token(n) for n in range(_CONNECTIONS)]
    body = orjson.dumps(sent_document())
    match kind:
        case "get":
            paths = [f"/{SMALL}/{one}" for one in world.ids[SMALL]]
            asked = [request_bytes("GET", path, tokens[n % len(tokens)]) for n, path in enumerate(paths)]
            return world.gateway, asked
        case "list":
            return world.gateway, [request_bytes("GET", f"/{SMALL}?_limit=20", token) for token in tokens]
        case "post":
            return world.unaudited, [request_bytes("POST", f"/{SMALL}", world.token, body)]
        case _:
            return world.gateway, [request_bytes("POST", f"/{SMALL}", world.token, body)]


async def _against(world: World, extent: Extent, asked: Asked, peer: Peer, kind: str) -> Row:
    async with _FILLED[peer.name](world, peer) as filled:
        return await side_by_side(asked, extent, (filled.server, filled.requests(kind)), _ours(world, kind))


# -- Eve


@asynccontextmanager
async def _eve(world: World, peer: Peer) -> AsyncIterator[Filled]:
    """Under gunicorn with one worker, of the kind that keeps connections."""
    port, token, database = free_port(), token_hex(16), f"{world.database.name}_eve"
    told = {"PEER_TOKEN": token, "PEER_CALLER": CALLER, "PEER_TENANT": TENANT, "PEER_DATABASE": database}
    gunicorn = [str(peer.folder / "bin" / "gunicorn"), "--workers", "1", "--worker-class", "gthread", "--threads", "4"]
    kept = ["--keep-alive", "75", "--bind", f"127.0.0.1:{port}", "--pythonpath", str(_HERE), "eve_app:app"]
    added = {**told, "MONGODB_URI": world.uri}
    with answering("eve", [*gunicorn, *kept], port, added, world.folder, _TO_START) as server:
        try:
            headers = {"authorization": f"Bearer {token}"}
            ids = await _filled(server, "/notes", headers, [sent_document() for _ in range(_PART)], _ids_of_eve)
            paths = [f"/notes/{one}" for one in ids]
            yield Filled(server, headers, paths, "/notes?max_results=20", ("/notes", sent_document()))
        finally:
            world.database.client.drop_database(database)


def _ids_of_eve(answer: Any) -> list[str]:
    return [one["_id"] for one in answer["_items"]]


# -- Parse Server


@asynccontextmanager
async def _parse(world: World, peer: Peer) -> AsyncIterator[Filled]:
    """One process. The rows are its caller's by their ACL, the caller is known by a session."""
    port, key, database = free_port(), token_hex(16), f"{world.database.name}_parse"
    told = {"PEER_FOLDER": str(peer.folder), "PEER_PORT": str(port), "PEER_KEY": key, "NODE_ENV": "production"}
    added = {**told, "PEER_DATABASE_URI": _named(world.uri, database)}
    command = ["node", str(_HERE / "parse_server.mjs")]
    with answering("parse", command, port, added, world.folder, _TO_START) as server:
        try:
            yield await _parse_filled(server, key)
        finally:
            world.database.client.drop_database(database)


async def _parse_filled(server: Served, key: str) -> Filled:
    app = {"x-parse-application-id": _APP}
    master = {**app, "x-parse-master-key": key}
    own = {"requiresAuthentication": True}
    schema = {"className": "Note", "classLevelPermissions": {"get": own, "find": own, "create": own}}
    async with connected(server.port, 1, []) as load:
        fields = {"title": "String", "status": "String", "email": "String", "amount": "Number", "at": "Date"}
        declared = {name: {"type": kind} for name, kind in {**fields, "tags": "Array"}.items()}
        await _said(load, "/parse/schemas/Note", master, {**schema, "fields": declared})
        person = {"username": CALLER, "password": token_hex(16)}
        user = await _said(load, "/parse/users", app, person)
    headers = {**app, "x-parse-session-token": user["sessionToken"]}
    sent = sent_document()
    at, own_rows = {"__type": "Date", "iso": sent["at"].replace("Z", ".000Z")}, {"read": True, "write": True}
    document = {**sent, "at": at, "ACL": {user["objectId"]: own_rows}}
    one = {"method": "POST", "path": "/parse/classes/Note", "body": document}
    ids = await _filled(server, "/parse/batch", headers, {"requests": [one] * _PART}, _ids_of_parse)
    paths = [f"/parse/classes/Note/{one}" for one in ids]
    return Filled(server, headers, paths, "/parse/classes/Note?limit=20", ("/parse/classes/Note", document))


def _ids_of_parse(answer: Any) -> list[str]:
    return [one["success"]["objectId"] for one in answer]


def _named(uri: str, database: str) -> str:
    """The address with this database, as Parse Server wants it."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))


# -- both


async def _filled(
    server: Served, path: str, headers: Mapping[str, str], body: Any, ids_of: Callable[[Any], list[str]]
) -> list[str]:
    """The ids of documents that were made through the peer itself."""
    found: list[str] = []
    async with connected(server.port, 1, []) as load:
        while len(found) < _DOCUMENTS:
            found += ids_of(await _said(load, path, headers, body))
    return found


async def _said(load: Load, path: str, headers: Mapping[str, str], body: Any) -> Any:
    status, answer = await load.ask(request_with("POST", path, headers, orjson.dumps(body)))
    if status not in (200, 201):
        raise Unexpected(f"{path}: {status}: {answer[:300].decode(errors='replace')}")
    return orjson.loads(answer)


_FILLED: Final[Mapping[str, Callable[[World, Peer], AbstractAsyncContextManager[Filled]]]] = {
    "eve": _eve,
    "parse": _parse,
}
_TITLES: Final = {"eve": "Eve 2.3, one worker", "parse": "Parse Server 9.10"}
_KINDS: Final = {
    "get": f"GET by id, 300 B, {_CONNECTIONS} callers",
    "list": f"list of 20, 300 B, {_CONNECTIONS} callers",
    "post": "POST, 300 B, no audit",
    "post-audit": "POST, 300 B, with audit",
}
MUSTS: Final[Mapping[str, Mapping[str, float | None]]] = {
    # The peers keep no trail, so what is demanded is demanded of the gateway without one.
    "eve": {"get": 2.5, "list": 4.0, "post": 3.5, "post-audit": None},
    "parse": {"get": 2.0, "list": 2.0, "post": 2.0, "post-audit": None},
}


def lines_against(peer: Peer) -> dict[str, Line]:
    """By name: of a peer that is installed."""
    found: dict[str, Line] = {}
    for kind, must in MUSTS[peer.name].items():
        name = f"{peer.name}-{kind}"
        what = f"{_KINDS[kind]}, against {_TITLES[peer.name]}"
        found[name] = partial(_against, asked=Asked(name, what, _CONNECTIONS, must), peer=peer, kind=kind)
    return found
