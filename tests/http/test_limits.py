"""Each limit, at exactly its value and one above it: taken, and refused before MongoDB is asked for a document."""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import bson
import pytest

from permission_mongo.query.limits import Limits
from tests.http.harness import CONFIG, World, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
BOSS = a_token("boss", ["boss"])
LIMITS = {
    "max_batch_size": 3,
    "max_result_size": 4,
    "max_aggregation_stages": 3,
    "max_result_bytes": 4000,
    "max_body_bytes": 3000,
    "max_document_bytes": 1500,
    "max_transaction_bytes": 1800,
    "max_filter_depth": 3,
    "max_filter_clauses": 6,
    "max_in_values": 4,
    "max_regex_length": 7,
}
SCHEMA = """
settings: {id_type: string, auto_timestamps: false}
collections:
  notes:
    client_ids: true
    allow_regex: true
    list: {default_limit: 1000}
    fields: {n: {type: integer}, text: {type: string}}
"""
POLICY = 'roles: {boss: {}}\npolicies: {notes: {boss: {actions: ["*"]}}}\n'
ROWS = [f"row{n}" for n in range(LIMITS["max_result_size"] + 1)]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: object = None
    padded: int = 0  # the bytes that the body has


@dataclass(frozen=True)
class Case:
    """`asks` makes the request of a size; above the limit it is refused with `status`, and with `told` in the message."""

    asks: Callable[[int], Asked]
    status: int
    told: str


@dataclass(frozen=True)
class Elsewhere:
    """A limit that is no size of a request: the test that shows where it ends."""

    file: str
    test: str


def query(of: Callable[[int], object]) -> Callable[[int], Asked]:
    return lambda n: Asked("POST", "/notes/query", {"filter": of(n)})


def pipeline(of: Callable[[int], list]) -> Callable[[int], Asked]:
    return lambda n: Asked("POST", "/notes/aggregate", {"pipeline": of(n)})


def nested(levels: int) -> dict:
    found: dict = {"n": 99}
    for _ in range(levels - 1):
        found = {"$and": [found]}
    return found


