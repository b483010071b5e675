"""A change of the policy counted on documents: the numbers are true, and of no document one may not ask about."""

import json

import pytest

from tests.http.harness import POLICY, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
DIFF = "/_pm/policy/diff"
GOVERNED = POLICY.replace(
    "root: {cross_tenant: true}",
    "root: {cross_tenant: true}, chief: {system: [admin, explain]}, half: {system: [admin]}, other: {system: [explain]}, "
    "heir: {inherits: [chief]}, above: {cross_tenant: true, system: [admin, explain]}",
)
WIDER = GOVERNED.replace(
    "resource.status == 'closed'\", fields: {allow: [title, status, age]}", 'true", fields: {allow: [title, status]}'
)
TESTS = """
principals: {vera: {tenant: acme, roles: [viewer]}, spy: {tenant: rival, roles: [viewer]}, boss: {tenant: acme, roles: [boss]}}
"""
CHIEF = a_token("carol", ["chief"])
RIVAL = a_token("rita", ["chief"], "rival")
ABOVE = a_token("zeus", ["above"], None)


def asked(policy=WIDER, **more) -> dict:
    return {"files": {"policy.yml": policy}, "live": True, **more}


@pytest.fixture(scope="module")
async def world(mongo_uri, tmp_path_factory):
    folder = tmp_path_factory.mktemp("counted")
    (folder / "policy_tests.yml").write_text(TESTS)
    async with a_world(mongo_uri, a_config(folder, policy=GOVERNED)) as world:
        notes = [
            {"_id": f"{tenant}-{n}", "tenant_id": tenant, "owner_id": "ann", "title": "t", "age": n, "status": status}
            for tenant, counts in (("acme", (3, 2)), ("rival", (5, 1)))
            for status, count in zip(("open", "closed"), counts, strict=True)
            for n in (range(count) if status == "open" else range(10, 10 + count))
        ]
        await world.database["notes"].insert_many(notes)
        await world.database["plain"].insert_one({"name": "nobody's"})
        yield world


async def counts(world, token, principal, **more):
    answer = await world.post(DIFF, asked(**more), token=token)
    assert answer.status_code == 200, answer.text
    live = answer.json()["live"]
    return next(
        (one for one in live["counts"] if one["principal"]["sub"] == principal and one["action"] == "read"), None
    )


async def test_what_a_principal_gains_and_loses_is_counted(world):
    told = await counts(world, CHIEF, "vera")
    assert (told["gained"]["documents"], told["lost"]["documents"]) == (3, 0)
    assert sorted(told["gained"]["such_as"]) == ["acme-0", "acme-1", "acme-2"]
    assert told["fields"] == [{"path": "age", "before": "raw", "after": "hidden", "documents": 2}]
    assert await counts(world, CHIEF, "boss") is None


async def test_of_another_tenant_nothing_is_counted(world):
    answer = await world.post(DIFF, asked(), token=CHIEF)
    assert "rival-" not in answer.text
    assert answer.json()["live"]["read"] == [{"collection": "notes", "documents": 5, "of": 5, "sampled": False}]
    assert await counts(world, CHIEF, "spy") is None, "of the other tenant's principal there is no row to count"
    assert (await counts(world, RIVAL, "spy"))["gained"]["documents"] == 5
    assert await counts(world, RIVAL, "vera") is None


async def test_documents_without_a_tenant_are_of_no_tenants_admin(world):
    opened = GOVERNED + "    viewer: {actions: [read]}\n"
    for token, seen in ((CHIEF, False), (ABOVE, True)):
        live = (await world.post(DIFF, asked(opened), token=token)).json()["live"]
        assert any(one["collection"] == "plain" for one in live["read"]) is seen


async def test_who_crosses_tenants_by_the_role_that_administers_counts_all(world):
    assert (await counts(world, ABOVE, "spy"))["gained"]["documents"] == 5
    assert (await counts(world, ABOVE, "vera"))["gained"]["documents"] == 3
    lent = a_token("lee", ["chief", "root"])
    assert await counts(world, lent, "spy") is None, "another role's crossing is not lent to the right"


async def test_it_needs_both_rights_and_looks_at_nothing_without(world):
    for roles in ([], ["boss"], ["half"], ["other"], ["heir"]):
        before = await world.database["_pm_audit"].count_documents(
            {"action": "policy_diff", "kind": {"$ne": "refusal"}}
        )
        answer = await world.post(DIFF, asked(), token=a_token(roles=roles))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), roles
        after = await world.database["_pm_audit"].count_documents({"action": "policy_diff", "kind": {"$ne": "refusal"}})
        assert before == after
    assert "live" not in (await world.post(DIFF, asked(live=False), token=a_token(roles=["half"]))).json()


async def test_each_look_is_in_the_audit(world):
    await world.database["_pm_audit"].delete_many({})
    await world.post(DIFF, asked(), token=CHIEF)
    [entry] = await world.database["_pm_audit"].find({"action": "policy_diff"}).to_list()
    assert (entry["user_id"], entry["tenant_id"], entry["asked"]) == ("carol", "acme", {"live": True})


async def test_mistakes_and_other_bodies_are_refused(world):
    for body in (
        asked("roles: ["),
        asked(live=1),
        asked(live=None),
        {"files": {"policy.yml": WIDER, "schema.yml": "collections: {}"}, "live": True},
        {"files": {"schema.yml": "collections: {}"}, "live": True},
        asked(roles=[["nobody"]]),
    ):
        assert (await world.post(DIFF, body, token=CHIEF)).status_code == 400, json.dumps(body)[:60]


async def test_what_another_writer_stored_is_no_fault(world):
    await world.database["notes"].insert_one(
        {"_id": "acme-odd", "tenant_id": "acme", "status": ["open"], "age": {"a": 1}}
    )
    try:
        assert (await counts(world, CHIEF, "vera"))["gained"]["documents"] == 4
    finally:
        await world.database["notes"].delete_one({"_id": "acme-odd"})


async def test_above_the_most_a_part_is_read_and_the_numbers_say_so(world, monkeypatch):
    monkeypatch.setattr("permission_mongo.counting.MOST", 4)
    [read] = (await world.post(DIFF, asked(), token=CHIEF)).json()["live"]["read"]
    assert (read["of"], read["sampled"]) == (5, True)


async def test_for_many_principals_fewer_are_read(world, monkeypatch):
    monkeypatch.setattr("permission_mongo.counting.JUDGEMENTS", 8)
    [read] = (await world.post(DIFF, asked(), token=CHIEF)).json()["live"]["read"]
    assert read["sampled"]


async def test_texts_that_take_long_elsewhere_are_not_read_here(world, monkeypatch):
    monkeypatch.setattr("permission_mongo.counting.LONGEST", 0.0)
    answer = await world.post(DIFF, asked(), token=CHIEF)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


async def test_roles_without_a_principal_are_counted_for_some_made_from_documents(world):
    changed = GOVERNED.replace("clerk: {actions: [create]", "clerk: {actions: [create, read]")
    live = (await world.post(DIFF, asked(changed), token=CHIEF)).json()["live"]
    [told] = [one for one in live["counts"] if one["roles"] == ["clerk"]][:1]
    assert (told["gained"]["documents"], told["principal"]["tenant"]) == (3, "acme")
