"""Creating one document, with and without something else to commit."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from benchmarks.load import connected, request_bytes
from benchmarks.rows import Row, paired
from benchmarks.samples import DRAFTS, SMALL, sent_document
from benchmarks.world import Asked, Extent, World, side_by_side, tell

_WARM_UP: Final = 0.25  # of a round
_SEALED_WITHIN: Final = 1.5  # seconds


async def plain(world: World, extent: Extent, asked: Asked) -> Row:
    """No audit and no versions, so nothing else to commit: one insert on either side."""
    requests = [request_bytes("POST", f"/{DRAFTS}", world.token, orjson.dumps(sent_document()))]
    return await side_by_side(asked, extent, (world.floor, requests), (world.unaudited, requests))


async def default(world: World, extent: Extent, asked: Asked) -> Row:
    """As delivered, with an audit entry; the floor makes the same two inserts in one transaction."""
    body = orjson.dumps(sent_document())
    ours = [request_bytes("POST", f"/{SMALL}", world.token, body)]
    floor = [request_bytes("POST", f"/{SMALL}/audited", world.token, body)]
    return await side_by_side(asked, extent, (world.floor, floor), (world.gateway, ours))


async def sealed(world: World, extent: Extent, asked: Asked) -> Row:
    """The same gateway twice, each with a database of its own: the floor here is the one that seals nothing.

    A round is twice as long as others, and ends with time in which its last entries are sealed: the other's is spared.
    """
    requests = [request_bytes("POST", f"/{SMALL}", world.token, orjson.dumps(sent_document()))]
    speeds: dict[str, list[float]] = {"unsealed": [], "gateway": []}
    for done in range(extent.rounds):
        for server in (world.unsealed, world.gateway) if done % 2 == 0 else (world.gateway, world.unsealed):
            async with connected(server.port, asked.connections, requests) as load:
                await load.run(extent.seconds * _WARM_UP, extent.requests)
                speeds[server.name].append((await load.run(extent.seconds * 2, extent.requests)).per_second)
            await asyncio.sleep(_SEALED_WITHIN)
        tell(asked.name, done, extent.rounds, speeds["unsealed"][-1], speeds["gateway"][-1], "requests/s")
    return Row(asked.name, asked.what, "requests/s", *paired(speeds["gateway"], speeds["unsealed"]), must=asked.must)
