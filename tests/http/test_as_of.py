"""`_as_of`: a document and a collection as they were, of what today's rules show both then and now."""

from dataclasses import replace
from datetime import timedelta

import pytest

from permission_mongo.schema.model import Keeping
from permission_mongo.storage import moments
from permission_mongo.storage.settings import versioned_since
from permission_mongo.values import date_text, read_date, utc_now
from tests.http.harness import POLICY, SCHEMA, a_config, a_token
from tests.http.moments import a_timed_world

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER, CLERK = (
    a_token("bob"),
    a_token("boss", ["boss"]),
    a_token("vera", ["viewer"]),
    a_token("carl", ["clerk"]),
)
EVIL, ROOT = a_token("eve", ["boss"], "evil"), a_token("root", ["root"], None)
ABSENT = {
    "error": {"code": "document_not_found", "message": "no such document in notes", "details": {"collection": "notes"}}
}


@pytest.fixture
async def timed(mongo_uri, tmp_path):
    async with a_timed_world(mongo_uri, a_config(tmp_path)) as timed:
        yield timed


async def delete(timed, *ids, **more):
    answer = await timed.world.delete("/notes/batch", {"ids": list(ids)}, **more)
    assert answer.json()["deleted"] == len(ids), answer.text
    return answer.json()["batch"]


async def put(timed, one, token=None, **fields):
    """By its owner; a status, by which rules judge, is for others to change."""
    token = ROOT if token is None and "status" in fields else token
    answer = await timed.world.ask("PUT", f"/notes/{one}", fields, token=token)
    assert answer.status_code == 200, answer.text


async def a_long_story(timed) -> list:
    """Note `a`: made, changed, deleted, restored, changed, deleted, made again. The moment of each state."""
    moments, world = [], timed.world
    await world.add("a", age=1)
    moments.append(timed.clock.tick())
    await put(timed, "a", age=2)
    moments.append(timed.clock.tick())
    batch = await delete(timed, "a")
    moments.append(timed.clock.tick())
    assert (await world.post(f"/notes/batch/{batch}/undo", {})).json()["restored"] == 1
    moments.append(timed.clock.tick())
    await put(timed, "a", age=3)
    moments.append(timed.clock.tick())
    await delete(timed, "a")
    moments.append(timed.clock.tick())
    await world.add("a", age=4)
    moments.append(timed.clock.tick())
    return moments


AGES = [1, 2, None, 2, 3, None, 4]


async def test_a_document_is_told_as_it_was_at_each_moment(timed):
    """Deleted, restored and made again under its id: absent while it was."""
    answers = [await timed.one(moment) for moment in await a_long_story(timed)]
    assert [answer.json().get("age") for answer in answers] == AGES
    assert {answer.status_code for answer, age in zip(answers, AGES, strict=True) if age is None} == {404}
    assert answers[2].json() == ABSENT
    assert [answer.json()["_version"] for answer in answers if answer.status_code == 200] == [1, 2, 4, 5, 7]
    assert all("_made" not in answer.json() for answer in answers)


async def test_a_list_is_told_as_it_was_at_each_moment(timed):
    await timed.world.add("z", age=9)
    timed.clock.tick()
    story = await a_long_story(timed)
    found = [(await timed.list(moment)).json() for moment in story]
    assert [[row.get("age") for row in page["data"]] for page in found] == [
        [*([] if age is None else [age]), 9] for age in AGES
    ]
    assert all(page["pagination"] == {"cursor": None, "has_more": False} for page in found)
    assert all("complete" not in page for page in found)
    assert all("_made" not in row for page in found for row in page["data"])


async def test_a_state_begins_at_its_moment_and_ends_before_the_next(timed):
    start = timed.clock.now
    await timed.world.add("a", age=1)
    timed.clock.tick(1)
    await put(timed, "a", age=2)
    timed.clock.tick()
    told = []
    for step in (-1, 0, 999, 1000):
        told.append((await timed.one(start + timedelta(milliseconds=step))).json().get("age"))
    assert told == [None, 1, 1, 2]


