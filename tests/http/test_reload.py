"""A configuration changed while requests run: taken whole or not at all, and told."""

import asyncio
import random
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from permission_mongo import reloading
from permission_mongo.api.app import build_app
from permission_mongo.assembly import open_lasting
from permission_mongo.auth.development import make_token
from permission_mongo.config.load import load_config
from permission_mongo.reloading import Reloading, Source
from permission_mongo.storage.connection import new_client
from permission_mongo.watching import watched
from tests.http.harness import CONFIG, POLICY, SCHEMA, SECRET, World, a_config, a_token
from tests.http.test_jobs import SMALL, held

pytestmark = pytest.mark.mongo
BOSS = a_token("bea", ["boss"])
OPEN_ONES = {"filter": {"status": "open"}}
BROKEN = (
    POLICY.replace("actions: [read]", "actions: [raed]"),
    POLICY.replace("owner_id == user.id", "owner_idd == user.id"),
    POLICY[: len(POLICY) // 2] + '"',
    "roles: [",
    POLICY + "\npolicies: {}\n",
)


@dataclass
class Reloaded(World):
    """A world whose configuration is read again when its files change."""

    folder: Path = Path()
    reloading: Reloading | None = None

    def write(self, name: str, text: str, *, renamed: bool = False) -> None:
        """In place, or as most editors do it: another file takes the name."""
        if not renamed:
            (self.folder / name).write_text(text)
            return
        (self.folder / f".{name}.swp").write_text(text)
        (self.folder / f".{name}.swp").replace(self.folder / name)

    async def ready(self) -> dict:
        return (await self.client.get("/ready")).json()

    async def until(self, policy: str, within: float = 20.0) -> float:
        """How long it took until `/ready` says so of the policy."""
        begun = time.monotonic()
        while (await self.ready())["checks"]["policy"] != policy:
            assert time.monotonic() - begun < within, f"not {policy} within {within} s"
            await asyncio.sleep(0.01)
        return time.monotonic() - begun

    async def metric(self, name: str) -> dict[str, float]:
        """The values of a metric by their labels."""
        text = (await self.client.get("/metrics")).text
        return {labels: float(value) for labels, value in re.findall(rf"^{name}(\S*) (\S+)$", text, re.MULTILINE)}

    async def grown(self, name: str, text: str, **how) -> None:
        """The text written, and in force."""
        before = self.app.state.gateway.current
        self.write(name, text, **how)
        await self.taken(before)

    async def taken(self, before) -> None:
        begun = time.monotonic()
        while self.app.state.gateway.current is before:
            assert time.monotonic() - begun < 20.0, "not taken"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_reloaded_world(mongo_uri, folder, *, watching=True, **texts):
    config = a_config(folder, **texts)

    def load():
        return replace(load_config(folder, {}), mongodb=config.mongodb)

    found = {}

    @asynccontextmanager
    async def opened():
        source = Source(folder, load)
        async with open_lasting(config, mongo_uri) as (gateway, lasting):
            found["reloading"] = Reloading(gateway, lasting, source)
            if not watching:
                yield gateway
                return
            async with watched(source, found["reloading"]):
                yield gateway

    app = build_app(opened(), public_metrics=True)
    async with new_client(mongo_uri, config.mongodb) as look, app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            database = look[config.mongodb.database]
            yield Reloaded(client, database, app.state.gateway, app, folder, found["reloading"])
        await look.drop_database(config.mongodb.database)


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_reloaded_world(mongo_uri, tmp_path) as world:
        yield world


async def test_f9_of_200_swaps_half_of_them_broken_none_lets_a_forbidden_request_through(
    mongo_uri, tmp_path, monkeypatch
):
    """Two policies that agree in what they forbid, and broken ones between them that would allow it."""
    forbidden = a_token("eve", ["viewer"])
    allowing = POLICY.replace(
        "viewer: {actions: [read], when: \"resource.status == 'closed'\"", "viewer: {actions: ['*']"
    )
    assert allowing != POLICY
    broken = [f"{allowing}\n{end}" for end in ("defaults: [", "polices: {}", "roles: {}", "defaults: {deny_field: []}")]
    monkeypatch.setattr(reloading, "_SETTLED", 0.01)
    chance, through, asked = random.Random(9), [], 0
    async with a_reloaded_world(mongo_uri, tmp_path, watching=False) as world:
        await world.add("a", "b", status="open", ssn="123")
        over = asyncio.Event()

        async def ask_in_vain():
            nonlocal asked
            while not over.is_set():
                for method, path, body in (
                    ("GET", "/notes/a", None),
                    ("DELETE", "/notes/b", None),
                    ("POST", "/notes/query", {"filter": {"ssn": "123"}}),
                    ("DELETE", "/notes/batch", {"filter": {}, "all": True}),
                    ("PATCH", "/notes/a", {"title": "mine"}),
                ):
                    answer = await world.ask(method, path, body, token=forbidden)
                    asked += 1
                    await asyncio.sleep(0.01)  # the swaps are to come to their turn as well
                    if answer.status_code not in (403, 404):
                        through.append((method, path, answer.status_code, answer.text))

        asking = [asyncio.create_task(ask_in_vain()) for _ in range(3)]
        for n in range(200):
            is_broken = n % 2 == 0
            text = chance.choice(broken) if is_broken else f"{POLICY}\n# {n}\n"
            world.write("policy.yml", text, renamed=chance.random() < 0.5)
            before = world.gateway.current
            taken = await world.reloading.reload()
            assert taken is not is_broken
            assert (world.gateway.current is before) is is_broken
            assert (await world.ready())["checks"]["policy"] == ("stale" if is_broken else "ok")
        over.set()
        await asyncio.gather(*asking)
        assert (through, asked > 400) == ([], True)
        assert await world.stored("a", "b") == ["a", "b"]
        counted = await world.metric("permission_mongo_config_reloads_total")
        assert counted == {'{outcome="taken"}': 100, '{outcome="refused"}': 100}


async def test_f9_a_good_edit_is_live_within_two_seconds_and_a_broken_one_leaves_the_old_policy(world, caplog):
    await world.add("a")
    eve = a_token("eve", ["viewer"])
    assert (await world.get("/notes/a", token=eve)).status_code == 404
    took: list[float] = []  # half of them within the time, for a busy machine may hold up some
    for n, (text, status) in enumerate([(POLICY.replace("'closed'", "'open'"), 200), (POLICY, 404)] * 3):
        world.write("policy.yml", f"{text}\n#{n}", renamed=n % 2 == 0)
        begun = time.monotonic()
        while (await world.get("/notes/a", token=eve)).status_code != status:
            assert time.monotonic() - begun < 20.0
            await asyncio.sleep(0.01)
        took.append(time.monotonic() - begun)
    for text in BROKEN:
        world.write("policy.yml", text)
        took.append(await world.until("stale"))
        assert (await world.get("/notes/a")).status_code == 200
        assert (await world.get("/notes/a", token=eve)).status_code == 404
        assert await world.metric("permission_mongo_config_reload_failed") == {"": 1}
        world.write("policy.yml", POLICY, renamed=True)
        took.append(await world.until("ok"))
        assert await world.metric("permission_mongo_config_reload_failed") == {"": 0}
    assert sorted(took)[len(took) // 2] < 2.0


async def test_every_mistake_is_in_the_log_with_its_place_once(world, caplog):
    world.write(
        "policy.yml",
        POLICY.replace("actions: [read]", "actions: [raed]").replace("resource.owner_id", "resource.owner_idd"),
    )
    await world.until("stale")
    await asyncio.sleep(1.2)
    told = [record.getMessage() for record in caplog.records if "was not reloaded" in record.getMessage()]
    assert len(told) == 1
    assert "policy.yml:5:" in told[0]
    assert "raed" in told[0]
    assert "policy.yml:7:" in told[0]
    assert "owner_idd" in told[0]
    assert SECRET not in told[0]


async def test_ready_stays_200_when_stale_and_tells_which_policy_serves(world):
    before = await world.ready()
    world.write("policy.yml", "roles: [")
    await world.until("stale")
    answer = await world.client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {**before, "checks": {"mongodb": "ok", "policy": "stale"}}
    assert await world.metric("permission_mongo_config_in_force") == {f'{{policy="{before["policy"]}"}}': 1}
    world.write("policy.yml", f"{POLICY}\n# another\n")
    await world.until("ok")
    after = await world.ready()
    assert after["policy"] != before["policy"]
    counted = await world.metric("permission_mongo_config_in_force")
    assert counted == {f'{{policy="{before["policy"]}"}}': 0, f'{{policy="{after["policy"]}"}}': 1}


async def test_a_field_and_its_index_come_with_the_schema(world):
    assert (await world.post("/notes", {"title": "n", "colour": "red"})).status_code == 403
    schema = SCHEMA.replace("      ssn:", "      colour: {type: string}\n      ssn:", 1).replace(
        "  plain:", "    indexes: [{fields: [tenant_id, colour]}]\n  plain:"
    )
    await world.grown("schema.yml", schema)
    assert (await world.post("/notes", {"title": "n", "colour": "red"})).status_code == 201
    indexes = await world.database["notes"].index_information()
    assert "tenant_id_1_colour_1" in indexes


async def test_a_collection_that_is_removed_is_not_found_and_one_that_is_added_is(world):
    begun = SCHEMA.index("  plain:")
    policy = POLICY.replace('  plain:\n    boss: {actions: ["*"]}\n', "")
    world.write("policy.yml", policy)
    await world.grown("schema.yml", SCHEMA[:begun])
    answer = await world.get("/plain", token=BOSS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "collection_not_found")
    world.write(
        "schema.yml",
        SCHEMA + "  fresh: {access: {tenant_field: null, owner_field: null}, fields: {name: {type: string}}}\n",
    )
    await world.grown("policy.yml", POLICY + '  fresh:\n    boss: {actions: ["*"]}\n')
    assert (await world.get("/plain", token=BOSS)).status_code == 200
    assert (await world.post("/fresh", {"name": "n"}, token=BOSS)).status_code == 201


async def a_batch_under_way(world, body=OPEN_ONES, method="DELETE"):
    """A batch of 40 in chunks of 4, held back at each, once some of it is done."""
    batch = asyncio.create_task(world.ask(method, "/notes/batch", body))
    while await world.database["notes"].count_documents({"status": "open"}) > 32:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return batch


SHRINKS = {
    "no right to delete": (POLICY.replace("read, update, delete, restore]", "read, update, restore]"), SCHEMA, "forbidden"),
    "no rows": (POLICY.replace("resource.owner_id == user.id", "resource.owner_id == user.id && resource.age > 5"), SCHEMA, None),
    "no such field": (POLICY.replace("- {actions: [create", "- {actions: [create").replace("resource.status == 'closed'", "true")
        .replace("status, ", "").replace(", status]", "]").replace("resource.status", "resource.title"),
        re.sub(r"      status: .*\n", "", SCHEMA), "forbidden"),
}  # fmt: skip


@pytest.mark.parametrize("shrink", SHRINKS)
async def test_t35_a_batch_under_way_goes_by_the_policy_in_force_from_the_next_chunk_on(mongo_uri, tmp_path, shrink):
    policy, schema, code = SHRINKS[shrink]
    async with a_reloaded_world(mongo_uri, tmp_path, watching=False, config=SMALL) as world:
        ids = [f"n{n:02}" for n in range(40)]
        for n in range(0, 40, 4):
            await world.add(*ids[n : n + 4], status="open")
        async with held(world, milliseconds=150):
            batch = await a_batch_under_way(world)
            world.write("policy.yml", policy)
            world.write("schema.yml", schema)
            assert await world.reloading.reload()
            left_at_swap = len(await world.stored(*ids))
            answer = await batch
        left = len(await world.stored(*ids))
        assert left > 0
        assert left_at_swap - left <= 4, "the chunk that was in hand, and no other"
        assert answer.json()["deleted"] == 40 - left
        assert answer.json().get("error", {}).get("code") == code


async def test_what_the_database_stands_against_is_told_and_taken_once_it_does_no_longer(world, caplog):
    """A unique index that can't be made: the files are fine, and are tried again."""
    await world.add("a", "b", ssn="1")
    unique = SCHEMA.replace("  plain:", "    indexes: [{fields: [tenant_id, ssn], unique: true}]\n  plain:")
    world.write("schema.yml", unique)
    await world.until("stale")
    assert "documents with equal values exist" in caplog.text
    assert world.gateway.current is world.gateway, "nothing of it is in force"
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"ssn": "2"}})
    await world.until("ok")
    assert (await world.post("/notes", {"title": "n", "ssn": "2"})).status_code == 409


