"""What the gateway refuses is an error of its own kind, with all that was told; and how clients are shared and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import AsyncMongoClient

from permission_mongo.auth.api_keys import new_key
from permission_mongo.auth.development import make_token
from permission_mongo.client import (
    AsOfOutOfRange,
    AsyncClient,
    BadRequest,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotVersioned,
    PreconditionFailed,
    Refused,
    TooLarge,
    Unauthenticated,
    Unreachable,
)
from permission_mongo.client import __all__ as public
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.client.places import Place
from tests.http.harness import SECRET

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module", autouse=True)
def there(client: Client) -> None:
    client["notes"].insert_many([{"_id": "open", "title": "x"}, {"_id": "locked", "title": "x", "status": "locked"}])


@pytest.fixture(scope="module")
def user(place: Place) -> Iterator[Client]:
    with place.client("user", sub="bob") as found:
        yield found


REFUSALS: dict[str, tuple[Any, type[Refused], int, str]] = {
    "an operator": (lambda notes, _: list(notes.find({"title": {"$where": "1"}})), BadRequest, 400, "bad_request"),
    "an id": (lambda _, c: c["plain"].get("xyz"), BadRequest, 400, "bad_request"),
    "a batch that matched too much": (
        lambda notes, _: notes.delete_many({"filter": {}, "all": True}, max_affected=0), BadRequest, 400, "bad_request",
    ),
    "a moment": (lambda notes, _: notes.get("open", as_of=datetime.now(UTC)), AsOfOutOfRange, 400, "as_of_out_of_range"),
    "a right": (lambda _, c: c.policy(), Forbidden, 403, "forbidden"),
    "a field": (lambda notes, _: list(notes.find({"secret": 1})), Forbidden, 403, "forbidden"),
    "a namespace": (lambda notes, _: notes.count(namespace="us"), Forbidden, 403, "forbidden"),
    "a document": (lambda notes, _: notes.get("nobody's"), NotFound, 404, "document_not_found"),
    "a deletion": (lambda notes, _: notes.delete_one("nobody's"), NotFound, 404, "document_not_found"),
    "a collection": (lambda _, c: c["nothing"].count(), NotFound, 404, "collection_not_found"),
    "a version": (lambda notes, _: notes.version("open", 99), NotFound, 404, "version_not_found"),
    "a batch": (lambda notes, _: notes.undo("0" * 32), NotFound, 404, "batch_not_found"),
    "a job": (lambda _, c: c.job("0" * 32), NotFound, 404, "job_not_found"),
    "a key": (lambda notes, _: notes.insert_one({"_id": "open", "title": "x"}), Conflict, 409, "conflict"),
    "a tag": (lambda notes, _: notes.update_one("open", {"age": 1}, if_match='"old"'), PreconditionFailed, 412, "precondition_failed"),
    "a body": (lambda notes, _: notes.insert_one({"title": "x" * 20_000_000}), TooLarge, 413, "payload_too_large"),
    "a schema": (lambda notes, _: notes.insert_one({"title": 3}), Invalid, 422, "schema_validation"),
    "versions": (lambda _, c: list(c["plain"].deleted()), NotVersioned, 501, "versioning_not_enabled"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_its_kind_its_words_and_its_number(client, name):
    ask, kind, status, code = REFUSALS[name]
    with pytest.raises(kind) as raised:
        ask(client["notes"], client)
    error = raised.value
    assert (type(error), error.status, error.code) == (kind, status, code)
    assert error.request_id
    assert error.request_id in str(error)
    assert kind.__name__ in public


def test_what_is_not_the_callers_is_not_there(client, user):
    """Another's document, for a caller who may see only their own."""
    notes = user["notes"]
    assert notes.find_one("open") is None
    assert notes.get_many(["open"]).missing == ("open",)
    assert notes.delete_many(["open"]).missing == ("open",)
    for ask in (notes.get, notes.delete_one, notes.versions, lambda one: notes.update_one(one, {"age": 1})):
        with pytest.raises(NotFound):
            ask("open")
    assert client["notes"].find_one("open") is not None