async def test_writes_of_one_millisecond_stay_apart(timed):
    await timed.world.add("a", age=1)
    for age in (2, 3):
        await put(timed, "a", age=age)
    start = timed.clock.tick()
    assert [(await timed.one(start + timedelta(milliseconds=n))).json()["age"] for n in (0, 1, 2)] == [1, 2, 3]


async def test_an_id_made_again_in_the_millisecond_of_its_deletion_is_one_row(timed):
    await timed.world.add("a", age=1)
    await delete(timed, "a")
    await timed.world.add("a", age=2)
    start = timed.clock.tick()
    found = [
        [row["age"] for row in (await timed.list(start + timedelta(milliseconds=n))).json()["data"]] for n in (0, 5)
    ]
    assert found == [[1], [2]]


async def test_an_id_made_again_by_a_gateway_whose_clock_is_behind_begins_after_its_end(timed):
    await timed.world.add("a", age=1)
    timed.clock.tick()
    end = timed.clock.now
    await delete(timed, "a")
    timed.clock.tick(-3)
    await timed.world.add("a", age=2)
    await put(timed, "a", age=3)
    timed.clock.tick(20)
    moments = [end + timedelta(milliseconds=n) for n in (-3001, -2999, -1, 0, 1, 2)]
    found = [[row["age"] for row in (await timed.list(moment)).json()["data"]] for moment in moments]
    assert found == [[1], [1], [1], [], [2], [3]]


# -- rules of today, of both states


async def test_t35_an_old_state_is_out_of_reach_with_the_live_document(timed):
    """A note that was alice's and is bob's now is not hers to see, as of any time; nor his, of the time before."""
    await timed.world.add("a")
    moment = timed.clock.tick()
    await put(timed, "a", title="new")
    timed.clock.tick()
    assert await timed.ids(moment) == ["a"]
    await timed.world.database["notes"].update_one({"_id": "a"}, {"$set": {"owner_id": "bob"}})
    for token in (None, BOB):
        assert await timed.ids(moment, token=token) == []
        assert (await timed.one(moment, token=token)).json() == ABSENT
    assert await timed.ids(moment, token=BOSS) == ["a"]


async def test_an_old_state_that_was_not_visible_then_is_not_shown_now(timed):
    """A viewer sees closed notes: of one that was open then, nothing, though it is closed today."""
    await timed.world.add("a")
    first = timed.clock.tick()
    await put(timed, "a", status="closed")
    second = timed.clock.tick()
    await put(timed, "a", title="new")
    timed.clock.tick()
    assert [await timed.ids(moment, token=VIEWER) for moment in (first, second)] == [[], ["a"]]
    assert [(await timed.one(moment, token=VIEWER)).status_code for moment in (first, second)] == [404, 200]


async def test_t35_a_state_visible_then_is_not_shown_when_today_is_not(timed):
    await timed.world.add("a", status="closed")
    moment = timed.clock.tick()
    await put(timed, "a", status="open")
    timed.clock.tick()
    assert (await timed.ids(moment, token=VIEWER), await timed.ids(moment)) == ([], ["a"])
    assert (await timed.one(moment, token=VIEWER)).json() == ABSENT


async def test_t35_of_a_deleted_document_the_last_content_decides(timed):
    """Closed at first, open when it was deleted: a viewer is shown neither state."""
    await timed.world.add("a", "b", status="closed")
    first = timed.clock.tick()
    await put(timed, "a", status="open")
    second = timed.clock.tick()
    await delete(timed, "a", "b")
    timed.clock.tick()
    assert [await timed.ids(moment, token=VIEWER) for moment in (first, second)] == [["b"], ["b"]]
    assert [await timed.ids(moment) for moment in (first, second)] == [["a", "b"], ["a", "b"]]


async def test_fields_are_those_of_the_grants_that_hold_on_the_old_state(timed):
    """alice reads all of her own notes; of bob's closed ones what a viewer reads."""
    await timed.world.add("a", status="closed", ssn="123456789")
    await timed.world.add("b", status="closed", ssn="123456789", token=BOB)
    moment = timed.clock.tick()
    for one, token in (("a", None), ("b", BOB)):
        await put(timed, one, title="new", token=token)
    timed.clock.tick()
    own, other = (await timed.list(moment)).json()["data"]
    assert (own["ssn"], own["title"], set(other)) == ("***6789", "note a", {"_id", "_version", "title", "status"})
    assert (await timed.one(moment, "b")).json() == other


