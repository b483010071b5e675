"""The door for callers of the Atlas Data API: its actions, and that each is refused what our own routes refuse."""

import pytest

from tests.http.doors.data_api import DOOR, act
from tests.http.harness import SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS, VIEWER, CLERK = a_token("boss", ["boss"]), a_token("vera", ["viewer"]), a_token("carl", ["clerk"])
BOB, STRANGER = a_token("bob"), a_token("alice", ["boss"], "evil")
HIDDEN = {"action": "read", "collection": "notes"}
EXTENDED = {"accept": "application/ejson"}
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [create], when: "resource.status == 'open'", fields: {allow: [title, status]}}
  plain:
    boss: {actions: ["*"]}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


def titles(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["documents"]]


def refused(answer) -> tuple[int, str, str]:
    assert set(answer.json()) <= {"error", "error_code", "details"}
    return answer.status_code, answer.json()["error_code"], answer.json()["error"]


# -- reads


async def test_find_one(world):
    await world.add("a", "b", age=3)
    answer = await act(world, "findOne", filter={"_id": "b"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["document"]["title"] == "note b"
    assert (await act(world, "findOne", filter={"_id": "z"})).json() == {"document": None}
    assert (await act(world, "findOne", filter={})).json()["document"]["_id"] == "a"


async def test_find(world):
    for n, one in enumerate("abcd"):
        await world.add(one, age=n)
    assert titles(await act(world, "find")) == [f"note {one}" for one in "abcd"]
    assert titles(await act(world, "find", filter={"age": {"$gte": 2}})) == ["note c", "note d"]
    assert titles(await act(world, "find", sort={"age": -1}, limit=2, skip=1)) == ["note c", "note b"]
    number = {"$numberInt": "1"}
    assert titles(await act(world, "find", sort={"age": number}, limit=number, skip=number)) == ["note b"]
    assert titles(await act(world, "find", sort={}, projection={}, filter={"age": 9})) == []


async def test_a_find_that_is_not_told_whole_is_refused_and_not_cut(world):
    world.gateway.config.limits  # noqa: B018  (those of the file)
    documents = [{"_id": f"n{n:04}", "title": "n"} for n in range(1000)]
    assert (await world.post("/notes/batch", {"documents": documents})).status_code == 201
    await world.add("z")
    assert len(titles(await act(world, "find"))) == 1000
    assert len(titles(await act(world, "find", limit=50_000))) == 1001


@pytest.mark.parametrize(
    ("projection", "left"),
    [
        ({"title": 1}, {"_id", "_version", "title"}),
        ({"title": True, "age": {"$numberInt": "1"}, "_id": 0}, {"_version", "title", "age"}),
        ({"pay.month": 1}, {"_id", "_version", "pay"}),
        ({"title": 1, "_version": 1}, {"_id", "_version", "title"}),
    ],
)
async def test_a_projection_shows_what_it_names(world, projection, left):
    await world.add("a", age=3, pay={"month": 5.0, "bonus": 7.0})
    for action in ("find", "findOne"):
        answer = (await act(world, action, projection=projection)).json()
        document = answer["document"] if action == "findOne" else answer["documents"][0]
        assert set(document) == left
        assert document.get("pay", {"month": 5.0}) == {"month": 5.0}


async def test_a_projection_leaves_away_what_it_names(world):
    await world.add("a", age=3, pay={"month": 5.0, "bonus": 7.0})
    whole = (await act(world, "findOne")).json()["document"]
    less = (await act(world, "findOne", projection={"age": 0, "pay.bonus": 0, "_id": 0, "_version": 0})).json()[
        "document"
    ]
    assert less == {
        name: value if name != "pay" else {"month": 5.0}
        for name, value in whole.items()
        if name not in ("age", "_id", "_version")
    }


@pytest.mark.parametrize("field", ["ssn", "nothing", "pay.nothing", "tenant_id"])
async def test_a_field_that_is_not_the_callers_is_refused_wherever_it_is_named(world, field):
    """A hidden, a masked and an unknown field alike, and with the sentence of our own routes."""
    await world.add("a", token=BOSS, status="closed", ssn="123-45-6789")
    token = VIEWER if field != "ssn" else None
    ours = await world.post("/notes/query", {"filter": {field: 1}}, token=token)
    for body in ({"filter": {field: 1}}, {"projection": {field: 1}}, {"projection": {field: 0}}, {"sort": {field: 1}}):
        answer = await act(world, "find", token=token, **body)
        assert refused(answer) == (403, "NoMatchingRuleFound", "unknown or not permitted field"), body
        assert answer.json()["details"] == ours.json()["error"]["details"] == {**HIDDEN, "fields": [field]}


async def test_what_is_masked_stays_masked_and_what_is_hidden_stays_hidden(world):
    await world.add("a", status="closed", ssn="123-45-6789")
    assert (
        (await act(world, "findOne")).json()["document"]["ssn"]
        == (await world.get("/notes/a")).json()["ssn"]
        != "123-45-6789"
    )
    shown = (await act(world, "findOne", token=VIEWER)).json()["document"]
    assert set(shown) == {"_id", "_version", "title", "status"}
    less = (await act(world, "findOne", token=VIEWER, projection={"status": 0})).json()["document"]
    assert set(less) == {"_id", "_version", "title"}


async def test_another_tenants_document_is_told_like_none(world):
    await world.add("x", token=STRANGER)
    await world.add("y", token=BOB)
    told = set()
    for one in ("x", "y", "absent"):
        for action, more in (
            ("findOne", {}),
            ("find", {}),
            ("updateOne", {"update": {"$set": {"title": "n"}}}),
            ("updateMany", {"update": {"$set": {"title": "n"}}}),
            ("replaceOne", {"replacement": {"title": "n"}}),
            ("deleteOne", {}),
            ("deleteMany", {}),
        ):
            answer = await act(world, action, filter={"_id": one}, **more)
            told.add((action, answer.status_code, answer.text, "x-batch" in answer.headers))
    assert len(told) == 7
    assert await world.stored("x", "y") == ["x", "y"]


# -- formats


async def test_answers_are_plain_json_or_canonical_extended_json(world):
    made = await act(
        world, "insertOne", token=BOSS, collection="plain", document={"name": "p", "price": {"$numberDecimal": "1.50"}}
    )
    one = made.json()["insertedId"]
    assert len(one) == 24
    plain = (await act(world, "findOne", token=BOSS, collection="plain", filter={"_id": {"$oid": one}})).json()[
        "document"
    ]
    assert (plain["_id"], plain["price"]) == (one, "1.50")
    assert plain["created_at"].endswith("Z")
    answer = await act(world, "findOne", token=BOSS, collection="plain", filter={"_id": one}, headers=EXTENDED)
    assert answer.headers["content-type"] == "application/ejson"
    extended = answer.json()["document"]
    assert (extended["_id"], extended["price"]) == ({"$oid": one}, {"$numberDecimal": "1.50"})
    assert set(extended["created_at"]["$date"]) == {"$numberLong"}
    # What was told can be sent again as it is.
    again = {"filter": {"_id": extended["_id"], "price": extended["price"], "created_at": extended["created_at"]}}
    found = await act(
        world, "find", token=BOSS, collection="plain", headers={"content-type": "application/ejson"}, **again
    )
    assert [one["_id"] for one in found.json()["documents"]] == [one]
