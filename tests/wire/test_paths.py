"""Paths and methods as they come over the wire: names are those of the schema, and nothing leads around them."""

import pytest

from tests.wire.server import BOSS, HOST, Answer, Served, answers_in

pytestmark = pytest.mark.mongo

PATHS = [
    "/..",
    "/../notes",
    "/notes/..",
    "/notes/../plain",
    "/notes/./1",
    "/./notes",
    "//",
    "//notes",
    "/notes/",
    "/notes//1",
    "///etc/passwd",
    "/%2e%2e",
    "/%2e%2e/notes",
    "/notes/%2e%2e",
    "/notes/%2E",
    "/notes%2f1",
    "/notes%2F1",
    "/%2fnotes",
    "/notes/1%2f2",
    "/notes/1%5c2",
    "/notes%00",
    "/notes/%00",
    "/notes/1%00",
    "/%00",
    "/system.js",
    "/system.users",
    "/system.views/1",
    "/_pm_versions",
    "/_pm_keys",
    "/_pm_settings/secret",
    "/_pm_audit?_limit=1",
    "/_pm",
    "/_pm/",
    "/$cmd",
    "/$cmd.aggregate",
    "/%24cmd",
    "/admin",
    "/local/oplog.rs",
    "/config",
    "/Notes",
    "/NOTES",
    "/n%6ftes%20",
    "/ notes".replace(" ", "%20"),
    "/notes%0a",
    "/notes%c0%af",
    "/n\\otes".replace("\\", "%5C"),
    "/notes;x=1",
    "/notes.json",
    "/notes/1/versions/1/x",
    "/%zz",
    "/%",
    "/HEALTH",
    "/health/",
    "/health/..",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_t26_what_names_no_declared_collection_is_refused_in_the_usual_shape(served: Served, method, path):
    answer = served.as_boss(method, path)
    assert answer.status in (400, 404, 405), path
    assert answer.code in ("bad_request", "collection_not_found", "document_not_found", "method_not_allowed")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", [b"/notes\x00", b"/no tes", b"/notes\r\nX: y", b"/notes\x7f", b"/\xff", b"notes", b"\\notes"]
)
def test_t26_a_path_with_what_no_path_has_is_400(served: Served, path):
    (answer,) = answers_in(served.say(b"GET " + path + b" HTTP/1.1\r\n" + HOST + BOSS.encode() + b"\r\n\r\n"))
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/notes%2fdivided", "/notes%2Fdivided", "/notes/divided%00", "/%6eotes%2fdivided"])
def test_t26_an_encoded_slash_divides_no_path(served: Served, path):
    """What stands in front of the gateway may have judged it as one name."""
    if served.as_boss("GET", "/notes/divided").status == 404:
        assert served.as_boss("POST", "/notes", b'{"_id": "divided", "title": "x"}').status == 201
    answer = served.as_boss("GET", path)
    assert (answer.status, answer.code) == (404, "collection_not_found")


def test_an_encoded_letter_is_that_letter(served: Served):
    assert served.as_boss("GET", "/n%6ftes").status == 200


# -- methods


@pytest.mark.parametrize("path", ["/health", "/notes", "/notes/1", "/notes/batch", "/_pm/jobs"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "PURGE", "LINK"])
def test_t33_a_method_that_no_route_has_is_405_with_what_is_allowed(served: Served, method, path):
    answer = told(served, method, path)
    assert answer.status == 405
    assert set(answer.headers["allow"].replace(" ", "").split(",")) <= {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert answer.headers["allow"]


def told(served: Served, method: str, path: str, *headers: str) -> Answer:
    """An answer to HEAD tells the length of a body that it does not have."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", "Connection: close", BOSS, *headers, "", ""]
    sent = served.say("\r\n".join(lines).encode())
    if method == "HEAD":
        head, closed, body = sent.partition(b"\r\n\r\n")
        assert (closed, body) == (b"\r\n\r\n", b"")
        sent = b"\r\n".join(line for line in head.split(b"\r\n") if b"length" not in line.lower()) + closed
    (answer,) = answers_in(sent)
    return answer


def test_t33_trace_tells_nobody_what_was_sent(served: Served):
    assert b"Bearer" not in told(served, "TRACE", "/notes", "X-Secret: canary").body
    assert b"canary" not in told(served, "TRACE", "/notes", "X-Secret: canary").body


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_t33_no_other_site_is_let_in(served: Served, method):
    asked = ("Origin: https://evil.example", "Access-Control-Request-Method: DELETE")
    answer = told(served, method, "/notes", *asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/health", "/notes", "/notes/absent", "/nowhere/at/all", "/metrics"])
def test_t33_every_answer_is_taken_for_what_it_says_and_kept_by_nobody(served: Served, path):
    answer = served.as_boss("GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_t33_so_is_one_that_was_turned_away(served: Served):
    (answer,) = answers_in(served.say(b"GET /health HTTP/1.1\r\n\r\n"))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("text", ["a%0d%0aX-Injected: 1", "%0aERROR forged line"])
def test_t33_what_a_caller_writes_makes_no_line_of_its_own(served: Served, text):
    answer = served.as_boss("GET", f"/{text.replace(' ', '%20')}", b"", "X-Request-ID: a b")
    assert answer.status == 404
    assert "x-injected" not in answer.headers
    assert answer.headers["x-request-id"] != "a b"
    assert "forged line" not in served.log.read_text()