async def test_t35_a_document_of_another_tenant_is_absent_at_every_time(timed):
    await timed.world.add("a", token=EVIL)
    first = timed.clock.tick()
    await delete(timed, "a", token=EVIL)
    await timed.world.add("a", age=1)
    second = timed.clock.tick()
    assert [await timed.ids(moment, token=BOSS) for moment in (first, second)] == [[], ["a"]]
    assert [await timed.ids(moment, token=EVIL) for moment in (first, second)] == [["a"], []]
    assert [await timed.ids(moment, token=ROOT) for moment in (first, second)] == [["a"], ["a"]]


async def test_another_tenants_living_document_does_not_stand_for_a_deleted_one(mongo_uri, tmp_path):
    """One who crosses tenants and sees closed notes: the old life ended open, the new one, elsewhere, is closed."""
    policy = POLICY.replace(
        'boss: {actions: ["*", purge]}\n    clerk',
        'boss: {actions: ["*"], check: "true", fields: {reassign: [status]}}\n    clerk',
    ).replace(
        'root: {actions: ["*"]}\n  plain', 'root: {actions: ["*"], when: "resource.status == \'closed\'"}\n  plain'
    )
    async with a_timed_world(mongo_uri, a_config(tmp_path, policy=policy)) as timed:
        await timed.world.add("a", status="closed", token=EVIL)
        moment = timed.clock.tick()
        await put(timed, "a", status="open", token=EVIL)
        await delete(timed, "a", token=EVIL)
        await timed.world.add("a", status="closed")
        now = timed.clock.tick()
        assert [await timed.ids(one, token=ROOT) for one in (moment, now)] == [[], ["a"]]


async def test_a_role_without_a_rule_is_refused_whatever_the_moment(timed):
    answers = [await timed.list(moment, token=CLERK) for moment in (timed.since, "2000-01-01")]
    assert [answer.status_code for answer in answers] == [403, 403]


# -- filters and fields


async def test_a_filter_asks_the_old_content(timed):
    await timed.world.add("a", "b", age=1, tags=["x"], lines=[{"sku": "s", "quantity": 2}])
    moment = timed.clock.tick()
    await put(timed, "a", age=2, tags=["y"], lines=[])
    await delete(timed, "b")
    await timed.world.add("c", age=1)
    now = timed.clock.tick()
    assert (await timed.ids(moment, age="1"), await timed.ids(now, age="1")) == (["a", "b"], ["c"])
    assert (await timed.ids(moment, age="2"), await timed.ids(now, age="2")) == ([], ["a"])
    for asked in (
        '{"$or": [{"age": {"$lt": 1}}, {"tags": "x"}]}',
        '{"lines": {"$elemMatch": {"sku": "s", "quantity": {"$gt": 1}}}}',
        '{"lines.sku": "s", "$nor": [{"age": 2}]}',
        '{"_id": {"$in": ["a", "b"]}, "ssn": null, "pay.month": null}',
    ):
        token = BOSS
        assert await timed.ids(moment, _filter=asked, token=token) == ["a", "b"], asked


async def test_a_filter_is_asked_of_rows_whose_rules_read_its_fields(timed):
    """Of bob's closed note alice reads no pay, then as now: a filter on it must not tell of it."""
    await timed.world.add("a", status="closed", pay={"month": 5})
    await timed.world.add("b", status="closed", pay={"month": 5}, token=BOB)
    moment = timed.clock.tick()
    await put(timed, "b", title="new", token=BOB)
    timed.clock.tick()
    asked = {"_filter": '{"pay.month": 5}'}
    assert (await timed.ids(moment, **asked), await timed.ids(moment, token=BOSS, **asked)) == (["a"], ["a", "b"])


@pytest.mark.parametrize("field", ["ssn", "nothing", "_made", "_made.at"])
async def test_a_hidden_a_masked_and_an_unknown_field_are_refused_alike(timed, field):
    for params in ({"_filter": f'{{"{field}": 1}}'}, {"_fields": field}):
        answer = await timed.list(timed.since, token=VIEWER, **params)
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, "unknown or not permitted field")


