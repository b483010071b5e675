"""The collections and indexes the gateway needs, made at start; and the servers and collections it can't work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
from pymongo.operations import IndexModel

from permission_mongo.config.model import Config
from permission_mongo.errors import StartupFailure
from permission_mongo.schema.model import Collection
from permission_mongo.storage.faults import DUPLICATE
from permission_mongo.storage.starting import passes
from permission_mongo.values import Document

VERSIONS: Final = "_pm_versions"
BATCHES: Final = "_pm_batches"
PARTS: Final = "_pm_parts"
HISTORY: Final = ("collection", "tenant_id", "gone", "doc_id", "ended.at", "began")  # the index of versions
AUDIT: Final = "_pm_audit"
SEALS: Final = "_pm_audit_seals"
IDEMPOTENCY: Final = "_pm_idempotency"
HIERARCHY: Final = "_pm_hierarchy"
PROOFS: Final = "_pm_proofs"  # of writes of which nothing else tells
OUTBOX: Final = "_pm_outbox"
SEQUENCES: Final = "_pm_sequences"
BLOB_KEYS: Final = "_pm_blob_keys"
PROVED_FOR: Final = 3600  # seconds; they are asked for within some
KEPT_FOR: Final = 24 * 3600  # seconds that an answer is kept under its idempotency key
_OWN: Final = (VERSIONS, BATCHES, PARTS, AUDIT, SEALS, IDEMPOTENCY, PROOFS, OUTBOX, SEQUENCES)
_CONFLICTS: Final = frozenset({85, 86})  # IndexOptionsConflict, IndexKeySpecsConflict


async def prepare(database: AsyncDatabase[Document], config: Config) -> None:
    """Make what is missing. Nothing is dropped; StartupFailure where something stands in the way."""
    await _require_transactions(database)
    existing = {one["name"]: one async for one in await database.list_collections()}
    for collection in config.collections.values():
        _require_plain(existing.get(collection.name))
    people = [HIERARCHY] if any(one.hierarchy is not None for one in config.collections.values()) else []
    files = [BLOB_KEYS] if any(one.blobs for one in config.collections.values()) else []
    names = (*config.collections, *_OWN, *people, *files)
    for name in names:
        if name not in existing:
            # In a transaction a collection made on the fly would conflict with its neighbours.
            await database.create_collection(name)
    for collection in config.collections.values():
        await _make_indexes(database, collection.name, _declared(collection))
    ends = any(one.keeping.days is not None for one in config.collections.values())
    await _make_indexes(database, VERSIONS, _of_versions(ends=ends))
    await _make_indexes(database, BATCHES, _of_batches())
    await _make_indexes(database, PARTS, [IndexModel([("batch", 1)], name="batch")])
    await _make_indexes(database, AUDIT, _of_audit(config.audit.ttl))
    await _make_indexes(database, OUTBOX, _of_outbox())
    await _make_indexes(database, SEALS, [IndexModel([("last", 1)], name="last")])
    await _make_indexes(database, IDEMPOTENCY, _of_idempotency())
    if HIERARCHY in names:
        await _make_indexes(database, HIERARCHY, _of_hierarchy())
    if files:
        await _make_indexes(database, BLOB_KEYS, _of_blob_keys())
    await _make_indexes(database, PROOFS, [IndexModel([("at", 1)], name="ttl", expireAfterSeconds=PROVED_FOR)])


async def _require_transactions(database: AsyncDatabase[Document]) -> None:
    hello = await database.client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StartupFailure(
            "this MongoDB is a plain standalone server, and batches and versions need transactions. Start it as a "
            'replica set of one: mongod --replSet rs0 ..., then once: mongosh --eval "rs.initiate()"'
        )


def _require_plain(found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    options = found.get("options", {})
    reasons = {
        "a view": found.get("type") == "view",
        "a time-series collection": found.get("type") == "timeseries",
        "capped": bool(options.get("capped")),
        # With another collation `==` would match other spellings.
        "of a collation other than simple": options.get("collation", {}).get("locale", "simple") != "simple",
    }
    for reason, applies in reasons.items():
        if applies:
            raise StartupFailure(f"the collection '{found['name']}' is {reason}; its rules could not be kept exactly")


def _declared(collection: Collection) -> list[IndexModel]:
    models = [
        IndexModel(
            list(index.keys),
            unique=index.unique,
            sparse=index.sparse,
            **({} if index.expire_after is None else {"expireAfterSeconds": index.expire_after}),
            **({} if index.partial is None else {"partialFilterExpression": index.partial}),
        )
        for index in collection.indexes
    ]
    if collection.tenant_field is not None:
        models.append(IndexModel([(collection.tenant_field, 1), ("_id", 1)]))
    return models


def _of_versions(*, ends: bool) -> list[IndexModel]:
    """One beside that of the ids, for each costs a deletion a tenth: what is gone, and states by their time.

    Where versions have an end, one that ends them; in it are only those that have.
    """
    history = IndexModel([(name, 1) for name in HISTORY], name="history")
    having = {"expires": {"$exists": True}}
    ending = IndexModel([("expires", 1)], name="ends", expireAfterSeconds=0, partialFilterExpression=having)
    return [history, ending] if ends else [history]


def _of_blob_keys() -> list[IndexModel]:
    place = [("collection", 1), ("doc", 1), ("field", 1), ("checksum", 1)]
    return [IndexModel(place, name="place"), IndexModel([("at", 1)], name="at")]


def _of_batches() -> list[IndexModel]:
    of_jobs, waiting = {"job.open": {"$exists": True}}, {"job.open": True}
    own = [("tenant_id", 1), ("by", 1), ("job.kind", 1), ("at", -1), ("_id", -1)]
    return [
        IndexModel([("collection", 1), ("at", -1)], name="recent"),
        # Of the few batches that are jobs alone: other batches cost nothing more for them.
        IndexModel(own, name="jobs", partialFilterExpression=of_jobs),
        IndexModel([("job.until", 1)], name="leases", partialFilterExpression=waiting),
    ]


def _of_outbox() -> list[IndexModel]:
    waiting = {"state": "pending"}
    return [
        IndexModel([("state", 1), ("order", 1)], name="waiting"),
        IndexModel([("line", 1), ("order", 1)], name="lines", partialFilterExpression=waiting),
    ]


def _of_audit(ttl: float | None) -> list[IndexModel]:
    models = [IndexModel([("tenant_id", 1), ("_id", -1)], name="newest")]
    if ttl is not None:
        models.append(IndexModel([("at", 1)], name="ttl", expireAfterSeconds=int(ttl)))
    return models


def _of_idempotency() -> list[IndexModel]:
    key = ("namespace", "tenant_id", "kind", "subject", "key")
    return [
        # What makes a key one caller's own, and its write happen once.
        IndexModel([(name, 1) for name in key], unique=True, name="keys"),
        IndexModel([("at", 1)], name="ttl", expireAfterSeconds=KEPT_FOR),
    ]


def _of_hierarchy() -> list[IndexModel]:
    return [
        IndexModel([("t", 1), ("up", 1)], name="below"),
        IndexModel([("t", 1), ("m", 1)], name="reports"),
        IndexModel([("d", 1)], name="documents", sparse=True),
    ]


async def _make_indexes(database: AsyncDatabase[Document], name: str, models: Iterable[IndexModel]) -> None:
    for model in models:
        try:
            await database[name].create_indexes([model])
        except OperationFailure as error:
            if passes(error):
                raise
            index = f"index on ({', '.join(model.document['key'])}) of '{name}'"
            if error.code in _CONFLICTS:
                reason = f"an {index} exists with other options; drop it yourself, or declare it as it is"
            elif error.code == DUPLICATE:
                reason = f"the unique {index} can't be made: documents with equal values exist"
            else:
                reason = f"the {index} can't be made: {(error.details or {}).get('codeName')}"
            raise StartupFailure(reason) from error
