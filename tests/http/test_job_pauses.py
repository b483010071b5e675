"""Between two transactions of a job its record is free: whoever wants to change it does not wait until the job is done."""

import asyncio

import pytest

from permission_mongo.storage import works
from tests.http.harness import CONFIG, a_config, a_world
from tests.http.test_jobs import ADMINS, OPEN, SCHEMA, add_big, held

pytestmark = pytest.mark.mongo


async def test_a_change_of_the_record_comes_in_before_the_next_transaction(mongo_uri, tmp_path, monkeypatch):
    monkeypatch.setattr(works, "_LET_IN", 0.5)  # for a test on a busy machine; as long as it is, it is enough
    monkeypatch.setattr(works, "_PART_LET_IN", 100.0)
    limits = "limits: {max_batch_size: 8, max_transaction_bytes: 30000}\n"
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + limits, SCHEMA, ADMINS)) as world:
        batches = world.database["_pm_batches"]
        for _ in range(4):
            await add_big(world)
            async with held(world, milliseconds=150):
                asked = asyncio.create_task(world.delete("/notes/batch", OPEN))
                while (seen := await batches.find_one({"job.open": True})) is None and not asked.done():  # noqa: ASYNC110  (a poll)
                    await asyncio.sleep(0.002)
                assert seen is not None
                met = await batches.find_one_and_update({"_id": seen["_id"]}, {"$set": {"job.state": "cancelling"}})
                answer = await asked
            assert met["counts"] == seen["counts"], "no transaction came between"
            assert answer.status_code == 207, answer.text
            await world.database["notes"].delete_many({})
