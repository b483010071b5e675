"""What is told of the rules: to whom, of whom, and of which documents."""

import json

import pytest

from tests.http.harness import POLICY, a_config, a_kept_world, a_token

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
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=EXPLAINING)) as world:
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


async def test_without_the_right_nothing_is_explained(world):
    await world.add("n1")
    for token in (a_token(), a_token(roles=[]), a_token(roles=["boss"]), a_token("eve", ["user"], "evil")):
        for body in ({"action": "read", "collection": "notes", "id": "n1"}, {"action": "read", "collection": "plain"}):
            answer = await world.post("/_pm/explain", body, token=token)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert await world.database["_pm_audit"].count_documents({"action": "explain"}) == 0


@pytest.mark.parametrize("action", ["read", "update", "delete", "restore", "aggregate"])
async def test_what_the_asker_does_not_see_is_explained_like_what_is_not_there(world, action):
    await world.add("bobs", token=a_token("bob"), ssn="123456789")
    await world.add("other", token=a_token("alice", tenant="evil"))
    await world.add("gone")
    await world.ask("DELETE", "/notes/gone")
    await world.add("gone", token=a_token("bob"))
    texts = set()
    for id_ in ("bobs", "other", "gone", "never"):
        answer = await world.post("/_pm/explain", {"action": action, "collection": "notes", "id": id_}, token=ASKER)
        texts.add(answer.text.replace(f'"{id_}"', '""'))
    [text] = texts
    assert '"document":"absent"' in text
    assert '"hidden"' in text


async def test_a_stranger_with_the_right_learns_nothing_of_another_tenant(world):
    await world.add("n1")
    for roles in (["asker"], ["chief"]):
        stranger = a_token("eve", roles, "evil")
        told = await explained(world, "read", "n1", stranger)
        assert (told["allowed"], told["document"]) == (False, "absent")
        never = json.dumps(await explained(world, "read", "never", stranger))
        assert json.dumps(told) == never.replace('"never"', '"n1"')
    told = await explained(
        world, "read", "n1", a_token("eve", ["chief"], "evil"), **{"as": {"sub": "alice", "roles": ["user"]}}
    )
    assert (told["caller"]["tenant"], told["document"]) == ("evil", "absent")


