"""A write with an `Idempotency-Key` takes effect once; what comes again is told the first answer, by today's rules."""

import asyncio
import json

import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


KEY = {"idempotency-key": "order-17"}
A_NOTE = {"title": "once", "ssn": "123456789"}


def replayed(answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


async def twice(world, method, path, body, **more):
    """The same request two times under one key; the second is a replay of the first."""
    first = await world.ask(method, path, body, headers=KEY, **more)
    second = await world.ask(method, path, body, headers=KEY, **more)
    assert not replayed(first)
    assert replayed(second), second.text
    assert second.status_code == first.status_code
    return first, second


# -- one effect, one answer


async def test_a_create_that_comes_again_is_told_the_first_answer(world):
    first, second = await twice(world, "POST", "/notes", A_NOTE)
    assert first.status_code == 201
    assert (second.json(), second.headers["location"]) == (first.json(), first.headers["location"])
    assert await world.database["notes"].count_documents({}) == 1


async def test_without_a_key_it_happens_twice(world):
    for _ in range(2):
        assert (await world.post("/notes", A_NOTE)).status_code == 201
    assert await world.database["notes"].count_documents({}) == 2


async def test_of_twenty_at_the_same_moment_one_takes_effect(world):
    answers = await asyncio.gather(*(world.post("/notes", A_NOTE, headers=KEY) for _ in range(20)))
    assert await world.database["notes"].count_documents({}) == 1
    assert {one.status_code for one in answers} <= {201, 409}
    assert sum(one.status_code == 201 and not replayed(one) for one in answers) == 1
    assert all(one.headers["retry-after"] == "1" for one in answers if one.status_code == 409)
    assert len({one.text for one in answers if one.status_code == 201}) == 1
    assert await world.database["_pm_idempotency"].count_documents({}) == 1


async def all_at_once(world, method, path, body):
    """Twenty equal requests: one that took effect, replays of it, and those to be asked again."""
    answers = await asyncio.gather(*(world.ask(method, path, body, headers=KEY) for _ in range(20)))
    assert {one.status_code for one in answers} <= {200, 409}, [one.text for one in answers]
    assert sum(one.status_code == 200 and not replayed(one) for one in answers) == 1
    assert len({one.text for one in answers if one.status_code == 200}) == 1
    assert all(one.headers.get("retry-after") == "1" for one in answers if one.status_code == 409)
    return next(one.json() for one in answers if one.status_code == 200)


async def test_of_twenty_deletes_and_undos_at_the_same_moment_one_takes_effect(world):
    """None is told that a document is missing, or a batch unknown, because its own twin took it."""
    for n in range(3):
        ids = [f"{n}-{m}" for m in range(40)]
        await world.add(*ids)
        told = await all_at_once(world, "DELETE", "/notes/batch", {"ids": ids})
        assert (told["deleted"], told["missing"]) == (40, [])
        await world.database["_pm_idempotency"].delete_many({})
        told = await all_at_once(world, "POST", f"/notes/batch/{told['batch']}/undo", {})
        assert (told["restored"], told["failed"]) == (40, [])
        await world.database["_pm_idempotency"].delete_many({})


@pytest.mark.parametrize("options", [{}, {"results": True}, {"atomic": True}])
async def test_of_twenty_batches_at_the_same_moment_one_takes_effect(world, options):
    body = {"documents": [{"_id": f"n{n}", "title": "x"} for n in range(30)], **options}
    answers = await asyncio.gather(*(world.post("/notes/batch", body, headers=KEY) for _ in range(20)))
    assert await world.database["notes"].count_documents({}) == 30
    assert {one.status_code for one in answers} <= {201, 409}
    assert sum(one.status_code == 201 and not replayed(one) for one in answers) == 1
    assert len({one.text for one in answers if one.status_code == 201}) == 1
    assert await world.database["_pm_batches"].count_documents({}) == 1


async def test_a_batch_of_creates_with_failures_is_told_again(world):
    await world.add("taken")
    sent = [{"_id": "a", "title": "x"}, {"_id": "taken", "title": "x"}, {"_id": "b"}, {"_id": "c", "title": "x"}]
    first, second = await twice(world, "POST", "/notes/batch", {"documents": sent, "results": True})
    assert first.status_code == 207
    assert second.json() == first.json()
    assert [one["index"] for one in first.json()["failed"]] == [1, 2]
    assert await world.stored("a", "b", "c") == ["a", "c"]


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/notes/batch"), ("POST", "/notes/batch/delete")])
@pytest.mark.parametrize("results", [False, True])
async def test_a_batch_of_deletes_with_failures_is_told_again(world, method, path, results):
    await world.add("a", "b")
    await world.add("locked", status="locked")
    body = {"ids": ["a", "gone", "locked", "b"], "results": results}
    first, second = await twice(world, method, path, body)
    assert (first.status_code, first.json()["deleted"], first.json()["missing"]) == (207, 2, ["gone"])
    assert second.json() == first.json()


async def test_a_delete_by_filter_is_told_again_and_leaves_what_came_since(world):
    await world.add("a", "b", age=3)
    body = {"filter": {"age": 3}, "results": True}
    first = await world.delete("/notes/batch", body, headers=KEY)
    await world.add("c", age=3)
    second = await world.delete("/notes/batch", body, headers=KEY)
    assert replayed(second)
    assert second.json() == first.json()
    assert await world.stored("a", "b", "c") == ["c"]


async def test_an_undo_is_told_again_and_not_undone(world):
    await world.add("a", "b")
    batch = (await world.delete("/notes/batch", {"ids": ["a", "b"]})).json()["batch"]
    first, second = await twice(world, "POST", f"/notes/batch/{batch}/undo", {"results": True})
    assert (first.status_code, first.json()["restored"]) == (200, 2)
    assert second.json() == first.json()
    assert await world.stored("a", "b") == ["a", "b"]


async def test_an_undo_of_what_was_made_is_told_again(world):
    made = await world.post("/notes/batch", {"documents": [{"_id": "a", "title": "x"}]})
    first, second = await twice(world, "POST", f"/notes/batch/{made.json()['batch']}/undo", {})
    assert (first.json()["restored"], second.json()) == (1, first.json())
    assert await world.stored("a") == []


async def test_a_batch_that_did_nothing_is_told_again(world):
    first, second = await twice(world, "DELETE", "/notes/batch", {"ids": ["a"]})
    assert second.json() == first.json() == {"deleted": 0, "missing": ["a"]}
    body = {"documents": [{"_id": "x"}]}
    failing = [await world.post("/notes/batch", body, headers={"idempotency-key": "other"}) for _ in range(2)]
    assert [one.status_code for one in failing] == [207, 207]
    assert failing[0].json() == failing[1].json()
    assert replayed(failing[1])


async def test_a_write_with_nothing_else_to_commit_takes_effect_once(mongo_uri, tmp_path):
    """Without audit and versions a create is one command; a key makes it a transaction."""
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + "audit: {enabled: false}\n")) as world:
        boss = a_token(roles=("boss",))
        first, second = await twice(world, "POST", "/plain", {"name": "x"}, token=boss)
        assert second.json() == first.json()
        assert await world.database["plain"].count_documents({}) == 1


