"""What every route has in common, and the routes that serve no documents."""

import asyncio
import contextlib
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from permission_mongo.api.app import build_app
from permission_mongo.assembly import open_gateway
from tests.http.harness import CONFIG, World, a_config, a_token, a_world

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BOSS = a_token("boss", ["boss"])
BODY_ROUTES = (
    "/notes",
    "/notes/aggregate",
    "/notes/batch",
    "/notes/batch/get",
    "/notes/batch/delete",
    f"/notes/batch/{'0' * 32}/undo",
    "/notes/query",
    "/notes/count",
)


@asynccontextmanager
async def a_road(mongo_uri):
    """An address of its own that leads to the server, and functions that close and open it."""
    there = urlsplit(mongo_uri)
    open_ends = set()

    async def carry(reader, writer):
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def connect(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        open_ends.update((writer, far_writer))
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def close():
        server.close()
        for end in open_ends:
            end.transport.abort()

    async def reopen():
        nonlocal server
        server = await asyncio.start_server(connect, "127.0.0.1", port)

    yield f"mongodb://127.0.0.1:{port}/?directConnection=true", close, reopen
    close()


async def test_health_tells_that_and_nothing_else(world):
    answer = await world.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_says_what_it_looked_at(world):
    answer = await world.client.get("/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "checks": {"mongodb": "ok", "policy": "ok"}, "policy": world.gateway.config.policy_digest},
    )


@asynccontextmanager
async def a_second_gateway(world, config, address):
    """Another gateway on the world's database, by an address of its own."""
    app = build_app(open_gateway(config, address), public_metrics=True)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://second")
    async with app.router.lifespan_context(app), client:
        yield World(client, world.database, app.state.gateway, app)


# Python 3.11 drops a connection that the road accepts in the moment it is closed.
@pytest.mark.filterwarnings("ignore:Exception ignored in. .function _SelectorTransport.__del__")
async def test_without_mongodb_the_gateway_is_healthy_not_ready_and_says_when_to_come_again(mongo_uri, tmp_path):
    config = a_config(tmp_path)
    short = replace(config, mongodb=replace(config.mongodb, server_selection_timeout=0.5, connect_timeout=0.5))
    async with (
        a_world(mongo_uri, config) as kept,
        a_road(mongo_uri) as (address, close, reopen),
        a_second_gateway(kept, short, address) as world,
    ):
        assert (await world.get("/notes")).status_code == 200
        close()
        health, ready = await world.client.get("/health"), await world.client.get("/ready")
        assert (health.status_code, ready.status_code) == (200, 503)
        assert ready.json()["status"] == "not_ready"
        assert ready.json()["checks"] == {"mongodb": "unavailable", "policy": "ok"}
        # A key can be neither taken nor refused.
        key = {"x-api-key": f"pmk_{'0' * 16}_{'a' * 43}"}
        for answer in await asyncio.gather(  # each tries for some seconds
            world.get("/notes"),
            world.get("/notes/a"),
            world.post("/notes", {"title": "n"}),
            world.post("/notes/batch", {"documents": [{"title": "n"}]}),
            world.delete("/notes/batch", {"ids": ["a"]}),
            world.client.get("/notes", headers=key),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable"), answer.request.url
            assert int(answer.headers["retry-after"]) >= 1
            assert "127.0.0.1" not in answer.text
        assert (await kept.client.get("/ready")).status_code == 200
        await reopen()  # or the gateway waits at its end for what it can't finish


async def test_metrics_count_by_template_and_hold_no_id_tenant_or_value(world):
    made = (await world.post("/notes", {"_id": "canary-id", "title": "canary-title"})).json()
    await world.get(f"/notes/{made['_id']}")
    await world.get("/notes?title=canary-title")
    await world.get("/canary-collection")
    batch = (await world.delete("/notes/batch", {"ids": ["canary-id"]})).json()["batch"]
    await world.post(f"/notes/batch/{batch}/undo", {})
    answer = await world.client.get("/metrics")
    text = answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'permission_mongo_http_requests_total{method="GET",route="/{collection}/{id}",status="200"} 1.0' in text
    assert 'permission_mongo_documents_written_total{collection="notes",verb="restored"} 1.0' in text
    assert "permission_mongo_refusals_total" in text
    assert not {word for word in ("canary", batch, "acme", "alice") if word in text}


async def test_metrics_are_no_route_unless_made_public(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG.replace("public: true", "public: false"))
    async with a_world(mongo_uri, config) as world:
        assert (await world.client.get("/metrics")).status_code in (401, 404)
        assert "permission_mongo_" not in (await world.get("/metrics", token=BOSS)).text


# -- what every answer has


@pytest.mark.parametrize("path", ["/health", "/notes", "/notes/absent", "/nothing", "/a/b/c/d"])
async def test_every_answer_carries_a_request_id_the_callers_if_it_is_a_plain_one(world, path):
    assert (await world.get(path, headers={"x-request-id": "mine-1.x_Y"})).headers["x-request-id"] == "mine-1.x_Y"
    for odd in ("", "a b", "x" * 129, "a\tb", "<script>", "a,b"):
        fresh = (await world.get(path, headers={"x-request-id": odd})).headers["x-request-id"]
        assert re.fullmatch(r"[A-Za-z0-9._-]{16,128}", fresh)
        assert fresh != odd
    assert (await world.get(path)).headers["x-request-id"] != (await world.get(path)).headers["x-request-id"]


async def test_the_request_id_of_a_write_is_in_its_audit_entry(world):
    await world.post("/notes", {"title": "n"}, headers={"x-request-id": "trace-me"})
    assert await world.database["_pm_audit"].count_documents({"request_id": "trace-me", "action": "create"}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/notes/",
        "//notes",
        "/notes/a/b",
        "/notes/a/versions/1/2",
        "/notes/batch/x/y/z",
        "/health/x",
        "/../notes/a/x",
        "/%2e%2e/%2e%2e/etc",
    ],
)
async def test_t26_a_path_that_is_no_route_is_told_in_the_shape_of_every_refusal(world, path):
    answer = await world.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == "collection_not_found"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/notes", {"GET", "POST"}),
        ("DELETE", "/notes", {"GET", "POST"}),
        ("POST", "/notes/a", {"GET", "PUT", "PATCH", "DELETE"}),
        ("GET", "/notes/batch/get", {"POST"}),
        ("POST", "/notes/deleted", {"GET"}),
        ("POST", "/notes/a/versions", {"GET"}),
        ("HEAD", "/notes", {"GET", "POST"}),
        ("OPTIONS", "/notes", {"GET", "POST"}),
        ("TRACE", "/notes", {"GET", "POST"}),
    ],
)
async def test_a_method_that_a_route_lacks_is_told_with_those_it_has(world, method, path, allowed):
    await world.add("a")
    answer = await world.ask(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed
    assert method == "HEAD" or answer.json()["error"]["code"] == "method_not_allowed"
    assert await world.stored("a") == ["a"]


# -- bodies


@pytest.mark.parametrize("path", BODY_ROUTES)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not JSON: "),
        (b"nothing", "the body is not JSON: "),
        (b'{"a": 1,}', "the body is not JSON: "),
        (b"{'a': 1}", "the body is not JSON: "),
        (b'{"a": 1} {}', "the body is not JSON: "),
        (b"[]", "the body must be a JSON object"),
        (b'"text"', "the body must be a JSON object"),
        (b"null", "the body must be a JSON object"),
        (b"5", "the body must be a JSON object"),
    ],
)
async def test_a_body_that_is_no_json_object_is_told_so(world, path, content, message):
    answer = await world.ask("POST", path, content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize("path", BODY_ROUTES[:5])
async def test_an_empty_body_is_told_so(world, path):
    for content in (b"", b" \n"):
        answer = await world.ask("POST", path, content=content)
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            400,
            "the body is empty; expected a JSON object",
        )


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "",
    ],
)
async def test_another_content_type_is_refused(world, kind):
    for path in BODY_ROUTES:
        answer = await world.ask("POST", path, content=b"{}", headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


async def test_a_merge_patch_may_be_called_so_and_nothing_else_may(world):
    """RFC 7396."""
    await world.add("a")
    kind = {"content-type": "application/merge-patch+json"}
    assert (await world.ask("PATCH", "/notes/a", {"title": "new"}, headers=kind)).json()["title"] == "new"
    assert (await world.ask("PUT", "/notes/a", {"title": "x"}, headers=kind)).status_code == 415
    assert (await world.post("/notes", {"title": "x"}, headers=kind)).status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_taken_however_it_is_spelled(world, kind):
    answer = await world.ask("POST", "/notes", content=b'{"title": "n"}', headers={"content-type": kind})
    assert answer.status_code == 201


async def test_t23_a_body_of_exactly_the_limit_is_taken(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_body_bytes: 1000}\n")) as world:
        fits = b'{"title": "n"}'
        assert (await world.ask("POST", "/notes", content=fits + b" " * (1000 - len(fits)))).status_code == 201
        assert (await world.ask("POST", "/notes", content=fits + b" " * (1001 - len(fits)))).status_code == 413


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"\xb2", 201), (b"\xb9\xb2", 201), (b"abc", 201), (b"-1", 201), (b"9" * 19, 413), (b"9" * 5000, 413)],
)
async def test_t23_a_length_that_is_no_number_of_ours_makes_no_fault(world, length, status):
    """What a server in front lets through; the body is counted as it comes."""
    answer = await world.ask("POST", "/notes", content=b'{"title": "n"}', headers={"content-length": length})
    assert answer.status_code == status


@pytest.mark.parametrize("path", BODY_ROUTES)
@pytest.mark.parametrize("header", ["if-match"])
async def test_a_promise_that_is_not_kept_yet_is_refused_not_ignored(world, path, header):
    answer = await world.post(path, {}, headers={header: "x"})
    assert (answer.status_code, header in answer.json()["error"]["message"]) == (400, True)


async def test_a_failure_of_ours_tells_the_request_id_only(world, caplog):
    """Here a record of a version that somebody damaged."""
    await world.add("a")
    await world.delete("/notes/batch", {"ids": ["a"]})
    await world.database["_pm_versions"].update_one({"doc_id": "a"}, {"$unset": {"ended.action": ""}})
    answer = await world.get("/notes/a/versions", headers={"x-request-id": "find-me"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert set(answer.json()["error"]) == {"code", "message"}
    assert "KeyError" not in answer.text
    assert "find-me" in caplog.text