async def test_what_only_a_restart_changes_is_told_by_its_key_and_stays(world, caplog):
    caplog.set_level("INFO")
    config = CONFIG + "doors: [atlas_data_api]\nserver: {port: 9999}\nlimits: {query_timeout: 3s, max_batch_size: 7}\n"
    config += "audit: {enabled: false, ttl: 30d, seal: false, include_changes: false}\n"
    config += "console: {enabled: false, write: true}\n"
    await world.grown("config.yaml", config)
    told = [one for one in caplog.messages if "needs a restart" in one]
    audit = ["audit.enabled", "audit.ttl", "audit.seal"]
    assert [one.split()[0] for one in told if "mongodb" not in one] == [
        "server.port",
        *audit,
        "console.enabled",
        "limits.query_timeout",
        "doors",
    ]
    now = world.gateway.current.config
    assert (now.server.port, now.limits.query_timeout, now.limits.max_batch_size) == (8080, 10.0, 7)
    assert now.audit == replace(world.gateway.config.audit, include_changes=False)
    assert (now.console.enabled, now.console.write) == (True, True)
    answer = await world.post("/notes/batch/get", {"ids": [str(n) for n in range(8)]})
    assert answer.status_code == 400


async def test_another_signing_secret_ends_the_tokens_of_the_former_one(world):
    await world.add("a")
    token, other = a_token(), "f" * 32
    await world.grown("config.yaml", CONFIG.replace(SECRET, other))
    assert (await world.get("/notes/a", token=token)).status_code == 401
    fresh = make_token(other, "HS256", "alice", ["user"], int(time.time()) + 60, {"tenant_id": "acme"})
    assert (await world.get("/notes/a", token=fresh)).status_code == 200


