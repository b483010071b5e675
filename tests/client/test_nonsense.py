"""Whatever answers at the address, a caller gets a result of the right shape or an error of the client's own."""

from __future__ import annotations

import copy
import gzip
import logging
import pickle
import time
import traceback
from typing import Any

import httpx
import orjson
import pytest

from permission_mongo.client import (
    AsyncClient,
    Client,
    ClientError,
    DeleteResult,
    Forbidden,
    NotFound,
    NotUnderstood,
    PartlyDone,
    RateLimited,
    Refused,
    Retries,
    ServerError,
    Timeouts,
    Unavailable,
    Unclear,
    Unreachable,
    Unsendable,
    errors,
    service,
    wire,
)
from permission_mongo.client.call import Call
from permission_mongo.client.documents import DocumentCalls
from tests.client.paths import Says, a_path
from tests.client.scripts import answer, refusal, run

NOTES = DocumentCalls("notes", types={})
SECRET = "verysecretverysecret"
QUICK: dict[str, Any] = {
    "retries": Retries(attempts=2, first=0.01, longest=0.01),
    "timeouts": Timeouts(0.5, 0.5, 0.5, 0.5, 2),
}
CALLS: dict[str, Call[Any]] = {
    "find_one": NOTES.find_one("a"),
    "find": NOTES.page({}),
    "get": NOTES.get("a"),
    "get_many": NOTES.get_many(["a"]),
    "count": NOTES.count(),
    "aggregate": NOTES.aggregate([]),
    "insert_one": NOTES.insert_one({}),
    "update_one": NOTES.update_one("a", {}),
    "delete_one": NOTES.delete_one("a"),
    "purge": NOTES.purge("a", "x"),
    "insert_many": NOTES.insert_many([{}]),
    "update_many": NOTES.update_many(["a"], {}),
    "delete_many": NOTES.delete_many(["a"], respond_async=True),
    "undo": NOTES.undo("b"),
    "versions": NOTES.versions("a"),
    "version": NOTES.version("a", 1),
    "diff": NOTES.diff("a", 1, 2),
    "restore": NOTES.restore("a", 1),
    "me": service.me(),
    "job": service.job("j"),
    "jobs": service.jobs(),
    "health": service.health(),
    "ready": service.ready(),
    "sync_hierarchy": service.sync_hierarchy(),
}
# Whatever JSON may be; what a gateway answers elsewhere; and the right keys with the wrong values.
BODIES: list[object] = [
    None, True, 0, 1.5, "text", [], [[]], [None], {}, {"data": None}, {"data": 3}, {"data": [3]}, {"data": {"count": "3"}},
    {"data": [], "pagination": None}, {"data": [], "pagination": {"has_more": 1}}, {"data": {}, "metadata": 3}, {"_id": None},
    {"data": [], "pagination": {"cursor": 3, "has_more": True}}, {"id": 3}, {"deleted": "3"}, {"deleted": True, "missing": 3},
    {"deleted": 1, "missing": [3]}, {"created": [1]}, {"created": [], "failed": [{}]}, {"created": [], "failed": 3}, {"job": 3},
    {"restored": 1.0}, {"restored": 1, "error": {}}, {"restored": 1, "error": {"code": 1, "message": 2}}, {"job": {"id": "x"}},
    {"job": {"progress": {"deleted": "x"}}}, {"modified": 1, "matched": "1"}, {"documents": [1], "not_found": []}, {"status": 1},
    [{"version": True}], [{"version": 1, "updated_at": "yesterday"}], {"from_version": 1, "to_version": 2, "changes": [1]},
    {"id": "j", "state": "x", "operation": "x", "collection": "x", "created_at": "never", "progress": {}},
]  # fmt: skip


def _every_error() -> list[ClientError]:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Refused)]
    refused = [one("said", code="code", status=400, details={"a": 1}, request_id="r", retry_after=1.5) for one in kinds]
    partly = PartlyDone("said", DeleteResult(deleted=1), status=207, request_id="r")
    unclear = Unclear("said", refused[0], idempotency_key="k", request_id="r")
    return [
        *refused,
        partly,
        unclear,
        ClientError("said"),
        Unreachable("said"),
        NotUnderstood("said"),
        Unsendable("said"),
    ]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 207, 304])