async def test_fields_cut_what_is_shown(timed):
    await timed.world.add("a", age=1, tags=["x"])
    moment = timed.clock.tick()
    await put(timed, "a", age=2)
    timed.clock.tick()
    assert (await timed.list(moment, _fields="age")).json()["data"] == [{"_id": "a", "_version": 1, "age": 1}]
    answer = await timed.one(moment, _fields="age")
    assert answer.json() == {"_id": "a", "_version": 1, "age": 1}
    assert (
        await timed.world.get(
            "/notes/a", params={"_as_of": date_text(moment)}, headers={"if-none-match": answer.headers["etag"]}
        )
    ).status_code == 304


async def test_computed_fields_are_those_of_the_old_content_and_not_asked_about(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "      ssn: {type: string}\n",
        "      ssn: {type: string}\n      twice: {type: number, computed: {$multiply: [$age, 2]}}\n",
    )
    async with a_timed_world(mongo_uri, a_config(tmp_path, schema=schema)) as timed:
        await timed.world.add("a", "b", age=1)
        moment = timed.clock.tick()
        await put(timed, "a", age=5)
        await delete(timed, "b")
        now = timed.clock.tick()
        assert [row["twice"] for row in (await timed.list(moment)).json()["data"]] == [2, 2]
        assert [row["twice"] for row in (await timed.list(now)).json()["data"]] == [10]
        assert (await timed.one(moment, "b")).json()["twice"] == 2
        answer = await timed.list(moment, twice="2")
        assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (400, ["twice"])


# -- pages


async def test_pages_together_are_the_list_under_every_moment(timed):
    await timed.world.add(*"abcdefgh")
    times = [timed.clock.tick()]
    for one in "bdf":
        await put(timed, one, age=1)
        times.append(timed.clock.tick())
    await delete(timed, "a", "d")
    times.append(timed.clock.tick())
    await timed.world.add("d", "i")
    times.append(timed.clock.tick())
    for moment in times:
        whole = await timed.ids(moment)
        for limit in (1, 2, 3, 7):
            assert await walk(timed, moment, limit) == whole


async def walk(timed, moment, limit, **more):
    found, cursor = [], {}
    while True:
        page = (await timed.list(moment, _limit=str(limit), **cursor, **more)).json()
        found += [row["_id"] for row in page["data"]]
        assert len(page["data"]) == limit or not page["pagination"]["has_more"]
        if not page["pagination"]["has_more"]:
            assert page["pagination"]["cursor"] is None
            return found
        cursor = {"_cursor": page["pagination"]["cursor"]}


async def test_a_cursor_goes_on_at_its_own_moment_and_question_alone(timed):
    await timed.world.add(*"abc")
    moment = timed.clock.tick()
    cursor = (await timed.list(moment, _limit="1")).json()["pagination"]["cursor"]
    assert await timed.ids(moment, _cursor=cursor) == ["b", "c"]
    refused = [
        await timed.list(moment - timedelta(milliseconds=1), _cursor=cursor),
        await timed.list(moment, _cursor=cursor, age="1"),
        await timed.list(moment, _cursor=cursor, token=BOB),
        await timed.world.get("/notes", params={"_cursor": cursor}),
        await timed.world.get("/notes/deleted", params={"_cursor": cursor}),
    ]
    plain = (await timed.world.get("/notes", params={"_limit": "1"})).json()["pagination"]["cursor"]
    refused.append(await timed.list(moment, _cursor=plain))
    assert [answer.status_code for answer in refused] == [400] * 6


