"""An answer's head goes with the first part of its body: by one write, in order, and never later than without."""

import asyncio

import pytest

from permission_mongo.api.joining import Joined

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Written(asyncio.Transport):
    """What a transport was told, in order."""

    def __init__(self):
        super().__init__()
        self.told = []

    def write(self, data):
        self.told.append(bytes(data))

    def close(self):
        self.told.append("closed")

    def is_closing(self):
        return "closed" in self.told


@pytest.fixture
async def pair():
    transport = Written()
    return transport, Joined(transport, asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_write(pair):
    transport, joined = pair
    joined.write(HEAD)
    assert transport.told == []
    joined.write(b"body")
    await asyncio.sleep(0)
    assert transport.told == [HEAD + b"body"]


async def test_a_head_whose_body_takes_its_time_does_not_wait_for_it(pair):
    transport, joined = pair
    joined.write(HEAD)
    await asyncio.sleep(0)
    assert transport.told == [HEAD]
    joined.write(b"body")
    assert transport.told == [HEAD, b"body"]


async def test_a_large_body_is_not_copied(pair):
    transport, joined = pair
    large = memoryview(bytes(2**20))
    joined.write(HEAD)
    joined.write(large)
    assert transport.told == [HEAD, bytes(large)]


async def test_the_heads_of_two_answers_without_bodies_keep_their_order(pair):
    transport, joined = pair
    joined.write(HEAD + b"first")
    joined.write(HEAD + b"second")
    await asyncio.sleep(0)
    assert b"".join(transport.told) == HEAD + b"first" + HEAD + b"second"


async def test_a_body_that_reads_like_a_head_keeps_its_place(pair):
    transport, joined = pair
    for part in (HEAD, b"one", b"HTTP/1.1 is a text", b"three"):
        joined.write(part)
    await asyncio.sleep(0)
    assert b"".join(transport.told) == HEAD + b"oneHTTP/1.1 is a textthree"


async def test_what_is_held_is_written_before_it_is_closed(pair):
    transport, joined = pair
    joined.write(HEAD)
    joined.close()
    await asyncio.sleep(0)
    assert transport.told == [HEAD, "closed"]
    assert joined.is_closing()
