"""`GET /{collection}/{id}/versions`: who, when and why, newest first, of the states that today's rules show."""

import pytest

from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, VIEWER, STRANGER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token("vera", ["viewer"]),
    a_token("eve", ["boss"], "evil"),
)
ABSENT = (
    404,
    '{"error":{"code":"document_not_found","message":"no such document in notes","details":{"collection":"notes"}}}',
)


async def history(world, path="/notes/a/versions", **more):
    answer = await world.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def delete(world, one="a", **more):
    return (await world.delete("/notes/batch", {"ids": [one]}, **more)).json()["batch"]


async def a_restored_note(world, **fields):
    """Note `a`, created, deleted by the boss and restored."""
    await world.add("a", **fields)
    answer = await world.delete("/notes/batch", {"ids": ["a"], "reason": "spring"}, token=BOSS)
    await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {"reason": "autumn"})
    return answer.json()["batch"]


async def test_each_entry_tells_who_when_why_and_by_which_batch(world):
    batch = await a_restored_note(world)
    entries = await history(world)
    assert [(one["version"], one["action"], one["updated_by"]) for one in entries] == [
        (3, "restore", "alice"),
        (2, "delete", "boss"),
        (1, "create", "alice"),
    ]
    assert [one.get("change_reason") for one in entries] == ["autumn", "spring", None]
    assert entries[1]["batch"] == batch
    assert set(entries[1]) == {"version", "action", "updated_by", "updated_at", "change_reason", "batch"}
    moments = [one["updated_at"] for one in entries]
    assert moments == sorted(set(moments), reverse=True)
    assert all(one.endswith("Z") for one in moments)


async def test_a_document_made_once_has_one_entry(world):
    made = (await world.post("/notes", {"title": "n"})).json()
    entries = await history(world, f"/notes/{made['_id']}/versions")
    assert [(one["version"], one["action"], set(one)) for one in entries] == [
        (1, "create", {"version", "action", "updated_by", "updated_at"})
    ]


async def test_a_deleted_documents_history_is_told_while_its_last_content_is_within_reach(world):
    await world.add("a")
    await delete(world)
    assert [one["action"] for one in await history(world)] == ["delete", "create"]
    for token in (BOB, VIEWER, STRANGER):
        answer = await world.get("/notes/a/versions", token=token)
        assert (answer.status_code, answer.text) == ABSENT
    await world.database["_pm_versions"].update_one({"doc_id": "a"}, {"$set": {"data.owner_id": "bob"}})
    assert (await world.get("/notes/a/versions")).status_code == 404
    assert [one["action"] for one in await history(world, token=BOB)] == ["delete", "create"]


async def test_an_entry_whose_state_is_not_shown_is_left_out_whole(world):
    """A viewer sees closed notes: of one that was open before, only what made it closed."""
    await a_restored_note(world)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"status": "closed"}})
    assert [one["version"] for one in await history(world, token=VIEWER)] == [3]
    assert [one["version"] for one in await history(world)] == [3, 2, 1]


async def test_t35_old_states_within_reach_tell_nothing_while_the_live_document_is_not(world):
    await a_restored_note(world, status="closed")
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"status": "open"}})
    answer = await world.get("/notes/a/versions", token=VIEWER)
    assert (answer.status_code, answer.text) == ABSENT


async def test_a_document_that_was_never_there_is_told_alike(world):
    answer = await world.get("/notes/a/versions")
    assert (answer.status_code, answer.text) == ABSENT


async def test_numbers_go_on_when_an_id_lives_again(world):
    await world.add("a")
    await delete(world)
    await world.add("a")
    await delete(world)
    entries = await history(world)
    assert [(one["version"], one["action"]) for one in entries] == [
        (4, "delete"),
        (3, "create"),
        (2, "delete"),
        (1, "create"),
    ]


async def test_t25_another_tenants_life_of_an_id_is_another_history(world):
    await world.add("a")
    await delete(world)
    await world.add("a", token=STRANGER)
    assert [(one["version"], one["updated_by"]) for one in await history(world, token=STRANGER)] == [(1, "eve")]
    await delete(world, token=STRANGER)
    assert [one["version"] for one in await history(world, token=STRANGER)] == [2, 1]
    assert [one["updated_by"] for one in await history(world)] == ["alice", "alice"]


