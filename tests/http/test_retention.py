"""`versioning: {mode: diff, max_versions, retention_days, deleted_days}`: fewer bytes and fewer versions, none wrong."""

import asyncio
from datetime import timedelta

import pytest
from bson import decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from permission_mongo.storage.chains import Chain, content_of
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
STRANGER, ROOT = a_token("eve", ["boss"], "evil"), a_token("root", ["root"], None)
RAW = CodecOptions(document_class=RawBSONDocument)


def a_diff_world(mongo_uri, folder, versioning="mode: diff", config=CONFIG):
    schema = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, " + versioning + "}")
    return a_world(mongo_uri, a_config(folder, config, schema, POLICY))


async def change(world, one="a", **fields):
    answer = await world.ask("PATCH", f"/notes/{one}", fields)
    assert answer.status_code == 200, answer.text


async def stored(world, one="a") -> bytes:
    """The live document as it is stored, byte for byte."""
    return bytes((await world.database["notes"].with_options(RAW).find_one({"_id": one})).raw)


async def modes(world, one="a"):
    rows = await world.database["_pm_versions"].find({"doc_id": one}, sort=[("version", 1)]).to_list()
    return {row["version"]: row["mode"] for row in rows}


async def kept(world, one="a") -> dict[int, bytes | None]:
    """The bytes that each record of a document stands for."""
    rows = await world.database["_pm_versions"].with_options(RAW).find({"doc_id": one}, sort=[("_id", -1)]).to_list()
    chain = Chain()
    return {row["version"]: chain.content(row) for row in rows}


async def listed(world, path="/notes/a/versions"):
    return [one["version"] for one in (await world.get(path)).json()]


async def test_a_chain_of_500_versions_pruned_to_50_is_readable_and_each_equals_what_was_written(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path, "mode: diff, max_versions: 50") as world:
        await world.add("a", tags=["x" * 400], pay={"month": 1}, lines=[{"sku": "p", "quantity": n} for n in range(9)])
        written = {}
        for n in range(1, 501):
            written[n] = await stored(world)
            await change(world, age=n, **({"pay": {"month": n}} if n % 7 == 0 else {}))
        last = [*range(451, 501)]
        assert await kept(world) == {n: written[n] for n in last}
        assert sorted((await modes(world)).values()).count("full") <= 4
        pages = await listed(world) + await listed(world, "/notes/a/versions?_before=402")
        assert pages == [501, *reversed(last)]
        for n in last:
            answer = await world.get(f"/notes/a/versions/{n}")
            assert (answer.status_code, answer.json()["data"]["age"]) == (200, n - 1)
            record = await world.database["_pm_versions"].find_one({"doc_id": "a", "version": n})
            versions = world.database["_pm_versions"].with_options(RAW)
            assert await content_of(versions, record) == decode(written[n])
        assert (await world.get("/notes/a/versions/450")).status_code == 404


async def test_differences_of_a_large_document_are_kept_and_read(mongo_uri, tmp_path):
    """From some size on the driver hands out its own buffer in the place of bytes."""
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 1000] * 30)
        await world.add("b", tags=["x" * 1000] * 30)
        written = {}
        for n in range(1, 5):
            written[n] = await stored(world)
            await change(world, age=n)
            answer = await world.ask("PUT", "/notes/batch", {"ids": ["b"], "update": {"age": n}})
            assert answer.status_code == 200, answer.text
        assert await kept(world) == written
        assert [*(await modes(world)).values()] == [*(await modes(world, "b")).values()] == [*["diff"] * 3, "full"]
        for n in range(2, 5):
            assert (await world.get(f"/notes/a/versions/{n}")).json()["data"]["age"] == n - 1
        assert await listed(world) == [5, 4, 3, 2, 1]


