"""Every route of the app stands in this table: a new one without an entry fails."""

import json
import time
from urllib.parse import unquote

import pytest
from starlette.routing import Route

from permission_mongo.auth.development import make_token
from tests.http.harness import SECRET, a_token

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


BATCH = "0" * 32

# route -> a request that is right but for who asks, the action it needs, and a role that has not got it
GUARDED = {
    ("POST", "/{collection}"): ("/notes", {"title": "n"}, "create", "viewer"),
    ("PUT", "/{collection}/{id}"): ("/notes/a", {"title": "n"}, "update", "viewer"),
    ("PATCH", "/{collection}/{id}"): ("/notes/a", {"title": "n"}, "update", "viewer"),
    ("POST", "/{collection}/{id}/purge"): ("/notes/a/purge", {"reason": "r"}, "purge", "user"),
    ("DELETE", "/{collection}/{id}"): ("/notes/a", None, "delete", "viewer"),
    ("POST", "/{collection}/batch"): ("/notes/batch", {"documents": [{"title": "n"}]}, "create", "viewer"),
    ("GET", "/{collection}"): ("/notes", None, "read", "clerk"),
    ("GET", "/{collection}/{id}"): ("/notes/a", None, "read", "clerk"),
    ("GET", "/{collection}/{id}/versions"): ("/notes/a/versions", None, "read", "clerk"),
    ("GET", "/{collection}/{id}/versions/{version}"): ("/notes/a/versions/1", None, "read", "clerk"),
    ("GET", "/{collection}/{id}/diff/{from}/{to}"): ("/notes/a/diff/1/2", None, "read", "clerk"),
    ("POST", "/{collection}/{id}/restore/{version}"): ("/notes/a/restore/1", {}, "restore", "viewer"),
    ("POST", "/{collection}/batch/get"): ("/notes/batch/get", {"ids": ["a"]}, "read", "clerk"),
    ("POST", "/{collection}/query"): ("/notes/query", {}, "read", "clerk"),
    ("POST", "/{collection}/count"): ("/notes/count", {}, "read", "clerk"),
    ("PUT", "/{collection}/batch"): ("/notes/batch", {"ids": ["a"], "update": {"title": "n"}}, "update", "viewer"),
    ("DELETE", "/{collection}/batch"): ("/notes/batch", {"ids": ["a"]}, "delete", "viewer"),
    ("POST", "/{collection}/batch/delete"): ("/notes/batch/delete", {"ids": ["a"]}, "delete", "viewer"),
    ("POST", "/{collection}/batch/{batch}/undo"): (f"/notes/batch/{BATCH}/undo", {}, "restore", "viewer"),
    ("POST", "/{collection}/aggregate"): ("/notes/aggregate", {"pipeline": [{"$count": "n"}]}, "aggregate", "viewer"),
    ("GET", "/{collection}/deleted"): ("/notes/deleted", None, "restore", "viewer"),
    ("PUT", "/{collection}/{id}/blobs/{field}"): ("/notes/a/blobs/photo", None, "update", "viewer"),
    ("GET", "/{collection}/{id}/blobs/{field}"): ("/notes/a/blobs/photo", None, "read", "clerk"),
    ("DELETE", "/{collection}/{id}/blobs/{field}"): ("/notes/a/blobs/photo", None, "update", "viewer"),
}
# of the gateway itself: anybody may ask, and is told of what is their own
OWN = {
    ("GET", "/_pm/me"): "/_pm/me",
    ("GET", "/_pm/policy"): "/_pm/policy",
    ("PUT", "/_pm/policy"): "/_pm/policy",
    ("GET", "/_pm/policy/matrix"): "/_pm/policy/matrix",
    ("POST", "/_pm/policy/check"): "/_pm/policy/check",
    ("POST", "/_pm/policy/test"): "/_pm/policy/test",
    ("POST", "/_pm/policy/diff"): "/_pm/policy/diff",
    ("POST", "/_pm/explain"): "/_pm/explain",
    ("GET", "/_pm/audit"): "/_pm/audit",
    ("GET", "/_pm/jobs"): "/_pm/jobs",
    ("GET", "/_pm/jobs/{job}"): f"/_pm/jobs/{BATCH}",
    ("POST", "/_pm/jobs/{job}/cancel"): f"/_pm/jobs/{BATCH}/cancel",
}
# of the gateway itself as well, for the system right `admin`
ADMIN = {
    ("POST", "/_pm/hierarchy/sync"): "/_pm/hierarchy/sync",
    ("POST", "/api/hierarchy/sync"): "/api/hierarchy/sync",
}
OPEN = {
    ("GET", "/health"): "/health",
    ("GET", "/ready"): "/ready",
    ("GET", "/metrics"): "/metrics",
    ("GET", "/_pm/console"): "/_pm/console",
    ("GET", "/_pm/console/{file}"): "/_pm/console/app.js",
    ("GET", "/_pm/openapi.json"): "/_pm/openapi.json",  # a credential that is shown all the same must hold
}
GIVEN = ("GET", "/_pm/blobs/{token}")  # good for whoever was given it: tests/http/test_blobs.py
CREDENTIALS = {
    "none": {},
    "empty": {"authorization": ""},
    "another scheme": {"authorization": "Basic YWxpY2U6cHc="},
    "no token": {"authorization": "Bearer "},
    "no signature": {"authorization": "Bearer a.b.c"},
    "expired": {
        "authorization": f"Bearer {make_token(SECRET, 'HS256', 'alice', ['boss'], int(time.time()) - 3600, {'tenant_id': 'acme'})}"
    },
    "another secret": {
        "authorization": f"Bearer {make_token('x' * 32, 'HS256', 'alice', ['boss'], int(time.time()) + 600, {'tenant_id': 'acme'})}"
    },
    "two": {"authorization": f"Bearer {a_token()}", "x-api-key": f"pmk_{'0' * 16}_{'a' * 43}"},
    "unknown key": {"x-api-key": f"pmk_{'0' * 16}_{'a' * 43}"},
    "no key": {"x-api-key": "secret"},
}


