"""What an undo is asked to put back is asked of the rules again, in the transaction that writes it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from permission_mongo.batch import Batch
from permission_mongo.operations import Undo
from permission_mongo.planning.callers import Asking
from permission_mongo.principal import Principal
from permission_mongo.storage.reverts import revert_many
from permission_mongo.storage.revivals import revive_many
from permission_mongo.storage.works import Share
from tests.http.harness import a_token

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOB, BOSS = a_token("bob"), a_token("boss", ["boss"])
ALICE = Asking(
    Principal("alice", "acme", frozenset({"user"}), {}, "token"),
    datetime.now(UTC),
    {"method": "POST", "ip": "127.0.0.1"},
    "r1",
)
ALL_OF_IT = Share(lambda outcome: outcome, is_last=True)


def plan_of(world, batch):
    """Alice's undo of the batch."""
    return world.gateway.planner.plan(Undo(world.gateway.config.collections["notes"], batch, Batch("b" * 32)), ALICE)


async def kept_by(world, one, batch):
    """The record that the batch kept of a document, as the look would have found it."""
    found = await world.database["_pm_versions"].find_one({"doc_id": one, "ended.batch": batch}, {"_id": 1})
    return {one: found["_id"]}


def failures(outcome):
    return [(one.id, one.refusal.code) for one in outcome.failed]


async def test_a_deleted_document_that_left_the_callers_reach_since_the_look_stays_away(world):
    await world.add("bobs", token=BOB)
    batch = (await world.delete("/notes/batch", {"ids": ["bobs"]}, token=BOB)).json()["batch"]
    plan = replace(plan_of(world, batch).reviving, kept=await kept_by(world, "bobs", batch))
    outcome = await revive_many(plan, ALICE.actor(), world.gateway.store._rooms, ALL_OF_IT)
    assert (outcome.done, failures(outcome)) == ((), [("bobs", "conflict")])
    assert await world.stored("bobs") == []


async def a_note_that_was_bobs(world) -> str:
    """Bob's note, changed by the batch, and alice's since."""
    await world.add("a", token=BOB)
    updates = [{"id": "a", "update": {"age": 2}}]
    batch = (await world.ask("PUT", "/notes/batch", {"updates": updates}, token=BOSS)).json()["batch"]
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "alice"}})
    return batch


async def test_a_former_state_that_left_the_callers_reach_since_the_look_is_not_written_again(world):
    batch = await a_note_that_was_bobs(world)
    plan = replace(plan_of(world, batch).reverting, kept=await kept_by(world, "a", batch))
    outcome = await revert_many(plan, ALICE.actor(), world.gateway.store._rooms, ALL_OF_IT)
    assert (outcome.done, failures(outcome)) == ((), [("a", "conflict")])
    assert (await world.database["notes"].find_one({"_id": "a"}))["owner_id"] == "alice"


async def test_a_row_that_left_the_callers_reach_since_the_look_is_not_overwritten(world):
    await world.add("a")
    batch = (await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"age": 2}})).json()["batch"]
    plan = replace(plan_of(world, batch).reverting, kept=await kept_by(world, "a", batch))
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "bob"}})
    outcome = await revert_many(plan, ALICE.actor(), world.gateway.store._rooms, ALL_OF_IT)
    assert (outcome.done, failures(outcome)) == ((), [("a", "conflict")])
    assert (await world.database["notes"].find_one({"_id": "a"}))["age"] == 2


async def test_a_row_that_another_batch_left_so_since_the_look_is_not_overwritten(world):
    """A writer beside the gateway that keeps the number."""
    await world.add("a")
    batch = (await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"age": 2}})).json()["batch"]
    plan = replace(plan_of(world, batch).reverting, kept=await kept_by(world, "a", batch))
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"_made.batch": "0" * 32}})
    outcome = await revert_many(plan, ALICE.actor(), world.gateway.store._rooms, ALL_OF_IT)
    assert (outcome.done, failures(outcome)) == ((), [("a", "conflict")])
