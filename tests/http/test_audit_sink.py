"""`audit.sink: both`: a receiver is told of each entry, with the write or not at all."""

import asyncio
from pathlib import Path

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world
from tests.receivers import SECRET, a_receiver

BOSS = a_token("boss", ["boss"])


def to(url: str, sink="both", more="") -> str:
    webhook = f"webhook: {{url: '{url}', secret: '{SECRET}', timeout: 2s}}"
    return f"{CONFIG}hooks: {{allow_addresses: [127.0.0.1]}}\naudit: {{sink: {sink}, {webhook}{more}}}\n"


@pytest.fixture
async def receiver():
    async with a_receiver() as found:
        yield found


@pytest.fixture
async def world(mongo_uri, tmp_path, receiver):
    async with a_world(mongo_uri, a_config(tmp_path, to(receiver.url, more=", log_reads: true"))) as found:
        yield found


@pytest.mark.mongo
async def test_every_entry_is_told_once_signed_and_without_values(world, receiver):
    await world.add("a", ssn="123456789")
    await world.ask("PATCH", "/notes/a", {"age": 1})
    await world.get("/notes/a")
    refused = await world.ask("PATCH", "/notes/a", {"tenant_id": "evil"})
    gone = await world.delete("/notes/batch", {"ids": ["a"]})
    assert (refused.status_code, gone.status_code) == (403, 200)
    await world.gateway.trail.settled()
    told = await receiver.until(5)
    stored = await world.database["_pm_audit"].find({}).to_list()
    assert sorted(one["entry"] for one in told) == sorted(str(one["_id"]) for one in stored)
    assert {one["type"] for one in told} == {"audit.entry"}
    assert sorted((one["action"], one.get("kind", "write")) for one in told) == [
        ("create", "write"),
        ("delete", "write"),
        ("read", "read"),
        ("update", "refusal"),
        ("update", "write"),
    ]
    assert all(one.is_signed() for one in receiver.heard)
    assert not any(b"123456789" in one.body or b"note a" in one.body for one in receiver.heard)


@pytest.mark.mongo
async def test_what_is_not_committed_is_not_told(world, receiver):
    await world.add("a")
    await receiver.until(1)
    taken = await world.post("/notes", {"_id": "a", "title": "again"})
    assert taken.status_code == 409
    atomic = {"documents": [{"_id": "b", "title": "b"}, {"_id": "a", "title": "a"}], "atomic": True}
    assert (await world.post("/notes/batch", atomic)).status_code == 409
    await world.gateway.trail.settled()
    await receiver.until(3)
    await asyncio.sleep(0.3)
    assert [one.get("kind", "write") for one in receiver.told].count("write") == 1


@pytest.mark.mongo
async def test_of_a_large_batch_is_told_what_was_done_and_not_what_was_asked_for(world, receiver):
    sent = [{"title": 5 if n == 140 else "n"} for n in range(150)]
    answer = await world.post("/notes/batch", {"documents": sent})
    assert (answer.status_code, len(answer.json()["created"])) == (207, 149)
    await world.gateway.trail.settled()
    told = await receiver.until(1)
    assert [(one["action"], one["count"]) for one in told if one.get("kind", "write") == "write"] == [("create", 149)]


@pytest.mark.mongo
async def test_without_it_nobody_is_told(mongo_uri, tmp_path, receiver):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as world:
        await world.add("a")
        assert await world.database["_pm_outbox"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("audit", "told"),
    [
        ("sink: webhook, webhook: {url: 'https://a.example', secret: 0123456789abcdef01234567}", "use 'both'"),
        ("sink: both", "a webhook has a 'url'"),
        ("sink: both, webhook: {url: 'https://a.example'}", "at least 24 bytes"),
        ("sink: both, webhook: {url: 'ftp://a.example', secret: 0123456789abcdef01234567}", "the 'url' of a webhook"),
        ("webhook: {url: 'https://a.example', secret: 0123456789abcdef01234567}", "is told of nothing"),
        ("sink: syslog", "is one of"),
    ],
)
def test_a_sink_that_can_not_be_is_told_at_load(tmp_path: Path, audit, told):
    for name, text in (
        ("config.yaml", f"{CONFIG}audit: {{{audit}}}\n"),
        ("schema.yml", SCHEMA),
        ("policy.yml", POLICY),
    ):
        (tmp_path / name).write_text(text)
    with pytest.raises(Misconfigured, match=told):
        load_config(tmp_path, {})
