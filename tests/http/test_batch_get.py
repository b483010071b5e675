"""`POST /{collection}/batch/get`: those asked for and within reach, in the order asked; the others listed."""

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, STRANGER = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token("eve", ["boss"], "evil"),
)


async def get(world, *ids, token=None, **more):
    return await world.post("/notes/batch/get", {"ids": list(ids), **more}, token=token)


async def test_documents_come_in_the_order_asked_duplicates_once(world):
    await world.add("a", "b", "c")
    body = (await get(world, "c", "a", "x", "c", "b", "x")).json()
    assert ([one["_id"] for one in body["documents"]], body["not_found"]) == (["c", "a", "b"], ["x"])


async def test_what_is_missing_is_no_failure(world):
    answer = await get(world, "x")
    assert (answer.status_code, answer.json()) == (200, {"documents": [], "not_found": ["x"]})


async def test_t25_what_is_not_within_reach_is_told_like_what_is_absent(world):
    await world.add("x1", token=BOB)
    await world.add("x2", token=STRANGER)
    answers = [await get(world, one) for one in ("x1", "x2", "x3")]
    assert {(one.status_code, one.text.replace(one.json()["not_found"][0], "ID")) for one in answers} == {
        (200, '{"documents":[],"not_found":["ID"]}')
    }


async def test_a_grant_is_whole_its_fields_show_in_its_rows_only(world):
    await world.add("mine", tags=["x"], ssn="123456789")
    await world.add("bobs", tags=["y"], status="closed", token=BOB)
    mine, bobs = (await get(world, "mine", "bobs")).json()["documents"]
    assert (mine["tags"], mine["ssn"]) == (["x"], "***6789")
    assert set(bobs) == {"_id", "_version", "title", "status"}


async def test_fields_cut_what_is_shown(world):
    await world.add("a", age=3, pay={"month": 5, "bonus": 1}, lines=[{"sku": "s", "quantity": 1}])
    body = (await get(world, "a", fields=["age", "pay.month", "lines.sku"])).json()
    assert body["documents"] == [{"_id": "a", "_version": 1, "age": 3, "pay": {"month": 5}, "lines": [{"sku": "s"}]}]


async def test_a_field_named_shows_only_in_the_rows_whose_own_rules_show_it(world):
    """Naming fields hides no row that is visible without, and shows no field that is not."""
    await world.add("mine", tags=["x"])
    await world.add("bobs", tags=["y"], status="closed", token=BOB)
    body = (await get(world, "mine", "bobs", fields=["tags"])).json()
    assert [(one["_id"], one.get("tags")) for one in body["documents"]] == [("mine", ["x"]), ("bobs", None)]


@pytest.mark.parametrize("field", ["ssn", "nothing", "pay.secret", "_made", "_made.by", "0", "title.x"])
async def test_a1_a3_a_masked_hidden_or_unknown_field_is_refused_alike(world, field):
    await world.add("a", ssn="123456789")
    answer = await get(world, "a", fields=["title", field])
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "code": "forbidden",
        "message": "unknown or not permitted field",
        "details": {"action": "read", "collection": "notes", "fields": [field]},
    }


async def test_a_role_without_the_action_is_forbidden_whatever_is_asked(world):
    answer = await get(world, "a", token=CLERK)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "notes"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "ids: expected a list"),
        ({"ids": "a"}, "ids: expected a list"),
        ({"ids": []}, "ids: expected at least one"),
        ({"ids": ["a", 5]}, "ids[1]: expected a string"),
        ({"ids": [["a"]]}, "ids[0]: expected a string"),
        ({"ids": [{"$gt": ""}]}, "ids[0]: expected a string"),
        ({"ids": [None]}, "ids[0]: expected a string"),
        ({"ids": [True]}, "ids[0]: expected a string"),
        ({"ids": [""]}, "ids[0]: expected an id of 1 to 1024 characters"),
        ({"ids": ["a\x00"]}, "the body is not to be kept: expected a string without NUL characters"),
        ({"ids": ["a"], "fields": []}, "fields: expected at least one"),
        ({"ids": ["a"], "fields": "title"}, "fields: expected a list"),
        ({"ids": ["a"], "fields": ["title", 1]}, "fields[1]: expected a field such as 'status'"),
        ({"ids": ["a"], "fields": [{"z": "$ssn"}]}, "fields[0]: expected a field such as 'status'"),
        ({"ids": ["a"], "fields": ["$ssn"]}, "fields[0]: expected a field such as 'status'"),
        ({"ids": ["a"], "fields": ["a..b"]}, "fields[0]: expected a field such as 'status'"),
        ({"ids": ["a"], "fields": ["a."]}, "fields[0]: expected a field such as 'status'"),
        ({"ids": ["a"], "field": ["a"]}, "unknown key 'field'; did you mean 'fields'?"),
        ({"ids": ["a"], "filter": {}}, "unknown key 'filter'"),
        ({"ids": ["a"], "projection": {"z": "$ssn"}}, "unknown key 'projection'"),
    ],
    ids=repr,
)
async def test_a_wrong_body_is_told_what_is_wrong_where_and_what_would_be_right(world, body, message):
    answer = await world.post("/notes/batch/get", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(message)


async def test_t22_ids_are_read_by_the_declared_type(world):
    made = (await world.post("/plain", {"name": "n"}, token=BOSS)).json()["_id"]
    for spelled in (made, made.upper(), {"$oid": made}):
        body = (await world.post("/plain/batch/get", {"ids": [spelled]}, token=BOSS)).json()
        assert [one["_id"] for one in body["documents"]] == [made]
    wrong = await world.post("/plain/batch/get", {"ids": [made, "x"]}, token=BOSS)
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (400, "ids[1]: expected 24 hex digits")


async def test_an_id_that_no_url_can_hold_is_reached(world):
    await world.database["notes"].insert_one({"_id": "a/b batch", "tenant_id": "acme", "owner_id": "alice"})
    assert [one["_id"] for one in (await get(world, "a/b batch")).json()["documents"]] == ["a/b batch"]


async def test_t14_more_ids_than_one_batch_holds_are_refused_with_both_numbers(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 3}\n")) as world:
        answer = await get(world, "a", "b", "c", "d")
        assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"max_batch_size": 3, "requested": 4})
