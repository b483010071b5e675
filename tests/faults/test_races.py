"""F11 and F12: callers that leave, gateways that race, numbers that are taken."""

import asyncio
import socket
import time
from collections import Counter
from random import Random

import pytest

from permission_mongo.config.model import MongoDB
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.transactions import Proof, Transactor
from permission_mongo.versions import record_id
from tests.faults.processes import GatewayProcess, a_gateway_process, write_config
from tests.faults.rows import SEED, a_row, add_rows, look, open_transactions, records_of, rounds, settle
from tests.faults.summaries import Summary, tell
from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
TIGHT = CONFIG + "mongodb: {max_pool_size: 2, min_pool_size: 0}\n"


async def timed(world, beside, random, count) -> float:
    """Seconds that a delete of so many takes, in a gateway that is warm."""
    for n in range(2):
        ids = list(add_rows(beside, random, f"timed-{n}", count))
        began = time.monotonic()
        assert (await world.delete("/notes/batch", {"ids": ids})).json()["deleted"] == count
    return time.monotonic() - began


async def test_f11_a_cancelled_batch_is_whole_or_nothing_and_leaks_nothing(mongo_uri, tmp_path, database):
    """Cancelled at moments spread over the whole delete: no transaction stays open, no pool slot stays taken."""
    random, count, told = Random(SEED), rounds(25), Counter()
    async with a_world(mongo_uri, a_config(tmp_path, config=TIGHT)) as world:
        beside = database.client[world.database.name]
        takes = await timed(world, beside, random, 300)
        for n in range(count):
            before = add_rows(beside, random, f"left-{n}", 300)
            asked = asyncio.create_task(world.delete("/notes/batch", {"ids": list(before)}))
            moment = takes * (n + random.random()) / count
            await asyncio.sleep(moment)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            where = f"FAULT_SEED={SEED}, round {n}, {moment / takes:.3f} of a delete"
            assert await asyncio.to_thread(settle, database.client, 6.0) == 0, where
            left = look(beside, f"left-{n}", before)
            assert (left.lost, left.wrong, left.gone in (0, 300)) == ([], [], True), where
            told["whole" if left.gone else "nothing"] += 1
            # Both slots of the pool are free again, and no lock is left.
            answers = await asyncio.gather(*(world.get("/notes/nowhere") for _ in range(6)))
            assert {one.status_code for one in answers} == {404}, where
            again = await world.delete("/notes/batch", {"ids": list(before)})
            assert again.json()["deleted"] == 300 - left.gone, where
    notes = f"{dict(told)}, transactions left 0, slots left taken 0"
    tell(Summary("F11", "callers who leave in a batch of 300", count, "cancelled", told["whole"], notes=notes))


def test_f11_a_dropped_connection_leaves_a_whole_batch_or_nothing(mongo_uri, tmp_path, database):
    """Half of the callers leave before their request is whole: theirs never begins."""
    random, count, told = Random(SEED), min(rounds(6), 50), Counter()
    folder = write_config(tmp_path / "gateway", database.name)
    with a_gateway_process(folder, mongo_uri) as gateway:
        for n in range(count):
            before = add_rows(database, random, f"dropped-{n}", 300)
            leave(gateway, {"ids": list(before)}, whole=n % 2 == 0, after=random.random() * 0.05)
            until_quiet(gateway, database, f"dropped-{n}", whole=n % 2 == 0)
            left = look(database, f"dropped-{n}", before)
            assert (left.lost, left.wrong) == ([], []), f"FAULT_SEED={SEED}, round {n}"
            assert left.gone == (300 if n % 2 == 0 else 0), f"FAULT_SEED={SEED}, round {n}"
            told["whole" if left.gone else "nothing"] += 1
    tell(Summary("F11", "connections dropped", count, "dropped", told["whole"], notes=f"{dict(told)}"))


