"""The audit over HTTP: what has an entry, who may read it, and what of it they are shown."""

import asyncio

import pytest

from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world

AUDITED = POLICY.replace(
    "root: {cross_tenant: true}}",
    "root: {cross_tenant: true}, auditor: {system: [audit]}, "
    "platform: {cross_tenant: true, system: [audit]}, admin: {system: [admin, explain, policy_write]}}",
)
AUDITOR = a_token("ann", ["auditor"])
READING = a_token("ann", ["auditor", "boss"])


def audited(folder, config="", policy=AUDITED):
    return a_config(folder, CONFIG + config, SCHEMA, policy)


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, audited(tmp_path)) as found:
        yield found


async def entries(world, query="", token=AUDITOR):
    await world.gateway.trail.settled()
    answer = await world.get(f"/_pm/audit{query}", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


# -- who may read it


@pytest.mark.parametrize("roles", [["user"], ["boss"], ["admin"], ["root"], ["nobody"], []])
async def test_without_the_right_nothing_is_told(world, roles):
    answer = await world.get("/_pm/audit", token=a_token("eve", roles))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert (await world.client.get("/_pm/audit")).status_code == 401


async def test_it_is_told_of_ones_own_tenant_alone(world):
    await world.add("a")
    await world.add("b", token=a_token("bob", tenant="other"))
    assert [one["ids"] for one in await entries(world)] == [["a"]]
    assert [one["ids"] for one in await entries(world, token=a_token("ann", ["auditor"], tenant="other"))] == [["b"]]
    assert await entries(world, token=a_token("ann", ["auditor"], tenant=None)) == []
    assert await entries(world, "?subject=bob") == []


async def test_who_crosses_tenants_by_the_role_that_has_the_right_is_told_of_all(world):
    await world.add("a")
    await world.add("b", token=a_token("bob", tenant="other"))
    found = await entries(world, token=a_token("pat", ["platform"]))
    assert [(one["tenant"], one["ids"]) for one in found] == [("other", ["b"]), ("acme", ["a"])]
    # Another role that crosses lends nothing to this one.
    assert [one["ids"] for one in await entries(world, token=a_token("pat", ["auditor", "root"]))] == [["a"]]


async def test_a_right_that_is_lost_ends_a_cursor(world):
    await world.add("a")
    await world.add("b")
    cursor = (await world.get("/_pm/audit?_limit=1", token=AUDITOR)).json()["pagination"]["cursor"]
    path = f"/_pm/audit?_limit=1&_cursor={cursor}"
    assert (await world.get(path, token=a_token("ann", ["user"]))).status_code == 403
    for other in (a_token("bob", ["auditor"]), a_token("ann", ["auditor"], "other"), a_token("ann", ["platform"])):
        answer = await world.get(path, token=other)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert (await world.get(path + "&action=create", token=AUDITOR)).status_code == 400
    assert [one["ids"] for one in (await world.get(path, token=AUDITOR)).json()["data"]] == [["a"]]


# -- what is in it


async def test_pages_are_newest_first_and_complete(world):
    for n in range(7):
        await world.add(f"n{n}")
    seen, path = [], "/_pm/audit?_limit=3"
    while True:
        page = (await world.get(path, token=AUDITOR)).json()
        seen += [one["ids"][0] for one in page["data"]]
        if not page["pagination"]["has_more"]:
            break
        path = f"/_pm/audit?_limit=3&_cursor={page['pagination']['cursor']}"
    assert seen == [f"n{n}" for n in reversed(range(7))]


async def test_an_update_names_the_version_it_made_and_the_fields_it_changed(world):
    await world.add("a", age=3, pay={"month": 1, "bonus": 2})
    await world.ask("PATCH", "/notes/a", {"$set": {"age": 4, "pay.bonus": 3, "title": "note a"}})
    [entry] = await entries(world, "?action=update", token=READING)
    assert entry["version"] == 2
    assert set(entry["paths"]) >= {"age", "pay.bonus"}
    assert not {"title", "pay.month", "_version", "_made"} & set(entry["paths"])
    assert entry["subject"] == "alice"
    answer = await world.get("/notes/a/diff/1/2")
    assert {one["field"] for one in answer.json()["changes"]} >= {"age", "pay.bonus"}


async def test_a_batch_update_names_what_it_changed_in_any_document(world):
    await world.add("a", age=3)
    await world.add("b", age=5, email="b@example.org")
    body = {"ids": ["a", "b"], "update": {"$set": {"age": 4, "email": "b@example.org"}}}
    answer = await world.ask("PUT", "/notes/batch", body)
    assert answer.status_code == 200, answer.text
    batch = answer.json()["batch"]
    [entry] = await entries(world, f"?batch={batch}", token=READING)
    assert set(entry["paths"]) >= {"age", "email"}
    assert sorted(entry["ids"]) == ["a", "b"]
    assert "title" not in entry["paths"]


async def test_changes_are_not_named_where_that_is_turned_off(mongo_uri, tmp_path):
    async with a_world(mongo_uri, audited(tmp_path, "audit: {include_changes: false}\n")) as world:
        await world.add("a", age=3)
        await world.ask("PATCH", "/notes/a", {"age": 4})
        await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"$set": {"age": 5}}})
        assert [one.get("paths") for one in await entries(world, "?action=update", token=READING)] == [None, None]


