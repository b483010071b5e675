"""The floor of reads, as a process of its own: Starlette and PyMongo, and nothing that asks who may.

Its uvicorn settings and pool sizes are those of the gateway. It prints its address like the gateway does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from bson.objectid import ObjectId
from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.samples import LEAST_POOLED, MOST_POOLED
from permission_mongo.api.server import listen

_DATES = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def _answer(found: Any) -> Response:
    body = orjson.dumps(found, default=str, option=_DATES)
    return Response(body, 404 if found is None else 200, media_type="application/json")


def build_floor(uri: str, database: str) -> Starlette:
    """`GET /{collection}/{id}` is a `find_one`, `GET /{collection}?_limit=` a `find` in the order of ids."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, maxPoolSize=MOST_POOLED, minPoolSize=LEAST_POOLED
        )
        async with client:
            app.state.collections = {name: client[database][name] for name in ("notes", "orders")}
            yield

    async def one(request: Request) -> Response:
        collection = request.app.state.collections[request.path_params["collection"]]
        return _answer(await collection.find_one({"_id": ObjectId(request.path_params["id"])}))

    async def page(request: Request) -> Response:
        collection = request.app.state.collections[request.path_params["collection"]]
        limit = int(request.query_params["_limit"])
        rows = await collection.find({}, sort=[("_id", 1)], limit=limit, batch_size=limit).to_list()
        return _answer(rows)

    return Starlette(routes=[Route("/{collection}/{id}", one), Route("/{collection}", page)], lifespan=lifespan)


def serve_floor(uri: str, database: str) -> None:
    bound = listen("127.0.0.1", 0)
    print(f"  at       http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        build_floor(uri, database),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    # The address holds a password, so it does not stand on the command line.
    serve_floor(os.environ["MONGODB_URI"], sys.argv[1])
