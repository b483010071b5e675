"""`_sort`: any order over fields that the caller reads raw in every row that takes part; pages that go on in it."""

import json

import pytest
from bson import Regex

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token
from tests.http.test_list import a_cursor, ids, pages

pytestmark = pytest.mark.mongo
BOB, BOSS, VIEWER = a_token("bob"), a_token("boss", ["boss"]), a_token("vera", ["viewer"])
ROOT, STRANGER = a_token("root", ["root"], None), a_token("eve", ["boss"], "evil")
LOOSE = "settings: {id_type: string}\ncollections: {notes: {client_ids: true, additional_fields: keep, fields: {a: {type: any}, b: {type: integer}}}}"
ALL = 'roles: {user: {}}\npolicies: {notes: {user: {actions: ["*"]}}}\n'


async def refused(world, sort, **more):
    """GET and POST refuse alike."""
    answer = await world.get("/notes", params={"_sort": sort}, **more)
    posted = await world.post("/notes/query", {"sort": sort.split(",")}, **more)
    assert posted.status_code == answer.status_code
    assert posted.json()["error"]["message"] == answer.json()["error"]["message"].replace("_sort", "sort")
    return answer.status_code, answer.json()["error"]


async def test_a_list_is_sorted_by_several_fields_in_either_direction(world):
    for n, (age, title) in enumerate([(2, "x"), (1, "y"), (2, "y"), (1, "x"), (None, "z")]):
        await world.add(f"n{n}", age=age, title=title)
    for sort, order in (
        ("age,title", "43102"),
        ("-age,title", "02314"),
        ("age,-title", "41320"),
        ("-age,-title", "20134"),
        ("-title", "41203"),
        ("-_id", "43210"),
        ("_id,-age", "01234"),
        ("created_at,-_version,-_id", None),
    ):
        for limit in (1, 2, 5):
            found = [one[1] for page in await pages(world, f"/notes?_sort={sort}&_limit={limit}") for one in page]
            assert order is None or "".join(found) == order
            assert sorted(found) == list("01234")


async def test_rows_that_tie_go_by_id_and_pages_go_on_though_the_last_row_is_gone(world):
    await world.add("c", "a", "d", "b", age=1)
    first = await world.get("/notes?_sort=-age&_limit=2")
    assert ids(first) == ["a", "b"]
    await world.delete("/notes/batch", {"ids": ["b", "c"]})
    assert ids(await world.get(f"/notes?_sort=-age&_cursor={first.json()['pagination']['cursor']}")) == ["d"]


async def test_pages_go_on_behind_empty_null_and_missing_values_of_every_kind(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, LOOSE, ALL)) as world:
        values = [[], [], None, [None], 1, [3, 1], "x", {"b": 1}, float("nan"), [[1]], True, 1.5, [], "x"]
        rows = [{"_id": f"n{n:02}", "a": one} for n, one in enumerate(values)] + [{"_id": f"m{n}"} for n in range(3)]
        await world.database["notes"].insert_many(rows)
        for sort, order in (("a", [("a", 1), ("_id", 1)]), ("-a", [("a", -1), ("_id", 1)])):
            whole = [one["_id"] async for one in world.database["notes"].find({}).sort(order)]
            for limit in (1, 2, 3, 16):
                assert [
                    one for page in await pages(world, f"/notes?_sort={sort}&_limit={limit}") for one in page
                ] == whole


async def test_a_field_that_is_never_shown_does_not_come_with_the_order(world):
    await world.add("a", "b", age=1)
    for path in ("/notes?_sort=age", "/notes?_sort=age&_limit=1", "/notes?_sort=age&_fields=title"):
        assert "_made" not in (await world.get(path)).text