async def test_fields_are_told_to_those_who_read_them_in_every_row_they_see(world):
    await world.add("a", age=3, ssn="1", pay={"month": 1})
    await world.ask("PATCH", "/notes/a", {"age": 4, "ssn": "2", "pay": {"month": 2}})

    async def told(*roles):
        [entry] = await entries(world, "?action=update", token=a_token("ann", ["auditor", *roles]))
        return set(entry["paths"]) & {"age", "ssn", "pay.month"}

    assert await told() == set()
    assert await told("clerk") == set()  # may create, and not read
    # Of rules that hold always one that reads it is enough.
    assert await told("boss", "viewer") == {"age", "ssn", "pay.month"}
    assert await told("viewer") == {"age"}
    assert await told("user") == {"age"}  # in its own rows more, in those of its viewer no more; `ssn` is masked
    policy_of_all = a_token("ann", ["auditor", "root"])
    [entry] = await entries(world, "?action=update", token=policy_of_all)
    assert set(entry["paths"]) >= {"age", "ssn", "pay.month"}


async def test_what_is_read_by_rules_that_do_not_cross_is_not_told_of_other_tenants(world):
    await world.add("a", age=3)
    await world.ask("PATCH", "/notes/a", {"age": 4})
    other = a_token("pat", ["platform", "viewer"], "other")
    [entry] = await entries(world, "?action=update", token=other)
    assert (entry["tenant"], entry["paths"]) == ("acme", [])
    [entry] = await entries(world, "?action=update", token=a_token("pat", ["platform", "viewer"]))
    assert "age" in entry["paths"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?subject=alice", 2),
        ("?subject=bob", 1),
        ("?action=delete", 1),
        ("?collection=notes", 3),
        ("?collection=notes&id=a", 2),
        ("?collection=notes&id=a&action=delete", 1),
        ("?request_id=mine", 1),
        ("?collection=plain", 0),
        ("?kind=write", 3),
        ("?kind=refusal", 0),
        ("?_from=2020-01-01", 3),
        ("?_from=2100-01-01", 0),
        ("?_to=2020-01-01", 0),
        ("?_to=2100-01-01&_from=2001-01-01", 3),
        ("?_from=9999-12-31", 0),
        ("?_to=1900-01-01", 0),
        ("?batch=none", 0),
    ],
)
async def test_it_is_asked_by_what_entries_hold(world, query, found):
    await world.post("/notes", {"title": "x"}, headers={"x-request-id": "mine"}, token=a_token("bob"))
    await world.post("/notes", {"_id": "a", "title": "x"})
    await world.ask("DELETE", "/notes/a")
    assert len(await entries(world, query)) == found


@pytest.mark.parametrize(
    "query",
    [
        "?id=a",
        "?id=a&collection=nowhere",
        "?id=x&collection=plain",
        "?kind=other",
        "?subject=",
        "?unknown=1",
        "?_sort=at",
        "?_limit=0",
        "?_limit=1001",
        "?_limit=x",
        "?_from=yesterday",
        "?_cursor=x",
        "?subject=a&subject=b",
        "?subject=%00",
        '?subject={"$ne":null}&user_id=x',
        "?_from=2026-01-31&_from=2026-01-31",
    ],
)
async def test_what_is_not_understood_is_refused(world, query):
    assert (await world.get(f"/_pm/audit{query}", token=AUDITOR)).status_code == 400


async def test_an_operator_in_a_value_is_a_text(world):
    await world.add("a")
    assert await entries(world, '?subject={"$ne":null}') == []


async def test_of_many_ids_the_first_are_told_and_all_counted(world):
    await world.add(*(f"n{n}" for n in range(150)))
    [entry] = await entries(world)
    assert (len(entry["ids"]), entry["count"]) == (100, 150)


# -- refusals


