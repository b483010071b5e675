"""Hooks before a write: what they set, bring into form and refuse, by every route alike."""

import pytest

from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
SCHEMA_ = SCHEMA.replace(
    "      email: {type: string, format: email}",
    """      email: {type: string, format: email}
      number: {type: integer, min: 1}
      slug: {type: string, required: true, pattern: '^[a-z0-9-]*$'}
      editor: {type: string}
      seen: {type: date}
      before: {type: string}
      friend: {type: string}
      frozen: {type: boolean}""",
)
HOOKS = """
hooks:
  notes:
    pre_create:
      - {action: set_field, field: number, value: $auto.sequence.notes}
      - {action: set_field, field: slug, value: $new.title}
      - {action: transform, field: slug, with: slug}
      - {action: validate, condition: "resource.title != 'forbidden'", error: not that title}
      - {action: validate_ref, field: friend, collection: notes, error: no such friend}
    pre_update:
      - {action: set_field, field: editor, value: $user.id}
      - {action: set_field, field: seen, value: $now, condition: "has($new.age)"}
      - {action: set_field, field: before, value: $doc.title}
      - {action: transform, field: title, with: trim}
      - {action: validate, condition: "not has(old.frozen) or old.frozen != true", error: locked notes stay}
      - {action: validate_ref, field: friend, collection: notes, error: no such friend}
    pre_delete:
      - {action: validate, condition: "not has($doc.frozen) or $doc.frozen != true", error: frozen notes stay}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA_, POLICY, HOOKS)) as found:
        yield found


async def stored(world, one):
    return await world.database["notes"].find_one({"_id": one})


def code(answer):
    return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]


# -- creating


async def test_a_required_field_that_a_hook_fills_in_need_not_be_sent(world):
    answer = await world.post("/notes", {"_id": "a", "title": "Über Hooks!"})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["slug"], answer.json()["number"]) == ("uber-hooks", 1)


async def test_numbers_go_on_by_tenant_in_singles_and_batches(world):
    await world.add("a")
    await world.add("b", "c", "d")
    await world.add("z", token=a_token("eve", ["user"], "evil"))
    assert [(await stored(world, one))["number"] for one in "abcdz"] == [1, 2, 3, 4, 1]


async def test_what_a_hook_sets_is_no_field_of_the_callers(world):
    """The clerk may send title and status alone, and the hook's fields are stored all the same."""
    clerk = a_token("clara", ["clerk"])
    refused = await world.post("/notes", {"title": "x", "slug": "mine"}, token=clerk)
    assert code(refused)[:2] == (403, "forbidden")
    made = await world.post("/notes", {"_id": "a", "title": "x"}, token=clerk)
    assert made.status_code == 201
    assert (await stored(world, "a"))["slug"] == "x"


async def test_a_hook_that_says_no_is_told_in_its_own_words_by_both_routes(world):
    assert code(await world.post("/notes", {"title": "forbidden"})) == (422, "hook_rejected", "not that title")
    answer = await world.post("/notes/batch", {"documents": [{"title": "forbidden"}, {"title": "x"}], "results": True})
    assert answer.status_code == 207
    assert [one["status"] for one in answer.json()["results"]] == ["hook_rejected", "created"]
    whole = await world.post("/notes/batch", {"documents": [{"title": "x"}, {"title": "forbidden"}], "atomic": True})
    assert whole.status_code == 422
    assert whole.json()["error"]["code"] == "hook_rejected"


async def test_a_reference_of_a_hook_is_one_that_the_writer_can_read(world):
    await world.add("mine")
    await world.add("hers", token=a_token("bob"))
    fine = await world.post("/notes", {"title": "x", "friend": "mine"})
    assert fine.status_code == 201, fine.text
    hidden = await world.post("/notes", {"title": "x", "friend": "hers"})
    absent = await world.post("/notes", {"title": "x", "friend": "none"})
    assert code(hidden) == code(absent) == (422, "hook_rejected", "no such friend")
    batch = await world.post("/notes/batch", {"documents": [{"title": "x", "friend": "none"}, {"title": "y"}]})
    assert (batch.status_code, batch.json()["failed"][0]["error"]["code"]) == (207, "hook_rejected")
    await world.add("a")
    assert code(await world.ask("PATCH", "/notes/a", {"friend": "hers"})) == (422, "hook_rejected", "no such friend")
    assert (await world.ask("PATCH", "/notes/a", {"friend": "mine"})).status_code == 200


async def test_what_hooks_make_is_judged_by_the_schema(world, tmp_path, mongo_uri):
    hooks = "hooks: {notes: {pre_create: [{action: set_field, field: age, value: $user.id}]}}"
    folder = tmp_path / "other"
    folder.mkdir()
    async with a_world(mongo_uri, a_config(folder, hooks=hooks)) as other:
        answer = await other.post("/notes", {"title": "x"})
        assert code(answer)[:2] == (422, "schema_validation")
        assert answer.json()["error"]["details"]["errors"][0]["field"] == "age"


async def test_a_dry_run_draws_no_number(world):
    await world.post("/notes/batch", {"documents": [{"title": "x"}], "dry_run": True})
    await world.add("a")
    assert (await stored(world, "a"))["number"] == 1


# -- updating


