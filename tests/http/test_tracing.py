"""A span a request, below it one a command and one a call; and no value in any of them."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured, StartupFailure
from permission_mongo.spans import sent_to
from permission_mongo.tracing import spans_to
from tests.collector import a_collector, told_of
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world
from tests.receivers import SECRET, a_receiver

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traced(collector, ratio: float = 1.0) -> str:
    return CONFIG + f"tracing: {{otlp_endpoint: 'http://127.0.0.1:{collector.port}', sample_ratio: {ratio}}}\n"


async def test_a_request_is_a_span_with_its_commands_below(mongo_uri, tmp_path):
    with a_collector() as collector:
        async with a_world(mongo_uri, a_config(tmp_path, traced(collector))) as world:
            await world.add("a", token=BOSS)
            await world.get("/notes/a", headers={"x-request-id": "my-request"}, token=BOSS)
            await world.client.get("/notes/a")
    assert set(collector.paths) == {"/v1/traces"}
    [read, nobody] = [one for one in collector.spans if one.name == "GET /{collection}/{id}"]
    assert read.kind == Span.SPAN_KIND_SERVER
    assert told_of(read) == {
        "http.request.method": "GET",
        "http.route": "/{collection}/{id}",
        "http.response.status_code": 200,
        "permission_mongo.request_id": "my-request",
        "permission_mongo.collection": "notes",
    }
    [find] = [one for one in collector.spans if one.parent_span_id == read.span_id]
    assert (find.name, find.kind, find.trace_id) == ("find notes", Span.SPAN_KIND_CLIENT, read.trace_id)
    about = {"db.system.name": "mongodb", "db.operation.name": "find", "db.collection.name": "notes"}
    assert told_of(find) == about
    assert told_of(nobody)["permission_mongo.code"] == "unauthorized"
    [batch] = [one for one in collector.spans if one.name == "POST /{collection}/batch"]
    below = {one.name for one in collector.spans if one.parent_span_id == batch.span_id}
    assert {"insert notes", "insert _pm_audit", "commitTransaction"} <= below


async def test_a_caller_names_the_trace_and_makes_us_trace_less_and_never_more(mongo_uri, tmp_path):
    def sent(sampled: str) -> dict[str, str]:
        return {"traceparent": f"00-{TRACE}-{PARENT}-{sampled}"}

    with a_collector() as all_of_them, a_collector() as none:
        for collector, ratio in ((all_of_them, 1.0), (none, 0.0)):
            async with a_world(mongo_uri, a_config(tmp_path, traced(collector, ratio))) as world:
                await world.get("/notes", headers=sent("01"))
                await world.get("/notes", headers=sent("00"))
                await world.get("/notes", headers={"traceparent": "00-nonsense"})
    assert none.spans == []
    lists = [one for one in all_of_them.spans if one.name == "GET /{collection}"]
    assert (lists[0].trace_id.hex(), lists[0].parent_span_id.hex()) == (TRACE, PARENT)
    assert len(lists) == 2
    assert {one.parent_span_id for one in lists[1:]} == {b""}


def test_a_caller_can_choose_no_id_by_which_each_of_its_requests_is_traced():
    """The ratio of OpenTelemetry goes by the id, and a small one is always within."""
    with a_collector() as collector:
        spans = spans_to(f"http://127.0.0.1:{collector.port}", 0.01)
        chosen = {"traceparent": f"00-{1:032x}-{PARENT}-01"}
        traced = 0
        for _ in range(300):
            with spans.serving("GET", "/health", chosen):
                traced += trace.get_current_span().is_recording()
        spans.close()
    assert traced < 60


async def test_a_call_of_a_hook_is_a_span_below_the_write_that_asks(mongo_uri, tmp_path):
    with a_collector() as collector:
        async with a_receiver(answer=lambda heard: (200, b'{"allow": false}')) as receiver:
            hooks = f"hooks: {{notes: {{pre_create: [{{action: http, name: gate, url: '{receiver.url}', secret: '{SECRET}'}}]}}}}"
            config = a_config(tmp_path, traced(collector) + "hooks: {allow_addresses: [127.0.0.1]}\n", hooks=hooks)
            async with a_world(mongo_uri, config) as world:
                refused = await world.post("/notes", {"title": "n"}, token=BOSS)
                assert refused.status_code == 422
                counted = world.gateway.metrics.registry.get_sample_value
                of_gate = {"hook": "gate", "outcome": "answered"}
                assert counted("permission_mongo_hook_call_duration_seconds_count", of_gate) == 1
    [call] = [one for one in collector.spans if one.name == "hook gate"]
    [write] = [one for one in collector.spans if one.name == "POST /{collection}"]
    assert (call.parent_span_id, told_of(call)["http.response.status_code"]) == (write.span_id, 200)


async def test_a_failed_command_tells_its_code_and_a_5xx_is_an_error(mongo_uri, tmp_path):
    schema = SCHEMA.replace("email: {type: string, format: email}", "email: {type: string}").replace(
        "    client_ids: true\n",
        "    client_ids: true\n    indexes: [{fields: [email], unique: true, global: true}]\n",
        1,
    )
    with a_collector() as collector:
        async with a_world(mongo_uri, a_config(tmp_path, traced(collector), schema, POLICY)) as world:
            for one in "ab":
                await world.post("/notes", {"_id": one, "title": "n", "email": "CANARY"}, token=BOSS)
            failing = {"failCommands": ["find"], "errorCode": 8000, "appName": "permission-mongo"}
            # Jobs and deliveries are looked for meanwhile, so all of them fail and not the next one.
            admin = world.database.client.admin
            await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=failing)
            try:
                assert (await world.get("/notes/a", token=BOSS)).status_code == 500
            finally:
                await admin.command("configureFailPoint", "failCommand", mode="off")
    failed = [one for one in collector.spans if one.status.code == Status.STATUS_CODE_ERROR]
    kinds = {one.name: told_of(one)["error.type"] for one in failed}
    assert kinds["GET /{collection}/{id}"] == "500"
    assert kinds["find notes"] == "8000"
    assert not any(b"CANARY" in body for body in collector.bodies)
    assert all(one.status.message == "" and not one.events for one in failed)


async def test_without_the_extra_the_start_fails_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "permission_mongo.tracing", None)
    with pytest.raises(StartupFailure, match=r"pip install 'permission-mongo\[tracing\]'"):
        async with sent_to("http://127.0.0.1:4318", 1.0):
            pass
    async with sent_to(None, 1.0) as spans:
        assert spans is None


async def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(mongo_uri, tmp_path):
    with a_collector() as collector:
        config = a_config(tmp_path, traced(collector))
    async with a_world(mongo_uri, config) as world:
        assert (await world.get("/notes")).status_code == 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{otlp_endpoint: 'ftp://x'}", "begins with https:// or http://"),
        ("{otlp_endpoint: 'http://me:CANARY@x'}", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("{sample_ratio: 2}", "from 0 to 1"),
        ("{endpoint: 'http://x'}", "unknown key"),
    ],
)
def test_an_endpoint_or_ratio_that_is_none_is_refused(tmp_path, text, told):
    for name, content in (
        ("config.yaml", CONFIG + f"tracing: {text}\n"),
        ("schema.yml", SCHEMA),
        ("policy.yml", POLICY),
    ):
        (tmp_path / name).write_text(content)
    with pytest.raises(Misconfigured) as refused:
        load_config(tmp_path, {})
    assert told in str(refused.value)
    assert "CANARY" not in str(refused.value)