async def test_the_newest_is_whole_and_so_are_every_twentieth_and_a_deletions(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        for n in range(24):
            await change(world, age=n)
        await world.ask("DELETE", "/notes/a")
        await world.ask("POST", "/notes/a/restore/3")
        await change(world, age=7)
        await change(world, age=8)
        whole = [number for number, mode in (await modes(world)).items() if mode == "full"]
        assert whole == [20, 25, 28]
        assert None not in (await kept(world)).values()
        assert await listed(world) == list(range(29, 0, -1))


async def test_a_writer_beside_the_gateway_breaks_no_chain(mongo_uri, tmp_path):
    """What was replaced is kept as it was replaced; nothing hangs on the live document."""
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        written = {}
        for n in range(1, 6):
            await world.database["notes"].update_one({"_id": "a"}, {"$set": {"title": f"beside {n}", "ssn": str(n)}})
            written[n] = await stored(world)
            await change(world, age=n)
        await world.database["notes"].update_one({"_id": "a"}, {"$unset": {"tags": 1}})
        assert await kept(world) == written


async def test_what_can_not_be_put_together_is_not_shown_and_never_wrong(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        for n in range(4):
            await change(world, age=n)
        versions = world.database["_pm_versions"]
        await versions.update_one({"doc_id": "a", "version": 4}, {"$set": {"data.title": "another"}})
        for n in (1, 2, 3):
            assert (await world.get(f"/notes/a/versions/{n}")).json()["error"]["code"] == "version_not_found"
        assert await listed(world) == [5, 4]
        assert (await world.ask("POST", "/notes/a/restore/2")).status_code == 404


async def test_a_deletions_record_stays_whole_beside_a_writer_that_goes_on_behind_it(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        await change(world, age=1)
        row = await world.database["notes"].find_one({"_id": "a"})
        await world.ask("DELETE", "/notes/a")
        await world.database["notes"].insert_one(row | {"_version": 3})
        await change(world, age=2)
        assert await modes(world) == {1: "diff", 2: "full", 3: "full"}
        assert (await world.get("/notes/deleted")).status_code == 200


async def test_records_of_both_modes_stand_side_by_side(mongo_uri, tmp_path):
    (tmp_path / "one").mkdir()
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        for n in range(4):
            await change(world, age=n)
        config = a_config(tmp_path / "one", CONFIG, SCHEMA, POLICY)
        object.__setattr__(config.mongodb, "database", world.database.name)
        async with a_world(mongo_uri, config) as plain:
            for n in range(4):
                await change(plain, age=10 + n)
            assert list((await modes(plain)).values()) == ["diff"] * 3 + ["full"] * 5
            assert await listed(plain) == list(range(9, 0, -1))
            assert await listed(plain, "/notes/a/versions?_limit=2&_before=4") == [3, 2]
            assert (await plain.get("/notes/a/versions/2")).json()["data"]["age"] == 0


async def test_a_history_is_paged_past_states_that_are_not_shown(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        for n in range(1, 31):
            status = "closed" if n % 10 == 0 else "open"
            await world.database["notes"].update_one({"_id": "a"}, {"$set": {"status": status}})
            await change(world, age=n)
        await world.database["notes"].update_one({"_id": "a"}, {"$set": {"status": "closed"}})
        viewer = a_token("vera", ["viewer"])
        pages = [
            await world.get(f"/notes/a/versions?{query}", token=viewer) for query in ("_limit=2", "_limit=2&_before=30")
        ]
        assert [[one["version"] for one in page.json()] for page in pages] == [[31, 30], [20, 10]]


async def test_batches_keep_the_chain_and_the_number(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path, "mode: diff, max_versions: 3") as world:
        ids = [f"n{n}" for n in range(30)]
        await world.add(*ids, tags=["x" * 200])
        for n in range(4):
            await asyncio.gather(*(change(world, one, age=n) for one in ids))
        batch = (await world.delete("/notes/batch", {"ids": ids})).json()["batch"]
        assert await modes(world, "n7") == {3: "diff", 4: "diff", 5: "full"}
        assert (await world.post(f"/notes/batch/{batch}/undo", {})).json()["restored"] == 30
        await change(world, "n7", age=9)
        assert await modes(world, "n7") == {4: "diff", 5: "full", 7: "full"}
        assert await world.database["_pm_versions"].count_documents({}) == 90


async def test_the_last_content_of_a_deleted_document_outlives_max_versions_and_another_tenants_life(
    mongo_uri, tmp_path
):
    async with a_diff_world(mongo_uri, tmp_path, "max_versions: 1") as world:
        await world.add("a", age=1)
        await change(world, age=2)
        await world.ask("DELETE", "/notes/a")
        await world.add("a", token=STRANGER)
        for n in range(3):
            await world.ask("PATCH", "/notes/a", {"age": n}, token=STRANGER)
        await world.ask("DELETE", "/notes/a", token=STRANGER)
        assert len((await world.get("/notes/deleted")).json()["data"]) == 1
        assert (await world.ask("POST", "/notes/a/restore/2")).json()["age"] == 2


async def ends(world):
    rows = await world.database["_pm_versions"].find({}, sort=[("version", 1)]).to_list()
    return [(row["version"], (row["expires"] - row["ended"]["at"]) / timedelta(days=1)) for row in rows]


@pytest.mark.parametrize(("days", "deleted", "last"), [(30, 365, 365), (400, 365, 400), (30, 60, 60)])
async def test_each_version_has_its_end_and_a_deletions_a_later_one(mongo_uri, tmp_path, days, deleted, last):
    async with a_diff_world(mongo_uri, tmp_path, f"retention_days: {days}, deleted_days: {deleted}") as world:
        await world.add("a")
        await change(world, age=2)
        await world.ask("DELETE", "/notes/a")
        assert await ends(world) == [(1, days), (2, last)]


@pytest.mark.parametrize("again", ["restore", "undo", "create"])
async def test_a_document_that_lives_again_gives_its_records_their_usual_end(mongo_uri, tmp_path, again):
    async with a_diff_world(mongo_uri, tmp_path, "retention_days: 30") as world:
        await world.add("a")
        batch = (await world.delete("/notes/batch", {"ids": ["a"]})).json()["batch"]
        assert await ends(world) == [(1, 365)]
        answer = await {
            "restore": lambda: world.ask("POST", "/notes/a/restore/1"),
            "undo": lambda: world.post(f"/notes/batch/{batch}/undo", {}),
            "create": lambda: world.post("/notes", {"_id": "a", "title": "n"}),
        }[again]()
        assert answer.status_code in (200, 201)
        assert await ends(world) == [(1, 30)]
        row = await world.database["_pm_versions"].find_one({})
        assert "gone" not in row


async def test_mongodb_is_told_to_remove_what_has_an_end_and_nothing_else(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path, "retention_days: 30") as world:
        index = (await world.database["_pm_versions"].index_information())["ends"]
        assert index["expireAfterSeconds"] == 0
        assert index["partialFilterExpression"] == {"expires": {"$exists": True}}
    async with a_diff_world(mongo_uri, tmp_path, "mode: full") as world:
        assert "ends" not in await world.database["_pm_versions"].index_information()


async def test_without_an_end_none_is_kept(world):
    await world.add("a")
    await change(world, age=2)
    assert "expires" not in await world.database["_pm_versions"].find_one({})


async def test_a_purge_takes_differences_along(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        for n in range(5):
            await change(world, age=n)
        boss = a_token("alice", ["boss"])
        assert (await world.post("/notes/a/purge", {"reason": "r"}, token=boss)).json()["versions"] == 5
        assert await world.database["_pm_versions"].count_documents({}) == 0


async def test_a_replay_reads_a_state_that_is_kept_as_a_difference(mongo_uri, tmp_path):
    async with a_diff_world(mongo_uri, tmp_path) as world:
        await world.add("a", tags=["x" * 200])
        first = await world.ask("PATCH", "/notes/a", {"age": 1}, headers={"idempotency-key": "k"})
        for n in range(3):
            await change(world, age=10 + n)
        again = await world.ask("PATCH", "/notes/a", {"age": 1}, headers={"idempotency-key": "k"})
        assert (again.status_code, again.json()) == (200, first.json())
        assert (await modes(world))[2] == "diff"


async def test_a_computed_field_is_in_a_version_that_is_kept_as_a_difference(mongo_uri, tmp_path):
    schema = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff}").replace(
        "      at: {type: date}\n",
        "      at: {type: date}\n      long: {type: integer, computed: {$strLenCP: $title}}\n",
    )
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, schema, POLICY)) as world:
        await world.add("a", tags=["x" * 200])
        await change(world, title="four")
        await change(world, title="five5")
        assert [(await world.get(f"/notes/a/versions/{n}")).json()["data"]["long"] for n in (1, 2, 3)] == [6, 4, 5]
        changes = (await world.get("/notes/a/diff/2/3")).json()["changes"]
        assert [one["field"] for one in changes if not one["field"].startswith("updated")] == ["title"]