async def test_several_chunks_are_one_write(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_batch_size: 3}\n")) as world:
        for n in range(3):
            await world.add(f"{n}a", f"{n}b", f"{n}c", age=3)
        first, second = await twice(world, "DELETE", "/notes/batch", {"filter": {"age": 3}})
        assert (first.json()["deleted"], second.json()) == (9, first.json())


async def test_duplicates_taken_out_of_many_parts_are_told_again(world):
    """More than eight duplicates: the batch is halved, and only its last part knows the answer."""
    await world.add(*(f"n{n}" for n in range(0, 60, 4)))
    sent = [{"_id": f"n{n}", "title": "x"} for n in range(60)]
    first, second = await twice(world, "POST", "/notes/batch", {"documents": sent})
    assert (len(first.json()["created"]), len(first.json()["failed"])) == (45, 15)
    assert second.json() == first.json()


async def held_up(world, command, collection, request):
    """The answers to a request that is held up at this command, and to the same one sent meanwhile."""
    space = f"{world.database.name}.{collection}"
    late = {"failCommands": [command], "namespace": space, "blockConnection": True, "blockTimeMS": 1000}
    admin = world.database.client.admin
    await admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=late)
    try:
        first = asyncio.create_task(world.ask(*request, headers=KEY))
        await asyncio.sleep(0.3)
        second = await world.ask(*request, headers=KEY)
        assert not first.done()
        return await first, second
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")


