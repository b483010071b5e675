"""Whoever is slow is closed by the clock, however busy it looks, and told why where anything is to be told.

All are slow at the same time, so that one wait is enough for them.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.wire.server import BOSS, HOST, Served, answers_in, one_answer, rest_of

pytestmark = pytest.mark.mongo
LATE = 10.0  # seconds after which anything short of the deadlines was not closed by them
GET = b"GET /health HTTP/1.1\r\n" + HOST
POST = f"POST /notes HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n".encode()
BIG = 3_000_000


def whole(*parts: bytes):
    """All of it at once, then nothing."""
    return lambda served: served.say(*parts)


def by_byte(first: bytes, text: bytes):
    """The rest one byte at a time, until the other side closes: long before the text is out."""

    def said(served: Served) -> bytes:
        with served.connect(0.1) as connection:
            connection.sendall(first)
            found = b""
            for n in range(len(text)):
                with suppress(TimeoutError):
                    connection.sendall(text[n : n + 1])
                    part = connection.recv(65536)
                    if not part:
                        return found
                    found += part
        raise AssertionError("it was never closed")

    return said


def after_another(served: Served) -> bytes:
    with served.connect() as connection:
        connection.sendall(GET + b"\r\n")
        one_answer(connection)
        connection.sendall(GET)
        return rest_of(connection)


def unread(served: Served) -> bytes:
    """Answers of more bytes than the system takes in between; what is left when the gateway is done with it."""
    wanted = f"GET /notes/big HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
    with served.connect(SO_RCVBUF=4096) as connection:
        connection.sendall(wanted * 4)
        time.sleep(2.5)
        return rest_of(connection)


SLOW = {
    "silence": whole(),
    "a byte": whole(b"G"),
    "a line": whole(b"GET /health HTTP/1.1\r\n"),
    "half a head": whole(GET),
    "half a head behind a whole one": after_another,
    "a head by bytes": by_byte(b"", GET + b"X: " + b"x" * 200),
    "empty lines by bytes": by_byte(b"", b"\r\n" * 100),
    "no body": whole(POST + b"Content-Length: 60\r\n\r\n"),
    "half a body": whole(POST + b'Content-Length: 60\r\n\r\n{"_id": "half", "title": "x"}'),
    "half a chunked body": whole(POST + b'Transfer-Encoding: chunked\r\n\r\n1d\r\n{"_id": "half", "title": "x"}\r\n'),
    "a body by bytes": by_byte(POST + b"Content-Length: 200\r\n\r\n", b" " * 199),
    "nothing more": whole(GET + b"\r\n"),
    "unread": unread,
}
Ended = dict[str, tuple[bytes, float]]


@pytest.fixture(scope="module")
def ended(served: Served) -> Iterator[Ended]:
    """What each was told, and after how many seconds its connection was closed."""
    big = {"_id": "big", "title": "big", "tags": ["x" * 1000] * (BIG // 1000)}
    assert served.as_boss("POST", "/notes", json.dumps(big).encode()).status == 201

    def timed(slow) -> tuple[bytes, float]:
        begun = time.monotonic()
        return slow(served), time.monotonic() - begun

    with ThreadPoolExecutor(len(SLOW)) as pool:
        running: dict[str, Future] = {name: pool.submit(timed, slow) for name, slow in SLOW.items()}
        yield {name: one.result() for name, one in running.items()}


@pytest.mark.parametrize("name", SLOW)
def test_t29_whoever_is_slow_is_closed_by_a_deadline(ended: Ended, name):
    assert 0.7 < ended[name][1] < LATE


@pytest.mark.parametrize("name", [name for name in SLOW if "byte" in name and "empty" not in name] + ["half a head"])
def test_t29_it_is_told_408(ended: Ended, name):
    (answer,) = answers_in(ended[name][0])
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


def test_t29_silence_is_told_nothing(ended: Ended):
    assert (ended["silence"][0], ended["empty lines by bytes"][0]) == (b"", b"")


def test_t29_a_later_head_of_a_connection_has_the_same_deadline(ended: Ended):
    (late,) = answers_in(ended["half a head behind a whole one"][0])
    assert late.status == 408


@pytest.mark.parametrize("name", ["no body", "half a body", "half a chunked body"])
def test_t29_half_a_body_writes_nothing(served: Served, ended: Ended, name):
    (answer,) = answers_in(ended[name][0])
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert served.as_boss("GET", "/notes/half").status == 404


def test_t29_an_idle_connection_is_closed_behind_its_answer(ended: Ended):
    assert [one.status for one in answers_in(ended["nothing more"][0])] == [200]


def test_t29_an_answer_that_nobody_reads_is_given_up(served: Served, ended: Ended):
    assert len(ended["unread"][0]) < 4 * BIG
    assert served.counted('permission_mongo_connections_turned_away_total{reason="write_time"}') == 1


def test_a_deadline_is_of_what_is_sent_and_not_of_the_connection(served: Served):
    """Requests on one connection for longer than any deadline."""
    with served.connect() as connection:
        for _ in range(6):
            connection.sendall(GET + b"\r\n")
            assert one_answer(connection).status == 200
            time.sleep(0.3)