def routes_of(app):
    return {(method, route.path_format) for route in app.routes if isinstance(route, Route) for method in route.methods}


async def test_every_route_stands_in_the_table_and_none_besides(world):
    assert all(isinstance(route, Route) for route in world.app.routes)
    assert routes_of(world.app) == {*GUARDED, *OWN, *ADMIN, *OPEN, GIVEN}


@pytest.mark.parametrize("route", {**GUARDED, **OWN, **ADMIN}, ids=" ".join)
async def test_a_caller_without_a_valid_credential_is_refused_before_anything_else(world, route):
    method, (path, body, *_) = route[0], GUARDED.get(route) or ({**OWN, **ADMIN}[route], None)
    await world.add("a")
    for name, headers in CREDENTIALS.items():
        told = set()
        for where in (
            path,
            path.replace("/notes", "/nothing"),
            f"{path}?unknown=1",
            f"{path}?access_token={a_token()}",
        ):
            answer = await world.client.request(method, where, headers=headers, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), name
            assert answer.headers["www-authenticate"] == "Bearer"
            told.add(answer.text)
        assert len(told) == 1
    assert await world.database["notes"].count_documents({}) == 1


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
async def test_a_role_without_the_action_is_forbidden(world, route):
    method, (path, body, action, role) = route[0], GUARDED[route]
    for roles in ([role], [], ["nobody"]):
        answer = await world.ask(method, path, body, token=a_token(roles=roles))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (403, "forbidden")
        assert error["details"]["collection"] == "notes"
        assert error["details"]["action"] == action or not roles or roles == ["nobody"]