async def test_a_refusal_has_an_entry_with_its_code_and_no_value(world):
    await world.add("a")
    await world.post("/notes", {"title": "canary-title", "salary": "canary-value"}, headers={"x-request-id": "r1"})
    await world.get("/notes/absent")
    await world.get("/notes?_filter=%7B%22ssn%22%3A%22canary%22%7D", token=a_token("eve", ["viewer"]))
    await world.get("/nowhere")
    found = await entries(world, "?kind=refusal", token=a_token("ann", ["auditor", "root"]))
    told = {(one["subject"], one["action"], one["collection"], one["code"]) for one in found}
    assert told == {
        ("alice", "create", "notes", "forbidden"),
        ("alice", "read", "notes", "document_not_found"),
        ("eve", "read", "notes", "forbidden"),
        ("alice", "read", "nowhere", "collection_not_found"),
    }
    [of_get] = [one for one in found if one["code"] == "document_not_found"]
    assert of_get["ids"] == ["absent"]
    assert [one["paths"] for one in found if one["request_id"] == "r1"] == [["salary"]]
    assert [one["paths"] for one in found if one["subject"] == "eve"] == [["ssn"]]
    stored = repr(await world.database["_pm_audit"].find({"kind": "refusal"}).to_list())
    assert "canary" not in stored


async def test_fields_that_others_asked_for_are_told_as_those_that_they_changed(world):
    await world.get("/notes?ssn=1", token=a_token("eve", ["viewer"]))
    await world.get("/notes?invented=1", token=a_token("eve", ["viewer"]))
    for roles in (["auditor"], ["auditor", "user"]):
        found = await entries(world, "?kind=refusal", token=a_token("ann", roles))
        assert [one["paths"] for one in found] == [[], []]
    assert [one["paths"] for one in await entries(world, "?kind=refusal", token=READING)] == [["invented"], ["ssn"]]


async def test_nobody_and_failures_of_ours_have_no_entry(world):
    await world.client.get("/notes")
    await world.client.get("/notes", headers={"authorization": "Bearer x"})
    await world.get("/no/such/route/at/all")
    assert await entries(world) == []


async def test_a_namespace_that_is_not_ones_own_is_a_refusal_too(world):
    await world.get("/notes", headers={"x-namespace": "theirs"})
    [entry] = await entries(world, "?kind=refusal")
    assert (entry["code"], entry["action"]) == ("forbidden", "read")


async def test_a_flood_of_refusals_is_cut_counted_and_drives_nobody_out(world):
    for _ in range(5):
        await asyncio.gather(*(world.get("/notes/absent") for _ in range(100)))
    await world.get("/notes/absent", token=a_token("bob"))
    found = await entries(world, "?kind=refusal&_limit=1000")
    assert 50 <= len([one for one in found if one["subject"] == "alice"]) < 400
    assert len([one for one in found if one["subject"] == "bob"]) == 1
    text = (await world.client.get("/metrics")).text
    assert 'permission_mongo_audit_dropped_total{why="flood"}' in text


async def test_refusals_are_not_kept_where_nothing_is_audited(mongo_uri, tmp_path):
    async with a_world(mongo_uri, audited(tmp_path, "audit: {enabled: false, log_reads: true}\n")) as world:
        await world.add("a")
        await world.get("/notes/a")
        await world.get("/notes/absent")
        assert await entries(world) == []


# -- reads


async def test_reads_are_noted_where_they_are_asked_for(mongo_uri, tmp_path):
    async with a_world(mongo_uri, audited(tmp_path, "audit: {log_reads: true}\n")) as world:
        await world.add("a", "b", age=4)
        await world.get("/notes/a")
        await world.get("/notes?age=4&_sort=title&_fields=title")
        await world.post("/notes/count", {"filter": {"age": {"$gt": 2}}})
        await world.post("/notes/batch/get", {"ids": ["b", "absent"]})
        await world.get("/notes/a/versions")
        found = await entries(world, "?kind=read", token=a_token("ann", ["auditor", "root"]))
        told = [(one["ids"], one["count"], one["paths"]) for one in reversed(found)]
        assert told == [
            (["a"], 1, []),
            (["a", "b"], 2, ["age", "title"]),
            ([], 2, ["age"]),
            (["b"], 1, []),
            (["a"], 1, []),
        ]
        assert [one["action"] for one in await entries(world, "?kind=read&action=audit")] == ["audit"]


async def test_reads_are_not_noted_otherwise(world):
    await world.add("a")
    await world.get("/notes/a")
    assert await entries(world, "?kind=read") == []
