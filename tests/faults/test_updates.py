"""Batch updates beside each other and beside a writer of MongoDB itself: no number twice, no write less."""

import asyncio
import threading
from collections import Counter
from random import Random

import pytest

from tests.faults.rows import SEED, rounds, settle
from tests.faults.summaries import Summary, tell
from tests.http.harness import a_config, a_world

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
FAR = 1_000_000
# Of what is asked for beside others, so much is done at least: where all fails, nothing is seen of what is looked for.
LEAST_SHARE = 0.25


def rows_of(ids: list[str]) -> list[dict]:
    """Notes as the gateway would have made them."""
    about = {"_version": 1, "tenant_id": "acme", "owner_id": "alice", "status": "open", "age": 0}
    return [{"_id": one, **about, "title": f"note {one}"} for one in ids]


def unlike_their_order(count: int, random: Random) -> list[str]:
    ids = [f"n{n:05}" for n in range(count)]
    random.shuffle(ids)
    return ids


async def histories(world) -> dict[str, list[dict]]:
    """What is kept of each document, in the order of numbers."""
    found: dict[str, list[dict]] = {}
    async for kept in world.database["_pm_versions"].find({}, sort=[("version", 1)]):
        found.setdefault(kept["doc_id"], []).append(kept)
    return found


async def test_two_batch_updates_of_the_same_documents_lose_nothing_and_number_without_a_gap(
    mongo_uri, tmp_path, database
):
    random, told = Random(SEED), Counter()
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        ids = unlike_their_order(120, random)
        await world.database["notes"].insert_many(rows_of(ids))
        added: Counter[str] = Counter()
        for _ in range(rounds(4)):
            bodies = [{"ids": random.sample(ids, 80), "update": {"$inc": {"age": 1}}} for _ in range(3)]
            answers = await asyncio.gather(*(world.ask("PUT", "/notes/batch", body) for body in bodies))
            for body, answer in zip(bodies, answers, strict=True):
                assert answer.status_code in (200, 207, 409), answer.text
                failed = {one["id"] for one in answer.json().get("failed", [])}
                done = [one for one in body["ids"] if one not in failed] if answer.status_code != 409 else []
                assert answer.json().get("modified", 0) == len(done)
                added.update(done)
                told[answer.status_code] += 1
        kept = await histories(world)
        for row in await world.database["notes"].find().to_list():
            numbers = [one["version"] for one in kept.get(row["_id"], [])]
            ages = [one["data"]["age"] for one in kept.get(row["_id"], [])]
            assert numbers == list(range(1, row["_version"])), f"FAULT_SEED={SEED}"
            assert [*ages, row["age"]] == list(range(added[row["_id"]] + 1)), f"FAULT_SEED={SEED}"
        assert settle(database.client) == 0
    assert added.total() >= LEAST_SHARE * 80 * told.total(), dict(told)
    notes = f"answers {dict(told)}, increments {added.total()}"
    tell(Summary("F12", "batch updates at once", rounds(4), "rounds", told[200], notes=notes))


async def test_a_batch_that_is_aborted_touches_nothing_of_one_beside_it(mongo_uri, tmp_path):
    """A dry run, an atomic one that fails in the end, and one that is meant: only the last leaves anything."""
    random = Random(SEED)
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        ids = unlike_their_order(300, random)
        await world.database["notes"].insert_many(rows_of(ids))
        for n in range(rounds(3)):
            mine, others = ids[:150], ids[150:]
            answers = await asyncio.gather(
                world.ask("PUT", "/notes/batch", {"ids": others, "update": {"age": 7}, "dry_run": True}),
                world.ask("PUT", "/notes/batch", {"ids": mine, "update": {"$inc": {"age": 1}}}),
                world.ask("PUT", "/notes/batch", {"ids": [*others, "nope"], "update": {"age": 9}, "atomic": True}),
            )
            assert [one.status_code for one in answers] == [200, 200, 404], [one.text for one in answers]
            assert {row["age"] async for row in world.database["notes"].find({"_id": {"$in": mine}})} == {n + 1}
            assert {row["age"] async for row in world.database["notes"].find({"_id": {"$in": others}})} == {0}
        kept = await histories(world)
        assert set(kept) == set(mine)
        assert {tuple(one["version"] for one in each) for each in kept.values()} == {tuple(range(1, n + 2))}


