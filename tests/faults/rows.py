"""Rows as the gateway stores them, and what a delete must have left behind, compared byte by byte."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import pymongo
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.database import Database

from permission_mongo.versions import record_id

SEED = int(os.environ.get("FAULT_SEED", "20240229"))


def rounds(short: int, long: int | None = None) -> int:
    """How often a schedule runs: FAULT_ROUNDS, else what suits every run of the tests, or, with FAULT_LONG, a proof."""
    usual = (long or 10 * short) if os.environ.get("FAULT_LONG") else short
    return int(os.environ.get("FAULT_ROUNDS", usual))


def a_row(random: Random, one: str, group: str) -> dict:
    """A note of alice's in its present version, with values that a decoding in between would not survive."""
    return {
        "_id": one,
        "tenant_id": "acme",
        "owner_id": "alice",
        "title": group,
        "status": "open",
        "counter": 0,
        "odd": [float("nan"), -0.0, Int64(1), Decimal128("1.10"), Timestamp(5, 6), Code("1"), {"": [[], {}]}],
        "filling": "x" * random.randrange(600),
        "_version": random.randrange(1, 6),
        "_made": {"action": "create", "by": "alice", "at": datetime(2024, 2, 29)},
    }


def add_rows(database: Database, random: Random, group: str, count: int) -> dict[str, bytes]:
    """Stores rows beside the gateway; their bytes by id."""
    for first in range(0, count, 10_000):
        some = range(first, min(first + 10_000, count))
        database["notes"].insert_many([a_row(random, f"{group}-{n}", group) for n in some])
    return raw_rows(database, group)


def raw_rows(database: Database, group: str) -> dict[str, bytes]:
    found = database.get_collection("notes", codec_options=DEFAULT_RAW_BSON_OPTIONS).find({"title": group})
    return {row["_id"]: bytes(row.raw) for row in found}


def records_of(database: Database, ids: Iterable[str]) -> dict[str, list[RawBSONDocument]]:
    """The version records by document, oldest first."""
    kept = database.get_collection("_pm_versions", codec_options=DEFAULT_RAW_BSON_OPTIONS)
    by_id: dict[str, list[RawBSONDocument]] = defaultdict(list)
    for record in kept.find({"doc_id": {"$in": list(ids)}}).sort("version", 1):
        by_id[record["doc_id"]].append(record)
    return by_id


@dataclass
class Left:
    """What is there after a delete. `lost`: gone without a version. `wrong`: anything else that must not be."""

    gone: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def look(database: Database, group: str, before: dict[str, bytes], *, ledger: bool = True) -> Left:
    """Every row is whole and without a record, or gone with exactly the bytes it had."""
    left = Left()
    living, records = raw_rows(database, group), records_of(database, before)
    for one, stored in before.items():
        kept = records.get(one, [])
        if one in living:
            left.wrong += [f"{one} lives, changed"] if living[one] != stored else []
            left.wrong += [f"{one} lives, and has a record"] if kept else []
            continue
        left.gone += 1
        if not kept:
            left.lost.append(one)
        else:
            left.wrong += [f"{one}: {fault}" for fault in faults_of(kept, stored)]
    if ledger:
        left.wrong += faults_of_ledger(database, [one for kept in records.values() for one in kept], left.gone)
    return left


def faults_of(kept: list[RawBSONDocument], stored: bytes) -> list[str]:
    if len(kept) != 1:
        return [f"{len(kept)} records"]
    number = RawBSONDocument(stored)["_version"]
    record = kept[0]
    found = {
        "other bytes": bytes(record["data"].raw) != stored,
        "another number": record["version"] != number,
        "not marked as gone": record.get("gone") is not True,
        "not ended by a delete": record["ended"]["action"] != "delete",
        "not full": record["mode"] != "full",
    }
    return [fault for fault, is_so in found.items() if is_so]


def faults_of_ledger(database: Database, records: list[RawBSONDocument], gone: int) -> list[str]:
    """Batches and audit entries count what is gone, no more and no less."""
    by_batch = Counter(record["ended"]["batch"] for record in records)
    names = list(by_batch)
    counted = {one["_id"]: one["counts"]["delete"] for one in database["_pm_batches"].find({"_id": {"$in": names}})}
    audited: Counter[str] = Counter()
    for entry in database["_pm_audit"].find({"batch": {"$in": names}}):
        audited[entry["batch"]] += len(entry["ids"])
    told = {"batches": counted, "audit": dict(audited)}
    wrong = [
        f"{where} counts {counts}, kept are {dict(by_batch)}" for where, counts in told.items() if counts != by_batch
    ]
    return wrong if sum(by_batch.values()) == gone else [*wrong, f"{gone} are gone, kept are {dict(by_batch)}"]


def open_transactions(client: pymongo.MongoClient) -> list:
    """The sessions that hold a transaction open on the server."""
    stages = [
        {"$currentOp": {"allUsers": True, "idleSessions": True}},
        {"$match": {"transaction": {"$exists": True}}},
    ]
    return [one["lsid"]["id"] for one in client.admin.aggregate(stages)]


def settle(client: pymongo.MongoClient, seconds: float = 10.0) -> int:
    """Wait until no transaction is open; how many there still are."""
    until = time.monotonic() + seconds
    while (found := len(open_transactions(client))) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def end_abandoned(client: pymongo.MongoClient) -> int:
    """End what a killed process left open, as the server would after a minute; how many there were."""
    ended, quiet = 0, 0
    while quiet < 3:
        found = open_transactions(client)
        quiet = 0 if found else quiet + 1
        ended += len(found)
        if found:
            client.admin.command("killSessions", [{"id": one} for one in found])
        time.sleep(0.01)
    return ended


def a_record(row: RawBSONDocument, batch: str) -> dict:
    """The record that a delete keeps of a row."""
    return {
        "_id": record_id("notes", row["_id"], row["tenant_id"], row["_version"]),
        "collection": "notes",
        "doc_id": row["_id"],
        "tenant_id": row["tenant_id"],
        "version": row["_version"],
        "mode": "full",
        "data": row,
        "ended": {"action": "delete", "by": "alice", "at": datetime(2024, 3, 1), "batch": batch},
        "gone": True,
    }
