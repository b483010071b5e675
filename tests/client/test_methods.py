"""Every method of both clients, asked of a gateway that runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from bson.objectid import ObjectId

from permission_mongo.client import AsyncClient, AsyncCollection, Client, Collection, NotFound, PartlyDone
from tests.client.both import Face, methods_of, rows
from tests.client.places import Place

pytestmark = pytest.mark.mongo
NOTED: set[str] = set()


@pytest.fixture(scope="module", params=["threads", "loops"])
async def boss(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Face]:
    """A caller of a user of its own, who may do everything with notes."""
    async for one in _face(request.param, place, "boss"):
        yield one


@pytest.fixture(scope="module", params=["threads", "loops"])
async def root(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Face]:
    async for one in _face(request.param, place, "root"):
        yield one


async def _face(kind: str, place: Place, role: str) -> AsyncIterator[Face]:
    sub = f"{kind}-{uuid4().hex[:8]}"
    if kind == "threads":
        with place.client(role, sub=sub) as client:
            yield Face(client, NOTED)
    else:
        async with place.async_client(role, sub=sub) as client:
            yield Face(client, NOTED)


@pytest.fixture(scope="module", autouse=True)
def past(client: Client) -> tuple[str, datetime]:
    """A document that had another age at this moment, when these tests began."""
    notes = client["notes"]
    one = notes.insert_one({"_id": "past", "title": "past", "age": 1}).id
    time.sleep(0.01)
    moment = datetime.now(UTC)
    time.sleep(0.01)
    notes.update_one(one, {"$set": {"age": 2}})
    return one, moment


def fresh(*names: str) -> list[str]:
    """Ids that no other test has."""
    mark = uuid4().hex[:8]
    return [f"{mark}.{name}" for name in names]


async def made(notes: Face, *names: str, **fields: object) -> list[str]:
    result = await notes.insert_many([{"_id": one, "title": one, **fields} for one in fresh(*names)])
    return list(result.ids)


async def test_a_document_is_written_read_changed_and_deleted(boss):
    notes, [one] = boss["notes"], fresh("one")
    written = await notes.insert_one({"_id": one, "title": "first", "age": 1}, reason="because")
    assert (written.id, written.document["title"], written.replayed) == (one, "first", False)
    found = await notes.get(one)
    assert found.document == written.document
    assert found.etag == written.etag
    changed = await notes.update_one(one, {"$inc": {"age": 1}}, if_match=found.etag, reason="older")
    assert changed.document["age"] == 2
    assert (await notes.update_one(one, {"age": None})).document.get("age") is None, "a merge patch"
    whole = await notes.replace_one(one, {"title": "anew"})
    assert whole.document["title"] == "anew"
    assert [version.change_reason for version in await notes.versions(one)] == [None, None, "older", "because"]
    assert (await notes.delete_one(one, if_match=whole.etag)).id == one
    assert await notes.find_one(one) is None
    with pytest.raises(NotFound, match="document_not_found"):
        await notes.get(one)


async def test_one_is_found_by_id_and_by_filter_with_some_fields(boss):
    notes = boss["notes"]
    [one] = await made(notes, "one")
    assert (await notes.find_one(one, fields=["title"])) == {"_id": one, "_version": 1, "title": one}
    assert (await notes.find_one({"title": one}))["_id"] == one
    assert await notes.find_one({"title": f"no {one}"}) is None
    assert (await notes.get(one, fields=["title"])).document == {"_id": one, "_version": 1, "title": one}


async def test_a_list_goes_over_pages_and_ends_at_its_limit(boss):
    notes = boss["notes"]
    ids = await made(notes, "a", "b", "c", status="open") + await made(notes, "d", "e", status="closed")
    own = {"_id": {"$in": ids}}
    found = await rows(await notes.find(own, sort="-title", page_size=2))
    assert [one["_id"] for one in found] == sorted(ids, reverse=True)
    assert len(await rows(await notes.find(own, sort=["status", "-title"], limit=3, page_size=2))) == 3
    assert await rows(await notes.find(own, limit=0)) == []
    cursor = await notes.find(own, count=True, fields=["title"], page_size=4)
    assert cursor.total is None
    assert {frozenset(one) for one in await rows(cursor)} == {frozenset({"_id", "_version", "title"})}
    assert (cursor.total, cursor.is_complete) == (5, True)
    page = await notes.page(own, limit=4, sort="title")
    rest = await notes.page(own, cursor=page.cursor, sort="title")
    assert (len(page.documents), page.has_more, len(rest.documents), rest.has_more) == (4, True, 1, False)
    assert await notes.count(own) == 5
    assert await notes.count({"_id": {"$in": ids}, "status": "open"}) == 3


async def test_an_aggregation(boss):
    notes = boss["notes"]
    ids = await made(notes, "a", "b", age=3)
    pipeline = [{"$match": {"_id": {"$in": ids}}}, {"$group": {"_id": None, "years": {"$sum": "$age"}}}]
    assert await notes.aggregate(pipeline) == [{"_id": None, "years": 6}]


async def test_many_are_made_read_changed_deleted_and_undone(boss):
    notes = boss["notes"]
    ids = fresh("a", "b", "c")
    created = await notes.insert_many([{"_id": one, "title": one} for one in ids], results=True, reason="begun")
    assert created.ids == tuple(ids)
    assert [(one.id, one.status) for one in created.items] == [(one, "created") for one in ids]
    got = await notes.get_many([*ids[:2], "nobody's"], fields=["title"])
    assert ([one["title"] for one in got.documents], got.missing) == (ids[:2], ("nobody's",))
    alike = await notes.update_many({"ids": [*ids, "nobody's"][1:]}, {"$set": {"age": 1}})
    assert (alike.matched, alike.modified, alike.missing) == (2, 2, ("nobody's",))
    own = {"_id": {"$in": ids}}
    assert (await notes.update_many({"filter": own}, {"$set": {"age": 1}})).modified == 1
    each = await notes.update_many({"updates": [{"id": ids[0], "update": {"$set": {"age": 7}}}]})
    assert each.modified == 1
    rehearsed = await notes.delete_many(ids, dry_run=True)
    assert (rehearsed.deleted, rehearsed.dry_run, rehearsed.batch) == (3, True, None)
    gone = await notes.delete_many(ids, reason="clean-up", atomic=True, max_affected=3)
    assert (gone.deleted, await notes.count(own)) == (3, 0)
    back = await notes.undo(gone.batch, reason="too early")
    assert (back.restored, await notes.count(own)) == (3, 3)
    assert (await notes.delete_many({"filter": own})).deleted == 3


async def test_what_is_done_in_part_is_raised_unless_it_may_be(boss):
    notes = boss["notes"]
    [there] = await made(notes, "there")
    new, other = fresh("new", "other")
    with pytest.raises(PartlyDone) as raised:
        await notes.insert_many([{"_id": one, "title": "x"} for one in (new, there)])
    result = raised.value.result
    assert (result.ids, [(one.index, one.code) for one in result.errors]) == ((new,), [(1, "conflict")])
    assert raised.value.status == 207
    same = await notes.insert_many([{"_id": one, "title": "x"} for one in (other, there)], partial_ok=True)
    assert (same.is_partial, same.failures, same.error.code) == (True, 1, "partial")
    with pytest.raises(PartlyDone):
        same.raise_for_errors()
    changed = await notes.update_one(there, {"$set": {"age": 1}})
    await notes.update_one(there, {"$set": {"age": 2}})
    items = {"items": [{"id": there, "if_match": changed.etag}, {"id": new}]}
    left = await notes.delete_many(items, partial_ok=True)
    assert (left.deleted, [(one.id, one.code) for one in left.errors]) == (1, [(there, "precondition_failed")])


async def test_the_history_of_a_document_and_its_end(boss):
    notes = boss["notes"]
    [one] = await made(notes, "one", age=1)
    await notes.update_one(one, {"$set": {"age": 2}})
    assert [version.version for version in await notes.versions(one)] == [2, 1]
    assert [version.version for version in await notes.versions(one, before=2)] == [1]
    assert [version.version for version in await notes.versions(one, limit=1)] == [2]
    old = await notes.version(one, 1)
    assert (old.document["age"], old.version.version) == (1, 1)
    [change] = [each for each in (await notes.diff(one, 1, 2)).changes if each.field == "age"]
    assert (change.op, change.old, change.new) == ("change", 1, 2)
    assert (await notes.restore(one, 1, reason="was right")).document["age"] == 1
    await notes.delete_one(one)
    assert one in {each["_id"] for each in await rows(await notes.deleted(page_size=3))}
    back = await notes.restore(one, 3)
    assert back.document["_version"] == 5
    gone = await notes.purge(one, "asked to be forgotten", if_match=back.etag)
    assert (gone.id, gone.versions) == (one, 3)


async def test_long_work_is_a_job_that_can_be_waited_for_and_cancelled(boss):
    notes = boss["notes"]
    ids = await made(notes, "a", "b", "c") + await made(notes, "d", "e", "f") + await made(notes, "g")
    begun = await notes.update_many({"filter": {"_id": {"$in": ids}}}, {"$set": {"age": 9}}, respond_async=True)
    assert begun.job is not None
    ended = await boss.wait(begun.job.id, every=0.02)
    assert (ended.is_over, ended.state, ended.progress) == (True, "done", {"updated": 7, "failed": 0})
    assert (await boss.job(begun.job.id)) == ended
    assert ended in await boss.jobs(limit=5)
    assert (await boss.cancel(ended.id)).state == "done", "one that ended stays as it is"
    waited_for = await notes.delete_many({"filter": {"_id": {"$in": ids}}})
    assert (waited_for.deleted, waited_for.job) == (7, None)


async def test_who_am_i_and_why_not(root):
    assert (await root.me())["roles"] == ["root"]
    assert (await root.explain("delete", "notes", "nobody's"))["document"] == "absent"
    bob = {"sub": "bob", "roles": ["clerk"], "tenant_id": "acme"}
    assert (await root.explain("read", "notes", filter={"age": 1}, claims=bob))["allowed"] is False
    assert await root.health() is True
    assert (await root.ready()).is_ready is True
    assert (await root.openapi())["openapi"].startswith("3.1")


async def test_the_audit_and_the_policy(root, place):
    await made(root["notes"], "a")
    found = await rows(
        await root.audit(kind="write", limit=3, page_size=2, since=datetime.now(UTC) - timedelta(hours=1))
    )
    assert found[0]["action"] == "create"
    assert await rows(await root.audit(collection="notes", id="never named")) == []
    assert (await root.policy())["files"]["policy.yml"]["sha256"]
    text = (place.folder / "policy.yml").read_text()  # what is shown is what is in force, and an edit takes its time
    assert (await root.check_policy({"policy.yml": text}))["fine"] is True
    assert (await root.diff_policy({"policy.yml": text}, roles=[["user", "boss"]]))["widens"] is False
    assert (await root.test_policy({"policy.yml": text, "policy_tests.yml": TESTS}))["passed"] == 1
    written = await root.write_policy(text + "# once more\n", if_match=sha256(text.encode()).hexdigest())
    assert written["file"] == "policy.yml"


async def test_a_hierarchy_is_found_anew_where_there_is_one(root):
    with pytest.raises(NotFound, match="no such collection of people"):
        await root.sync_hierarchy(tenant="acme")


async def test_a_namespace_is_a_place_of_its_own(boss):
    [one] = await made(boss["notes"], "one")
    there = (await boss.within("eu"))["notes"]
    assert await there.find_one(one) is None
    await there.insert_one({"_id": one, "title": "over there"})
    assert (await boss["notes"].get(one, namespace="eu")).document["title"] == "over there"
    assert (await boss["notes"].get(one)).document["title"] == one


async def test_values_are_typed_where_that_is_asked_for(boss):
    other = uuid4()
    day = datetime(2026, 1, 31, 12, 30, 0, 5000, tzinfo=UTC)
    days = await boss.typed("days")
    sent = {"name": "x", "at": day, "price": Decimal("1.50"), "other": other, "raw": b"\x00\xff"}
    made_ = await days.insert_one(sent)
    found = (await days.get(UUID(made_.id))).document
    assert {name: found[name] for name in sent} == sent
    assert isinstance(found["_id"], UUID)
    assert (await days.find_one(sent))["_id"] == found["_id"], "a filter has such values as well"
    assert await boss["days"].count({"at": {"$gt": day}}) == 0
    plain = (await boss["days"].get(made_.id)).document
    assert plain["at"] == "2026-01-31T12:30:00.005000Z"
    assert plain["price"] == {"$numberDecimal": "1.50"}
    chosen = await boss.collection("plain", types={"_id": ObjectId, "price": Decimal})
    result = await chosen.insert_one({"name": "y", "price": Decimal("2.5")})
    assert isinstance(result.document["_id"], ObjectId)
    assert (await chosen.find_one(result.document["_id"]))["price"] == Decimal("2.5")
    by_gateway = await boss.typed("plain", object_id=ObjectId)
    assert isinstance((await by_gateway.find_one({"name": "y"}))["_id"], ObjectId)


@pytest.mark.parametrize(
    "odd", ["a.b:c@d~e-f", "ü", "雪.☃", "a b", "100%", "%2f", "a+b?c#d&e=f", "a;b", "'\"<>", "..."]
)
async def test_an_id_of_any_signs_stands_in_a_path(boss, place, odd):
    one = f"{uuid4().hex[:6]}{odd}"
    place.database["notes"].insert_one(
        {"_id": one, "title": "odd", "tenant_id": "acme", "owner_id": "x", "status": "open", "_version": 1}
    )
    assert (await boss["notes"].get(one)).document["_id"] == one
    assert (await boss["notes"].find_one(one))["_id"] == one


async def test_an_id_that_no_path_can_hold_is_named_in_a_body(boss, place):
    one = f"{uuid4().hex[:6]}/\\x"
    place.database["notes"].insert_one(
        {"_id": one, "title": "odd", "tenant_id": "acme", "owner_id": "x", "status": "open", "_version": 1}
    )
    assert [each["_id"] for each in (await boss["notes"].get_many([one])).documents] == [one]
    assert (await boss["notes"].find_one({"_id": one}))["_id"] == one
    assert (await boss["notes"].delete_many([one])).deleted == 1


@pytest.mark.parametrize("kind", ["threads", "loops"])
async def test_the_past_is_asked_for_by_a_moment(place, past, kind):
    """The gateway tells nothing of the last five seconds: asked last, so that most of them are over."""
    one, moment = past
    await asyncio.sleep(max(0.0, moment.timestamp() + 5.1 - time.time()))
    async for boss in _face(kind, place, "boss"):
        notes = boss["notes"]
        assert (await notes.get(one, as_of=moment)).document["age"] == 1
        assert (await notes.find_one(one, as_of=moment.isoformat()))["age"] == 1
        found = await rows(await notes.find({"_id": one}, as_of=moment, fields=["age"]))
        assert [each["age"] for each in found] == [1]


@pytest.mark.parametrize("kind", [Client, AsyncClient, Collection, AsyncCollection])
def test_no_method_was_left_out(kind):
    own = {f"{kind.__name__}.close"}  # what `with` calls
    assert methods_of(kind) - own - NOTED == set()


TESTS = """
version: "1.0"
principals: {bob: {tenant: acme, roles: [boss]}}
documents: {notes: {his: {tenant_id: acme, owner_id: ann, title: x, status: open}}}
tests: [{principal: bob, action: read, collection: notes, ids: [his]}]
"""