async def test_api_keys_can_be_switched_off(world):
    await world.grown("config.yaml", CONFIG.replace("{secret:", "{api_keys: false, secret:"))
    answer = await world.client.get("/notes", headers={"x-api-key": "pmk_x"})
    assert "not taken here" in answer.text


async def test_a_file_that_is_written_in_two_halves_is_taken_whole(mongo_uri, tmp_path):
    """The first half of it is a policy by itself, and one that forbids less: the deny stands in the second."""
    denying = POLICY.index("      - {effect: deny")
    end = denying + POLICY[denying:].index("\n") + 1
    line, rest = POLICY[denying:end], POLICY[:denying] + POLICY[end:]
    half = rest[: rest.index("  plain:")]
    late = f"  plain:\n    boss: {{actions: ['*']}}\n    user: [{line.strip().removeprefix('- ')}]\n".replace(
        "resource.status", "resource.name"
    )
    async with a_reloaded_world(mongo_uri, tmp_path, watching=False, policy=half) as world:
        with (tmp_path / "policy.yml").open("w") as file:
            file.write(half + "# and so on\n")
            file.flush()
            reloading = asyncio.create_task(world.reloading.reload())
            await asyncio.sleep(0.05)
            file.write(late)
        assert await reloading
        assert "deny" in [rule.effect for rule in world.gateway.current.config.policy.rules.values()]