async def test_clauses_on_fields_the_asker_does_not_read_are_hidden_and_so_is_what_hangs_on_them(mongo_uri, tmp_path):
    policy = EXPLAINING.replace(
        "    boss: {actions",
        "    asker: {effect: deny, actions: [delete], when: \"resource.ssn == '1' && resource.age == 3\"}\n    boss: {actions",
        1,
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        for n, (ssn, age) in enumerate([("1", 3), ("2", 3), ("1", 4), ("2", 4)]):
            await world.add(f"n{n}", ssn=ssn, age=age)

        async def denial(id_):
            told = await explained(world, "delete", id_)
            return next(one for one in told["needs"][0]["rules"] if one["role"] == "asker"), told["would_change"][
                "clauses"
            ] if "would_change" in told else []

        (held, changes), (open_, _) = await denial("n0"), await denial("n1")
        assert [part["verdict"] for part in held["when"]["all"]] == ["hidden", "true"]
        assert held["verdict"] == open_["verdict"] == "hidden", "what is masked is not told, true or false"
        assert held == open_
        assert ["resource.age != 3"] in changes
        assert ["resource.ssn != '1'"] in changes
        (third, _), (fourth, _) = await denial("n2"), await denial("n3")
        assert third == fourth
        assert third["verdict"] == "false", "age alone decides"
        told = await explained(world, "delete", "n0", CHIEF, **{"as": {"sub": "alice", "roles": ["asker"]}})
        seen = next(one for one in told["needs"][0]["rules"] if one["role"] == "asker")
        assert [part["verdict"] for part in seen["when"]["all"]] == ["true", "true"]


@pytest.mark.parametrize("token", [ASKER, CHIEF, ROOT])
async def test_no_value_of_a_document_is_told_to_anybody(world, token):
    await world.add("n1", ssn="canary-1", email="canary@a.example", tags=["canary-2"], pay={"month": 919191})
    for action in ("read", "update", "delete", "restore", "purge", "aggregate"):
        answer = await world.post("/_pm/explain", {"action": action, "collection": "notes", "id": "n1"}, token=token)
        assert answer.status_code == 200
        assert "canary" not in answer.text
        assert "919191" not in answer.text
        assert "note n1" not in answer.text


async def test_to_ask_as_another_needs_admin_and_another_tenant_a_role_that_crosses(world):
    await world.add("n1", token=a_token("bob"))
    bob = {"sub": "bob", "roles": ["user"]}
    await explained(world, "read", "n1", ASKER, 403, **{"as": bob})
    told = await explained(world, "read", "n1", CHIEF, **{"as": bob})
    assert (told["allowed"], told["caller"]["sub"], told["caller"]["tenant"]) == (True, "bob", "acme")
    told = await explained(world, "read", "n1", CHIEF, **{"as": {"sub": "eve", "roles": ["user"]}})
    assert (told["allowed"], told["document"]) == (False, "live")
    assert ["resource.owner_id == user.id"] in told["would_change"]["clauses"]
    assert {"role": "boss"} in told["would_change"]["roles"]
    await explained(world, "read", "n1", CHIEF, 403, **{"as": {**bob, "tenant_id": "evil"}})
    await explained(world, "read", "n1", CHIEF, 403, **{"as": {"sub": "x", "roles": ["root"], "tenant_id": "evil"}})
    told = await explained(world, "read", "n1", ROOT, **{"as": {**bob, "tenant_id": "evil"}})
    assert (told["allowed"], told["caller"]["tenant"]) == (False, "evil")


async def test_a_filter_is_taken_and_refused_as_a_list_takes_it(world):
    told = await explained(world, filter={"title": {"$regex": "^n"}})
    assert '"^n"' in world_json(told["filter"])
    for wrong, status in (
        ({"ssn": "1"}, 403),
        ({"nothing": 1}, 403),
        ({"title": {"$where": "1"}}, 400),
        ({"age": "x"}, 400),
    ):
        answer = await world.post(
            "/_pm/explain", {"action": "read", "collection": "notes", "filter": wrong}, token=ASKER
        )
        listed = await world.post("/notes/query", {"filter": wrong}, token=ASKER)
        assert (answer.status_code, answer.json()) == (listed.status_code, listed.json())
        assert answer.status_code == status
    large = await explained(world, filter={"age": {"$in": list(range(21))}})
    assert find(large["filter"], "$in") == {"values": 21}


def world_json(value) -> str:
    return json.dumps(value)


def find(value, name):
    if isinstance(value, dict):
        return (
            value[name]
            if name in value
            else next((f for v in value.values() if (f := find(v, name)) is not None), None)
        )
    return next((f for v in value if (f := find(v, name)) is not None), None) if isinstance(value, list) else None


@pytest.mark.parametrize(
    "body",
    [
        {"action": "drop"},
        {"action": None},
        {"collection": 1},
        {"id": {"$ne": 1}},
        {"id": "a", "filter": {}},
        {"action": "create", "id": "a"},
        {"action": "purge", "filter": {}},
        {"as": []},
        {"as": {"roles": ["user"]}},
        {"as": {"sub": "a", "roles": 1}},
        {"as": {"sub": "a", "roles": ["user"] * 300}},
        {"as": {"sub": "a\n"}},
        {"at_the_machine": True},
        {"whom": {"sub": "a"}},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_400(world, body):
    answer = await world.post("/_pm/explain", {"action": "read", "collection": "notes", **body}, token=CHIEF)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    absent = await world.post("/_pm/explain", {"action": "read", "collection": "nothing"}, token=CHIEF)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "collection_not_found")


async def test_each_question_is_in_the_audit_before_anything_is_looked_at(world):
    await world.add("n1")
    await explained(world, "delete", "n1")
    await explained(world, "read", "n1", CHIEF, **{"as": {"sub": "bob", "roles": ["user"]}})
    found = await world.database["_pm_audit"].find({"action": "explain"}).sort("_id", 1).to_list()
    assert [(one["user_id"], one["tenant_id"], one["ids"], one["asked"]) for one in found] == [
        ("alice", "acme", ["n1"], {"action": "delete"}),
        ("carol", "acme", ["n1"], {"action": "read", "as": "bob"}),
    ]


async def test_claims_that_no_rule_can_compare_are_told_by_their_kind(mongo_uri, tmp_path):
    policy = EXPLAINING.replace("resource.status == 'closed'", "resource.status == user.odd || 'x' in user.many")
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        for odd, many in ((2**80, ["x"] * 21), ({"$ne": 1}, ["\ud800"]), ("\ud800", [2**80]), ("$where", [{}])):
            token = a_token("alice", ["asker"], odd=odd, many=many)
            answer = await world.post("/_pm/explain", {"action": "read", "collection": "notes"}, token=token)
            assert answer.status_code == 200, odd
            asked = {"action": "read", "collection": "notes", "id": "n1"}
            assert (await world.post("/_pm/explain", asked, token=token)).status_code == 200, odd
            assert (await world.get("/notes", token=token)).status_code == 200, odd
        assert (
            '"values":21'
            in (
                await world.post(
                    "/_pm/explain",
                    {"action": "read", "collection": "notes"},
                    token=a_token("a", ["asker"], many=["y"] * 21),
                )
            ).text
        )


async def test_a_deleted_document_is_explained_to_who_may_restore_it(world):
    await world.add("n1", "n2")
    await world.ask("DELETE", "/notes/n1")
    told = await explained(world, "restore", "n1")
    assert (told["document"], told["allowed"]) == ("deleted", True)
    assert (await explained(world, "read", "n1"))["document"] == "absent"
    assert (await explained(world, "restore", "n1", a_token("bob", ["asker"])))["document"] == "absent"
    assert (await explained(world, "restore", "n1", a_token("x", ["chief"], "evil")))["document"] == "absent"
    assert (await world.post("/notes/n1/restore/1", {})).status_code == 200


async def test_a_restore_is_judged_by_the_rules_check_as_well(mongo_uri, tmp_path):
    policy = EXPLAINING.replace(
        'when: "resource.owner_id == user.id", fields',
        'when: "resource.owner_id == user.id", check: "resource.age == 1", fields',
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("n1", age=1)
        await world.database["notes"].update_one({"_id": "n1"}, {"$set": {"age": 2}})
        told = await explained(world, "restore", "n1")
        assert (told["allowed"], told["refusal"]["code"]) == (False, "forbidden")
        assert ["resource.age == 1"] in told["would_change"]["clauses"]
        assert (await world.post("/notes/n1/restore/1", {})).status_code == 403


# -- me


async def test_me_tells_the_caller_and_its_collections(world):
    told = (await world.get("/_pm/me", token=a_token("alice", ["user", "usr"], jti="t1"))).json()
    assert (told["sub"], told["tenant"], told["namespace"]) == ("alice", "acme", "default")
    assert told["credential"]["kind"] == "token"
    assert told["credential"]["id"] == "t1"
    assert told["credential"]["expires_at"].endswith("Z")
    assert (told["roles"], told["with_inherited"], told["unknown_roles"]) == (["user"], ["user", "viewer"], ["usr"])
    assert told["system"] == []
    assert set(told["collections"]) == {"notes"}, "plain is nothing to this caller"
    notes = told["collections"]["notes"]
    assert notes["actions"] == ["create", "read", "update", "delete", "restore"]
    assert "read" in notes["in_some_rows"]["actions"]
    assert set(notes["readable"]) == {"title", "status", "age"}
    assert notes["in_some_rows"]["masked"] == {"ssn": "last4"}
    assert "ssn" not in notes["readable"] + notes["in_some_rows"]["readable"]
    assert "tenant_id" not in notes["in_some_rows"]["writable"]


async def test_me_names_the_folder_of_the_embedded_server_to_admins_alone(world):
    for token, seen in ((a_token(), False), (ASKER, False), (CHIEF, True)):
        engine = (await world.get("/_pm/me", token=token)).json()["gateway"]["engine"]
        assert (engine["embedded"], engine["for"]) == (True, "evaluation")
        assert ("folder" in engine) is seen
    assert (await world.get("/_pm/me", token=CHIEF)).json()["system"] == ["explain", "admin"]
    heir = (await world.get("/_pm/me", token=a_token(roles=["boss"]))).json()
    assert heir["system"] == []
    assert heir["collections"]["notes"]["actions"] == [
        "create",
        "read",
        "update",
        "delete",
        "restore",
        "aggregate",
        "purge",
    ]
    assert "in_some_rows" in heir["collections"]["notes"]


async def test_me_knows_nothing_of_collections_without_a_right(world):
    told = (await world.get("/_pm/me", token=a_token(roles=[]))).json()
    assert told["collections"] == {}
    clerk = (await world.get("/_pm/me", token=a_token(roles=["clerk"]))).json()["collections"]["notes"]
    assert clerk["actions"] == ["create"]
    assert (clerk["readable"], clerk["writable"]) == ([], [])
    assert clerk["in_some_rows"]["writable_on_create"] == ["title", "status"]
    none = (await world.get("/_pm/me", token=a_token(tenant=None))).json()
    assert none["collections"] == {}, "a credential without a tenant has none of a tenant's collections"
    assert (await world.get("/_pm/me?x=1")).status_code == 400


async def test_a_role_that_crosses_tenants_lends_that_to_no_right_of_another_role(mongo_uri, tmp_path):
    """Who reads other tenants in part, and is an admin at home, is no admin of theirs."""
    policy = EXPLAINING.replace("clerk: {}", "clerk: {}, guest: {cross_tenant: true}").replace(
        "    root: {actions:", "    guest: {actions: [read], fields: {allow: [title]}}\n    root: {actions:", 1
    )
    both = a_token("gil", ["guest", "chief"], "home")
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("n1", ssn="123456789")
        await world.add("n2", token=a_token("bob", tenant="home"))
        assert (await world.get("/notes/n1", token=both)).json().get("ssn") is None
        told = await explained(world, "delete", "n1", both)
        assert told["document"] == "live", "that one reads"
        [user] = [one for one in told["needs"][1]["rules"] if one["role"] == "user" and one["effect"] == "allow"]
        assert user["verdict"] == "hidden", "by a field that the guest does not read there"
        elsewhere = {"sub": "alice", "tenant_id": "acme", "roles": ["user"]}
        await explained(world, "read", "n1", both, 403, **{"as": elsewhere})
        at_home = {"sub": "bob", "roles": ["user"]}
        assert (await explained(world, "read", "n1", both, **{"as": at_home}))["document"] == "absent"
        assert (await explained(world, "read", "n2", both, **{"as": at_home}))["allowed"] is True
