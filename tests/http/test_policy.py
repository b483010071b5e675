"""The policy's files by requests: shown, checked, replaced; to whom, and what they never tell."""

import asyncio
import os
from hashlib import sha256

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
GOVERNED = POLICY.replace(
    "root: {cross_tenant: true}",
    "root: {cross_tenant: true, system: [admin, policy_write]}, chief: {inherits: [root], system: [admin]}, "
    "scribe: {system: [policy_write]}, heir: {inherits: [chief]}, above: {cross_tenant: true, system: [admin]}",
)
WRITABLE = CONFIG + "console: {write: true}\n"
CHIEF, ROOT = a_token("carol", ["chief"]), a_token("zeus", ["root"], None)
OTHERS = {
    "a stranger": a_token("eve", ["user"], "evil"),
    "a user": a_token(),
    "who inherits the right": a_token("henry", ["heir"]),
    "no role": a_token(roles=[]),
}


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, WRITABLE, policy=GOVERNED)) as world:
        yield world


def tag(text: str) -> dict[str, str]:
    return {"if-match": f'"{sha256(text.encode()).hexdigest()}"'}


def files(**texts: str) -> dict:
    return {"files": {f"{name}.yml": text for name, text in texts.items()}}


async def put(world, text: str, token=ROOT, headers=None):
    return await world.ask(
        "PUT", "/_pm/policy", files(policy=text), token=token, headers=tag(GOVERNED) if headers is None else headers
    )


async def test_the_files_are_shown_as_they_are_written_to_admins_alone(world):
    answer = await world.get("/_pm/policy", token=CHIEF)
    told = answer.json()["files"]
    assert told["policy.yml"] == {"text": GOVERNED, "sha256": sha256(GOVERNED.encode()).hexdigest()}
    assert told["schema.yml"]["text"] == SCHEMA
    assert set(told) == {"policy.yml", "schema.yml"}, "config.yaml may hold secrets"
    assert answer.headers["etag"] == f'"{told["policy.yml"]["sha256"]}"'
    for who, token in OTHERS.items():
        answer = await world.get("/_pm/policy", token=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), who


async def test_what_the_environment_puts_in_is_not_shown(mongo_uri, tmp_path, monkeypatch):
    monkeypatch.setenv("CANARY", "user")
    text = GOVERNED + "# ${ENV.CANARY}\n"
    async with a_world(mongo_uri, a_config(tmp_path, policy=text)) as world:
        shown = (await world.get("/_pm/policy", token=CHIEF)).json()["files"]["policy.yml"]["text"]
        assert shown == text


# -- check


async def test_a_check_names_every_mistake_with_its_place_as_the_command_does(world, tmp_path):
    broken = GOVERNED.replace("actions: [read]", "actions: [reed]").replace("resource.owner_id", "resource.owner")
    (tmp_path / "policy.yml").write_text(broken)
    with pytest.raises(Misconfigured) as caught:
        load_config(tmp_path, {})
    answer = await world.post("/_pm/policy/check", files(policy=broken), token=CHIEF)
    assert answer.status_code == 200
    told = answer.json()
    assert told["fine"] is False
    assert [(one["file"], one["line"], one["message"]) for one in told["findings"]] == [
        (one.file, one.line, one.message) for one in caught.value.findings
    ]
    assert (await world.post("/_pm/policy/check", files(policy=GOVERNED), token=CHIEF)).json()["fine"] is True


async def test_a_check_is_made_with_the_loaded_files_beside_those_that_were_sent(world):
    smaller = SCHEMA[: SCHEMA.index("  plain:")]
    told = (await world.post("/_pm/policy/check", files(schema=smaller), token=CHIEF)).json()
    assert any("plain" in one["message"] for one in told["findings"])
    renamed = {"files": {"schema.yaml": smaller, "policy.yaml": "roles: {}"}}
    told = (await world.post("/_pm/policy/check", renamed, token=CHIEF)).json()
    assert told["fine"]
    assert [(one["code"], one["file"]) for one in told["findings"]] == [("unread-collection", "schema.yaml")]