async def test_a_request_under_way_stays_with_what_it_met_and_the_next_takes_the_new(world, monkeypatch):
    await world.add("a")
    met, go_on = asyncio.Event(), asyncio.Event()
    execute = type(world.gateway.store).execute

    async def held(store, *args, **more):
        met.set()
        await go_on.wait()
        return await execute(store, *args, **more)

    monkeypatch.setattr(type(world.gateway.store), "execute", held)
    under_way = asyncio.create_task(world.get("/notes/a"))
    await met.wait()
    shut = POLICY[: POLICY.index("policies:")] + "policies: {}\n"
    world.write("policy.yml", shut)
    assert await world.reloading.reload()
    assert (await world.get("/notes/a")).status_code == 403
    go_on.set()
    assert (await under_way).status_code == 200


async def test_a_sighup_reads_all_again_also_what_no_file_tells_of(world):
    """In one process; with workers they are restarted, see the tests of `serve`."""
    before = world.gateway.current
    assert await world.reloading.reload()
    assert world.gateway.current is before, "nothing changed"
    assert await world.reloading.reload(again=True)
    assert world.gateway.current is not before


async def test_the_memory_of_a_caller_ends_with_the_policy(world):
    """What was bound for a caller is of one policy: the same token asks the new one."""
    await world.add("a", status="locked")
    token = a_token()
    assert (await world.ask("DELETE", "/notes/a", token=token)).status_code == 403
    await world.grown(
        "policy.yml",
        POLICY.replace("      - {effect: deny, actions: [delete], when: \"resource.status == 'locked'\"}\n", ""),
    )
    assert (await world.ask("DELETE", "/notes/a", token=token)).status_code == 200


async def test_a_cursor_of_the_former_policy_goes_on_under_the_new_one(world):
    await world.add(*"abcd")
    page = (await world.get("/notes?_limit=2")).json()
    await world.grown("policy.yml", POLICY.replace("[create, read, update", "[create, update, read"))
    further = await world.get(f"/notes?_limit=2&_cursor={page['pagination']['cursor']}")
    assert [row["_id"] for row in further.json()["data"]] == ["c", "d"]


async def test_an_edit_of_the_rules_alone_asks_the_database_nothing(world, mongo_uri):
    """So it comes into force while MongoDB is away, and in collections by the hundred as soon as in one."""
    await world.database.drop_collection("plain")
    await world.grown("policy.yml", POLICY + "\n#\n")
    assert "plain" not in await world.database.list_collection_names()
    await world.grown("schema.yml", SCHEMA + "\n#\n")
    assert "plain" in await world.database.list_collection_names()
