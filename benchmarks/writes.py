"""Creating one document, with and without something else to commit."""

from __future__ import annotations

import orjson

from benchmarks.load import request_bytes
from benchmarks.rows import Row
from benchmarks.samples import DRAFTS, SMALL, sent_document
from benchmarks.world import Asked, Extent, World, side_by_side


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
