"""How MongoDB looks for the rows of a filter, for `permission-mongo check --uri`. Reads one sample, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from permission_mongo.config.model import MongoDB
from permission_mongo.errors import StartupFailure
from permission_mongo.linting.planner import IndexUse, Probe
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.values import CODEC, Document

_PATIENCE: Final = 10_000  # milliseconds for one question


async def index_uses(uri: str, settings: MongoDB, probes: Sequence[Probe]) -> list[IndexUse]:
    """The planner's answer to each probe. StartupFailure if the server does not answer or refuses to explain."""
    async with new_client(uri, settings) as client:
        await require_server(client)
        database = client.get_database(settings.database, codec_options=CODEC)
        try:
            return [await _use(database, probe) for probe in probes]
        except PyMongoError as error:
            raise StartupFailure(f"MongoDB did not explain a query: {type(error).__name__}") from error


async def _use(database: AsyncDatabase[Document], probe: Probe) -> IndexUse:
    rows = database[probe.collection.name]
    sample = await rows.find_one({name: {"$ne": None} for name in probe.likes}, max_time_ms=_PATIENCE)
    query = {"find": rows.name, "filter": probe.filter(sample or {}), "maxTimeMS": _PATIENCE}
    answer = await database.command({"explain": query, "verbosity": "executionStats"})
    stats: Mapping[str, Any] = answer["executionStats"]
    whole = "COLLSCAN" in _stages(answer["queryPlanner"]["winningPlan"])
    return IndexUse(whole, int(stats["totalDocsExamined"]), int(stats["nReturned"]))


def _stages(plan: object) -> set[str]:
    """The names of all stages of a plan, however this server nests them."""
    if isinstance(plan, Mapping):
        own = {str(plan["stage"])} if "stage" in plan else set()
        return own.union(*(_stages(one) for one in plan.values()))
    return set().union(*(_stages(one) for one in plan)) if isinstance(plan, list) else set()