@pytest.mark.parametrize(
    "index", ["[tenant_id, age, _id]", "[tenant_id, -age, -_id]", "[age, _id]", "[-tenant_id, -age, _id]"]
)
async def test_pages_from_a_declared_index_are_the_same(mongo_uri, tmp_path, index):
    schema = "settings: {id_type: string, default_tenant_field: tenant_id}\ncollections: {notes: {client_ids: true, indexes: [{fields: %s}], fields: {tenant_id: {type: string}, age: {type: integer}}}}"
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema % index, ALL)) as world:
        for n in range(12):
            await world.post("/notes", {"_id": f"n{n:02}", "age": n % 3})
            await world.post("/notes", {"_id": f"n{n:02}x", "age": n % 3}, token=a_token(tenant="evil"))
        for sort, direction in (("age", 1), ("-age", -1)):
            found = [one for page in await pages(world, f"/notes?_sort={sort}&_limit=5") for one in page]
            # A tie goes upwards, unless only downwards the index fits.
            tie = (
                direction if index in ("[tenant_id, age, _id]", "[age, _id]", "[tenant_id, -age, -_id]") else -direction
            )
            rows = sorted(range(12), key=lambda n: (direction * (n % 3), tie * n))
            assert found == [f"n{n:02}" for n in rows]


async def test_an_index_that_was_dropped_while_it_ran_makes_a_page_slower_and_no_other(mongo_uri, tmp_path):
    schema = "settings: {id_type: string}\ncollections: {notes: {client_ids: true, indexes: [{fields: [age, _id]}], fields: {age: {type: integer}}}}"
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, ALL)) as world:
        await world.database["notes"].insert_many([{"_id": f"n{n}", "age": n} for n in range(4)])
        cursor = await a_cursor(world, "/notes?_sort=age&_limit=2")
        await world.database["notes"].drop_index([("age", 1), ("_id", 1)])
        assert ids(await world.get(f"/notes?_sort=age&_cursor={cursor}")) == ["n2", "n3"]


async def test_a_cross_tenant_role_is_paged_through_all_tenants_under_any_order(world):
    await world.add("a", "d", token=BOB, age=2)
    await world.add("b", "c", token=STRANGER, age=1)
    found = await pages(world, "/notes?_sort=age,-_id&_limit=3", token=ROOT)
    assert found == [["c", "b", "d"], ["a"]]


# -- what can't be sorted by


@pytest.mark.parametrize(
    "sort",
    ["", ",", "age,", "-", "--age", "+age", "age ", "a..b", ".a", "$age", "age.$", "lines.0.sku", "0"],
)
async def test_t8_t20_what_names_no_field_is_refused(world, sort):
    status, error = await refused(world, sort)
    assert status == (400 if sort not in ("--age", "+age", "age ") else 403)
    assert status == 403 or error["message"].startswith("_sort: a field is named like")
    assert (await world.get("/notes?_sort=age%00")).status_code == 400


@pytest.mark.parametrize(
    ("sort", "message"),
    [
        ("age,age", "_sort: 'age' is named twice"),
        ("age,-age", "_sort: 'age' is named twice"),
        (",".join(f"f{n}" for n in range(9)), "_sort: expected 1 to 8 fields"),
        ("tags,lines", "_sort: 'tags' and 'lines' may both be arrays"),
        ("lines.sku", "_sort: 'lines.sku' leads through a field that may be an array"),
        ("age,-lines.sku,title", "_sort: 'lines.sku' leads through a field that may be an array"),
    ],
)
async def test_t14_an_order_that_is_none_is_refused(world, sort, message):
    status, error = await refused(world, sort)
    assert (status, error["message"]) == (400, message)


@pytest.mark.parametrize("sort", [{}, {"age": 1}, [["age", 1]], [1], [], None, 5, "", [{"$meta": "textScore"}]])
async def test_a_sort_of_a_body_is_a_list_of_names_or_their_text(world, sort):
    assert (await world.post("/notes/query", {"sort": sort})).status_code == 400


async def test_what_may_be_two_arrays_where_the_schema_is_open_is_refused(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, LOOSE, ALL)) as world:
        for sort in ("a,free", "free,other", "free.x", "a.x"):
            assert (await refused(world, sort))[0] == 400
        for sort in ("a,b", "free,b", "-free"):
            assert (await world.get(f"/notes?_sort={sort}")).status_code == 200
        await world.database["notes"].insert_one({"_id": "x", "a": [1], "b": [1]})
        status, error = await refused(world, "a,b")
        assert (status, error["message"]) == (400, "sort: these documents can't be sorted by these fields")