@pytest.mark.parametrize("route", ["patch", "put", "batch", "each", "filter"])
async def test_updates_are_hooked_by_every_route(world, route):
    await world.add("a")
    title = " new "
    if route in ("patch", "put"):
        answer = await world.ask("PATCH" if route == "patch" else "PUT", "/notes/a", {"title": title, "age": 3})
    else:
        update = {"$set": {"title": title, "age": 3}}
        body = {
            "batch": {"ids": ["a"], "update": update},
            "each": {"updates": [{"id": "a", "update": update}]},
            "filter": {"filter": {"status": "open"}, "update": update},
        }[route]
        answer = await world.ask("PUT", "/notes/batch", body)
    assert answer.status_code == 200, answer.text
    row = await stored(world, "a")
    assert (row["title"], row["editor"], row["before"]) == ("new", "alice", "note a")
    assert "seen" in row
    await world.add("b", frozen=True)
    locked = await world.ask("PATCH", "/notes/b", {"age": 1})
    assert code(locked) == (422, "hook_rejected", "locked notes stay")


async def test_no_hook_is_asked_of_what_the_caller_may_not_change(world):
    """A stranger to the row hears what it would hear without hooks, and not the hook's words."""
    await world.add("a", frozen=True)
    absent = await world.ask("PATCH", "/notes/none", {"age": 1}, token=a_token("bob"))
    other = await world.ask("PATCH", "/notes/a", {"age": 1}, token=a_token("bob"))
    assert other.content == absent.content
    assert code(await world.ask("PATCH", "/notes/a", {"nothing": 1}))[:2] == (403, "forbidden")


async def test_no_number_is_drawn_for_who_may_not_create_and_no_verdict_told(world):
    clerk = a_token("clara", ["clerk"])
    answer = await world.post("/notes", {"title": "forbidden", "status": "closed"}, token=clerk)
    assert code(answer)[:2] == (403, "forbidden")
    assert await world.database["_pm_sequences"].count_documents({}) == 0
    answer = await world.post("/notes", {"title": "forbidden"}, token=clerk)
    assert code(answer)[:2] == (422, "hook_rejected")


async def test_a_repeated_request_draws_no_number(world):
    for _ in range(2):
        answer = await world.post("/notes", {"_id": "a", "title": "x"}, headers={"idempotency-key": "k"})
        assert (answer.status_code, answer.json()["number"]) == (201, 1)
    assert (await world.database["_pm_sequences"].find_one({}))["last"] == 1


async def test_a_write_that_changes_nothing_is_not_hooked(world):
    await world.add("a")
    answer = await world.ask("PATCH", "/notes/a", {"title": "note a"})
    assert (answer.status_code, answer.json()["_version"]) == (200, 1)


# -- deleting


@pytest.mark.parametrize("route", ["one", "ids", "filter", "purge", "atomic"])
async def test_what_a_hook_holds_is_deleted_by_no_route(world, route):
    """In a batch a hook counts as it does for one document: the rest goes."""
    await world.add("a", frozen=True)
    await world.add("b")
    if route in ("one", "purge"):
        purge = ("POST", "/notes/a/purge", {"reason": "because"})
        answer = await world.ask(*(purge if route == "purge" else ("DELETE", "/notes/a")), token=BOSS)
        assert code(answer) == (422, "hook_rejected", "frozen notes stay")
        return
    body = {"ids": ["a", "b"]} if route != "filter" else {"filter": {"status": "open"}}
    answer = await world.delete("/notes/batch", {**body, **({"atomic": True} if route == "atomic" else {})})
    if route == "atomic":
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "hook_rejected")
        assert await world.stored("a", "b") == ["a", "b"]
        return
    assert (answer.status_code, answer.json()["deleted"]) == (207, 1)
    assert answer.json()["failed"][0]["error"]["message"] == "frozen notes stay"
    assert await world.stored("a", "b") == ["a"]


async def test_a_caller_that_may_not_delete_hears_nothing_of_the_hook(world):
    await world.add("a", frozen=True, status="closed")
    viewer = a_token("vera", ["viewer"])
    assert code(await world.ask("DELETE", "/notes/a", token=viewer))[:2] == (403, "forbidden")
    answer = await world.ask("DELETE", "/notes/a", token=a_token("bob"))
    assert code(answer)[:2] != (422, "hook_rejected")


# -- old states


async def test_a_restore_is_refused_by_hooks_and_changed_by_none(world):
    await world.add("a", age=1)
    await world.ask("PATCH", "/notes/a", {"age": 2})
    before = await stored(world, "a")
    answer = await world.ask("POST", "/notes/a/restore/1")
    assert answer.status_code == 200, answer.text
    row = await stored(world, "a")
    assert (row["age"], "editor" in row, "editor" in before) == (1, False, True)
    locked = await world.ask("PATCH", "/notes/a", {"frozen": True})
    assert locked.status_code == 200, locked.text
    assert code(await world.ask("POST", "/notes/a/restore/1")) == (422, "hook_rejected", "locked notes stay")


async def test_an_undo_asks_the_hooks_of_what_it_does(world):
    await world.add("a")
    changed = await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"$set": {"frozen": True}}})
    assert changed.json()["modified"] == 1, changed.text
    answer = await world.post(f"/notes/batch/{changed.json()['batch']}/undo", {})
    assert answer.json()["failed"][0]["error"]["code"] == "hook_rejected"
