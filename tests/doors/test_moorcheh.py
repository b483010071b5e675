"""The door for callers of the Moorcheh API, judged by the client that they use: unmodified, from PyPI, both of its kinds."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from uuid import uuid4

import pytest
from moorcheh_sdk import AsyncMoorchehClient, MoorchehClient
from moorcheh_sdk.exceptions import APIError, AuthenticationError, ConflictError, InvalidInputError, NamespaceNotFound
from pymongo import AsyncMongoClient, MongoClient

from permission_mongo.auth.api_keys import new_key
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.http.doors.moorcheh import POLICY, SCHEMA
from tests.http.harness import SECRET
from tests.test_serve import serving

pytestmark = pytest.mark.mongo
NEAR = [0.25, 0.5, 1]
Do = Callable[..., Any]


@dataclass(frozen=True)
class Served:
    """A gateway process, keys of two callers, and its database."""

    address: str
    alice: str
    bob: str
    admin: str
    rows: Any


async def keys(uri: str, database: str, callers: dict[str, tuple[str, ...]]) -> list[str]:
    """A key for each caller, with its roles."""
    made = [new_key(name.strip("+"), "acme", roles, utc_now(), None) for name, roles in callers.items()]
    async with AsyncMongoClient(uri) as client:
        for one in made:
            await MongoKeyStore(client[database]).add(one.record)
    return [one.text for one in made]


@pytest.fixture(scope="module")
def served(mongo_uri, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("moorcheh")
    config = folder / "config"
    config.mkdir()
    policy = POLICY.replace("root: {cross_tenant: true}", "root: {system: [audit]}")
    texts = {
        "config.yaml": f"auth: {{secret: '{SECRET}'}}\ndoors: moorcheh\n",
        "schema.yml": SCHEMA,
        "policy.yml": policy,
    }
    for name, text in texts.items():
        (config / name).write_text(text)
    database = f"test_{uuid4().hex[:12]}"
    where = {"MONGODB_URI": mongo_uri, "MONGODB_DATABASE": database}

    with MongoClient(mongo_uri) as client:
        try:
            with serving(folder, "--config", str(config), **where) as (_, address):
                callers = {"alice": ("user",), "bob": ("user",), "alice+": ("user", "root")}
                alice, bob, admin = asyncio.run(keys(mongo_uri, database, callers))
                yield Served(address, alice, bob, admin, client[database])
        finally:
            client.drop_database(database)


@pytest.fixture(params=["sync", "async"])
def act(request, served, monkeypatch) -> Iterator[Callable[[str], Do]]:
    """Makes a caller by a key: its calls are named as the client names them, and answered or raised alike by both."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("notes", "faces", "_pm_audit"):
        served.rows[name].delete_many({})
    kinds = {"sync": MoorchehClient, "async": AsyncMoorchehClient}
    with asyncio.Runner() as loop:
        clients = []

        def caller(key: str) -> Do:
            client = kinds[request.param](api_key=key, base_url=f"{served.address}/v1", max_retries=0)
            clients.append(client)

            def do(name: str, *words: Any, **named: Any) -> Any:
                found = attrgetter(name)(client)(*words, **named)
                return loop.run(found) if request.param == "async" else found

            return do

        yield caller
        for client in clients:
            closing = client.close()
            if closing is not None:
                loop.run(closing)


def test_texts_are_uploaded_read_listed_and_deleted(served, act):
    do, bob = act(served.alice), act(served.bob)
    documents = [
        {"id": f"d{n}", "text": f"text {n}", "metadata": {"title": f"t{n}", "status": "open"}} for n in range(102)
    ]
    sent = do("documents.upload", "notes", documents)  # in two requests
    assert sent == {"status": "queued", "submitted_ids": [f"d{n}" for n in range(102)]}
    do("documents.upload", "notes", [{"id": 7, "text": "seven"}, {"id": "kept", "text": "k", "status": "locked"}])
    bob("documents.upload", "notes", [{"id": "bobs", "text": "b"}, {"id": "open", "text": "o", "status": "closed"}])

    [got] = do("documents.get", "notes", ["d3", "bobs", "absent"])["documents"]
    assert (got["id"], got["text"], got["metadata"]["title"]) == ("d3", "text 3", "t3")
    pages = [do("documents.fetch_text_data", "notes")]
    pages.append(do("documents.fetch_text_data", "notes", next_token=pages[0]["pagination"]["next_token"]))
    listed = [one["id"] for page in pages for one in page["items"]]
    assert (len(pages[0]["items"]), len(listed), pages[1]["pagination"]["has_more"]) == (100, 105, False)
    assert "bobs" not in listed

    done = do("documents.delete", "notes", ["d0", "d1", 7, "absent", "bobs"])
    assert (done["status"], done["deleted_ids"], done["errors"]) == ("success", ["d0", "d1", "7"], [])
    assert (done["actual_deletions"], done["remaining_items"], done["requested_deletions"]) == (3, 102, 5)
    part = do("documents.delete", "notes", ["d2", "kept", "open"])
    assert (part["status"], part["deleted_ids"], part["unprocessed_ids"]) == ("partial", ["d2"], ["kept", "open"])
    assert {one["id"] for one in part["errors"]} == {"kept", "open"}
    assert served.rows["notes"].count_documents({"_id": {"$in": ["bobs", "kept", "open"]}}) == 3


