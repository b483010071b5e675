"""Aggregations: rows and fields that the caller reads raw, and nothing else."""

import pytest

from permission_mongo.query.expressions import _DATE_PARTS, EXPRESSIONS
from permission_mongo.query.pipeline import ACCUMULATORS
from permission_mongo.storage import aggregates
from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  people:
    client_ids: true
    additional_fields: keep
    fields:
      tenant_id: {type: string}
      team: {type: string}
      status: {type: string}
      age: {type: integer}
      at: {type: date}
      salary: {type: number}
      ssn: {type: string}
      pay: {type: object, properties: {month: {type: number}, bonus: {type: number}}}
      tags: {type: array, items: {type: string}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, cost: {type: number}}}}
"""
POLICY = """
roles: {boss: {}, lead: {}, reader: {}, blind: {}, mixed: {}, narrow: {}, hushed: {}, quiet: {}}
policies:
  people:
    boss: {actions: ["*"]}
    lead: {actions: [read, aggregate], when: "resource.team == user.team", fields: {deny: [salary, pay.bonus, lines.cost], mask: {ssn: last4}}}
    reader: {actions: [read]}
    blind: {actions: [aggregate]}
    mixed:
      - {actions: [aggregate]}
      - {actions: [read], when: "resource.team == 'red'"}
      - {actions: [read], when: "resource.team == 'blue'", fields: {deny: [salary]}}
    narrow: {actions: [read, aggregate], when: "resource.status == 'open'", fields: {allow: [status, age, pay.month]}}
    hushed:
      - {actions: [read, aggregate]}
      - {effect: deny, actions: [read], fields: [salary], when: "resource.status == 'closed'"}
    quiet:
      - {actions: [read]}
      - {actions: [aggregate], when: "resource.status == 'open'", fields: {deny: [salary]}}
