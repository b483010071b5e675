"""The requests of the Go gateway's pages, as they stand there, against its own schema and policy."""

from pathlib import Path

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
GO = Path(__file__).parents[1] / "config" / "go"
USER, ADMIN = a_token("user1", ["user"]), a_token("root", ["admin"])


@pytest.fixture
async def world(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG, (GO / "schema.yml").read_text(), (GO / "policy.yml").read_text())
    async with a_kept_world(mongo_uri, config) as found:
        yield found


async def test_create_and_get(world):
    body = {"name": "Ann", "email": "ann@example.com", "age": 30, "ssn": "123-45-6789", "website": "https://a.example/"}
    made = await world.post("/users", body, token=ADMIN)
    assert made.status_code == 201
    found = (await world.get(f"/users/{made.json()['_id']}", token=ADMIN)).json()
    assert (len(found["_id"]), found["tenant_id"], found["created_by"], found["role"]) == (24, "acme", "root", "user")
    seen = (await world.get(f"/users/{found['_id']}", token=USER)).json()
    assert (seen["email"], seen["ssn"], "website" in seen) == ("a***@example.com", "1***9", False)


async def test_list_with_operators_in_the_value(world):
    people = [{"name": f"p{age}", "email": f"p{age}@x.org", "age": age} for age in (17, 18, 19, 40)]
    assert (await world.post("/users/batch", {"documents": people}, token=ADMIN)).status_code == 201
    answer = await world.get("/users", params={"age": '{"$gt":18}', "_limit": "20"}, token=ADMIN)
    assert sorted(one["age"] for one in answer.json()["data"]) == [19, 40]
    assert answer.json()["pagination"] == {"cursor": None, "has_more": False}
    both = await world.get("/users", params={"age": '{"$gt":18}', "name": "p19"}, token=ADMIN)
    assert [one["age"] for one in both.json()["data"]] == [19]


async def test_batch_create_tells_ids_and_failures_by_index(world):
    documents = [{"title": "First"}, {"title": "x" * 300}, {"title": "Third", "amount": 10, "tax": 2}]
    answer = await world.post("/documents/batch", {"documents": documents}, token=USER)
    assert answer.status_code == 207
    assert len(answer.json()["created"]) == 2
    assert [(one["index"], one["error"]["code"]) for one in answer.json()["failed"]] == [(1, "schema_validation")]
    third = await world.get(f"/documents/{answer.json()['created'][1]}", token=USER)
    assert third.json()["total"] == 12


async def test_batch_delete_by_ids_and_by_filter(world):
    documents = [
        {"title": f"d{n}", "status": status} for n, status in enumerate(("draft", "draft", "published", "archived"))
    ]
    admin = {"token": ADMIN}
    ids = (await world.post("/documents/batch", {"documents": documents}, **admin)).json()["created"]
    answer = await world.delete("/documents/batch", {"ids": ids[:1]}, **admin)
    assert (answer.status_code, answer.json()["deleted"]) == (200, 1)
    answer = await world.delete("/documents/batch", {"filter": {"status": {"$in": ["draft", "archived"]}}}, **admin)
    assert answer.json()["deleted"] == 2
    answer = await world.delete(
        "/documents/batch", {"filter": {"created_at": {"$lt": "2099-01-01T00:00:00Z"}}}, **admin
    )
    assert answer.json()["deleted"] == 1
    answer = await world.delete("/documents/batch", {"ids": ids, "filter": {"status": "draft"}}, **admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    answer = await world.delete("/documents/batch", {"ids": ["507f1f77bcf86cd799439011"] * 1001}, **admin)
    assert answer.json()["error"]["details"] == {"max_batch_size": 1000, "requested": 1001}


async def test_a_reference_is_an_object_id_and_must_be_there(world):
    boss = (await world.post("/users", {"name": "B", "email": "b@x.org"}, token=ADMIN)).json()["_id"]
    body = {"name": "C", "email": "c@x.org", "manager_id": boss}
    assert (await world.post("/users", body, token=ADMIN)).status_code == 201
    answer = await world.post("/users", {**body, "email": "d@x.org", "manager_id": "5" * 24}, token=ADMIN)
    assert answer.json()["error"]["details"]["errors"][0]["code"] == "ref"


async def test_codes_and_shapes_of_refusals(world):
    wrong = await world.get("/nothing", token=ADMIN)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "collection_not_found")
    absent = await world.get("/users/507f1f77bcf86cd799439011", token=ADMIN)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "document_not_found")
    history = await world.get("/users/507f1f77bcf86cd799439011/versions", token=ADMIN)
    assert (history.status_code, history.json()["error"]["code"]) == (501, "versioning_not_enabled")


async def test_list_sorted_and_cut(world):
    """`_sort=-created_at&_limit=20` and `_fields=name,email`, as its pages have them."""
    for age in (30, 20, 40):
        await world.post("/users", {"name": f"p{age}", "email": f"p{age}@x.org", "age": age}, token=ADMIN)
    newest = await world.get("/users", params={"_sort": "-created_at", "_limit": "20"}, token=ADMIN)
    moments = [one["created_at"] for one in newest.json()["data"]]
    assert (len(moments), moments) == (3, sorted(moments, reverse=True))
    cut = await world.get("/users", params={"_sort": "age", "_fields": "name,email"}, token=ADMIN)
    assert [one["name"] for one in cut.json()["data"]] == ["p20", "p30", "p40"]
    assert all({*one} == {"_id", "name", "email"} for one in cut.json()["data"])