def test_vectors_are_uploaded_and_deleted(served, act):
    do = act(served.alice)
    vectors = [{"id": 0, "vector": NEAR}, {"id": "b", "vector": NEAR, "metadata": {"name": "n"}}]
    assert do("vectors.upload", "faces", vectors) == {
        "status": "success",
        "vector_ids_processed": ["0", "b"],
        "errors": [],
    }
    assert served.rows["faces"].find_one({"_id": "b"})["near"] == [0.25, 0.5, 1.0]
    part = do("vectors.upload", "faces", [{"id": "c", "vector": NEAR}, {"id": "d", "vector": [1]}])
    assert (part["status"], part["vector_ids_processed"], part["errors"][0]["id"]) == ("partial", ["c"], "d")
    do("vectors.upload", "faces", [{"id": "kept", "vector": NEAR, "status": "locked"}])
    done = do("vectors.delete", "faces", [0, "absent"])
    assert (done["status"], done["deleted_ids"], done["remaining_items"]) == ("success", ["0"], 3)
    part = do("vectors.delete", "faces", ["b", "kept"])
    assert (part["status"], part["deleted_ids"], part["unprocessed_ids"]) == ("partial", ["b"], ["kept"])


def test_namespaces_are_listed_and_neither_made_nor_deleted(served, act):
    do = act(served.alice)
    assert [
        (one["namespace_name"], one["type"], one["vector_dimension"]) for one in do("namespaces.list")["namespaces"]
    ] == [
        ("notes", "text", None),
        ("faces", "vector", 3),
    ]
    with pytest.raises(ConflictError, match="'faces' exists"):
        do("namespaces.create", "faces", "vector", 3)
    for words in (("create", "new", "text"), ("delete", "notes")):
        with pytest.raises(AuthenticationError, match=r"declared in schema\.yml"):
            do(f"namespaces.{words[0]}", *words[1:])


def test_each_refusal_is_raised_as_the_client_raises_it(served, act, tmp_path):
    do, stranger = act(served.alice), act("pmk_no_such_key")
    for name in ("notes", "nothing"):
        with pytest.raises(AuthenticationError):
            stranger("documents.delete", name, ["a"])
    with pytest.raises(NamespaceNotFound, match="no such collection"):
        do("documents.delete", "nothing", ["a"])
    for words in (("documents.delete", "faces", ["a"]), ("vectors.delete", "notes", ["a"])):
        with pytest.raises(InvalidInputError, match="its routes begin with"):
            do(*words)
    with pytest.raises(InvalidInputError, match="at most 1000"):
        do("documents.delete", "notes", [f"n{n}" for n in range(1001)])
    with pytest.raises(AuthenticationError, match="unknown or not permitted field"):
        do("documents.upload", "notes", [{"id": "a", "text": "t", "nothing": 1}])
    do("documents.upload", "notes", [{"id": "a", "text": "t"}])
    with pytest.raises(ConflictError):
        do("documents.upload", "notes", [{"id": "a", "text": "t"}])
    page = tmp_path / "page.txt"
    page.write_text("text")
    for words in (
        ("upload_file", "notes", str(page)),
        ("list_files", "notes"),
        ("delete_files", "notes", ["page.txt"]),
    ):
        with pytest.raises(NamespaceNotFound, match="files are not taken here"):
            do(f"documents.{words[0]}", *words[1:])
    with pytest.raises(APIError, match="no search here"):
        do("similarity_search.query", ["notes"], "what")
    with pytest.raises(APIError, match="no generated answers here"):
        do("answer.generate", "notes", "what")


def test_what_the_client_deleted_stands_in_the_audit_and_is_taken_back(served, act):
    do = act(served.alice)
    do("vectors.upload", "faces", [{"id": one, "vector": NEAR} for one in "abc"])
    do("vectors.delete", "faces", ["a", "b"])
    headers = {"x-api-key": served.admin, "content-type": "application/json"}
    asked = urllib.request.Request(f"{served.address}/_pm/audit?action=delete", headers=headers)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        [entry] = [one for one in json.load(answer)["data"] if "batch" in one]  # refusals may come in later
    assert (entry["collection"], entry["ids"], entry["subject"]) == ("faces", ["a", "b"], "alice")
    undo = f"{served.address}/faces/batch/{entry['batch']}/undo"
    with urllib.request.urlopen(urllib.request.Request(undo, b"{}", headers), timeout=5) as answer:
        assert json.load(answer)["restored"] == 2
    assert served.rows["faces"].count_documents({}) == 3


def test_the_address_may_come_from_the_environment_and_needs_no_version(served, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOORCHEH_API_KEY", served.alice)
    for address in (served.address, f"{served.address}/v1", f"{served.address}/v1/"):
        monkeypatch.setenv("MOORCHEH_BASE_URL", address)
        with MoorchehClient() as client:
            assert client.documents.delete("notes", ["absent"])["status"] == "success"
