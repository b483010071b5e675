"""`ETag`, `If-None-Match` and `If-Match`: what a caller is shown, hashed; a write only of what was last seen."""

import pytest

from tests.http.harness import a_token

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER = a_token("bob"), a_token("boss", ["boss"]), a_token("vera", ["viewer"])


async def tag(world, path="/notes/a", **more):
    return (await world.get(path, **more)).headers["etag"]


async def test_equal_views_have_equal_tags_and_other_views_others(world):
    await world.add("a", status="closed", ssn="123456789")
    assert await tag(world) == await tag(world)
    assert await tag(world, token=VIEWER) == await tag(world, token=a_token("victor", ["viewer"]))
    assert len({await tag(world), await tag(world, token=VIEWER), await tag(world, token=BOSS)}) == 3


async def test_a_hidden_change_leaves_the_tag(world):
    await world.add("a", status="closed", ssn="123456789")
    before = await tag(world, token=VIEWER)
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"ssn": "987654321"}})
    assert await tag(world, token=VIEWER) == before
    await world.database["notes"].update_one({"_id": "a"}, {"$inc": {"_version": 1}})
    assert await tag(world, token=VIEWER) != before


async def test_a_create_answers_the_tag_that_a_read_answers(world):
    made = await world.post("/notes", {"_id": "a", "title": "n"})
    assert made.headers["etag"] == await tag(world)
    assert made.headers["etag"].startswith('"')


async def test_a_creator_who_may_not_read_gets_no_tag(world):
    made = await world.post("/notes", {"title": "n"}, token=a_token("carl", ["clerk"]))
    assert "etag" not in made.headers


async def test_a_known_view_is_answered_304_without_a_body(world):
    await world.add("a")
    known = await tag(world)
    for sent in (known, f'"x", {known}', f"W/{known}", "*", f'"a,b",{known}'):
        answer = await world.get("/notes/a", headers={"if-none-match": sent})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", known), sent
    answer = await world.get("/notes/a", headers={"if-none-match": '"other"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, known)


async def test_what_is_not_visible_is_404_whatever_is_known(world):
    await world.add("b", token=BOB)
    assert (await world.get("/notes/b", headers={"if-none-match": "*"})).status_code == 404


@pytest.mark.parametrize("sent", ["abc", '"a', "", ",", '"a" "b"', "*, *", 'w/"a"', '"a\tb"'])
async def test_a_condition_that_is_no_list_of_tags_is_refused(world, sent):
    await world.add("a")
    assert (await world.get("/notes/a", headers={"if-none-match": sent})).status_code == 400
    assert (await world.ask("DELETE", "/notes/a", headers={"if-match": sent})).status_code == 400
    assert await world.stored("a") == ["a"]


async def test_a_write_is_made_only_of_what_was_last_seen(world):
    await world.add("a", "b")
    seen = await tag(world)
    await world.database["notes"].update_one({"_id": "a"}, {"$inc": {"_version": 1}})
    for stale in (seen, '"x"', f"W/{await tag(world)}"):
        answer = await world.ask("DELETE", "/notes/a", headers={"if-match": stale})
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    assert await world.stored("a") == ["a"]
    assert await world.database["_pm_versions"].count_documents({}) == 0
    answer = await world.ask("DELETE", "/notes/a", headers={"if-match": f'"x", {await tag(world)}'})
    assert answer.status_code == 200
    assert (await world.ask("DELETE", "/notes/b", headers={"if-match": "*"})).status_code == 200


async def test_a_condition_on_what_is_not_visible_is_told_like_an_absent_document(world):
    await world.add("b", token=BOB)
    answers = [await world.ask("DELETE", f"/notes/{one}", headers={"if-match": '"x"'}) for one in ("b", "c")]
    assert {(one.status_code, one.text) for one in answers} == {(404, answers[0].text)}


@pytest.mark.parametrize(
    ("method", "path", "body", "header"),
    [
        ("POST", "/notes", {"title": "n"}, "if-match"),
        ("POST", "/notes", {"title": "n"}, "if-none-match"),
        ("GET", "/notes/a", None, "if-match"),
        ("GET", "/notes", None, "if-none-match"),
        ("DELETE", "/notes/a", None, "if-none-match"),
        ("DELETE", "/notes/batch", {"ids": ["a"]}, "if-match"),
        ("POST", "/notes/batch/get", {"ids": ["a"]}, "if-match"),
    ],
)
async def test_a_condition_that_a_route_does_not_take_is_refused_and_not_ignored(world, method, path, body, header):
    await world.add("a")
    answer = await world.ask(method, path, body, headers={header: "*"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert await world.stored("a") == ["a"]
