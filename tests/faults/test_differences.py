"""Versions kept as differences: a gateway killed in the middle, and MongoDB removing what has come to its end."""

import time
from datetime import datetime
from random import Random

import pymongo
import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo.database import Database

from permission_mongo.storage.chains import Chain
from tests.conftest import a_server
from tests.faults.processes import Asked, GatewayProcess, a_gateway_process, write_config
from tests.faults.rows import SEED, add_rows, end_abandoned, rounds
from tests.faults.summaries import Summary, tell
from tests.http.harness import SCHEMA

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
COUNT, CHUNK = 120, 40
ALL = {"filter": {"title": "all"}}


def a_folder(tmp_path, database: Database, versioning: str = "mode: diff"):
    folder = write_config(tmp_path / "config", database.name, f"{{max_batch_size: {CHUNK}, job_lease: 1s}}")
    schema = SCHEMA.replace("versioning: {enabled: true}", f"versioning: {{enabled: true, {versioning}}}")
    (folder / "schema.yml").write_text(schema.replace("fields:\n", "fields:\n      counter: {type: integer}\n", 1))
    return folder


def states(database: Database) -> dict[str, dict[int, bytes | None]]:
    """The bytes that each record stands for, by document and number; the live row under its own number."""
    raw = database.get_collection("_pm_versions", codec_options=DEFAULT_RAW_BSON_OPTIONS)
    chain, found = Chain(), dict[str, dict[int, bytes | None]]()
    for row in raw.find({}, sort=[("_id", -1)]):
        found.setdefault(row["doc_id"], {})[row["version"]] = chain.content(row)
    live = database.get_collection("notes", codec_options=DEFAULT_RAW_BSON_OPTIONS)
    for row in live.find():
        found.setdefault(row["_id"], {})[row["_version"]] = bytes(row.raw)
    return found


def update_until(gateway: GatewayProcess, database: Database, share: float) -> None:
    """One update of all, its gateway killed when it has come so far, or ended."""
    before = database["_pm_versions"].estimated_document_count()
    asked = Asked(gateway, {**ALL, "update": {"$inc": {"counter": 1}}}, ("PUT", "/notes/batch"))
    until = time.monotonic() + 20
    while not asked.is_over and database["_pm_versions"].count_documents({}) < before + share * COUNT:
        assert time.monotonic() < until
        time.sleep(0.001)
    gateway.kill()
    asked.end()
    end_abandoned(database.client)


def wrong_of(seen: dict[str, dict[int, bytes | None]], now: dict[str, dict[int, bytes | None]]) -> list[str]:
    """Every state that was seen is there with the same bytes, and the numbers have no gap."""
    wrong = [f"{one} {number}" for one, each in seen.items() for number in each if now[one].get(number) != each[number]]
    wrong += [f"{one}: {sorted(each)}" for one, each in now.items() if max(each) - min(each) + 1 != len(each)]
    return wrong + [f"{one} {number} is lost" for one, each in now.items() for number in each if each[number] is None]


def test_f1_a_kill_leaves_every_state_that_is_kept_as_a_difference_readable(mongo_uri, database, tmp_path):
    random = Random(SEED)
    folder = a_folder(tmp_path, database)
    add_rows(database, random, "all", COUNT)
    seen, kills = states(database), 0
    for _ in range(rounds(5)):
        with a_gateway_process(folder, mongo_uri) as gateway:
            update_until(gateway, database, random.random())
        now = states(database)
        assert wrong_of(seen, now) == [], f"FAULT_SEED={SEED}"
        seen, kills = now, kills + 1
    modes = {row["mode"] for row in database["_pm_versions"].find({}, {"mode": 1})}
    assert modes == {"full", "diff"}
    kept = sum(map(len, seen.values())) - len(seen)
    tell(Summary("F1", "updates kept as differences", kills, notes=f"{kept} states kept, each as it was"))


def test_f1_control_a_difference_that_is_another_is_caught(mongo_uri, database, tmp_path):
    folder = a_folder(tmp_path, database)
    add_rows(database, Random(SEED), "all", 3)
    with a_gateway_process(folder, mongo_uri) as gateway:
        for _ in range(3):
            assert gateway.ask("PUT", "/notes/batch", {**ALL, "update": {"$inc": {"counter": 1}}})[0] == 200
    seen = states(database)
    assert wrong_of(seen, states(database)) == []
    database["_pm_versions"].delete_one({"_id": database["_pm_versions"].find_one({"mode": "full"})["_id"]})
    assert wrong_of(seen, states(database)) != []


def test_mongodb_removes_a_state_that_came_to_its_end_and_the_rest_stays_readable(tmp_path):
    """On a server of its own: one that looks for such records each second and not each minute."""
    with a_server("ttlMonitorSleepSecs=1") as uri, pymongo.MongoClient(uri) as client:
        database = client["ends"]
        folder = a_folder(tmp_path, database, "mode: diff, retention_days: 30")
        add_rows(database, Random(SEED), "all", 2)
        with a_gateway_process(folder, uri) as gateway:
            for _ in range(5):
                assert gateway.ask("PUT", "/notes/batch", {**ALL, "update": {"$inc": {"counter": 1}}})[0] == 200
            seen, first = states(database), min(states(database)["all-0"])
            end({"doc_id": "all-0", "version": {"$lte": first + 1}}, database)
            now = states(database)
            assert now["all-1"] == seen["all-1"]
            assert now["all-0"] == {number: state for number, state in seen["all-0"].items() if number > first + 1}
            listed = [one["version"] for one in gateway.ask("GET", "/notes/all-0/versions")[1]]
            assert listed == sorted(now["all-0"], reverse=True)
            assert gateway.ask("GET", f"/notes/all-0/versions/{first}")[0] == 404
            assert gateway.ask("GET", f"/notes/all-0/versions/{first + 2}")[0] == 200


def end(records: dict, database: Database) -> None:
    """Let these come to their end, and wait until MongoDB has removed them."""
    past = datetime(2026, 1, 1)
    assert database["_pm_versions"].update_many(records, {"$set": {"expires": past}}).modified_count == 2
    until = time.monotonic() + 60
    while database["_pm_versions"].count_documents(records):
        assert time.monotonic() < until, "MongoDB removed nothing"
        time.sleep(0.1)