async def test_rows_out_of_reach_today_make_no_page_shorter_and_no_cursor(timed):
    """Forty of alice's notes are bob's today. What is left fills its pages, and no cursor names another."""
    names = [f"n{n:02}" for n in range(45)]
    await timed.world.add(*names)
    moment = timed.clock.tick()
    for one in names:
        await put(timed, one, age=1)
    kept = names[::9]
    await timed.world.database["notes"].update_many({"_id": {"$nin": kept}}, {"$set": {"owner_id": "bob"}})
    timed.clock.tick()
    assert [await walk(timed, moment, limit) for limit in (1, 2, 4, 5)] == [kept] * 4
    first = (await timed.list(moment, _limit="2")).json()
    assert [row["_id"] for row in first["data"]] == kept[:2]
    last = (await timed.list(moment, _limit="5")).json()
    assert last["pagination"] == {"cursor": None, "has_more": False}


async def test_a_page_ends_before_its_bytes_are_too_many(mongo_uri, tmp_path):
    config = a_config(tmp_path)
    config = replace(config, limits=replace(config.limits, max_result_bytes=2000))
    async with a_timed_world(mongo_uri, config) as timed:
        for one in "abcde":
            await timed.world.add(one, tags=["x" * 700])
        moment = timed.clock.tick()
        for one in "bc":
            await put(timed, one, tags=["y"])
        await delete(timed, "d")
        timed.clock.tick()
        first = (await timed.list(moment)).json()
        assert ([row["_id"] for row in first["data"]], first["pagination"]["has_more"]) == (["a", "b"], True)
        found, cursor = ["a", "b"], first["pagination"]["cursor"]
        while cursor:
            page = (await timed.list(moment, _cursor=cursor)).json()
            found += [row["_id"] for row in page["data"]]
            cursor = page["pagination"]["cursor"]
        assert found == list("abcde")


async def test_one_row_larger_than_a_page_is_a_page(mongo_uri, tmp_path):
    config = a_config(tmp_path)
    config = replace(config, limits=replace(config.limits, max_result_bytes=100))
    async with a_timed_world(mongo_uri, config) as timed:
        await timed.world.add("a", "b")
        moment = timed.clock.tick()
        await delete(timed, "a", "b")
        timed.clock.tick()
        first = (await timed.list(moment)).json()
        assert ([row["_id"] for row in first["data"]], first["pagination"]["has_more"]) == (["a"], True)
        rest = (await timed.list(moment, _cursor=first["pagination"]["cursor"])).json()
        assert ([row["_id"] for row in rest["data"]], rest["pagination"]["has_more"]) == (["b"], False)


async def test_a_row_changed_between_the_two_queries_is_there_once(timed, monkeypatch):
    """Live rows first: what they miss, because it ended before, is kept by then; what ends after is met twice."""
    await timed.world.add("a", "b", "c")
    moment = timed.clock.tick()
    records = moments._Walk._records

    async def after_others(walk):
        await put(timed, "a", age=5)
        await delete(timed, "b")
        return await records(walk)

    monkeypatch.setattr(moments._Walk, "_records", after_others)
    assert await timed.ids(moment) == ["a", "b", "c"]
    assert "age" not in (await timed.one(moment)).json()


async def test_a_row_restored_while_it_is_looked_for_is_there(timed, monkeypatch):
    await timed.world.add("a")
    moment = timed.clock.tick()
    await put(timed, "a", age=1)
    batch = await delete(timed, "a")
    timed.clock.tick()
    last = moments._Walk._last

    async def after_restore(walk, ids):
        await timed.world.post(f"/notes/batch/{batch}/undo", {})
        return await last(walk, ids)

    monkeypatch.setattr(moments._Walk, "_last", after_restore)
    assert await timed.ids(moment) == ["a"]


# -- what is not known


async def test_a_moment_that_is_not_settled_or_before_versions_were_kept_is_refused(timed):
    await timed.world.add("a")
    now = timed.clock.now
    wrong = [
        timed.since - timedelta(milliseconds=1),
        now - timedelta(milliseconds=4999),
        now,
        now + timedelta(days=1),
    ]
    for moment in wrong:
        for answer in (await timed.list(moment), await timed.one(moment)):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, "as_of_out_of_range")
            assert {name: read_date(value) for name, value in error["details"].items()} == {"from": timed.since}
    for moment in (timed.since, now - timedelta(seconds=5)):
        assert (await timed.list(moment)).status_code == 200


