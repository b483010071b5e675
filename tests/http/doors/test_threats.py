"""The threats to requests and documents, T8 to T25, tried at every door in its own words."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from permission_mongo.api.doors import DOORS
from tests.http.doors.words import EVERY, POLICY, TEXTS, WORDS, Body, Route
from tests.http.harness import World, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS, BOB, VIEWER = a_token("boss", ["boss"]), a_token("bob"), a_token("vera", ["viewer"])
STRANGER = a_token("alice", ["boss"], "evil")  # called like the caller: nothing but the tenant hides what is hers
every_door = pytest.mark.parametrize("door", WORDS)


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, EVERY, TEXTS, POLICY)) as found:
        yield found


def test_every_door_has_its_words():
    assert set(WORDS) == set(DOORS)


async def ask(world: World, route: Route, body: Body | bytes | Any, token: str | None = None, **more: Any):
    content = body if not isinstance(body, dict) else json.dumps(body).encode()
    return await world.ask(*route, content=content, token=token, **more)


async def ask_of(world: World, door: str, place: str, one: Any, token: str | None = None):
    """About the document of an id. None where no path can say such an id."""
    (method, path), body = WORDS[door].one[place]
    if "ID" in path and not (isinstance(one, str) and one):
        return None
    return await ask(world, (method, path.replace("ID", str(one))), body(one), token)


async def kept(world: World) -> list:
    """All that is stored of documents, of versions and of batches."""
    return [
        await world.database[name].find().sort("_id").to_list() for name in ("notes", "_pm_versions", "_pm_batches")
    ]


@asynccontextmanager
async def refusing(world: World, door: str) -> AsyncIterator[Callable[..., Any]]:
    """Requests that must be refused in the door's words; at the end everything must be as it was."""
    before = await kept(world)

    async def refused(route: Route, body: Any, statuses: Iterable[int] = (400,), token: str | None = BOSS, **more: Any):
        answer = await ask(world, route, body, token, **more)
        if answer.status_code != 200 or not WORDS[door].undone(answer.json()):
            assert answer.status_code in statuses, (route, str(body)[:120], answer.text)
            assert set(answer.json()) <= WORDS[door].keys
        return answer

    yield refused
    assert await kept(world) == before


# -- T8 to T10, T13, T14: what is asked


@every_door
async def test_t8_t9_an_operator_at_the_top_of_a_body_is_refused(world, door):
    await world.add("a", token=BOSS)
    async with refusing(world, door) as refused:
        for route, right in WORDS[door].right.items():
            for operator in ("$where", "$expr", "$out", "$set", "$ne", "$setOnInsert"):
                await refused(route, {operator: {"a": 1}, **right})
                await refused(route, {operator: "1"})


@every_door
async def test_t8_t9_t14_a_hostile_or_too_large_filter_is_refused_by_every_route_that_takes_one(world, door):
    await world.add("a", token=BOSS)
    async with refusing(world, door) as refused:
        words = WORDS[door]
        for n, (route, body) in enumerate(words.filters.items()):
            for asked in words.hostile[n % 4 :: 4] if n > 1 else words.hostile:
                await refused(route, body(asked))
            for asked in words.larger:
                await refused(route, body(asked), (400, 413))


@every_door
async def test_t9_t10_t14_what_no_route_takes_is_refused(world, door):
    """Computed projections, stages that write, sorts that are none, and more than there may be."""
    await world.add("a", token=BOSS)
    async with refusing(world, door) as refused:
        for route, body in WORDS[door].odd:
            await refused(route, body, (400, 404, 413))


@every_door
async def test_t13_a_pattern_that_can_backtrack_is_refused_in_no_time(world, door):
    words = WORDS[door]
    if words.patterns is None:
        assert not words.filters
        return
    await world.add("a", title="x" * 40 + "!")
    started = time.perf_counter()
    async with refusing(world, door) as refused:
        for route, body in words.filters.items():
            for pattern in ("^(a+)+$", "(x|x)*y", "(.*)*$", "x{1,1000}y", "[a-z]+", "\\d"):
                await refused(route, body(words.patterns(pattern)))
        assert time.perf_counter() - started < 5


# -- T11: hidden fields