"""
BOSS = a_token("boss", ["boss"])
LEAD = a_token("lea", ["lead"], team="red")
PEOPLE = [
    {
        "_id": "a",
        "team": "red",
        "status": "open",
        "age": 30,
        "salary": 100,
        "tags": ["x", "y"],
        "pay": {"month": 10, "bonus": 1},
        "ssn": "123456789",
        "at": "2026-01-31",
        "lines": [{"sku": "p", "cost": 3}],
    },
    {
        "_id": "b",
        "team": "red",
        "status": "closed",
        "age": 40,
        "salary": 200,
        "tags": ["x"],
        "pay": {"month": 20, "bonus": 2},
        "ssn": "223456789",
    },
    {
        "_id": "c",
        "team": "blue",
        "status": "open",
        "age": 50,
        "salary": 300,
        "tags": [],
        "pay": {"month": 30, "bonus": 3},
        "ssn": "323456789",
    },
]
NOT_YOURS = (403, "forbidden", "unknown or not permitted field")
NOT_COMPUTED = (400, "bad_request", "the pipeline can't be computed: an operator does not take the values it met")


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as found:
        made = await found.post("/people/batch", {"documents": PEOPLE}, token=BOSS)
        assert made.status_code == 201, made.text
        yield found


async def ask(world, *stages, token=LEAD):
    return await world.post("/people/aggregate", {"pipeline": list(stages)}, token=token)


async def rows(world, *stages, token=LEAD):
    answer = await ask(world, *stages, token=token)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["data"]
    return answer.json()["data"]


def told(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


# -- what it does


async def test_stages_do_what_they_say(world):
    grouped = await rows(
        world,
        {"$match": {"age": {"$gte": 30}}},
        {"$group": {"_id": "$team", "n": {"$sum": 1}, "ages": {"$push": "$age"}, "mean": {"$avg": "$pay.month"}}},
        {"$sort": {"_id": 1}},
        {"$addFields": {"double": {"$multiply": ["$n", 2]}}},
        token=BOSS,
    )
    assert grouped == [
        {"_id": "blue", "n": 1, "ages": [50], "mean": 30, "double": 2},
        {"_id": "red", "n": 2, "ages": [30, 40], "mean": 15, "double": 4},
    ]


BY_ID = {"$sort": {"_id": 1}}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"$count": "n"}], [{"n": 2}]),
        ([{"$sortByCount": "$status"}, BY_ID], [{"_id": "closed", "count": 1}, {"_id": "open", "count": 1}]),
        (
            [
                {"$project": {"tags": 1}},
                {"$unwind": "$tags"},
                {"$sort": {"_id": 1, "tags": 1}},
                {"$skip": 1},
                {"$limit": 1},
            ],
            [{"_id": "a", "tags": "y"}],
        ),
        (
            [{"$bucket": {"groupBy": "$age", "boundaries": [0, 35, 100]}}],
            [{"_id": 0, "count": 1}, {"_id": 35, "count": 1}],
        ),
        (
            [{"$facet": {"n": [{"$count": "n"}], "t": [{"$sortByCount": "$team"}]}}],
            [{"n": [{"n": 2}], "t": [{"_id": "red", "count": 2}]}],
        ),
        (
            [{"$project": {"x": {"$filter": {"input": "$tags", "cond": {"$eq": ["$$this", "y"]}}}}}, BY_ID],
            [{"_id": "a", "x": ["y"]}, {"_id": "b", "x": []}],
        ),
        ([{"$project": {"lines": {"sku": 1}}}, BY_ID], [{"_id": "a", "lines": [{"sku": "p"}]}, {"_id": "b"}]),
        ([{"$match": {"at": "2026-01-31"}}, {"$project": {"_id": 0, "y": {"$year": "$at"}}}], [{"y": 2026}]),
        (
            [
                {"$match": {"at": "2026-01-31"}},
                {"$project": {"y": {"$gt": ["$at", {"$date": "2026-01-30"}]}, "_id": 0}},
            ],
            [{"y": True}],
        ),
        ([{"$group": {"_id": None, "of": {"$addToSet": "$team"}}}], [{"_id": None, "of": ["red"]}]),
        (
            [{"$project": {"n": {"$convert": {"input": "$status", "to": "int"}}}}, BY_ID],
            [{"_id": "a", "n": None}, {"_id": "b", "n": None}],
        ),
        ([{"$match": {"_id": "a"}}, {"$project": {"t": {"$literal": "$salary"}}}], [{"_id": "a", "t": "$salary"}]),
        # A name that the pipeline made is no stored field, though one be called alike.
        (
            [{"$addFields": {"salary": "$age"}}, {"$group": {"_id": None, "s": {"$sum": "$salary"}}}],
            [{"_id": None, "s": 70}],
        ),
        (
            [{"$group": {"_id": "$status", "age": {"$first": "$team"}}}, {"$match": {"age": "red", "_id": "open"}}],
            [{"_id": "open", "age": "red"}],
        ),
    ],
)
async def test_a_pipeline_answers(world, stages, expected):
    assert await rows(world, *stages) == expected


async def test_a_result_of_no_rows_is_empty(world):
    nobody = a_token("n", ["lead"], team="none")
    assert await rows(world, {"$project": {"age": 1}}, token=nobody) == []
    assert await rows(world, {"$facet": {"a": [{"$count": "n"}]}}, token=nobody) == [{"a": []}]
    assert await rows(world, {"$count": "n"}, token=a_token("n", ["lead"])) == []


# -- rows


async def test_a8_a9_rows_are_those_that_may_be_aggregated_and_read(world):
    await world.database["people"].insert_one({"_id": "z", "tenant_id": "evil", "team": "red", "age": 1})
    assert await rows(world, {"$count": "n"}) == [{"n": 2}]
    assert await rows(world, {"$count": "n"}, token=BOSS) == [{"n": 3}]
    assert await rows(world, {"$count": "n"}, token=a_token("q", ["quiet"])) == [{"n": 2}]
    assert await rows(world, {"$group": {"_id": None, "l": {"$min": "$age"}}}, token=BOSS) == [{"_id": None, "l": 30}]


async def test_without_a_right_to_read_or_to_aggregate_it_is_forbidden(world):
    for role in ("reader", "blind"):
        answer = await ask(world, {"$count": "n"}, token=a_token("x", [role]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def test_a8_rows_in_which_a_named_field_is_hidden_take_no_part(world):
    mixed, hushed = a_token("m", ["mixed"]), a_token("h", ["hushed"])
    summed = {"$group": {"_id": None, "n": {"$sum": 1}, "s": {"$sum": "$salary"}}}
    assert await rows(world, {"$count": "n"}, token=mixed) == [{"n": 3}]
    assert await rows(world, summed, token=mixed) == [{"_id": None, "n": 2, "s": 300}]
    assert await rows(world, {"$match": {"salary": {"$gt": 0}}}, {"$count": "n"}, token=mixed) == [{"n": 2}]
    assert await rows(world, {"$count": "n"}, token=hushed) == [{"n": 3}]
    assert await rows(world, summed, token=hushed) == [{"_id": None, "n": 2, "s": 400}]


async def test_the_fields_of_the_aggregate_rule_bind_as_well(world):
    quiet = a_token("q", ["quiet"])
    assert told(await ask(world, {"$project": {"salary": 1}}, token=quiet)) == NOT_YOURS
    assert (await world.get("/people/a", token=quiet)).json()["salary"] == 100


# -- fields

HIDDEN = [
    "salary",
    "ssn",
    "pay",
    "pay.bonus",
    "lines",
    "lines.cost",
    "lines.0.cost",
    "lines.0",
    "0",
    "_made",
    "nothing.x",
]
USES = {
    "match": lambda f: [{"$match": {f: 5}}, {"$count": "n"}],
    "match in or": lambda f: [
        {"$match": {"$or": [{"age": 5}, {"$nor": [{f: {"$not": {"$gt": 5}}}]}]}},
        {"$count": "n"},
    ],
    "match a wrong value": lambda f: [{"$match": {f: {"$gt": "text"}, "age": "no number"}}, {"$count": "n"}],
    "project": lambda f: [{"$project": {f: 1}}],
    "project true": lambda f: [{"$project": {f: True}}],
    "project away": lambda f: [{"$project": {f: 0}}, {"$count": "n"}],
    "unset": lambda f: [{"$unset": f}, {"$count": "n"}],
    "rename": lambda f: [{"$project": {"x": f"${f}"}}],
    "rename below": lambda f: [{"$project": {"a": {"b": f"${f}"}}}],
    "rename in an object": lambda f: [{"$project": {"a": {"$mergeObjects": [{"b": [f"${f}"]}]}}}],
    "add": lambda f: [{"$addFields": {"x": {"$cond": [{"$gt": [f"${f}", 5]}, 1, 0]}}}, {"$project": {"x": 1}}],
    "set": lambda f: [{"$set": {f"{f}_": f"${f}"}}, {"$count": "n"}],
    "group": lambda f: [{"$group": {"_id": f"${f}"}}],
    "group in an object": lambda f: [{"$group": {"_id": {"k": [f"${f}"]}}}],
    "accumulate": lambda f: [{"$group": {"_id": None, "x": {"$max": f"${f}"}}}],
    "accumulate deep": lambda f: [{"$group": {"_id": None, "x": {"$sum": {"$cond": [{"$in": [1, [f"${f}"]]}, 1, 0]}}}}],
    "sort": lambda f: [{"$sort": {f: 1}}, {"$limit": 1}, {"$count": "n"}],
    "sort second": lambda f: [{"$sort": {"age": 1, f: -1}}, {"$count": "n"}],
    "unwind": lambda f: [{"$unwind": f"${f}"}, {"$count": "n"}],
    "sort by count": lambda f: [{"$sortByCount": f"${f}"}],
    "bucket": lambda f: [{"$bucket": {"groupBy": f"${f}", "boundaries": [0, 5]}}],
    "bucket output": lambda f: [
        {"$bucket": {"groupBy": "$age", "boundaries": [0, 5], "output": {"x": {"$push": f"${f}"}}}}
    ],
    "facet": lambda f: [{"$facet": {"a": [{"$match": {f: 1}}, {"$count": "n"}]}}],
    "facet group": lambda f: [{"$facet": {"a": [{"$group": {"_id": f"${f}"}}]}}],
    "let": lambda f: [{"$project": {"x": {"$let": {"vars": {"v": f"${f}"}, "in": "$$v"}}}}],
    "map": lambda f: [{"$project": {"x": {"$map": {"input": "$tags", "in": f"${f}"}}}}],
    "filter": lambda f: [{"$project": {"x": {"$filter": {"input": "$tags", "cond": {"$eq": ["$$this", f"${f}"]}}}}}],
    "switch": lambda f: [{"$project": {"x": {"$switch": {"branches": [{"case": f"${f}", "then": 1}], "default": 0}}}}],
    "convert": lambda f: [{"$project": {"x": {"$convert": {"input": f"${f}", "to": "string"}}}}],
    "date": lambda f: [{"$project": {"x": {"$dateToString": {"date": "$at", "onNull": f"${f}"}}}}],
}


@pytest.mark.parametrize("use", USES)
async def test_a6_a8_t10_t11_a_hidden_a_masked_and_an_unknown_field_get_one_refusal(world, use):
    for hidden in HIDDEN:
        stages = USES[use](hidden)
        answer = await ask(world, *stages, token=a_token("n", ["narrow"]) if "nothing" in hidden else LEAD)
        assert told(answer) == NOT_YOURS, hidden
        details = answer.json()["error"]["details"]
        assert (details["action"], details["collection"], hidden in details["fields"]) == ("aggregate", "people", True)


async def test_a6_a_rename_of_a_hidden_field_is_a_reference_to_it_and_a_shadow_is_none(world):
    assert told(await ask(world, {"$project": {"age": "$salary"}})) == NOT_YOURS
    assert told(await ask(world, {"$addFields": {"salary": {"$add": ["$salary", 1]}}}, {"$count": "n"})) == NOT_YOURS
    assert await rows(world, {"$project": {"salary": "$age", "_id": 0}}, {"$sort": {"salary": -1}}, {"$limit": 1}) == [
        {"salary": 40}
    ]
    # What a projection or a group left behind is gone: nothing is asked of it, and nothing shows.
    gone = [{"$project": {"age": 1}}, {"$project": {"s": "$salary", "_id": 0}}]
    assert await rows(world, *gone) == [{}, {}]
    grouped = [{"$group": {"_id": "$team"}}, {"$addFields": {"s": "$salary", "t": "$nothing.at.all"}}]
    assert await rows(world, *grouped) == [{"_id": "red"}]


@pytest.mark.parametrize(
    "stages",
    [
        [{"$match": {"age": 30}}],
        [{"$addFields": {"x": 1}}],
        [{"$project": {"age": 0}}],
        [{"$project": {"_id": 0}}],
        [{"$project": {"pay": {"month": False}}}],
        [{"$unset": "age"}, {"$sort": {"age": 1}}, {"$limit": 1}],
        [{"$unwind": "$tags"}],
        [{"$facet": {"a": [{"$count": "n"}], "b": [{"$limit": 1}]}}],
    ],
)
async def test_a_pipeline_that_would_show_whole_documents_must_name_its_fields(world, stages):
    answer = await ask(world, *stages, token=BOSS)
    assert (answer.status_code, "whole documents" in answer.text) == (400, True)


async def test_a_name_made_below_a_stored_field_brings_nothing_of_it_along(world):
    """The stored list would otherwise show its length: MongoDB writes the name into each element."""
    await world.database["people"].update_one({"_id": "a"}, {"$set": {"salary": [1, 2, 3], "pay": [1, {"bonus": 2}]}})
    asked = [{"$match": {"_id": "a"}}, {"$addFields": {"salary.x": 1, "pay.x": 2}}]
    shown = await rows(
        world, *asked, {"$group": {"_id": None, "x": {"$first": "$salary.x"}, "y": {"$first": "$pay.x"}}}
    )
    assert shown == [{"_id": None, "x": 1, "y": 2}]


async def test_stored_names_with_dots_and_dollars_are_never_shown(world):
    hostile = {"a": 1, "b.c": "DOTTED", "$d": "DOLLAR", "e": [{"f.g": "DEEP", "h": 2}]}
    await world.database["people"].insert_one(
        {"_id": "h", "tenant_id": "acme", "team": "red", "more": hostile, "pay.month": "TOP"}
    )
    shown = await rows(world, {"$match": {"_id": "h"}}, {"$project": {"more": 1, "pay.month": 1}})
    assert shown == [{"_id": "h", "more": {"a": 1, "e": [{"h": 2}]}}]


async def test_what_is_overwritten_changes_neither_rows_nor_tenant(world):
    await world.database["people"].insert_one({"_id": "z", "tenant_id": "evil", "team": "red"})
    for made in ({"tenant_id": "evil"}, {"team": "blue"}, {"tenant_id": {"$literal": "evil"}, "status": "open"}):
        match = {name: value for name, value in made.items() if not isinstance(value, dict)}
        assert await rows(world, {"$addFields": made}, {"$match": match}, {"$count": "n"}) == [{"n": 2}]
    assert await rows(world, {"$match": {"tenant_id": "evil"}}, {"$count": "n"}) == []
    assert await rows(world, {"$match": {"$or": [{"tenant_id": "evil"}, {"team": "blue"}]}}, {"$count": "n"}) == []


# -- errors at work

FAILING = [
    {"$divide": [1, "$age"]},
    {"$add": ["$age", 1]},
    {"$size": "$tags"},
    {"$substrCP": ["$status", 0, "$age"]},
    {"$arrayElemAt": ["$tags", "$age"]},
    {"$dateToString": {"date": "$at"}},
    {"$concat": ["$status", "x"]},
    {"$in": [1, "$tags"]},
    {"$mergeObjects": ["$pay.month"]},
    {"$toUpper": "$status"},
    {"$sqrt": "$age"},
]
HOSTILE = {"age": "CANARY", "tags": {"CANARY": 1}, "status": {"CANARY": 2}, "at": "CANARY", "pay": {"month": "CANARY"}}


@pytest.mark.parametrize("failing", FAILING, ids=lambda one: next(iter(one)))
async def test_t11_what_fails_on_rows_out_of_sight_does_not_show(world, failing):
    """Two worlds, the second with hostile rows elsewhere: byte-equal answers; in sight, one text without values."""
    used = [
        [{"$project": {"x": failing}}, BY_ID],
        [{"$match": {"age": {"$gte": 0}}}, {"$project": {"x": failing}}, {"$match": {"x": {"$exists": True}}}, BY_ID],
        [{"$addFields": {"x": failing}}, {"$sort": {"x": 1, "_id": 1}}, {"$project": {"x": 1}}],
        [{"$group": {"_id": failing}}, BY_ID],
        [{"$facet": {"a": [{"$match": {"status": {"$ne": "q"}}}, {"$project": {"x": failing}}, BY_ID]}}],
    ]
    token = a_token("lea", ["lead"], team="only")
    people = world.database["people"]
    seen = {"tenant_id": "acme", "team": "only", "age": 4, "tags": ["x"], "status": "s", "pay": {}}
    await people.insert_one({"_id": "seen", **seen})
    for index in (None, "age", "status"):
        if index:
            await people.create_index(index)
        await people.delete_many({"hostile": True})
        before = [(await ask(world, *stages, token=token)).content for stages in used]
        await people.insert_many(
            [
                {"_id": f"h{n}", "hostile": True, **HOSTILE, "tenant_id": tenant, "team": team}
                for n, (tenant, team) in enumerate([("acme", "other"), ("evil", "only"), ("acme", ["only"])])
            ]
        )
        assert [(await ask(world, *stages, token=token)).content for stages in used] == before


async def test_t32_an_error_in_sight_is_one_text_without_values(world):
    await world.database["people"].update_one({"_id": "a"}, {"$set": HOSTILE})
    for failing in FAILING[1:9]:
        answer = await ask(world, {"$project": {"x": failing}})
        assert (told(answer), "CANARY" in answer.text) == (NOT_COMPUTED, False), failing
    assert told(await ask(world, {"$project": {"x": {"$divide": [1, 0]}}})) == NOT_COMPUTED
    assert told(await ask(world, {"$sort": {"tags": 1, "more": 1}}, {"$project": {"x": {"$ln": -1}}})) == NOT_COMPUTED


# -- limits


async def limited(world, stages, limits, mongo_uri, tmp_path):
    folder = tmp_path / "limited"
    folder.mkdir()
    config = f"{CONFIG}limits: {{{limits}}}\n"
    async with a_kept_world(mongo_uri, a_config(folder, config, SCHEMA, POLICY)) as other:
        await other.post("/people/batch", {"documents": PEOPLE}, token=BOSS)
        return [await ask(other, *one, token=BOSS) for one in stages]


async def test_t14_stages_are_counted_with_nested_ones(world, mongo_uri, tmp_path):
    count = {"$count": "n"}
    stages = [
        [{"$limit": 1}] * 3 + [count],
        [{"$limit": 1}] * 4 + [count],
        [{"$facet": {"a": [count] * 2, "b": [count] * 2}}],
    ]
    answers = await limited(world, stages, "max_aggregation_stages: 4", mongo_uri, tmp_path)
    assert [one.status_code for one in answers] == [200, 400, 400]
    assert answers[1].json()["error"]["details"] == {"max_aggregation_stages": 4}


async def test_t16_more_rows_than_a_result_may_have_are_refused(world, mongo_uri, tmp_path):
    stages = [[{"$project": {"age": 1}}, {"$limit": 2}], [{"$project": {"age": 1}}]]
    answers = await limited(world, stages, "max_result_size: 2", mongo_uri, tmp_path)
    assert [one.status_code for one in answers] == [200, 413]
    assert answers[1].json()["error"]["details"] == {"max_result_size": 2}


async def test_t16_more_bytes_than_a_result_may_have_are_refused(world):
    await world.database["people"].insert_many(
        [{"_id": f"big{n}", "tenant_id": "acme", "team": "red", "status": "x" * 2**20} for n in range(12)]
    )
    answer = await ask(world, {"$project": {"status": 1}})
    assert (answer.status_code, answer.json()["error"]["code"], len(answer.content) < 300) == (
        413,
        "payload_too_large",
        True,
    )
    grown = {"$group": {"_id": None, "all": {"$push": "$status"}}}
    assert (await ask(world, grown)).status_code == 413
    much = [{"$addFields": {"x": ["$status"] * 20}}, {"$project": {"x": 1}}]
    assert (await ask(world, *much)).status_code == 413
    assert (await ask(world, {"$project": {"x": {"$concat": ["$status"] * 100}}})).status_code == 413


async def test_t15_a_pipeline_that_takes_too_long_is_ended(world, mongo_uri, tmp_path):
    admin = world.database.client.admin

    async def ended():
        # Whether the token was revoked is looked up anew each second, and is no pipeline.
        assert (await ask(world, {"$count": "n"})).status_code == 200
        await admin.command({"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "alwaysOn"})
        try:
            return await ask(world, {"$count": "n"})
        finally:
            await admin.command({"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "off"})

    for _ in range(5):
        answer = await ended()
        if answer.status_code != 503:
            break
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


async def test_t8_no_option_is_taken_beside_the_pipeline(world):
    stages = [{"$count": "n"}]
    for more in ("allowDiskUse", "collation", "hint", "comment", "let", "maxTimeMS", "cursor", "explain", "options"):
        answer = await world.post("/people/aggregate", {"pipeline": stages, more: True}, token=BOSS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    for body in ({}, {"pipeline": None}, {"pipeline": {}}, {"pipeline": []}, {"pipeline": [[]]}, {"pipeline": [{}]}):
        assert (await world.post("/people/aggregate", body, token=BOSS)).status_code == 400
    assert (await world.post("/people/aggregate?x=1", {"pipeline": stages}, token=BOSS)).status_code == 400
    assert (await world.get("/people/aggregate", token=BOSS)).status_code == 405


async def test_every_code_of_the_server_becomes_a_refusal_of_ours():
    for code in (2, 9, 16554, 16608, 17124, 31034, None):
        refusal = aggregates._refusal_of(code)
        assert (refusal.code, str(refusal)) == ("bad_request", NOT_COMPUTED[2])


# -- every operator that is taken is one that MongoDB knows

SAMPLES = {
    **{key: [7, 2] for key in ("$divide", "$log", "$mod", "$pow", "$subtract")},
    **dict.fromkeys(("$toLower", "$toUpper", "$strLenCP"), "x"),
    **{key: ["$age", 2] for key in ("$cmp", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$ifNull")},
    **{key: ["a b", " "] for key in ("$strcasecmp", "$split", "$concat", "$indexOfCP")},
    **{
        key: ["$tags", ["x"]]
        for key in ("$setDifference", "$setIsSubset", "$setEquals", "$setIntersection", "$setUnion")
    },
    **dict.fromkeys(("$size", "$first", "$last", "$reverseArray", "$anyElementTrue", "$allElementsTrue"), "$tags"),
    **{key: {"input": " x ", "chars": " "} for key in ("$trim", "$ltrim", "$rtrim")},
    **{
        key: {"startDate": "$at", "unit": "day", "amount": 1, "timezone": "UTC"}
        for key in ("$dateAdd", "$dateSubtract")
    },
    "$in": ["x", "$tags"],
    "$indexOfArray": ["$tags", "x"],
    "$arrayElemAt": ["$tags", 0],
    "$slice": ["$tags", 1],
    "$substrCP": ["text", 0, 1],
    "$mergeObjects": ["$pay", {"x": 1}],
    "$dateDiff": {"startDate": "$at", "endDate": "$$NOW", "unit": "week", "startOfWeek": "monday"},
    "$dateToString": {"date": "$at", "format": "%Y", "timezone": "UTC", "onNull": "none"},
    "$dateTrunc": {"date": "$at", "unit": "month", "binSize": 1, "timezone": "UTC"},
    "$cond": [True, 1, 2],
    "$switch": {"branches": [{"case": True, "then": 1}]},
    "$let": {"vars": {"v": "$age"}, "in": "$$v"},
    "$filter": {"input": "$tags", "as": "tag", "cond": {"$eq": ["$$tag", "x"]}},
    "$map": {"input": "$lines", "as": "line", "in": "$$line.sku"},
    "$convert": {"input": "$age", "to": "string"},
    "$literal": {"x": ["$age"]},
}


async def test_mongodb_knows_every_expression_operator_that_is_taken(world):
    for operator in sorted(EXPRESSIONS):
        sample = SAMPLES.get(operator, "$at" if operator in _DATE_PARTS else 4)
        answer = await ask(world, {"$match": {"_id": "a"}}, {"$project": {"x": {operator: sample}}}, token=BOSS)
        assert (answer.status_code, "x" in answer.json().get("data", [{}])[0]) == (200, True), (operator, answer.text)


async def test_mongodb_knows_every_accumulator_that_is_taken(world):
    for operator in sorted(ACCUMULATORS):
        accumulated = {operator: {} if operator == "$count" else "$age"}
        shown = await rows(world, {"$group": {"_id": None, "x": accumulated}})
        assert "x" in shown[0], operator
