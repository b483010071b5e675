"""Two worlds, alike in all that the caller may see and hostile elsewhere, answer every pipeline with the same bytes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token
from tests.http.test_aggregate import POLICY, SCHEMA

pytestmark = pytest.mark.mongo
LEAD = a_token("lea", ["lead"], team="red")
LAW = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

SEEN = [
    {"_id": "a", "team": "red", "status": "open", "age": 30, "tags": ["x", "y"], "pay": {"month": 10}},
    {"_id": "b", "team": "red", "status": "closed", "age": 0, "tags": [], "pay": {"month": "many"}},
    {"_id": "c", "team": "red", "age": [1, 2], "tags": "x", "lines": [{"sku": "x"}, 5, [{"sku": "y"}]]},
    {"_id": "d", "team": "red", "status": None, "age": 2.5, "tags": [["x"], {"y": 1}], "pay": 7},
]
HIDDEN = [
    {"salary": 5, "ssn": "CANARY", "pay": {"bonus": 1}},
    {"salary": "CANARY", "ssn": 5, "pay": {"bonus": {"$gt": "CANARY"}}},
    {"salary": [1, 2, 3], "lines": {"cost": "CANARY"}},
    {"salary": {"a": "CANARY"}, "ssn": ["CANARY"], "pay": {"bonus": [0]}},
]
OUT_OF_SIGHT = [
    {"tenant_id": "evil", "team": "red", "age": "CANARY", "tags": {"CANARY": 1}, "status": "open", "salary": 1},
    {"tenant_id": "acme", "team": "blue", "age": {"CANARY": 1}, "tags": 0, "status": ["open"]},
    {"tenant_id": "acme", "team": ["red"], "age": 0, "tags": ["CANARY"], "status": {"open": 1}},
    {"tenant_id": "acme", "age": None, "pay": "CANARY", "status": "closed"},
    {"tenant_id": ["acme"], "team": "red", "age": 1, "tags": [], "status": 5},
]
FIELDS = (
    "team",
    "status",
    "age",
    "tags",
    "pay.month",
    "lines.sku",
    "_id",
    "made",
    "also.made",
    "joined.age",
    "joined.status",
)
UNSEEN = ("salary", "ssn", "pay", "pay.bonus", "lines", "lines.0.cost", "joined.salary", "tags.0.CANARY", "nothing")

# Groups come in an order of the server's own, drawn anew for each request.
BY_ID = {"$sort": {"_id": 1}}

path = st.sampled_from(FIELDS * 4 + UNSEEN)
value = st.sampled_from([0, 1, 30, "x", "open", None, True, "$"]).map(lambda one: {"$literal": one})
leaf = path.map(lambda one: f"${one}") | value


def _deeper(inner):
    two = st.tuples(inner, inner).map(list)
    pairs = ("$add", "$divide", "$eq", "$gt", "$in", "$concat", "$arrayElemAt", "$ifNull", "$cmp", "$setUnion", "$mod")
    ones = ("$size", "$toUpper", "$not", "$type", "$first", "$sum", "$max", "$ln", "$strLenCP", "$isArray", "$year")
    return (
        st.builds(lambda name, one: {name: one}, st.sampled_from(pairs), two)
        | st.builds(lambda name, one: {name: [one]}, st.sampled_from(ones), inner)
        | st.builds(lambda a, b, c: {"$cond": [a, b, c]}, inner, inner, inner)
        | st.builds(lambda a, b: {"$filter": {"input": a, "cond": {"$eq": ["$$this", b]}}}, inner, leaf)
        | st.builds(lambda a, b: {"x": a, "y": [b]}, inner, inner)
    )


expression = st.recursive(leaf, _deeper, max_leaves=3)
plain = st.sampled_from([0, 1, 30, "x", "open", None, True])
test = (
    plain
    | st.builds(lambda op, one: {op: one}, st.sampled_from(["$gt", "$lte", "$ne"]), plain)
    | st.just({"$exists": False})
)
match = st.dictionaries(path, test, max_size=2).map(lambda one: {"$match": one})
name = st.sampled_from(["made", "also", "age", "salary", "pay", "also.made"])
stage = st.one_of(
    match,
    match,
    st.builds(lambda key, one: {"$addFields": {key: one}}, name, expression),
    st.builds(
        lambda key, one, kept: {"$project": {key: one, **({} if kept.split(".")[0] in key else {kept: 1})}},
        name,
        expression,
        path,
    ),
    path.map(lambda one: {"$unset": one}),
    path.map(lambda one: {"$unwind": f"${one}"}),
    st.builds(
        lambda one, way: {"$sort": {one: way, "_id": 1}},
        path.filter(lambda one: one != "_id"),
        st.sampled_from([1, -1]),
    ),
    st.integers(1, 3).map(lambda n: {"$limit": n}),
    st.builds(
        lambda local, foreign: {
            "$lookup": {"from": "people", "localField": local, "foreignField": foreign, "as": "joined"}
        },
        path,
        path.filter(lambda one: not one.startswith(("joined", "made", "also"))),
    ),
)
last = st.one_of(
    expression.map(lambda one: {"$group": {"_id": one, "n": {"$sum": 1}}}),
    st.builds(
        lambda acc, one: {"$group": {"_id": None, "x": {acc: {} if acc == "$count" else one}}},
        st.sampled_from(["$sum", "$min", "$max", "$push", "$count", "$first", "$avg"]),
        expression,
    ),
    path.map(lambda one: {"$sortByCount": f"${one}"}),
    path.map(lambda one: {"$bucket": {"groupBy": f"${one}", "boundaries": [0, 10, 50], "default": "other"}}),
    st.just({"$count": "n"}),
    st.builds(lambda key, one: {"$project": {key: one}}, name, expression),
    path.map(lambda one: {"$project": {one: 1}}),
    st.builds(
        lambda one, two: {"$facet": {"a": [one, {"$count": "n"}], "b": [{"$sortByCount": two}, BY_ID]}},
        match,
        expression.filter(lambda e: isinstance(e, str) or next(iter(e)).startswith("$")),
    ),
)
pipelines = st.builds(lambda stages, end: [*stages, end, BY_ID], st.lists(stage, max_size=4), last)


async def fill(world, other: bool) -> None:
    people = world.database["people"]
    seen = [{"tenant_id": "acme", **one} for one in SEEN]
    if other:
        hidden = [
            {**one, **more, "pay": {**more["pay"], **one["pay"]}}
            if isinstance(one.get("pay"), dict) and "pay" in more
            else {**more, **one}
            for one, more in zip(seen, HIDDEN, strict=True)
        ]
        hostile = [{"_id": f"h{n}", **one} for n, one in enumerate(OUT_OF_SIGHT)]
        await people.insert_many([*hostile[:3], *hidden, *hostile[3:]])
        await people.insert_one({"_id": "named", "tenant_id": "evil", "team.x": "CANARY", "$x": 1})
    else:
        await people.insert_many(seen)


async def test_a8_t11_pipelines_tell_nothing_of_what_is_hidden(mongo_uri, tmp_path):
    for one in ("first", "second"):
        (tmp_path / one).mkdir()
    first, second = (a_config(tmp_path / one, CONFIG, SCHEMA, POLICY) for one in ("first", "second"))
    asked: list[list] = []
    LAW(given(pipelines)(lambda one: asked.append(one)))()
    statuses: dict[int, int] = {}
    async with a_kept_world(mongo_uri, first) as one, a_kept_world(mongo_uri, second) as other:
        await fill(one, other=False)
        await fill(other, other=True)
        for pipeline in asked:
            answers = [await w.post("/people/aggregate", {"pipeline": pipeline}, token=LEAD) for w in (one, other)]
            assert answers[0].content == answers[1].content, pipeline
            assert "CANARY" not in answers[1].text or "CANARY" in str(pipeline), pipeline
            assert answers[0].status_code in (200, 400, 403), pipeline
            statuses[answers[0].status_code] = statuses.get(answers[0].status_code, 0) + 1
    # Neither all refused nor all alike: else the law would hold of nothing.
    assert min(statuses.values()) > 20, statuses
    assert set(statuses) == {200, 400, 403}
