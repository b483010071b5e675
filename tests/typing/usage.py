"""How the client is used, for the type checker: never run. A line that must be wrong says by which error it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_type
from uuid import UUID

from permission_mongo.client import (
    AsyncClient,
    AsyncCollection,
    BatchResult,
    Client,
    Collection,
    Cursor,
    Deleted,
    DeleteResult,
    Difference,
    Forbidden,
    Found,
    Gathered,
    InsertResult,
    Invalid,
    Job,
    OldState,
    Page,
    PartlyDone,
    Purged,
    Readiness,
    Refused,
    Retries,
    Timeouts,
    Unclear,
    UndoResult,
    UpdateResult,
    Version,
    Written,
)


def set_up(token: str) -> None:
    assert_type(Client("http://localhost", token=token), Client)
    Client("http://localhost", token=lambda: token, timeouts=Timeouts(total=3), retries=Retries(attempts=2))
    Client("http://localhost", api_key=token, namespace="eu", user_agent="mine")
    Client("http://localhost", token=3)  # type: ignore[arg-type]
    Client("http://localhost", tokn=token)  # type: ignore[call-arg]


def documents(client: Client, one: UUID) -> None:
    with client as same:
        assert_type(same, Client)
    notes = client["notes"]
    assert_type(notes, Collection)
    assert_type(notes.find({"a": {"$gt": 1}}, sort=["-a", "b"], limit=3, page_size=2, fields=["a"], count=True), Cursor)
    for document in notes.find(as_of=datetime.now(UTC)):
        assert_type(document, dict[str, Any])
    assert_type(notes.find_one(one), dict[str, Any] | None)
    assert_type(notes.find_one({"a": 1}, fields=["a"]), dict[str, Any] | None)
    assert_type(notes.get(one, as_of="2026-01-31"), Found)
    assert_type(notes.page({}, 3, None, sort="a"), Page)
    assert_type(notes.get_many([one, "b"], ["title"], namespace="eu"), Gathered)
    assert_type(notes.count({"a": 1}, timeout=3), int)
    assert_type(notes.aggregate([{"$match": {}}]), list[dict[str, Any]])
    assert_type(notes.insert_one({"price": Decimal(1)}, reason="x", idempotency_key="k"), Written)
    assert_type(notes.update_one(one, {"$set": {"a": 1}}, if_match='"x"', reason="x"), Written)
    assert_type(notes.replace_one(one, {"a": 1}), Written)
    assert_type(notes.delete_one(one, if_match='"x"'), Deleted)
    assert_type(notes.purge(one, "because", if_match='"x"'), Purged)
    assert_type(notes.restore(one, 3), Written)
    notes.insert_one({}, if_match='"x"')  # type: ignore[call-arg]
    notes.insert_one([])  # type: ignore[arg-type]
    notes.update_one(one)  # type: ignore[call-arg]
    notes.count(fields=["a"])  # type: ignore[call-arg]
    notes.find({}, as_of=3)  # type: ignore[arg-type]


def batches(notes: Collection) -> None:
    assert_type(notes.insert_many([{"a": 1}], results=True, atomic=True), InsertResult)
    assert_type(notes.update_many(["a"], {"$set": {"a": 1}}, partial_ok=True), UpdateResult)
    assert_type(notes.update_many({"filter": {"a": 1}}, {"a": None}, respond_async=True), UpdateResult)
    assert_type(notes.update_many({"updates": [{"id": "a", "update": {}}]}), UpdateResult)
    result = notes.delete_many(["a"], reason="x", dry_run=True, max_affected=3)
    assert_type(result, DeleteResult)
    assert_type(result.missing, tuple[str, ...])
    assert_type(result.job, Job | None)
    assert_type(notes.undo("batch"), UndoResult)
    notes.delete_many(["a"], dryrun=True)  # type: ignore[call-arg]
    notes.delete_many(["a"], dry_run="no")  # type: ignore[arg-type]
    notes.undo("batch", respond_async=True)  # type: ignore[call-arg]
    notes.delete_many(filter={})  # type: ignore[call-arg]


def history(notes: Collection) -> None:
    assert_type(notes.versions("a", 3, before=4), tuple[Version, ...])
    assert_type(notes.version("a", 1), OldState)
    assert_type(notes.diff("a", 1, 2), Difference)
    assert_type(notes.deleted(limit=3), Cursor)
    notes.version("a", "1")  # type: ignore[arg-type]


def gateway(client: Client) -> None:
    assert_type(client.me(namespace="eu"), dict[str, Any])
    assert_type(client.explain("delete", "notes", "a", claims={"sub": "b"}), dict[str, Any])
    assert_type(client.job("j"), Job)
    assert_type(client.jobs(3), tuple[Job, ...])
    assert_type(client.wait("j", patience=3), Job)
    assert_type(client.health(), bool)
    assert_type(client.ready(), Readiness)
    assert_type(client.audit(kind="write", since=datetime.now(UTC)), Cursor)
    assert_type(client.write_policy("text", "hash"), dict[str, Any])
    assert_type(client.within("eu"), Client)
    assert_type(client.typed("notes", object_id=UUID), Collection)
    assert_type(
        client.collection("notes", types={"at": datetime, "_id": UUID, "n": lambda text: int(text)}), Collection
    )


def errors(notes: Collection) -> None:
    try:
        notes.delete_many(["a"])
    except Invalid as error:
        assert_type(error.errors, list[Mapping[str, Any]])
    except Forbidden as error:
        assert_type((error.code, error.status, error.request_id), tuple[str, int, str | None])
    except Refused as error:
        assert_type(error.retry_after, float | None)
    except PartlyDone as error:
        assert_type(error.result, BatchResult)
    except Unclear as error:
        assert_type(error.idempotency_key, str | None)


async def loops(token: str) -> None:
    async def renewed() -> str:
        return token

    async with AsyncClient("http://localhost", token=renewed) as client:
        notes = client["notes"]
        assert_type(notes, AsyncCollection)
        async for document in notes.find({"a": 1}, sort="a"):
            assert_type(document, dict[str, Any])
        assert_type(await notes.find_one("a"), dict[str, Any] | None)
        assert_type(await notes.insert_one({"a": 1}, reason="x"), Written)
        assert_type(await notes.delete_many(["a"], dry_run=True), DeleteResult)
        assert_type(await client.typed("notes"), AsyncCollection)
        assert_type(await client.wait("j"), Job)
        assert_type(await client.me(), dict[str, Any])
        await notes.delete_many(["a"], dryrun=True)  # type: ignore[call-arg]
        print(notes.find_one("a").document)  # type: ignore[attr-defined]
    Client("http://localhost", token=renewed)  # type: ignore[arg-type]
