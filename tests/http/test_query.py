"""`_fields`, `_count`, `POST /query` and `POST /count`: the same list, cut, counted and asked for in a body."""

import pytest

from tests.http.harness import CONFIG, SCHEMA, a_config, a_kept_world, a_token
from tests.http.test_list import ids

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER = a_token("bob"), a_token("boss", ["boss"]), a_token("vera", ["viewer"])


async def query(world, body, status=200, **more):
    answer = await world.post("/notes/query", body, **more)
    assert answer.status_code == status, answer.text
    return answer


async def count_of(world, body, **more):
    answer = await world.post("/notes/count", body, **more)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"data"}
    return answer.json()["data"]["count"]


# -- fields


async def test_fields_cut_what_is_shown_in_a_list_and_in_one_document(world):
    await world.add("a", age=1, pay={"month": 1, "bonus": 2}, lines=[{"sku": "s", "quantity": 1}])
    cut = {"_id": "a", "_version": 1, "age": 1, "pay": {"bonus": 2}, "lines": [{"sku": "s"}]}
    asked = "_fields=age,pay.bonus,lines.sku"
    assert (await world.get(f"/notes/a?{asked}")).json() == cut
    assert (await world.get(f"/notes?{asked}")).json()["data"] == [cut]
    for fields in ("age,pay.bonus,lines.sku", ["age", "pay.bonus", "lines.sku", "age"]):
        assert (await query(world, {"fields": fields})).json()["data"] == [cut]
    assert (await world.get("/notes?_fields=_id")).json()["data"] == [{"_id": "a", "_version": 1}]


async def test_fields_show_in_each_row_what_that_rows_rules_show(world):
    await world.add("a", tags=["x"])
    await world.add("b", token=BOB, status="closed", tags=["y"])
    rows = (await world.get("/notes?_fields=tags,title")).json()["data"]
    assert rows == [
        {"_id": "a", "_version": 1, "title": "note a", "tags": ["x"]},
        {"_id": "b", "_version": 1, "title": "note b"},
    ]


@pytest.mark.parametrize(
    "fields", ["ssn", "pay", "pay.month", "tags", "nothing", "title,ssn", "_made", "_made.by", "0", "title.0.$x"]
)
async def test_A6_fields_that_no_rule_reads_are_refused_alike(world, fields):
    await world.add("a", ssn="123456789", status="closed")
    wrong = 400 if "$" in fields else 403
    for answer in (
        await world.get(f"/notes?_fields={fields}", token=VIEWER),
        await world.get(f"/notes/a?_fields={fields}", token=VIEWER),
        await world.get(f"/notes/absent?_fields={fields}", token=VIEWER),
        await query(world, {"fields": fields}, wrong, token=VIEWER),
    ):
        assert answer.status_code == wrong
        assert wrong == 400 or answer.json()["error"]["message"] == "unknown or not permitted field"


@pytest.mark.parametrize(
    "fields", ['{"z":"$ssn"}', "$ssn", "", ",", "title,", "a..b", "z:$ssn", "title.$", "$$ROOT", "a\x00b", "title,$ssn"]
)
async def test_T10_projection_is_names_only(world, fields):
    await world.add("a", ssn="123456789")
    for path in ("/notes", "/notes/a"):
        answer = await world.get(path, params={"_fields": fields})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "fields", [{"z": "$ssn"}, {"title": 1}, [{"title": 1}], [["title"]], [1], [], None, 5, ["$ssn"], [""], ["t"] * 201]
)
async def test_T10_fields_of_a_body_are_names_only(world, fields):
    answer = await query(world, {"fields": fields}, 400)
    assert answer.json()["error"]["message"].startswith("fields")


# -- count


async def test_the_total_is_of_all_pages_and_of_the_very_filter(world):
    await world.add("a", "b", "c", age=1)
    await world.add("d", age=2)
    await world.add("e", token=BOB, age=1)
    for path, total in (("", 4), ("&age=1", 3), ("&age=9", 0), ("&_sort=-age", 4)):
        answer = await world.get(f"/notes?_count=true&_limit=2{path}")
        assert answer.json()["pagination"]["total"] == total
    first = await world.get("/notes?_count=true&_limit=3")
    rest = await world.get(f"/notes?_count=true&_cursor={first.json()['pagination']['cursor']}")
    assert (ids(rest), rest.json()["pagination"]["total"]) == (["d"], 4)
    assert "total" not in (await world.get("/notes?_count=false")).json()["pagination"]


@pytest.mark.parametrize("wrong", ["", "1", "yes", "TRUE", "True", "null"])
async def test_a_count_is_true_or_false(world, wrong):
    assert (await world.get(f"/notes?_count={wrong}")).status_code == 400
    assert (await query(world, {"count": wrong}, 400)).json()["error"]["message"] == "count: expected true or false"


async def test_a_collection_may_count_always(mongo_uri, tmp_path):
    schema = SCHEMA.replace(
        "    client_ids: true\n", "    client_ids: true\n    list: {count: always, default_limit: 2}\n"
    )
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=schema)) as world:
        await world.add("a", "b", "c")
        for answer in (await world.get("/notes"), await world.get("/notes?_count=false"), await query(world, {})):
            assert (len(ids(answer)), answer.json()["pagination"]["total"]) == (2, 3)


async def test_count_counts_what_the_list_lists(world):
    await world.add("a", "b", age=1)
    await world.add("c", token=BOB, age=1)
    await world.add("d", token=BOB, status="closed", age=1, tags=["x"])
    assert await count_of(world, {}) == 3
    assert await count_of(world, {"filter": {"age": 1}}) == 3
    assert await count_of(world, {"filter": {"age": {"$gt": 1}}}) == 0
    assert await count_of(world, {}, token=BOSS) == 4
    assert await count_of(world, {}, token=VIEWER) == 1
    assert (await world.ask("POST", "/notes/count", content=b"")).json() == {"data": {"count": 3}}