@every_door
async def test_t11_a_hidden_a_masked_and_an_unknown_field_are_refused_alike_wherever_they_are_named(world, door):
    """Whatever stands there: before and after it is another."""
    words = WORDS[door]
    await world.add("a", token=BOSS, pay={"month": 1.0}, ssn="1")
    await world.database["notes"].update_one({}, {"$set": {"owner_id": "alice"}})
    for place, (route, body) in words.named.items():
        told = set()
        for value in ({"month": 1.0}, 1, None):
            await world.database["notes"].update_one({}, {"$set": {"pay": value, "ssn": value}})
            for field in ("pay", "pay.month", "ssn", "nothing", "_made"):
                answer = await ask(world, route, body(field))
                assert answer.status_code == 403, (place, field, answer.text)
                told.add(answer.text.replace(f'"{field}"', '"FIELD"'))
        assert len(told) == 1, (place, told)


@every_door
async def test_t11_what_is_hidden_or_masked_is_in_no_answer(world, door):
    words = WORDS[door]
    await world.add("a", status="closed", ssn="123-45-6789")
    await world.database["notes"].update_one({}, {"$set": {"pay": {"month": 777777}}})
    for token in (None, VIEWER):
        for route, body in words.right.items():
            if route not in words.deletes:
                answer = await ask(world, route, body, token=token)
                assert "777777" not in answer.text, route
                assert "123-45" not in answer.text, route


# -- T12


@every_door
async def test_t12_whatever_is_asked_is_within_the_policy(world, door):
    """Each way to say "everything", of a caller who reads closed notes of others and all own ones."""
    words, mine = WORDS[door], {"own-open", "own-closed", "own-locked", "bob-closed"}
    for status in ("open", "closed", "locked"):
        await world.add(f"own-{status}", status=status)
        await world.add(f"bob-{status}", status=status, token=BOB)
        await world.add(f"evil-{status}", status=status, token=STRANGER)
    others = {"_id": {"$nin": ["own-open", "own-closed", "own-locked"]}, "owner_id": {"$ne": "alice"}}
    others = {"$or": [others, {"tenant_id": "evil"}]}
    before = await world.database["notes"].find(others).sort("_id").to_list()
    for asked in words.everything:
        for route, body in words.filters.items():
            if route in words.deletes:
                continue
            answer = await ask(world, route, body(asked))
            assert answer.status_code in (200, 400, 403), (route, asked, answer.text)
            assert {*words.shown(answer.json())} <= mine, (route, asked)
    for route in words.deletes & set(words.filters):
        for asked in words.everything:
            await ask(world, route, words.filters[route](asked))
    every = [f"{who}-{status}" for who in ("own", "bob", "evil") for status in ("open", "closed", "locked")]
    for place in words.one:
        for one in every:
            answer = await ask_of(world, door, place, one)
            assert answer.status_code < 500
            if answer.status_code == 200:
                assert {*words.shown(answer.json())} <= mine, place
    assert await world.database["notes"].find(others).sort("_id").to_list() == before
    assert await world.stored("own-locked") == ["own-locked"]  # a rule keeps it


# -- T15, T16


async def test_t15_a_server_that_hangs_is_told_in_time(mongo_uri, tmp_path):
    """By every door at once."""
    config = a_config(tmp_path, f"{EVERY}limits: {{query_timeout: 150ms}}\n", TEXTS, POLICY)
    blocked = {
        "failCommands": ["find", "aggregate"], "blockConnection": True, "blockTimeMS": 600, "appName": "permission-mongo",
    }  # fmt: skip
    async with a_kept_world(mongo_uri, config) as world:
        await world.add("a", token=BOSS)
        admin = world.database.client.admin
        await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": blocked})
        try:
            for door, words in WORDS.items():
                started = time.perf_counter()
                asked = (ask_of(world, door, place, "a", token=BOSS) for place in words.one)
                answers = [one for one in await asyncio.gather(*asked) if one.status_code not in (400, 403)]
                assert time.perf_counter() - started < 5
                assert {one.status_code for one in answers} <= {503, 504}, [one.text for one in answers]
                assert answers
                assert all(set(one.json()) <= words.keys for one in answers)
        finally:
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            await asyncio.sleep(0.7)
        assert [row["title"] for row in await world.database["notes"].find().to_list()] == ["note a"]


