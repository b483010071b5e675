"""`POST /{collection}/batch`: each document judged as the single route judges it; what can't be stored is listed."""

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, VIEWER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token(roles=["viewer"]),
)
STRANGER = a_token("eve", ["boss"], "evil")


async def create(world, *documents, token=None, **options):
    return await world.post("/notes/batch", {"documents": list(documents), **options}, token=token)


async def test_all_are_created_and_listed_in_the_order_sent(world):
    answer = await create(world, {"_id": "b", "title": "n"}, {"_id": "a", "title": "n"}, {"title": "n"})
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"created", "failed", "batch"}
    assert (body["created"][:2], len(body["created"]), body["failed"]) == (["b", "a"], 3, [])
    assert await world.stored(*body["created"]) == sorted(body["created"])


async def test_a_batch_id_has_128_bits_and_names_its_record(world):
    ids = {(await create(world, {"title": "n"})).json()["batch"] for _ in range(5)}
    assert len(ids) == 5
    assert {len(bytes.fromhex(one)) for one in ids} == {16}
    assert await world.database["_pm_batches"].count_documents({"_id": {"$in": list(ids)}, "counts.create": 1}) == 5


async def test_what_cannot_be_created_is_listed_by_its_place_and_the_rest_is_done(world):
    await world.add("taken", token=BOB)
    answer = await create(
        world,
        {"_id": "a", "title": "n"},
        {"title": 5},
        {"_id": "taken", "title": "n"},
        {"title": "n", "owner_id": "bob"},
        {"_id": "a", "title": "again"},
        {"_id": "z", "title": "n"},
        results=True,
    )
    body = answer.json()
    assert (answer.status_code, body["created"], body["error"]["code"]) == (207, ["a", "z"], "partial")
    assert [(one["index"], one["error"]["code"]) for one in body["failed"]] == [
        (1, "schema_validation"),
        (2, "conflict"),
        (3, "forbidden"),
        (4, "conflict"),
    ]
    assert [(one["id"], one["status"]) for one in body["results"]] == [
        ("a", "created"),
        (None, "schema_validation"),
        (None, "conflict"),
        (None, "forbidden"),
        (None, "conflict"),
        ("z", "created"),
    ]
    assert (await world.database["notes"].find_one({"_id": "a"}))["title"] == "n"


async def test_a_batch_of_which_nothing_was_done_has_no_id(world):
    answer = await create(world, {"title": 5})
    assert (answer.status_code, answer.json()["created"], "batch" in answer.json()) == (207, [], False)
    assert await world.database["_pm_batches"].count_documents({}) == 0


async def test_each_item_is_refused_as_the_single_route_refuses_it(world):
    for document in (
        {"title": 5},
        {"title": "n", "nothing": 1},
        {"title": "n", "tenant_id": "x"},
        {"_id": [1], "title": "n"},
        {"title": "n", "$x": 1},
    ):
        single = (await world.post("/notes", document)).json()["error"]
        assert (await create(world, document)).json()["failed"] == [{"index": 0, "error": single}]


async def test_t24_a16_no_item_can_name_its_tenant_or_owner(world):
    answer = await create(
        world, {"title": "n", "tenant_id": "evil"}, {"title": "n", "owner_id": "bob"}, {"title": "n", "_version": 9}
    )
    assert [one["error"]["code"] for one in answer.json()["failed"]] == ["forbidden"] * 3
    assert await world.database["notes"].count_documents({}) == 0


async def test_t25_a15_a_taken_id_is_told_alike_whosever_it_is(world):
    await world.add("x1", token=STRANGER)
    await world.add("x2", token=BOB)
    await world.add("x3")
    answer = await create(world, *[{"_id": one, "title": "n"} for one in ("x1", "x2", "x3", "free")])
    assert answer.json()["created"] == ["free"]
    assert [one["error"] for one in answer.json()["failed"]] == [
        {"code": "conflict", "message": "a document with this key exists"}
    ] * 3


async def test_atomic_does_all_or_nothing(world):
    await world.add("taken", token=BOB)
    for wrong, status, code in (
        ({"_id": "taken", "title": "n"}, 409, "conflict"),
        ({"title": 5}, 422, "schema_validation"),
        ({"title": "n", "owner_id": "bob"}, 403, "forbidden"),
    ):
        answer = await create(world, {"_id": "a", "title": "n"}, wrong, atomic=True)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code)
        assert [(one["index"], one["error"]["code"]) for one in error["details"]["failed"]] == [(1, code)]
        assert await world.stored("a") == []
    assert (await create(world, {"_id": "a", "title": "n"}, {"_id": "b", "title": "n"}, atomic=True)).status_code == 201


async def test_a_dry_run_tells_what_would_happen_and_changes_nothing(world):
    await world.add("taken")
    answer = await create(world, {"_id": "a", "title": "n"}, {"_id": "taken", "title": "n"}, dry_run=True)
    body = answer.json()
    assert (answer.status_code, body["created"], [one["index"] for one in body["failed"]]) == (207, ["a"], [1])
    assert (body["dry_run"], "batch" in body) == (True, False)
    assert await world.stored("a") == []
    assert await world.database["_pm_audit"].count_documents({"action": "create (dry run)", "ids": ["a"]}) == 1


async def test_more_documents_than_max_affected_touch_nothing(world):
    answer = await create(world, {"_id": "a", "title": "n"}, {"_id": "b", "title": "n"}, max_affected=1)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"matched_at_least": 2})
    assert await world.stored("a", "b") == []


async def test_a_reason_is_kept_with_every_version(world):
    await create(world, {"_id": "a", "title": "n"}, reason="import")
    entry = (await world.get("/notes/a/versions")).json()[0]
    assert (entry["action"], entry["change_reason"], len(entry["batch"])) == ("create", "import", 32)


