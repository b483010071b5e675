"""`GET /{collection}/{id}/diff/{from}/{to}`: what two states show raw, and not the same."""

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOSS, VIEWER, STRANGER, ROOT = (
    a_token("boss", ["boss"]),
    a_token("vera", ["viewer"]),
    a_token("eve", ["boss"], "evil"),
    a_token("root", ["root"], None),
)
STAMPS = ("updated_at", "updated_by")


async def diff(world, one, other, **more):
    answer = await world.get(f"/notes/a/diff/{one}/{other}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def changes(world, one, other, **more):
    return [item for item in (await diff(world, one, other, **more))["changes"] if item["field"] not in STAMPS]


async def change(world, fields, **more):
    answer = await world.ask("PATCH", "/notes/a", fields, **more)
    assert answer.status_code == 200, answer.text


async def test_added_removed_and_changed_are_told_apart_by_path(world):
    await world.add("a", age=1, tags=["x", "y"], pay={"month": 1}, lines=[{"sku": "p", "quantity": 1}], token=BOSS)
    await change(world, {"age": None, "tags": ["x", "z", "w"], "pay": {"bonus": 2}, "status": "closed"}, token=ROOT)
    found = await diff(world, 1, 2, token=BOSS)
    assert (found["from_version"], found["to_version"]) == (1, 2)
    assert await changes(world, 1, 2, token=BOSS) == [
        {"field": "age", "op": "remove", "from": 1},
        {"field": "pay.bonus", "op": "add", "to": 2},
        {"field": "status", "op": "change", "from": "open", "to": "closed"},
        {"field": "tags.1", "op": "change", "from": "y", "to": "z"},
        {"field": "tags.2", "op": "add", "to": "w"},
    ]


async def test_the_other_way_round_is_the_other_way_round(world):
    await world.add("a", age=1)
    await change(world, {"tags": ["x"]})
    assert await changes(world, 2, 1) == [{"field": "tags", "op": "remove", "from": ["x"]}]
    assert await changes(world, 2, 2) == []


async def test_the_numbers_and_the_mark_are_never_named(world):
    await world.add("a", age=1)
    await change(world, {"age": 2})
    assert not {"_version", "_made", "_id"} & {one["field"] for one in (await diff(world, 1, 2))["changes"]}


async def test_a_masked_and_a_hidden_field_are_not_named(world):
    await world.add("a", ssn="123456789", status="closed", tags=["x"])
    await change(world, {"ssn": "987654321", "tags": ["y"], "age": 1})
    assert [one["field"] for one in await changes(world, 1, 2)] == ["age", "tags.0"]
    assert [one["field"] for one in await changes(world, 1, 2, token=VIEWER)] == ["age"]


POLICY = """
roles: {user: {}, auditor: {}}
policies:
  notes:
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id"}
    auditor:
      - {actions: [read], when: "resource.status == 'open'", fields: {deny: [ssn]}}
      - {actions: [read], when: "resource.status == 'closed'", fields: {mask: {age: redact}}}
      - {effect: deny, actions: [read], when: "resource.title == 'secret'", fields: [tags]}
"""


@pytest.fixture
async def strict(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as world:
        yield world


async def test_each_end_is_judged_by_the_grants_of_its_own_state(strict):
    """Of what only one end shows raw nothing is said: neither that it came, nor that it went."""
    await strict.add("a", ssn="1", age=1, tags=["x"], pay={"month": 1})
    await change(strict, {"status": "closed", "ssn": "2", "age": 2, "pay": {"month": 3}})
    await change(strict, {"title": "secret", "tags": ["y"], "pay": {"month": 4}})
    auditor = a_token("ann", ["auditor"])
    assert [one["field"] for one in await changes(strict, 1, 2, token=auditor)] == ["pay.month", "status"]
    assert [one["field"] for one in await changes(strict, 2, 3, token=auditor)] == ["pay.month", "title"]
    assert [one["field"] for one in await changes(strict, 1, 3, token=auditor)] == ["pay.month", "status", "title"]


async def test_t35_either_end_is_absent_where_it_is_not_visible(world):
    await world.add("a")
    await change(world, {"status": "closed"}, token=ROOT)
    await change(world, {"age": 1})
    for path in ("1/2", "2/1", "9/2", "2/9"):
        answer = await world.get(f"/notes/a/diff/{path}", token=VIEWER)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "version_not_found")
    assert [one["field"] for one in await changes(world, 2, 3, token=VIEWER)] == ["age"]
    answer = await world.get("/notes/a/diff/1/2", token=STRANGER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "document_not_found")


async def test_two_states_of_a_deleted_document(world):
    await world.add("a", age=1)
    await change(world, {"age": 2})
    await world.ask("DELETE", "/notes/a")
    assert await changes(world, 1, 2) == [{"field": "age", "op": "change", "from": 1, "to": 2}]


@pytest.mark.parametrize("path", ["x/1", "1/x", "1/-1"])
async def test_what_is_no_number_is_refused(world, path):
    await world.add("a")
    assert (await world.get(f"/notes/a/diff/{path}")).status_code == 400
