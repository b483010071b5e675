"""What a reload must not leave behind."""

import pytest

from tests.http.people import POLICY, SCHEMA, hire, lead, move
from tests.http.test_reload import a_reloaded_world

pytestmark = pytest.mark.mongo
PLAIN = SCHEMA.replace("    hierarchy: {user_id_field: _id, manager_field: manager_id}\n", "")
PLAIN_POLICY = "\n".join(line for line in POLICY.splitlines() if "user.$" not in line).replace("    barred:\n", "")
PLAIN_POLICY = PLAIN_POLICY.replace("      - {actions: [read]}\n", "")


async def test_a_hierarchy_that_was_switched_off_for_a_while_is_found_anew(mongo_uri, tmp_path):
    """Managers that were changed meanwhile are no managers any more, whatever was kept and remembered of them."""
    async with a_reloaded_world(mongo_uri, tmp_path, schema=SCHEMA, policy=POLICY, watching=False) as world:
        await hire(world, "ada", "bob")
        await world.database["files"].insert_one({"_id": "f", "tenant_id": "acme", "owner_id": "bob"})
        assert (await world.get("/files/f", token=lead("ada"))).status_code == 200
        for schema, policy in ((PLAIN, PLAIN_POLICY), (SCHEMA, POLICY)):
            world.write("schema.yml", schema)
            world.write("policy.yml", policy)
            assert await world.reloading.reload(), "taken"
            if schema is PLAIN:
                assert (await move(world, "bob", None)).status_code == 200
        assert (await world.get("/files/f", token=lead("ada"))).status_code == 404
        assert (await world.get("/files/f", token=lead("bob"))).status_code == 200
