"""`ref` in updates: what a change makes a document refer to is looked for like at its creation; what stood stays."""

import pytest

from tests.http.harness import a_config, a_kept_world
from tests.http.test_references import POLICY, ROOT, SCHEMA, errors, filled

pytestmark = pytest.mark.mongo


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        await filled(found)
        yield found


async def a_task(world, **fields):
    assert (await world.post("/tasks", {"_id": "t", "title": "x", **fields})).status_code == 201


@pytest.mark.parametrize("one", ["shy", "evan", "nobody"])
@pytest.mark.parametrize(
    "change",
    [
        ("PUT", lambda one: {"owner": one}, "owner"),
        ("PATCH", lambda one: {"owner": one}, "owner"),
        ("PATCH", lambda one: {"$set": {"owner": one}}, "owner"),
        ("PATCH", lambda one: {"$push": {"helpers": one}}, "helpers.1"),
        ("PATCH", lambda one: {"$set": {"lines.0.by": one}}, "lines.0.by"),
    ],
    ids=["put", "merge", "set", "push", "position"],
)
async def test_a15_an_update_may_refer_only_to_what_its_writer_reads(world, change, one):
    """Invisible, another tenant's and absent are told alike, and nothing is written."""
    method, body, place = change
    await a_task(world, helpers=["ann"], lines=[{"by": "ann"}])
    answer = await world.ask(method, "/tasks/t", body(one))
    assert errors(answer) == [(place, "ref", "there is no such document in users")]
    stored = await world.database["tasks"].find_one({"_id": "t"})
    assert (stored.get("owner"), stored["helpers"], stored["lines"]) == (None, ["ann"], [{"by": "ann"}])


async def test_an_update_to_a_readable_document_is_stored(world):
    await a_task(world, helpers=["ann"])
    answer = await world.ask(
        "PATCH", "/tasks/t", {"$push": {"helpers": "ben"}, "$set": {"owner": "ann", "known": "s1"}}
    )
    assert (answer.status_code, answer.json()["helpers"], answer.json()["owner"]) == (200, ["ann", "ben"], "ann")


async def test_what_a_document_referred_to_before_is_not_looked_at_again(world):
    await a_task(world, helpers=["ann", "ben"])
    await world.database["users"].delete_one({"_id": "ann"})
    answer = await world.ask("PATCH", "/tasks/t", {"$push": {"helpers": "ben"}, "$set": {"title": "y"}})
    assert answer.status_code == 200
    assert errors(await world.ask("PATCH", "/tasks/t", {"$set": {"owner": "ann"}}))[0][:2] == ("owner", "ref")


async def test_a_target_is_of_the_documents_own_tenant_for_who_crosses_tenants_too(world):
    await a_task(world)
    refused = await world.ask("PATCH", "/tasks/t", {"owner": "evan"}, token=ROOT)
    assert errors(refused)[0][:2] == ("owner", "ref")
    assert (await world.ask("PATCH", "/tasks/t", {"owner": "shy"}, token=ROOT)).status_code == 200
