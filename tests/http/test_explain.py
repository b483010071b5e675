"""What is told of the rules: to whom, of whom, and of which documents."""

import pytest

from tests.http.harness import POLICY, a_config, a_token, a_world

pytestmark = pytest.mark.mongo

EXPLAINING = POLICY.replace(
    "boss: {inherits: [user]}",
    "boss: {inherits: [user]}, asker: {inherits: [user], system: [explain]}, chief: {inherits: [boss], system: [explain, admin]}",
).replace("root: {cross_tenant: true}", "root: {cross_tenant: true, system: [explain, admin]}")
ASKER = a_token("alice", ["asker"])
CHIEF = a_token("carol", ["chief"])
ROOT = a_token("zeus", ["root"], None)


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, policy=EXPLAINING)) as world:
        yield world


async def explained(world, action="read", id=None, token=ASKER, status=200, **more):
    body = {"action": action, "collection": "notes", **({} if id is None else {"id": id}), **more}
    answer = await world.post("/_pm/explain", body, token=token)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_request_is_explained_with_its_rules_their_places_and_what_would_change_it(world):
    await world.add("n1", status="locked")
    told = await explained(world, "delete", "n1")
    assert (told["allowed"], told["refusal"]["code"], told["document"]) == (False, "forbidden", "live")
    assert told["caller"]["roles"] == ["asker"]
    assert told["caller"]["with_inherited"] == ["asker", "user", "viewer"]
    rules = {(one["line"], one["role"]): one for one in told["needs"][0]["rules"]}
    own, denial = rules[7, "user"], rules[8, "user"]
    assert own["through"] == ["asker", "user"]
    assert own["when"] == {
        "test": "resource.owner_id == user.id",
        "verdict": "true",
        "values": {"user.id": "alice"},
    }
    assert (denial["effect"], denial["verdict"]) == ("deny", "true")
    assert told["decided_by"] == ["policy.yml:8:9"]
    assert told["would_change"] == {"clauses": [["resource.status != 'locked'"]], "roles": []}
    assert rules[9, "boss"]["speaks"] is False
    assert "lacks" in rules[9, "boss"]["why"]
    assert "not for this action" in rules[5, "viewer"]["why"]
    assert told["fields"]["masked"] == {"ssn": "last4"}
    assert "ssn" not in told["fields"]["readable"]
    assert (await world.get("/notes/n1")).status_code == 200, "nothing was changed"