async def test_a_check_is_for_admins_and_changes_nothing(world, tmp_path):
    for who, token in OTHERS.items():
        assert (await world.post("/_pm/policy/check", files(policy="x"), token=token)).status_code == 403, who
    await world.post("/_pm/policy/check", files(policy="roles: {}"), token=CHIEF)
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_no_finding_tells_a_value_of_the_environment(world, monkeypatch):
    """A role named after a variable would be told as an unknown one, by its value."""
    monkeypatch.setenv("CANARY_SECRET", "hunter2")
    for text in (
        GOVERNED.replace("clerk: {actions", "'${ENV.CANARY_SECRET}': {actions"),
        GOVERNED.replace("actions: [create], when", "actions: ['${ENV.CANARY_SECRET}'], when"),
        GOVERNED.replace("resource.status == 'open'", "resource.${ENV.CANARY_SECRET} == 1"),
        GOVERNED.replace("inherits: [viewer]", "inherits: ['${ENV.CANARY_SECRET}']"),
    ):
        assert text != GOVERNED
        answer = await world.post("/_pm/policy/check", files(policy=text), token=CHIEF)
        assert "hunter2" not in answer.text
        assert answer.json()["findings"]
        refused = await put(world, text)
        assert refused.status_code == 400
        assert "hunter2" not in refused.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": {}},
        {"files": []},
        {"files": {"policy.yml": 1}},
        {"files": {"config.yaml": ""}},
        {"files": {"../policy.yml": ""}},
        {"files": {"hooks.yml": ""}},
        {"files": {"policy.yml": "", "policy.yaml": ""}},
        {"files": {"policy.yml": ""}, "more": 1},
    ],
    ids=str,
)
async def test_what_is_no_set_of_files_is_refused(world, body):
    assert (await world.post("/_pm/policy/check", body, token=CHIEF)).status_code == 400
    answer = await world.ask("PUT", "/_pm/policy", body, token=ROOT, headers=tag(GOVERNED))
    assert answer.status_code == 400


@pytest.mark.parametrize("text", ["", "\x07", "a: &a [*a]", "- x", "roles: [", "a: " + "[" * 100, "&x " * 9], ids=repr)
async def test_no_text_makes_a_fault(world, text):
    answer = await world.post("/_pm/policy/check", files(policy=text, schema=text), token=CHIEF)
    assert (answer.status_code, answer.json()["fine"]) == (200, False)


async def test_files_that_take_long_are_not_checked_here(world):
    large = "# " + "x" * 2**20
    answer = await world.post("/_pm/policy/check", files(policy=large), token=CHIEF)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")


# -- write