def conditions(count: int) -> dict:
    """Each alternative counts as well as what it asks."""
    alternatives = {"$or": [{"n": one} for one in range(count // 2)]}
    return {**alternatives, "text": "x"} if count % 2 else alternatives


def documents(count: int) -> list[dict]:
    return [{"_id": f"new{n}"} for n in range(count)]


def sized(size: int) -> dict:
    """A document that is stored with so many bytes."""
    return {"_id": "new", "text": "x" * (size - STORED)}


STORED = 0  # bytes of one without text, as the first of them was stored
NAMED = [{"$project": {"n": 1}}]
TABLE: dict[str, list[Case] | Elsewhere] = {
    "max_batch_size": [
        Case(lambda n: Asked("POST", "/notes/batch/get", {"ids": ["a", "b", "c", "d"][:n]}), 400, "at most 3"),
        Case(lambda n: Asked("DELETE", "/notes/batch", {"ids": ["a", "b", "c", "d"][:n]}), 400, "at most 3"),
        Case(
            lambda n: Asked("PUT", "/notes/batch", {"ids": ["a", "b", "c", "d"][:n], "update": {"n": 1}}),
            400,
            "at most 3",
        ),
        Case(lambda n: Asked("POST", "/notes/batch", {"documents": documents(n), "dry_run": True}), 400, "at most 3"),
    ],
    "max_result_size": [
        Case(lambda n: Asked("POST", "/notes/query", {"skip": n}), 400, "from 0 to 4"),
        Case(pipeline(lambda n: [{"$match": {"_id": {"$gte": ROWS[-n]}}}, *NAMED]), 413, "more than 4 rows"),
    ],
    "max_aggregation_stages": [
        Case(pipeline(lambda n: [*NAMED, *[{"$limit": 1}] * (n - 1)]), 400, "more than 3 stages"),
        Case(pipeline(lambda n: [{"$facet": {"a": NAMED * (n - 1)}}]), 400, "more than 3 stages"),
    ],
    "max_result_bytes": Elsewhere("test_limits", "test_t16_an_answer_has_at_most_its_bytes"),
    "max_bytes_in_flight": Elsewhere(
        "test_large_answers", "test_t16_large_answers_at_once_hold_no_more_than_the_limit"
    ),
    "max_body_bytes": [Case(lambda n: Asked("POST", "/notes/count", {}, padded=n), 413, "larger than 3000 bytes")],
    "max_document_bytes": [
        Case(lambda n: Asked("POST", "/notes", sized(n)), 413, "1500"),
        Case(lambda n: Asked("POST", "/notes/batch", {"documents": [sized(n)], "atomic": True}), 413, "1500"),
    ],
    "max_transaction_bytes": Elsewhere("test_limits", "test_a_transaction_has_at_most_its_bytes"),
    "max_filter_depth": [
        Case(query(nested), 400, "deeper than 3"),
        Case(pipeline(lambda n: [{"$match": nested(n)}, *NAMED]), 400, "deeper than 3"),
    ],
    "max_filter_clauses": [
        Case(query(conditions), 400, "more than 6 conditions"),
        Case(lambda n: Asked("GET", f"/notes?{'&'.join(f'n={one}' for one in range(n))}"), 400, "more than 6"),
    ],
    "max_in_values": [
        Case(query(lambda n: {"n": {"$in": [*range(n)]}}), 400, "more than 4 values"),
        Case(query(lambda n: {"n": {"$nin": [*range(n)]}}), 400, "more than 4 values"),
        Case(pipeline(lambda n: [{"$match": {"_id": {"$in": ["a"] * n}}}, *NAMED]), 400, "more than 4 values"),
    ],
    "max_regex_length": [Case(query(lambda n: {"text": {"$regex": "x" * n}}), 400, "7")],
    "max_blob_bytes": Elsewhere("test_blobs", "test_a_blob_has_at_most_its_bytes"),
    "query_timeout": Elsewhere("test_read_limits", "test_T15_a_server_that_hangs_is_told_in_time"),
    "job_lease": Elsewhere("test_jobs", "test_what_nobody_carries_another_takes_up"),
    "max_subordinates": Elsewhere("test_hierarchy_sync", "test_too_many_below_are_told_and_not_cut"),
    "hierarchy_cache": Elsewhere("test_hierarchy_sync", "test_what_another_gateway_changed_counts_after_the_time_set"),
    "rate": Elsewhere("test_rates", "test_t33_a_principal_has_its_burst_to_the_request_even_when_all_come_at_once"),
}
SIZES = [(name, case) for name, cases in TABLE.items() if isinstance(cases, list) for case in cases]


@pytest.fixture
async def small(mongo_uri, tmp_path):
    limits = ", ".join(f"{name}: {value}" for name, value in LIMITS.items())
    async with a_world(mongo_uri, a_config(tmp_path, f"{CONFIG}limits: {{{limits}}}\n", SCHEMA, POLICY)) as world:
        await world.database["notes"].insert_many([{"_id": one, "n": 1} for one in ROWS])
        await world.post("/notes", {"_id": "first", "text": ""}, token=BOSS)
        stored = await world.database["notes"].find_one_and_delete({"_id": "first"})
        globals()["STORED"] = len(bson.encode(stored)) - len("first") + len("new")
        yield world


async def answered(world: World, asked: Asked):
    if not asked.padded:
        return await world.ask(asked.method, asked.path, asked.body, token=BOSS)
    content = json.dumps(asked.body).encode().ljust(asked.padded)
    headers = {"content-type": "application/json"}
    return await world.ask(asked.method, asked.path, token=BOSS, content=content, headers=headers)


async def test_t14_what_is_exactly_at_a_limit_is_taken(small):
    for name, case in SIZES:
        asked = case.asks(LIMITS[name])
        answer = await answered(small, asked)
        assert answer.status_code in (200, 201), (name, asked, answer.text)
        await small.database["notes"].delete_many({"_id": "new"})


async def test_t14_one_more_is_refused_with_the_limit_and_mongodb_never_sees_it(small):
    await small.database.command("profile", 2)
    for name, case in SIZES:
        asked = case.asks(LIMITS[name] + 1)
        answer = await answered(small, asked)
        code = {400: "bad_request", 413: "payload_too_large"}[case.status]
        assert (answer.status_code, answer.json()["error"]["code"]) == (case.status, code), (name, asked, answer.text)
        assert case.told in answer.json()["error"]["message"], (name, answer.text)
    await small.database.command("profile", 0)
    seen = small.database["system.profile"].find({"ns": f"{small.database.name}.notes"})
    # That its result has too many rows is known of an aggregation once they were read.
    assert [one["op"] async for one in seen if not {"pipeline", "getMore"} & {*one["command"]}] == []


def test_every_limit_has_its_place_in_the_table():
    assert set(TABLE) == {one.name for one in fields(Limits)}
    for name, place in TABLE.items():
        if isinstance(place, Elsewhere):
            tree = ast.parse((Path(__file__).parent / f"{place.file}.py").read_text())
            names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert place.test in names, name


# -- bytes


def row(one: str, size: int) -> dict:
    """Stored with so many bytes."""
    return {"_id": one, "text": "x" * (size - len(bson.encode({"_id": one, "text": ""})))}


async def test_t16_an_answer_has_at_most_its_bytes(small):
    """4,000: two rows of 2,000 are taken, and of one byte more a page has one row; what has no pages is refused."""
    notes = small.database["notes"]
    await notes.delete_many({})
    await notes.insert_many([row("a", 2000), row("b", 2000)])
    ids = {"ids": ["b", "a"]}
    whole = {"pipeline": [{"$project": {"text": 1}}]}
    assert len((await small.get("/notes", token=BOSS)).json()["data"]) == 2
    assert len((await small.post("/notes/batch/get", ids, token=BOSS)).json()["documents"]) == 2
    assert len((await small.post("/notes/aggregate", whole, token=BOSS)).json()["data"]) == 2
    await notes.replace_one({"_id": "b"}, row("b", 2001))
    for path in ("/notes", "/notes?_sort=n", "/notes?_sort=-_id"):
        page = (await small.get(path, token=BOSS)).json()
        assert (len(page["data"]), page["pagination"]["has_more"]) == (1, True), path
    for path, body in (("/notes/batch/get", ids), ("/notes/aggregate", whole)):
        answer = await small.post(path, body, token=BOSS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
        assert "4000 bytes" in answer.json()["error"]["message"]
    alone = await small.post("/notes/batch/get", {"ids": ["b", "nothing"]}, token=BOSS)
    assert alone.json()["not_found"] == ["nothing"]


async def test_t16_a_single_document_of_any_size_is_answered(small):
    await small.database["notes"].insert_one(row("large", 100_000))
    for answer in (
        await small.get("/notes/large", token=BOSS),
        await small.post("/notes/batch/get", {"ids": ["large"]}, token=BOSS),
    ):
        assert answer.status_code == 200
        assert len(answer.content) > 99_000


async def test_t16_of_too_many_bytes_no_more_are_read(small):
    """Of 30 MB asked for one reply of MongoDB, and another to know that there is more."""
    notes = small.database["notes"]
    for one in "abc":
        await notes.insert_one(row(one, 10_000_000))
    await small.database.command("profile", 2)
    answer = await small.post("/notes/batch/get", {"ids": ["a", "b", "c"]}, token=BOSS)
    await small.database.command("profile", 0)
    assert answer.status_code == 413
    ran = [one async for one in small.database["system.profile"].find({"ns": f"{small.database.name}.notes"})]
    assert sum(one.get("nreturned", 0) for one in ran) <= 2


async def test_a_transaction_has_at_most_its_bytes(small):
    """1,800: two documents of 900 are one transaction, and with one byte more they are two, or refused as one."""
    for size, status in ((900, 201), (901, 413)):
        documents = [{"_id": one, "text": "x" * (size - STORED)} for one in ("aaa", "bbb")]
        answer = await small.post("/notes/batch", {"documents": documents, "atomic": True}, token=BOSS)
        assert answer.status_code == status, answer.text
        await small.database["notes"].delete_many({"_id": {"$in": ["aaa", "bbb"]}})
    answer = await small.post("/notes/batch", {"documents": documents}, token=BOSS)
    assert answer.status_code == 201