def leave(gateway: GatewayProcess, body: dict, *, whole: bool, after: float) -> None:
    text = GatewayProcess.text(body) or b""
    head = {**GatewayProcess.headers(), "host": "gateway", "content-length": str(len(text))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    sent = f"DELETE /notes/batch HTTP/1.1\r\n{lines}\r\n".encode() + text
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(sent if whole else sent[:-20])
        time.sleep(after)


def until_quiet(gateway: GatewayProcess, database, group: str, *, whole: bool) -> None:
    """A request that arrived whole runs to its end, also without its caller."""
    until = time.monotonic() + 10
    while whole and database["notes"].count_documents({"title": group}) and time.monotonic() < until:
        time.sleep(0.01)
    assert gateway.ask("GET", "/notes/nowhere")[0] == 404
    assert settle(database.client) == 0


async def test_f11_a_caller_who_leaves_while_the_commit_waits_for_a_slot_leaves_no_lock(mongo_uri, database):
    """The driver takes a commit that was cancelled before it was sent for a commit; the server never heard of it."""
    database["rows"].insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    async with new_client(mongo_uri, MongoDB(max_pool_size=1, min_pool_size=0)) as client:
        rows, transactor = client[database.name]["rows"], Transactor(client, database.name)
        in_the_way: list[asyncio.Task] = []
        written = asyncio.Event()

        async def body(session):
            await rows.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
            in_the_way.append(asyncio.create_task(rows.update_one({"_id": 2}, {"$inc": {"n": 1}})))
            await asyncio.sleep(0.1)
            written.set()

        with database.client.start_session() as holder, holder.start_transaction():
            # The only slot is taken by a write that waits for this lock.
            database["rows"].update_one({"_id": 2}, {"$inc": {"n": 1}}, session=holder)
            run = transactor.run(body, deadline=time.monotonic() + 20, proof=Proof("rows", {"_id": 1}))
            asked = asyncio.create_task(run)
            await written.wait()
            await asyncio.sleep(0.1)
            asked.cancel()
            await asyncio.sleep(0.1)
            holder.abort_transaction()
        answers = await asyncio.gather(asked, *in_the_way, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        await transactor.close()
        # Before the client is closed, which would end its sessions, and the transaction with them.
        assert open_transactions(database.client) == []
    assert database["rows"].find_one({"_id": 1}) == {"_id": 1, "n": 0}


async def test_f12_two_gateways_delete_and_undo_the_same_documents(mongo_uri, tmp_path, database):
    """States take 1, 3, 5, ... and the deletions between them 2, 4, ...: no gap, no double, each with its content."""
    random, count, told = Random(SEED), min(rounds(8), 40), Counter()
    config = a_config(tmp_path)
    async with a_world(mongo_uri, config) as one, a_world(mongo_uri, config) as other:
        beside = database.client[config.mongodb.database]
        beside["notes"].insert_many([{**a_row(random, f"raced-{n}", "raced"), "_version": 1} for n in range(60)])
        ids = [f"raced-{n}" for n in range(60)]
        for n in range(count):
            shuffled = [random.sample(ids, 60), random.sample(ids, 60)]
            deletions = await asyncio.gather(
                *(
                    world.delete("/notes/batch", {"ids": some})
                    for world, some in zip((one, other), shuffled, strict=True)
                )
            )
            assert {answer.status_code for answer in deletions} <= {200, 207}, [answer.text for answer in deletions]
            told["deleted"] += sum(answer.json()["deleted"] for answer in deletions)
            assert beside["notes"].count_documents({}) == 0, f"FAULT_SEED={SEED}, round {n}"
            batches = [answer.json()["batch"] for answer in deletions if "batch" in answer.json()]
            undone = await asyncio.gather(
                *(world.post(f"/notes/batch/{batch}/undo", {}) for batch in batches for world in (one, other))
            )
            # The slower of two undoings may find nothing left to put back: a conflict, or failures of its own.
            assert {answer.status_code for answer in undone} <= {200, 207, 409}, [answer.text for answer in undone]
            told["restored"] += sum(answer.json().get("restored", 0) for answer in undone)
            assert beside["notes"].count_documents({}) == 60, f"FAULT_SEED={SEED}, round {n}"
        assert (told["deleted"], told["restored"]) == (count * 60, count * 60)
        for name, kept in records_of(beside, ids).items():
            require_one_history(kept, beside["notes"].find_one({"_id": name}), count)
        assert settle(database.client) == 0
    done = told["deleted"] + told["restored"]
    tell(Summary("F12", "two gateways delete and undo 60 documents", count, "rounds", done, notes=f"{dict(told)}"))


def require_one_history(kept: list, living: dict, count: int) -> None:
    assert [record["version"] for record in kept] == [2 * n + 1 for n in range(count)]
    assert [record["data"]["_version"] for record in kept] == [2 * n + 1 for n in range(count)]
    assert living["_version"] == 2 * count + 1
    assert [record for record in kept if record.get("gone")] == []
    actions = [record["data"]["_made"]["action"] for record in kept]
    assert actions == ["create", *["restore"] * (count - 1)]
    contents = {bytes(content_of(record["data"])) for record in kept}
    assert len(contents) == 1
    times = [moment for record in kept for moment in (record["began"], record["ended"]["at"])]
    assert times == sorted(times)


def content_of(stored) -> bytes:
    """The stored bytes of the fields that no write changes."""
    return stored["odd"].__repr__().encode() + stored["filling"].encode()


async def test_f11_control_a_transaction_without_an_end_of_its_own_stays_open(mongo_uri, database):
    """The same look at a task that leaves its transaction to nobody: its locks stay."""
    database["rows"].insert_one({"_id": 1})
    async with new_client(mongo_uri, MongoDB(min_pool_size=0)) as client:
        begun = asyncio.Event()
        session = client.start_session()

        async def leave() -> None:
            await session.start_transaction()
            await client[database.name]["rows"].delete_one({"_id": 1}, session=session)
            begun.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(leave())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = len(open_transactions(database.client))
        await session.end_session()
    tell(Summary("F11", "control: a transaction that nobody ends", 1, "cancelled", notes=f"transactions left {left}"))
    assert left == 1


async def test_f12_two_gateways_change_one_document(mongo_uri, tmp_path, database):
    """Numbers without gap or double, each with the content of one answer; the counter has every change once."""
    count, config = min(rounds(25), 250), a_config(tmp_path)
    async with a_world(mongo_uri, config) as one, a_world(mongo_uri, config) as other:
        await one.add("raced", age=0)

        async def change(world, name: str) -> list[dict]:
            answers = []
            for n in range(count):
                body = {"$inc": {"age": 1}, "$set": {"title": f"{name}-{n}"}}
                while (answer := await world.ask("PATCH", "/notes/raced", body)).status_code == 409:
                    pass
                assert answer.status_code == 200, answer.text
                answers.append(answer.json())
            return answers

        told = [
            answer
            for answers in await asyncio.gather(*(change(*who) for who in ((one, "a"), (other, "b"), (one, "c"))))
            for answer in answers
        ]
        beside = database.client[config.mongodb.database]
        states = [record["data"] for record in records_of(beside, ["raced"])["raced"]]
        states.append(beside["notes"].find_one({"_id": "raced"}))
    found = [(state["_version"], state["age"], state["title"]) for state in states[1:]]
    assert found == sorted((answer["_version"], answer["age"], answer["title"]) for answer in told)
    assert [number for number, _, _ in found] == list(range(2, 3 * count + 2))
    assert [age for _, age, _ in found] == list(range(1, 3 * count + 1))
    tell(Summary("F12", "two gateways change one document, three callers", count, "rounds", len(told)))


async def test_f12_control_numbers_taken_by_reading_first_are_doubled(database):
    """The same look at two that read the number, then write: both keep the same one, and a change is lost."""
    notes, kept = database["notes"], database["kept"]
    notes.insert_one({"_id": "raced", "age": 0, "_version": 1})
    read = [notes.find_one({"_id": "raced"}) for _ in range(2)]
    for row in read:
        kept.insert_one({"version": row["_version"], "data": row})
        notes.update_one({"_id": "raced"}, {"$set": {"age": row["age"] + 1, "_version": row["_version"] + 1}})
    numbers = Counter(record["version"] for record in kept.find())
    lost, doubled = 2 - notes.find_one({"_id": "raced"})["age"], numbers[1] - 1
    tell(Summary("F12", "control: numbers read first", 1, "rounds", 2, lost, doubled))
    assert (lost, doubled) == (1, 1)


async def test_f12_two_gateways_delete_half_overlapping_batches(mongo_uri, tmp_path, database):
    """Each row is told as deleted by exactly one of the two, and kept once."""
    random, config = Random(SEED), a_config(tmp_path)
    async with a_world(mongo_uri, config) as one, a_world(mongo_uri, config) as other:
        beside = database.client[config.mongodb.database]
        for n in range(min(rounds(4), 40)):
            before = add_rows(beside, random, f"half-{n}", 300)
            ids = list(before)
            answers = await asyncio.gather(
                one.delete("/notes/batch", {"ids": ids[:200], "results": True}),
                other.delete("/notes/batch", {"ids": ids[100:], "results": True}),
            )
            told = Counter(
                item["id"] for answer in answers for item in answer.json()["results"] if item["status"] == "deleted"
            )
            left = look(beside, f"half-{n}", before)
            assert (left.gone, left.lost, left.wrong) == (300, [], []), f"FAULT_SEED={SEED}, round {n}"
            assert told == Counter(ids), f"FAULT_SEED={SEED}, round {n}"


@pytest.mark.parametrize("why", ["a missing row", "a rehearsal"])
async def test_f12_a_batch_that_is_aborted_leaves_the_one_beside_it_untouched(mongo_uri, tmp_path, database, why):
    """Two transactions at once on rows of both; one is aborted on purpose after its deletes."""
    random = Random(SEED)
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        beside = database.client[world.database.name]
        for n in range(min(rounds(5), 40)):
            mine, its = (add_rows(beside, random, f"{who}-{n}", 200) for who in ("mine", "its"))
            shared = random.sample(list(mine), 50)
            aborted = {"ids": [*its, *shared, "nowhere"], "atomic": True}
            if why == "a rehearsal":
                aborted = {"ids": [*its, *shared], "dry_run": True}
            kept, gone = await asyncio.gather(
                world.delete("/notes/batch", {"ids": list(mine)}), world.delete("/notes/batch", aborted)
            )
            assert (kept.status_code, kept.json()["deleted"]) == (200, 200), f"FAULT_SEED={SEED}, round {n}"
            assert gone.status_code == (404 if why == "a missing row" else 200), gone.text
            for group, before, count in ((f"mine-{n}", mine, 200), (f"its-{n}", its, 0)):
                left = look(beside, group, before)
                assert (left.gone, left.lost, left.wrong) == (count, [], []), f"FAULT_SEED={SEED}, round {n}, {group}"
        assert open_transactions(database.client) == []


async def made_again_beside(world, one: str, **more) -> None:
    """Deleted through the gateway, then put in its place again by somebody else."""
    stored = await world.database["notes"].find_one({"_id": one})
    assert (await world.delete("/notes/batch", {"ids": [one]})).json()["deleted"] == 1
    again = {**stored, "title": "again", **more}
    await world.database["notes"].insert_one({name: value for name, value in again.items() if value is not None})


@pytest.mark.parametrize("number", [1, None], ids=["its old number", "no number"])
async def test_f14_a_row_made_again_beside_the_gateway_can_be_deleted(mongo_uri, tmp_path, number):
    """The old number is taken: the next free one is used, behind its deletion's; only the last record is gone."""
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        await world.add("a", "b")
        await made_again_beside(world, "a", _version=number)
        answer = await world.delete("/notes/batch", {"ids": ["a", "b"]})
        assert (answer.status_code, answer.json()["deleted"]) == (200, 2)
        kept = await world.database["_pm_versions"].find({"doc_id": "a"}, sort=[("version", 1)]).to_list()
        assert [(one["version"], one["data"]["title"], one.get("gone")) for one in kept] == [
            (1, "note a", None),
            (3, "again", True),
        ]
        history = [one["version"] for one in (await world.get("/notes/a/versions")).json()]
        assert history == [4, 3, 2, 1]
        listed = (await world.get("/notes/deleted")).json()["data"]
        assert [one["_id"] for one in listed] == ["a", "b"]
        again = await world.post(f"/notes/batch/{answer.json()['batch']}/undo", {})
        assert again.json()["restored"] == 2
        assert (await world.database["notes"].find_one({"_id": "a"}))["_version"] == 5


async def test_t25_numbers_another_tenant_has_kept_are_not_counted(mongo_uri, tmp_path):
    """An id made again by another tenant has a history of its own; its numbers tell nothing of the first one's."""
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        await world.add("a")
        await made_again_beside(world, "a", _version=1)
        kept = world.database["_pm_versions"]
        foreign = await kept.find_one({"doc_id": "a"}, {"_id": 0})
        its_id = record_id("notes", "a", "evil", 70)
        await kept.insert_one({**foreign, "_id": its_id, "tenant_id": "evil", "version": 70})
        assert (await world.delete("/notes/batch", {"ids": ["a"]})).json()["deleted"] == 1
        numbers = [
            one["version"] async for one in kept.find({"doc_id": "a", "tenant_id": "acme"}, sort=[("version", 1)])
        ]
        assert numbers == [1, 3]


async def test_f14_a_row_whose_tenant_is_no_name_can_be_deleted_across_tenants(mongo_uri, tmp_path):
    """Stored beside the gateway, without a number: its record holds what was there."""
    async with a_world(mongo_uri, a_config(tmp_path)) as world:
        await world.database["notes"].insert_one({"_id": "a", "tenant_id": {"of": ["acme"]}, "title": "odd"})
        root = a_token("root", ["root"], None)
        answer = await world.delete("/notes/batch", {"ids": ["a"]}, token=root)
        assert (answer.status_code, answer.json()["deleted"]) == (200, 1)
        kept = await world.database["_pm_versions"].find_one({"doc_id": "a"})
        assert (kept["tenant_id"], kept["version"], kept["data"]["tenant_id"]) == (None, 0, {"of": ["acme"]})
