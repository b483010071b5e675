"""Bytes that two servers could read differently are turned away, and nothing behind them is ever a request."""

import pytest

from tests.wire.server import BOSS, HOST, Served, answers_in, one_answer

pytestmark = pytest.mark.mongo
# What would be the second request, if the first were read as the attacker wants it to be.
HIDDEN = f"DELETE /notes/victim HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
GET = b"GET /health HTTP/1.1\r\n"
POST = b"POST /notes/query HTTP/1.1\r\n" + HOST + BOSS.encode() + b"\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: 2\r\n"

BAD = {
    # two ways to tell where the body ends
    "a length and chunks": POST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n",
    "two lengths": POST + LENGTH + b"Content-Length: 3\r\n\r\n{}",
    "the same length twice": POST + LENGTH + LENGTH + b"\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "no length": POST + b"Content-Length: \r\n\r\n{}",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    # codings
    **{
        f"the coding {coding!r}": POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        for coding in (
            b"xchunked",
            b"identity",
            b"gzip, chunked",
            b"chunked, gzip",
            b"chunked, chunked",
            b"",
            b"\x0bchunked",
        )
    },
    "the coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a coding before a space": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST /notes/query HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # chunks
    "bare line feeds in chunks": CHUNKED + b"2\n{}\n0\n\n",
    "a chunk of another size": CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n",
    "an over-long chunk size": CHUNKED + b"fffffffffffffffff\r\n{}",
    "a negative chunk": CHUNKED + b"-2\r\n{}\r\n",
    "a chunk in hex": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk behind a space": CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n",
    "a quoted line in an extension": CHUNKED + b'2;a="\r\n"\r\n{}\r\n0\r\n\r\n',
    "a bare line feed in an extension": CHUNKED + b"2;a\n{}\r\n0\r\n\r\n",
    "a NUL in an extension": CHUNKED + b"2;a=\x00\r\n{}\r\n0\r\n\r\n",
    "an extension of many bytes": CHUNKED + b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    "many extensions": CHUNKED + (b"1;" + b"a" * 200 + b"\r\n \r\n") * 400 + b"0\r\n\r\n",
    "trailers": CHUNKED + b"2\r\n{}\r\n0\r\nX-Namespace: other\r\n\r\n",
    # header lines
    "a folded header": GET + HOST + b"X: a\r\n b\r\n\r\n",
    "a bare line feed": GET + b"Host: gateway\nX: a\r\n\r\n",
    "a bare line feed at the end": GET + HOST + b"\n",
    "a bare carriage return": GET + HOST + b"X: a\rY: b\r\n\r\n",
    "a space before the colon": GET + b"Host : gateway\r\n\r\n",
    "a NUL in a header": GET + HOST + b"X: a\x00b\r\n\r\n",
    "a control in a header": GET + HOST + b"X: a\x01b\r\n\r\n",
    "a header without a name": GET + HOST + b": a\r\n\r\n",
    "a header without a colon": GET + HOST + b"abc\r\n\r\n",
    "a name of no token": GET + HOST + b"X@Y: a\r\n\r\n",
    "a space before the first header": GET + b" " + HOST + b"\r\n",
    # hosts
    "no host": GET + b"\r\n",
    "two hosts": GET + HOST + b"Host: other\r\n\r\n",
    "the host twice": GET + HOST + HOST + b"\r\n",
    "an empty host": GET + b"Host: \r\n\r\n",
    **{
        f"the host {host!r}": GET + b"Host: " + host + b"\r\n\r\n"
        for host in (b"a b", b"a/b", b"a@b", b"a,b", b"[::1", b"a:b", b"a:1:2", b"\xc3\xa9", b"a:999999", b"a\\b")
    },
    # request lines
    "another host in the target": b"GET http://other/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "the own host in the target": b"GET http://gateway/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target that is no path": b"GET health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /health#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /health x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in the target": b"GET /hea\x00lth HTTP/1.1\r\n" + HOST + b"\r\n",
    "eight bits in the target": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /health\r\n\r\n",
    "HTTP/0.9": b"GET /health HTTP/0.9\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in small letters": b"GET /health http/1.1\r\n" + HOST + b"\r\n",
    "a space behind the version": b"GET /health HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a tab between": b"GET\t/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in small letters": b"get /health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method that is none": b"HELLO /health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.fixture(scope="module", autouse=True)
def _victim(served: Served):
    assert served.as_boss("POST", "/notes", b'{"_id": "victim", "title": "still here"}').status == 201
    yield
    assert served.as_boss("GET", "/notes/victim").status == 200, "a hidden request was answered"


@pytest.mark.parametrize("name", BAD)
def test_t28_what_can_be_read_in_two_ways_is_400_and_the_last_word(served: Served, name):
    (answer,) = answers_in(served.say(BAD[name] + HIDDEN))
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("name", ["two lengths", "a length and chunks", "two hosts", "a bare line feed"])
def test_t28_it_is_the_last_word_in_pieces_too(served: Served, name):
    bad = BAD[name]
    (answer,) = answers_in(served.say(bad[:40], bad[40:], HIDDEN))
    assert answer.status == 400


def test_t28_two_credentials_are_401(served: Served):
    (answer,) = answers_in(
        served.say(GET + HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n" + HIDDEN)
    )
    assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")


HUGE = {
    "a header": GET + HOST + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    "a token of 100 kB": GET + HOST + b"Authorization: Bearer " + b"x" * 100_000 + b"\r\n\r\n",
    "a path": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path and headers": b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9_000 + b"\r\n\r\n",
    "many headers": GET + HOST + b"X: x\r\n" * 100 + b"\r\n",
    "a header without an end": GET + HOST + b"X: " + b"x" * 1_000_000,
    "a path without an end": b"GET /" + b"x" * 1_000_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_t4_a_head_that_is_too_large_is_431(served: Served, name):
    (answer,) = answers_in(served.say(HUGE[name] + HIDDEN))
    assert (answer.status, answer.code) == (431, "headers_too_large")
    assert answer.headers["connection"] == "close"


def test_a_head_below_the_bounds_is_taken(served: Served):
    headers = [f"X-{n}: x" for n in range(90)] + ["X: " + "x" * 14_000]
    assert served.ask("GET", "/health", b"", *headers).status == 200


@pytest.mark.parametrize(
    "host", ["gateway", "gateway:8080", "127.0.0.1:80", "[::1]:80", "[::ffff:1.2.3.4]", "a_b.c-d.example.", "x:"]
)
def test_a_host_that_names_one_is_taken(served: Served, host):
    (answer,) = answers_in(served.say(GET + f"Host: {host}\r\nConnection: close\r\n\r\n".encode()))
    assert answer.status == 200


def test_http_1_0_needs_no_host_and_ends_with_its_answer(served: Served):
    (answer,) = answers_in(served.say(b"GET /health HTTP/1.0\r\n\r\n"))
    assert answer.status == 200


def test_chunks_with_short_extensions_are_taken(served: Served):
    (answer,) = answers_in(served.say(CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n"))
    assert answer.status == 200


# -- more than one request on a connection


def test_t28_pipelined_requests_are_answered_in_their_order(served: Served):
    asked = b"".join(
        b"GET /%s HTTP/1.1\r\n" % path + HOST + b"\r\n" for path in (b"health", b"nowhere/at/all", b"ready") * 5
    )
    assert [one.status for one in answers_in(served.say(asked))] == [200, 404, 200] * 5


@pytest.mark.parametrize(("bad", "status"), [("two hosts", 400), ("two lengths", 400), ("a bare line feed", 400)])
def test_t28_a_bad_request_is_told_behind_the_answers_before_it(served: Served, bad, status):
    """Told at once, it would be taken for the answer to the first."""
    good = f"GET /notes/victim HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
    answers = answers_in(served.say(good + good + BAD[bad] + HIDDEN))
    assert [one.status for one in answers] == [200, 200, status]
    assert b"still here" in answers[1].body


def test_t28_a_chunk_that_fails_behind_another_request_is_told_behind_its_answer(served: Served):
    good = f"GET /notes/victim HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
    answers = answers_in(served.say(good + BAD["a chunk of another size"] + HIDDEN))
    assert [one.status for one in answers] == [200, 400]


def test_t28_no_more_than_64_requests_wait_on_one_connection(served: Served):
    asked = f"GET /notes/victim HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode() * 80
    *answers, last = answers_in(served.say(asked))
    assert {one.status for one in answers} == {200}
    assert 64 <= len(answers) <= 66
    assert last.status == 400


def test_t28_nothing_behind_an_upgrade_is_a_request(served: Served):
    asked = GET + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + HIDDEN
    assert [one.status for one in answers_in(served.say(asked))] == [200]


def test_t28_nothing_behind_a_connect_is_a_request(served: Served):
    (answer,) = answers_in(served.say(b"CONNECT other:443 HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN))
    assert (answer.status, answer.code) == (405, "method_not_allowed")


def test_t28_nothing_behind_a_close_is_a_request(served: Served):
    asked = GET + HOST + b"Connection: close\r\n\r\n" + HIDDEN
    assert [one.status for one in answers_in(served.say(asked))] == [200]


# -- bodies that nobody wants


def test_a_small_body_that_was_refused_leaves_the_connection_open(served: Served):
    with served.connect() as connection:
        connection.sendall(b"POST /notes HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n")
        assert one_answer(connection).status == 401
        connection.sendall(b"{ }\n" + GET + HOST + b"\r\n")
        assert one_answer(connection).status == 200


def test_t23_a_large_body_that_was_refused_is_told_and_ends_the_connection(served: Served):
    head = b"POST /notes HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n"
    (answer,) = answers_in(served.say(head, b" " * 5_000_000, HIDDEN))
    assert answer.status == 401


def test_t28_a_body_that_waits_for_leave_and_is_refused_is_never_read_as_a_request(served: Served):
    head = b"POST /notes HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN)
    with served.connect() as connection:
        connection.sendall(head)
        assert one_answer(connection).status == 401
        connection.sendall(HIDDEN)
        assert connection.recv(65536) == b""


# -- what is counted


def test_who_is_turned_away_is_counted_by_reason_and_told_in_the_log(served: Served):
    metric = 'permission_mongo_connections_turned_away_total{reason="host"}'
    before = served.counted(metric)
    served.say(BAD["no host"])
    served.say(BAD["two hosts"])
    assert served.counted(metric) == before + 2
    assert "turned away (host): " in served.log.read_text()
    assert served.log.read_text().count("turned away (host)") < 5, "a flood does not fill the log"
