"""What is counted: each thing once, under labels that nobody can make more of."""

import asyncio
import re

import pytest

from permission_mongo.metrics import Metrics
from permission_mongo.observations import Served
from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOSS = a_token("boss", ["boss"])


def counted(world, name, **labels):
    return world.gateway.metrics.registry.get_sample_value(f"permission_mongo_{name}", labels) or 0


async def test_a_request_is_counted_by_its_outcome_and_a_refusal_by_its_code(world):
    await world.get("/notes/absent")
    await world.client.get("/notes/absent")
    await world.get("/notes?a[$ne]=1")
    await world.client.request("BREW", "/notes")
    await world.client.get("/a/b/c/d/e/f/g")
    of_one = {"method": "GET", "route": "/{collection}/{id}", "outcome": "refused"}
    assert counted(world, "http_request_duration_seconds_count", **of_one) == 2
    assert counted(world, "refusals_total", action="read", code="document_not_found") == 1
    assert counted(world, "refusals_total", action="read", code="unauthorized") == 1
    assert counted(world, "refusals_total", action="read", code="bad_request") == 1
    assert counted(world, "http_requests_total", method="other", route="none", status="405") == 1
    assert counted(world, "http_requests_total", method="GET", route="none", status="404") == 1


async def test_what_is_observed_while_somebody_collects_is_counted_once():
    """Collectors have threads of their own where metrics have a port of their own."""
    metrics = Metrics()
    of_one = {"method": "GET", "route": "/", "status": "200"}
    name = "permission_mongo_http_requests_total"

    def observe():
        for _ in range(2_000):
            metrics.observe(Served("GET", "/", 200, 0.001))

    def collect():
        return [metrics.registry.get_sample_value(name, of_one) or 0 for _ in range(50)]

    *_, seen = await asyncio.gather(*(asyncio.to_thread(observe) for _ in range(3)), asyncio.to_thread(collect))
    assert seen == sorted(seen)
    assert metrics.registry.get_sample_value(name, of_one) == 6_000


async def test_a_batch_is_counted_with_its_items(world):
    await world.add("a", "b", token=BOSS)
    await world.delete("/notes/batch", {"ids": ["a", "absent"], "dry_run": True}, token=BOSS)
    await world.delete("/notes/batch", {"ids": ["a", "b", "absent"]}, token=BOSS)
    assert counted(world, "batches_total", verb="created", outcome="done") == 1
    assert counted(world, "batches_total", verb="deleted", outcome="dry_run") == 1
    assert counted(world, "batches_total", verb="deleted", outcome="done") == 1
    assert counted(world, "batch_size_sum", verb="deleted") == 5
    assert counted(world, "batch_items_total", verb="deleted", outcome="done") == 2
    assert counted(world, "batch_items_total", verb="deleted", outcome="missing") == 1
    # A new document has no former state to keep.
    assert counted(world, "versions_written_total", collection="notes") == 2


async def test_versions_are_counted_when_they_are_committed(world):
    await world.add("a", token=BOSS)
    await world.ask("PATCH", "/notes/a", {"title": "again"}, token=BOSS)
    refused = await world.ask("PATCH", "/notes/a", {"age": "many"}, token=BOSS)
    assert refused.status_code == 422, refused.text
    assert counted(world, "versions_written_total", collection="notes") == 1


async def test_commands_are_timed_by_their_names(world):
    await world.get("/notes")
    assert counted(world, "mongodb_command_duration_seconds_count", command="find", outcome="ok") >= 1
    text = (await world.client.get("/metrics")).text
    named = set(re.findall(r'permission_mongo_mongodb_command_duration_seconds_count{command="([^"]*)"', text))
    assert named
    assert all(re.fullmatch("[a-zA-Z]+", one) for one in named)


async def test_commands_are_not_timed_where_the_configuration_says_so(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG.replace("public: true", "public: true, commands: false"))
    async with a_world(mongo_uri, config) as world:
        assert (await world.get("/notes")).status_code == 200
        assert "mongodb_command_duration_seconds_count{" not in (await world.client.get("/metrics")).text


async def test_the_pool_and_what_is_remembered_are_told_once_a_second(world):
    token = a_token("carol", ["boss"])
    for _ in range(3):
        await world.get("/notes", token=token)
    async with asyncio.timeout(5):
        while counted(world, "remembered_total", kind="token", outcome="found") < 2:  # noqa: ASYNC110  (a poll)
            await asyncio.sleep(0.1)
    assert counted(world, "remembered_total", kind="token", outcome="made") == 1
    assert counted(world, "remembered_total", kind="grants", outcome="made") == 1
    assert counted(world, "remembered_total", kind="grants", outcome="found") == 2
    assert counted(world, "mongodb_pool_connections", state="idle") >= 1


async def test_jobs_that_end_are_carried_no_longer(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG + "limits: {max_batch_size: 2}\n")
    async with a_world(mongo_uri, config) as world:
        for group in ("ab", "cd", "ef"):
            await world.add(*group, token=BOSS)
        told = await world.delete("/notes/batch", {"filter": {}, "all": True}, token=BOSS)
        assert told.status_code == 200, told.text
        assert told.json()["deleted"] == 6
        assert counted(world, "jobs_ended_total", state="done") == 1
        assert counted(world, "jobs_running") == 0
        assert counted(world, "batches_total", verb="deleted", outcome="done") == 1
        assert counted(world, "versions_written_total", collection="notes") == 6


async def test_t33_who_leaves_in_a_body_and_who_asks_for_versions_that_are_not_kept_is_no_failure(world):
    """Else whoever likes to could fill the log and wake somebody."""
    assert (await world.get("/plain/deleted", token=BOSS)).status_code == 501
    head = [(b"authorization", f"Bearer {BOSS}".encode())]
    about = {"type": "http", "method": "POST", "path": "/notes", "raw_path": b"/notes", "query_string": b""}
    sent = []

    async def leaves():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await world.app({**about, "headers": head, "client": None}, leaves, send)
    assert sent[0]["status"] == 408
    for method, route in (("GET", "/{collection}/deleted"), ("POST", "/{collection}")):
        of_one = {"method": method, "route": route, "outcome": "refused"}
        assert counted(world, "http_request_duration_seconds_count", **of_one) == 1
    await world.gateway.trail.settled()
    assert not await world.database["_pm_audit"].count_documents({"kind": "refusal", "action": "create"})
