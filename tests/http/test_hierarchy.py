"""The hierarchy is what the documents of people say, whatever wrote them, and rules read it."""

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token
from tests.http.people import BY_LOGIN, CLERK, HR, POLICY, ROOT, SCHEMA, by_rows, hire, lead, move, require_true


@pytest.fixture
async def world(tmp_path, mongo_uri):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as one:
        yield one


async def files(world, *owners: str) -> None:
    documents = [{"_id": one, "tenant_id": "acme", "owner_id": one, "title": one} for one in owners]
    await world.database["files"].insert_many(documents)


async def seen(world, token: str) -> list[str]:
    answer = await world.get("/files?_limit=100", token=token)
    assert answer.status_code == 200, answer.text
    return [row["_id"] for row in answer.json()["data"]]


def rule_of(answer) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["code"] for one in answer.json()["error"]["details"]["errors"]]


# -- what rules read


async def test_each_relation_names_those_it_says_and_not_oneself(world):
    await hire(world, "ada", "bob", "cem", "dan")
    await files(world, "ada", "bob", "cem", "dan", "eve")
    assert await seen(world, lead("bob")) == ["bob", "cem", "dan"]
    assert await seen(world, lead("bob", "direct")) == ["cem"]
    assert await seen(world, lead("dan", "below")) == ["ada", "bob", "cem"]
    assert await seen(world, lead("dan")) == ["dan"]
    assert await seen(world, lead("dan", "direct")) == []


async def test_of_who_is_no_person_of_the_tenant_the_relations_are_unknown(world):
    """Unknown denies: an empty list would let everything through a rule that hides the files of those below."""
    await hire(world, "ada", "bob")
    await files(world, "ada", "bob")
    assert await seen(world, lead("ada", "barred")) == ["ada"]
    assert await seen(world, lead("bob", "barred")) == ["ada", "bob"]
    assert await seen(world, lead("nobody", "barred")) == []
    assert await seen(world, lead("nobody")) == []


async def test_a_claim_named_like_a_relation_says_nothing(world):
    await hire(world, "ada", "bob")
    await files(world, "ada", "bob", "cem")
    forged = {"$subordinates": ["ada", "cem"], "claims": {"$subordinates": ["cem"]}}
    assert await seen(world, lead("bob", **forged)) == ["bob"]
    assert await seen(world, lead("nobody", **forged)) == []


async def test_those_of_another_tenant_are_never_among_them(world):
    """Ids of people may be the same text in each tenant's credentials; a chain never crosses."""
    await hire(world, "ada", "bob")
    other = a_token("hera", ["hr"], "umbrella")
    await hire(world, "zoe", "yan", token=other)
    answer = await world.post("/users", {"_id": "xia", "manager_id": "ada"}, token=other)
    assert rule_of(answer) == ["ref"]
    absent = await world.post("/users", {"_id": "xia", "manager_id": "nobody"}, token=other)
    assert absent.json() == answer.json()
    # By a writer beside the gateway it names her all the same, and stays outside.
    await world.database["users"].update_one({"_id": "yan"}, {"$set": {"manager_id": "ada"}})
    assert (await world.post("/_pm/hierarchy/sync", {}, token=other)).status_code == 200
    await files(world, "bob", "yan")
    assert await seen(world, lead("ada")) == ["bob"]
    assert await seen(world, lead("ada", tenant="umbrella")) == []
    await require_true(world)


async def test_a_change_counts_at_once(world):
    await hire(world, "ada", "bob", "cem")
    await hire(world, "zoe")
    await files(world, "bob", "cem")
    ada, zoe = lead("ada"), lead("zoe")
    assert (await seen(world, ada), await seen(world, zoe)) == (["bob", "cem"], [])
    assert (await move(world, "cem", "zoe")).status_code == 200
    assert (await seen(world, ada), await seen(world, zoe)) == (["bob"], ["cem"])
    assert (await world.delete("/users/zoe", None, token=HR)).status_code == 200
    assert await seen(world, zoe) == []
    await require_true(world)


