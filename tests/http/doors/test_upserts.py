"""Upserts through the door: what is found is changed by the rules of changes, what is not is created by those of creations."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from permission_mongo.operations import UpdateMany
from permission_mongo.parsing.jobs import read_again
from permission_mongo.values import write_json
from tests.http.doors.data_api import DOOR, act
from tests.http.doors.test_atlas_data_api import refused
from tests.http.harness import SCHEMA, World, a_config, a_kept_world, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS, VIEWER, CLERK, MAKER = (a_token(*one) for one in (("boss", ["boss"]), ("vera", ["viewer"]), ("carl", ["clerk"]), ("mia", ["maker"])))  # fmt: skip
BOB, STRANGER = a_token("bob"), a_token("alice", ["boss"], "evil")
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}, maker: {inherits: [viewer]}, filler: {}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [read, update], when: "resource.status == 'open'", fields: {allow: [title, status]}}
    maker: {actions: [create, read, update], when: "resource.status == 'open'", fields: {allow: [title, status, age]}}
    filler:
      - {actions: [create, read], fields: {allow: [title]}}
      - {actions: [update], fields: {allow: [title, age, tags]}}
  plain:
    boss: {actions: ["*"]}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path) -> AsyncIterator[World]:
    async with a_kept_world(mongo_uri, a_config(tmp_path, DOOR, SCHEMA, POLICY)) as found:
        yield found


async def upsert(world, filter, update=None, action="updateOne", **more):
    body = {"replacement": update} if action == "replaceOne" else {"update": update}
    return await act(world, action, filter=filter, upsert=True, **body, **more)


async def rows(world) -> list[dict]:
    return await world.database["notes"].find().sort("_id").to_list()


# -- what is created


@pytest.mark.parametrize("action", ["updateOne", "updateMany"])
async def test_where_nothing_matches_a_document_is_made_of_the_filter_and_the_update(world, action):
    asked = {"_id": "a", "status": {"$eq": "open"}, "$and": [{"pay.month": 5}], "age": {"$gt": 3}}
    update = {"$set": {"title": "n"}, "$inc": {"pay.month": 2, "pay.bonus": 1}, "$push": {"tags": "x"}, "$setOnInsert": {"email": "a@b.c"}}  # fmt: skip
    answer = await upsert(world, asked, update, action)
    assert (answer.status_code, answer.json()) == (200, {"matchedCount": 0, "modifiedCount": 0, "upsertedId": "a"})
    [row] = await rows(world)
    assert {name: row.get(name) for name in ("title", "status", "pay", "age", "tags", "email")} == {
        **{"title": "n", "status": "open", "pay": {"month": 7.0, "bonus": 1.0}, "age": None},
        **{"tags": ["x"], "email": "a@b.c"},
    }
    assert (row["owner_id"], row["tenant_id"], row["created_by"], row["_version"]) == ("alice", "acme", "alice", 1)
    again = await upsert(world, {"_id": "a"}, update, action)
    assert again.json() == {"matchedCount": 1, "modifiedCount": 1}
    assert (await rows(world))[0]["pay"] == {"month": 9.0, "bonus": 2.0}


async def test_an_update_that_only_sets_what_is_new_changes_nothing_that_is_there(world):
    await world.add("a", "b", age=1)
    only = {"$setOnInsert": {"title": "new", "ssn": "1"}}
    for action, matched in (("updateOne", 1), ("updateMany", 2)):
        answer = await upsert(world, {"age": 1}, only, action)
        assert answer.json() == {"matchedCount": matched, "modifiedCount": 0}
        assert "x-batch" not in answer.headers
    assert {row["_version"] for row in await rows(world)} == {1}
    made = await upsert(world, {"age": 2}, only)
    assert made.json()["upsertedId"] not in ("a", "b")
    assert {row["title"] for row in await rows(world)} == {"note a", "note b", "new"}


async def test_an_id_is_taken_of_the_filter_or_of_what_is_set_of_a_new_document(world):
    first = await upsert(world, {"title": "n"}, {"$setOnInsert": {"_id": "a"}})
    both = await upsert(world, {"_id": "b", "title": "m"}, {"$setOnInsert": {"_id": "b"}})
    assert [one.json()["upsertedId"] for one in (first, both)] == ["a", "b"]
    differ = await upsert(world, {"_id": "c"}, {"$set": {"title": "n"}, "$setOnInsert": {"_id": "d"}})
    assert refused(differ)[:2] == (400, "SchemaValidationFailedWrite")
    assert refused(await upsert(world, {}, {"$setOnInsert": {"_id.x": "d"}}))[:2] == (400, "InvalidParameter")
    for odd in ({"_id": "a b"}, {"_id": "batch"}, {"_id": {"$eq": None}}):
        assert refused(await upsert(world, odd, {"$set": {"title": "n"}}))[0] == 400
    assert [row["_id"] for row in await rows(world)] == ["a", "b"]


async def test_a_replacement_takes_the_id_of_the_filter_and_nothing_else(world):
    answer = await upsert(world, {"_id": "a", "age": 3}, {"title": "n"}, "replaceOne")
    assert answer.json() == {"matchedCount": 0, "modifiedCount": 0, "upsertedId": "a"}
    assert [(row["title"], row.get("age")) for row in await rows(world)] == [("n", None)]
    again = await upsert(world, {"_id": "a"}, {"_id": "a", "title": "m"}, "replaceOne")
    assert again.json() == {"matchedCount": 1, "modifiedCount": 1}
    fresh = await upsert(world, {"age": 3}, {"title": "k"}, "replaceOne")
    assert [row["title"] for row in await rows(world) if row["_id"] == fresh.json()["upsertedId"]] == ["k"]


async def test_without_upsert_nothing_is_created(world):
    for action, change in (("updateOne", "update"), ("updateMany", "update"), ("replaceOne", "replacement")):
        body = {change: {"title": "n"} if change == "replacement" else {"$set": {"title": "n"}}}
        for more in ({}, {"upsert": False}):
            answer = await act(world, action, filter={"_id": "a"}, **body, **more)
            assert answer.json() == {"matchedCount": 0, "modifiedCount": 0}
    assert await rows(world) == []


async def test_extended_json_and_uuids_and_dates_are_read_by_their_types(world):
    asked = {"at": {"$date": {"$numberLong": "0"}}, "age": {"$numberInt": "4"}, "tags": ["x", "y"]}
    answer = await upsert(
        world, asked, {"$inc": {"age": {"$numberInt": "1"}}, "$addToSet": {"tags": "x"}, "$set": {"title": "n"}}
    )
    assert answer.status_code == 200, answer.text
    [row] = await rows(world)
    assert (row["at"].year, row["age"], row["tags"]) == (1970, 5, ["x", "y"])
    made = await upsert(
        world, {"price": {"$numberDecimal": "1.5"}}, {"$set": {"name": "p"}}, token=BOSS, collection="plain",
        headers={"accept": "application/ejson"},
    )  # fmt: skip
    assert set(made.json()["upsertedId"]) == {"$oid"}
    assert (await upsert(world, {"price": "1.50"}, {"$set": {"name": "q"}}, token=BOSS, collection="plain")).json() == {
        "matchedCount": 1, "modifiedCount": 1,
    }  # fmt: skip


async def test_what_is_equal_but_for_its_capitals_is_no_value(world):
    asked = {"ssn": {"$exists": False}, "title": {"$eq": "Some", "$options": "i"}}
    await world.add("a", title="sOME", token=BOSS)
    found = await upsert(world, {"title": asked["title"]}, {"$set": {"age": 1}}, token=BOSS)
    assert found.json() == {"matchedCount": 1, "modifiedCount": 1}
    made = await upsert(world, asked | {"age": 5}, {"$set": {"text": "n"}}, token=BOSS)
    assert refused(made)[0] in (400, 403)
    fine = await upsert(world, asked | {"age": 5}, {"$set": {"title": "n"}}, token=BOSS)
    assert [row["title"] for row in await rows(world) if row["_id"] == fine.json()["upsertedId"]] == ["n"]


# -- what is refused


async def test_a_creation_is_refused_as_by_our_own_route_with_the_same_reason(world):
    """Each as a document and as an upsert that would make it."""
    for token, document in (
        (None, {"title": "n", "nothing": 1}),
        (None, {"title": "n", "tenant_id": "evil"}),
        (None, {"title": "n", "owner_id": "bob"}),
        (None, {"title": "n", "_version": 3}),
        (None, {"title": "n", "created_at": "2020-01-01"}),
        (None, {"title": "n", "status": "lost"}),
        (None, {"title": 5}),
        (None, {"title": "n", "pay": {"nothing": 1}}),
        (None, {"title": "n", "tags": "x"}),
        (None, {"status": "open"}),
        (None, {"title": "n", "lines": {"sku": 1}}),
        (MAKER, {"title": "n", "status": "closed"}),
        (MAKER, {"title": "n", "ssn": "1"}),
        (MAKER, {"title": "n", "pay": {"month": 1}}),
    ):
        ours = await world.post("/notes", document, token=token)
        answer = await upsert(world, {"_id": {"$ne": "x"}}, {"$setOnInsert": document}, token=token)
        told = ours.json()["error"]
        assert ours.status_code in (400, 403, 422), document
        assert answer.status_code in (400, 403), (document, answer.text)
        assert (answer.json()["error"], answer.json()["details"]) == (told["message"], told["details"])
    assert await rows(world) == []


async def test_what_a_filter_asks_to_be_equal_must_be_the_callers_to_write(world):
    """It is readable, or the filter is refused; to create a document with it is another right."""
    for field, value in (("owner_id", "alice"), ("_version", 1), ("created_by", "alice"), ("tenant_id", "acme")):
        answer = await upsert(world, {field: value}, {"$set": {"title": "n"}})
        assert refused(answer)[::2] == (403, "unknown or not permitted field")
        assert answer.json()["details"] == {"action": "create", "collection": "notes", "fields": [field]}
    for field in ("ssn", "nothing"):
        answer = await upsert(world, {field: "1"}, {"$set": {"title": "n"}})
        assert answer.json()["details"]["action"] == "read"
    assert refused(await upsert(world, {"_id": "a" * 24}, {"$set": {"name": "n"}}, token=BOSS, collection="plain"))[
        ::2
    ] == (403, "unknown or not permitted field")
    assert await rows(world) == []


@pytest.mark.parametrize("action", ["updateOne", "updateMany", "replaceOne"])
async def test_whoever_may_not_create_is_refused_whatever_is_there(world, action):
    """As one who may not change: before any query."""
    await world.add("a", token=BOSS)
    change = {"title": "n"} if action == "replaceOne" else {"$set": {"title": "n"}}
    for token, verb in ((CLERK, "create"), (VIEWER, "update")):
        answers = [await upsert(world, {"_id": one}, change, action, token=token) for one in ("a", "absent")]
        assert {one.text for one in answers} == {answers[0].text}
        assert refused(answers[0]) == (403, "NoMatchingRuleFound", f"no rule of your roles allows {verb} in notes")
    assert [row["title"] for row in await rows(world)] == ["note a"]


async def test_what_is_seen_and_may_not_be_changed_is_neither_changed_nor_made_again(world):
    await world.add("a", token=BOB, status="closed")  # alice, a viewer too, sees it
    for action, change in (("updateOne", {"$set": {"title": "n"}}), ("updateMany", {"$set": {"title": 5}}), ("replaceOne", {"age": 1})):  # fmt: skip
        answer = await upsert(world, {"status": "closed"}, change, action)
        assert refused(answer) == (403, "NoMatchingRuleFound", "no rule of your roles allows changing this document")
        ours = await world.ask("PATCH", "/notes/a", {"title": "n"})
        assert answer.json()["details"] == ours.json()["error"]["details"]
    await world.add("b", status="closed")
    both = await upsert(world, {"status": "closed"}, {"$set": {"title": "n"}}, "updateMany")
    assert both.json() == {"matchedCount": 1, "modifiedCount": 1}
    assert {row["_id"]: row["title"] for row in await rows(world)} == {"a": "note a", "b": "n"}


async def test_what_is_hidden_is_as_if_it_were_not_there_but_for_its_key(world):
    """A hidden document that the filter would find is neither changed nor told of; its id is taken, as for a POST."""
    await world.add("x", token=BOB, status="open", age=7)
    await world.add("y", token=STRANGER, status="open", age=7)
    before = await rows(world)
    made = await upsert(world, {"age": 7}, {"$set": {"title": "n"}})
    assert set(made.json()) == {"matchedCount", "modifiedCount", "upsertedId"}
    assert [row for row in await rows(world) if row["_id"] in ("x", "y")] == before
    ours = await world.post("/notes", {"_id": "x", "title": "n"})
    answers = [
        await upsert(world, {"_id": one}, change, action)
        for one in ("x", "y")
        for action, change in (
            ("updateOne", {"$set": {"title": "n"}}),
            ("updateMany", {"$set": {"title": "n"}}),
            ("replaceOne", {"title": "n"}),
        )
    ]
    assert {one.text for one in answers} == {answers[0].text}
    assert refused(answers[0]) == (409, "Conflict", ours.json()["error"]["message"])
    assert [row for row in await rows(world) if row["_id"] in ("x", "y")] == before


async def test_what_can_not_be_equal_to_two_values_is_refused_where_it_would_be_created(world):
    """An array can hold both: there it is found."""
    await world.add("a", tags=["x", "y"])
    for asked in (
        {"$and": [{"tags": "x"}, {"tags": "y"}]},
        {"tags": "x", "$and": [{"tags": {"$eq": "y"}}, {"age": {"$exists": False}}]},
    ):
        found = await upsert(world, asked, {"$set": {"title": "n"}})
        assert found.json()["matchedCount"] == 1
        none = await upsert(world, asked | {"status": "closed"}, {"$set": {"title": "n"}})
        assert refused(none)[:2] == (400, "SchemaValidationFailedWrite")
        assert none.json()["details"]["errors"][0]["field"] == "tags"
    plain = await upsert(world, {"$and": [{"age": 1}, {"age": 2}]}, {"$set": {"title": "n"}}, token=BOSS)
    assert refused(plain)[:2] == (400, "SchemaValidationFailedWrite")
    assert len(await rows(world)) == 1


@pytest.mark.parametrize(
    "update",
    [
        {"$setOnInsert": {"age": 1}, "$set": {"age": 2}},
        {"$setOnInsert": {"pay": {}}, "$inc": {"pay.month": 2}},
        {"$setOnInsert": {}},
        {"$setOnInsert": []},
        {"$setOnInsert": {"a..b": 1}},
        {"$setOnInsert": {"$where": 1}},
        {"$setOnInsert": {"tags.$": 1}},
        {"$setOnUpdate": {"age": 1}},
        {"$setOnInsert": {"age": 1}, "title": "n"},
        {"title": "n"},
        {},
        [],
    ],
)
async def test_an_update_that_makes_no_sense_is_refused_before_anything_is_looked_for(world, update):
    assert refused(await upsert(world, {}, update))[:2] == (400, "InvalidParameter")


async def test_a_value_of_another_type_is_told_where_it_would_be_created(world):
    for update, field in (
        ({"$set": {"title": 5}}, "title"),
        ({"$inc": {"age": "x"}, "$set": {"title": "n"}}, "age"),
        ({"$push": {"title": "n"}}, "title"),
        ({"$set": {"title": "n", "age": -1}}, "age"),
        ({"$setOnInsert": {"title": "n", "age": "x"}}, "age"),
        ({"$currentDate": {"title": True}}, "title"),
        ({"$set": {"title": "n", "pay.month.x": 1}}, "pay.month"),
    ):
        answer = await upsert(world, {"pay.month": 3}, update)
        assert refused(answer)[0] in (400, 403), update
        assert field in str(answer.json()["details"]), answer.text
    assert await rows(world) == []


async def test_what_may_be_written_and_not_be_read_or_created_is_not_told_of(world):
    """Neither by what stands there nor by its type; what leaves nothing there is no matter of a new document."""
    filler = a_token("fay", ["filler"])
    made = await upsert(world, {"title": "a"}, {"$unset": {"age": 1}, "$setOnInsert": {"title": "n"}}, token=filler)
    assert set(made.json()) == {"matchedCount", "modifiedCount", "upsertedId"}
    for operator, field, value in (
        ("$set", "age", "x"),
        ("$set", "age", 1),
        ("$set", "tags", 1),
        ("$setOnInsert", "ssn", 5),
        ("$setOnInsert", "nothing", 5),
    ):
        answer = await upsert(world, {"title": "m"}, {operator: {field: value}}, token=filler)
        assert refused(answer)[::2] == (403, "unknown or not permitted field"), operator
        assert answer.json()["details"] == {"action": "create", "collection": "notes", "fields": [field]}
    for operator, field in (("$pull", "age"), ("$inc", "age"), ("$push", "tags")):
        answer = await upsert(world, {"title": "m"}, {operator: {field: "x"}}, token=filler)
        assert answer.json()["details"] == {"action": "update", "collection": "notes", "fields": [field]}


# -- what every creation has


async def test_it_is_a_batch_that_stands_in_the_audit_and_can_be_undone(world):
    answer = await upsert(world, {"_id": "a"}, {"$set": {"title": "n"}}, headers={"x-change-reason": "why"})
    batch = answer.headers["x-batch"]
    entry = await world.database["_pm_audit"].find_one({"batch": batch})
    assert (entry["action"], entry["ids"], entry["user_id"]) == ("create", ["a"], "alice")
    history = (await world.get("/notes/a/versions")).json()
    assert [(one["version"], one["change_reason"]) for one in history] == [(1, "why")]
    assert (await world.post(f"/notes/batch/{batch}/undo", {})).json()["restored"] == 1
    assert await rows(world) == []
    again = await upsert(world, {"_id": "a"}, {"$set": {"title": "n"}})
    assert again.json()["upsertedId"] == "a"
    assert (await rows(world))[0]["_version"] > 1  # the id lived before


async def test_of_more_than_one_chunk_it_is_a_job_that_any_gateway_can_go_on_with(mongo_uri, tmp_path):
    """Nothing is created then, and what is read again of it is what was asked."""
    config = a_config(tmp_path, f"{DOOR}limits: {{max_batch_size: 3}}\n", SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        for n in (0, 3, 6):
            await world.add(*(f"n{k}" for k in range(n, n + 3)), age=1)
        only, change = {"$setOnInsert": {"title": "x"}}, {"$set": {"ssn": "1"}, "$setOnInsert": {"title": "x"}}
        for update, changed in ((only, 0), (change, 9)):
            answer = await upsert(world, {"age": 1}, update, "updateMany")
            assert answer.json() == {"matchedCount": 9, "modifiedCount": changed}
        assert len(await rows(world)) == 9
        jobs = (await world.get("/_pm/jobs")).json()["data"]
        assert [(one["operation"], one["state"]) for one in jobs] == [("update", "done")] * 2
        body = write_json({"filter": {"age": 1}, "all": True, "update": change, "upsert": True})
        again = read_again("update", body, "notes", config, world.gateway.fresh)
        assert isinstance(again, UpdateMany)
        assert (again.edits.change.steps[0].path, again.otherwise.only[0].path) == ("ssn", "title")


async def test_it_takes_effect_once_under_a_key(world):
    for action in ("updateOne", "updateMany", "replaceOne"):
        change = {"title": "n"} if action == "replaceOne" else {"$set": {"title": "n"}}
        told = [
            await upsert(world, {"age": {"$gt": 5}}, change, action, headers={"idempotency-key": action}) for _ in "ab"
        ]
        assert told[0].json() == told[1].json(), told[0].text
        assert "upsertedId" in told[0].json()
        assert told[1].headers["idempotency-replayed"] == "true"
    assert len(await rows(world)) == 3
    refusals = [await upsert(world, {}, {"$set": {"title": 5}}, token=BOB, headers={"idempotency-key": "k"}) for _ in "ab"]  # fmt: skip
    assert {one.text for one in refusals} == {refusals[0].text}


async def test_of_many_at_once_that_name_an_id_one_creates_and_the_others_change(world):
    answers = await asyncio.gather(*(upsert(world, {"_id": "a"}, {"$set": {"title": f"n{n}"}}) for n in range(8)))
    counts = [one.json() for one in answers]
    assert sorted(("upsertedId" in one, one.get("matchedCount")) for one in counts) == [(False, 1)] * 7 + [(True, 0)]
    assert [row["_version"] for row in await rows(world)] == [8]
    many = await asyncio.gather(
        *(
            upsert(world, {"_id": "b"}, {"$inc": {"age": 1}, "$setOnInsert": {"title": "n"}}, "updateMany")
            for _ in range(6)
        )
    )
    assert [one.status_code for one in many] == [200] * 6
    assert (await rows(world))[1]["age"] == 6


async def test_of_many_at_once_with_a_unique_value_one_creates_and_the_others_change(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "      email: {type: string, format: email}\n",
        "      email: {type: string, format: email}\n    indexes: [{fields: [tenant_id, email], unique: true, sparse: true}]\n",
    )
    async with a_world(mongo_uri, a_config(tmp_path, DOOR, schema, POLICY)) as world:
        answers = await asyncio.gather(
            *(upsert(world, {"email": "a@b.c"}, {"$inc": {"age": 1}, "$setOnInsert": {"title": "n"}}) for _ in range(6))
        )
        assert [one.status_code for one in answers] == [200] * 6
        assert [row["age"] for row in await rows(world)] == [6]
        taken = await upsert(world, {"email": "a@b.c"}, {"$setOnInsert": {"title": "n"}}, token=BOB)
        assert refused(taken) == (409, "Conflict", "a document with this key exists")


async def test_a_reference_must_lead_somewhere(mongo_uri, tmp_path):
    schema = SCHEMA.replace("email: {type: string, format: email}", "email: {type: string, ref: notes}")
    async with a_world(mongo_uri, a_config(tmp_path, DOOR, schema, POLICY)) as world:
        document = {"$set": {"title": "n"}}
        ours = await world.post("/notes", {"title": "n", "email": "a"})
        answer = await upsert(world, {"email": "a"}, document)
        assert ours.status_code == 422
        assert (answer.status_code, answer.json()["error"]) == (400, ours.json()["error"]["message"])
        await world.add("a")
        assert "upsertedId" in (await upsert(world, {"email": "a"}, document)).json()


async def test_rates_and_sizes_are_those_of_every_write(mongo_uri, tmp_path):
    text = f"{DOOR}limits: {{max_document_bytes: 600, rate: {{per_principal: 1/s, burst: 3s}}}}\n"
    async with a_world(mongo_uri, a_config(tmp_path, text, SCHEMA, POLICY)) as world:
        large = await upsert(world, {}, {"$set": {"title": "n", "ssn": "x" * 700}})
        assert refused(large)[0] == 413
        told = [(await upsert(world, {"age": n}, {"$set": {"title": "n"}})).status_code for n in range(5)]
        assert told[0] == 200
        assert told[-1] == 429
