"""How long answers take when more ask at once."""

from __future__ import annotations

from typing import Final

import orjson

from benchmarks.curves.measured import in_rounds
from benchmarks.curves.shape import Curve, series_of
from benchmarks.load import connected, request_bytes
from benchmarks.samples import SMALL, sent_document
from benchmarks.world import Extent, World

_CONNECTIONS: Final = (1, 4, 16, 64)
_PARTS: Final = {"p50": 0.5, "p99": 0.99}
_ASKED: Final = {"get": "GET by id, 300 B", "list": "list of 20, 300 B", "post": "POST, 300 B, with audit"}


def _requests(world: World, kind: str, *, bare: bool) -> list[bytes]:
    """The floor's POST makes its two inserts elsewhere."""
    match kind:
        case "get":
            return [request_bytes("GET", f"/{SMALL}/{one}", world.token) for one in world.ids[SMALL]]
        case "list":
            return [request_bytes("GET", f"/{SMALL}?_limit=20", world.token)]
        case _:
            path = f"/{SMALL}/audited" if bare else f"/{SMALL}"
            return [request_bytes("POST", path, world.token, orjson.dumps(sent_document()))]


async def latency(world: World, extent: Extent, name: str, kind: str) -> Curve:
    """The median and the 99th percentile, of the gateway and of the floor."""
    servers = {
        "gateway": (world.gateway, _requests(world, kind, bare=False)),
        "floor": (world.floor, _requests(world, kind, bare=True)),
    }
    found: dict[str, dict[float, list[float]]] = {f"{who}, {part}": {} for who in servers for part in _PARTS}

    async def measure(who: str, connections: float) -> float:
        server, requests = servers[who]
        async with connected(server.port, int(connections), requests) as load:
            await load.run(extent.seconds / 4, extent.requests)
            answered = await load.run(extent.seconds, extent.requests)
        for part, share in _PARTS.items():
            found[f"{who}, {part}"].setdefault(connections, []).append(answered.milliseconds(share))
        return answered.milliseconds(0.5)

    async def both(connections: float) -> float:
        """In turn which comes first; what is told is the gateway's median."""
        turns = len(found["gateway, p50"].get(connections, ()))
        told = {who: await measure(who, connections) for who in (servers if turns % 2 else reversed(servers))}
        return told["gateway"]

    await in_rounds(name, extent, _CONNECTIONS, both)
    series = tuple(series_of(label, values) for label, values in found.items())
    return Curve(name, _ASKED[kind], "connections", "ms", series)