async def test_a_creator_without_a_right_to_read_is_answered_ids_alone(world):
    answer = await create(world, {"title": "n"}, token=CLERK)
    assert (answer.status_code, set(answer.json())) == (201, {"created", "failed", "batch"})


async def test_a_role_without_the_action_is_forbidden_whatever_is_sent(world):
    answer = await create(world, {"title": 5}, token=VIEWER)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "create", "collection": "notes"})


async def test_many_taken_ids_are_all_found(world):
    taken = [f"t{n:02}" for n in range(25)]
    await world.add(*taken, token=BOB)
    answer = await create(
        world,
        *[
            {"_id": one, "title": "n"}
            for pair in zip(taken, [f"f{n:02}" for n in range(25)], strict=True)
            for one in pair
        ],
    )
    assert answer.json()["created"] == [f"f{n:02}" for n in range(25)]
    assert [one["index"] for one in answer.json()["failed"]] == list(range(0, 50, 2))


@pytest.mark.parametrize("unfit", [(), (140,), (60, 599), range(50, 600)])
async def test_what_was_written_ahead_tells_in_the_end_what_was_done(world, unfit):
    """Audit entry, record and part stand before the later documents were judged."""
    sent = [{"title": 5 if n in unfit else "n"} for n in range(600)]  # with ids of theirs all would be judged first
    answer = await create(world, *sent)
    done, batch = answer.json()["created"], answer.json()["batch"]
    assert await world.stored(*done) == sorted(done)
    assert len(done) == 600 - len(unfit)
    assert [one["index"] for one in answer.json()["failed"]] == [*unfit]
    entry = await world.database["_pm_audit"].find_one({"batch": batch})
    part = await world.database["_pm_parts"].find_one({"batch": batch})
    record = await world.database["_pm_batches"].find_one({"_id": batch})
    assert (entry["ids"], entry["count"], part["ids"], record["counts"]) == (
        done,
        len(done),
        done,
        {"create": len(done)},
    )
    assert part["_id"] == entry["_id"]
    undone = await world.post(f"/notes/batch/{batch}/undo", {})
    assert undone.status_code == 200, undone.text
    assert await world.stored(*done) == []


@pytest.mark.parametrize("taken", [1, 20, 1000])
async def test_taken_keys_among_a_thousand_are_named_by_their_places_and_the_others_are_created(world, taken):
    places = range(0, 1000, 1000 // taken)
    rows = [{"_id": f"n{n:04}", "tenant_id": "acme", "title": "there"} for n in places]
    await world.database["notes"].insert_many(rows)
    sent = [{"_id": f"n{n:04}", "title": "x"} for n in range(1000)]
    answer = await world.post("/notes/batch", {"documents": sent})
    body = answer.json()
    assert (answer.status_code, len(body["created"])) == (207, 1000 - taken)
    assert [(one["index"], one["error"]["code"]) for one in body["failed"]] == [(n, "conflict") for n in places]
    assert await world.database["notes"].count_documents({}) == 1000
    assert await world.database["notes"].count_documents({"title": "x"}) == 1000 - taken


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "documents: expected a list"),
        ({"documents": {}}, "documents: expected a list"),
        ({"documents": None}, "documents: expected a list"),
        ({"documents": []}, "documents: expected at least one"),
        ({"documents": [5]}, "documents[0]: expected a JSON object"),
        ({"documents": [{"title": "n"}, []]}, "documents[1]: expected a JSON object"),
        ({"document": [{}]}, "unknown key 'document'; did you mean 'documents'?"),
        ({"documents": [{}], "upsert": True}, "unknown key 'upsert'; known here: documents, atomic"),
        ({"documents": [{}], "atomic": "yes"}, "atomic: expected true or false"),
        ({"documents": [{}], "atomic": None}, "atomic: expected true or false"),
        ({"documents": [{}], "dry_run": 1}, "dry_run: expected true or false"),
        ({"documents": [{}], "results": []}, "results: expected true or false"),
        ({"documents": [{}], "max_affected": -1}, "max_affected: expected a whole number from 0 to "),
        ({"documents": [{}], "max_affected": 2**62}, "max_affected: expected a whole number from 0 to "),
        ({"documents": [{}], "max_affected": True}, "max_affected: expected a whole number from 0 to "),
        ({"documents": [{}], "reason": 5}, "reason: expected a text of 1 to 1000 characters"),
        ({"documents": [{}], "reason": ""}, "reason: expected a text of 1 to 1000 characters"),
        ({"documents": [{}], "reason": []}, "reason: expected a text of 1 to 1000 characters"),
    ],
    ids=str,
)
async def test_a_wrong_body_is_told_what_is_wrong_where_and_what_would_be_right(world, body, message):
    answer = await world.post("/notes/batch", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(message)
    assert await world.database["notes"].count_documents({}) == 0


async def test_t14_a_batch_too_large_is_refused_with_both_numbers(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 3}\n")) as world:
        answer = await create(world, *[{"title": "n"}] * 4)
        assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"max_batch_size": 3, "requested": 4})
        assert (await create(world, *[{"title": "n"}] * 3)).status_code == 201


async def test_t23_documents_too_many_for_one_transaction_are_refused_alike_or_done(mongo_uri, tmp_path):
    """Each document fits: what one transaction can't take is never a failure of ours."""
    async with a_kept_world(mongo_uri, a_config(tmp_path)) as world:
        answer = await create(world, *[{"_id": f"n{n}", "title": "n", "ssn": "x" * 3_000_000} for n in range(5)])
        assert answer.status_code == 201
        assert len(await world.stored(*[f"n{n}" for n in range(5)])) == 5
