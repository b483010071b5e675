"""`GET /{collection}/deleted`: documents deleted and not restored whose last content the caller may see and restore."""

import pytest

from tests.http.harness import POLICY, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, STRANGER = a_token("bob"), a_token("boss", ["boss"]), a_token("eve", ["boss"], "evil")


async def gone(world, path="/notes/deleted", **more):
    answer = await world.get(path, **more)
    assert answer.status_code == 200, answer.text
    return [one["_id"] for one in answer.json()["data"]]


async def test_a_deleted_document_is_listed_with_its_last_content_until_it_lives_again(world):
    await world.add("a", "b", age=3)
    batch = (await world.delete("/notes/batch", {"ids": ["a"]})).json()["batch"]
    row = (await world.get("/notes/deleted")).json()["data"][0]
    assert (row["_id"], row["age"], row["_version"], "_made" in row) == ("a", 3, 1, False)
    await world.post(f"/notes/batch/{batch}/undo", {})
    assert await gone(world) == []


async def test_a_document_made_again_is_not_deleted(world):
    await world.add("a")
    await world.delete("/notes/batch", {"ids": ["a"]})
    await world.post("/notes", {"_id": "a", "title": "new"})
    assert await gone(world) == []


async def test_t25_only_what_the_caller_sees_and_may_restore_is_listed(world):
    """A closed note of bob's is alice's to see and not to restore; one of another tenant is neither."""
    await world.add("a")
    await world.add("b", status="closed", token=BOB)
    await world.add("c", token=STRANGER)
    for token, one in ((None, "a"), (BOB, "b"), (STRANGER, "c")):
        await world.delete("/notes/batch", {"ids": [one]}, token=token)
    assert [await gone(world, token=token) for token in (None, BOB, BOSS, STRANGER)] == [
        ["a"],
        ["b"],
        ["a", "b"],
        ["c"],
    ]


async def test_t35_rules_of_today_decide_on_the_last_content(world):
    await world.add("a")
    await world.delete("/notes/batch", {"ids": ["a"]})
    assert await gone(world, token=BOB) == []
    await world.database["_pm_versions"].update_one({"doc_id": "a"}, {"$set": {"data.owner_id": "bob"}})
    assert (await gone(world), await gone(world, token=BOB)) == ([], ["a"])


async def test_a_masked_field_stays_masked(world):
    await world.add("a", ssn="123456789")
    await world.delete("/notes/batch", {"ids": ["a"]})
    assert (await world.get("/notes/deleted")).json()["data"][0]["ssn"] == "***6789"


async def test_pages_together_are_the_list_each_row_once(world):
    await world.add(*"abcde")
    await world.delete("/notes/batch", {"ids": list("edcba")})
    first = (await world.get("/notes/deleted?_limit=3")).json()
    rest = (await world.get(f"/notes/deleted?_limit=3&_cursor={first['pagination']['cursor']}")).json()
    assert ([one["_id"] for one in first["data"]], [one["_id"] for one in rest["data"]]) == (list("abc"), list("de"))
    assert rest["pagination"] == {"cursor": None, "has_more": False}


async def test_it_needs_both_read_and_restore(mongo_uri, tmp_path):
    policy = POLICY.replace("delete, restore]", "delete]").replace(
        "clerk: {actions: [create]", "clerk: {actions: [restore]"
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        answers = [await world.get("/notes/deleted", token=a_token(roles=[role])) for role in ("user", "clerk")]
        assert [(one.status_code, one.json()["error"]["details"]["action"]) for one in answers] == [
            (403, "restore"),
            (403, "read"),
        ]


async def test_a_collection_without_versions_says_so(world):
    answer = await world.get("/plain/deleted", token=BOSS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "versioning_not_enabled")


@pytest.mark.parametrize("parameter", ["_filter={}", "_sort=a", "age=1", "_before=1"])
async def test_a7_an_unknown_parameter_is_refused_by_name(world, parameter):
    answer = await world.get(f"/notes/deleted?{parameter}")
    assert (answer.status_code, f"'{parameter.split('=')[0]}'" in answer.json()["error"]["message"]) == (400, True)