class Beside(threading.Thread):
    """Adds one to the age of random notes, past the gateway, and remembers what was acknowledged."""

    def __init__(self, notes, ids: list[str], seed: int) -> None:
        super().__init__()
        self.added: Counter[str] = Counter()
        self.stopping, self.at_work = threading.Event(), threading.Event()
        self._notes, self._ids, self._random = notes, ids, Random(seed)

    def run(self) -> None:
        while not self.stopping.is_set():
            one = self._random.choice(self._ids)
            if self._notes.update_one({"_id": one}, {"$inc": {"age": 1}}).modified_count:
                self.added[one] += 1
            if self.added.total() > 20:
                self.at_work.set()
            self.stopping.wait(0.001)


async def under_a_writer(database, ids: list[str], ask):
    writer = Beside(database["notes"], ids, SEED)
    writer.start()
    try:
        await asyncio.to_thread(writer.at_work.wait)
        return await ask(), writer
    finally:
        writer.stopping.set()
        await asyncio.to_thread(writer.join)


async def test_f14_each_version_of_a_batch_update_is_what_was_replaced(mongo_uri, tmp_path, database):
    """The new state is made of the one that is kept: were that not the last one, a write would be missing."""
    told = Counter()
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        beside = database.client[world.database.name]
        for n in range(rounds(2)):
            ids = [f"{n}-{one}" for one in unlike_their_order(1000, Random(SEED))]
            await world.database["notes"].insert_many(rows_of(ids))
            body = {"ids": ids, "update": {"$inc": {"age": FAR}}}
            answer, writer = await under_a_writer(beside, ids, lambda body=body: world.ask("PUT", "/notes/batch", body))
            assert answer.status_code in (200, 207), answer.text
            failed = {one["id"] for one in answer.json()["failed"]}
            assert answer.json()["modified"] == 1000 - len(failed) >= LEAST_SHARE * 1000
            kept = await histories(world)
            async for row in world.database["notes"].find({"_id": {"$in": ids}}):
                one, where = row["_id"], f"FAULT_SEED={SEED}, {row}"
                changed = one not in failed
                assert row["age"] == writer.added[one] + FAR * changed, where
                assert [each["data"]["_id"] for each in kept.get(one, [])] == [one] * changed, where
                assert all(each["data"]["age"] <= writer.added[one] for each in kept.get(one, [])), where
            told.update(failed=len(failed), beside=writer.added.total())
        assert settle(database.client) == 0
    notes = f"rows left as conflicts {told['failed']}, writes beside {told['beside']}"
    tell(Summary("F14", "updates of 1000", rounds(2), "rounds", notes=notes))


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_a_batch_of_1500_by_filter_keeps_each_version_with_its_document(mongo_uri, tmp_path, database, verb):
    """Inserted in an order unlike their ids, some updated meanwhile: each record is of its document, and its last state."""
    ids = unlike_their_order(1500, Random(SEED))
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        beside = database.client[world.database.name]
        await world.database["notes"].insert_many(rows_of(ids))
        chosen = {"filter": {"status": "open"}}
        if verb == "update":
            answer, writer = await under_a_writer(
                beside,
                ids,
                lambda: world.ask("PUT", "/notes/batch", {**chosen, "update": {"$inc": {"age": FAR}}}),
            )
        else:
            answer, writer = await under_a_writer(beside, ids, lambda: world.delete("/notes/batch", chosen))
        told = answer.json()
        assert answer.status_code in (200, 207), answer.text
        failed = {one["id"] for one in told.get("failed", [])}
        assert told["modified" if verb == "update" else "deleted"] == 1500 - len(failed) >= LEAST_SHARE * 1500
        kept = await histories(world)
        living = {row["_id"]: row async for row in world.database["notes"].find()}
        for one in ids:
            records = kept.get(one, [])
            assert [each["data"]["title"] for each in records] == [f"note {one}"] * (one not in failed), one
            if verb == "update":
                assert living[one]["age"] == writer.added[one] + FAR * (one not in failed), one
            else:
                state = living[one] if one in failed else records[0]["data"]
                assert (state["age"], one in living) == (writer.added[one], one in failed), one
