"""The policy's tests run, and a change of it compared, by requests: to whom, and what they never tell."""

import asyncio

import pytest

from permission_mongo import apart
from permission_mongo.config.load import load_config
from permission_mongo.impact.compare import compare
from permission_mongo.trials.run import run_tests
from tests.http.harness import SCHEMA, a_config, a_world
from tests.http.test_policy import CHIEF, GOVERNED, OTHERS, files

pytestmark = pytest.mark.mongo
TESTS = """
principals: {alice: {sub: alice, tenant: acme, roles: [user]}, eve: {sub: eve, tenant: evil, roles: [user]}}
documents: {notes: {n1: {tenant_id: acme, owner_id: alice, title: x}}}
tests:
  - {name: her own, principal: alice, action: read, collection: notes, ids: [n1]}
  - {name: none of hers, principal: eve, action: read, collection: notes, ids: []}
"""
TRIED, COMPARED = "/_pm/policy/test", "/_pm/policy/diff"
WIDER = GOVERNED.replace("clerk: {actions: [create]", "clerk: {actions: [create, delete]")


@pytest.fixture
async def world(mongo_uri, tmp_path):
    (tmp_path / "policy_tests.yml").write_text(TESTS)
    async with a_world(mongo_uri, a_config(tmp_path, policy=GOVERNED)) as world:
        yield world


async def test_the_loaded_tests_are_run_with_the_files_that_are_sent(world, tmp_path):
    loaded = load_config(tmp_path, {})
    told = (await world.post(TRIED, {}, token=CHIEF)).json()
    assert [(one["name"], one["faults"]) for one in told["tests"]] == [
        (one.case.name, list(one.faults)) for one in run_tests(loaded)
    ]
    assert (told["passed"], told["failed"]) == (2, 0)
    assert 0 < told["coverage"]["percent"] < 100
    closed = GOVERNED.replace("resource.owner_id == user.id", "resource.owner_id == 'nobody'")
    assert closed != GOVERNED
    told = (await world.post(TRIED, files(policy=closed), token=CHIEF)).json()
    assert [(one["name"], one["passed"]) for one in told["tests"]] == [("her own", False), ("none of hers", True)]
    assert any("does not hold" in fault for fault in told["tests"][0]["faults"])


async def test_tests_that_are_sent_are_run_instead(world, tmp_path):
    other = TESTS.replace("ids: [n1]", "ids: []")
    told = (await world.post(TRIED, files(policy_tests=other), token=CHIEF)).json()
    assert (told["passed"], told["failed"]) == (1, 1)
    assert (tmp_path / "policy_tests.yml").read_text() == TESTS


async def test_what_a_change_gives_is_told_as_the_command_tells_it(world, tmp_path):
    assert (await world.post(COMPARED, files(policy=GOVERNED), token=CHIEF)).json() == {"widens": False, "changes": []}
    told = (await world.post(COMPARED, files(policy=WIDER), token=CHIEF)).json()
    old = load_config(tmp_path, {})
    (tmp_path / "policy.yml").write_text(WIDER)
    changes = compare(old, load_config(tmp_path, {}))
    assert changes
    assert told["widens"] is True
    assert [(one["roles"], one["action"], one["kind"]) for one in told["changes"]] == [
        (list(one.roles), one.action, one.kind) for one in changes
    ]
    back = (await world.post(COMPARED, files(policy=WIDER) | {"roles": [["clerk", "user"]]}, token=CHIEF)).json()
    assert ["clerk", "user"] in [one["roles"] for one in back["changes"]]


async def test_both_are_for_admins(world):
    for who, token in OTHERS.items():
        for path in (TRIED, COMPARED):
            answer = await world.post(path, files(policy=GOVERNED), token=token)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), (who, path)


async def test_mistakes_are_told_with_their_places(world):
    broken = GOVERNED.replace("actions: [read]", "actions: [reed]")
    for path in (TRIED, COMPARED):
        answer = await world.post(path, files(policy=broken), token=CHIEF)
        assert answer.status_code == 400
        [finding] = answer.json()["error"]["details"]["findings"][:1]
        assert (finding["file"], "reed" in finding["message"]) == ("policy.yml", True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": {}},
        {"files": {"policy_tests.yml": TESTS}},
        {"files": {"policy.yml": GOVERNED}, "roles": "user"},
        {"files": {"policy.yml": GOVERNED}, "roles": [[]]},
        {"files": {"policy.yml": GOVERNED}, "roles": [["user", 1]]},
        {"files": {"policy.yml": GOVERNED}, "roles": [["usr"]]},
        {"files": {"policy.yml": GOVERNED}, "roles": [["user"]] * 21},
        {"files": {"policy.yml": GOVERNED}, "more": 1},
    ],
    ids=lambda one: str({**one, "files": list(one.get("files", ()))}),
)
async def test_what_can_not_be_compared_is_refused(world, body):
    assert (await world.post(COMPARED, body, token=CHIEF)).status_code == 400


async def test_no_answer_tells_a_value_of_the_environment(world, monkeypatch):
    monkeypatch.setenv("CANARY_SECRET", "hunter2")
    text = GOVERNED.replace("resource.status == 'open'", "resource.status == '${ENV.CANARY_SECRET}'")
    assert text != GOVERNED
    for path in (TRIED, COMPARED):
        answer = await world.post(path, files(policy=text), token=CHIEF)
        assert answer.status_code == 200
        assert "hunter2" not in answer.text
    assert "CANARY_SECRET" in answer.text


async def test_t13_a_pattern_that_is_sent_and_never_ends_holds_nobody_up(world, monkeypatch):
    """Python lets no other thread run while it matches: in this process no request would be answered meanwhile."""
    monkeypatch.setattr(apart, "LONGEST", 4)
    endless = SCHEMA.replace("title: {", 'title: {pattern: "^(a+)+$", ')
    assert endless != SCHEMA
    document = "{title: " + "a" * 30 + "!}"
    tests = f"""
principals: {{alice: {{sub: alice, tenant: acme, roles: [user]}}}}
tests:
  - {{principal: alice, action: create, collection: notes, document: {document}, expect: schema_validation}}
"""
    sent = files(schema=endless, policy=GOVERNED, policy_tests=tests)
    trying = asyncio.create_task(world.post(TRIED, sent, token=CHIEF))
    answered = 0
    while not trying.done():
        assert (await world.client.get("/health")).status_code == 200
        answered += 1
        await asyncio.sleep(0.05)
    answer = trying.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert answered >= 10
    monkeypatch.setattr(apart, "LONGEST", 20)
    assert (await world.post(TRIED, {}, token=CHIEF)).json()["passed"] == 2, "the next one need not wait for it"
