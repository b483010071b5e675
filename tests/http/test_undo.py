"""`POST /{collection}/batch/{batch}/undo`: what a batch deleted lives again, what it made is removed, others' changes stay."""

import pytest

from tests.http.harness import CONFIG, POLICY, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER, STRANGER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token(roles=["viewer"]),
    a_token("eve", ["boss"], "evil"),
)
UNKNOWN = "0" * 32


async def deleted(world, *ids, token=None) -> str:
    """The id of the batch that deleted these."""
    return (await world.delete("/notes/batch", {"ids": list(ids)}, token=token)).json()["batch"]


async def created(world, *ids, token=None) -> str:
    """The id of the batch that made these."""
    documents = [{"_id": one, "title": "n"} for one in ids]
    return (await world.post("/notes/batch", {"documents": documents}, token=token)).json()["batch"]


async def undo(world, batch, body=None, **more):
    return await world.post(f"/notes/batch/{batch}/undo", {} if body is None else body, **more)


def failures(answer):
    return [(one["id"], one["error"]["code"]) for one in answer.json()["failed"]]


async def test_undo_brings_all_back_whole_hidden_fields_included(world):
    await world.add("a", "b", ssn="123456789", pay={"month": 5}, token=BOSS)
    before = await world.database["notes"].find({}, {"_version": 0, "_made": 0}).to_list()
    batch = await deleted(world, "a", "b", token=BOSS)
    answer = await undo(world, batch, token=BOSS)
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 2, [])
    after = await world.database["notes"].find({}).to_list()
    assert [{key: value for key, value in one.items() if key not in ("_version", "_made")} for one in after] == before
    assert [one["_version"] for one in after] == [3, 3]
    assert answer.json()["batch"] not in (batch, None)


async def test_an_empty_body_is_a_body(world):
    await world.add("a")
    batch = await deleted(world, "a")
    answer = await world.ask("POST", f"/notes/batch/{batch}/undo")
    assert (answer.status_code, answer.json()["restored"]) == (200, 1)


async def test_undo_needs_the_right_to_restore(mongo_uri, tmp_path):
    policy = POLICY.replace("delete, restore]", "delete]")
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("a")
        answer = await undo(world, await deleted(world, "a"))
        assert (answer.status_code, answer.json()["error"]["details"]) == (
            403,
            {"action": "restore", "collection": "notes"},
        )
        assert await world.stored("a") == []


async def test_what_was_made_again_since_is_a_conflict_and_the_rest_comes_back(world):
    await world.add("a", "b")
    batch = await deleted(world, "a", "b")
    await world.post("/notes", {"_id": "a", "title": "new"})
    answer = await undo(world, batch, {"results": True})
    assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 1, [("a", "conflict")])
    assert answer.json()["error"]["code"] == "partial"
    assert {(one["id"], one["status"]) for one in answer.json()["results"]} == {("b", "restored"), ("a", "conflict")}
    assert (await world.get("/notes/a")).json()["title"] == "new"


async def test_what_a_writer_beside_the_gateway_made_again_is_a_conflict(world):
    await world.add("a")
    batch = await deleted(world, "a")
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "beside"})
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 0, [("a", "conflict")])
    assert "batch" not in answer.json()
    assert (await world.get("/notes/a")).json()["title"] == "beside"


async def test_a_second_undo_changes_nothing_and_says_so(world):
    await world.add("a")
    batch = await deleted(world, "a")
    await undo(world, batch)
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 0, [("a", "conflict")])
    assert await world.stored("a") == ["a"]


async def test_undo_of_a_create_removes_what_nobody_changed(world):
    batch = await created(world, "a", "b")
    await world.database["notes"].update_one(
        {"_id": "b"}, {"$set": {"_made": {"action": "update", "by": "x", "at": None}}}
    )
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 1, [("b", "conflict")])
    assert await world.stored("a", "b") == ["b"]


