"""`GET /{collection}/{id}/versions/{version}`: one state, as today's rules show that very state."""

import pytest

from tests.http.harness import a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, CLERK, VIEWER, STRANGER, ROOT = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("carl", ["clerk"]),
    a_token("vera", ["viewer"]),
    a_token("eve", ["boss"], "evil"),
    a_token("root", ["root"], None),
)
NO_DOCUMENT = (
    404,
    '{"error":{"code":"document_not_found","message":"no such document in notes","details":{"collection":"notes"}}}',
)
NO_VERSION = (
    404,
    '{"error":{"code":"version_not_found","message":"no such version of this document","details":{"collection":"notes"}}}',
)


async def version(world, number, one="a", **more):
    answer = await world.get(f"/notes/{one}/versions/{number}", **more)
    return answer.status_code, answer.text


async def shown(world, number, **more):
    answer = await world.get(f"/notes/a/versions/{number}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def change(world, *, token=None, **fields):
    answer = await world.ask("PATCH", "/notes/a", fields, token=token, headers={"x-change-reason": "spring"})
    assert answer.status_code == 200, answer.text


async def test_each_state_is_shown_with_the_write_that_made_it(world):
    await world.add("a", age=1)
    await change(world, age=2, tags=["x"])
    old, live = await shown(world, 1), await shown(world, 2)
    assert (old["data"]["age"], "tags" in old["data"], live["data"]["age"]) == (1, False, 2)
    assert set(old) == {"data", "metadata"}
    assert set(old["metadata"]) == {"version", "updated_by", "updated_at", "change_reason"}
    assert (old["metadata"]["version"], old["metadata"]["change_reason"]) == (1, None)
    assert (live["metadata"]["version"], live["metadata"]["updated_by"]) == (2, "alice")
    assert live["metadata"]["change_reason"] == "spring"
    assert live["data"] == (await world.get("/notes/a")).json()


async def test_of_a_deleted_document_its_last_content_and_those_before(world):
    await world.add("a", age=1)
    await change(world, age=2)
    await world.ask("DELETE", "/notes/a")
    assert [(await shown(world, n))["data"]["age"] for n in (1, 2)] == [1, 2]
    assert await version(world, 3) == NO_VERSION


async def test_a_state_is_masked_and_cut_as_the_rules_of_today_say(world):
    await world.add("a", ssn="123456789", status="closed", tags=["x"])
    await change(world, age=2)
    assert (await shown(world, 1))["data"]["ssn"] == "***6789"
    assert set((await shown(world, 1, token=VIEWER))["data"]) == {"_id", "_version", "title", "status"}


async def test_an_absent_and_an_invisible_version_are_told_alike(world):
    """A viewer sees closed notes alone: this one was open before."""
    await world.add("a")
    await change(world, status="closed", token=ROOT)
    assert await version(world, 1, token=VIEWER) == NO_VERSION
    assert await version(world, 7, token=VIEWER) == NO_VERSION
    assert await version(world, 0, token=VIEWER) == NO_VERSION
    assert (await shown(world, 2, token=VIEWER))["data"]["status"] == "closed"


async def test_t35_a_visible_old_state_is_not_shown_while_the_live_document_is_not(world):
    await world.add("a", status="closed")
    await change(world, status="open", token=ROOT)
    for number in (1, 2, 3):
        assert await version(world, number, token=VIEWER) == NO_DOCUMENT
    assert await version(world, 1, "absent", token=VIEWER) == NO_DOCUMENT


async def test_t25_no_state_is_shown_to_another_owner_or_tenant(world):
    await world.add("a")
    await change(world, age=2)
    for token in (BOB, STRANGER):
        for number in (1, 2, 3):
            assert await version(world, number, token=token) == NO_DOCUMENT


async def test_t25_of_an_id_that_two_tenants_had_each_sees_its_own(world):
    await world.add("a", age=1)
    await world.ask("DELETE", "/notes/a")
    await world.add("a", age=5, token=STRANGER)
    assert (await shown(world, 1))["data"]["age"] == 1
    assert (await shown(world, 1, token=STRANGER))["data"]["age"] == 5
    assert (await shown(world, 1, token=ROOT))["data"]["age"] == 5


async def test_a_deleted_document_whose_last_content_is_not_visible_is_absent(world):
    await world.add("a", status="closed")
    await change(world, status="open", token=ROOT)
    await world.ask("DELETE", "/notes/a")
    assert await version(world, 1, token=VIEWER) == NO_DOCUMENT


async def test_a_document_from_before_the_gateway_has_a_version_0(world):
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "owner_id": "alice", "title": "n"})
    await change(world, title="m")
    old = await shown(world, 0)
    assert (old["data"]["title"], old["metadata"]["updated_by"], old["metadata"]["updated_at"]) == ("n", None, None)


@pytest.mark.parametrize("number", ["x", "-1", "01", "1.0", "9" * 16, "%20", "²"])
async def test_what_is_no_number_is_refused(world, number):
    await world.add("a")
    status, text = await version(world, number)
    assert (status, "version" in text) == (400, True)


async def test_a_parameter_is_refused(world):
    await world.add("a")
    assert (await world.get("/notes/a/versions/1?_fields=title")).status_code == 400


async def test_no_mark_is_shown(world):
    await world.add("a")
    assert "_made" not in (await shown(world, 1))["data"]


async def test_a_role_without_the_action_is_forbidden_whatever_is_there(world):
    answer = await world.get("/notes/a/versions/1", token=CLERK)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "notes"})


@pytest.mark.parametrize("path", ["versions/1", "diff/1/2"])
async def test_a_collection_without_versions_says_so(world, path):
    answer = await world.get(f"/plain/{'5' * 24}/{path}", token=BOSS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "versioning_not_enabled")