async def test_pages_by_number(world):
    await a_restored_note(world)
    pages = [
        await history(world, f"/notes/a/versions?{query}")
        for query in ("_limit=2", "_limit=2&_before=2", "_before=1", "_before=3&_limit=1")
    ]
    assert [[one["version"] for one in page] for page in pages] == [[3, 2], [1], [], [2]]


async def test_a_document_from_before_the_gateway_has_an_entry_without_a_maker(world):
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "owner_id": "alice", "status": "open"})
    assert await history(world) == [{"version": 0, "action": "create", "updated_by": None, "updated_at": None}]
    await delete(world)
    assert [(one["version"], one["action"], one["updated_by"]) for one in await history(world)] == [
        (1, "delete", "alice"),
        (0, "create", None),
    ]


async def test_no_entry_holds_content(world):
    await a_restored_note(world, ssn="canary-123")
    assert "canary" not in (await world.get("/notes/a/versions")).text


@pytest.mark.parametrize(
    "query",
    [
        "_limit=0",
        "_limit=101",
        "_limit=x",
        "_before=0",
        "_before=-1",
        "_before=1&_before=2",
        "_cursor=a",
        "limit=1",
        "_fields=data",
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(world, query):
    await world.add("a")
    answer = await world.get(f"/notes/a/versions?{query}")
    assert (answer.status_code, query.split("=")[0] in answer.json()["error"]["message"]) == (400, True)


async def test_a_role_without_the_action_is_forbidden_whatever_is_there(world):
    answer = await world.get("/notes/a/versions", token=CLERK)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "notes"})


async def test_a_collection_without_versions_says_so(world):
    answer = await world.get(f"/plain/{'5' * 24}/versions", token=BOSS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "versioning_not_enabled")


async def test_t25_an_id_made_again_by_another_tenant_changes_nothing_in_ones_own_history(world):
    other = a_token("eve", ["boss"], "evil")
    await world.add("a")
    await world.delete("/notes/batch", {"ids": ["a"]})
    before = await world.get("/notes/a/versions")
    await world.add("a", token=other)
    after = await world.get("/notes/a/versions")
    assert (after.status_code, after.text) == (before.status_code, before.text) == (200, before.text)
    assert [one["version"] for one in (await world.get("/notes/a/versions", token=other)).json()] == [1]


async def test_two_tenants_that_deleted_the_same_id_both_show_to_a_cross_tenant_reader(world):
    other, root = a_token("eve", ["boss"], "evil"), a_token("root", ["root"], None)
    for token in (None, other):
        await world.add("a", token=token)
        await world.delete("/notes/batch", {"ids": ["a"]}, token=token)
    page = await world.get("/notes/deleted?_limit=1", token=root)
    rest = await world.get(f"/notes/deleted?_limit=1&_cursor={page.json()['pagination']['cursor']}", token=root)
    assert [one["tenant_id"] for one in page.json()["data"] + rest.json()["data"]] == ["acme", "evil"]


async def test_states_that_are_not_shown_of_many_tenants_end_no_cross_tenant_list(mongo_uri, tmp_path):
    """More than a page of one number are looked at and left out; what is shown stands behind them."""
    schema = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff}")
    policy = POLICY.replace(
        '    root: {actions: ["*"]}', "    root: {actions: [read], when: \"resource.status == 'open'\"}"
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, policy)) as world:
        for n in range(8):
            other = a_token("eve", ["boss"], f"t{n}")
            await world.add("a", token=other, status="closed", tags=["x" * 200])
            for age in (1, 2):
                assert (await world.ask("PATCH", "/notes/a", {"age": age}, token=other)).status_code == 200
            assert (await world.ask("DELETE", "/notes/a", token=other)).status_code == 200
        await world.add("a")
        assert (await world.ask("PATCH", "/notes/a", {"age": 3})).status_code == 200
        root = a_token("root", ["root"], None)
        assert [one["version"] for one in await history(world, "/notes/a/versions?_limit=3", token=root)] == [2, 1]