async def test_writes_are_judged_by_it_as_well(world):
    await hire(world, "ada", "bob")
    await files(world, "bob", "cem")
    token = lead("ada")
    assert (await world.ask("PATCH", "/files/bob", {"title": "x"}, token=token)).status_code == 200
    assert (await world.ask("PATCH", "/files/cem", {"title": "x"}, token=token)).status_code == 404
    answer = await world.delete("/files/batch", {"ids": ["bob", "cem"]}, token=token)
    assert answer.json()["deleted"] == 1
    answer = await world.delete("/files/batch", {"filter": {"title": {"$exists": True}}}, token=token)
    assert answer.json()["deleted"] == 0


# -- where nobody can be


async def test_a_loop_is_refused_at_the_managers_field(world):
    await hire(world, "ada", "bob", "cem")
    for one, manager in (("ada", "cem"), ("ada", "ada"), ("bob", "cem")):
        answer = await move(world, one, manager)
        assert rule_of(answer) == ["hierarchy"]
        assert answer.json()["error"]["details"]["errors"][0]["field"] == "manager_id"
    await require_true(world)


async def test_a_loop_within_one_batch_is_refused_and_the_rest_done(world):
    documents = [
        {"_id": "ada", "manager_id": "bob"},
        {"_id": "bob", "manager_id": "ada"},
        {"_id": "cem"},
        {"_id": "dan", "manager_id": "cem"},
        {"_id": "eve", "manager_id": "ada"},
    ]
    answer = (await world.post("/users/batch", {"documents": documents}, token=HR)).json()
    assert answer["created"] == ["cem", "dan"]
    assert [one["index"] for one in answer["failed"]] == [0, 1, 4]
    await require_true(world)
    atomic = {"updates": [{"id": "cem", "update": {"manager_id": "dan"}}], "atomic": True}
    answer = await world.ask("PUT", "/users/batch", atomic, token=HR)
    assert answer.status_code == 422, answer.text
    await require_true(world)


async def test_two_of_a_batch_change_places(world):
    await hire(world, "ada", "bob", "cem")
    swap = [{"id": "ada", "update": {"manager_id": "bob"}}, {"id": "bob", "update": {"manager_id": None}}]
    answer = await world.ask("PUT", "/users/batch", {"updates": swap}, token=HR)
    assert answer.json()["modified"] == 2, answer.text
    assert (await by_rows(world.database))["acme", "cem"] == ["bob"]
    await require_true(world)


async def test_a_hundred_people_are_above_one_and_no_more(world):
    names = [f"p{n:03}" for n in range(101)]
    documents = [{"_id": n, **({"manager_id": names[i - 1]} if i else {})} for i, n in enumerate(names)]
    answer = await world.post("/users/batch", {"documents": documents}, token=HR)
    assert answer.status_code == 201, answer.text
    assert len((await by_rows(world.database))["acme", "p100"]) == 100
    answer = await world.post("/users", {"_id": "one", "manager_id": "p100"}, token=HR)
    assert rule_of(answer) == ["hierarchy"]
    await hire(world, "top")
    assert rule_of(await move(world, "p000", "top")) == ["hierarchy"]
    await require_true(world)


async def test_who_is_below_a_manager_who_goes_has_nobody_above_until_the_manager_is_back(world):
    await hire(world, "ada", "bob", "cem", "dan")
    assert (await world.delete("/users/bob", None, token=HR)).status_code == 200
    rows = await by_rows(world.database)
    assert (rows["acme", "cem"], rows["acme", "dan"]) == ([], ["cem"])
    answer = await world.post("/users/bob/restore/1", {}, token=HR)
    assert answer.status_code == 200, answer.text
    assert (await by_rows(world.database))["acme", "dan"] == ["cem", "bob", "ada"]
    await require_true(world)
    assert (await world.post("/users/bob/purge", {"reason": "asked"}, token=HR)).status_code == 200
    await require_true(world)