@pytest.mark.parametrize(
    ("keeping", "known"),
    [
        (Keeping(days=1), [False, True]),
        (Keeping(days=30), [True, True]),
        (Keeping(most=3), [False, False]),
        (Keeping(differences=True), [False, False]),
    ],
)
async def test_what_is_not_kept_for_certain_is_not_told(mongo_uri, tmp_path, keeping, known):
    """A moment older than the days that versions stay; and all, where their number or their form tells no moment."""
    config = a_config(tmp_path)
    notes = replace(config.collections["notes"], keeping=keeping)
    config = replace(config, collections={**config.collections, "notes": notes})
    async with a_timed_world(mongo_uri, config) as timed:
        old = timed.clock.tick(3 * 24 * 3600)
        answers = [await timed.list(moment) for moment in (old, timed.clock.now - timedelta(hours=1))]
        assert [answer.status_code == 200 for answer in answers] == known
        refused = [answer.json()["error"]["code"] for answer in answers if answer.status_code != 200]
        assert refused == ["as_of_out_of_range"] * known.count(False)


async def test_where_no_versions_are_kept_there_is_no_past(timed):
    for path in ("/plain", "/plain/0123456789abcdef01234567"):
        answer = await timed.world.get(path, token=BOSS, params={"_as_of": date_text(timed.since)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "versioning_not_enabled")


async def test_versions_kept_anew_begin_anew(mongo_uri, tmp_path):
    """Without a gateway that kept them for a while, what was before is not known; a restart changes nothing."""
    config = a_config(tmp_path)
    bare = {name: replace(one, versioned=False) for name, one in config.collections.items()}

    before = utc_now()
    async with a_timed_world(mongo_uri, config) as timed:
        first = timed.since
        assert before <= first <= utc_now()
        settings = await timed.world.database["_pm_settings"].find_one({"_id": "versioned:notes"})
        assert settings == {"_id": "versioned:notes", "at": first}
        later = first + timedelta(hours=1)
        database, all_of = timed.world.database, config.collections.values()
        assert (await versioned_since(database, all_of, later))["notes"] == first
        assert await versioned_since(database, bare.values(), later) == {}
        assert (await versioned_since(database, all_of, later))["notes"] == later


@pytest.mark.parametrize(
    ("former", "anew"),
    [
        (Keeping(differences=True), True),
        (Keeping(most=3), True),
        (Keeping(days=7), True),
        (Keeping(days=30), False),
        (Keeping(days=90), False),
        (Keeping(), False),
    ],
)
async def test_what_was_kept_for_a_while_in_part_is_known_from_the_moment_of_going_back(
    mongo_uri, tmp_path, former, anew
):
    """Differences, a number, a shorter time: of the states of then some are gone, or will be, and nobody sees it."""
    config = a_config(tmp_path)
    notes, hour = config.collections["notes"], timedelta(hours=1)
    async with a_timed_world(mongo_uri, config) as timed:
        first, at_last = timed.since, [replace(notes, keeping=Keeping(days=30))]
        for n, served in enumerate(([replace(notes, keeping=former)], at_last, at_last), 1):
            since = await versioned_since(timed.world.database, served, first + n * hour)
        assert since == {"notes": first + 2 * hour if anew else first}


async def test_rows_whose_beginning_is_not_known_are_left_out_and_the_list_says_so(timed):
    """One from before the gateway: out, until a write of the gateway gives it a beginning."""
    await timed.world.database["notes"].insert_one(
        {"_id": "m", "title": "old", "tenant_id": "acme", "owner_id": "alice"}
    )
    await timed.world.add("a", "z")
    first = timed.clock.tick()
    told = [(await timed.list(first)).json() for _ in range(1)]
    await put(timed, "m", age=1)
    second = timed.clock.tick()
    told += [(await timed.list(moment)).json() for moment in (first, second)]
    assert [([row["_id"] for row in page["data"]], page.get("complete")) for page in told] == [
        (["a", "z"], False),
        (["a", "z"], False),
        (["a", "m", "z"], None),
    ]
    assert (await timed.one(first, "m")).json() == ABSENT


async def test_each_page_says_of_its_own_rows_whether_some_may_be_missing(timed):
    await timed.world.database["notes"].insert_one(
        {"_id": "c", "title": "old", "tenant_id": "acme", "owner_id": "alice"}
    )
    await timed.world.add(*"abde")
    moment = timed.clock.tick()
    told, cursor = [], {}
    for _ in range(4):
        page = (await timed.list(moment, _limit="1", **cursor)).json()
        told.append((page["data"][0]["_id"], page.get("complete")))
        cursor = {"_cursor": page["pagination"]["cursor"]}
    assert told == [("a", None), ("b", None), ("d", False), ("e", None)]


async def test_what_the_caller_does_not_see_makes_no_list_incomplete(timed):
    """Another's row from before the gateway, live or changed since, is nothing to tell of."""
    rows = [
        {"_id": one, "title": "old", "tenant_id": "acme", "owner_id": "alice" if one == "m" else "bob"} for one in "mn"
    ]
    await timed.world.database["notes"].insert_many(rows)
    await timed.world.add("a")
    moment = timed.clock.tick()
    await put(timed, "m", age=1)
    await timed.world.database["notes"].update_one({"_id": "m"}, {"$set": {"owner_id": "bob"}})
    timed.clock.tick()
    page = (await timed.list(moment)).json()
    assert ([row["_id"] for row in page["data"]], "complete" in page) == (["a"], False)
    assert (await timed.list(moment, token=BOSS)).json()["complete"] is False


async def test_ids_that_another_writer_made_of_another_type_keep_their_order(timed):
    rows = [
        {
            "_id": one,
            "title": "old",
            "tenant_id": "acme",
            "owner_id": "alice",
            "_version": 1,
            "_made": {"action": "create", "by": "x", "at": timed.clock.now},
        }
        for one in (7, 2.5, True, {"k": 1})
    ]
    await timed.world.database["notes"].insert_many(rows)
    await timed.world.add("a")
    moment = timed.clock.tick()
    await timed.world.delete("/notes/batch", {"filter": {"title": "old"}})
    timed.clock.tick()
    assert await walk(timed, moment, 1) == [2.5, 7, "a", {"k": 1}, True]


# -- what is not taken


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"_as_of": "yesterday"}, "_as_of"),
        ({"_as_of": ""}, "_as_of"),
        ({"_as_of": "1769860800"}, "_as_of"),
        ({"_as_of": "2026-02-30"}, "_as_of"),
        ({"_sort": "age"}, "_sort"),
        ({"_sort": "-_id"}, "_sort"),
        ({"_sort": "_id,age"}, "_sort"),
        ({"_count": "true"}, "_count"),
    ],
)
async def test_a_moment_that_is_none_an_order_and_a_total_are_refused_by_name(timed, params, place):
    answer = await timed.world.get("/notes", params={"_as_of": date_text(timed.since), **params})
    assert (answer.status_code, answer.json()["error"]["message"].split(":")[0]) == (400, place)


