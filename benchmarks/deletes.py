"""Versioned batch deletes against a bare `delete_many` of as many other documents."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Final

import orjson
from bson.objectid import ObjectId

from benchmarks.load import Load, Unexpected, connected, request_bytes
from benchmarks.rows import Row, paired
from benchmarks.world import Extent, World, insert, tell

_BATCH: Final = 1000


async def deleted(world: World, extent: Extent, name: str, collection: str, size: str, must: float) -> Row:
    """Fresh documents each round; half go by a bare `delete_many`, half through the gateway."""
    floor: list[float] = []
    ours: list[float] = []
    async with connected(world.gateway.port, 1, []) as load:
        for done in range(-1, extent.batch_rounds):
            ids = insert(world.database, collection, 2 * _BATCH)
            by_gateway = partial(_delete_by_gateway, world, load, collection, ids[_BATCH:], ours)
            if done % 2:
                await by_gateway()
            _delete_bare(world, collection, ids[:_BATCH], floor)
            if not done % 2:
                await by_gateway()
            if done < 0:  # the first is for warming up
                floor.clear()
                ours.clear()
                continue
            tell(name, done, extent.batch_rounds, floor[-1], ours[-1], "ms")
    what = f"versioned delete of {_BATCH:,}, {size}"
    return Row(name, what, "ms", *paired(ours, floor), must=must, less_is_better=True)


def _delete_bare(world: World, collection: str, ids: list[ObjectId], times: list[float]) -> None:
    started = perf_counter()
    deleted = world.database[collection].delete_many({"_id": {"$in": ids}}).deleted_count
    times.append((perf_counter() - started) * 1000)
    if deleted != len(ids):
        raise Unexpected(f"the floor deleted {deleted} of {len(ids)}")


async def _delete_by_gateway(
    world: World, load: Load, collection: str, ids: list[ObjectId], times: list[float]
) -> None:
    body = orjson.dumps({"ids": [str(one) for one in ids]})
    request = request_bytes("DELETE", f"/{collection}/batch", world.token, body)
    started = perf_counter()
    status, answer = await load.ask(request)
    times.append((perf_counter() - started) * 1000)
    if status != 200 or orjson.loads(answer)["deleted"] != len(ids):
        raise Unexpected(f"{status}: {answer[:200].decode(errors='replace')}")