async def test_the_policy_is_replaced_whole_and_tells_its_new_hash(world, tmp_path):
    path, text = tmp_path / "policy.yml", GOVERNED + "# later\n"
    path.chmod(0o640)
    answer = await put(world, text)
    assert answer.status_code == 200, answer.text
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o640
    assert answer.json() == {"file": "policy.yml", "sha256": sha256(text.encode()).hexdigest()}
    assert answer.headers["etag"] == f'"{answer.json()["sha256"]}"'
    assert sorted(one.name for one in tmp_path.iterdir()) == ["config.yaml", "policy.yml", "schema.yml"]
    noted = await world.database["_pm_audit"].find_one({"action": "policy_write"})
    assert (noted["user_id"], noted["asked"]) == ("zeus", {"file": "policy.yml"})
    again = await put(world, GOVERNED)
    assert (again.status_code, again.json()["error"]["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize("headers", [{}, {"if-match": "*"}, {"if-match": '"x"'}, {"if-match": 'W/"x"'}], ids=str)
async def test_it_is_replaced_only_as_it_was_read(world, tmp_path, headers):
    weak = {"if-match": f"W/{tag(GOVERNED)['if-match']}"} if "W/" in str(headers) else headers
    answer = await put(world, GOVERNED + "#\n", headers=weak)
    assert answer.status_code in (400, 412)
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_a_policy_that_would_not_start_is_not_written(world, tmp_path):
    answer = await put(world, GOVERNED.replace("actions: [read]", "actions: [reed]"))
    assert answer.status_code == 400
    assert "reed" in answer.json()["error"]["details"]["findings"][0]["message"]
    missing = await put(world, GOVERNED + "version: '${ENV.NOT_HERE_AT_ALL}'\n")
    assert missing.status_code == 400
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_it_is_written_with_the_right_of_all_tenants_alone(world, tmp_path):
    scribe = a_token("sam", ["scribe"])
    for who, token in {
        **OTHERS,
        "an admin": CHIEF,
        "no tenant crossed": scribe,
        "above": a_token("a", ["above"]),
        "the right by one role and the tenants by another": a_token("b", ["above", "scribe"]),
    }.items():
        answer = await put(world, GOVERNED + "#\n", token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), who
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_without_the_switch_nobody_writes(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, policy=GOVERNED)) as world:
        answer = await put(world, GOVERNED + "#\n")
        assert (answer.status_code, "console.write" in answer.text) == (403, True)
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_a_link_stays_a_link_and_what_it_names_is_replaced(mongo_uri, tmp_path):
    config = a_config(tmp_path, WRITABLE, policy=GOVERNED)
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    os.replace(tmp_path / "policy.yml", kept / "policy.yml")
    (tmp_path / "policy.yml").symlink_to(kept / "policy.yml")
    async with a_world(mongo_uri, config) as world:
        assert (await put(world, GOVERNED + "#\n")).status_code == 200
    assert (tmp_path / "policy.yml").is_symlink()
    assert (kept / "policy.yml").read_text() == GOVERNED + "#\n"


async def test_of_many_writers_at_once_one_writes(world, tmp_path):
    answers = await asyncio.gather(*(put(world, f"{GOVERNED}# {n}\n") for n in range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [412] * 7
    winner = next(one for one in answers if one.status_code == 200).json()["sha256"]
    assert sha256((tmp_path / "policy.yml").read_bytes()).hexdigest() == winner


async def test_a_policy_by_request_reads_no_further_variable_of_the_machine(world, tmp_path, monkeypatch):
    """What a rule compares with is told by explain: it would read the secrets of the gateway to who may write it."""
    monkeypatch.setenv("CANARY_SECRET", "open sesame")
    for name in ("${ENV.CANARY_SECRET}", "${ENV.CANARY_SECRET:-none}", r"\x24{ENV.CANARY_SECRET}"):
        text = GOVERNED.replace("'closed'\"", f"'closed' || resource.title == '{name}'\"")
        assert text != GOVERNED
        answer = await put(world, text)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request"), name
        assert "CANARY_SECRET" in answer.text
        assert "sesame" not in answer.text
    assert (tmp_path / "policy.yml").read_text() == GOVERNED


async def test_a_policy_by_request_keeps_the_variables_that_it_had(mongo_uri, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOWN", "x")
    here = GOVERNED.replace("'closed'\"", "'closed' || resource.title == '${ENV.SHOWN:-x}'\"")
    async with a_world(mongo_uri, a_config(tmp_path, WRITABLE, policy=here)) as world:
        without = here.replace(":-x", "")
        monkeypatch.delenv("SHOWN")
        missing = await put(world, without, headers=tag(here))
        assert (missing.status_code, "SHOWN" in missing.text) == (400, False), "nothing is told of the machine"
        monkeypatch.setenv("SHOWN", "x")
        answer = await put(world, without, headers=tag(here))
        assert answer.status_code == 200, answer.text
        (tmp_path / "policy.yml").unlink()
        gone = await put(world, here, headers={"if-match": '""'})
        assert gone.status_code < 500