async def test_who_is_put_back_into_a_loop_is_refused(world):
    await hire(world, "ada", "bob")
    assert (await world.delete("/users/bob", None, token=HR)).status_code == 200
    # Nobody is named bob now, so ada may not be put below; one beside the gateway may have done it.
    assert rule_of(await move(world, "ada", "bob")) == ["ref"]
    await world.database["users"].update_one({"_id": "ada"}, {"$set": {"manager_id": "bob"}})
    await world.post("/_pm/hierarchy/sync", {}, token=HR)
    assert rule_of(await world.post("/users/bob/restore/1", {}, token=HR)) == ["hierarchy"]
    await require_true(world)


async def test_undo_puts_the_hierarchy_back(world):
    await hire(world, "ada", "bob", "cem", "dan")
    before = await by_rows(world.database)
    batch = (await world.delete("/users/batch", {"ids": ["bob", "dan"]}, token=HR)).json()["batch"]
    await require_true(world)
    answer = await world.post(f"/users/batch/{batch}/undo", {}, token=HR)
    assert answer.json()["restored"] == 2, answer.text
    assert await by_rows(world.database) == before
    change = {"ids": ["cem", "dan"], "update": {"manager_id": "ada"}}
    batch = (await world.ask("PUT", "/users/batch", change, token=HR)).json()["batch"]
    await require_true(world)
    answer = await world.post(f"/users/batch/{batch}/undo", {}, token=HR)
    assert answer.json()["restored"] == 2, answer.text
    assert await by_rows(world.database) == before


async def test_what_is_not_committed_changes_nothing(world):
    """A dry run, and a batch that is refused in the end."""
    await hire(world, "ada", "bob")
    before = await by_rows(world.database)
    dry = {"ids": ["bob"], "dry_run": True}
    assert (await world.delete("/users/batch", dry, token=HR)).json()["dry_run"] is True
    both = {"ids": ["bob", "nobody"], "atomic": True}
    assert (await world.delete("/users/batch", both, token=HR)).status_code == 404
    assert await by_rows(world.database) == before


async def test_who_crosses_tenants_moves_a_person_out_of_one_hierarchy_into_the_other(world):
    await hire(world, "ada", "bob", "cem")
    await hire(world, "zoe", token=a_token("hera", ["hr"], "umbrella"))
    answer = await world.ask("PATCH", "/users/bob", {"tenant_id": "umbrella", "manager_id": "zoe"}, token=ROOT)
    assert answer.status_code == 200, answer.text
    rows = await by_rows(world.database)
    assert (rows["umbrella", "bob"], rows["acme", "cem"]) == (["zoe"], [])
    await require_true(world)


# -- who may write it


async def test_a_manager_is_written_only_by_a_rule_that_names_the_field_in_reassign(world):
    await hire(world, "ada", "bob", "cem")
    assert (await world.ask("PATCH", "/users/cem", {"name": "Cem"}, token=CLERK)).status_code == 200
    answer = await move(world, "cem", "ada", token=CLERK)
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["fields"] == ["manager_id"]
    batch = {"ids": ["cem"], "update": {"manager_id": "ada"}}
    answer = await world.ask("PUT", "/users/batch", batch, token=CLERK)
    assert answer.status_code == 403
    await require_true(world)


async def test_a_restore_leaves_a_manager_that_its_rule_may_not_write(world):
    await hire(world, "ada", "bob", "cem")
    assert (await move(world, "cem", "ada")).status_code == 200
    answer = await world.post("/users/cem/restore/1", {}, token=CLERK)
    assert answer.status_code == 200, answer.text
    assert (await by_rows(world.database))["acme", "cem"] == ["ada"]
    await require_true(world)


# -- by a field of their own, without anything else that needs a transaction