async def test_while_one_is_on_its_way_its_twin_touches_nothing_and_is_told_to_ask_again(world):
    """The key is claimed before any document is written."""
    first, second = await held_up(world, "insert", "notes", ("POST", "/notes", A_NOTE))
    assert (first.status_code, replayed(first)) == (201, False)
    assert (second.status_code, second.headers["retry-after"]) == (409, "1")


@pytest.mark.parametrize("undone", ["create", "delete"])
async def test_a_refusal_that_the_twin_caused_is_not_told(world, undone):
    """One looks for what there is to undo, after its twin has undone it: the batch is not unknown, it is undone."""
    made = await world.post("/notes/batch", {"documents": [{"_id": one, "title": "x"} for one in "ab"]})
    batch = made.json()["batch"]
    if undone == "delete":
        batch = (await world.delete("/notes/batch", {"ids": ["a", "b"]})).json()["batch"]
    first, second = await held_up(world, "find", "_pm_parts", ("POST", f"/notes/batch/{batch}/undo", {}))
    assert (second.status_code, replayed(second), second.json()["restored"]) == (200, False, 2)
    assert (first.status_code, replayed(first), first.json()) == (200, True, second.json())


# -- what a replay shows


async def changed(world, one, **fields):
    """Beside the gateway, as an update of it would."""
    await world.database["notes"].update_one({"_id": one}, {"$set": fields, "$inc": {"_version": 1}})


async def test_no_document_is_kept(world):
    await twice(world, "POST", "/notes", A_NOTE)
    await twice(world, "POST", "/notes/batch", {"documents": [A_NOTE]}, token=a_token("bob"))
    kept = await world.database["_pm_idempotency"].find({}).to_list()
    assert len(kept) == 2
    assert "once" not in str(kept)
    assert "123456789" not in str(kept)


async def test_t35_a_replay_shows_less_to_a_caller_whose_rights_shrank(world):
    """The document left the caller's reach: what was shown at first is not shown again, in any part."""
    first = await world.post("/notes", A_NOTE, headers=KEY)
    one = first.json()["_id"]
    await world.database["notes"].update_one({"_id": one}, {"$set": {"owner_id": "bob"}})
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert (again.status_code, again.json(), replayed(again)) == (201, {"_id": one}, True)


async def test_t35_a_replay_shows_the_fields_of_today(world):
    """Only the viewer's rule speaks for it now, and that rule shows three fields."""
    first = await world.post("/notes", A_NOTE, headers=KEY)
    one = first.json()["_id"]
    assert first.json()["ssn"].endswith("6789")
    await world.database["notes"].update_one({"_id": one}, {"$set": {"owner_id": "bob", "status": "closed"}})
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert again.json() == {"_id": one, "_version": 1, "title": "once", "status": "closed"}


async def test_t35_a_replay_after_a_change_shows_no_later_state(world):
    first = await world.post("/notes", A_NOTE, headers=KEY)
    one = first.json()["_id"]
    await changed(world, one, title="later")
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert (again.status_code, again.json()) == (201, {"_id": one})


async def test_a_replay_after_a_deletion_shows_the_state_that_was_kept(world):
    first = await world.post("/notes", A_NOTE, headers=KEY)
    await world.delete("/notes/batch", {"ids": [first.json()["_id"]]})
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert again.json() == first.json()
    assert await world.database["notes"].count_documents({}) == 0


async def test_t35_a_kept_state_is_shown_only_with_the_one_after_it(world):
    """Created as alice's, given to bob and deleted by bob: alice's own state is not hers to see any more."""
    first = await world.post("/notes", A_NOTE, headers=KEY)
    one = first.json()["_id"]
    await world.database["notes"].update_one({"_id": one}, {"$set": {"owner_id": "bob"}})
    assert (await world.delete("/notes/batch", {"ids": [one]}, token=a_token("bob"))).json()["deleted"] == 1
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert again.json() == {"_id": one}