@every_door
async def test_t16_an_answer_is_bounded_by_its_bytes(mongo_uri, tmp_path, door):
    config = a_config(tmp_path, f"{EVERY}limits: {{max_result_bytes: 20000}}\n", TEXTS, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await world.add(*"abcd", token=BOSS, text="x" * 15_000)
        words = WORDS[door]
        for route, body in words.right.items():
            if route not in words.deletes:
                answer = await ask(world, route, body, token=BOSS)
                assert answer.status_code in (200, 201, 202, 403, 409, 413), answer.text
                assert len(answer.content) < 2 * 20_000


# -- T17 to T20: JSON


def bodies_of(door: str) -> Iterable[tuple[Route, bytes]]:
    return [(route, json.dumps(right).encode()) for route, right in WORDS[door].right.items()]


@every_door
async def test_t17_a_key_given_twice_is_refused_at_every_route(world, door):
    async with refusing(world, door) as refused:
        for route, right in bodies_of(door):
            for content in (
                b'{"title": "a", "title": "b"}',
                b'{"x": {"y": [{"z": 1, "z": 2}]}}',
                b'{"a": 1, "\\u0061": 2}',
                right[:-1] + b", " + right[1:],
            ):
                told = await refused(route, content)
                assert "uplicate" in told.text, told.text


UNKEPT = (b"NaN", b"Infinity", b"-Infinity", b"01", b'"\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b'"a\x00b"', b'"\xc0\xaf"', b"18446744073709551616", b"9223372036854775808", b"1e400", b"1" * 400, b'"a\\u0000b"')  # fmt: skip


@every_door
async def test_t18_t20_what_can_not_be_kept_is_refused_at_every_route(world, door):
    async with refusing(world, door) as refused:
        for route, right in bodies_of(door):
            await refused(route, b"\xef\xbb\xbf" + right)
            for value in UNKEPT:
                await refused(route, right[:-1] + b', "x": ' + value + b"}")
            for key in (b'"a\\u0000b"', b'"\\u0000"', b'"$\\u0000"'):
                await refused(route, right[:-1] + b", " + key + b": 1}")


@every_door
async def test_t18_t20_nor_is_it_stored_inside_a_document(world, door):
    await world.add("a", token=BOSS)
    async with refusing(world, door) as refused:
        for route, body in WORDS[door].written.values():
            whole = json.dumps(body("text", "VALUE")).encode()
            for value in (b"18446744073709551616", b"1e400", b'"a\\u0000b"', b'"\\ud800"', b"NaN"):
                if b'"VALUE"' in whole:
                    await refused(route, whole.replace(b'"VALUE"', value))


@every_door
async def test_t19_absurd_depth_is_refused_at_every_route(world, door):
    async with refusing(world, door) as refused:
        for route, right in bodies_of(door):
            for value in (b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 200 + b"]" * 200, b'{"a":' * 100_000):
                await refused(route, right[:-1] + b', "x": ' + value + b"}")


# -- T21, T22, T24: names and ids


@every_door
async def test_t21_a_name_no_path_can_address_is_stored_by_no_route(world, door):
    await world.add("a", token=BOSS)
    async with refusing(world, door) as refused:
        for route, body in WORDS[door].written.values():
            for name in ("", "$x", "a..b", "7.x"):
                await refused(route, body(name, 1), (400, 403, 422))
                inside = body("lines", [{name: 1}])
                if [{name: 1}] in _values(inside):
                    await refused(route, inside, (400, 403, 422))


def _values(found: Any) -> list:
    """Every value inside."""
    inner = [*found.values()] if isinstance(found, dict) else found if isinstance(found, list) else []
    return [*inner, *(one for value in inner for one in _values(value))]


IDS = (None, True, 5.5, ["a"], {"$ne": 1}, {"$gt": ""}, {"$regex": "."}, {"$oid": "65f000000000000000000000"}, {"a": 1}, "x" * 1025, "")  # fmt: skip


@every_door
async def test_t22_an_id_of_another_type_names_no_document_by_any_route(world, door):
    """A condition on ids is one where filters are taken; it is no id."""
    words = WORDS[door]
    await world.add("a", token=BOSS)
    before = await kept(world)
    for place, (route, _) in words.one.items():
        for one in IDS:
            if route in words.filters and isinstance(one, dict) and next(iter(one)) in ("$ne", "$gt", "$regex"):
                continue
            answer = await ask_of(world, door, place, one, token=BOSS)
            if answer is None:
                continue
            assert answer.status_code in (200, 400, 403, 404), (place, one, answer.text)
            assert answer.status_code != 200 or not [*words.shown(answer.json())], (place, one, answer.text)
    for place, (route, body) in words.written.items():
        for one in IDS:
            if place.split()[-1] != "filter":
                answer = await ask(world, route, body("_id", one), token=BOSS)
                undone = answer.status_code == 200 and words.undone(answer.json())
                assert undone or answer.status_code in (400, 403, 422), (place, one, answer.text)
    assert (await kept(world))[0] == before[0]


# -- T23: sizes


@every_door
async def test_t23_a_body_that_is_too_large_or_lies_is_refused_at_every_route(mongo_uri, tmp_path, door):
    config = a_config(tmp_path, f"{EVERY}limits: {{max_body_bytes: 1000}}\n", TEXTS, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await world.add("a", token=BOSS)
        async with refusing(world, door) as refused:
            for route, content in bodies_of(door):
                large = content + b" " * 2000

                async def parts(large=large):
                    for n in range(0, len(large), 100):
                        yield large[n : n + 100]

                for sent, headers in (
                    (large, {}), (parts(), {}), (large, {"content-length": "5"}), (content, {"content-length": "99999999999"}),
                ):  # fmt: skip
                    answer = await refused(route, sent, (413,), headers=headers)
                    assert '"details":{"max_body_bytes":1000}' in answer.text
                for encoding in ("gzip", "deflate", "br", "gzip, identity", "x"):
                    await refused(route, content, (415,), headers={"content-encoding": encoding})


STAMPS = ("tenant_id", "owner_id", "_version", "_made", "created_by", "created_at", "updated_at", "updated_by", "photo")


@every_door
async def test_t24_what_the_gateway_writes_is_the_callers_by_no_route(world, door):
    """By none of its operators, and by an upsert neither of what is set nor of what its filter says. Nor are bytes."""
    await world.add("a")
    async with refusing(world, door) as refused:
        for place, (route, body) in WORDS[door].written.items():
            for field in STAMPS:
                for name in (field, f"{field}.x", f"{field}.0") if "$" in place else (field,):
                    await refused(route, body(name, "evil"), (400, 403, 422), token=None)


# -- T25: another tenant's id, another owner's, a deleted one of either, and none

HIDDEN = ("x1", "x2", "x3", "x4", "x5")


@every_door
async def test_t25_another_tenants_id_is_told_like_none_by_every_route(world, door):
    await world.add("a")
    for ids, token in ((("x1", "x3"), STRANGER), (("x2", "x4"), BOB)):
        await world.add(*ids, token=token, age=3)
        await world.delete("/notes/batch", {"ids": [ids[1]]}, token=token)
    before = await kept(world)
    for place in WORDS[door].one:
        told = set()
        for one in HIDDEN:
            answer = await ask_of(world, door, place, one)
            headers = sorted((name, value) for name, value in answer.headers.items() if name != "x-request-id")
            told.add((answer.status_code, tuple(headers), answer.text.replace(one, "ID")))
        assert len(told) == 1, (place, told)
    assert await kept(world) == before


@every_door
async def test_t25_a_taken_id_is_told_alike_whosever_it_is(world, door):
    """The one thing that is told: that it is taken. Not by whom, and nothing of what is there."""
    for one, token in (("x1", STRANGER), ("x2", BOB), ("x3", BOSS)):
        await world.add(one, token=token, age=3)
    before = await kept(world)
    for route, body in WORDS[door].creates:
        answers = [await ask(world, route, body(one)) for one in ("x1", "x2", "x3")]
        assert {one.status_code for one in answers} == {409}, [one.text for one in answers]
        assert len({one.text for one in answers}) == 1, route
    assert WORDS[door].creates
    assert await kept(world) == before
