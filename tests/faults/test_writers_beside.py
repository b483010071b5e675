"""F14: whoever writes beside the gateway while a batch is deleted, each version is what was deleted, not a write less."""

import asyncio
import json
from collections import Counter
from random import Random

import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

from tests.faults.processes import a_child
from tests.faults.rows import SEED, a_record, add_rows, faults_of_ledger, raw_rows, records_of, rounds, settle
from tests.faults.summaries import Summary, tell
from tests.http.harness import a_config, a_world

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
COUNT = 1000


async def under_writers(mongo_uri, database, group, rate, seed, delete) -> tuple[object, dict]:
    """What `delete` yields while a child process writes the rows, and what was acknowledged to the child."""
    with a_child("writer", mongo_uri, database.name, group, COUNT, rate, seed) as child:
        assert await asyncio.to_thread(child.stdout.readline) == "writing\n"
        answer = await delete()
        told, _ = await asyncio.to_thread(child.communicate, "stop\n")
    return answer, json.loads(told)


def faults_after(database, group: str, ids: list[str], told: dict[str, list[int]]) -> tuple[int, list[str]]:
    """How many rows are gone, and every row whose state (kept, or living) is not the last acknowledged one."""
    records = records_of(database, ids)
    living = {row["_id"]: row for row in database["notes"].find({"title": group})}
    faults: list[str] = []
    for one in ids:
        kept = records.get(one, [])
        if len(kept) != (one not in living):
            faults.append(f"{one}: {len(kept)} records, lives: {one in living}")
            continue
        state = living[one] if one in living else kept[0]["data"]
        found, acknowledged = [state["counter"], state.get("last", 0)], told.get(one, [0, 0])
        if found != acknowledged:
            faults.append(f"{one}: {found}, acknowledged were {acknowledged}")
        if kept and (kept[0]["version"], kept[0].get("gone")) != (state["_version"], True):
            faults.append(f"{one}: kept as version {kept[0]['version']}")
    return COUNT - len(living), faults


@pytest.mark.parametrize("rate", [200, 2000])
async def test_f14_no_update_of_a_writer_beside_is_lost(mongo_uri, tmp_path, database, rate):
    """Every batch goes through; a row contended to the last is told as a conflict, and lives with all its updates."""
    random, told, count = Random(SEED + rate), Counter(), rounds(2)
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        beside = database.client[world.database.name]
        for n in range(count):
            group = f"batch-{n}"
            ids = list(add_rows(beside, random, group, COUNT))
            body = {"filter": {"title": group}} if n % 2 else {"ids": ids}
            answer, child = await under_writers(
                mongo_uri,
                beside,
                group,
                rate,
                random.randrange(10**6),
                lambda body=body: world.delete("/notes/batch", body),
            )
            found = answer.json()
            conflicts = [one["id"] for one in found.get("failed", []) if one["error"]["code"] == "conflict"]
            gone, faults = faults_after(beside, group, ids, child["told"])
            records = [one for kept in records_of(beside, ids).values() for one in kept]
            faults += faults_of_ledger(beside, records, gone)
            where = f"FAULT_SEED={SEED}, rate {rate}, batch {n}"
            assert faults == [], where
            assert (answer.status_code, found["missing"]) == (207 if conflicts else 200, []), where
            assert (found["deleted"], found["deleted"] + len(conflicts)) == (gone, COUNT), where
            parts = beside["_pm_parts"].count_documents({"batch": found["batch"]})
            told.update(through=1, conflicts=len(conflicts), parts=parts, rate=int(child["rate"]))
            told["acknowledged"] += sum(one for one, _ in child["told"].values())
        assert settle(database.client) == 0
    what = f"writers at {told['rate'] // count}/s beside batch deletes of {COUNT}"
    notes = f"in {told['parts']} transactions, rows left as conflicts {told['conflicts']}"
    tell(Summary("F14", what, told["through"], "batches", told["acknowledged"], notes=notes))


async def test_f14_control_reading_before_the_delete_loses_updates(mongo_uri, tmp_path, database):
    """The same look at the wrong order, under the same writers, sees what it loses."""
    notes = database.get_collection("notes", codec_options=DEFAULT_RAW_BSON_OPTIONS)
    random, lost, count = Random(SEED), 0, rounds(2)

    def wrongly(group: str) -> None:
        rows = notes.find({"title": group}).to_list()
        notes.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        database["_pm_versions"].insert_many([a_record(row, group) for row in rows])

    for n in range(count):
        group = f"control-{n}"
        ids = list(add_rows(database, random, group, COUNT))
        _, child = await under_writers(
            mongo_uri,
            database,
            group,
            2000,
            random.randrange(10**6),
            lambda group=group: asyncio.to_thread(wrongly, group),
        )
        assert raw_rows(database, group) == {}
        lost += len(faults_after(database, group, ids, child["told"])[1])
    tell(
        Summary("F14", f"control: read first and delete second, {count * COUNT} documents", count, "batches", lost=lost)
    )
    assert lost > 0


async def test_f14_each_version_is_what_an_update_replaced(mongo_uri, tmp_path, database):
    """A writer beside knows on which number each of its changes came to lie: the state kept has all of them."""
    count = rounds(12, 400)
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        notes = database.client[world.database.name]["notes"]
        await world.add("one")
        on_number, stopping = Counter(), asyncio.Event()

        async def write_beside() -> None:
            while not stopping.is_set():
                after = await asyncio.to_thread(
                    notes.find_one_and_update, {"_id": "one"}, {"$inc": {"counter": 1}}, return_document=True
                )
                on_number[after["_version"]] += 1
                await asyncio.sleep(0.001)

        writing = asyncio.create_task(write_beside())
        answers = [await world.ask("PATCH", "/notes/one", {"title": f"title {n}"}) for n in range(count)]
        stopping.set()
        await writing
        kept = records_of(notes.database, ["one"])["one"]
        states = [*(record["data"] for record in kept), notes.find_one({"_id": "one"})]
    through = sum(answer.status_code == 200 for answer in answers)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert [state["_version"] for state in states] == list(range(1, through + 2))
    faults = [
        f"{state['_version']}: {state.get('counter', 0)} for {expected}"
        for state in states
        if state.get("counter", 0)
        != (expected := sum(times for number, times in on_number.items() if number <= state["_version"]))
    ]
    total = sum(on_number.values())
    tell(Summary("F14", "a writer beside updates of one document", through, "updates", total, wrong=len(faults)))
    assert faults == []
    assert through > 0


async def test_f14_control_keeping_what_was_read_before_an_update_loses_changes(database):
    """The same look at an update that keeps what it read a moment before."""
    notes = database["notes"]
    notes.insert_one({"_id": "one", "_version": 1, "counter": 0})
    read = notes.find_one({"_id": "one"})
    notes.update_one({"_id": "one"}, {"$inc": {"counter": 1}})
    notes.update_one({"_id": "one"}, {"$set": {"title": "new", "_version": 2}})
    lost = notes.find_one({"_id": "one"})["counter"] - read["counter"]
    tell(Summary("F14", "control: the state kept was read before the update", 1, "updates", 1, lost))
    assert lost == 1