async def test_A1_A7_a_count_is_no_oracle(world):
    """Rows whose rules hide the field do not count in a question on it."""
    await world.add("d", token=BOB, status="closed", tags=["x"])
    assert await count_of(world, {"filter": {"title": "note d"}}) == 1
    assert await count_of(world, {"filter": {"tags": "x"}}) == 0
    for asked in ({"ssn": "1"}, {"nothing": 1}, {"$or": [{"age": 1}, {"pay.month": {"$gt": 1}}]}):
        answer = await world.post("/notes/count", {"filter": asked}, token=VIEWER)
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, "unknown or not permitted field")


async def test_a_claim_that_makes_a_rule_impossible_counts_nothing(mongo_uri, tmp_path):
    policy = 'roles: {user: {}}\npolicies: {notes: {user: {actions: [read], when: "resource.title == user.claims.region"}}}\n'
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme"})
        assert await count_of(world, {}) == 0
        answer = await world.get("/notes?_count=true&_sort=title")
        assert answer.json() == {"data": [], "pagination": {"cursor": None, "has_more": False, "total": 0}}


@pytest.mark.parametrize(
    "body", [{"pipeline": []}, {"filter": [], "x": 1}, {"filter": None}, {"filter": "x"}, {"limit": 1}, {"hint": "x"}]
)
async def test_A7_A9_a_count_takes_a_filter_and_nothing_else(world, body):
    answer = await world.post("/notes/count", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


# -- the list in a body


async def test_a_query_is_the_list_asked_for_in_a_body(world):
    for n in range(5):
        await world.add(f"n{n}", age=n % 2, title="t" * n or "x")
    asked = {
        "filter": {"age": {"$in": [0, 1]}},
        "sort": ["-age", "title"],
        "fields": ["title"],
        "limit": 3,
        "count": True,
    }
    one = await query(world, asked)
    other = await world.get('/notes?_filter={"age":{"$in":[0,1]}}&_sort=-age,title&_fields=title&_limit=3&_count=true')
    assert one.json()["data"] == other.json()["data"]
    assert one.json()["pagination"]["total"] == 5
    assert ids(one) == ["n1", "n3", "n2"]
    assert (await query(world, {})).json() == (await world.get("/notes")).json()
    assert (await query(world, {**asked, "sort": "-age,title", "fields": "title"})).json()["data"] == one.json()["data"]


async def test_a_cursor_serves_both_forms_of_one_question(world):
    await world.add("a", "b", "c", age=1)
    first = (await query(world, {"filter": {"age": 1}, "limit": 1, "cursor": None})).json()["pagination"]["cursor"]
    second = await world.get(f"/notes?age=1&_limit=1&_cursor={first}")
    assert ids(second) == ["b"]
    third = await query(world, {"filter": {"age": 1}, "cursor": second.json()["pagination"]["cursor"]})
    assert ids(third) == ["c"]
    await query(world, {"filter": {"age": 2}, "cursor": first}, 400)
    await query(world, {"filter": {"age": 1}, "sort": ["age"], "cursor": first}, 400)


async def test_skip_leaves_out_rows_at_the_beginning_and_goes_with_no_cursor(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG + "limits: {max_result_size: 5}\n")) as world:
        await world.add(*"abcdef")
        assert ids(await query(world, {"skip": 2, "limit": 2})) == ["c", "d"]
        assert ids(await query(world, {"skip": 2, "sort": "-_id", "limit": 2})) == ["d", "c"]
        first = await query(world, {"skip": 1, "limit": 2, "sort": ["title"]})
        cursor = first.json()["pagination"]["cursor"]
        assert ids(await query(world, {"cursor": cursor, "sort": ["title"]})) == ["d", "e", "f"]
        for wrong in (
            {"skip": 6},
            {"skip": -1},
            {"skip": 1.5},
            {"skip": "1"},
            {"skip": True},
            {"skip": 1, "cursor": cursor},
        ):
            await query(world, wrong, 400)


@pytest.mark.parametrize(
    "body",
    [
        {"_filter": {}},
        {"where": {}},
        {"projection": {"title": 1}},
        {"lookup": {}},
        {"pipeline": []},
        {"collation": {"locale": "en"}},
        {"hint": "_id_"},
        {"limit": 0},
        {"limit": "5"},
        {"limit": True},
        {"limit": None},
        {"cursor": 5},
        {"cursor": ""},
        {"cursor": "x" * 9000},
        {"cursor": {"$ne": ""}},
        {"filter": None},
        {"filter": []},
        {"filter": {"$where": "1"}},
        {"count": 1},
        {"tenant_id": "evil"},
    ],
    ids=repr,
)
async def test_A7_what_a_query_does_not_know_is_refused_never_dropped(world, body):
    await world.add("a")
    answer = await query(world, body, 400)
    assert answer.json()["error"]["code"] == "bad_request"


async def test_a_query_takes_no_parameters(world):
    for path in ("/notes/query?_limit=1", "/notes/count?age=1"):
        assert (await world.post(path, {})).status_code == 400


async def test_a_body_of_white_space_is_none_and_of_other_signs_is_no_json(world):
    """A form feed is white space to Python, and not to JSON."""
    for content, status in ((b"", 200), (b" \t\r\n", 200), (b"\x0c", 400), (b"\x0b", 400)):
        assert (await world.ask("POST", "/notes/count", content=content)).status_code == status, content
