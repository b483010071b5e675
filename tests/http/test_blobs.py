"""Bytes put into a document and taken out of it: by whom, in what order, and what stays of what was refused."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from tests.http.harness import CONFIG, World, a_config, a_token, a_world
from tests.http.test_blob_fields import POLICY, SCHEMA

pytestmark = pytest.mark.mongo
STRANGER, ELSEWHERE = a_token("eve"), a_token("alice", tenant="other")
BLIND, MASKED = a_token("carl", ["blind"]), a_token("carl", ["masked"])
PNG = {"content-type": "image/png"}
BYTES = b"\x89PNG" + bytes(range(256)) * 3
PATH = "/notes/n/blobs/photo"


@pytest.fixture(scope="module")
async def shared(mongo_uri, tmp_path_factory):
    config = CONFIG + "blobs: {url_ttl: 1s}\nlimits: {max_blob_bytes: 2KiB}\n"
    async with a_world(mongo_uri, a_config(tmp_path_factory.mktemp("blobs"), config, SCHEMA, POLICY)) as world:
        yield world


@pytest.fixture
async def world(shared: World):
    for name in ("notes", "_pm_versions", "_pm_blob_keys", "_pm_blobs.files", "_pm_blobs.chunks"):
        await shared.database[name].delete_many({})
    await shared.add("n")
    return shared


async def put(world: World, path=PATH, content=BYTES, *, headers=PNG, **more):
    return await world.ask("PUT", path, headers=headers, content=content, **more)


async def kept(world: World) -> tuple[int, int]:
    return (
        await world.database["_pm_blob_keys"].count_documents({}),
        await world.database["_pm_blobs.files"].count_documents({}),
    )


def error(answer):
    told = answer.json()["error"]
    return answer.status_code, told


async def test_what_is_put_is_shown_and_comes_back_as_it_was(world: World):
    answer = await put(world, f"{PATH}?filename=a.png")
    checksum = hashlib.sha256(BYTES).hexdigest()
    told = {"filename": "a.png", "content_type": "image/png", "size_bytes": len(BYTES), "checksum": checksum}
    assert (answer.status_code, answer.json()["photo"]) == (200, told)
    found = await world.get(PATH)
    assert (found.status_code, found.content) == (200, BYTES)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''a.png"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"].startswith("sandbox")
    part = await world.get(PATH, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"PNG", f"bytes 1-3/{len(BYTES)}")
    assert (await world.get(PATH, headers={"range": "bytes=-2"})).content == BYTES[-2:]
    assert (await world.get(PATH, headers={"range": "bytes=9999-"})).status_code == 200


async def test_the_key_of_the_bytes_is_in_no_answer_and_in_no_document(world: World):
    await put(world)
    await put(world, content=b"other", headers={"content-type": "text/plain"})
    [one, two] = await world.database["_pm_blob_keys"].distinct("_id")
    answers = [
        await world.get("/notes/n?_presign=true"),
        await world.get("/notes/n/versions/1"),
        await world.get("/notes/n/diff/1/2"),
        await world.post("/_pm/explain", {"collection": "notes", "action": "read", "id": "n"}),
        await world.post("/notes/aggregate", {"pipeline": [{"$project": {"photo": 1}}]}),
        await world.get("/_pm/audit"),
    ]
    names = ("notes", "_pm_versions", "_pm_audit")
    stored = str([await world.database[name].find().to_list() for name in names])
    for text in (*(answer.text for answer in answers), stored):
        for key in (one, two):
            assert key.rpartition("/")[2] not in text


async def test_an_empty_blob_and_one_of_no_type_are_blobs(world: World):
    answer = await put(world, "/notes/n/blobs/other", b"", headers={})
    assert answer.json()["other"]["content_type"] == "application/octet-stream"
    found = await world.get("/notes/n/blobs/other")
    assert (found.status_code, found.content) == (200, b"")


async def test_a_put_is_a_version_in_the_audit_and_can_be_taken_back(world: World):
    await put(world, headers={**PNG, "x-change-reason": "new face"})
    await put(world, content=b"two")
    assert (await world.get(PATH)).content == b"two"
    history = (await world.get("/notes/n/versions")).json()
    assert [one["version"] for one in history] == [3, 2, 1]
    assert history[1]["change_reason"] == "new face"
    last = await world.database["_pm_audit"].find_one({"action": "update"}, sort=[("_id", -1)])
    assert {path.partition(".")[0] for path in last["paths"]} >= {"photo"}
    restored = await world.post("/notes/n/restore/2", {})
    assert restored.status_code == 200
    assert (await world.get(PATH)).content == BYTES


async def test_the_same_bytes_again_are_no_new_version_and_are_kept_once(world: World):
    first = await put(world)
    second = await put(world)
    assert second.headers["etag"] == first.headers["etag"]
    assert await kept(world) == (1, 1)
    assert (await world.get(PATH)).content == BYTES


async def test_bytes_that_a_document_named_go_before_the_same_on_their_way(world: World):
    """Who sends them again has them for a moment twice; the second may be removed, and an address is told before."""
    await put(world)
    stored = world.database["_pm_blob_keys"]
    [record] = await stored.find({}).to_list()
    for age in (-1, 1):
        again = {**record, "_id": f"{record['_id']}{age}", "at": record["at"] + timedelta(seconds=age)}
        del again["settled"]
        await stored.insert_one(again)
    assert (await world.get(PATH)).content == BYTES
    url = (await world.get("/notes/n?_presign=true")).json()["photo"]["url"]
    await stored.delete_many({"settled": {"$exists": False}})
    assert (await world.get(url.removeprefix("http://gateway"))).content == BYTES


async def test_a_removed_blob_is_there_no_more_and_comes_back_with_its_version(world: World):
    await put(world)
    gone = await world.ask("DELETE", PATH)
    assert (gone.status_code, "photo" in gone.json()) == (200, False)
    assert (await world.get(PATH)).status_code == 404
    await world.post("/notes/n/restore/2", {})
    assert (await world.get(PATH)).content == BYTES


@pytest.mark.parametrize("size", [1025, 5000])
async def test_a_blob_has_at_most_its_bytes(world: World, size):
    async def streamed():
        for _ in range(0, size, 100):
            yield b"x" * 100

    for content in (b"x" * size, streamed()):
        answer = await put(world, content=content)
        assert (answer.status_code, answer.json()["error"]["details"]["max_bytes"]) == (413, 1024)
    assert (await put(world, "/notes/n/blobs/other", b"x" * 2049)).status_code == 413
    assert (await put(world, "/notes/n/blobs/other", b"x" * 2048)).status_code == 200
    assert await kept(world) == (1, 1)


async def test_only_the_types_that_the_field_takes_are_taken(world: World):
    answer = await put(world, headers={"content-type": "text/html; charset=utf-8"})
    assert answer.status_code == 200
    answer = await put(world, headers={"content-type": "application/pdf"})
    assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["code"]) == (422, "content_type")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "png"},
        {"content-type": "image/png\x7f"},
        PNG | {"content-disposition": 'attachment; filename=".."'},
    ],
)
async def test_a_head_that_says_nothing_sound_is_refused(world: World, headers):
    assert (await put(world, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ('attachment; filename="a \\"b\\".png"', 'a "b".png'),
        ("attachment; filename*=UTF-8''na%C3%AFve.png; filename=x.png", "naïve.png"),
        ('form-data; filename="../../etc/passwd"', "passwd"),
        ("attachment", "file"),
    ],
)
async def test_a_name_is_read_from_the_head(world: World, sent, name):
    answer = await put(world, headers={**PNG, "content-disposition": sent})
    assert answer.json()["photo"]["filename"] == name


@pytest.mark.parametrize(("method", "token"), [("PUT", BLIND), ("GET", BLIND), ("DELETE", BLIND), ("GET", MASKED)])
async def test_hidden_masked_and_unknown_fields_are_refused_alike(world: World, method, token):
    await put(world)
    content = {"content": b"<pdf>", "headers": {"content-type": "application/pdf"}} if method == "PUT" else {}
    answers = [
        await world.ask(method, f"/notes/n/blobs/{name}", token=token, **content) for name in ("photo", "nosuch")
    ]
    told = [
        (one.status_code, one.text.replace("nosuch", "photo").replace(one.headers["x-request-id"], ""))
        for one in answers
    ]
    assert told[0] == told[1]
    assert told[0][0] == 403
    assert await kept(world) == (1, 1)


async def test_a_field_that_is_no_blob_takes_none(world: World):
    for token in (None, a_token("bob", ["boss"])):
        for name in ("title", "owner_id", "tenant_id", "_version", "_id", "photo.checksum", "a.b", "$x"):
            for method in ("PUT", "DELETE"):
                answer = await world.ask(method, f"/notes/n/blobs/{name}", token=token)
                assert error(answer)[1]["message"] == "unknown or not permitted field", (method, name, answer.text)
    assert (await world.get("/notes/n/blobs/title")).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_absent_and_invisible_documents_are_told_alike(world: World, method):
    await put(world)
    content = {"content": b"x", "headers": PNG} if method == "PUT" else {}
    told = set()
    for path, token in ((PATH, STRANGER), (PATH, ELSEWHERE), ("/notes/absent/blobs/photo", None)):
        answer = await world.ask(method, path, token=token, **content)
        told.add((answer.status_code, answer.content, tuple(sorted(set(answer.headers) - {"x-request-id"}))))
    assert len(told) == 1
    assert next(iter(told))[0] == 404
    assert await kept(world) == (1, 1)


async def test_nobody_reads_the_body_of_who_may_not_write(world: World):
    read = []

    async def body():
        read.append(1)
        yield b"x"

    assert (await put(world, content=body(), token=STRANGER)).status_code == 404
    assert (await put(world, content=body(), token=BLIND)).status_code == 403
    assert (await put(world, content=body(), token=a_token("eve", ["mixed"]))).status_code == 403
    assert (await put(world, content=body(), headers={**PNG, "if-match": '"other"'})).status_code == 412
    assert read == []


async def test_a_write_that_is_refused_behind_its_bytes_leaves_none(world: World):
    async def body():
        yield b"x"
        await world.database["notes"].update_one({"_id": "n"}, {"$set": {"owner_id": "bob"}})
        yield b"y"

    assert (await put(world, content=body())).status_code == 404
    assert await kept(world) == (0, 0)


async def test_an_upload_that_breaks_off_leaves_no_bytes(world: World):
    async def body():
        yield b"x"
        raise OSError

    assert (await put(world, content=body())).status_code == 500
    assert (await world.get(PATH)).status_code == 404
    assert await kept(world) == (0, 0)


async def test_one_tag_lets_one_of_two_write(world: World):
    tag = (await world.get("/notes/n")).headers["etag"]
    answers = await asyncio.gather(*(put(world, content=one, headers={**PNG, "if-match": tag}) for one in (b"1", b"2")))
    assert sorted(one.status_code for one in answers) == [200, 412]
    assert await kept(world) == (1, 1)


async def test_under_one_key_the_same_bytes_are_written_once_and_others_are_refused(world: World):
    headers = {**PNG, "idempotency-key": "k1"}
    first, again = await put(world, headers=headers), await put(world, headers=headers)
    assert (first.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")
    assert (await world.get("/notes/n/versions")).json()[0]["version"] == 2
    other = await put(world, content=b"other", headers=headers)
    assert other.status_code in (409, 422)
    assert await kept(world) == (1, 1)


# -- addresses


async def presigned(world: World, **more) -> list[str | None]:
    """The address in each kind of answer."""
    documents = [
        (await world.get("/notes/n?_presign=true", **more)).json(),
        *(await world.get("/notes?_presign=true", **more)).json()["data"],
        *(await world.post("/notes/query", {"presign": True}, **more)).json()["data"],
        *(await world.post("/notes/batch/get", {"ids": ["n"], "presign": True}, **more)).json()["documents"],
    ]
    shown = [one.get("photo") for one in documents]
    return [one.get("url") if isinstance(one, dict) else None for one in shown]


async def test_an_address_gives_the_bytes_to_its_holder_and_ends(world: World):
    await put(world, f"{PATH}?filename=a.png")
    urls = await presigned(world)
    assert len(urls) == 4
    for url in urls:
        assert url.startswith("http://gateway/_pm/blobs/")
        found = await world.client.get(url)
        assert (found.status_code, found.content) == (200, BYTES)
        assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''a.png"
        assert (await world.client.get(url[:-2] + ("AA" if url[-2:] != "AA" else "BB"))).status_code == 404
    await asyncio.sleep(1.1)
    ended, never = await world.client.get(urls[0]), await world.client.get("/_pm/blobs/never")
    assert (ended.status_code, ended.content) == (404, never.content)


async def test_addresses_are_given_for_what_is_shown_raw_alone(world: World):
    await put(world)
    assert await presigned(world, token=BLIND) == [None] * 4
    assert await presigned(world, token=MASKED) == [None] * 4
    assert "url" not in (await world.get("/notes/n")).json()["photo"]
    assert (await world.get("/notes?_presign=true", token=STRANGER)).json()["data"] == []
    past = await world.get("/notes/n?_presign=true&_as_of=2026-01-31T12:00:00Z")
    assert past.status_code == 400
    assert (await world.get("/notes/n?_presign=maybe")).status_code == 400


async def test_addresses_are_given_by_what_is_stored_and_not_by_what_is_shown(world: World):
    """Which rules hold is asked of rows whose hidden fields are still there, also where one page answers many."""
    await put(world)
    nameless = a_token("alice", ["nameless"])
    assert "owner_id" not in (await world.get("/notes/n", token=nameless)).json()
    for urls in await asyncio.gather(*(presigned(world, token=nameless) for _ in range(6))):
        assert None not in urls


async def test_who_sees_a_part_or_a_mask_in_this_row_is_given_no_bytes(world: World):
    await put(world)
    parts, mixed = a_token("eve", ["parts"]), a_token("eve", ["mixed"])
    shown = (await world.get("/notes/n?_presign=true", token=parts)).json()["photo"]
    assert set(shown) == {"filename", "content_type", "size_bytes"}
    assert (await world.get(PATH, token=parts)).status_code in (403, 404)
    assert (await world.get("/notes/n?_presign=true", token=mixed)).json()["photo"]["filename"] == "***"
    assert await presigned(world, token=mixed) == [None] * 4
    absent = await world.get("/notes/absent/blobs/photo", token=mixed)
    masked = await world.get(PATH, token=mixed)
    assert (masked.status_code, masked.content) == (404, absent.content)
    assert (await world.get(PATH, token=a_token("alice", ["mixed"]))).content == BYTES


async def test_a_document_that_names_other_bytes_is_given_none(world: World):
    """A writer beside the gateway may write any checksum; bytes are found only where they were put."""
    await put(world)
    await world.add("m")
    photo = (await world.database["notes"].find_one({"_id": "n"}))["photo"]
    await world.database["notes"].update_one({"_id": "m"}, {"$set": {"photo": photo, "other": photo}})
    assert (await world.get("/notes/m/blobs/photo")).status_code == 404
    assert (await world.get("/notes/m/blobs/other")).status_code == 404
    assert "url" not in (await world.get("/notes/m?_presign=true")).json()["photo"]
