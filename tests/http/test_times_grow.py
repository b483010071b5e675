"""Within a document times only grow, whatever the clocks of its gateways say and whoever made it again."""

from itertools import pairwise

import pytest

from permission_mongo.versions import TICK
from tests.http.harness import a_config, a_token
from tests.http.moments import a_timed_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


ROOT = a_token("root", ["root"], None)
AGAIN = {"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "made beside", "status": "open"}


@pytest.fixture
async def timed(mongo_uri, tmp_path):
    """Each write has an earlier moment than the one before it."""
    async with a_timed_world(mongo_uri, a_config(tmp_path)) as timed:
        yield timed


async def made(timed, **fields):
    return await timed.world.post("/notes", {"_id": "a", "title": "x", **fields})


async def put(timed, age=7):
    return await timed.world.ask("PUT", "/notes/a", {"age": age})


async def updated(timed, age=8):
    return await timed.world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"age": age}})


async def deleted(timed):
    return await timed.world.ask("DELETE", "/notes/a")


async def deleted_in_a_batch(timed):
    return await timed.world.delete("/notes/batch", {"ids": ["a"]})


async def made_in_a_batch(timed):
    return await timed.world.post("/notes/batch", {"documents": [{"_id": "a", "title": "y"}]})


async def restored(timed):
    return await timed.world.post("/notes/a/restore/1", {})


async def undone(timed):
    """The last batch that there is."""
    [batch] = await timed.world.database["_pm_batches"].find({}, {"_id": 1}, sort=[("$natural", -1)], limit=1).to_list()
    return await timed.world.post(f"/notes/batch/{batch['_id']}/undo", {})


async def made_beside(timed):
    await timed.world.database["notes"].insert_one(dict(AGAIN))


async def replaced_beside(timed):
    await timed.world.database["notes"].replace_one({"_id": "a"}, AGAIN)


STORIES = [
    (made, put, updated, put),
    (made, put, restored, put),
    (made, updated, undone, put),
    (made, updated, undone, undone, deleted),
    (made, deleted, made, deleted, made_in_a_batch),
    (made, deleted, restored, deleted_in_a_batch, undone, put),
    (made, deleted_in_a_batch, made_beside, put, deleted, made),
    (made, deleted, made_beside, updated, deleted_in_a_batch, undone),
    (made, deleted, made_beside, deleted_in_a_batch, made),
    (made, deleted, made_beside, deleted, restored),
    (made, put, replaced_beside, restored, updated),
    (made, put, replaced_beside, put, replaced_beside, updated, undone),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: " ".join(one.__name__ for one in story))
async def test_each_state_begins_after_the_one_before_it_ended(timed, story):
    for step in story:
        timed.clock.tick(-60)
        answer = await step(timed)
        assert answer is None or answer.status_code in (200, 201), (step.__name__, answer.text)
    kept = await timed.world.database["_pm_versions"].find({"doc_id": "a"}, sort=[("version", 1)]).to_list()
    live = await timed.world.database["notes"].find_one({"_id": "a"})
    times = [moment for one in kept for moment in (one.get("began"), one["ended"]["at"]) if moment is not None]
    times += [live["_made"]["at"]] if live else []
    assert times == sorted(times)
    ends = [one["ended"]["at"] for one in kept]
    assert all(later - earlier >= TICK for earlier, later in pairwise(ends))
    assert all(one["ended"]["at"] - one["began"] >= TICK for one in kept if "began" in one)
    numbers = [one["version"] for one in kept] + ([live["_version"]] if live else [])
    assert numbers == sorted(set(numbers))