async def test_t35_a_kept_state_is_shown_only_with_the_present_one(world):
    """The state that alice's write made is hers to see, but the document lives on as bob's."""
    first = await world.post("/notes", A_NOTE, headers=KEY)
    one = first.json()["_id"]
    gone = await world.delete("/notes/batch", {"ids": [one]})
    assert (await world.post(f"/notes/batch/{gone.json()['batch']}/undo", {})).json()["restored"] == 1
    assert (await world.post("/notes", A_NOTE, headers=KEY)).json() == first.json()
    await world.database["notes"].update_one({"_id": one}, {"$set": {"owner_id": "bob"}})
    again = await world.post("/notes", A_NOTE, headers=KEY)
    assert again.json() == {"_id": one}


async def test_who_may_not_read_is_told_the_id_again(world):
    first, second = await twice(world, "POST", "/notes", {"title": "x"}, token=a_token(roles=("clerk",)))
    assert second.json() == first.json()
    assert list(first.json()) == ["_id"]


# -- whose key it is


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"sub": "bob"}, id="another subject"),
        pytest.param({"tenant": "globex"}, id="another tenant"),
    ],
)
async def test_t35_a_stranger_with_the_same_key_is_told_nothing_of_it(world, other):
    """Another subject's and another tenant's key is another key: it does its own write, and replays no other."""
    first = await world.post("/notes", A_NOTE, headers=KEY)
    theirs = await world.post("/notes", A_NOTE, headers=KEY, token=a_token(**other))
    assert (theirs.status_code, replayed(theirs)) == (201, False)
    assert theirs.json()["_id"] != first.json()["_id"]
    refused = await world.post("/notes", {"title": "another"}, headers=KEY, token=a_token("carol"))
    assert refused.status_code == 201, "that a key is in use elsewhere is not told"


async def test_t35_other_roles_are_another_request(world):
    """A token with other roles or claims under the same key: 409, whether they are more or fewer."""
    await world.post("/notes", {"title": "x"}, headers=KEY)
    for token in (a_token(roles=("user", "boss")), a_token(roles=("clerk",)), a_token(department="sales")):
        again = await world.post("/notes", {"title": "x"}, headers=KEY, token=token)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
        assert "retry-after" not in again.headers


async def test_t35_a_caller_without_the_right_gets_the_refusal_of_today(world):
    """Planning comes first: what is refused is refused, though an answer is kept under the key."""
    await world.post("/notes", A_NOTE, headers=KEY)
    again = await world.post("/notes", A_NOTE, headers=KEY, token=a_token(roles=("viewer",)))
    assert again.status_code == 403


async def test_a_renewed_token_is_the_same_caller(world):
    body, old = {"title": "x"}, a_token(jti="1", iat=1, nbf=1)
    first = await world.post("/notes", body, headers=KEY, token=old)
    again = await world.post("/notes", body, headers=KEY, token=a_token(jti="2", iat=2, nbf=2))
    assert replayed(again)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    ("method", "path", "body", "more"),
    [
        pytest.param("POST", "/notes", {**A_NOTE, "age": 1}, {}, id="body"),
        pytest.param("POST", "/notes/batch", {"documents": [A_NOTE]}, {}, id="path"),
        pytest.param("DELETE", "/notes/batch", {"ids": ["x"]}, {}, id="method"),
        pytest.param("POST", "/notes", A_NOTE, {"x-change-reason": "why"}, id="reason"),
    ],
)
async def test_another_request_under_the_key_is_a_conflict(world, method, path, body, more):
    await world.post("/notes", A_NOTE, headers=KEY)
    again = await world.ask(method, path, body, headers={**KEY, **more})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert await world.database["notes"].count_documents({}) == 1


async def test_a_refused_write_leaves_its_key_free(world):
    await world.add("taken")
    for body in ({"title": "x" * 51}, {"_id": "taken", "title": "x"}):
        assert (await world.post("/notes", body, headers=KEY)).status_code in (409, 422)
    whole = {"documents": [{"_id": "taken", "title": "x"}], "atomic": True}
    assert (await world.post("/notes/batch", whole, headers=KEY)).status_code == 409
    assert (await world.delete("/notes/batch", {"ids": ["no"], "atomic": True}, headers=KEY)).status_code == 404
    assert (await world.post(f"/notes/batch/{'0' * 32}/undo", {}, headers=KEY)).status_code == 404
    assert await world.database["_pm_idempotency"].count_documents({}) == 0
    assert (await world.post("/notes", A_NOTE, headers=KEY)).status_code == 201