def test_the_details_are_told(client):
    with pytest.raises(Invalid) as raised:
        client["notes"].insert_one({"title": 3, "age": -1})
    assert {one["field"] for one in raised.value.errors} == {"title", "age"}
    with pytest.raises(AsOfOutOfRange) as late:
        client["notes"].get("open", as_of="2020-01-01")
    assert "from" in late.value.details


# -- credentials


def test_a_bad_token_is_refused_and_a_function_asked_once_more(place):
    with Client(place.address, token="a.b.c") as client, pytest.raises(Unauthenticated):
        client.me()
    told = ["a.b.c", place.token("boss"), "never asked for"]
    with Client(place.address, token=lambda: told.pop(0)) as client:
        assert client["notes"].insert_one({"title": "by a renewed token"}).document["title"]
        assert client.me()["sub"] == "alice"
    assert told == ["never asked for"]


async def test_a_token_of_a_coroutine_is_renewed_when_it_has_expired(place):
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        ends = int(time.time()) + (-3600 if asked == 1 else 3600)
        return make_token(SECRET, "HS256", "alice", ("boss",), ends, {"tenant_id": "acme"})

    async with AsyncClient(place.address, token=token) as client:
        assert (await client.me())["sub"] == "alice"
    assert asked == 2


def test_whoever_shows_no_credential_is_told_so(place):
    with Client(place.address) as client:
        assert client.health() is True
        with pytest.raises(Unauthenticated):
            client.me()


# -- sharing and closing


def test_threads_share_a_client(place):
    with place.client("boss") as client, ThreadPoolExecutor(8) as pool:
        notes = client["notes"]
        mark = uuid4().hex
        made = list(pool.map(lambda n: notes.insert_one({"title": mark, "age": n}).document["age"], range(40)))
        assert made == list(range(40))
        assert sorted(one["age"] for one in notes.find({"title": mark}, page_size=3)) == made


async def test_tasks_share_a_client(place):
    async with place.async_client("boss") as client:
        mark = uuid4().hex
        await asyncio.gather(*(client["notes"].insert_one({"title": mark, "age": n}) for n in range(40)))
        assert await client["notes"].count({"title": mark}) == 40


async def test_a_task_that_is_cancelled_leaves_a_client_that_works(place):
    async with place.async_client("boss") as client:
        for pause in (0, 0.001, 0.003, 0.01):
            task = asyncio.create_task(client["notes"].count())
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await client["notes"].count() >= 0


async def test_an_httpx_client_of_ones_own_is_used_and_not_closed(place):
    with httpx.Client(headers={"authorization": "Bearer other"}, params={"x": "y"}, cookies={"a": "b"}) as http:
        with Client(place.address, token=place.token("boss"), http=http) as client:
            assert client.me()["sub"] == "alice", "nothing of its own is sent with ours"
        assert not http.is_closed
    async with httpx.AsyncClient() as other:
        async with AsyncClient(place.address, token=place.token("boss"), http=other) as loop:
            assert (await loop.me())["sub"] == "alice"
        assert not other.is_closed


def test_a_view_does_not_close_what_it_shares(place):
    with place.client("boss") as client:
        with client.within("eu") as there:
            assert there.me()["namespace"] == "eu"
        assert client.me()["namespace"] == "default"


def test_nobody_at_the_address_is_unreachable():
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable):
        client["notes"].insert_one({"a": 1})


async def test_an_api_key_is_a_credential_too(place, mongo_uri):
    key = new_key("service", "acme", ("boss",), utc_now(), None)
    async with AsyncMongoClient(mongo_uri) as look:
        await MongoKeyStore(look[place.database.name]).add(key.record)
    with Client(place.address, api_key=key.text) as client:
        me = client.me()
        assert (me["sub"], me["credential"]["kind"]) == ("service", "key")
        assert key.text not in repr(client)


def test_a_clients_namespace_is_that_of_every_call_that_names_no_other(place):
    with place.client("boss", namespace="eu") as client:
        assert client.me()["namespace"] == "eu"
        assert client.me(namespace="default")["namespace"] == "default"


def test_what_the_token_function_raises_comes_through(place):
    def token() -> str:
        raise LookupError("no token for you")

    with Client(place.address, token=token) as client, pytest.raises(LookupError, match="no token"):
        client.me()