def test_a_success_of_any_shape_is_a_result_or_an_error_of_the_client(name, status):
    for body in BODIES:
        with pytest.raises(ClientError) as raised:
            raise _NotRaised(run(CALLS[name], [answer(status, body)]))
        assert isinstance(raised.value, NotUnderstood | Unclear | PartlyDone | _NotRaised), repr(raised.value)


class _NotRaised(ClientError):
    """There was a result."""

    def __init__(self, result: object) -> None:
        super().__init__(repr(result))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>fine</html>", b'{"data": [', b"\xff\xfe", b"[" * 5000, b"NaN", b'"\\ud800"']
)
def test_a_success_that_is_no_json_is_not_understood_and_a_write_unclear(name, body):
    for status in (200, 201):
        with pytest.raises(Unclear if CALLS[name].writes else NotUnderstood):
            run(CALLS[name], [answer(status, body)])


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {}}', b'{"error": {"code": 3, "message": 4}}']
)
@pytest.mark.parametrize("status", [400, 403, 404, 418, 499, 500, 599, 600, 999, 100])
def test_a_refusal_of_any_shape_is_a_refusal(status, body):
    with pytest.raises(Refused) as raised:
        run(NOTES.count(), [answer(status, body)])
    assert raised.value.code == f"http_{status}"
    assert raised.value.status == status


def test_an_answer_of_very_many_levels_is_an_error_of_the_client():
    """Python walks some hundred levels, and JSON may have more; a gateway's own has 64."""
    deep = b"[" * 1000 + b"]" * 1000
    with pytest.raises(NotUnderstood):
        run(NOTES.get("a"), [answer(200, b'{"_id": ' + deep + b"}")])
    told = b'{"error": {"code": "forbidden", "message": "x", "details": {"a": ' + deep + b"}}}"
    says = Says(http(403, told))
    with a_path(says) as address, Client(address, token=SECRET, **QUICK) as client, pytest.raises(Forbidden) as raised:
        client.health()
    assert raised.value.details == {}


def test_a_page_of_a_proxy_is_not_a_document_that_is_not_there():
    """Only the gateway knows which documents there are."""
    with pytest.raises(NotFound, match="http_404"):
        run(NOTES.find_one("a"), [answer(404, b"<html>not found</html>")])
    with pytest.raises(NotFound, match="collection_not_found"):
        run(NOTES.find_one("a"), [refusal(404, "collection_not_found")])
    assert run(NOTES.find_one("a"), [refusal(404, "document_not_found")]) is None


def test_a_list_that_never_ends_ends():
    for pagination in ({"cursor": None, "has_more": True}, {"cursor": "same", "has_more": True}):
        says = Says(http(body={"data": [], "pagination": pagination}))
        with a_path(says) as address, Client(address, **QUICK) as client, pytest.raises(NotUnderstood):
            list(client["notes"].find())
        assert len(says.requests) <= 2


def test_more_rows_than_asked_for_are_left_out():
    says = Says(
        http(body={"data": [{"_id": str(n)} for n in range(9)], "pagination": {"cursor": None, "has_more": False}})
    )
    with a_path(says) as address, Client(address, **QUICK) as client:
        assert len(list(client["notes"].find(limit=2))) == 2


# -- bytes on a connection


def http(status: int = 200, body: object = None, *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    given = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close", *headers]
    return "\r\n".join([*given, "", ""]).encode() + content


WIRE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "half a body": http(200, {"status": "ok"})[:-4],
    "half a chunk": b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"status"',
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "a huge length": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x-many: y\r\n" * 30000,
}


@pytest.mark.parametrize("kind", WIRE)
async def test_a_broken_answer_is_a_lost_one(kind):
    says = Says(WIRE[kind])
    with a_path(says) as address:
        with Client(address, **QUICK) as client:
            with pytest.raises(Unreachable):
                client.health()
            assert len(says.requests) == 2
            with pytest.raises(Unclear):
                client["notes"].insert_one({"a": 1})
        async with AsyncClient(address, **QUICK) as client:
            with pytest.raises(Unreachable):
                await client.health()
            with pytest.raises(Unclear):
                await client["notes"].insert_one({"a": 1})


