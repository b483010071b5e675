"""Large answers made at once hold no more than `limits.max_bytes_in_flight`, and small reads pass them by."""

import asyncio
import gc
import json
from contextlib import asynccontextmanager

import pytest

from permission_mongo.outcomes import Page
from permission_mongo.planning.showing import ShownPage
from permission_mongo.shares import LARGE
from tests.http.harness import CONFIG, a_config, a_kept_world, a_token, a_world

pytestmark = pytest.mark.mongo
MIB = 2**20
BOSSES = [a_token(f"boss{n}", ["boss"]) for n in range(4)]
BOSS = BOSSES[0]
LIMITS = "limits: {max_bytes_in_flight: 4MiB, max_result_bytes: 1MiB, query_timeout: 30s}\n"
HEAD = [(b"host", b"gateway"), (b"authorization", f"Bearer {BOSS}".encode())]


@pytest.fixture
async def world(mongo_uri, tmp_path):
    """Six notes of 500 kB, of which nothing is known yet."""
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG + LIMITS)) as world:
        rows = [{"_id": f"n{n}", "tenant_id": "acme", "title": "t", "ssn": "x" * 500_000} for n in range(6)]
        await world.database["notes"].insert_many(rows)
        await world.database["plain"].insert_one({"name": "small"})
        yield world


class Watched:
    """What was held and who waited at the highest, looked at whenever something changes."""

    def __init__(self, budget, monkeypatch) -> None:
        self.held = self.waiting = 0
        take = type(budget)._take

        def taking(one, share, size):
            take(one, share, size)
            self.held, self.waiting = max(self.held, one.held), max(self.waiting, one.waiting)

        monkeypatch.setattr(type(budget), "_take", taking)


class Caller:
    """One who asks by ASGI and takes the answer's parts when told to."""

    def __init__(self, app, path: str, query: bytes = b"") -> None:
        self.takes, self.got, self.parts, self.is_gone = asyncio.Event(), asyncio.Event(), [], False
        about = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query}
        self.task = asyncio.create_task(app({**about, "headers": HEAD, "client": None}, self.receive, self.send))

    async def receive(self):
        return {"type": "http.disconnect"} if self.is_gone else {"type": "http.request", "body": b""}

    async def send(self, message):
        self.parts.append(message)
        if message.get("more_body"):
            self.got.set()
            await self.takes.wait()

    def leave(self):
        """As a server does it: it takes whatever comes from here on."""
        self.is_gone = True
        self.takes.set()

    @property
    def body(self) -> bytes:
        return b"".join(bytes(part.get("body", b"")) for part in self.parts)


@asynccontextmanager
async def a_full_house(world):
    """Callers who hold all there is: their answers are made, and not taken."""
    budget = world.gateway.budget
    assert (await world.get("/notes?_limit=2", token=BOSS)).status_code == 200
    assert budget.held == 0
    part = budget.most
    budget.most = 900_000
    first = Caller(world.app, "/notes", b"_limit=1")
    await asyncio.wait_for(first.got.wait(), 5)
    try:
        yield first, budget
    finally:
        first.takes.set()
        budget.most = part
        await first.task


async def test_t16_large_answers_at_once_hold_no_more_than_the_limit(world, monkeypatch):
    """24 lists of 1 MB by four callers, the first of them before anything is known."""
    budget = world.gateway.budget
    watched = Watched(budget, monkeypatch)
    answers = await asyncio.gather(*(world.get("/notes", token=BOSSES[n % 4]) for n in range(24)))
    assert {one.status_code for one in answers} == {200}
    assert {len(one.json()["data"]) for one in answers} == {2}
    assert 2 * MIB <= watched.held <= 4 * MIB + 2 * MIB, "beyond it the two that nothing was known of"
    assert watched.waiting > 12
    assert (budget.held, budget.waiting) == (0, 0)


@pytest.mark.parametrize(
    "path", ["/notes/n1", "/notes?_limit=5", "/notes?_limit=5&_fields=title", "/notes?_sort=-_id", "/notes/deleted"]
)
async def test_t16_what_reads_large_rows_waits_also_if_little_of_them_is_shown(world, path):
    async with a_full_house(world) as (first, budget):
        waiting = asyncio.create_task(world.get(path, token=BOSSES[1]))
        await asyncio.sleep(0.1)
        assert (waiting.done(), budget.waiting) == (False, 1)
        first.takes.set()
        assert (await asyncio.wait_for(waiting, 5)).status_code == 200
    assert len(json.loads(first.body)["data"]) == 1
    assert budget.held == 0


