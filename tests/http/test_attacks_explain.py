"""Ways around what an explanation keeps back: the hierarchy of people whom the asker may not read."""

import json

import pytest

from tests.http.harness import a_config, a_kept_world, a_token
from tests.http.people import POLICY, SCHEMA, hire, lead

pytestmark = pytest.mark.mongo
ASKED = POLICY.replace(
    "  guest:", "  asker: {inherits: [lead], system: [explain]}\n  chief: {system: [explain, admin]}\n  guest:"
)
GLOBAL = SCHEMA.replace("    access: {owner_field: null}\n", "    access: {owner_field: null, tenant_field: null}\n", 1)


async def explained(world, token, id=None, **more):
    body = {"action": "read", "collection": "files", **({} if id is None else {"id": id}), **more}
    answer = await world.post("/_pm/explain", body, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_people_of_a_collection_without_tenants_are_told_to_no_admin_of_one(mongo_uri, tmp_path):
    """Whoever chooses the claims would read everybody's hierarchy."""
    policy = ASKED
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=GLOBAL, policy=policy)) as world:
        await hire(world, "ada", "bob77")
        told = await explained(world, a_token("c", ["chief"], "evil"), **{"as": {"sub": "ada", "roles": ["lead"]}})
        assert "bob77" not in json.dumps(told)


@pytest.mark.parametrize(
    "test",
    [
        "resource.owner_id in user.$subordinates",
        "resource.owner_id not in user.$subordinates",
        "containsAny(resource.watchers, user.$subordinates)",
        "containsAll(resource.watchers, user.$subordinates)",
    ],
)
async def test_who_asks_about_themselves_is_not_told_whom_they_can_not_read(mongo_uri, tmp_path, test):
    policy = ASKED.replace('resource.owner_id in user.$subordinates"}\n    direct', f'{test}"}}\n    direct')
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=policy)) as world:
        await hire(world, "ada", "bob77")
        assert policy != ASKED or test.startswith("resource.owner_id in")
        assert (await world.get("/users", token=lead("ada", "asker"))).status_code == 403
        told = await explained(world, lead("ada", "asker"))
        assert "bob77" not in json.dumps(told)


async def test_a_role_of_others_that_reads_the_hierarchy_is_judged_with_it(mongo_uri, tmp_path):
    policy = ASKED + '    plain: {actions: [read], when: "resource.owner_id == user.id"}\n'
    policy = policy.replace("  guest:", "  plain: {system: [explain]}\n  guest:")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=policy)) as world:
        await hire(world, "ada", "bob77")
        await world.database["files"].insert_one({"_id": "f", "tenant_id": "acme", "owner_id": "bob77"})
        told = await explained(world, a_token("c", ["chief"]), "f", **{"as": {"sub": "ada", "roles": ["plain"]}})
        assert told["allowed"] is False
        assert {"role": "lead"} in told["would_change"]["roles"]