def test_a_packed_answer_that_nobody_asked_for_is_not_unpacked():
    """A few bytes may become very many."""
    says = Says(http(200, gzip.compress(b'{"status": "ok"}'), "content-encoding: gzip"))
    with a_path(says) as address, Client(address, **QUICK) as client, pytest.raises(NotUnderstood):
        client.health()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status):
    elsewhere = Says(http(200, {"status": "ok"}))
    with a_path(elsewhere) as other:
        says = Says(http(status, b"", f"location: {other}/health"))
        with a_path(says) as address, Client(address, token=SECRET, **QUICK) as client, pytest.raises(NotUnderstood):
            client.health()
        with a_path(says) as address:
            async with AsyncClient(
                address, token=SECRET, http=httpx.AsyncClient(follow_redirects=True), **QUICK
            ) as client:
                with pytest.raises(NotUnderstood):
                    await client.health()
    assert elsewhere.requests == []


@pytest.mark.parametrize("text", ["9" * 5000, "999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_huge_retry_after_keeps_nobody(text):
    says = Says(
        http(
            429,
            {"error": {"code": "rate_limited", "message": "x"}},
            f"retry-after: {text}",
            "date: Sun, 22 Nov 2026 18:00:00 GMT",
        )
    )
    begun = time.monotonic()
    with a_path(says) as address, Client(address, **QUICK) as client, pytest.raises(RateLimited):
        client.health()
    assert time.monotonic() - begun < 5


class Endless(Says):
    """An answer that would be right, and has no end that anybody could wait for."""

    told = 0

    def answer(self, caller):
        self.requests.append(b"")
        caller.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b'{"status": "ok"}')
        for _ in range(400):
            caller.sendall(b" " * 100_000)
            self.told += 100_000


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 100_000)
    says = Endless()
    with a_path(says) as address:
        with Client(address, **QUICK) as client, pytest.raises(NotUnderstood):
            client.health()
        async with AsyncClient(address, **QUICK) as client:
            with pytest.raises(NotUnderstood):
                await client.health()
    assert len(says.requests) == 2, "it was not asked for again"
    assert says.told < 2 * 400 * 100_000, "the connection was closed on it"


def test_a_short_credential_garbles_no_refusal():
    says = Says(http(403, {"error": {"code": "forbidden", "message": "not for you"}}))
    with a_path(says) as address, Client(address, token="o", **QUICK) as client, pytest.raises(Forbidden) as raised:
        client.health()
    assert (raised.value.code, raised.value.message) == ("forbidden", "not for you")


async def test_an_answer_that_drips_is_ended_by_the_total():
    class Drips(Says):
        def answer(self, caller):
            self.requests.append(b"")
            caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(100):
                caller.sendall(b" ")
                time.sleep(0.05)

    timeouts = Timeouts(total=0.4)
    with a_path(Drips()) as address:
        begun = time.monotonic()
        with Client(address, timeouts=timeouts) as client, pytest.raises(Unreachable):
            client.health()
        async with AsyncClient(address, timeouts=timeouts) as client:
            with pytest.raises(Unreachable):
                await client.health()
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    ("status", "kind"), [(502, Unavailable), (503, Unavailable), (500, ServerError), (403, Forbidden)]
)
def test_a_proxys_page_has_its_status_and_none_of_its_words(status, kind):
    says = Says(http(status, b"<html>you sent Authorization: Bearer " + SECRET.encode(), "content-type: text/html"))
    with a_path(says) as address, Client(address, token=SECRET, **QUICK) as client, pytest.raises(kind) as raised:
        client.health()
    assert "html" not in str(raised.value)


