"""Hooks after a write: every change is told once it is committed, signed, in order per document, and to nobody else."""

import asyncio
import logging

import pytest

from permission_mongo.cli.main import main
from permission_mongo.delivering import pause_after
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world
from tests.receivers import CANARY, SECRET, a_receiver

pytestmark = pytest.mark.mongo
ALLOWED = CONFIG + "hooks: {allow_addresses: [127.0.0.1]}\n"
BOSS = a_token("boss", ["boss"])


def hooks_to(url: str, *, fields="", retries=20, secret=SECRET, more="") -> str:
    hook = f"{{action: http, url: '{url}', secret: '{secret}', timeout: 2s, retries: {retries}{fields}{more}}}"
    return f"hooks: {{notes: {{post_create: [{hook}], post_update: [{hook}], post_delete: [{hook}]}}}}"


@pytest.fixture
async def receiver():
    async with a_receiver() as found:
        yield found


def a_told_world(mongo_uri, folder, receiver, config=ALLOWED, **options):
    return a_world(mongo_uri, a_config(folder, config, SCHEMA, POLICY, hooks_to(receiver.url, **options)))


async def emptied(world, seconds=10.0):
    async with asyncio.timeout(seconds):
        while await world.database["_pm_outbox"].count_documents({"state": "pending"}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_every_kind_of_write_is_told_signed_and_without_content(mongo_uri, tmp_path, receiver):
    async with a_told_world(mongo_uri, tmp_path, receiver) as world:
        await world.add("a", ssn="123456789")
        await world.ask("PATCH", "/notes/a", {"age": 1})
        await world.ask("POST", "/notes/a/restore/1")
        await world.ask("DELETE", "/notes/a")
        told = await receiver.until(4)
        assert [one["type"].removeprefix("document.") for one in told] == ["created", "updated", "updated", "deleted"]
        assert [(one["version"], one["action"]) for one in told] == [
            (1, "create"),
            (2, "update"),
            (3, "restore"),
            (3, "delete"),
        ]
        assert {(one["collection"], one["document"], one["by"], one["tenant"]) for one in told} == {
            ("notes", "a", "alice", "acme")
        }
        assert all(one.is_signed() for one in receiver.heard)
        assert all(one.headers["webhook-id"] == one.said["id"] for one in receiver.heard)
        assert len({one["id"] for one in told}) == 4
        assert not any(b"123456789" in one.body or b"note a" in one.body for one in receiver.heard)
        await emptied(world)
        assert await world.database["_pm_outbox"].count_documents({}) == 0


async def test_batches_are_told_document_by_document(mongo_uri, tmp_path, receiver):
    async with a_told_world(mongo_uri, tmp_path, receiver) as world:
        await world.add("a", "b")
        await world.ask("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"$set": {"age": 1}}})
        gone = await world.delete("/notes/batch", {"filter": {"age": 1}})
        await world.post(f"/notes/batch/{gone.json()['batch']}/undo", {})
        told = await receiver.until(8)
        for one in "ab":
            assert [(each["type"], each["version"]) for each in told if each["document"] == one] == [
                ("document.created", 1),
                ("document.updated", 2),
                ("document.deleted", 2),
                ("document.created", 4),
            ]
        assert all(one["batch"] for one in told)


@pytest.mark.parametrize(("hook", "heard"), [("post_create", 5), ("post_update", 4), ("post_delete", 4)])
async def test_who_hears_of_one_kind_of_write_hears_of_that_alone_and_no_other_kind_minds(
    mongo_uri, tmp_path, receiver, hook, heard
):
    one = hooks_to(receiver.url).split("post_create: ")[1].split(", post_update")[0]
    config = a_config(tmp_path, ALLOWED, SCHEMA, POLICY, f"hooks: {{notes: {{{hook}: {one}}}}}")
    async with a_world(mongo_uri, config) as world:
        await world.add("a", "b", token=BOSS)
        writes = (
            ("POST", "/notes", {"_id": "c", "title": "c"}),
            ("PATCH", "/notes/c", {"age": 1}),
            ("PUT", "/notes/c", {"title": "d"}),
            ("PUT", "/notes/batch", {"ids": ["a", "b"], "update": {"$set": {"age": 1}}}),
            ("DELETE", "/notes/batch", {"ids": ["a"]}),
            ("DELETE", "/notes/batch", {"filter": {"title": "note b"}}),
            ("DELETE", "/notes/c", None),
            ("POST", "/notes/c/restore/1", None),
        )
        answers = [await world.ask(*asked, token=BOSS) for asked in writes]
        assert [(one.request.method, one.text) for one in answers if one.status_code >= 300] == []
        undone = await world.post(f"/notes/batch/{answers[4].json()['batch']}/undo", {}, token=BOSS)
        assert undone.json()["restored"] == 1, undone.text
        gone = await world.ask("POST", "/notes/b/purge", {"reason": "asked"}, token=BOSS)
        assert gone.status_code == 200, gone.text
        await emptied(world)
        kind = {"post_create": "created", "post_update": "updated", "post_delete": "deleted"}[hook]
        assert [told["type"] for told in receiver.told] == [f"document.{kind}"] * len(receiver.told)
        assert len(receiver.told) == heard, receiver.told


async def test_a_batch_update_is_undone_and_told(mongo_uri, tmp_path, receiver):
    async with a_told_world(mongo_uri, tmp_path, receiver) as world:
        await world.add("a")
        done = await world.ask("PUT", "/notes/batch", {"ids": ["a"], "update": {"$set": {"age": 1}}})
        await world.post(f"/notes/batch/{done.json()['batch']}/undo", {})
        told = await receiver.until(3)
        assert [(one["type"], one["version"]) for one in told][1:] == [("document.updated", 2), ("document.updated", 3)]


async def test_granted_fields_are_told_and_no_others(mongo_uri, tmp_path, receiver):
    fields = ", fields: [title, age, pay.month]"
    async with a_told_world(mongo_uri, tmp_path, receiver, fields=fields) as world:
        await world.add("a", ssn="123456789", age=1, pay={"month": 2, "bonus": 3})
        await world.ask("PATCH", "/notes/a", {"age": 2, "ssn": "987654321"})
        made, changed = await receiver.until(2)
        assert made["values"] == {"title": "note a", "age": 1, "pay.month": 2}
        assert (changed["changed"], changed["values"]["age"]) == (["age"], 2)
        assert not any(b"ssn" in one.body or b"bonus" in one.body for one in receiver.heard)


async def test_what_is_not_committed_is_told_to_nobody(mongo_uri, tmp_path, receiver):
    async with a_told_world(mongo_uri, tmp_path, receiver) as world:
        await world.post("/notes", {"title": "x" * 99})
        await world.post("/notes/batch", {"documents": [{"title": "x"}], "dry_run": True})
        await world.post("/notes/batch", {"documents": [{"title": "x"}, {"age": "y"}], "atomic": True})
        await world.add("a")
        await world.ask("PATCH", "/notes/a", {"title": "note a"})
        told = await receiver.until(1)
        await asyncio.sleep(0.7)
        assert [one["document"] for one in told] == ["a"]
        assert len(receiver.heard) == 1


async def test_the_next_of_a_document_waits_and_others_do_not(mongo_uri, tmp_path):
    """The first of `a` fails until its third attempt: its second comes behind it, and `b` at once."""
    tries = []

    def answer(heard):
        if heard.said["document"] == "a" and len(tries) < 2:
            tries.append(heard)
            return 503, b""
        return 200, b""

    async with a_receiver(answer=answer) as receiver, a_told_world(mongo_uri, tmp_path, receiver) as world:
        await world.add("a")
        await world.ask("PATCH", "/notes/a", {"age": 1})
        await world.add("b")
        told = await receiver.until(5)
        fine = [(one["document"], one["type"]) for one in told if one not in [heard.said for heard in tries]]
        assert [one["document"] for one in told].count("a") == 4
        of_a = [one["type"] for one in told if one["document"] == "a"]
        assert of_a == ["document.created"] * 3 + ["document.updated"]
        assert len({one["id"] for one in told if one["type"] == "document.created" and one["document"] == "a"}) == 1
        assert ("b", "document.created") in fine
        assert [one["document"] for one in told].index("b") < 3


async def test_after_its_last_attempt_an_entry_is_dead_and_stands_in_nobodys_way(mongo_uri, tmp_path):
    answer = lambda heard: (200 if heard.said["type"] == "document.updated" else 500, b"")  # noqa: E731
    async with a_receiver(answer=answer) as receiver, a_told_world(mongo_uri, tmp_path, receiver, retries=1) as world:
        await world.add("a")
        await world.ask("PATCH", "/notes/a", {"age": 1})
        told = await receiver.until(3)
        assert [one["type"] for one in told] == ["document.created", "document.created", "document.updated"]
        await emptied(world)
        [dead] = await world.database["_pm_outbox"].find({}).to_list()
        assert (dead["state"], dead["error"], dead["attempts"]) == ("dead", "status 500", 2)
        async with asyncio.timeout(10.0):  # the counter follows the entry, and not at the same moment
            while 'outcome="delivered"} 1.0' not in (text := (await world.client.get("/metrics")).text):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert 'outcome="dead"} 1.0' in text
        assert 'outcome="failed"} 1.0' in text


async def test_t30_no_redirect_is_followed_and_no_proxy_asked(mongo_uri, tmp_path, monkeypatch):
    async with a_receiver() as other:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        lead = f"Location: {other.url}\r\n"
        async with (
            a_receiver(answer=lambda heard: (307, b""), extra=lead) as receiver,
            a_told_world(mongo_uri, tmp_path, receiver, retries=0) as world,
        ):
            await world.add("a")
            await receiver.until(1)
            await emptied(world)
            [dead] = await world.database["_pm_outbox"].find({}).to_list()
            assert dead["error"] == "status 307"
        assert other.heard == []


async def test_an_address_that_is_not_listed_is_not_called(mongo_uri, tmp_path, receiver):
    async with a_told_world(mongo_uri, tmp_path, receiver, config=CONFIG, retries=0) as world:
        await world.add("a")
        await emptied(world)
        [dead] = await world.database["_pm_outbox"].find({}).to_list()
        assert (dead["state"], dead["error"]) == ("dead", "the address may not be called")
    assert receiver.heard == []


async def test_secrets_stand_in_no_log_no_entry_no_metric_and_no_repr(mongo_uri, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    more = f", headers: {{authorization: '{CANARY}'}}"
    async with a_receiver(answer=lambda heard: (500, CANARY.encode())) as receiver:
        config = a_config(
            tmp_path, ALLOWED, hooks=hooks_to(f"{receiver.url}/{CANARY}", retries=0, secret=CANARY, more=more)
        )
        async with a_world(mongo_uri, config) as world:
            await world.add("a")
            await receiver.until(1)
            assert receiver.heard[0].headers["authorization"] == CANARY
            await emptied(world)
            entries = await world.database["_pm_outbox"].find({}).to_list()
            text = (await world.client.get("/metrics")).text
    assert CANARY not in f"{entries} {text} {config!r}"
    assert not [one for one in caplog.records if CANARY in one.getMessage() and not one.name.startswith("httpcore")]


async def test_a_slow_receiver_slows_no_write(mongo_uri, tmp_path):
    async with a_receiver(pause=1.0) as receiver, a_told_world(mongo_uri, tmp_path, receiver) as world:
        async with asyncio.timeout(0.9):
            await world.add("a", "b")
        assert receiver.heard == []
        await receiver.until(2)


def test_pauses_double_up_to_an_hour():
    assert [pause_after(n, 0.0) for n in (1, 2, 3, 8)] == [0.5, 1.0, 2.0, 64.0]
    assert pause_after(1, 1.0) == 0.25
    assert pause_after(99, 0.0) == 3600.0


# -- looked after by hand


async def test_the_command_lists_shows_tries_again_and_drops(mongo_uri, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    broken = {"is": True}
    async with (
        a_receiver(answer=lambda heard: (500 if broken["is"] else 200, b"")) as receiver,
        a_told_world(mongo_uri, tmp_path, receiver, retries=0) as world,
    ):
        monkeypatch.setenv("MONGODB_DATABASE", world.database.name)

        async def run(*words) -> tuple[int, str]:
            code = await asyncio.to_thread(main, ["outbox", *words, "--config", str(tmp_path)])
            told = capsys.readouterr()
            return code, told.out + told.err

        await world.add("a", "b")
        await emptied(world)
        code, text = await run("list", "--dead")
        assert code == 1
        assert text.count("dead after 1  status 500") == 2
        assert "0 pending, 2 dead" in text
        assert receiver.url not in text
        one = text.split()[0]
        assert '"document.created"' in (await run("show", one))[1]
        assert (await run("drop"))[0] == 3
        assert (await run("show", "nonsense"))[0] == 3
        broken["is"] = False
        assert (await run("retry", one)) == (0, "1 tried again\n")
        await receiver.until(3)
        await emptied(world)
        assert (await run("drop", "--dead")) == (0, "1 dropped\n")
        assert (await run("list")) == (0, "0 pending, 0 dead\n")
