"""`POST /{collection}/{id}/purge`: the document and its history go; who, when and why stay."""

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {default_tenant_field: tenant_id, id_type: string}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields: {tenant_id: {type: string}, title: {type: string}, kind: {type: string}}
  plain: {client_ids: true, access: {tenant_field: null}, fields: {title: {type: string}}}
"""
POLICY = """
roles: {boss: {}, eraser: {}, partly: {}, root: {cross_tenant: true}}
policies:
  notes:
    boss: {actions: ["*"]}
    eraser: {actions: [read, purge]}
    partly:
      - {actions: [read]}
      - {actions: [purge], when: "resource.kind == 'old'"}
    root: {actions: [read, purge]}
  plain: {boss: {actions: ["*", purge]}}
"""
BOSS, ERASER, PARTLY = a_token("b", ["boss"]), a_token("e", ["eraser"]), a_token("p", ["partly"])
OTHER = a_token("b", ["boss", "eraser"], "evil")


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        yield found


async def purge(world, one="a", reason="asked for", token=ERASER, **more):
    answer = await world.post(f"/notes/{one}/purge", {"reason": reason}, token=token, **more)
    return answer.status_code, answer.json()


async def left(world):
    database = world.database
    return [await database[name].count_documents({}) for name in ("notes", "_pm_versions")]


async def changed(world, one="a", token=BOSS, **fields):
    await world.add(one, token=token, **fields)
    for title in ("one", "two"):
        assert (await world.ask("PATCH", f"/notes/{one}", {"title": title}, token=token)).status_code == 200


async def test_a_live_document_goes_with_all_its_versions(world):
    await changed(world)
    await changed(world, "b")
    assert await left(world) == [2, 4]
    assert await purge(world) == (200, {"purged": True, "id": "a", "versions": 2})
    assert await left(world) == [1, 2]
    assert (await purge(world))[0] == 404


async def test_a_deleted_document_can_be_purged_and_its_id_begins_anew(world):
    await changed(world)
    await world.ask("DELETE", "/notes/a", token=BOSS)
    assert await purge(world) == (200, {"purged": True, "id": "a", "versions": 3})
    assert await left(world) == [0, 0]
    assert (await world.get("/notes/deleted", token=BOSS)).json()["data"] == []
    await world.add("a", token=BOSS)
    assert (await world.get("/notes/a", token=BOSS)).json()["_version"] == 1


async def test_the_audit_keeps_who_and_why_and_no_value(world):
    await changed(world, kind="secret kind")
    await purge(world, reason="Art. 17")
    entry = await world.database["_pm_audit"].find_one({"action": "purge"})
    assert (entry["ids"], entry["user_id"], entry["reason"], entry["tenant_id"]) == (["a"], "e", "Art. 17", "acme")
    assert "secret" not in str(entry)


async def test_a_star_does_not_include_purge(world):
    await changed(world)
    status, body = await purge(world, token=BOSS)
    assert (status, body["error"]["details"]) == (403, {"action": "purge", "collection": "notes"})
    assert await left(world) == [1, 2]


@pytest.mark.parametrize("deleted", [False, True])
async def test_what_is_visible_and_not_the_callers_to_purge_is_forbidden_and_stays(world, deleted):
    await changed(world, "new", kind="new")
    await changed(world, "old", kind="old")
    if deleted:
        for one in ("new", "old"):
            await world.ask("DELETE", f"/notes/{one}", token=BOSS)
    before = await left(world)
    assert (await purge(world, "new", token=PARTLY))[0] == 403
    assert await left(world) == before
    assert (await purge(world, "old", token=PARTLY))[0] == 200


@pytest.mark.parametrize("deleted", [False, True])
async def test_another_tenants_life_is_told_like_an_absent_one_and_stays(world, deleted):
    await changed(world)
    if deleted:
        await world.ask("DELETE", "/notes/a", token=BOSS)
    before = await left(world)
    told = [await world.post(f"/notes/{one}/purge", {"reason": "r"}, token=OTHER) for one in ("a", "none")]
    assert len({(one.status_code, one.text) for one in told}) == 1
    assert (told[0].status_code, await left(world)) == (404, before)


async def test_an_id_that_two_tenants_had_loses_the_purgers_life_alone(world):
    await changed(world)
    await world.ask("DELETE", "/notes/a", token=BOSS)
    await changed(world, token=OTHER)
    assert await purge(world) == (200, {"purged": True, "id": "a", "versions": 3})
    assert await left(world) == [1, 2]
    assert (await purge(world, token=OTHER))[1]["versions"] == 2


@pytest.mark.parametrize(
    "body", [{}, {"reason": None}, {"reason": ""}, {"reason": "x" * 1001}, {"reason": 1}, {"reason": "r", "all": True}]
)
async def test_a_reason_is_required_and_nothing_else_is_taken(world, body):
    await world.add("a", token=BOSS)
    assert (await world.post("/notes/a/purge", body, token=ERASER)).status_code == 400
    assert await left(world) == [1, 0]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_stale_condition_erases_nothing(world, deleted):
    await changed(world)
    seen = (await world.get("/notes/a", token=ERASER)).headers["etag"]
    if deleted:
        await world.ask("DELETE", "/notes/a", token=BOSS)
    assert (await purge(world, headers={"if-match": '"stale"'}))[0] == 412
    assert (await purge(world, headers={"if-match": seen}))[0] == 200


@pytest.mark.parametrize("config", [CONFIG, CONFIG + "audit: {enabled: false}\n"], ids=["audited", "unaudited"])
async def test_a_collection_without_versions_is_purged_too(mongo_uri, tmp_path, config):
    async with a_kept_world(mongo_uri, a_config(tmp_path, config=config, schema=SCHEMA, policy=POLICY)) as world:
        await world.post("/plain", {"_id": "p", "title": "t"}, token=BOSS)
        answer = await world.post("/plain/p/purge", {"reason": "r"}, token=BOSS)
        assert answer.json() == {"purged": True, "id": "p", "versions": 0}
        assert (await world.get("/plain/p", token=BOSS)).status_code == 404