@pytest.mark.parametrize("kind", sorted({type(one).__name__ for one in (*_every_error(),)}))
def test_an_error_goes_from_process_to_process(kind):
    """Else a pool breaks where one of its processes fails."""
    error = next(one for one in _every_error() if type(one).__name__ == kind)
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error)
        assert (str(same), repr(same), same.args) == (str(error), repr(error), error.args)
        assert {name: repr(one) for name, one in vars(same).items()} == {
            name: repr(one) for name, one in vars(error).items()
        }


# -- secrets


ECHOES = [
    http(403, {"error": {"code": "forbidden", "message": f"no, {SECRET}", "details": {"token": SECRET}}}),
    http(403, {"error": {"code": SECRET, "message": "no"}}),
    http(403, {"error": {"code": "forbidden", "message": "no"}}, f"x-request-id: {SECRET}"),
    http(200, SECRET.encode(), f"content-type: {SECRET}"),
    http(200, {"status": "ok", SECRET: SECRET, "error": SECRET}),
    http(201, {"_id": {SECRET: SECRET}, SECRET: 1}),
    http(302, b"", f"location: http://x/{SECRET}"),
    http(500, SECRET.encode()),
    http(200, {"data": {SECRET: "x"}}),
    http(
        200,
        {
            "data": [
                {
                    "id": "j",
                    "state": "x",
                    "operation": "x",
                    "collection": "x",
                    "created_at": "2026-01-01",
                    "progress": {SECRET: "x"},
                }
            ]
        },
    ),
    b"",
]


@pytest.mark.parametrize("echo", ECHOES, ids=range(len(ECHOES)))
@pytest.mark.parametrize("credential", ["token", "api_key"])
def test_no_error_no_repr_and_no_log_shows_the_credential(echo, credential, caplog):
    caplog.set_level(logging.DEBUG)
    with a_path(Says(echo)) as address, Client(address, **{credential: SECRET}, **QUICK) as client:
        for call in (client.me, client.sync_hierarchy, client.jobs, lambda: client["notes"].insert_one({"a": 1})):
            with pytest.raises(ClientError) as raised:
                raise _NotRaised(call() and "")
            error = raised.value
            told = [repr(error), str(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            chain = [repr(one) for one in (error.__cause__, error.__context__) if one is not None]
            assert not [one for one in (*told, *chain, repr(client), repr(client["notes"])) if SECRET in one]
            assert SECRET.encode() not in pickle.dumps(str(error))
    # httpcore tells the headers of an answer at this level: what a server sends back of itself is beyond a client.
    own = [one.getMessage() for one in caplog.records if not one.name.startswith("httpcore")]
    assert not [one for one in own if SECRET in one]


@pytest.mark.parametrize("wrong", ["", "two words", "a\nb", "ü", "a\r\nx-evil: 1", 3, b"abc"])
def test_a_credential_that_no_header_can_hold_is_refused_and_not_shown(wrong):
    for name in ("token", "api_key"):
        with pytest.raises(Unsendable) as raised:
            Client("http://localhost", **{name: wrong})
        assert not wrong or str(wrong) not in str(raised.value)


def test_one_credential_and_no_more():
    with pytest.raises(Unsendable):
        Client("http://localhost", token="a", api_key="b")


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:8080",
        "ftp://x",
        "http://",
        "",
        "http://user:pass@x",
        "http://x?a=b",
        "http://x#y",
        None,
        "file:///etc",
    ],
)
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(Unsendable) as raised:
        Client(wrong)
    assert "pass" not in str(raised.value)


def test_what_failed_in_part_shows_no_credential_either():
    failed = {"id": "a", "error": {"code": "conflict", "message": f"you sent Bearer {SECRET}"}}
    told = {"deleted": 0, "missing": [SECRET], "failed": [failed], "batch": SECRET}
    told["error"] = {"code": "partial", "message": SECRET, "details": {SECRET: [SECRET]}}
    with a_path(Says(http(207, told))) as address, Client(address, token=SECRET, **QUICK) as client:
        with pytest.raises(ClientError) as raised:
            client["notes"].delete_many(["a"])
        partly = client["notes"].delete_many(["a"], partial_ok=True)
    error = raised.value
    assert type(error).__name__ == "PartlyDone"
    assert SECRET not in f"{error!r} {error} {vars(error)} {partly!r}"