async def test_undo_of_a_create_needs_the_right_to_delete(mongo_uri, tmp_path):
    policy = POLICY.replace("delete, restore]", "restore]")
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        answer = await undo(world, await created(world, "a"))
        assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 0, [("a", "forbidden")])
        assert await world.stored("a") == ["a"]


async def test_a_made_document_that_may_not_be_deleted_stays(world):
    batch = await created(world, "a", "b")
    await world.database["notes"].update_one({"_id": "b"}, {"$set": {"status": "locked"}})
    answer = await undo(world, batch)
    assert (answer.json()["restored"], failures(answer)) == (1, [("b", "forbidden")])
    assert await world.stored("a", "b") == ["b"]


async def test_an_undo_can_be_undone_and_that_too(world):
    await world.add("a", "b")
    batch = await deleted(world, "a", "b")
    for stored in (["a", "b"], [], ["a", "b"], []):
        answer = await undo(world, batch)
        assert (answer.status_code, answer.json()["restored"]) == (200, 2)
        assert await world.stored("a", "b") == stored
        batch = answer.json()["batch"]
    assert [one["version"] for one in (await world.get("/notes/a/versions")).json()] == [6, 5, 4, 3, 2, 1]


async def test_t25_an_unknown_batch_another_tenants_another_collections_and_an_invisible_one_are_told_alike(world):
    await world.add("a")
    await world.add("b", token=BOB)
    await world.add("e", token=STRANGER)
    mine, bobs, evils = (
        await deleted(world, "a"),
        await deleted(world, "b", token=BOB),
        await deleted(world, "e", token=STRANGER),
    )
    made = [await created(world, "f", token=BOB), await created(world, "g", token=STRANGER)]
    answers = [
        await undo(world, one) for one in (UNKNOWN, bobs, evils, *made, "x", UNKNOWN.replace("0", "A"), "0" * 33)
    ]
    assert {(one.status_code, one.text) for one in answers} == {
        (
            404,
            '{"error":{"code":"batch_not_found","message":"no such batch in notes","details":{"collection":"notes"}}}',
        )
    }
    elsewhere = await world.post(f"/plain/batch/{mine}/undo", {}, token=BOSS)
    assert elsewhere.status_code == 501
    assert await world.stored("a", "b", "e", "f", "g") == ["f", "g"]


async def test_t25_another_versioned_collections_batch_is_told_like_an_unknown_one(mongo_uri, tmp_path):
    schema = "settings: {id_type: string, default_tenant_field: tenant_id}\ncollections:\n"
    for name in ("notes", "tasks"):
        schema += f"  {name}: {{client_ids: true, versioning: {{enabled: true}}, fields: {{tenant_id: {{type: string}}, title: {{type: string}}}}}}\n"
    policy = 'roles: {user: {}}\npolicies: {notes: {user: {actions: ["*"]}}, tasks: {user: {actions: ["*"]}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema, policy=policy)) as world:
        await world.add("a")
        for batch in (await deleted(world, "a"), await created(world, "b")):
            told = [await world.post(f"/tasks/batch/{one}/undo", {}) for one in (batch, UNKNOWN)]
            assert {(one.status_code, one.text) for one in told} == {(404, told[1].text)}
        assert await world.stored("a", "b") == ["b"]


async def test_a_mixed_batch_is_undone_as_far_as_the_caller_sees_it(world):
    """The boss deleted notes of two owners: alice's undo works on, counts and lists her own."""
    await world.add("a")
    await world.add("b", token=BOB)
    batch = await deleted(world, "a", "b", token=BOSS)
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], answer.json()["failed"]) == (200, 1, [])
    assert await world.stored("a", "b") == ["a"]


async def test_t35_a_caller_whose_rights_shrank_gets_nothing_back(world):
    await world.add("a")
    batch = await deleted(world, "a", token=BOSS)
    answers = [await undo(world, batch, token=a_token("boss", [role])) for role in ("user", "viewer", "clerk")]
    assert [one.status_code for one in answers] == [404, 403, 403]
    assert await world.stored("a") == []
    assert (await undo(world, batch, token=BOSS)).json()["restored"] == 1