@pytest.mark.parametrize(
    "value", ["x" * 1100, Regex("a"), {"x": "y" * 1100}], ids=["long text", "pattern", "large object"]
)
async def test_a_page_that_would_end_in_a_value_no_page_can_begin_behind_is_refused(mongo_uri, tmp_path, value):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, LOOSE, ALL)) as world:
        rows = [{"_id": "a", "a": value}, {"_id": "b", "a": value}]
        await world.database["notes"].insert_many(rows)
        answer = await world.get("/notes?_sort=a&_limit=1")
        assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"fields": ["a"]})
        assert answer.json()["error"]["message"].startswith("sort: the page ends in a value of 'a' ")
        assert ids(await world.get("/notes?_sort=a&_limit=2")) == ["a", "b"]


async def test_t14_a_cursor_fits_into_a_url_or_is_refused(mongo_uri, tmp_path):
    names = [f"f{n}" for n in range(8)]
    fields = ", ".join(f"{name}: {{type: string}}" for name in names)
    schema = f"settings: {{id_type: string}}\ncollections: {{notes: {{client_ids: true, fields: {{{fields}}}}}}}"
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, ALL)) as world:
        await world.database["notes"].insert_many([{"_id": one, **dict.fromkeys(names, "x" * 1000)} for one in "ab"])
        path = f"/notes?_limit=1&_sort={','.join(names)}"
        assert "too long for a cursor" in (await world.get(path)).json()["error"]["message"]
        assert await pages(world, f"/notes?_limit=1&_sort={','.join(names[:5])}") == [["a"], ["b"]]


# -- no oracle


@pytest.mark.parametrize(
    "sort", ["ssn", "-ssn", "pay", "pay.month", "tags", "owner_id", "nothing", "age,ssn", "_made", "_made.at"]
)
async def test_A4_sort_by_hidden_field_is_refused(world, sort):
    await world.add("a", status="closed")
    status, error = await refused(world, sort, token=VIEWER)
    assert (status, error["code"], error["message"]) == (403, "forbidden", "unknown or not permitted field")


async def test_A4_sort_by_a_masked_field_is_refused_like_an_unknown_one(world):
    await world.add("a", ssn="123456789")
    told = [(await refused(world, one, token=VIEWER))[1]["details"]["fields"] for one in ("ssn", "nothing")]
    assert told == [["ssn"], ["nothing"]]
    assert (await refused(world, "ssn"))[0] == 403


async def test_A3_dotted_path_into_hidden_object_in_sort(world):
    await world.add("a", pay={"month": 1}, status="closed")
    for sort in ("pay.month", "pay", "pay.bonus.x", "lines.sku"):
        assert (await refused(world, sort, token=VIEWER))[0] == 403


async def test_A4_whether_a_field_is_an_array_is_told_only_to_who_reads_it(world):
    for sort in ("tags,lines", "lines.sku", "nothing,lines"):
        assert (await refused(world, sort, token=VIEWER))[0] == 403


async def test_A4_rows_take_part_only_where_their_grant_reads_the_field(world):
    """The closed notes of others show no tags: sorted by them, they would tell."""
    await world.add("a", "c", tags=["m"])
    await world.add("b", token=BOB, status="closed", tags=["a"])
    assert ids(await world.get("/notes?_sort=title")) == ["a", "b", "c"]
    for path in ("/notes?_sort=tags", "/notes?_sort=-tags&_limit=2", "/notes?_sort=title,tags"):
        assert ids(await world.get(path)) == ["a", "c"]
    answer = await world.get("/notes?_sort=tags&_count=true")
    assert answer.json()["pagination"]["total"] == 2


async def test_A4_a_field_of_the_filter_and_one_of_the_sort_must_be_read_in_the_same_row(mongo_uri, tmp_path):
    schema = "settings: {id_type: string}\ncollections: {notes: {client_ids: true, fields: {a: {type: integer}, b: {type: integer}, k: {type: string}}}}"
    policy = """
roles: {user: {}}
policies:
  notes:
    user:
      - {actions: [read], when: "resource.k == 'a'", fields: {allow: [k, a]}}
      - {actions: [read], when: "resource.k == 'b'", fields: {allow: [k, b]}}
      - {actions: [create], fields: {allow: [k, a, b]}}
"""
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, policy)) as world:
        await world.database["notes"].insert_many([{"_id": one, "k": one, "a": 1, "b": 1} for one in "ab"])
        assert ids(await world.get("/notes?a=1")) == ["a"]
        assert ids(await world.get("/notes?_sort=b")) == ["b"]
        for query in ("a=1&_sort=b", "_sort=a,b", "b=1&_sort=a&_count=true"):
            answer = await world.get(f"/notes?{query}")
            assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (403, ["a", "b"])