async def test_a_rehearsal_takes_no_key(world):
    body = {"documents": [{"_id": "a", "title": "x"}]}
    for _ in range(2):
        assert not replayed(await world.post("/notes/batch", {**body, "dry_run": True}, headers=KEY))
    assert await world.database["_pm_idempotency"].count_documents({}) == 0
    assert (await world.post("/notes/batch", body, headers=KEY)).json()["created"] == ["a"]


# -- one on its way, and one that never ended


async def left_running(world, **change):
    """As a gateway leaves it that is in the middle of a batch, or ended there."""
    await world.database["_pm_idempotency"].update_one({}, {"$set": {"running": True}, **change})


async def test_one_still_running_is_to_be_asked_again(world):
    await world.add("a", "b")
    body = {"ids": ["a", "b"]}
    await world.delete("/notes/batch", body, headers=KEY)
    await left_running(world, **{"$currentDate": {"moved": True}})
    again = await world.delete("/notes/batch", body, headers=KEY)
    assert (again.status_code, again.headers["retry-after"]) == (409, "1")


async def test_one_that_was_interrupted_tells_how_far_it_came(world):
    await world.add("a", "b")
    body = {"ids": ["a", "b", "c"]}
    first = (await world.delete("/notes/batch", body, headers=KEY)).json()
    moved = (await world.database["_pm_idempotency"].find_one())["moved"]
    await left_running(world, **{"$unset": {}, "$set": {"running": True, "moved": moved.replace(year=2024)}})
    again = await world.delete("/notes/batch", body, headers=KEY)
    told = again.json()
    assert (again.status_code, told["deleted"], told["error"]["code"]) == (207, 2, "partial")
    assert (told["batch"], told["missing"]) == (first["batch"], [])


# -- the header


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "caf\u00e9", "a\tb"])
async def test_a_key_is_visible_ascii(world, key):
    answer = await world.post("/notes", A_NOTE, headers={"idempotency-key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert await world.database["notes"].count_documents({}) == 0


@pytest.mark.parametrize("key", ["x", "!~" * 127 + "z"])
async def test_a_key_has_1_to_255_characters(world, key):
    assert (await world.post("/notes", A_NOTE, headers={"idempotency-key": key})).status_code == 201


async def test_two_keys_are_none(world):
    headers = [("authorization", f"Bearer {a_token()}"), ("idempotency-key", "a"), ("idempotency-key", "a")]
    answer = await world.client.post("/notes", json=A_NOTE, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/notes", None),
        ("GET", "/notes/a", None),
        ("GET", "/notes/deleted", None),
        ("GET", "/notes/a/versions", None),
        ("POST", "/notes/batch/get", {"ids": ["a"]}),
    ],
)
async def test_a_key_on_what_writes_nothing_is_refused(world, method, path, body):
    await world.add("a")
    answer = await world.ask(method, path, body, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_keys_are_kept_for_a_day(world):
    indexes = {one["name"]: one async for one in await world.database["_pm_idempotency"].list_indexes()}
    assert indexes["keys"]["unique"]
    assert indexes["ttl"]["expireAfterSeconds"] == 24 * 3600


async def test_no_odd_text_in_what_is_kept_is_our_failure(world):
    """What is refused of an item is kept with it: names and values that BSON does not take must not get there."""
    odd = ["\x00", "\ud800", "$a", "a.b", "x" * 5000, ""]
    for n, name in enumerate(odd):
        text = json.dumps({"documents": [{"title": "x", name: 1}, {"title": {name: 2**70}}], "results": True})
        headers = {"idempotency-key": f"odd-{n}", "content-type": "application/json"}
        answer = await world.ask("POST", "/notes/batch", content=text.encode(), headers=headers)
        again = await world.ask("POST", "/notes/batch", content=text.encode(), headers=headers)
        assert answer.status_code in (207, 400)
        assert (again.status_code, again.text) == (answer.status_code, answer.text)