async def test_what_is_visible_and_may_not_be_restored_is_listed(world):
    """A closed note of the boss is alice's to see, and not to restore."""
    await world.add("a", status="closed", token=BOSS)
    batch = await deleted(world, "a", token=BOSS)
    answer = await undo(world, batch)
    assert (answer.status_code, answer.json()["restored"], failures(answer)) == (207, 0, [("a", "forbidden")])
    assert await world.stored("a") == []


async def test_atomic_does_all_or_nothing(world):
    await world.add("a", "b")
    batch = await deleted(world, "a", "b")
    await world.post("/notes", {"_id": "b", "title": "new"})
    answer = await undo(world, batch, {"atomic": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert [one["id"] for one in answer.json()["error"]["details"]["failed"]] == ["b"]
    assert await world.stored("a", "b") == ["b"]
    await world.delete("/notes/batch", {"ids": ["b"]})
    assert await world.database["_pm_audit"].count_documents({"action": "restore"}) == 0


async def test_atomic_stops_at_an_id_that_only_the_write_finds_taken(world):
    await world.add("a", "b")
    batch = await deleted(world, "a", "b")
    await world.database["notes"].insert_one({"_id": "b", "tenant_id": "evil"})
    answer = await undo(world, batch, {"atomic": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert await world.stored("a", "b") == ["b"]


async def test_atomic_over_more_than_one_chunk_is_refused_beforehand(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 2}\n")) as world:
        await world.add("a", "b")
        await world.add("c")
        batch = (await world.delete("/notes/batch", {"filter": {}, "all": True})).json()["batch"]
        answer = await undo(world, batch, {"atomic": True})
        assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"max_batch_size": 2})
        assert await world.stored("a", "b", "c") == []
        assert (await undo(world, batch)).json()["restored"] == 3


async def test_a_dry_run_tells_what_would_happen_and_changes_nothing(world):
    await world.add("a", "b")
    batches = [await deleted(world, "a"), await created(world, "c")]
    for batch in batches:
        answer = await undo(world, batch, {"dry_run": True})
        assert (answer.status_code, answer.json()) == (200, {"restored": 1, "failed": [], "dry_run": True})
    assert await world.stored("a", "b", "c") == ["b", "c"]
    assert await world.database["_pm_audit"].count_documents({"action": "undo (dry run)"}) == 2
    assert [(await undo(world, batch)).json()["restored"] for batch in batches] == [1, 1]


async def test_the_reason_of_an_undo_is_kept_with_its_versions(world):
    await world.add("a")
    answer = await undo(world, await deleted(world, "a"), {"reason": "by mistake"})
    newest = (await world.get("/notes/a/versions")).json()[0]
    assert (newest["action"], newest["change_reason"], newest["batch"]) == (
        "restore",
        "by mistake",
        answer.json()["batch"],
    )


async def test_a_role_without_the_action_is_forbidden_whatever_is_there(world):
    answer = await undo(world, UNKNOWN, token=VIEWER)
    assert (answer.status_code, answer.json()["error"]["details"]) == (
        403,
        {"action": "restore", "collection": "notes"},
    )


async def test_a_collection_without_versions_says_so(world):
    answer = await world.post(f"/plain/batch/{UNKNOWN}/undo", {}, token=BOSS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "versioning_not_enabled")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"atomic": 1}, "atomic: expected true or false"),
        ({"dry_run": "x"}, "dry_run: expected true or false"),
        ({"reason": 1}, "reason: expected a text of 1 to 1000 characters"),
        ({"ids": ["a"]}, "unknown key 'ids'; known here: atomic, dry_run"),
        ({"dryrun": True}, "unknown key 'dryrun'; did you mean 'dry_run'?"),
    ],
    ids=str,
)
async def test_a_wrong_body_is_told_what_is_wrong_where_and_what_would_be_right(world, body, message):
    await world.add("a")
    answer = await undo(world, await deleted(world, "a"), body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(message)
    assert await world.stored("a") == []