async def test_A4_a_cursor_holds_only_what_its_caller_read(world):
    """The key is signed and not secret: it is of a row that is shown, in fields that are shown raw in it."""
    await world.add("a", "b", tags=["canary"], status="closed", token=BOB)
    await world.add("c", "d", tags=["mine"])
    answer = await world.get("/notes?_sort=tags&_limit=1")
    assert ids(answer) == ["c"]
    assert ids(await world.get(f"/notes?_sort=tags&_cursor={answer.json()['pagination']['cursor']}")) == ["d"]


# -- cursors


async def test_T27_a_cursor_serves_one_order(world):
    await world.add("a", "b", "c", "d", age=1)
    cursor = await a_cursor(world, "/notes?_sort=age&_limit=2")
    others = (
        "",
        "_sort=-age&",
        "_sort=age,title&",
        "_sort=title&",
        "_sort=age,_id&age=1&",
        "_sort=age,-_id&",
        "age=1&_sort=age&",
    )
    answers = [await world.get(f"/notes?{one}_cursor={cursor}") for one in others]
    assert [one.status_code for one in answers] == [400] * len(others)
    plain = await a_cursor(world)
    assert (await world.get(f"/notes?_sort=age&_cursor={plain}")).status_code == 400
    assert (await world.get(f"/notes?_sort=_id&_cursor={plain}")).status_code == 400
    assert ids(await world.get(f"/notes?_sort=age&_limit=1&_cursor={cursor}")) == ["c"]


async def test_T27_any_byte_of_a_sorted_cursor_flipped_is_refused(world):
    await world.add("a", "b", "c", age=1)
    cursor = await a_cursor(world, "/notes?_sort=age&_limit=2")
    for place in range(len(cursor)):
        forged = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        assert (await world.get(f"/notes?_sort=age&_cursor={forged}")).status_code == 400, place


async def test_T27_a_sorted_cursor_serves_one_caller_and_one_route(world):
    await world.add("a", "b", "c", age=1, status="closed")
    cursor = await a_cursor(world, "/notes?_sort=age&_limit=2")
    for token in (BOB, BOSS, VIEWER, STRANGER, a_token("alice", tenant="evil"), a_token("alice", ["root"], None)):
        assert (await world.get(f"/notes?_sort=age&_cursor={cursor}", token=token)).status_code == 400
    for path in ("/plain?_sort=name&", "/notes/deleted?"):
        assert (await world.get(f"{path}_cursor={cursor}", token=a_token(roles=["boss"]))).status_code == 400


async def test_T27_rights_that_shrank_count_on_the_next_sorted_page(world):
    await world.add("a", "b", "c", age=1)
    await world.add("d", age=2, status="closed")
    await world.add("e", age=2)
    cursor = await a_cursor(world, "/notes?_sort=age&_limit=2")
    rest = await world.get(f"/notes?_sort=age&_cursor={cursor}", token=a_token(roles=["viewer"]))
    assert rest.json()["data"] == [{"_id": "d", "_version": 1, "title": "note d", "status": "closed", "age": 2}]
    by_tags = await a_cursor(world, "/notes?_sort=tags&_limit=2")
    gone = await world.get(f"/notes?_sort=tags&_cursor={by_tags}", token=a_token(roles=["viewer"]))
    assert gone.status_code == 403


async def test_a_sorted_list_still_obeys_its_filter_and_its_limit(world):
    await world.add("a", "b", "c", age=1)
    await world.add("d", "e", age=2)
    asked = json.dumps({"age": {"$gte": 1}})
    found = await pages(world, f"/notes?_sort=-age,-_id&_limit=2&_filter={asked}")
    assert found == [["e", "d"], ["c", "b"], ["a"]]