async def test_people_of_two_tenants_may_have_the_same_ids(tmp_path, mongo_uri):
    """Neither's chain nor list has anybody of the other; and a manager is looked for in the tenant alone."""
    other, schema = (
        a_token("hera", ["hr"], "umbrella"),
        BY_LOGIN.replace("versioning: {enabled: true}\n", "list: {}\n", 1),
    )
    config = a_config(tmp_path, CONFIG + "audit: {enabled: false}\n", schema, POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        for token, names in ((HR, ("ada", "bob", "cem")), (other, ("zoe", "ada", "yan", "cem"))):
            for one, above in zip(names, [None, *names], strict=False):
                manager = {} if above is None else {"manager_id": above}
                answer = await world.post("/users", {"_id": f"{token[-9:]}{one}", "login": one, **manager}, token=token)
                assert answer.status_code == 201, answer.text
        await require_true(world, "login")
        await files(world, "bob", "cem", "yan", "zoe")
        assert await seen(world, lead("ada")) == ["bob", "cem"]
        # An id of the gateway's own: nothing but the hierarchy asks for a transaction. Both tenants changed four times now.
        assert (await world.post("/users", {"login": "eve", "manager_id": "cem"}, token=HR)).status_code == 201
        await require_true(world, "login")
        await world.database["files"].insert_one({"_id": "their", "tenant_id": "umbrella", "owner_id": "bob"})
        assert await seen(world, lead("ada")) == ["bob", "cem"]
        assert await seen(world, lead("ada", tenant="umbrella")) == []
        assert await seen(world, lead("zoe")) == ["zoe"]
        assert await seen(world, lead("cem", "below")) == ["bob"]
        answer = await world.post("/users", {"_id": "x", "login": "x", "manager_id": "zoe"}, token=HR)
        assert rule_of(answer) == ["ref"]
        absent = await world.post("/users", {"_id": "x", "login": "x", "manager_id": "nobody"}, token=HR)
        assert absent.json() == answer.json()
        twice = await world.post("/users", {"_id": "x", "login": "ada"}, token=HR)
        assert twice.status_code == 409
        await require_true(world, "login")


async def test_who_is_no_longer_called_so_is_nobodys_manager(tmp_path, mongo_uri):
    policy = POLICY.replace("[manager_id]", "[manager_id, login]")
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=BY_LOGIN, policy=policy)) as world:
        await world.post("/users", {"_id": "1", "login": "ada"}, token=HR)
        await world.post("/users", {"_id": "2", "login": "bob", "manager_id": "ada"}, token=HR)
        assert (await world.ask("PATCH", "/users/1", {"login": "eve"}, token=HR)).status_code == 200
        assert (await by_rows(world.database))["acme", "bob"] == []
        assert (await world.ask("PATCH", "/users/1", {"login": "ada"}, token=HR)).status_code == 200
        assert (await by_rows(world.database))["acme", "bob"] == ["ada"]
        await require_true(world, "login")


# -- the one thing that a refusal tells


async def test_that_somebody_is_above_another_is_told_to_who_may_write_managers(tmp_path, mongo_uri):
    """A loop must be refused, also through people whom the writer does not see: pinned, and no more is told."""
    policy = POLICY.replace("  lead: {}\n", "  lead: {}\n  partly: {}\n").replace(
        "    clerk:\n",
        "    partly:\n      - {actions: [read, update], when: \"resource.name == 'seen'\", check: 'true', fields: {reassign: [manager_id]}}\n"
        "    clerk:\n",
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=policy)) as world:
        await hire(world, "ada", "bob", "cem")
        await hire(world, "zoe")
        for one in ("ada", "cem", "zoe"):
            assert (await world.ask("PATCH", f"/users/{one}", {"name": "seen"}, token=HR)).status_code == 200
        partly = a_token("pat", ["partly"])
        assert rule_of(await move(world, "ada", "cem", token=partly)) == ["hierarchy"]
        assert rule_of(await move(world, "zoe", "bob", token=partly)) == ["ref"]
        assert (await move(world, "zoe", "bob", token=partly)).json() == (
            await move(world, "zoe", "no", token=partly)
        ).json()
        assert (await move(world, "zoe", "cem", token=partly)).status_code == 200
