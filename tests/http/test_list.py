"""`GET /{collection}`: pages of what is within reach, by key, with cursors that serve one caller and one question."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOB, BOSS, CLERK = a_token("bob"), a_token("boss", ["boss"]), a_token("carl", ["clerk"])
ROOT, STRANGER = a_token("root", ["root"], None), a_token("eve", ["boss"], "evil")


def ids(answer):
    return [one["_id"] for one in answer.json()["data"]]


async def pages(world, path, **more):
    """The ids of all pages, one list each."""
    found, cursor = [], None
    while not found or cursor is not None:
        answer = await world.get(path if cursor is None else f"{path}&_cursor={cursor}", **more)
        assert answer.status_code == 200, answer.text
        found.append(ids(answer))
        cursor = answer.json()["pagination"]["cursor"]
        assert (cursor is not None) == answer.json()["pagination"]["has_more"]
    return found


async def test_a_list_holds_what_is_within_reach_and_nothing_else(world):
    await world.add("a", "c")
    await world.add("b", token=BOB)
    await world.add("d", token=STRANGER)
    await world.add("e", token=BOB, status="closed")
    answer = await world.get("/notes")
    assert (answer.status_code, ids(answer)) == (200, ["a", "c", "e"])
    assert answer.json()["pagination"] == {"cursor": None, "has_more": False}


async def test_each_row_is_shown_by_the_grants_that_hold_on_it(world):
    await world.add("a", tags=["x"], ssn="123456789")
    await world.add("b", token=BOB, status="closed", tags=["y"], ssn="123456789")
    mine, bobs = (await world.get("/notes")).json()["data"]
    assert (mine["tags"], mine["ssn"]) == (["x"], "***6789")
    assert set(bobs) == {"_id", "_version", "title", "status"}


async def test_pages_together_are_the_list_each_row_once(world):
    await world.add(*[f"n{n:02}" for n in range(11)])
    await world.add(*[f"m{n:02}" for n in range(5)], token=BOB)
    found = await pages(world, "/notes?_limit=4")
    assert [len(page) for page in found] == [4, 4, 3]
    assert [one for page in found for one in page] == [f"n{n:02}" for n in range(11)]


async def test_a_page_of_exactly_the_limit_is_the_last(world):
    await world.add("a", "b")
    assert await pages(world, "/notes?_limit=2") == [["a", "b"]]
    assert await pages(world, "/notes?_limit=1") == [["a"], ["b"]]


async def test_pages_go_on_where_they_ended_though_that_row_is_gone(world):
    await world.add("a", "b", "c", "d")
    first = await world.get("/notes?_limit=2")
    await world.delete("/notes/batch", {"ids": ["a", "b"]})
    rest = await world.get(f"/notes?_limit=2&_cursor={first.json()['pagination']['cursor']}")
    assert ids(rest) == ["c", "d"]


async def test_pages_of_a_cross_tenant_role_go_through_all_tenants(world):
    await world.add("a", "d", token=BOB)
    await world.add("b", "c", token=STRANGER)
    assert await pages(world, "/notes?_limit=3", token=ROOT) == [["a", "b", "c"], ["d"]]


async def test_pages_go_through_a_collection_without_tenants(world):
    for n in range(3):
        await world.post("/plain", {"name": f"n{n}"}, token=BOSS)
    assert [len(page) for page in await pages(world, "/plain?_limit=2", token=BOSS)] == [2, 1]


async def test_a_filter_holds_on_every_page(world):
    await world.add("a", "c", "e", age=1)
    await world.add("b", "d", age=2)
    assert await pages(world, "/notes?age=1&_limit=2") == [["a", "c"], ["e"]]


async def test_the_limit_is_twenty_by_default_and_capped_by_the_configuration(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_result_size: 25}\n")) as world:
        await world.add(*[f"n{n:02}" for n in range(30)])
        assert [len(ids(await world.get(path))) for path in ("/notes", "/notes?_limit=1000", "/notes?_limit=1")] == [
            20,
            25,
            1,
        ]


@pytest.mark.parametrize("wrong", ["0", "-1", "a", "1.5", "", "1e3", "99999999999999999999", "٣", "+1", " 1"])
async def test_t14_a_limit_that_is_none_is_refused(world, wrong):
    answer = await world.get("/notes", params={"_limit": wrong})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("_limit: expected a whole number from 1 to ")


@pytest.mark.parametrize("name", ["_skip", "_search", "_q", "_", "_Limit", "_where", "_lookup"])
async def test_a5_a7_an_unknown_parameter_is_refused_by_name_never_dropped(world, name):
    await world.add("a")
    answer = await world.get("/notes", params={name: "title"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert f"'{name}'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "name",
    ["where[ssn]", "where[ssn][$gt]", "filters[ssn][$startsWith]", "age[$ne]", "$where", "age.$gt", "$or[0][age]"],
)
async def test_a7_t8_operators_in_a_parameters_name_are_refused(world, name):
    answer = await world.get("/notes", params={name: "1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(name)


@pytest.mark.parametrize("name", ["lookup", "where", "populate", "ssn", "nothing", "pay.secret"])
async def test_a1_a7_a_parameter_that_names_no_readable_field_is_forbidden(world, name):
    answer = await world.get("/notes", params={name: "x"})
    assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (403, [name])


async def test_t8_a_parameter_given_twice_is_never_overridden(world):
    await world.add("a", age=1)
    assert ids(await world.get("/notes?age=1&age=2")) == []
    assert (await world.get("/notes?_limit=1&_limit=5")).status_code == 400
    assert (await world.get('/notes?_filter={"age":1}&_filter={}')).status_code == 400


async def test_a_role_without_the_action_is_forbidden_whatever_is_asked(world):
    answer = await world.get("/notes?nothing=1", token=CLERK)
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "notes"})


# -- cursors


async def a_cursor(world, path="/notes?_limit=2", **more):
    """The cursor behind the first page."""
    answer = await world.get(path, **more)
    return answer.json()["pagination"]["cursor"]


async def test_t27_a_cursor_with_any_sign_changed_is_refused(world):
    await world.add("a", "b", "c")
    cursor = await a_cursor(world)
    assert (await world.get(f"/notes?_limit=2&_cursor={cursor}")).status_code == 200
    for place in range(len(cursor)):
        for other in ("A", "B", "_"):
            forged = cursor[:place] + other + cursor[place + 1 :]
            if forged != cursor:
                assert (await world.get(f"/notes?_limit=2&_cursor={forged}")).status_code == 400, place


@pytest.mark.parametrize("wrong", ["", "x", "AAAA", "ä", "====", "a" * 5000, '{"_id":"a"}', "\x00"])
async def test_t27_what_is_no_cursor_is_refused_and_never_an_error_of_ours(world, wrong):
    answer = await world.get("/notes", params={"_cursor": wrong})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "the cursor is not valid here; begin again without one",
    )


async def test_t27_a_cursor_serves_one_caller(world):
    await world.add("a", "b", "c", status="closed")
    cursor = await a_cursor(world)
    others = (BOB, BOSS, STRANGER, a_token("alice", ["boss"], "evil"), a_token("alice", ["root"], None))
    answers = [await world.get(f"/notes?_limit=2&_cursor={cursor}", token=one) for one in others]
    assert [one.status_code for one in answers] == [400] * len(others)


async def test_t27_a_cursor_serves_one_question(world):
    await world.add("a", "b", "c", age=1)
    cursor = await a_cursor(world, "/notes?age=1&_limit=2")
    asked = ("/notes?", "/notes?age=2&", "/notes?age=1&title=note%20c&", "/notes/deleted?", "/plain?")
    answers = [await world.get(f"{path}_cursor={cursor}", token=a_token(roles=["boss"])) for path in asked]
    assert [one.status_code for one in answers] == [400] * len(asked)
    assert ids(await world.get(f"/notes?age=1&_cursor={cursor}", token=a_token(roles=["boss"]))) == ["c"]


async def test_t27_a_cursor_of_the_deleted_list_serves_no_live_one(world):
    await world.add("a", "b", "c")
    await world.delete("/notes/batch", {"ids": ["a", "b"]})
    cursor = await a_cursor(world, "/notes/deleted?_limit=1")
    assert (await world.get(f"/notes?_cursor={cursor}")).status_code == 400
    assert ids(await world.get(f"/notes/deleted?_limit=1&_cursor={cursor}")) == ["b"]


async def test_t27_a_cursor_is_good_for_a_day(world):
    await world.add("a", "b", "c")
    cursor, now = await a_cursor(world), world.gateway.clock()
    for hours, status in ((23, 200), (25, 400)):
        world.app.state.gateway = replace(world.gateway, clock=lambda hours=hours: now + timedelta(hours=hours))
        assert (await world.get(f"/notes?_limit=2&_cursor={cursor}")).status_code == status


async def test_t27_rights_that_shrank_count_on_the_next_page(world):
    await world.add("a", "b", "c")
    await world.add("d", status="closed")
    cursor = await a_cursor(world)
    rest = await world.get(f"/notes?_limit=2&_cursor={cursor}", token=a_token(roles=["viewer"]))
    assert rest.json()["data"] == [{"_id": "d", "_version": 1, "title": "note d", "status": "closed"}]


async def test_a_cursor_of_another_gateway_of_the_same_database_is_taken(mongo_uri, tmp_path):
    config = a_config(tmp_path)
    async with a_world(mongo_uri, config) as one:
        await one.add("a", "b", "c")
        cursor = await a_cursor(one)
        async with a_world(mongo_uri, config) as other:
            assert ids(await other.get(f"/notes?_limit=2&_cursor={cursor}")) == ["c"]