async def test_the_order_of_ids_may_be_named_and_a_moment_have_an_offset(timed):
    await timed.world.add("a")
    moment = timed.clock.tick()
    assert await timed.ids(moment, _sort="_id", _count="false") == ["a"]
    answer = await timed.list((moment + timedelta(hours=2)).isoformat() + "+02:00")
    assert [row["_id"] for row in answer.json()["data"]] == ["a"]


async def test_it_is_for_the_two_routes_alone_and_once(timed):
    text = date_text(timed.since)
    for path in ("/notes/deleted", "/notes/a/versions"):
        assert (await timed.world.get(path, params={"_as_of": text})).status_code == 400
    assert (await timed.world.post("/notes/query", {"as_of": text})).status_code == 400
    assert (await timed.world.get(f"/notes?_as_of={text}&_as_of={text}")).status_code == 400


async def test_a_list_that_always_counts_tells_no_total_of_the_past(mongo_uri, tmp_path):
    schema = SCHEMA.replace("    client_ids: true\n", "    client_ids: true\n    list: {count: always}\n")
    async with a_timed_world(mongo_uri, a_config(tmp_path, schema=schema)) as timed:
        await timed.world.add("a")
        moment = timed.clock.tick()
        assert (await timed.list(moment)).json()["pagination"] == {"cursor": None, "has_more": False}