async def test_t16_small_reads_counts_and_writes_pass_while_large_answers_wait(world):
    async with a_full_house(world) as (_, budget):
        waiting = asyncio.create_task(world.get("/notes", token=BOSSES[1]))
        await asyncio.sleep(0.05)
        assert (await world.get("/plain", token=BOSS)).json()["data"][0]["name"] == "small"
        assert (await world.post("/notes/count", {}, token=BOSS)).json() == {"data": {"count": 6}}
        assert (await world.post("/plain", {"name": "new"}, token=BOSS)).status_code == 201
        assert (await world.get("/_pm/me", token=BOSS)).status_code == 200
        assert (await world.get("/notes", token=a_token("nobody", []))).status_code == 403, "refused without waiting"
        assert not waiting.done()
        assert budget.waiting == 1
        waiting.cancel()


def pages() -> set[int]:
    """Those of one row that are in memory."""
    return {id(one) for one in gc.get_objects() if type(one) in (Page, ShownPage) and len(one.documents) == 1}


async def test_t16_who_does_not_take_a_large_answer_holds_nothing_that_it_was_made_of(world):
    before = pages()
    async with a_full_house(world):
        assert pages() <= before


async def test_t16_nor_does_who_does_not_take_a_small_answer_of_large_rows(world):
    assert (await world.get("/notes?_limit=1", token=BOSS)).status_code == 200
    before, seen = pages(), []
    about = {"type": "http", "method": "GET", "path": "/notes", "raw_path": b"/notes", "client": None}

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        seen.append((message.get("status"), pages()))

    await world.app({**about, "query_string": b"_limit=1&_fields=title", "headers": HEAD}, receive, send)
    assert seen[0][0] == 200
    assert all(one <= before for _, one in seen)


async def test_t16_who_waits_too_long_is_told_to_come_back(world):
    async with a_full_house(world) as (_, budget):
        budget.longest = 0.1
        answer = await world.get("/notes", token=BOSSES[1])
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert budget.waiting == 0


async def test_t16_a_caller_that_leaves_gives_back_what_its_answer_held(world):
    async with a_full_house(world) as (first, budget):
        assert budget.held > 450_000
        first.leave()
        await asyncio.wait_for(first.task, 5)
        assert budget.held == 0
        gone = Caller(world.app, "/notes", b"_limit=1")
        await asyncio.wait_for(gone.got.wait(), 5)
        gone.task.cancel()
        await asyncio.gather(gone.task, return_exceptions=True)
        assert budget.held == 0


async def test_t16_nothing_is_read_for_a_caller_that_left_while_it_waited(world):
    async with a_full_house(world) as (first, budget):
        left = Caller(world.app, "/notes", b"_limit=1")
        await asyncio.sleep(0.05)
        assert budget.waiting == 1
        left.leave()
        first.takes.set()
        await asyncio.wait_for(left.task, 5)
        assert left.parts[0]["status"] == 408
        assert budget.held == 0


async def test_t16_an_error_gives_back_what_was_taken(world):
    budget, place = world.gateway.budget, f"{world.database.name}.notes"
    fails = {"failCommands": ["find"], "errorCode": 50, "namespace": place}
    await world.get("/notes", token=BOSS)
    admin = world.database.client.admin
    await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": fails})
    try:
        answer = await world.get("/notes", token=BOSS)
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert answer.status_code == 504
    assert (budget.held, budget.waiting) == (0, 0)
    many = {"ids": [f"n{n}" for n in range(6)]}
    assert (await world.post("/notes/batch/get", many, token=BOSS)).status_code == 413
    assert (await world.get("/notes/nothing", token=BOSS)).status_code == 404
    assert (budget.held, dict(budget._of)) == (0, {})


async def test_t16_what_an_aggregation_makes_is_expected_by_what_others_made(world):
    async with a_full_house(world) as (first, budget):
        whole = {"pipeline": [{"$match": {"_id": "n1"}}, {"$project": {"ssn": 1}}]}
        assert (await world.post("/notes/aggregate", whole, token=BOSSES[1])).status_code == 200, "nothing known yet"
        waiting = asyncio.create_task(world.post("/notes/aggregate", whole, token=BOSSES[1]))
        await asyncio.sleep(0.1)
        assert (waiting.done(), budget.waiting) == (False, 1)
        first.takes.set()
        assert (await asyncio.wait_for(waiting, 5)).status_code == 200


async def test_an_answer_sent_in_parts_is_whole(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path)) as world:
        for size in (LARGE - 3000, LARGE, LARGE + 1, 3 * LARGE):
            text = "".join(chr(97 + n % 26) for n in range(size))
            await world.database["notes"].replace_one(
                {"_id": "a"}, {"_id": "a", "tenant_id": "acme", "title": "t", "ssn": text}, upsert=True
            )
            answer = await world.get("/notes/a", token=BOSS)
            assert answer.json()["ssn"] == text
            assert int(answer.headers["content-length"]) == len(answer.content)
