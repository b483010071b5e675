"""What more and larger documents cost: how many there are, how deep a page is, how large they are, how many at once."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote

import orjson
from bson import BSON
from bson.objectid import ObjectId

from benchmarks.batches import asked
from benchmarks.curves.measured import ONE_AT_A_TIME, Question, costs, costs_of_each, in_rounds
from benchmarks.curves.shape import Curve, series_of
from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.processes import served
from benchmarks.samples import SCHEMA, SMALL, deep_documents, small_document, write_config
from benchmarks.world import Extent, World, insert

_UNIT: Final = "us a request"
_COUNTS: Final = (1_000, 10_000, 100_000, 1_000_000)
_BATCHES: Final = (10, 30, 100, 300, 1_000)
_SIZES: Final = (300, 1_000, 4_000, 16_000, 64_000)  # bytes as stored
_OF_A_SIZE: Final = 100
_SOME: Final = 1_000
_STEP: Final = 10_000  # rows a page on the way down
_POLICY: Final = "{roles: {clerk: {}}, policies: {%s}}"


def _collection(count: int) -> str:
    return f"entries{count}"


def _counts(extent: Extent) -> list[int]:
    """A million at most, in a short run less."""
    return [count for count in _COUNTS if count <= extent.documents]


def _fill(world: World, counts: list[int]) -> None:
    """Nothing where it was done for another curve."""
    for count in counts:
        collection = world.database[_collection(count)]
        if collection.estimated_document_count() == count:
            continue
        for some in deep_documents(count):
            collection.insert_many(some, ordered=False)


def _config(world: World, name: str, counts: list[int]) -> list[str]:
    """Of a gateway with a collection for each count, and the command that serves it."""
    names = [_collection(count) for count in counts]
    fields = "{tenant_id: {type: string}, owner_id: {type: string}, at: {type: date}, number: {type: integer}}"
    index = "indexes: [{fields: [tenant_id, at, _id]}]"
    schema = SCHEMA + "".join(f"  {one}:\n    fields: {fields}\n    {index}\n" for one in names)
    rule = "{clerk: {actions: [read], when: resource.owner_id == user.id}}"
    policy = _POLICY % ", ".join(f"{one}: {rule}" for one in names)
    folder = write_config(world.folder / name, world.database.name, schema=schema, policy=policy)
    return ["permission_mongo", "serve", "--config", str(folder), "--port", "0"]


async def documents(world: World, extent: Extent, name: str) -> Curve:
    """GET by id and a sorted list of twenty, in collections of so many documents each."""
    counts = _counts(extent)
    _fill(world, counts)
    with served(name, _config(world, name, counts), world.uri, world.folder) as one:
        pages, gets = {}, {}
        for count in counts:
            path = f"/{_collection(count)}"
            step = max(1, count // _SOME)
            ids = [row["_id"] for row in world.database[_collection(count)].find({"number": {"$mod": [step, 0]}})]
            gets[float(count)] = Question(one, [request_bytes("GET", f"{path}/{at}", world.token) for at in ids])
            pages[float(count)] = Question(one, [request_bytes("GET", f"{path}?_sort=at&_limit=20", world.token)])
        found = await costs_of_each(name, extent, {"GET by id": gets, "list of 20, sorted": pages})
    return Curve(name, "GET by id and list", "documents in the collection", _UNIT, found, ONE_AT_A_TIME)


async def depth(world: World, extent: Extent, name: str) -> Curve:
    """A page of twenty behind so many rows: the cursors of larger pages lead there."""
    count = _counts(extent)[-1]
    places = [0, *(one for one in (1_000, 10_000, 100_000) if one < count), count - 20]
    _fill(world, [count])
    with served(name, _config(world, name, [count]), world.uri, world.folder) as one:
        async with connected(one.port, 1, []) as load:
            cursors = await _cursors(load, world, f"/{_collection(count)}?_sort=at", places)
        page = f"/{_collection(count)}?_sort=at&_limit=20"
        questions = {
            float(at): Question(one, [request_bytes("GET", page + cursor, world.token)])
            for at, cursor in zip(places, cursors, strict=True)
        }
        found = await costs(name, extent, questions)
    return Curve(name, f"a page of 20 of {count:,}", "rows before the page", _UNIT, found, ONE_AT_A_TIME)


async def _cursors(load: Load, world: World, path: str, places: list[int]) -> list[str]:
    """What leads behind so many rows, as the end of a query."""
    found, cursor, behind = [""], "", 0
    for place in places[1:]:
        while behind < place:
            step = min(_STEP, place - behind)
            status, body = await load.ask(request_bytes("GET", f"{path}&_limit={step}{cursor}", world.token))
            if status != 200:
                raise Unexpected(f"{status}: {body[:200].decode(errors='replace')}")
            cursor, behind = f"&_cursor={quote(orjson.loads(body)['pagination']['cursor'])}", behind + step
        found.append(cursor)
    return found


async def sizes(world: World, extent: Extent, name: str) -> Curve:
    """GET by id of documents of so many bytes, from the gateway and from the floor."""
    requests: dict[float, list[bytes]] = {}
    for size in _SIZES:
        ids = world.database[SMALL].insert_many([_of_size(n, size) for n in range(_OF_A_SIZE)]).inserted_ids
        requests[float(size)] = [request_bytes("GET", f"/{SMALL}/{one}", world.token) for one in ids]
    servers = {"gateway": world.gateway, "floor": world.floor}
    kinds = {who: {at: Question(one, some) for at, some in requests.items()} for who, one in servers.items()}
    found = await costs_of_each(name, extent, kinds)
    return Curve(name, "GET by id", "bytes of the document", _UNIT, found, ONE_AT_A_TIME)


def _of_size(number: int, size: int) -> dict[str, Any]:
    """A small document with a longer title."""
    found = small_document(number)
    found["title"] += "." * max(0, size - len(BSON.encode(found)))
    return found


async def batches(world: World, extent: Extent, name: str) -> Curve:
    """A versioned delete of so many by their ids, a document, and a bare `delete_many` of as many others."""
    ours: dict[float, list[float]] = {}
    floor: dict[float, list[float]] = {}
    for size in _BATCHES:
        await _both_deleted(world, size)

    async def measure(size: float) -> float:
        by_gateway, bare = await _both_deleted(world, int(size))
        ours.setdefault(size, []).append(by_gateway / size * 1000)
        floor.setdefault(size, []).append(bare / size * 1000)
        return ours[size][-1]

    await in_rounds(name, extent, _BATCHES, measure)
    found = (series_of("versioned delete", ours), series_of("bare delete_many", floor))
    return Curve(name, "delete by ids", "documents of the batch", "us a document", found, "elapsed")


async def _both_deleted(world: World, size: int) -> tuple[float, float]:
    """Milliseconds of the gateway and of the bare driver."""
    ids = insert(world.database, SMALL, 2 * size)
    body = orjson.dumps({"ids": [str(one) for one in ids[:size]]})
    request = request_bytes("DELETE", f"/{SMALL}/batch", world.token, body)
    async with connected(world.gateway.port, 1, []) as load:
        by_gateway = await asked(load, request, partial(_is_whole, size))
    return by_gateway, _bare(world, ids[size:])


def _is_whole(size: int, answer: Any) -> bool:
    return bool(answer["deleted"] == size)


def _bare(world: World, ids: list[ObjectId]) -> float:
    started = perf_counter()
    world.database[SMALL].delete_many({"_id": {"$in": ids}})
    return (perf_counter() - started) * 1000
