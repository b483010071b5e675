"""An upsert makes the document that MongoDB itself makes of the same filter and update, or is refused as it is there."""

import os
from random import Random

import pytest
from pymongo.errors import WriteError

from tests.http.doors.data_api import DOOR, act
from tests.http.harness import SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
EXAMPLES = min(int(os.environ.get("LAW_EXAMPLES", "2000")) // 10, 2000)
# Open below `o`, so that no type stands in the way of what an operator can do.
OPEN = SCHEMA.replace("      title: {type: string, required: true, max_length: 50}\n", "      title: {type: string}\n      o: {type: object}\n      p: {type: any}\n")  # fmt: skip
BOSS = a_token("boss", ["boss"])
PATHS = ("o.a", "o.b", "o.a.x", "o.b.y", "o.b", "p", "o", "tags", "o.a.x.z")
VALUES = (0, 1, 2.5, "x", "y", None, True, ["x", "y"], [])


def an_equality(rnd: Random) -> dict:
    path, value = rnd.choice(PATHS), rnd.choice(VALUES)
    if path == "tags":
        value = rnd.choice((["x"], ["x", "y"], []))
    equal = (
        {"$eq": value},
        {"$eq": value, "$exists": True},
        value,
        value,
        {"$in": [1]},
        {"$all": rnd.choice(([1], [1, 2]))},
    )
    others = ({"$gt": 1}, {"$in": [1, 2]}, {"$ne": 5}, {"$not": {"$eq": 1}})
    return {path: rnd.choice(equal if rnd.random() < 0.7 else others)}


def a_filter(rnd: Random) -> dict:
    found = an_equality(rnd) | (an_equality(rnd) if rnd.random() < 0.5 else {})
    if rnd.random() < 0.4:
        found["$and"] = [an_equality(rnd) for _ in range(rnd.randrange(1, 3))]
    if rnd.random() < 0.3:
        found[rnd.choice(("$or", "$nor"))] = [an_equality(rnd) for _ in range(rnd.randrange(1, 3))]
    return found


def an_update(rnd: Random) -> dict:
    update: dict = {}
    for _ in range(rnd.randrange(1, 4)):
        operator = rnd.choice(
            ("$set", "$setOnInsert", "$inc", "$mul", "$min", "$max", "$push", "$addToSet", "$pull", "$unset", "$rename")
        )
        path = rnd.choice(PATHS)
        operand = {
            "$inc": rnd.choice((1, 2.5)), "$mul": 3, "$min": rnd.choice((0, "x")), "$max": 7, "$push": rnd.choice(("z", {"$each": ["z", "w"]})),
            "$addToSet": rnd.choice(("x", "z")), "$pull": "x", "$unset": "", "$rename": rnd.choice(PATHS),
        }.get(operator, rnd.choice(VALUES))  # fmt: skip
        update.setdefault(operator, {})[path] = operand
    return update


async def made_by_mongodb(beside, asked: dict, update: dict) -> dict | None:
    await beside.delete_many({})
    try:
        await beside.update_one(asked, update, upsert=True)
    except WriteError:
        return None
    return await beside.find_one({}, {"_id": 0})


async def test_the_gateway_makes_what_mongodb_makes(mongo_uri, tmp_path):
    made = refused = 0
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, OPEN)) as world:
        notes, beside = world.database["notes"], world.database.client["test_upsert_laws"]["beside"]
        for seed in range(EXAMPLES):
            rnd = Random(seed)
            asked, update = a_filter(rnd), an_update(rnd)
            theirs = await made_by_mongodb(beside, asked, update)
            answer = await act(world, "updateOne", token=BOSS, filter=asked, update=update, upsert=True)
            ours = await notes.find_one({}, {"o": 1, "p": 1, "tags": 1, "_id": 0})
            await notes.delete_many({})
            assert answer.status_code in (200, 400), (seed, answer.text)
            if answer.status_code == 200:
                assert ours == theirs, (seed, asked, update, ours, theirs)
                made += 1
            elif theirs is None:
                refused += 1
            else:
                # What the schema says, or what a filter or an update here does not take at all.
                assert is_ours_to_refuse(answer.json()), (seed, asked, update, theirs, answer.text)
        await world.database.client.drop_database("test_upsert_laws")
    assert made > EXAMPLES // 8
    assert refused > EXAMPLES // 20


def is_ours_to_refuse(told: dict) -> bool:
    return told["error_code"] == "InvalidParameter" or any(
        one["field"] in ("o", "tags") and one["code"] == "type" for one in told["details"]["errors"]
    )