@pytest.mark.parametrize("route", ADMIN, ids=" ".join)
async def test_a_role_without_the_system_right_is_forbidden(world, route):
    for body in (None, {}, {"tenant_id": "acme"}, {"tenant_id": "rival"}):
        answer = await world.ask(route[0], ADMIN[route], body, token=a_token(roles=["boss", "root"]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert answer.json()["error"]["message"] == "this needs the system right 'admin'"


# To the routes of blobs the field matters too: tests/http/test_blobs.py.
@pytest.mark.parametrize("route", [one for one in GUARDED if "/blobs/" not in one[1]], ids=" ".join)
async def test_a_caller_with_the_action_is_not(world, route):
    method, (path, body, _, _) = route[0], GUARDED[route]
    answer = await world.ask(method, path, body, token=a_token(roles=["boss"]))
    assert answer.status_code in (200, 201, 404)


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
async def test_t26_a_collection_that_is_not_declared_is_no_route(world, route):
    method, (path, body, _, _) = route[0], GUARDED[route]
    for name in (
        "nothing",
        "NOTES",
        "system.js",
        "_pm_versions",
        "_pm_api_keys",
        "$cmd",
        "admin",
        "local",
        "notes%00",
        "%2e%2e",
        "notes.",
        "n%CC%82otes",
    ):
        answer = await world.ask(
            method, path.replace("/notes", f"/{name}", 1), body, token=a_token(roles=["boss", "root"])
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "collection_not_found"), name


async def test_a_credential_that_a_description_does_not_need_must_hold_all_the_same(world):
    for name, headers in CREDENTIALS.items():
        answer = await world.client.get("/_pm/openapi.json", headers=headers)
        assert answer.status_code == (401 if headers else 200), name
    assert (await world.client.get("/_pm/openapi.json", headers={"x-namespace": "default"})).status_code == 401


@pytest.mark.parametrize(
    "raw",
    [
        b"/../notes",
        b"/notes/../_pm/me",
        b"//notes",
        b"/notes//a",
        b"/./notes",
        b"/%2e%2e/notes",
        b"/notes%2fa",
        b"/%2fnotes",
        b"/notes/%2e%2e/plain",
        b"/notes\\a",
        b"/notes%00",
        b"/notes;a",
        b"/NOTES",
        b"/_PM/me",
        b"/_pm",
        b"/_pm_keys",
        b"/admin",
        b"/local",
        b"/config",
        b"/system.js",
        b"/$cmd",
    ],
)
async def test_t26_a_path_is_taken_as_it_is_sent_and_leads_nowhere_else(world, raw):
    """No segment is resolved, folded or split: what is sent so is another name, of a collection or document that is not."""
    await world.add("a", token=a_token(roles=["boss"]))
    status, body = await sent_as_it_is(world.app, raw, a_token(roles=["boss", "root"]))
    assert (status, set(json.loads(body))) == (404, {"error"}), body


async def sent_as_it_is(app, raw: bytes, token: str) -> tuple[int, bytes]:
    """A path as the server hands it on, which no client has put in order before."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": unquote(raw.decode()), "raw_path": raw, "query_string": b""}
    told = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        told.append(message)

    await app({**scope, "headers": headers, "client": None, "app": app, "root_path": ""}, receive, send)
    return told[0]["status"], b"".join(one.get("body", b"") for one in told)


async def test_another_method_of_a_service_route_is_405_and_asked_of_no_collection(world):
    for path in {*OPEN.values(), *OWN.values(), *ADMIN.values()}:
        taken = {method for (method, _), at in {**OPEN, **OWN, **ADMIN}.items() if at == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - taken:
            answer = await world.ask(method, path, token=a_token(roles=["boss"]))
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed"), (method, path)
            assert set(answer.headers["allow"].split(", ")) == taken


@pytest.mark.parametrize("route", OPEN, ids=" ".join)
async def test_a_service_route_asks_for_no_credential(world, route):
    assert (await world.client.get(OPEN[route])).status_code == 200
