"""The floor of reads, as a process of its own: Starlette and PyMongo, and nothing that asks who may.

Its uvicorn settings and pool sizes are those of the gateway. It prints its address like the gateway does.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import orjson
import uvicorn
from bson.objectid import ObjectId
from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import CollectionInvalid
from pymongo.write_concern import WriteConcern
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.supervisors import Multiprocess

from benchmarks.samples import LEAST_POOLED, MOST_POOLED
from permission_mongo.api.server import listen

_DATABASE: Final = "BENCHMARKS_DATABASE"  # how a worker, which begins anew, finds it
_DATES = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def _answer(found: Any, status: int = 200) -> Response:
    body = orjson.dumps(found, default=str, option=_DATES)
    return Response(body, 404 if found is None else status, media_type="application/json")


def build_floor(uri: str, database: str) -> Starlette:
    """A document is a `find_one`, a list a `find` in the order of ids, a batch one command of the driver for many."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, maxPoolSize=MOST_POOLED, minPoolSize=LEAST_POOLED
        )
        async with client:
            app.state.collections = {name: client[database][name] for name in ("notes", "orders", "drafts")}
            # Made beforehand: in transactions side by side its making would conflict.
            with suppress(CollectionInvalid):  # another worker made it
                await client[database].create_collection("bare_audit")
            app.state.client, app.state.audit = client, client[database]["bare_audit"]
            yield

    async def one(request: Request) -> Response:
        collection = request.app.state.collections[request.path_params["collection"]]
        return _answer(await collection.find_one({"_id": ObjectId(request.path_params["id"])}))

    async def page(request: Request) -> Response:
        collection = request.app.state.collections[request.path_params["collection"]]
        limit = int(request.query_params["_limit"])
        rows = await collection.find({}, sort=[("_id", 1)], limit=limit, batch_size=limit).to_list()
        return _answer(rows)

    async def add(request: Request) -> Response:
        document = orjson.loads(await request.body())
        await request.app.state.collections[request.path_params["collection"]].insert_one(document)
        return _answer(document, 201)

    async def add_audited(request: Request) -> Response:
        """The same with a second insert, as small as an audit entry, in one transaction."""
        state, document = request.app.state, orjson.loads(await request.body())
        async with state.client.start_session() as session:
            await session.start_transaction(write_concern=WriteConcern("majority"))
            await state.collections[request.path_params["collection"]].insert_one(document, session=session)
            await state.audit.insert_one(_entry(document["_id"]), session=session)
            await session.commit_transaction()
        return _answer(document, 201)

    def collection_of(request: Request) -> AsyncCollection[dict[str, Any]]:
        found: AsyncCollection[dict[str, Any]] = request.app.state.collections[request.path_params["collection"]]
        return found.with_options(write_concern=WriteConcern("majority"))

    async def add_many(request: Request) -> Response:
        documents = orjson.loads(await request.body())["documents"]
        done = await collection_of(request).insert_many(documents)
        return _answer({"created": done.inserted_ids}, 201)

    async def some(request: Request) -> Response:
        ids = [ObjectId(one) for one in orjson.loads(await request.body())["ids"]]
        rows = await collection_of(request).find({"_id": {"$in": ids}}, batch_size=len(ids) + 1).to_list()
        return _answer({"documents": rows})

    async def change_many(request: Request) -> Response:
        sent = orjson.loads(await request.body())["updates"]
        changes = [UpdateOne({"_id": ObjectId(one["id"])}, {"$set": one["update"]}) for one in sent]
        done = await collection_of(request).bulk_write(changes, ordered=False)
        return _answer({"modified": done.modified_count})

    routes = [
        Route("/{collection}/batch", add_many, methods=["POST"]),
        Route("/{collection}/batch", change_many, methods=["PUT"]),
        Route("/{collection}/batch/get", some, methods=["POST"]),
        Route("/{collection}/audited", add_audited, methods=["POST"]),
        Route("/{collection}/{id}", one),
        Route("/{collection}", page),
        Route("/{collection}", add, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _entry(one: ObjectId) -> dict[str, Any]:
    who = {"tenant_id": "acme", "user_id": "alice", "credential": None, "roles": ["clerk"], "request_id": "0" * 20}
    return {"at": datetime(2026, 1, 31), **who, "action": "create", "collection": "notes", "ids": [one], "count": 1}


def serve(app: Any, bound: socket.socket, workers: int = 1, lifespan: Any = "on") -> None:
    """With the settings of the gateway's uvicorn. Of several workers each makes `app`, a name, anew."""
    print(f"  at       http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[bound])
    else:
        Multiprocess(config, sockets=[bound]).run()


def worker_floor() -> Starlette:
    return build_floor(os.environ["MONGODB_URI"], os.environ[_DATABASE])


def main() -> None:
    # The address holds a password, so it does not stand on the command line.
    parser = argparse.ArgumentParser("python -m benchmarks.floor", description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    os.environ[_DATABASE] = options.database
    app: Starlette | str = worker_floor() if options.workers == 1 else "benchmarks.floor:worker_floor"
    serve(app, listen("127.0.0.1", 0), options.workers)


if __name__ == "__main__":
    main()
