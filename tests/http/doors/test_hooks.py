"""What comes through a door is asked of the hooks of the write that it is."""

import pytest

from tests.http.doors.data_api import act
from tests.http.test_hooks_asked import ALLOWED, an_asking_world, said
from tests.receivers import a_receiver

pytestmark = pytest.mark.mongo
WITH_DOOR = f"{ALLOWED}doors: [atlas_data_api, moorcheh]\n"


async def test_a_receiver_is_asked_of_the_one_document_and_its_no_is_told(mongo_uri, tmp_path):
    async with (
        a_receiver(answer=said(allow=True)) as receiver,
        an_asking_world(mongo_uri, tmp_path, receiver, config=WITH_DOOR) as world,
    ):
        await world.add("a", "b", "c", age=1)
        receiver.heard.clear()
        one = {"filter": {"age": 1}, "update": {"$set": {"age": 2}}}
        assert (await act(world, "updateOne", **one)).json() == {"matchedCount": 1, "modifiedCount": 1}
        assert [one["document"] for one in receiver.told] == ["a"]
        receiver.answer = said(allow=False, message="not today")
        ours = await world.ask("PATCH", "/notes/b", {"age": 2})
        for action, body in (("updateOne", one), ("insertOne", {"document": {"title": "n"}})):
            answer = await act(world, action, **body)
            assert (answer.status_code, answer.json()["error_code"]) == (400, "HookRejected")
            assert answer.json()["error"] == ours.json()["error"]["message"] == "not today"
        rows = world.database["notes"].find({}, {"age": 1}).sort("_id")
        assert [(row["_id"], row["age"]) async for row in rows] == [("a", 2), ("b", 1), ("c", 1)]


async def test_a_receivers_no_to_one_of_many_deletions_is_told_beside_the_others(mongo_uri, tmp_path):
    def answer(heard):
        return said(allow=heard.said["document"] != "b", message="not this one")(heard)

    async with (
        a_receiver(answer=said(allow=True)) as receiver,
        an_asking_world(mongo_uri, tmp_path, receiver, config=WITH_DOOR) as world,
    ):
        await world.add("a", "b", "c")
        receiver.answer = answer
        sent = {"ids": ["a", "b", "absent"]}
        told = await world.post("/v1/namespaces/notes/documents/delete", sent)
        assert (told.status_code, told.json()["deleted_ids"], told.json()["unprocessed_ids"]) == (207, ["a"], ["b"])
        [error] = told.json()["errors"]
        assert (error["id"], error["error"], error["message"]) == ("b", "Bad Request", "not this one")
        assert await world.stored("a", "b", "c") == ["b", "c"]
