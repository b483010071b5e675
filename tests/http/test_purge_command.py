"""`permission-mongo purge`: the route's work, by who runs the gateway."""

import asyncio

import pytest

from permission_mongo.cli.main import main
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_token

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


@pytest.fixture
async def purge(world, mongo_uri, monkeypatch, tmp_path_factory):
    """The command, on the world's database: its exit code."""
    folder = tmp_path_factory.mktemp("purge")
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    monkeypatch.setenv("MONGODB_DATABASE", world.database.name)
    for name, text in (("config.yaml", CONFIG), ("schema.yml", SCHEMA), ("policy.yml", POLICY)):
        (folder / name).write_text(text)

    async def run(*words: str) -> int:
        return await asyncio.to_thread(main, ["purge", *words, "--config", str(folder)])

    return run


async def test_a_document_goes_with_its_versions_and_the_audit_says_who_and_why(world, purge, capsys):
    await world.add("a", title="secret")
    await world.ask("PATCH", "/notes/a", {"title": "again"})
    assert await purge("notes", "a", "--tenant", "acme", "--reason", "request 7", "--by", "olga") == 0
    assert capsys.readouterr().out == "purged a and 1 version\n"
    assert await world.stored("a") == []
    assert await world.database["_pm_versions"].count_documents({"doc_id": "a"}) == 0
    [entry] = await world.database["_pm_audit"].find({"action": "purge"}).to_list()
    assert (entry["user_id"], entry["tenant_id"], entry["reason"]) == ("operator:olga", "acme", "request 7")
    assert (entry["ids"], entry["credential"]) == (["a"], "command line")
    assert "secret" not in str(entry)


async def test_a_deleted_document_can_be_purged(world, purge, capsys):
    await world.add("a")
    assert (await world.ask("DELETE", "/notes/a")).status_code == 200
    assert await purge("notes", "a", "--tenant", "acme", "--reason", "r") == 0
    assert await world.database["_pm_versions"].count_documents({"doc_id": "a"}) == 0


async def test_another_tenants_document_stays_and_is_told_as_absent(world, purge, capsys):
    await world.add("a")
    told = []
    for one in ("a", "absent"):
        assert await purge("notes", one, "--tenant", "evil", "--reason", "r") == 3
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert await world.stored("a") == ["a"]


async def test_what_belongs_to_no_tenant_takes_none(world, purge, capsys):
    made = await world.post("/plain", {"name": "n"}, token=a_token("bea", ["boss"]))
    assert await purge("plain", made.json()["_id"], "--tenant", "acme", "--reason", "r") == 3
    assert "takes no --tenant" in capsys.readouterr().err
    assert await purge("plain", made.json()["_id"], "--reason", "r") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["notes", "a", "--reason", "r"], "needs --tenant"),
        (["note", "a", "--reason", "r"], "no such collection"),
        (["_pm_audit", "a", "--reason", "r"], "no such collection"),
        (["notes", "a", "--reason", "", "--tenant", "acme"], "--reason"),
        (["notes", "a", "--reason", "r", "--tenant", "acme", "--by", "a\nb"], "--by"),
    ],
)
async def test_what_can_not_be_purged_is_told_in_a_sentence(world, purge, capsys, words, message):
    await world.add("a")
    assert await purge(*words) == 3
    assert message in capsys.readouterr().err
    assert await world.stored("a") == ["a"]
