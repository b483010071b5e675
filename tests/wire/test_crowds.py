"""Very many connections at once: the slow ones stand in nobody's way, and there is an end to their number."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.wire.server import BOSS, BOUNDS, HOST, Served, answers_in, one_answer, rest_of

pytestmark = pytest.mark.mongo
GET = b"GET /health HTTP/1.1\r\n" + HOST
POST = f"POST /notes HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\nContent-Length: 900\r\n\r\n".encode()
READ = f"GET /notes?_limit=1 HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
SLOW = 500
MOST = int(BOUNDS["max_connections"])
WAYS = {
    "silent": b"",
    "half a head": GET,
    "a byte at a time": b"GET /health",
    "half a body": POST + b"{",
    "unread": READ * 20,
}


async def closed_after(served: Served, way: str) -> float:
    """Seconds until the gateway closed a connection that is slow in this way."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=4096)
    with suppress(OSError):
        writer.write(WAYS[way])
        if way == "a byte at a time":
            while not reader.at_eof() and not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 0.3)
        while await reader.read(4096):
            pass
    writer.transport.abort()
    return time.monotonic() - begun


async def asked(served: Served) -> float:
    """Seconds that a request takes that is as any other."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(READ.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    (answer,) = answers_in(await asyncio.wait_for(reader.read(-1), 20))
    writer.close()
    assert answer.status == 200
    return time.monotonic() - begun


async def test_t29_five_hundred_slow_connections_keep_nobody_waiting(served: Served, capsys):
    ways = [list(WAYS)[n % len(WAYS)] for n in range(SLOW)]
    slow = [asyncio.create_task(closed_after(served, way)) for way in ways]
    await asyncio.sleep(0.2)
    others = [await asked(served) for _ in range(10)]
    ended = await asyncio.wait_for(asyncio.gather(*slow), 15)
    longest = {way: max(seconds for one, seconds in zip(ways, ended, strict=True) if one == way) for way in WAYS}
    with capsys.disabled():
        if os.environ.get("WIRE_FIGURES"):
            told = ", ".join(f"{way} {seconds:.2f} s" for way, seconds in longest.items())
            print(f"\n{SLOW} slow connections closed: {told}; a request meanwhile: {max(others):.3f} s at most")
    assert max(others) < 5.0
    assert max(longest.values()) < 15.0


@contextmanager
def a_crowd(served: Served, size: int) -> Iterator[list[socket.socket]]:
    """That many open connections that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(served.connect()) for _ in range(size)]


def test_t29_beyond_the_bound_a_connection_is_told_so_and_the_others_are_served(served: Served):
    with served.connect() as earlier:
        earlier.sendall(GET + b"\r\n")
        one_answer(earlier)
        with a_crowd(served, MOST + 20) as crowd:
            (answer,) = answers_in(rest_of(crowd[-1]))
            earlier.sendall(GET + b"\r\n")
            assert one_answer(earlier).status == 200
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")


def test_t29_far_beyond_the_bound_it_is_closed_without_a_word_and_others_are_let_in_again(served: Served):
    with a_crowd(served, MOST + 100) as crowd:
        assert rest_of(crowd[-1]) == b""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError, IndexError):
            if served.ask("GET", "/health").status == 200:
                return
    raise AssertionError("nobody is let in again")
